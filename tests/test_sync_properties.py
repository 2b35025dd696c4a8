"""The promises of two people in sync, over any loss, delay and restart (``docs/protocol.md`` section 10).

Each property is a function of a plan, so that it can be run twice: as it must hold, and with one thing
broken, when it must fail.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st

from iirs.client.chat_session import ChatSession
from iirs.client.conversation import HANG_UP_ROUNDS, Conversation
from iirs.client.events import PeerState
from iirs.client.sync import MAX_GAP, PATIENCE, DeadDropSync, SecretChain
from iirs.identity import Identity, VerifyKey
from iirs.message import PAYLOAD_MAX
from tests.effort import examples
from tests.pair import GOOD, INVITE_EVERY, TALKING_AGAIN, Back, Fate, Lot, Moment, Pair, Side, people
from tests.thief import Thief

HEALED_AFTER = 30
Plan = list[tuple[Fate, int]]


@pytest.fixture(scope="module", autouse=True)
def _quickly_signed() -> Iterator[None]:
    """Signatures are not the subject, and a quarter of the work: here anybody can make one, by a MAC."""
    public = cache(lambda identity: identity.verify_key_bytes)

    def sign(identity: Identity, data: bytes) -> bytes:
        return hmac.digest(public(identity), data, "sha512")

    def verify(key: VerifyKey, signature: bytes, data: bytes) -> None:
        if signature != hmac.digest(key.raw, data, "sha512"):
            raise InvalidSignature

    people.cache_clear()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Identity, "sign", sign)
        patched.setattr(VerifyKey, "verify", verify)
        yield
    people.cache_clear()


# -- what can happen ------------------------------------------------------------------------------------

_any_lot = st.builds(
    Lot,
    online=st.sampled_from([True, True, True, False]),
    in_time=st.sampled_from([True, True, True, False]),
    blocked=st.sampled_from([(False, False)] * 4 + [(True, True), (True, False), (False, True)]),
    back=st.sampled_from([Back.REPLIES] * 4 + [Back.LOST, Back.NOTHING]),
    bundle=st.sampled_from([True, True, False]),
    restarts=st.sampled_from([None] * 6 + list(Moment)),
)
_lot = st.one_of(st.just(Lot()), st.just(Lot()), _any_lot)
_jump = st.sampled_from([1] * 12 + [2, 3, PATIENCE, PATIENCE + 1, 15, MAX_GAP + 7])
_fate = st.builds(Fate, st.tuples(_lot, _lot), _jump)
_spell = st.tuples(
    st.one_of(st.just(GOOD), _fate), st.one_of(st.integers(1, 3), st.integers(1, 2 * PATIENCE + 5))
)
"""A round of one kind and how often it comes: long losses in one direction are where people part."""
plans = st.lists(_spell, max_size=8)


def play(pair: Pair, plan: Plan) -> None:
    for fate, times in plan:
        # A jump and a restart are events, not weather: once a spell.
        pair.play(fate)
        calm = replace(fate, jump=1, lots=tuple(replace(lot, restarts=None, does={}) for lot in fate.lots))
        pair.run(times - 1, calm)


def fails(check: Callable[[Any], None], examples: st.SearchStrategy[Any], tries: int = 300) -> None:
    """Demand that a property does not hold, so that it is known to have teeth."""

    @settings(
        max_examples=tries,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(examples)
    def run(plan: Any) -> None:
        check(plan)

    with pytest.raises((AssertionError, ExceptionGroup)):
        run()


# -- (a) talking again ----------------------------------------------------------------------------------


def talks_again(plan: Plan) -> None:
    pair = Pair()
    pair.want()
    play(pair, plan)
    records = pair.run(TALKING_AGAIN)
    assert any(record.heard == {0, 1} for record in records), "they do not talk"
    assert all(record.heard == {0, 1} for record in pair.run(2 * PATIENCE + 5)), "they do not stay together"


@settings(max_examples=examples(24))
@given(plans)
def test_once_the_network_is_good_again_the_two_are_talking_in_time(plan: Plan) -> None:
    talks_again(plan)


def test_without_resuming_they_would_not_talk_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conversation, "_lose_touch", lambda self: None)
    fails(talks_again, plans)


def test_if_ready_did_not_name_its_proposal_they_would_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iirs.client.sync._short_name", lambda proposal: 0)
    with pytest.raises(AssertionError):
        keeps_to_the_newest_proposal()


def keeps_to_the_newest_proposal() -> None:
    """Bob is ready for alice's first proposal when alice, who alone saw the bundle, makes a second."""
    pair = Pair()
    pair.want()
    pair.run(INVITE_EVERY)  # agreed in the last but one
    pair.run(INVITE_EVERY - 2, Fate((Lot(in_time=False), Lot(in_time=False))))
    record = pair.play(Fate((Lot(back=Back.LOST), Lot(bundle=False))))
    assert record.heard == {1}
    records = pair.run(4 * PATIENCE)[2:]
    assert all(record.heard == {0, 1} for record in records)


