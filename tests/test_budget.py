"""Very much at once: a round does a bounded share, nobody waits for another's flood, all is done in the end.

Counts and bytes are bounded here; how long it takes ``benchmarks/bursts.py`` measures.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iirs.client import sync
from iirs.client.account.account import Account, Environment
from iirs.client.chat_session import DELIVERED_AT_ONCE, FILE_MAX, WINDOW
from iirs.client.conversation_values import Gathered
from iirs.client.engine import Engine
from iirs.client.events import GroupState, TextReceived, TransferChanged
from iirs.client.messenger import budget
from iirs.client.messenger.budget import ROUND_STEPS, Budget, Work
from iirs.client.messenger.group_item import GroupItem, GroupItemKind
from iirs.client.messenger.notes import FileOffer, FileStop, GroupNote, TimerNote, encode_note
from iirs.client.store.group_tables import GroupTables
from iirs.client.store.history import ENTRIES_AT_ONCE, STEP_BYTES
from iirs.client.store.incoming import WAITING_MAX, Incoming
from iirs.client.store.log_entry import EntryKind, FileInfo, Item, ItemKind, LogEntry, TransferState
from iirs.client.store.store import ClientStore
from iirs.client.sync import MAX_GAP, DeadDropSync
from iirs.message import PAYLOAD_MAX, ContentKind, Direction, PeerMessage
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, RoundFlags
from tests.builders import make_chain, make_directory, person
from tests.effort import examples

NAMES = ("alice", "bob", "carol", "mallory")
KEYS = make_chain(slots=4)
DIRECTORY = make_directory(KEYS.chain, *NAMES)
BURST = WINDOW + 1
"""Fragments that end in one round if the first of them was held back."""
NOW = 1_000_000


class Victim:
    """Alice's engine, given what rounds bring without the rounds; her clock stands still."""

    def __init__(self, monotonic: Callable[[], float] = lambda: 0.0) -> None:
        self.store = ClientStore(":memory:", bytes(32))
        self._monotonic = monotonic
        self.open()

    def open(self) -> None:
        """Begin, or begin again with what was committed."""
        account = Account("alice", KEYS.chain, person("alice"), b"")
        environment = Environment(clock=lambda: NOW / 1000, monotonic=self._monotonic)
        self.engine = Engine(account, self.store, environment)
        self.engine.chain_view.directory.__dict__.update(DIRECTORY.__dict__)
        self.messenger = self.engine.messenger

    def stop(self) -> None:
        """Stop without warning: what was not committed is gone."""
        self.store.undo()
        self.store.incoming = Incoming(self.store._file)
        self.open()

    def bring(self, peer: str, *items: Item) -> None:
        """Have items of a contact's arrive whole."""
        conversation = self.engine.slots.conversation(peer)
        self.messenger.take_in(conversation, Gathered(True, False, items, ()))

    def work(self) -> None:
        """A round's work, as in ``Engine.close_round``."""
        self.messenger.work()
        self.engine.slots.save_all()

    def settle(self) -> int:
        """Let rounds go by until nothing waits; return how many it took."""
        rounds, before = 0, -1
        while before != self.store._file._db.total_changes:
            before = self.store._file._db.total_changes
            self.work()
            rounds += 1
            assert rounds < 500, "it never ends"
        return rounds - 1

    def waiting(self) -> Counter[str]:
        rows = self.store._file.execute("SELECT peer, count(*) FROM inbox GROUP BY peer")
        return Counter(dict(rows.fetchall()))

    def texts(self, talk: str) -> list[str]:
        return [entry.text for entry in self.messenger.history(talk, 10_000)]

    @contextmanager
    def moved(self) -> Iterator[Counter[str]]:
        """Count statements, and the bytes that go into them and come out of them."""
        counts: Counter[str] = Counter()
        execute = self.store._file.execute

        def counted(sql: str, values: Any = ()) -> Any:
            rows = execute(sql, values)
            fetchone = rows.fetchone

            def fetched() -> Any:
                row = fetchone()
                counts["bytes"] += _size(row or ())
                return row

            rows.fetchone = fetched  # type: ignore[method-assign]
            rows.fetchall = lambda: list(iter(fetched, None))  # type: ignore[method-assign]
            counts["statements"] += 1
            counts["bytes"] += _size(values.values() if isinstance(values, dict) else values)
            return rows

        self.store._file.execute = counted  # type: ignore[method-assign]
        yield counts
        del self.store._file.execute


def _size(values: Any) -> int:
    return sum(len(value) for value in values if isinstance(value, str | bytes))


