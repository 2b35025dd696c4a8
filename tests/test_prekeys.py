"""Prekeys: what is known of others and kept of one's own; and two people agree, or neither does."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iirs.client.account.own_prekeys import OwnPrekeys
from iirs.client.invitations import Invitation
from iirs.errors import DirectoryError
from iirs.prekey import KnownPrekeys, Prekey
from tests.builders import make_chain, make_directory, make_prekey
from tests.effort import examples
from tests.pair import Pair
from tests.pair_values import INVITE_EVERY, TALKING_AGAIN

KEYS = make_chain(prekey_rounds=10)
CHAIN = KEYS.chain
DIRECTORY = make_directory(CHAIN, "alice", "bob", "carol")


# -- what a client knows of others -------------------------------------------------------------------------


def book(*prekeys: Prekey) -> KnownPrekeys:
    known = KnownPrekeys()
    known.take_in([prekey.encode() for prekey in prekeys], DIRECTORY)
    return known


def test_the_later_period_counts_and_within_one_what_was_shown_later() -> None:
    old, new = make_prekey(DIRECTORY, "bob", 7), make_prekey(DIRECTORY, "bob", 8)
    elsewhere = make_prekey(DIRECTORY, "bob", 8, machine=" elsewhere")
    assert book(old, new).newest(1, 8) == new
    assert book(new, old).newest(1, 8) == new
    assert book(new, elsewhere).newest(1, 8) == elsewhere
    assert book(elsewhere, new).newest(1, 8) == new
    assert book(new).newest(0, 8) is None


@pytest.mark.parametrize(("now", "usable"), [(7, True), (8, True), (9, False), (6, False), (700, False)])
def test_a_prekey_is_used_in_its_own_period_and_the_next_only(now: int, *, usable: bool) -> None:
    prekey = make_prekey(DIRECTORY, "bob", 7)
    assert book(prekey).newest(1, now) == (prekey if usable else None)


def test_records_of_which_one_is_bad_leave_nothing_behind() -> None:
    good, bad = make_prekey(DIRECTORY, "alice", 7), make_prekey(DIRECTORY, "bob", 7)
    known = KnownPrekeys()
    for spoiled in (
        replace(bad, position=0),
        replace(bad, position=3),
        replace(bad, period=8),
        replace(bad, public=good.public),
        replace(bad, signature=bytes(64)),
    ):
        with pytest.raises(DirectoryError):
            known.take_in([good.encode(), spoiled.encode()], DIRECTORY)
    assert known.newest(0, 7) is None
    known.take_in([good.encode(), bad.encode()], DIRECTORY)
    assert known.newest(0, 7) == good


# -- what a client has of its own --------------------------------------------------------------------------


def test_renewing_keeps_this_periods_key_and_the_last_ones_and_nothing_older() -> None:
    own = OwnPrekeys()
    seventh = own.renew(7)
    assert own.renew(7) == seventh
    eighth = own.renew(8)
    assert [pair.public_bytes for pair in own.pairs] == [eighth, seventh]
    ninth = own.renew(9)
    assert [pair.public_bytes for pair in own.pairs] == [ninth, eighth]
    assert [period for period, _ in own.to_state()] == [9, 8]
    own.renew(20)
    assert len(own.pairs) == len(own.ids) == 1


def test_own_prekeys_are_read_back_and_damaged_ones_are_made_anew() -> None:
    own = OwnPrekeys()
    own.renew(7)
    own.renew(8)
    again = OwnPrekeys(own.to_state())
    assert again.ids == own.ids
    again.renew(8)
    assert again.ids == own.ids
    for damaged in (
        None,
        7,
        "keys",
        [7],
        [[7, "ff"]],
        [[7, 8]],
        [[math.inf, "ff"]],
        [["x", own.to_state()[0][1]]],
    ):
        assert OwnPrekeys(damaged).pairs == ()


def test_no_private_key_shows_in_a_log() -> None:
    own = OwnPrekeys()
    own.renew(7)
    assert own.to_state()[0][1] not in f"{own!r} {own.pairs!r} {own.__dict__!r}"


# -- both agree or neither ----------------------------------------------------------------------------------

Event = tuple[int, str]
events = st.tuples(
    st.sampled_from([0, 1]),
    st.sampled_from(["learns", "forgets", "other machine", "first machine", "renewal", "nothing"]),
)
plans = st.lists(st.lists(events, max_size=4), max_size=6)
"""What happens before each bundle, and to whom."""


class Changing:
    """A pair whose prekeys change: each side has two machines, and knows what it was last shown."""

    def __init__(self) -> None:
        self.pair = Pair()
        self.machines = [[side.own_prekeys, OwnPrekeys()] for side in self.pair.sides]
        self.pair.want()

    def happens(self, who: int, what: str) -> None:
        side, peer = self.pair.sides[who], self.pair.sides[1 - who]
        if what == "learns":
            side.known = peer.prekey
        elif what == "forgets":
            side.known = None
        elif what == "renewal":
            for each in self.pair.sides:
                each.period += 1
                each.own_prekeys.renew(each.period)
        elif what != "nothing":
            side.own_prekeys = self.machines[who][what == "other machine"]
            side.own_prekeys.renew(side.period)
            side.do("discard")  # what was agreed stays on the machine it was agreed on

    def bundle(self) -> set[int]:
        """Play to the next bundle; return who agrees on a conversation through it."""
        for _ in range(INVITE_EVERY):
            self.pair.play()
            if self.pair.last.bundled:
                break
        return {
            index
            for index, side in enumerate(self.pair.sides)
            if side.conversation.sync is not None
            and side.conversation.sync.last_heard == self.pair.number + 1
        }


def both_agree_or_neither(plan: list[list[Event]]) -> None:
    world = Changing()
    for before in plan:
        for who, what in before:
            world.happens(who, what)
        assert world.bundle() in (set(), {0, 1}), "one alone would post to shared drops"


BOB_RENEWED = [[(1, "renewal")]]
BOB_ELSEWHERE = [[(1, "other machine")]]
BOB_UNKNOWN = [[(0, "forgets")]]
ALL_OF_IT = [[(0, "forgets"), (1, "other machine")], [(1, "renewal"), (1, "learns")], [(0, "learns")]]


@settings(max_examples=examples(24))
@given(plans)
@example(BOB_RENEWED)
@example(BOB_ELSEWHERE)
@example(BOB_UNKNOWN)
@example(ALL_OF_IT)
def test_both_agree_or_neither_whatever_became_of_their_prekeys(plan: list[list[Event]]) -> None:
    both_agree_or_neither(plan)


class _Everything(tuple[bytes, ...]):
    def __contains__(self, _: object) -> bool:
        return True


def test_without_looking_whether_the_peer_can_open_ours_one_would_be_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = Invitation._decode

    def careless(data: bytes) -> Invitation:
        invitation = honest(data)
        return replace(invitation, prekey_ids=_Everything(invitation.prekey_ids))

    monkeypatch.setattr(Invitation, "_decode", careless)
    both_agree_or_neither(BOB_RENEWED)
    both_agree_or_neither(BOB_UNKNOWN)
    with pytest.raises(AssertionError, match="one alone"):
        both_agree_or_neither(BOB_ELSEWHERE)


@pytest.mark.parametrize(
    ("before", "agree"),
    [
        ([(1, "renewal")], True),
        ([(1, "renewal"), (1, "renewal")], False),
        ([(0, "learns"), (1, "other machine")], False),
        ([(1, "other machine"), (0, "learns")], True),
        ([(1, "other machine"), (0, "learns"), (1, "first machine")], False),
        ([(0, "forgets")], False),
        ([(0, "forgets"), (1, "forgets")], False),
        ([(1, "renewal"), (1, "other machine"), (0, "learns")], True),
    ],
    ids=lambda value: " ".join(what for _, what in value) if isinstance(value, list) else str(value),
)
def test_what_it_takes_to_agree(before: list[Event], *, agree: bool) -> None:
    world = Changing()
    for who, what in before:
        world.happens(who, what)
    assert world.bundle() == ({0, 1} if agree else set())
    for who in (0, 1):
        world.happens(who, "learns")
    if not agree:
        assert world.bundle() == {0, 1}, "they keep asking, and agree once the keys are known"


@settings(max_examples=examples(8))
@given(plans)
def test_once_the_prekeys_are_known_the_two_are_talking_in_time(plan: list[list[Event]]) -> None:
    world = Changing()
    for before in plan:
        for who, what in before:
            world.happens(who, what)
        world.bundle()
    for who in (0, 1):
        world.happens(who, "learns")
    records = world.pair.run(TALKING_AGAIN)
    assert any(record.heard == {0, 1} for record in records)


def test_an_end_to_somebody_without_a_prekey_of_these_periods_counts_as_said() -> None:
    pair = Pair()
    conversation = pair.sides[0].conversation
    for known, posted in ((pair.sides[0].known, True), (None, False)):
        conversation._end_invitations = 2
        pair.sides[0].known = known
        for left in (1, 0):
            sealed = conversation.invitation(pair.number, pair.sides[0].prekeys)
            assert (sealed is not None) == posted
            assert conversation._end_invitations == left
    assert not conversation.needs_slot