def test_a_listener_ready_for_an_older_proposal_is_not_taken_at_its_word() -> None:
    keeps_to_the_newest_proposal()


# -- the same drops, twice each -------------------------------------------------------------------------


def meets_at_one_place(plan: Plan) -> None:
    """At one place, unless a bundle was seen by just one side, and until they have heard each other again."""
    pair = Pair()
    pair.want()
    play(pair, plan)
    pair.run(TALKING_AGAIN)
    used: set[bytes] = set()
    uneven = False
    for record in pair.records:
        if len(record.drops) == 2 and not uneven:
            assert record.drops[0] == record.drops[1], "both post, at different places"
        fresh = {drop for drops in record.drops.values() for drop in drops}
        assert all(len(set(drops)) == 2 for drops in record.drops.values())
        assert not fresh & used, "a drop is used again"
        used |= fresh
        # Two invitations in a bundle that just one side saw: it has agreed, and the other cannot know.
        uneven = record.heard != {0, 1} and (uneven or (len(record.invited), len(record.bundled)) == (2, 1))


@settings(max_examples=examples(24))
@given(plans)
def test_whenever_both_post_it_is_to_the_same_drops_and_never_to_one_again(plan: Plan) -> None:
    meets_at_one_place(plan)


def test_without_stepping_the_same_drops_would_be_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecretChain, "at", lambda self, number: replace(self, round_number=number))
    fails(meets_at_one_place, plans)


# -- nobody alone ---------------------------------------------------------------------------------------

_deed = st.tuples(
    st.integers(0, 6), st.sampled_from([0, 1]), st.sampled_from(list(Moment)),
    st.sampled_from(["want", "want", "hang up", "say 10", "quit", "restart"]),
)  # fmt: skip
"""Rounds to wait, who, when in the round, what."""
lives = st.tuples(st.sampled_from([1, 2, 3, INVITE_EVERY]), st.lists(_deed, max_size=14))


def leaves_nobody_alone(life: tuple[int, list[tuple[int, int, Moment, str]]]) -> None:
    """Whatever two people do, in a round without loss every drop is accessed exactly twice."""
    invite_every, deeds = life
    pair = Pair(invite_every)

    def play(*deed: Any) -> None:
        lots = [Lot(), Lot()]
        if deed:
            who, moment, what = deed
            # A restart comes between rounds: a program that stops within one loses what came back.
            lots[who] = Lot(restarts=Moment.AFTER) if what == "restart" else Lot(does={moment: what})
        record = pair.play(Fate((lots[0], lots[1])))
        assert set(record.accesses.values()) <= {2}, "somebody is alone in a drop"

    for wait, *deed in deeds:
        for _ in range(wait):
            play()
        play(*deed)
    for _ in range(2 * PATIENCE):
        play()


def _second_thoughts(deed: str) -> tuple[int, list[tuple[int, int, Moment, str]]]:
    """Alice changes her mind while her invitation is out, in the first bundle after both have asked."""
    asked = [(0, 0, Moment.BEFORE, "want"), (0, 1, Moment.BEFORE, "want")]
    return INVITE_EVERY, [*asked, (INVITE_EVERY - 4, 0, Moment.UPLOADED, deed)]


@settings(max_examples=examples(48))
@given(lives)
@example(_second_thoughts("hang up"))
@example(_second_thoughts("quit"))
def test_without_loss_every_drop_is_accessed_twice_whatever_the_two_do(life: Any) -> None:
    leaves_nobody_alone(life)


def test_hanging_up_at_once_would_leave_the_peer_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(self: Conversation) -> None:
        self._wanted = False
        self._forget()

    monkeypatch.setattr(Conversation, "hang_up", at_once)
    fails(leaves_nobody_alone, lives)


