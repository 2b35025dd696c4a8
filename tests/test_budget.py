"""Very much at once: a round does a bounded share, nobody waits for another's flood, all is done in the end.

Counts and bytes are bounded here; how long it takes ``benchmarks/bursts.py`` measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from iirs.client.chat_session import DELIVERED_AT_ONCE, WINDOW
from iirs.client.messenger import budget
from iirs.client.messenger.budget import ROUND_STEPS, Budget, Work
from iirs.client.messenger.group_item import GroupItemKind
from iirs.client.store.incoming import WAITING_MAX
from iirs.message import PAYLOAD_MAX, ContentKind, PeerMessage
from tests.victim import (
    BURST,
    NAMES,
    NOW,
    Victim,
    founding,
    group_note,
    text,
)

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
