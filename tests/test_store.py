"""What a client keeps on its machine: encrypted, durable, one window at a time."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from iirs.client.store import encrypted_file
from iirs.client.store.log_entry import EntryKind, FileInfo, Item, ItemKind, LogEntry, TextState
from iirs.client.store.opening import open_store
from iirs.client.store.pins import Pins
from iirs.client.store.store import ClientStore
from iirs.errors import StoreError

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
SECRETS = (
    "outbox",
    "holiday.png",
    "meet me at noon",
    "sync:bob",
    "bob",
    "carol",
    "last_round",
    "conversations",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "alice.store"


@pytest.fixture
def store(path: Path) -> Iterator[ClientStore]:
    opened = ClientStore(path, KEY)
    yield opened
    opened.close()


def text(talk: str, number: int, words: str = "meet me at noon", *, expires: int = 0) -> LogEntry:
    item_id = number.to_bytes(16)
    return LogEntry(talk, item_id, EntryKind.TEXT, number % 2 == 0, talk, words, number, None, expires)


def sent(number: int, words: str = "meet me at noon", part: int = 0) -> Item:
    return Item(number.to_bytes(16), ItemKind.TEXT, words.encode(), 1000 + number, part)


def picture(talk: str, file_id: bytes = b"f" * 16) -> LogEntry:
    file = FileInfo(file_id, "holiday.png", 5000, b"d" * 32)
    return LogEntry(talk, file_id, EntryKind.FILE, False, talk, file.name, 3, file=file)


def fill(store: ClientStore) -> None:
    store.set("last_round", 7)
    store.set("sync:bob", {"current": "meet me at noon"})
    store.set("conversations", ["bob", "carol"])
    store.queue("bob", sent(1))
    store.history.add_entry(text("bob", 1))
    store.history.add_entry(text("carol", 2, "meet me at noon, said carol"))
    store.history.add_entry(picture("carol"))
    store.history.add_file(b"f" * 16, 5000)
    for number in range(3):
        store.history.write_piece(b"f" * 16, number, b"meet me at noon" * 50)
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
    assert list(store.outbox("bob")) == [sent(1)]
    assert store.history.page("bob") == [text("bob", 1)]
    assert store.history.page("carol") == [text("carol", 2, "meet me at noon, said carol"), picture("carol")]
    assert store.history.read_file(b"f" * 16) == b"meet me at noon" * 150
    store.close()


def test_a_value_can_be_replaced_and_removed(store: ClientStore) -> None:
    store.set("last_round", 1)
    store.set("last_round", 2)
    assert store.get("last_round") == 2
    store.remove("last_round")
    store.remove("last_round")
    assert store.get("last_round") is None
    assert store.get("last_round", 5) == 5


def test_values_are_found_by_the_beginning_of_their_names(store: ClientStore) -> None:
    for name in ("timer", "timer:bob", "timer:%", "timers", "sync:bob"):
        store.set(name, name)
    assert store.values("timer:") == {"timer:%": "timer:%", "timer:bob": "timer:bob"}


def test_a_delivered_item_leaves_the_outbox_and_stays_in_the_history(store: ClientStore) -> None:
    items = [sent(1), sent(2), sent(2, part=1)]
    for item in items:
        store.queue("bob", item)
        store.history.add_entry(text("bob", item.sent_at_ms))
    assert list(store.outbox("bob")) == items
    store.dequeue("bob", items[1].item_id)
    store.dequeue("carol", items[0].item_id)
    assert list(store.outbox("bob")) == [items[0], items[2]]
    assert len(store.history.page("bob")) == 2
    assert list(store.outbox("carol")) == []
    with pytest.raises(StoreError):
        store.queue("bob", items[0])


def test_history_is_read_in_pieces_from_its_end(store: ClientStore) -> None:
    entries = [text("bob", number) for number in range(10)]
    for entry in entries:
        store.history.add_entry(entry)
        store.history.add_entry(text("carol", entry.sent_at_ms))
    assert store.history.page("bob", 4) == entries[6:]
    assert store.history.page("bob", 4, entries[6].item_id) == entries[2:6]
    assert store.history.page("bob", 4, entries[2].item_id) == entries[:2]
    assert store.history.page("bob", 4, b"x" * 16) == []
    assert store.history.last_entries() == {"bob": entries[9], "carol": text("carol", 9)}


def test_an_item_is_known_again_for_its_own_talk_only_even_when_deleted(store: ClientStore) -> None:
    entry = text("bob", 1)
    assert store.history.add_entry(entry)
    assert not store.history.add_entry(replace(entry, text="another"))
    assert not store.history.has_item("carol", entry.item_id)
    store.history.delete_entry("bob", entry.item_id)
    assert store.history.page("bob") == []
    assert store.history.has_item("bob", entry.item_id)
    assert not store.history.add_entry(entry)
    assert store.history.mark_seen("bob", b"n" * 16)
    assert not store.history.mark_seen("bob", b"n" * 16)


def test_words_are_found_whatever_their_case_and_are_never_a_query(store: ClientStore) -> None:
    words = ["Straße nach Süden", "100 % sure_thing", 'it\'s "quoted"', "nothing"]
    for number, sentence in enumerate(words):
        store.history.add_entry(text("bob" if number < 3 else "carol", number, sentence))
    for wanted, found in {
        "STRASSE": [0],
        "süden straße": [0],
        "%": [1],
        "e_t": [1],
        "'s": [2],
        '"': [2],
        "n": [3, 1, 0],
        "zebra": [],
        "": [],
        "straße nothing": [],
    }.items():
        assert [entry.sent_at_ms for entry in store.history.search(wanted)[0]] == found, wanted
    assert [entry.sent_at_ms for entry in store.history.search("n", "bob")[0]] == [1, 0]
    assert [entry.sent_at_ms for entry in store.history.search("n", limit=1)[0]] == [3]


def test_entries_disappear_when_their_time_is_over_and_take_their_file_along(store: ClientStore) -> None:
    store.history.add_entry(text("bob", 1, expires=500))
    store.history.add_entry(text("bob", 2, expires=501))
    store.history.add_entry(text("bob", 3))
    store.history.add_entry(replace(picture("bob"), expires_at_ms=400))
    store.history.add_file(b"f" * 16, 5000)
    store.history.add_entry(picture("carol", b"f" * 16))
    assert store.history.expire(399) == []
    gone = store.history.expire(500)
    assert {(talk, item_id) for talk, item_id, _ in gone} == {("bob", (1).to_bytes(16)), ("bob", b"f" * 16)}
    assert [entry.sent_at_ms for entry in store.history.page("bob")] == [2, 3]
    assert store.history.file_size(b"f" * 16) == 5000, "carol's entry holds it, too"
    store.history.delete_entry("carol", b"f" * 16)
    assert store.history.file_size(b"f" * 16) is None


def test_a_file_takes_room_as_its_pieces_come_and_each_comes_once(store: ClientStore, path: Path) -> None:
    before = path.stat().st_size
    store.history.add_file(b"f" * 16, 1_000_000)
    store.commit()
    assert path.stat().st_size < before + 50_000
    data = [os.urandom(772) for _ in range(20)]
    for number, piece in enumerate(data):
        store.history.write_piece(b"f" * 16, number, piece)
    assert store.history.read_file(b"f" * 16) == b"".join(data)
    assert store.history.read_piece(b"f" * 16, 7) == data[7]
    with pytest.raises(StoreError):
        store.history.write_piece(b"f" * 16, 7, b"again")
    with pytest.raises(StoreError):
        store.history.read_piece(b"f" * 16, 20)
    store.history.remove_file(b"f" * 16)
    assert (store.history.file_size(b"f" * 16), store.history.is_erasing(b"f" * 16)) == (None, True)
    while store.history.erase() is not None:
        pass
    assert (store.history.read_file(b"f" * 16), store.history.is_erasing(b"f" * 16)) == (b"", False)


def test_a_delivery_state_is_kept(store: ClientStore) -> None:
    store.history.add_entry(text("bob", 2))
    store.history.set_state("bob", (2).to_bytes(16), TextState.DELIVERED)
    store.history.set_state("bob", b"x" * 16, TextState.SENT)
    assert store.history.page("bob")[0].state is TextState.DELIVERED


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "delete", "seen", "clear", "expire"]),
            st.sampled_from(["bob", "carol"]),
            st.integers(0, 5),
        ),
        max_size=30,
    )
)
def test_entries_are_as_in_a_plain_dictionary(steps: list[tuple[str, str, int]]) -> None:
    store = ClientStore(":memory:", KEY)
    kept: dict[tuple[str, int], LogEntry] = {}
    seen: set[tuple[str, int]] = set()
    for step, talk, number in steps:
        key, entry = (talk, number), text(talk, number, expires=number)
        if step == "add":
            assert store.history.add_entry(entry) == (key not in seen)
            kept |= {} if key in seen else {key: entry}
            seen.add(key)
        elif step == "seen":
            assert store.history.mark_seen(talk, entry.item_id) == (key not in seen)
            seen.add(key)
        elif step == "delete":
            store.history.delete_entry(talk, entry.item_id)
            kept.pop(key, None)
        elif step == "clear":
            for held in store.history.page(talk):
                store.history.delete_entry(talk, held.item_id)
            kept = {key: value for key, value in kept.items() if key[0] != talk}
        else:
            gone = {key for key in kept if 0 < key[1] <= number}
            assert {(one, int.from_bytes(item)) for one, item, _ in store.history.expire(number)} == gone
            kept = {key: value for key, value in kept.items() if key not in gone}
        for name in ("bob", "carol"):
            assert store.history.page(name) == [value for (one, _), value in kept.items() if one == name]
    store.close()


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
    assert len(data) > 4096
    assert not data.startswith(b"SQLite")
    for secret in SECRETS:
        assert secret.encode() not in data
        assert secret.encode("utf-16-le") not in data
        assert secret.encode().hex().encode() not in data


def test_the_file_is_for_its_owner_only(store: ClientStore, path: Path) -> None:
    fill(store)
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0


def test_what_was_erased_is_overwritten_and_not_in_the_journal_either(store: ClientStore, path: Path) -> None:
    """Fixed: an exclusive lock keeps the journal, and with it what the last commit had erased."""
    store.set("prekeys", "a key" * 1000)
    store.commit()
    assert store._file._db.execute("PRAGMA secure_delete").fetchone() == (1,)
    store.set("prekeys", "another")
    store.commit()
    journal = path.with_name(path.name + "-journal")
    assert not journal.exists() or journal.read_bytes() == b""


def test_a_page_moved_to_another_place_does_not_open(path: Path) -> None:
    store = ClientStore(path, KEY)
    fill(store)
    store.close()
    data = path.read_bytes()
    pages = [data[start : start + 4096] for start in range(0, len(data), 4096)]
    pages[1], pages[2] = pages[2], pages[1]
    path.write_bytes(b"".join(pages))
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
        fresh, aside = open_store(path, KEY, "alice")
        assert aside is not None
        assert aside.path.read_bytes() == data
        assert fresh.get("last_round") is None
        fresh.set("last_round", 1)
        fresh.close()
        asides.append(aside)
    assert asides[0] != asides[1]
    again, aside = open_store(path, KEY, "alice")
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


def test_a_damaged_page_of_a_large_file_is_found_when_it_is_read_and_the_file_is_set_aside_at_the_next_start(
    store: ClientStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening a large file does not check all of it, which would take as long as it is large."""
    for place in range(600):
        store.set(f"value {place:03}", "x" * 500)
    store.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(4096))
    whole = path.read_bytes()
    monkeypatch.setattr(encrypted_file, "CHECKED_AT_ONCE", 0)
    for _ in range(2):  # whoever does not come by it is not told
        large = ClientStore(path, KEY)
        assert large.get("value 000") == "x" * 500
        large.close()
    large = ClientStore(path, KEY)
    with pytest.raises(StoreError, match="cannot be read"):
        large.values("value")
    large.close()
    fresh, aside = open_store(path, KEY, "alice")
    assert fresh.values("value") == {}
    fresh.close()
    assert aside is not None
    assert len(aside.path.read_bytes()) == len(whole)
    again, aside = open_store(path, KEY, "alice")  # it is not suspected any more
    again.close()
    assert aside is None