def test_taking_back_an_invitation_that_is_out_would_leave_the_peer_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def take_back(self: Conversation) -> None:
        self._wanted = False
        self._out = None

    monkeypatch.setattr(Conversation, "hang_up", take_back)
    with pytest.raises(AssertionError, match="alone"):
        leaves_nobody_alone(_second_thoughts("hang up"))


def test_leaving_while_an_invitation_is_out_would_leave_the_peer_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Conversation, "is_settled", property(lambda self: self.sync is None))
    with pytest.raises(AssertionError, match="alone"):
        leaves_nobody_alone(_second_thoughts("quit"))


# -- (b) what is over stays shut ------------------------------------------------------------------------

glances = st.tuples(plans, st.integers(0, 40), st.integers(0, 3))


def opens_nothing_from_before(glance: tuple[Plan, int, int]) -> None:
    """A copy of one side's state in any round opens nothing that was posted up to and in that round."""
    plan, back, which = glance
    pair = Pair()
    pair.want()
    play(pair, plan)
    pair.run(2 * PATIENCE)
    place = max(0, len(pair.records) - 1 - back)
    stolen = pair.records[place].stolen
    assume(stolen)
    copy = stolen[which % len(stolen)]
    thief = Thief(copy["sync"])
    chains = thief.reach(6)
    for record in pair.records[max(0, place - 14) : place + 1]:
        if copy["side"] in record.executed:
            assert not any(thief.read(sealed, chains) for sealed in record.sealed), "the past can be read"


@settings(max_examples=examples(16))
@given(glances)
def test_a_state_opens_nothing_from_before(glance: tuple[Plan, int, int]) -> None:
    opens_nothing_from_before(glance)


def test_without_erasure_a_state_would_open_its_own_round(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(self: DeadDropSync, round_number: int) -> Any:
        self._switch(round_number)
        self._step(round_number)
        return self._keys(self.current.key, round_number)

    monkeypatch.setattr(DeadDropSync, "take_round", keep)
    fails(opens_nothing_from_before, glances)


# -- (c) a leak heals -----------------------------------------------------------------------------------

leaks = st.tuples(plans, st.integers(0, PATIENCE + 4), st.integers(0, 3), plans)
"""Before, rounds until the leak, whose state and at which moment, after."""


def heals(leak: tuple[Plan, int, int, Plan]) -> None:
    before, wait, which, after = leak
    pair = Pair()
    pair.want()
    play(pair, before)
    pair.run(TALKING_AGAIN + wait)
    stolen = pair.last.stolen
    thief = Thief(stolen[which % len(stolen)]["sync"])
    pair.watch = thief.watch
    play(pair, after)
    if after:
        pair.run(TALKING_AGAIN)
    pair.run(HEALED_AFTER)
    pair.watch = None
    assert sum(thief.watch(record) for record in pair.run(PATIENCE + 2)) == 0, "the thief still reads"


@settings(max_examples=examples(8))
@given(leaks)
def test_a_leak_heals_within_thirty_good_rounds(leak: tuple[Plan, int, int, Plan]) -> None:
    heals(leak)


@pytest.mark.parametrize("which", range(4))
def test_a_leak_in_any_phase_of_a_renewal_heals_within_thirty_good_rounds(which: int) -> None:
    for wait in range(which % 2, PATIENCE + 5, 2):
        heals(([], wait, which, []))


def test_without_renewal_a_leak_would_never_heal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeadDropSync, "stamp", lambda self, message: message)
    fails(heals, leaks)


def test_the_thief_follows_a_renewal_whose_secret_was_in_the_copy() -> None:
    """Else the thief of these tests would prove nothing."""
    pair = Pair()
    pair.talk()
    copies = []
    for _ in range(2 * PATIENCE):
        copies += [copy["sync"] for copy in pair.play().stolen]
    proposing = next(copy for copy in copies if copy["next"] and copy["next"]["private"])
    start = proposing["current"]["round_number"]
    thief = Thief(proposing)
    read = {record.number: thief.watch(record) for record in pair.records if record.number >= start}
    assert set(read.values()) == {4}
    assert max(read) > start + PATIENCE + 3, "the secret was renewed meanwhile"


# -- (d) texts ------------------------------------------------------------------------------------------

