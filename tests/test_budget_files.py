"""Files that end, long texts and what disappears: each round does a bounded share of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from iirs.client.chat_session import FILE_MAX
from iirs.client.events import TransferChanged
from iirs.client.messenger.budget import ROUND_STEPS
from iirs.client.messenger.notes import FileOffer, FileStop
from iirs.client.store.history import ENTRIES_AT_ONCE, STEP_BYTES
from iirs.client.store.log_entry import EntryKind, FileInfo, LogEntry, TransferState
from iirs.client.store.store import ClientStore
from iirs.message import PAYLOAD_MAX
from tests.victim import (
    NOW,
    Victim,
    founding,
    offer,
    pieces,
    text,
)


def checked(victim: Victim) -> list[TransferState]:
    events = [event for event in victim.engine.take_events() if isinstance(event, TransferChanged)]
    return [event.state for event in events if event.state is not TransferState.MOVING]


def test_files_that_are_whole_at_once_are_checked_one_a_round() -> None:
    victim, data = Victim(), os.urandom(FILE_MAX)
    for number in range(3):
        file_id = number.to_bytes(16)
        victim.bring("mallory", offer(file_id, data))
        victim.work()
        for item in pieces(file_id, data)[:-1]:
            victim.messenger.files.arrived("mallory", item)
    victim.work()
    victim.engine.take_events()
    victim.bring("mallory", *(pieces(number.to_bytes(16), data)[-1] for number in range(3)))
    for _ in range(3):
        victim.work()
        assert checked(victim) == [TransferState.DONE]
    assert victim.messenger.read_file((2).to_bytes(16)) == data


def test_what_is_here_whole_and_not_checked_yet_counts_as_over() -> None:
    """As if it were checked at once: it cannot be stopped, and the next file is not refused because of it."""
    victim = Victim()
    files = victim.messenger.files
    for number in range(16):
        victim.bring("mallory", offer(number.to_bytes(16), b"data"))
    victim.settle()
    victim.engine.take_events()
    files.arrived("mallory", pieces(bytes(16), b"data")[0])
    victim.stop()
    files = victim.messenger.files
    for number in range(1):
        files.arrived("mallory", pieces(number.to_bytes(16), b"data")[0])
    files.stopped("mallory", FileStop(bytes(16)))
    files.offered("mallory", FileOffer(FileInfo(b"n" * 16, "b", 4, sha256(b"more").digest())), NOW, 0)
    victim.settle()
    assert checked(victim) == [TransferState.DONE]
    assert files.transfer(b"n" * 16) is not None


def test_a_hundred_files_that_end_at_once_are_erased_over_rounds_and_their_ids_are_not_taken_meanwhile() -> (
    None
):
    """Fixed: 100 files of 1 MiB were deleted in one round, which took seconds."""
    victim, data = Victim(), bytes(100 * PAYLOAD_MAX)
    history = victim.store.history
    for number in range(100):
        info = FileInfo(number.to_bytes(16), "a", len(data), bytes(32))
        history.add_file(info.file_id, info.size)
        for item in pieces(info.file_id, data):
            history.write_piece(info.file_id, item.part, item.data)
        history.add_entry(
            LogEntry("bob", info.file_id, EntryKind.FILE, False, "bob", "a", NOW, None, 1, info)
        )
    left = 100 * 100
    while left:
        before = left
        victim.work()
        left = history._file.execute("SELECT count(*) FROM piece").fetchone()[0]
        assert 0 < before - left <= ROUND_STEPS * 64
    assert victim.texts("bob") == []

    history.add_file(b"f" * 16, len(data))
    history.write_piece(b"f" * 16, 0, bytes(PAYLOAD_MAX))
    history.remove_file(b"f" * 16)
    victim.messenger.files.offered("carol", FileOffer(FileInfo(b"f" * 16, "b", 900, bytes(32))), NOW, 0)
    assert victim.messenger.files.transfer(b"f" * 16) is None
    victim.settle()
    victim.messenger.files.offered("carol", FileOffer(FileInfo(b"f" * 16, "b", 900, bytes(32))), NOW, 0)
    assert victim.messenger.files.transfer(b"f" * 16) is not None


@pytest.mark.parametrize("how", ["expire", "clear"])
def test_long_texts_are_deleted_by_their_bytes_and_short_ones_by_their_number(how: str) -> None:
    """Fixed: 100 texts of 64 KiB went in one step, and held up an upload by 400 ms."""
    victim = Victim()

    def count() -> int:
        return int(victim.store._file.execute("SELECT count(*) FROM entry").fetchone()[0])

    def step() -> int:
        before = count()
        if how == "expire":
            victim.messenger.expire()
        else:
            victim.messenger.clear("bob")
        return before - count()

    for size, most in ((STEP_BYTES, 1), (STEP_BYTES // 4, 4), (10, ENTRIES_AT_ONCE)):
        for number in range(20):
            item_id = os.urandom(16)
            entry = LogEntry(
                "bob", item_id, EntryKind.TEXT, False, "bob", "x" * size, number, expires_at_ms=1
            )
            victim.store.history.add_entry(entry)
        gone = [step() for _ in range(20 // most)]
        assert set(gone) == {most}
        step()
    assert count() == 0


def test_what_is_still_to_be_erased_is_erased_when_the_store_is_closed(tmp_path: Any) -> None:
    store = ClientStore(tmp_path / "a.store", bytes(32))
    for number in range(300):
        store.history.write_piece(b"f" * 16, number, bytes(PAYLOAD_MAX))
    store.history.remove_file(b"f" * 16)
    store.close()
    again = ClientStore(tmp_path / "a.store", bytes(32))
    assert again._file.execute("SELECT count(*) FROM piece").fetchone() == (0,)
    again.close()


def test_a_page_and_a_step_of_a_search_are_short_when_texts_are_long() -> None:
    """Fixed: a page was 500 entries, whatever their length, and a search was one question of all there is."""
    victim = Victim()
    for number in range(100):
        words = f"{number} ".ljust(65_536, "x")
        victim.store.history.add_entry(
            LogEntry("bob", number.to_bytes(16), EntryKind.TEXT, False, "bob", words, number)
        )
    with victim.moved() as counts:
        page = victim.messenger.history("bob")
    assert counts["bytes"] < 2 * 1024 * 1024
    assert [entry.sent_at_ms for entry in page] == list(range(84, 100))
    assert victim.messenger.has_older("bob", page[0])
    found, place, steps = [], None, 0
    while steps == 0 or place is not None:
        with victim.moved() as counts:
            more, place = victim.messenger.search("x", "bob", 100, place)
        assert len(more) <= 4
        assert counts["bytes"] < 1024 * 1024
        found += more
        steps += 1
    assert [entry.sent_at_ms for entry in found] == list(range(99, -1, -1))


def _instructions(store: ClientStore, work: Callable[[], object]) -> int:
    """How many hundreds of instructions of SQLite's machine something takes: no clock, and no luck."""
    count = 0

    def more() -> int:
        nonlocal count
        count += 1
        return 0

    store._file._db.set_progress_handler(more, 100)
    work()
    store._file._db.set_progress_handler(None, 100)
    return count


