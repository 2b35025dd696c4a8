"""What a client keeps on its machine: encrypted, durable, one window at a time."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from iirs.client.chat_session import OutgoingText
from iirs.client.store import ClientStore, Pins, open_store
from iirs.errors import StoreError

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
SECRETS = ("meet me at noon", "sync:bob", "bob", "carol", "last_round", "conversations")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "alice.store"


@pytest.fixture
def store(path: Path) -> Iterator[ClientStore]:
    opened = ClientStore(path, KEY)
    yield opened
    opened.close()


def fill(store: ClientStore) -> None:
    store.set("last_round", 7)
    store.set("sync:bob", {"current": "meet me at noon"})
    store.set("conversations", ["bob", "carol"])
    store.queue("bob", OutgoingText(b"t" * 16, "meet me at noon", 1000))
    store.add_received("carol", b"u" * 16, "meet me at noon, said carol", 2000)
    store.commit()


def copied(path: Path) -> ClientStore:
    """Open a copy of the file as it is on disk now: what a machine finds after the power failed."""
    copy = path.with_name(f"copy-{os.urandom(4).hex()}.store")
    shutil.copy(path, copy)
    journal = path.with_name(path.name + "-journal")
    if journal.exists():
        shutil.copy(journal, copy.with_name(copy.name + "-journal"))
    return ClientStore(copy, KEY)


# -- keeping -------------------------------------------------------------------------------------------


def test_what_is_kept_comes_back_after_closing(path: Path) -> None:
    first = ClientStore(path, KEY)
    fill(first)
    first.close()
    store = ClientStore(path, KEY)
    assert store.get("last_round") == 7
    assert store.get("sync:bob") == {"current": "meet me at noon"}
    assert list(store.outbox("bob")) == [OutgoingText(b"t" * 16, "meet me at noon", 1000)]
    assert store.history("bob") == [(b"t" * 16, True, "meet me at noon", 1000)]
    assert store.history("carol") == [(b"u" * 16, False, "meet me at noon, said carol", 2000)]
    store.close()


def test_a_value_can_be_replaced_and_removed(store: ClientStore) -> None:
    store.set("last_round", 1)
    store.set("last_round", 2)
    assert store.get("last_round") == 2
    store.remove("last_round")
    store.remove("last_round")
    assert store.get("last_round") is None
    assert store.get("last_round", 5) == 5


def test_a_delivered_text_leaves_the_outbox_and_stays_in_the_history(store: ClientStore) -> None:
    texts = [OutgoingText(bytes([place]) * 16, f"text {place}", place) for place in range(3)]
    for text in texts:
        store.queue("bob", text)
    assert list(store.outbox("bob")) == texts
    store.dequeue(texts[1].text_id)
    assert list(store.outbox("bob")) == [texts[0], texts[2]]
    assert [item[2] for item in store.history("bob")] == ["text 0", "text 1", "text 2"]
    assert [item[2] for item in store.history("bob", limit=2)] == ["text 1", "text 2"]
    assert list(store.outbox("carol")) == []


def test_a_text_is_known_again_for_its_own_peer_only(store: ClientStore) -> None:
    assert not store.has_text("bob", b"t" * 16)
    store.add_received("bob", b"t" * 16, "hello", 1)
    assert store.has_text("bob", b"t" * 16)
    assert not store.has_text("carol", b"t" * 16)
    with pytest.raises(StoreError):
        store.add_received("bob", b"t" * 16, "hello", 1)


def test_what_was_committed_survives_a_crash_and_what_was_not_does_not(
    store: ClientStore, path: Path
) -> None:
    fill(store)
    store.set("last_round", 8)
    after_crash = copied(path)
    assert after_crash.get("last_round") == 7
    assert [text.text for text in after_crash.outbox("bob")] == ["meet me at noon"]
    after_crash.close()
    store.commit()
    after_commit = copied(path)
    assert after_commit.get("last_round") == 8
    after_commit.close()


def test_closing_commits_and_may_be_done_twice(path: Path) -> None:
    store = ClientStore(path, KEY)
    store.set("last_round", 9)
    store.close()
    store.close()
    again = ClientStore(path, KEY)
    assert again.get("last_round") == 9
    again.close()


def test_a_store_in_memory_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = ClientStore(":memory:", KEY)
    fill(store)
    assert store.get("last_round") == 7
    store.close()
    assert list(tmp_path.iterdir()) == []


# -- at rest -------------------------------------------------------------------------------------------


def test_neither_texts_nor_names_are_in_the_file(store: ClientStore, path: Path) -> None:
    fill(store)
    data = path.read_bytes()
    assert b"outbox" in data  # the tables' own names are there, so this is the right file
    for secret in SECRETS:
        assert secret.encode() not in data
        assert secret.encode("utf-16-le") not in data
        assert secret.encode().hex().encode() not in data


def test_the_file_is_for_its_owner_only(store: ClientStore, path: Path) -> None:
    fill(store)
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0


def test_what_was_erased_is_not_in_the_file_any_more(store: ClientStore, path: Path) -> None:
    for later in (lambda: store.set("sync:bob", {}), lambda: store.remove("sync:bob")):
        store.set("sync:bob", {"current": "old key" * 10})
        store.commit()
        row = sealed_values(path)[-1]
        assert row in path.read_bytes()
        later()
        store.commit()
        assert row[-32:] not in path.read_bytes()


def sealed_values(path: Path) -> list[bytes]:
    copy = path.with_name("peek")
    shutil.copy(path, copy)
    database = sqlite3.connect(copy)
    rows = [bytes(row[0]) for row in database.execute("SELECT sealed FROM value ORDER BY rowid")]
    database.close()
    return rows


def test_what_was_erased_is_not_in_the_journal_either(store: ClientStore, path: Path) -> None:
    """Fixed: an exclusive lock keeps the journal, and with it what the last commit had erased."""
    store.set("prekeys", "a key" * 1000)
    store.commit()
    sealed = sealed_value(store, "prekeys")
    assert sealed[:64] in everything_near(path)
    store.set("prekeys", "another")
    store.commit()
    assert not any(sealed[place : place + 32] in everything_near(path) for place in range(0, 4000, 32))


def sealed_value(store: ClientStore, name: str) -> bytes:
    row = store._db.execute("SELECT sealed FROM value WHERE name = ?", (store._row_name(name),)).fetchone()
    return bytes(row[0])


def everything_near(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_a_value_moved_to_another_place_does_not_open(path: Path) -> None:
    store = ClientStore(path, KEY)
    fill(store)
    store.close()
    database = sqlite3.connect(path)
    rows = database.execute("SELECT name, sealed FROM value").fetchall()
    for (name, _), (_, sealed) in zip(rows, rows[1:] + rows[:1], strict=True):
        database.execute("UPDATE value SET sealed = ? WHERE name = ?", (sealed, name))
    database.commit()
    database.close()
    with pytest.raises(StoreError, match="damaged or another account's"):
        ClientStore(path, KEY)


# -- damage --------------------------------------------------------------------------------------------


def damage(path: Path) -> bytes:
    path.write_bytes(b"this is not a database " * 300)
    return path.read_bytes()


def test_a_damaged_file_is_refused_by_name(store: ClientStore, path: Path) -> None:
    store.close()
    damage(path)
    with pytest.raises(StoreError, match="damaged"):
        ClientStore(path, KEY)


def test_a_damaged_file_is_set_aside_and_never_overwritten(store: ClientStore, path: Path) -> None:
    store.close()
    asides = []
    for _ in range(2):
        data = damage(path)
        fresh, aside = open_store(path, KEY)
        assert aside is not None
        assert aside.read_bytes() == data
        assert fresh.get("last_round") is None
        fresh.set("last_round", 1)
        fresh.close()
        asides.append(aside)
    assert asides[0] != asides[1]
    again, aside = open_store(path, KEY)
    assert aside is None
    assert again.get("last_round") == 1
    again.close()


def test_a_damaged_page_is_a_store_error_and_not_a_crash(store: ClientStore, path: Path) -> None:
    for place in range(200):
        store.set(f"value {place}", "x" * 500)
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with pytest.raises(StoreError):
        ClientStore(path, KEY).get("value 7")


def test_another_key_does_not_open_the_file_and_open_store_sets_it_aside(
    store: ClientStore, path: Path
) -> None:
    fill(store)
    store.close()
    with pytest.raises(StoreError, match="damaged or another account's"):
        ClientStore(path, OTHER_KEY)
    fresh, aside = open_store(path, OTHER_KEY)
    fresh.close()
    assert aside is not None
    kept = ClientStore(aside, KEY)
    assert kept.get("last_round") == 7
    kept.close()


def test_a_file_in_use_is_refused_and_not_set_aside(store: ClientStore, path: Path) -> None:
    fill(store)
    with pytest.raises(StoreError, match="in use by another window"):
        open_store(path, KEY)
    assert [item for item in path.parent.iterdir() if "damaged" in item.name] == []
    assert store.get("last_round") == 7
    store.close()
    again, aside = open_store(path, KEY)
    assert (again.get("last_round"), aside) == (7, None)
    again.close()


def test_a_folder_that_cannot_be_used_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "alice.store", tmp_path):
        with pytest.raises(StoreError, match="check its folder"):
            open_store(path, KEY)
    assert (tmp_path / "file").read_text() == "in the way"


def keep_much(store: ClientStore) -> None:
    for place in range(100):
        store.set(f"value {place}", "x" * 4000)
        store.commit()


def test_a_full_disk_is_a_store_error_and_what_was_committed_stays(store: ClientStore, path: Path) -> None:
    fill(store)
    store._db.execute("PRAGMA max_page_count = 10")
    with pytest.raises(StoreError, match="disk"):
        keep_much(store)
    after_crash = copied(path)
    assert after_crash.get("last_round") == 7
    after_crash.close()


# -- pins ----------------------------------------------------------------------------------------------


def test_a_pin_is_kept_for_its_own_address(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "servers.sqlite"
    assert Pins(file).get("host", 1) is None
    Pins(file).set("host", 1, b"a" * 32)
    Pins(file).set("host", 2, b"b" * 32)
    assert Pins(file).get("host", 1) == b"a" * 32
    assert Pins(file).get("host", 2) == b"b" * 32
    assert Pins(file).get("other", 1) is None
    Pins(file).set("host", 1, b"c" * 32)
    assert Pins(file).get("host", 1) == b"c" * 32
    assert [item.name for item in file.parent.iterdir()] == ["servers.sqlite"]


@pytest.mark.parametrize(
    "content", [b"{", b"7", b"not a database " * 100, b"SQLite format 3\0" + b"\xff" * 200]
)
def test_a_damaged_file_of_pins_is_refused_and_not_overwritten(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "servers.sqlite"
    file.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        Pins(file).get("host", 1)
    with pytest.raises(StoreError, match="damaged"):
        Pins(file).set("host", 1, bytes(32))
    assert file.read_bytes() == content


def test_a_pin_that_is_no_hash_is_not_taken_for_one(tmp_path: Path) -> None:
    file = tmp_path / "servers.sqlite"
    Pins(file).set("host", 1, b"too short")
    with pytest.raises(StoreError, match="damaged"):
        Pins(file).get("host", 1)


def test_programs_that_start_together_all_keep_their_pins(tmp_path: Path) -> None:
    file = tmp_path / "servers.sqlite"
    together = threading.Barrier(8)

    def pin(port: int) -> None:
        together.wait()
        Pins(file).set("host", port, bytes([port]) * 32)

    threads = [threading.Thread(target=pin, args=(port,)) for port in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Pins(file).get("host", port) for port in range(8)] == [bytes([port]) * 32 for port in range(8)]
