"""Files of every earlier form, as the programs of their time wrote them, are opened by today's.

``tests/stores`` holds one of each, under ``KEY``: as it was, or as SQL of which the file is made anew.
A form that changes gets a new number, a file of the form before, and its lines here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2 as sqlcipher

from iirs.client.account.account import Account
from iirs.client.chat_session import ChatSession
from iirs.client.engine import Engine
from iirs.client.messenger.contacts import Contacts
from iirs.client.messenger.file_transfer import FileTransfer
from iirs.client.messenger.group_item import Group
from iirs.client.server_connection import ConnectionOptions
from iirs.client.store import formats, opening
from iirs.client.store.formats import FORMAT
from iirs.client.store.group_tables import Delivery
from iirs.client.store.log_entry import TextState, TransferState
from iirs.client.store.opening import PutAside, Reason, open_store
from iirs.client.store.pins import Pins
from iirs.client.store.preferences import Preferences
from iirs.client.store.store import ClientStore
from iirs.errors import StoreError
from tests.builders import make_chain, person

FOLDER = Path(__file__).parent / "stores"
KEY = bytes(range(32))
OTHER_KEY = bytes(32)
TODAY = f"form_{FORMAT}"
SQLCIPHER_FORMS = ["form_0_whole_files", "form_0_first_groups", "form_0", "form_1"]
WITH_GROUPS = SQLCIPHER_FORMS[1:]
WHOLE = (bytes(range(256)) * 4)[:800]
TALK = "#" + (b"g" * 16).hex()
HELD = "#" + (b"h" * 16).hex()


def keyed(path: Path) -> sqlcipher.Connection:
    database = sqlcipher.connect(str(path))
    database.execute(f"PRAGMA key = \"x'{KEY.hex()}'\"")
    return database


def kept(name: str, folder: Path) -> Path:
    """Return a copy of a kept file, as the account's."""
    path = folder / "alice.store"
    if (FOLDER / f"{name}.store").exists():
        shutil.copyfile(FOLDER / f"{name}.store", path)
        return path
    connect: Callable[[Path], sqlite3.Connection] = sqlite3.connect if name == "sealed_rows" else keyed
    with closing(connect(path)) as database:
        database.executescript((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
    return path


def opened(path: Path) -> ClientStore:
    store, aside = open_store(path, KEY, "alice")
    assert aside is None
    return store


def said(store: ClientStore, talk: str = "bob") -> list[tuple[str, str, TextState | None]]:
    return [(entry.author, entry.text, entry.state) for entry in store.history.page(talk)]


# -- SQLCipher's: all that was there is there --------------------------------------------------------------


@pytest.mark.parametrize("name", SQLCIPHER_FORMS)
def test_an_earlier_store_has_its_history_contacts_and_outbox(name: str, tmp_path: Path) -> None:
    path = kept(name, tmp_path)
    for _ in range(2):
        store = opened(path)
        assert said(store)[:3] == [
            ("alice", "Hello bob ☺", TextState.DELIVERED),
            ("bob", "bob here", None),
            ("alice", "Are you there?", TextState.QUEUED),
        ]
        assert [entry.expires_at_ms for entry in store.history.page("bob")][:3] == [0, 99000, 0]
        assert [item.text for item in store.outbox("bob")] == ["Are you there?"]
        assert not store.history.mark_seen("bob", b"s" * 16)
        assert Contacts(store).names() == ["bob"]
        assert store.get("contact:bob")["verified"] == "cd" * 32
        assert store.get("timer:bob") == 3600
        assert (store.get("last_round"), store.get("head")) == (41, [3, "ab" * 32])
        assert (store.get("conversations"), store.get("waiting")) == (["bob", "carol"], ["carol"])
        assert store.get("talked:bob") is True
        assert store.get("sync:bob")["leaving"] is False
        chat = ChatSession(
            bytes, lambda _: False, (), store.get("chat:bob"), fragments=store.incoming.fragments("bob")
        )
        assert chat.conversation == b"c" * 16
        assert sorted(store.incoming.fragments("bob")) == [0, 2]
        store.close()


@pytest.mark.parametrize("name", [*SQLCIPHER_FORMS, "sealed_rows"])
def test_an_engine_begins_with_an_earlier_store(name: str, tmp_path: Path) -> None:
    """Fixed: of some it could not read a value, and no login got any further."""
    store, _ = open_store(kept(name, tmp_path), KEY, "alice")
    account = Account("alice", make_chain().chain, person("alice"), bytes(32))
    engine = Engine(account, store, ConnectionOptions().environment)
    assert {entry.talk for entry in engine.messenger.last_entries()} >= {"bob"}
    store.close()


@pytest.mark.parametrize("name", SQLCIPHER_FORMS)
def test_an_earlier_stores_files_are_whole_or_go_on_where_they_stood(name: str, tmp_path: Path) -> None:
    """Fixed: files kept in one piece could not be read, and no login got past the looking up of their way."""
    store = opened(kept(name, tmp_path))
    files = [entry.file for entry in store.history.page("bob") if entry.file is not None]
    assert [file.name for file in files] == ["photo0.png", "photo1.png", "photo2.png"]
    assert {file.digest for file in files} == {hashlib.sha256(WHOLE).digest()}
    read = [store.history.read_file(file.file_id) for file in files]
    assert read[0] == read[2] == WHOLE
    assert 0 < len(read[1]) < len(WHOLE)
    assert read[1] == WHOLE[: len(read[1])]
    assert store.history.read_piece(files[0].file_id, 1) == WHOLE[len(read[1]) :]
    moving = [FileTransfer.from_state(state) for state in store.values("file:").values()]
    assert [(item.peer, item.outgoing, item.done, item.state) for item in moving] == [
        ("bob", True, 1, TransferState.MOVING),
        ("bob", False, 1, TransferState.MOVING),
    ]
    assert moving[0].announced
    assert sorted(store.values("file:")) == [f"file:{file.file_id.hex()}" for file in files[:2]]
    over = FileTransfer.from_state(store.get(f"file over:{files[2].file_id.hex()}"))
    assert over.state is TransferState.DONE
    store.history.write_piece(files[1].file_id, 1, b"the next")
    store.close()


@pytest.mark.parametrize("name", WITH_GROUPS)
def test_an_earlier_stores_groups_are_there_with_what_is_on_its_way(name: str, tmp_path: Path) -> None:
    store = opened(kept(name, tmp_path))
    group = Group.from_state(store.get(f"group:{TALK[1:]}"))
    assert (group.name, group.members, group.joined) == ("friends", (0, 1, 2), frozenset({0, 1}))
    assert said(store, TALK) == [("alice", "Hello all", TextState.QUEUED)]
    assert store.groups.way(b"n" * 16) == Delivery(TALK, b"i" * 16, "carol")
    assert [item.item_id for item in store.outbox("carol")] == [b"n" * 16]
    assert store.groups.held(HELD) == (1, len("others"))
    if name != "form_0_first_groups":  # which kept nothing of what had been said for those who join later
        assert [text for _, text in store.groups.recent(TALK, 100)] == ["Hello all"]
    store.close()


def test_todays_store_has_what_waits_and_what_is_being_erased(tmp_path: Path) -> None:
    store = opened(kept(TODAY, tmp_path))
    waiting = store.incoming.take()
    assert waiting is not None
    assert (waiting[0], waiting[1].text) == ("carol", "I wait")
    assert store.history.is_erasing(b"e" * 16)
    assert store.get("timer asked:carol") == ["carol", 60]
    store.close()


def schema(path: Path) -> set[str]:
    with closing(keyed(path)) as database:
        rows = database.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        return {" ".join(sql.split()) for (sql,) in rows}


def test_tables_do_not_change_without_a_new_number(tmp_path: Path) -> None:
    """If this fails: raise ``FORMAT``, convert the form before, keep a file of the new one."""
    ClientStore(tmp_path / "new.store", KEY).close()
    before = kept(TODAY, tmp_path)
    assert schema(tmp_path / "new.store") == schema(before)
    with closing(keyed(before)) as database:
        database.execute("ALTER TABLE held ADD COLUMN more TEXT")
    assert schema(tmp_path / "new.store") != schema(before)


@pytest.mark.parametrize("name", SQLCIPHER_FORMS[:-1])
def test_an_earlier_store_becomes_one_of_todays_tables(name: str, tmp_path: Path) -> None:
    ClientStore(tmp_path / "new.store", KEY).close()
    path = kept(name, tmp_path)
    opened(path).close()
    assert schema(path) == schema(tmp_path / "new.store")


def test_a_conversion_that_is_cut_short_changes_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept("form_0_whole_files", tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(formats, "_pieces_here", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            ClientStore(path, KEY)
    with closing(keyed(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (0,)
        names = {name for (name,) in database.execute("SELECT name FROM value")}
        assert any(name.startswith("file:bob:") for name in names)
    store = opened(path)
    assert store.history.read_file(b"f2" * 8) == WHOLE
    store.close()


def test_a_newer_store_is_refused_and_no_byte_of_it_changes(tmp_path: Path) -> None:
    """Fixed: today's tables were made in it before its number was looked at."""
    path = tmp_path / "alice.store"
    with closing(keyed(path)) as database:
        database.executescript(
            f"CREATE TABLE value (name TEXT, of_another_kind TEXT NOT NULL, value TEXT NOT NULL);"
            f"PRAGMA user_version = {FORMAT + 1}"
        )
    before = path.read_bytes()
    with pytest.raises(StoreError, match="newer iirs"):
        open_store(path, KEY, "alice")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# -- before SQLCipher ------------------------------------------------------------------------------------


def kept_names(folder: Path) -> list[str]:
    return sorted(path.suffix.split("-")[0] for path in folder.iterdir() if path.stat().st_size)


def test_a_store_of_sealed_rows_is_brought_over_and_kept(tmp_path: Path) -> None:
    """Fixed: it was called damaged, and its history was not read."""
    path = kept("sealed_rows", tmp_path)
    before = path.read_bytes()
    store, aside = open_store(path, KEY, "alice")
    assert aside is not None
    assert aside == PutAside(aside.path, Reason.EARLIER, undelivered=1, left_out=2)
    assert aside.path.read_bytes() == before
    assert kept_names(tmp_path) == [".earlier", ".store"]
    assert said(store) == [
        ("alice", "Hello bob ☺", TextState.DELIVERED),
        ("bob", "bob here", None),
        ("alice", "Are you there?", TextState.FAILED),
    ]
    assert [text for _, text, _ in said(store, "carol")] == ["Hello carol ☺", "carol here"]
    assert set(store.history.last_entries()) == {"bob", "carol"}
    assert (store.get("last_round"), store.get("head")) == (41, [3, "ab" * 32])
    assert not store.has_outbox("bob")
    entry = store.history.page("bob")[1]
    assert not store.history.mark_seen("bob", entry.item_id)
    store.close()
    store = opened(path)  # it is told once
    assert len(said(store)) == 3
    store.close()


@pytest.mark.parametrize("moved", [0, 1])
def test_bringing_over_that_is_cut_short_loses_nothing(
    moved: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept("sealed_rows", tmp_path)
    moves = [opening._move] * moved

    def move(source: Path, target: Path) -> None:
        if not moves:
            raise KeyboardInterrupt
        moves.pop()(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(opening, "_move", move)
        with pytest.raises(KeyboardInterrupt):
            open_store(path, KEY, "alice")
    assert path.exists() is not bool(moved)
    store, aside = open_store(path, KEY, "alice")
    assert aside is not None
    assert (aside.reason, aside.undelivered, aside.left_out) == (Reason.EARLIER, 1, 2)
    assert len(said(store)) == 3
    store.close()
    assert kept_names(tmp_path) == [".earlier", ".store"]
    assert aside.path.exists()


def test_a_full_disk_leaves_the_earlier_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept("sealed_rows", tmp_path)
    before = path.read_bytes()

    def refuse(_store: ClientStore) -> None:
        raise StoreError("full")

    with monkeypatch.context() as patch:
        patch.setattr(ClientStore, "commit", refuse)
        with pytest.raises(StoreError, match="full"):
            open_store(path, KEY, "alice")
    assert path.read_bytes() == before
    assert kept_names(tmp_path) == [".store"]


def test_a_store_of_sealed_rows_in_use_is_not_moved(tmp_path: Path) -> None:
    path = kept("sealed_rows", tmp_path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="in use"):
            open_store(path, KEY, "alice")
    assert kept_names(tmp_path) == [".store"]


def test_a_store_of_sealed_rows_under_other_keys_is_not_called_damaged(tmp_path: Path) -> None:
    path = kept("sealed_rows", tmp_path)
    before = path.read_bytes()
    store, aside = open_store(path, OTHER_KEY, "alice")
    store.close()
    assert aside is not None
    assert aside.reason is Reason.OTHER_KEYS
    assert aside.path.read_bytes() == before
    assert kept_names(tmp_path) == [".other", ".store"]


def test_rows_that_do_not_open_are_counted_and_the_others_brought_over(tmp_path: Path) -> None:
    path = kept("sealed_rows", tmp_path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE history SET sealed = zeroblob(40) WHERE place = 1")
        database.execute("UPDATE history SET text_id = 7, sealed = 'text' WHERE place = 2")
        database.execute("UPDATE value SET sealed = zeroblob(40) WHERE name = ?", (b"owner",))
    store, aside = open_store(path, KEY, "alice")
    assert aside is not None
    assert (aside.reason, aside.left_out) == (Reason.EARLIER, 4)
    assert said(store) == [("alice", "Are you there?", TextState.FAILED)]
    store.close()


@pytest.mark.parametrize("name", ["sealed_rows", "form_0"])
@pytest.mark.parametrize("harm", ["cut", "overwritten"])
def test_a_damaged_store_of_an_earlier_form_is_set_aside_and_not_lost(
    name: str, harm: str, tmp_path: Path
) -> None:
    path = kept(name, tmp_path)
    data = path.read_bytes()
    harmed = data[: len(data) // 3] if harm == "cut" else data[:100] + b"?" * (len(data) - 100)
    path.write_bytes(harmed)
    store, aside = open_store(path, KEY, "alice")
    assert said(store) == []
    store.close()
    assert aside is not None
    assert aside.reason is Reason.UNREADABLE
    assert aside.path.read_bytes() == harmed


def test_another_programs_database_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "alice.store"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE pin (address TEXT)")
    store, aside = open_store(path, KEY, "alice")
    store.close()
    assert aside is not None
    assert aside.reason is Reason.UNREADABLE


# -- beside the stores -----------------------------------------------------------------------------------


def test_what_was_pinned_in_the_earlier_file_still_is(tmp_path: Path) -> None:
    """Fixed: the address was taken on trust anew."""
    pinned = {"Host.example:12345": "ab" * 32, "[::1]:1": "cd" * 32}
    (tmp_path / "servers.json").write_text(json.dumps(pinned, indent=1))
    pins = Pins(tmp_path / "servers.sqlite")
    assert pins.get("host.example", 12345) == b"\xab" * 32
    assert pins.get("other.example", 12345) is None
    pins.set("host.example", 12345, bytes(32))
    assert pins.get("host.example", 12345) == bytes(32)
    assert pins.get("[::1]", 1) == b"\xcd" * 32


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"[" * 100_000, b'{"a:1": 7}', b'{"a:1": "ab"}', b'{"a:1": "xy"}']
)
def test_a_damaged_earlier_file_of_pins_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_bytes(data)
    with pytest.raises(StoreError, match=r"servers\.json"):
        Pins(tmp_path / "servers.sqlite").get("a", 1)


def test_the_first_programs_window_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "window.json").write_text('{"link": "iirs://host:1", "name": "alice"}')
    assert (Preferences.read(tmp_path).link, Preferences.read(tmp_path).name) == ("iirs://host:1", "alice")