def test_the_newest_entries_and_one_item_more_cost_the_same_however_many_there_are() -> None:
    """Fixed: the newest entry of every talk was found by looking at all entries."""
    victim = Victim()

    def costs() -> dict[str, int]:
        bringing = {
            "last": victim.messenger.last_entries,
            "text": lambda: (victim.bring("bob", text()), victim.work()),
            "founding": lambda: (victim.bring("mallory", founding()[1]), victim.work()),
            "acknowledged": lambda: victim.store.dequeue("bob", b"x" * 16),
            "expire": victim.messenger.expire,
            "page": lambda: victim.messenger.history("bob", 1),
        }
        return {name: _instructions(victim.store, work) for name, work in bringing.items()}

    for peer in ("bob", "carol"):
        victim.bring(peer, text())
    victim.settle()
    before = costs()
    for number in range(1_000):
        peer = ("bob", "carol")[number % 2]
        victim.store.history.add_entry(
            LogEntry(peer, number.to_bytes(16), EntryKind.TEXT, False, peer, "x", number, expires_at_ms=2**40)
        )
        victim.store.queue(peer, text())
        victim.bring(peer, text())
        if number % 20 == 0:
            victim.bring("mallory", founding()[1])
    victim.settle()
    assert all(after <= before[name] + 2 for name, after in costs().items())