_sizes = st.sampled_from([0, 5, PAYLOAD_MAX, PAYLOAD_MAX + 1, 4 * PAYLOAD_MAX])
_says = st.builds("say {}".format, _sizes)
_deeds = st.one_of(
    st.just({}),
    st.dictionaries(st.sampled_from(list(Moment)), _says, max_size=2),
    st.dictionaries(
        st.sampled_from(list(Moment)),
        st.one_of(_says, st.sampled_from(["want", "want", "hang up", "discard"])),
        max_size=2,
    ),
)
_talking_lot = st.builds(lambda lot, does: replace(lot, does=does), _lot, _deeds)
talks = st.lists(
    st.tuples(st.builds(Fate, st.tuples(_talking_lot, _talking_lot), _jump), st.integers(1, 8)), max_size=10
)


def delivers(plan: Plan) -> None:
    pair = Pair()
    alice, bob = pair.sides

    def in_order(_: Any) -> None:
        assert bob.shown == alice.said[: len(bob.shown)], "a text is missing, out of order or there twice"
        assert alice.shown == bob.said[: len(alice.shown)], "a text is missing, out of order or there twice"

    pair.watch = in_order
    pair.want()
    play(pair, plan)
    fragments = sum(1 + len(text) // PAYLOAD_MAX for side in pair.sides for text in side.said)
    for _ in range(TALKING_AGAIN + HANG_UP_ROUNDS + INVITE_EVERY + fragments + 4):
        for side in pair.sides:
            side.do("want")  # people who insist
        pair.play()
    assert (bob.shown, alice.shown) == (alice.said, bob.said), "a text did not arrive"
    assert not alice.conversation.chat.outbox
    assert not bob.conversation.chat.outbox


@settings(max_examples=examples(24))
@given(talks)
def test_every_text_arrives_exactly_once_and_in_order(plan: Plan) -> None:
    delivers(plan)


def test_without_looking_for_duplicates_a_text_would_arrive_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Side, "_has", lambda self, text_id: False)
    said = Fate((Lot(does={Moment.BEFORE: "say 5"}), Lot(back=Back.NOTHING)))
    arrives_unacknowledged = Fate((Lot(back=Back.LOST, does={Moment.AFTER: "discard"}), Lot()))
    with pytest.raises(AssertionError):
        delivers([(GOOD, INVITE_EVERY), (said, 1), (GOOD, 2), (arrives_unacknowledged, 1)])


def test_without_repeating_a_text_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChatSession, "_is_due", lambda self, sequence, _: sequence not in self._last_sent)
    fails(delivers, talks)


# -- partings -------------------------------------------------------------------------------------------


def test_a_hang_up_that_the_peer_never_hears_ends_by_patience_and_is_said_in_an_invitation() -> None:
    pair = Pair()
    pair.talk()
    deaf = Fate((Lot(), Lot(back=Back.LOST, bundle=False)))
    pair.sides[0].do("hang up")
    records = pair.run(2 * PATIENCE, deaf)
    alone = [record for record in records if set(record.drops) == {1}]
    assert all(set(record.drops) == {0, 1} for record in records[:HANG_UP_ROUNDS])
    assert 0 < len(alone) <= PATIENCE
    assert pair.sides[1].conversation.state(pair.number) is PeerState.RESUMING
    assert pair.sides[0].conversation.state(pair.number) is PeerState.IDLE


def test_a_hang_up_that_the_peer_did_not_hear_reaches_it_in_the_next_bundle_even_after_a_restart() -> None:
    pair = Pair()
    pair.talk()
    while pair.executed % INVITE_EVERY != INVITE_EVERY - 1:
        pair.play()
    pair.sides[0].do("hang up")
    pair.run(HANG_UP_ROUNDS, Fate((Lot(blocked=(True, True)), Lot())))
    assert pair.sides[1].conversation.state(pair.number) is PeerState.QUIET
    pair.play(Fate((Lot(restarts=Moment.AFTER), Lot(bundle=False))))
    pair.run(INVITE_EVERY)
    assert pair.sides[1].conversation.state(pair.number) is PeerState.ENDED
    assert pair.play().drops == {}
    assert not pair.sides[1].conversation.needs_slot


def test_two_who_hang_up_at_once_leave_together() -> None:
    pair = Pair()
    pair.talk()
    pair.sides[0].do("hang up")
    pair.play()
    pair.sides[1].do("hang up")
    records = pair.run(2 * HANG_UP_ROUNDS)
    assert all(set(record.drops) in ({0, 1}, set()) for record in records)
    assert [len(record.drops) for record in records[:HANG_UP_ROUNDS]] == [2, 2, 2, 0]
