"""Waking, and any split of the work into rounds: what comes of it in the end is the same."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iirs.client import sync
from iirs.client.events import GroupState, TextReceived
from iirs.client.messenger import budget
from iirs.client.messenger.group_item import GroupItemKind
from iirs.client.messenger.notes import FileStop, TimerNote
from iirs.client.store.group_tables import GroupTables
from iirs.client.store.log_entry import Item, ItemKind
from iirs.client.sync import MAX_GAP, DeadDropSync
from iirs.message import Direction
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, RoundFlags
from tests.effort import examples
from tests.victim import (
    DIRECTORY,
    KEYS,
    NAMES,
    NOW,
    Victim,
    founding,
    group_note,
    note,
    offer,
    pieces,
    text,
)

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
    shown = Announcement(
        NOTHING_BEFORE, number, number, RoundFlags.NONE, 2000, 2, 1, (bytes(32),), head, 1, ()
    )
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