def text(words: str = "hello") -> Item:
    return Item(os.urandom(16), ItemKind.TEXT, words.encode(), NOW)


def note(value: FileOffer | FileStop | TimerNote | GroupNote) -> Item:
    return Item(os.urandom(16), ItemKind.NOTE, encode_note(value), NOW)


def group_note(author: str, kind: GroupItemKind, group: bytes = b"", words: str = "", **other: Any) -> Item:
    """An item of a group, in the note it comes in."""
    made = GroupItem(group, kind, NAMES.index(author), os.urandom(16), NOW, words, **other)
    made = made.founding(KEYS.chain.chain_id) if kind is GroupItemKind.FOUND else made
    return note(GroupNote(made.signed_by(person(author), KEYS.chain.chain_id).to_value()))


def founding(author: str = "mallory", members: tuple[int, ...] = (0, 1, 2, 3)) -> tuple[bytes, Item]:
    found = group_note(author, GroupItemKind.FOUND, words="group", members=members)
    return bytes.fromhex(found.data.decode().partition('"group":"')[2][:32]), found


def pieces(file_id: bytes, data: bytes) -> list[Item]:
    count = -(-len(data) // PAYLOAD_MAX)
    return [
        Item(file_id, ItemKind.PART, data[n * PAYLOAD_MAX :][:PAYLOAD_MAX], NOW, n, count)
        for n in range(count)
    ]


def offer(file_id: bytes, data: bytes, *, size: int = 0) -> Item:
    return note(FileOffer(FileInfo(file_id, "a.txt", size or len(data), sha256(data).digest())))


# -- a round's share --------------------------------------------------------------------------------------


def test_a_burst_is_taken_in_over_rounds_and_a_text_of_somebody_else_does_not_wait_for_it() -> None:
    victim = Victim()
    victim.bring("mallory", *(text(f"{n}") for n in range(WINDOW)))
    victim.bring("carol", *(text(f"{n}") for n in range(WINDOW)))
    victim.bring("bob", text("from bob"))
    with victim.moved() as counts:
        victim.work()
    assert victim.texts("bob") == ["from bob"]
    assert victim.waiting() == Counter(mallory=32, carol=33)
    assert counts["statements"] < 12 * ROUND_STEPS
    assert victim.settle() == 2
    for name in ("mallory", "carol"):
        assert victim.texts(name) == [f"{n}" for n in range(WINDOW)]


def test_a_round_stops_at_its_bytes_and_at_its_time_and_always_does_one_step() -> None:
    victim = Victim()
    for name in NAMES[1:]:
        victim.bring(name, *(text("x" * 65_536) for _ in range(8)))
    victim.work()
    assert sum(victim.waiting().values()) == 24 - 8

    done: list[int] = []
    times = iter(range(100))
    Work(lambda: done.append(1) or 1).do(Budget(lambda: float(next(times))))  # type: ignore[func-returns-value]
    assert done == [1]


def test_what_honest_contacts_send_is_taken_in_however_busy_the_machine_is() -> None:
    """Or it would pile up: the time that a round may take is over before one step is."""
    times = iter(range(1_000_000))
    victim = Victim(lambda: float(next(times)))
    for number in range(50):
        for name in NAMES[1:]:
            victim.bring(name, text(f"{number}"), text(f"{number}"))
        victim.work()
        assert victim.waiting() == Counter()
    for name in NAMES[1:]:
        victim.bring(name, text("x" * 65_536))
    victim.work()
    assert sum(victim.waiting().values()) == 2


def test_kinds_of_work_take_turns_and_one_that_never_ends_keeps_none_waiting() -> None:
    done: list[str] = []

    def endless() -> int:
        done.append("endless")
        return 1

    few = iter(["few"] * 3)
    work = Work(endless, lambda: None, lambda: len(next(few, "")) or None)
    assert work.do(Budget(lambda: 0.0))
    assert len(done) == ROUND_STEPS - 3
    assert next(few, None) is None


def test_what_one_item_costs_does_not_grow_with_what_waits() -> None:
    """Fixed: 64 foundings read and wrote all that was held for every group; uploads were lost."""
    victim = Victim()
    groups = []
    for _ in range(5):
        group, found = founding()
        groups.append(group)
        victim.bring("mallory", found)
        for _ in range(4):
            victim.bring("mallory", group_note("mallory", GroupItemKind.TEXT, group, "\x01" * 20_000))
    victim.settle()
    for many in (
        [founding()[1] for _ in range(WINDOW)],
        [group_note("mallory", GroupItemKind.TEXT, groups[0], "a") for _ in range(WINDOW)],
    ):
        sent = sum(len(item.data) for item in many)
        with victim.moved() as counts:
            victim.bring("mallory", *many)
            victim.settle()
        assert counts["bytes"] < 8 * sent
        assert counts["statements"] < 20 * len(many)


def test_what_is_kept_of_one_fragment_does_not_grow_with_those_that_wait() -> None:
    """Fixed: each fragment had all those of its conversation written anew, up to 360 KB a contact."""
    victim = Victim()
    chat = victim.engine.slots.conversation("mallory").chat
    chat.begin(b"c" * 16)

    def fragment(number: int) -> PeerMessage:
        payload = bytes(PAYLOAD_MAX)
        return PeerMessage(
            sequence=number,
            kind=ContentKind.NOTE,
            text_id=b"n" * 16,
            fragment=number,
            fragments=169,
            payload=payload,
        )

    for number in [*range(99), *range(101, 160)]:
        chat.receive(fragment(number))
    victim.work()
    with victim.moved() as counts:
        for number in (160, 161):
            chat.receive(fragment(number))
        victim.work()
    assert counts["bytes"] < 4 * PAYLOAD_MAX
    victim.stop()
    again = victim.engine.slots.conversation("mallory").chat
    assert again.fragments() == chat.fragments()
    for number in (99, 100, *range(162, 168)):
        assert again.receive(fragment(number)) == []
    (item,) = again.receive(fragment(168))
    assert len(item.data) == 169 * PAYLOAD_MAX


def test_a_person_of_whom_very_much_waits_is_not_believed_to_have_said_more() -> None:
    victim = Victim()
    chat = victim.engine.slots.conversation("mallory").chat
    victim.bring("mallory", *(text() for _ in range(WAITING_MAX)))
    one = PeerMessage(sequence=0, kind=ContentKind.TEXT, text_id=b"t" * 16, fragments=1, payload=b"more")
    assert chat.receive(one) == []
    assert chat.compose(1)[0].acknowledged == 0
    victim.work()
    assert [item.data for item in chat.receive(one)] == [b"more"]


def test_what_is_acknowledged_at_once_is_told_a_few_items_a_round() -> None:
    victim = Victim()
    for number in range(BURST):
        victim.messenger.send("bob", f"{number}")
    chat = victim.engine.slots.conversation("bob").chat
    for number in range(0, 2 * BURST, 2):
        chat.compose(number)
    chat.receive(PeerMessage(acknowledged=BURST))
    told = []
    while done := chat.take_delivered():
        assert len(done) <= DELIVERED_AT_ONCE
        told += done
    assert [item.text for item in told] == [f"{number}" for number in range(BURST)]
    assert chat.outbox == []


def test_sending_looks_at_no_more_than_a_window_however_much_waits() -> None:
    """Fixed: every round looked at all that waited; members of a group can have us pass very much on."""
    victim = Victim()
    chat = victim.engine.slots.conversation("bob").chat
    for number in range(3_000):
        chat.send(f"{number}", NOW)
    looked: list[int] = []
    spans = chat._spans
    chat._spans = _Watched(spans, looked)  # type: ignore[assignment]
    assert [message.payload for message in chat.compose(1)] == [b"0", b"1"]
    assert [item.text for item in chat.take_sent()] == ["0", "1"]
    assert len(looked) < 200


class _Watched(list[Any]):
    """A list that counts how often it is looked at."""

    def __init__(self, items: list[Any], looked: list[int]) -> None:
        super().__init__(items)
        self._looked = looked

    def __getitem__(self, index: Any) -> Any:
        self._looked.append(1)
        return super().__getitem__(index)

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            self._looked.append(1)
            yield item

    def __reversed__(self) -> Iterator[Any]:
        for item in super().__reversed__():
            self._looked.append(1)
            yield item


# -- groups ---------------------------------------------------------------------------------------------


def test_what_was_kept_for_a_group_is_taken_in_over_rounds_and_what_comes_meanwhile_behind_it() -> None:
    """Fixed: joining took in 500 items at once, and an upload was late."""
    victim = Victim()
    group, found = founding()
    victim.bring("mallory", found)
    victim.bring("mallory", *(group_note("mallory", GroupItemKind.TEXT, group, f"{n}") for n in range(200)))
    victim.settle()
    key = "#" + group.hex()
    victim.messenger.join_group(key)
    assert victim.texts(key) == []
    victim.work()
    assert 0 < len(victim.texts(key)) <= ROUND_STEPS
    victim.stop()  # and goes on where it was
    victim.bring("mallory", *(group_note("mallory", GroupItemKind.TEXT, group, f"{n}") for n in (200, 201)))
    victim.work()
    assert len(victim.texts(key)) <= 2 * ROUND_STEPS
    victim.settle()
    assert victim.texts(key) == [f"{n}" for n in range(202)]


def test_what_we_pass_on_counts_as_work_of_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    victim = Victim()
    key = victim.messenger.create_group("group", ("bob", "carol", "mallory"))
    group, words = bytes.fromhex(key[1:]), "x" * 50_000
    for peer in NAMES[1:]:
        victim.bring(peer, *(group_note(peer, GroupItemKind.TEXT, group, words) for _ in range(3)))
    victim.work()  # each is 50 kB, and goes on to two others
    assert sum(victim.waiting().values()) == 9 - 4

    again = Victim()
    group, found = founding()
    again.bring("mallory", found)
    again.bring("mallory", *(group_note("carol", GroupItemKind.TEXT, group, words) for _ in range(5)))
    again.settle()
    again.messenger.join_group("#" + group.hex())
    monkeypatch.setattr(budget, "ROUND_BYTES", 200_000)
    again.work()
    assert len(again.texts("#" + group.hex())) == 2


def test_somebody_who_leaves_while_very_much_is_on_its_way_to_them_costs_a_little_a_round() -> None:
    """Fixed: each of our texts that had not arrived had all of them read again."""
    victim = Victim()
    key = victim.messenger.create_group("group", ("bob", "carol"))
    for number in range(300):
        victim.messenger.send(key, f"{number}")
    for peer in ("bob", "carol"):
        leaving = group_note(peer, GroupItemKind.LEAVE, bytes.fromhex(key[1:]))
        with victim.moved() as counts:
            victim.bring(peer, leaving)
            victim.work()
        assert counts["statements"] < 64 * ROUND_STEPS
        assert counts["bytes"] < 1024 * 1024
    victim.settle()
    assert victim.store._file.execute("SELECT count(*) FROM way").fetchone() == (0,)


# -- files, and what disappears -----------------------------------------------------------------------------


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


# -- waking ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missed", [MAX_GAP, 4_000, 2**30])
def test_waking_steps_few_keys_whatever_was_missed_and_most_of_them_when_the_round_is_announced(
    missed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed: 16 slots that were 4,096 rounds back stepped 130,000 keys just before an upload was due."""
    victim = Victim()
    steps: list[bytes] = []
    derive = sync._derive

    def counted(key: bytes, label: bytes, length: int = 32) -> bytes:
        steps.append(label)
        return derive(key, label, length)

    for name in NAMES[1:]:
        conversation = victim.engine.slots.conversation(name)
        conversation.want()
        conversation.sync = DeadDropSync.start(os.urandom(32), Direction.FROM_LISTENER, 100, 10)
        conversation.sync.previous = replace(conversation.sync.current)
    monkeypatch.setattr(sync, "_derive", counted)
    victim.engine.slots.begin_round(100 + missed)
    announced = steps.count(b"step")
    head, number = KEYS.head(DIRECTORY), 100 + missed
    shown = Announcement(NOTHING_BEFORE, number, number, RoundFlags.NONE, 2000, 2, 1, (bytes(32),), head, 1, ())
    for name in NAMES[1:]:
        victim.engine.slots.conversation(name).prepare(shown, has_circuits=True)
    assert announced == (3 * 2 * MAX_GAP if missed == MAX_GAP else 0)
    assert steps.count(b"step") - announced <= 3 * 2


def test_keys_are_the_same_whether_they_were_stepped_early_or_not() -> None:
    root = os.urandom(32)
    early, late = (DeadDropSync.start(root, Direction.FROM_LISTENER, 100, 10) for _ in range(2))
    for number in (99, 100, 101, 150):
        early.catch_up(number)
    assert early.take_round(150, sets_up=True) == late.take_round(150, sets_up=True)
    early.catch_up(150)  # is over
    assert early.to_state() == late.to_state()


# -- any split into rounds comes to the same ----------------------------------------------------------------


GROUP, FOUND = founding()
_FILES = {number.to_bytes(16): os.urandom(number * 500) for number in range(1, 5)}
_CHANGES = [
    group_note(author, kind, GROUP)
    for author in ("bob", "carol")
    for kind in (GroupItemKind.JOIN, GroupItemKind.LEAVE)
]
_group_items = st.one_of(
    st.builds(
        lambda author, words: group_note(author, GroupItemKind.TEXT, GROUP, words),
        st.sampled_from(["bob", "carol", "mallory"]),
        st.text("ab", max_size=3),
    ),
    st.sampled_from(_CHANGES),
    st.builds(
        lambda seconds: group_note("bob", GroupItemKind.TIMER, GROUP, seconds=seconds), st.integers(0, 9)
    ),
)
_own_items = st.one_of(
    st.builds(text, st.text("cd", max_size=3)),
    st.builds(lambda seconds: note(TimerNote(seconds)), st.integers(0, 9)),
    st.just(Item(bytes(16), ItemKind.NOTE, b"no note", NOW)),
    st.builds(lambda file_id: offer(file_id, _FILES[file_id]), st.sampled_from(sorted(_FILES))),
    st.builds(lambda file_id: note(FileStop(file_id)), st.sampled_from(sorted(_FILES))),
    st.sampled_from(sorted(_FILES)).flatmap(
        lambda file_id: st.sampled_from(pieces(file_id, _FILES[file_id]))
    ),
)


def _came_to(victim: Victim) -> dict[str, Any]:
    """All that is kept in the end, and lasts."""
    talks = [*NAMES, "#" + GROUP.hex()]
    values = victim.store.values("")
    kept = {name: values[name] for name in values if name.startswith(("group", "file", "timer", "talked"))}
    kept.pop(f"group kept:#{GROUP.hex()}", None)  # our own words in it have other ids every time
    sent = {
        name: Counter(item.data.partition(b'"author":0')[0] for item in victim.store.outbox(name))
        for name in NAMES
    }
    pieces_kept = victim.store._file.execute("SELECT file_id, number FROM piece ORDER BY 1, 2").fetchall()
    entries = {talk: victim.messenger.history(talk, 10_000) for talk in talks}
    return {"entries": entries, "kept": kept, "sent": sent, "pieces": pieces_kept, "waits": victim.waiting()}


def _play(
    brought: list[tuple[str, Item]], rounds: Iterator[int], stops: Callable[[], bool]
) -> dict[str, Any]:
    """Bring items, so many a round, and join what asks us; sometimes stop before a commit, and repeat."""
    victim, place = Victim(), 0
    while place < len(brought):
        count = next(rounds)
        for may_stop in (True, False):
            for peer, item in brought[place : place + count]:
                victim.bring(peer, item)
            victim.messenger.work()
            if not (may_stop and stops()):
                break
            victim.stop()  # nothing was acknowledged: it comes again
        victim.engine.slots.save_all()
        place += count
        _join(victim)
    victim.settle()
    _join(victim)
    victim.settle()
    return _came_to(victim)


def _join(victim: Victim) -> None:
    state = victim.store.get(f"group:{GROUP.hex()}")
    if state is not None and state["state"] == GroupState.INVITED.value:
        victim.messenger.join_group("#" + GROUP.hex())


@settings(max_examples=examples(12), deadline=None)
@given(st.lists(st.one_of(_group_items, _own_items, _own_items), max_size=40), st.data())
def test_any_split_into_rounds_comes_to_what_no_bounds_at_all_come_to(
    items: list[Item], data: st.DataObject
) -> None:
    brought = [("mallory", item) for item in [FOUND, *items]]
    once = _play(brought, iter([1] * len(brought)), lambda: False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(budget, "ROUND_STEPS", data.draw(st.integers(1, 5)))
        counts = iter(lambda: data.draw(st.integers(1, 12)), None)
        split = _play(brought, counts, lambda: data.draw(st.integers(0, 9)) == 9)
    assert split == once


def test_what_is_taken_in_out_of_its_order_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [("mallory", group_note("mallory", GroupItemKind.TEXT, GROUP, words)) for words in "abc"]
    brought = [("mallory", FOUND), *said]
    once = _play(brought, iter([1] * 4), lambda: False)
    assert _play(brought, iter([4]), lambda: False) == once
    hold = GroupTables.hold

    def hold_backwards(self: GroupTables, *what: Any) -> None:
        hold(self, *what)
        self._file.execute("UPDATE held SET place = -place WHERE place = (SELECT max(place) FROM held)")

    monkeypatch.setattr(GroupTables, "hold", hold_backwards)
    assert _play(brought, iter([4]), lambda: False) != once


def test_a_text_that_comes_again_while_the_first_waits_is_shown_once() -> None:
    victim, said = Victim(), text("once")
    victim.bring("bob", said, replace(said, kind=ItemKind.NOTE, item_id=b"n" * 16))
    victim.bring("bob", said)
    victim.settle()
    assert victim.texts("bob") == ["once"]
    received = [event for event in victim.engine.take_events() if isinstance(event, TextReceived)]
    assert len(received) == 1
