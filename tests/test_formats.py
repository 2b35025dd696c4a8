"""A store of an earlier form is brought into today's, with all that was in it, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iirs.client.chat_session import ChatSession
from iirs.client.store.formats import FORMAT
from iirs.client.store.group_tables import Delivery
from iirs.client.store.log_entry import EntryKind, ItemKind, LogEntry
from iirs.client.store.opening import open_store
from iirs.client.store.store import ClientStore
from iirs.errors import StoreError
from iirs.message import ContentKind, PeerMessage

KEY = bytes(32)
TALK = "#" + "ab" * 16
NOTE, ENTRY = b"n" * 16, b"e" * 16


def value(kind: str, number: int, words: str = "") -> dict[str, Any]:
    """An item of a group as it was kept."""
    return {"author": 1, "kind": kind, "id": number.to_bytes(16).hex(), "text": words}


OLD: dict[str, Any] = {
    "chat:bob": {
        "conversation": "cc" * 16,
        "out_base": 3,
        "expected": 2,
        "ahead": {"3": [NOTE.hex(), 3, 4, 7, b"d".hex(), 3]},
        "assembly": [[NOTE.hex(), 0, 4, 7, b"a".hex(), 3], b"ab".hex(), 2],
    },
    "chat:carol": {"conversation": "", "out_base": 0, "expected": 5, "ahead": {}, "assembly": None},
    f"group held:{TALK}": [
        [value("found", 0, "name"), "bob"],
        [value("text", 1, "äb"), "carol"],
        [value("join", 2), "bob"],
    ],
    f"group recent:{TALK}": [[ENTRY.hex(), value("text", 9)]],
    f"group way:{NOTE.hex()}": [TALK, ENTRY.hex(), "bob"],
    "timer:bob": 60,
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store as it was before there were tables for what comes piece by piece."""
    path = tmp_path / "a.store"
    store = ClientStore(path, KEY)
    for name, kept in OLD.items():
        store.set(name, kept)
    store.history.add_entry(LogEntry(TALK, ENTRY, EntryKind.TEXT, False, "bob", "said", 1))
    store._file.execute("PRAGMA user_version = 0")
    store.close()
    return path


def test_an_earlier_store_keeps_all_it_had_and_is_brought_over_once(old: Path) -> None:
    for _ in range(2):
        store, aside = open_store(old, KEY, "alice")
        assert aside is None
        assert store._file.execute("PRAGMA user_version").fetchone() == (FORMAT,)
        assert store.get("timer:bob") == 60
        assert store.values("group ") == {}
        assert store.groups.held(TALK) == (3, len("name") + len("äb".encode()))
        assert store.groups.foundings_by("bob") == 1
        assert store.groups.recent(TALK, 100) == [(value("text", 9), "said")]
        assert store.groups.way(NOTE) == Delivery(TALK, ENTRY, "bob")
        store.close()
    store = ClientStore(old, KEY)
    assert store.groups.take_held(TALK) == (value("found", 0, "name"), "bob", 88)
    store.close()


def test_half_of_a_note_that_came_before_is_made_whole_after(old: Path) -> None:
    store = ClientStore(old, KEY)
    state, fragments = store.get("chat:bob"), store.incoming.fragments("bob")
    chat = ChatSession(bytes, lambda _: False, (), state, fragments=fragments)
    assert chat.compose(1)[0].acknowledged == 2
    (item,) = chat.receive(
        PeerMessage(
            sequence=2,
            kind=ContentKind.NOTE,
            text_id=NOTE,
            fragment=2,
            fragments=4,
            sent_at_ms=7,
            payload=b"c",
        )
    )
    assert (item.item_id, item.kind, item.data, item.sent_at_ms) == (NOTE, ItemKind.NOTE, b"abcd", 7)
    assert store.get("chat:carol") == {"conversation": "", "out_base": 0, "expected": 5}
    store.close()


def test_what_no_program_wrote_is_left_out_and_the_rest_is_brought_over(tmp_path: Path) -> None:
    store = ClientStore(tmp_path / "a.store", KEY)
    for name, kept in {**OLD, "group way:odd": 3, f"group held:{TALK}": [[{}, 4]], "chat:bob": 7}.items():
        store.set(name, kept)
    store._file.execute("PRAGMA user_version = 0")
    store.close()
    store = ClientStore(tmp_path / "a.store", KEY)
    assert store.groups.held(TALK) == (0, 0)
    assert store.groups.way(NOTE) is not None
    store.close()


def test_a_later_programs_store_is_refused_and_not_set_aside(old: Path) -> None:
    store = ClientStore(old, KEY)
    store._file.execute(f"PRAGMA user_version = {FORMAT + 1}")
    store.close()
    kept = old.read_bytes()
    with pytest.raises(StoreError, match="newer iirs"):
        open_store(old, KEY, "alice")
    assert old.read_bytes() == kept
    assert sorted(path.name for path in old.parent.glob("*.damaged*")) == []