def test_another_key_does_not_open_the_file_and_open_store_sets_it_aside(
    store: ClientStore, path: Path
) -> None:
    fill(store)
    store.close()
    with pytest.raises(StoreError, match="damaged or another account's"):
        ClientStore(path, OTHER_KEY)
    fresh, aside = open_store(path, OTHER_KEY, "alice")
    fresh.close()
    assert aside is not None
    kept = ClientStore(aside.path, KEY)
    assert kept.get("last_round") == 7
    kept.close()


def test_a_file_in_use_is_refused_and_not_set_aside(store: ClientStore, path: Path) -> None:
    fill(store)
    with pytest.raises(StoreError, match="in use by another iirs"):
        open_store(path, KEY, "alice")
    assert [item for item in path.parent.iterdir() if "damaged" in item.name] == []
    assert store.get("last_round") == 7
    store.close()
    again, aside = open_store(path, KEY, "alice")
    assert (again.get("last_round"), aside) == (7, None)
    again.close()


def test_a_folder_that_cannot_be_used_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "alice.store", tmp_path):
        with pytest.raises(StoreError, match="check its folder"):
            open_store(path, KEY, "alice")
    assert (tmp_path / "file").read_text() == "in the way"


def keep_much(store: ClientStore) -> None:
    for place in range(100):
        store.set(f"value {place}", "x" * 4000)
        store.commit()


def test_a_full_disk_is_a_store_error_and_what_was_committed_stays(store: ClientStore, path: Path) -> None:
    fill(store)
    store._file._db.execute("PRAGMA max_page_count = 30")
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


def test_what_waited_is_what_the_file_has_after_all_was_taken_back(tmp_path: Path) -> None:
    """Fixed: an item that had come or gone with the changes taken back was still counted, or not any more."""
    store = ClientStore(tmp_path / "store", KEY)
    items = [Item(bytes([number]) * 16, ItemKind.TEXT, b"x", number) for number in range(3)]
    store.incoming.put("bob", items[0])
    store.commit()
    for take_back in (store.undo, store.pause):
        store.incoming.put("bob", items[1])
        store.incoming.put("carol", items[2])
        assert store.incoming.take() == ("bob", items[0])
        take_back()
    store.resume()
    assert [store.incoming.take(), store.incoming.take()] == [("bob", items[0]), None]
    store.close()
