"""The promises of two people in sync, over any loss, delay and restart (``docs/protocol.md`` section 10).

Each holds where every round sets up circuits, as with one server, and where epochs are longer. Each is a
function of a plan, so that it can be run twice: as it must hold, and with one thing broken, when it must
fail.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st

from iirs.client.chat_session import ChatSession
from iirs.client.conversation import HANG_UP_ROUNDS, Conversation
from iirs.client.events import PeerState
from iirs.client.sync import MAX_GAP, DeadDropSync, SecretChain, patience_for
from iirs.identity import Identity, VerifyKey
from iirs.message import PAYLOAD_MAX
from tests.effort import examples
from tests.pair import Pair, Side
from tests.pair_values import GOOD, INVITE_EVERY, Back, Fate, Lot, Moment, people, spacing, talking_again
from tests.thief import Thief

HEALED_AFTER = 30
PATIENCE = patience_for(4)
"""The same for both lengths of epochs."""
assert patience_for(1) == PATIENCE
Spells = list[tuple[Fate, int]]


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
    cut=st.sampled_from([(False, False)] * 4 + [(True, True), (True, False), (False, True)]),
    back=st.sampled_from([Back.REPLIES] * 4 + [Back.LOST, Back.NOTHING]),
    bundle=st.sampled_from([True, True, False]),
    restarts=st.sampled_from([None] * 6 + list(Moment)),
)
_lot = st.one_of(st.just(Lot()), st.just(Lot()), _any_lot)
_jump = st.sampled_from([1] * 12 + [2, 3, PATIENCE, PATIENCE + 1, 15, MAX_GAP + 7])
_seldom = st.sampled_from([False] * 7 + [True])
_fate = st.builds(Fate, st.tuples(_lot, _lot), _jump, _seldom, _seldom)
_spell = st.tuples(
    st.one_of(st.just(GOOD), _fate), st.one_of(st.integers(1, 3), st.integers(1, 2 * PATIENCE + 5))
)
"""A round of one kind and how often it comes: long losses in one direction are where people part."""
spells = st.lists(_spell, max_size=8)


@dataclass(frozen=True)
class Plan:
    """How long epochs are, how often there are invitations, and what happens."""

    epoch_rounds: int
    invite_every: int
    spells: Spells

    def begun(self) -> Pair:
        """Return a pair that wants to talk and has been through all of it."""
        pair = Pair(self.invite_every, self.epoch_rounds)
        pair.want()
        play(pair, self.spells)
        return pair

    @property
    def talking_again(self) -> int:
        return talking_again(self.epoch_rounds, self.invite_every)


TOWNS = [(1, INVITE_EVERY), (4, 2), (4, INVITE_EVERY)]
"""Rounds of an epoch and between bundles."""


def _plan(happens: st.SearchStrategy[Spells]) -> st.SearchStrategy[Plan]:
    return st.builds(lambda town, spells: Plan(*town, spells), st.sampled_from(TOWNS), happens)


plans = _plan(spells)


def play(pair: Pair, happens: Spells) -> None:
    for fate, times in happens:
        # A jump, a forced setup and a restart are events, not weather: once a spell.
        pair.play(fate)
        lots = tuple(replace(lot, restarts=None, does={}) for lot in fate.lots)
        pair.run(times - 1, replace(fate, jump=1, forced=False, lots=lots))


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


UNHEARD = Fate((Lot(blocked=(True, True)), Lot()))
"""Alice speaks, and bob does not hear her."""


def talks_again(plan: Plan) -> None:
    pair = plan.begun()
    records = pair.run(plan.talking_again)
    assert any(record.heard == {0, 1} for record in records), "they do not talk"
    assert all(record.heard == {0, 1} for record in pair.run(2 * PATIENCE + 5)), "they do not stay together"


@settings(max_examples=examples(24))
@given(plans)
def test_once_the_network_is_good_again_the_two_are_talking_in_time(plan: Plan) -> None:
    talks_again(plan)


def test_without_resuming_they_would_not_talk_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conversation, "_lose_touch", lambda self: None)
    for town in TOWNS:
        with pytest.raises(AssertionError, match="do not talk"):
            talks_again(Plan(*town, [(GOOD, 12), (Fate((Lot(in_time=False), Lot())), 20)]))


def test_if_ready_did_not_name_its_proposal_they_would_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iirs.client.sync._short_name", lambda proposal: 0)
    with pytest.raises(AssertionError):
        keeps_to_the_newest_proposal()


@pytest.mark.parametrize(("epoch_rounds", "invite_every"), TOWNS)
def test_the_longest_that_two_can_take_is_what_is_said(epoch_rounds: int, invite_every: int) -> None:
    """Alice heard bob in the last bad round, and he has lost his patience, and his circuits in a restart."""
    taken = []
    for earlier in range(spacing(epoch_rounds, invite_every)):
        pair = Pair(invite_every, epoch_rounds)
        pair.talk()
        pair.run(earlier)
        last_heard = pair.number
        pair.play(UNHEARD)
        while (PATIENCE + pair.into) % epoch_rounds or pair.next_setup <= last_heard + PATIENCE:
            pair.play(UNHEARD)
        if pair.last.heard == {0}:
            pair.sides[1].restart()
            taken.append(next(rounds for rounds in range(1, 200) if pair.play().heard == {0, 1}))
    assert max(taken) == talking_again(epoch_rounds, invite_every)


def keeps_to_the_newest_proposal() -> None:
    """Bob is ready for alice's first proposal when alice, who alone saw the bundle, makes a second."""
    pair = Pair()
    pair.want()
    pair.run(INVITE_EVERY)  # agreed in the last but one
    pair.run(INVITE_EVERY - 2, Fate((Lot(in_time=False), Lot(in_time=False))))
    record = pair.play(Fate((Lot(), Lot(blocked=(True, True), bundle=False))))
    assert record.heard == {1}
    records = pair.run(4 * PATIENCE)[2:]
    assert all(record.heard == {0, 1} for record in records)


def test_a_listener_ready_for_an_older_proposal_is_not_taken_at_its_word() -> None:
    keeps_to_the_newest_proposal()


# -- the same drops, twice each -------------------------------------------------------------------------


def meets_at_one_place(plan: Plan) -> None:
    """Whoever else saw which bundle, and was told what: two drops are never three or four."""
    pair = plan.begun()
    pair.run(plan.talking_again)
    used: set[bytes] = set()
    keys: set[bytes] = set()
    for record in pair.records:
        assert record.is_setup or not record.drops
        if len(record.drops) == 2:
            assert record.drops[0] == record.drops[1], "both post, at different places"
        assert all(len(set(drops)) == 2 for drops in record.drops.values())
        fresh = {drop for drops in record.drops.values() for drop in drops}
        assert not fresh & used, "a drop is used again"
        used |= fresh
        for key in (sealed.keys.encryption for sealed in record.sealed):
            assert key not in keys, "a key is used again"
            keys.add(key)


@settings(max_examples=examples(24))
@given(plans)
def test_whenever_both_post_it_is_to_the_same_drops_and_never_to_one_again(plan: Plan) -> None:
    meets_at_one_place(plan)


def test_without_stepping_the_same_drops_would_be_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecretChain, "at", lambda self, number: replace(self, round_number=number))
    fails(meets_at_one_place, plans)


@pytest.mark.parametrize(("epoch_rounds", "invite_every"), TOWNS)
def test_keeping_an_agreement_over_a_missed_bundle_would_put_the_two_in_four_drops(
    monkeypatch: pytest.MonkeyPatch, epoch_rounds: int, invite_every: int
) -> None:
    """Bob alone begins; alice, who has no chain of his, agrees anew with him, and he misses that bundle."""
    met_twice = _missed_bundles(epoch_rounds, invite_every)
    meets_at_one_place(met_twice)
    monkeypatch.setattr(Conversation, "lose_agreement", lambda self: None)
    with pytest.raises(AssertionError, match="different places"):
        meets_at_one_place(met_twice)


def _missed_bundles(epoch_rounds: int, invite_every: int) -> Plan:
    pair = Pair(invite_every, epoch_rounds)
    pair.want()
    happens: Spells = []
    missed = iter((0, 1))
    while (who := next(missed, None)) is not None:
        fate = GOOD
        while True:
            invites = pair.shown().has_invitations
            if invites:
                lots = [Lot(), Lot()]
                lots[who] = Lot(bundle=False)
                fate = Fate((lots[0], lots[1]))
            happens.append((fate, 1))
            record = pair.play(fate)
            if invites and record.invited == {0, 1}:
                break
    return Plan(epoch_rounds, invite_every, happens)


@pytest.mark.parametrize(("epoch_rounds", "invite_every"), TOWNS)
def test_switching_a_round_earlier_would_put_the_two_in_four_drops(
    monkeypatch: pytest.MonkeyPatch, epoch_rounds: int, invite_every: int
) -> None:
    """Bob hears nothing from when alice has heard that he is ready: he stops just before she switches."""
    plans = [
        Plan(epoch_rounds, invite_every, [(GOOD, 6 + ready), (UNHEARD, 3 * PATIENCE)])
        for ready in range(1, 14)
    ]
    for plan in plans:
        meets_at_one_place(plan)
    heard = DeadDropSync._generator_heard

    def hasty(self: DeadDropSync, round_number: int, message: Any) -> None:
        before = self.next
        heard(self, round_number, message)
        if self.next is not None and self.next is not before:
            self.next = replace(self.next, switch_round=self.next.switch_round - epoch_rounds)

    monkeypatch.setattr(DeadDropSync, "_generator_heard", hasty)
    parted = 0
    for plan in plans:
        try:
            meets_at_one_place(plan)
        except AssertionError as error:
            parted += "different places" in str(error)
    assert parted


# -- nobody alone ---------------------------------------------------------------------------------------

_deed = st.tuples(
    st.integers(0, 6), st.sampled_from([0, 1]), st.sampled_from(list(Moment)),
    st.sampled_from(["want", "want", "hang up", "say 10", "quit", "restart"]),
)  # fmt: skip
"""Rounds to wait, who, when in the round, what."""
Deeds = list[tuple[int, int, Moment, str]]
_paces = st.sampled_from([(1, 1), (1, 2), (1, 3), (1, INVITE_EVERY), (4, 1), (4, 2), (4, INVITE_EVERY)])
lives = st.tuples(_paces, st.lists(_deed, max_size=14))
"""Rounds of an epoch and between bundles, and what they do."""


def leaves_nobody_alone(life: tuple[tuple[int, int], Deeds]) -> None:
    """Whatever two people do, without loss every drop of every setup is accessed exactly twice."""
    (epoch_rounds, invite_every), deeds = life
    pair = Pair(invite_every, epoch_rounds)

    def play(*deed: Any) -> None:
        lots = [Lot(), Lot()]
        if deed:
            who, moment, what = deed
            # A restart comes between rounds: a program that stops within one loses what came back. And not
            # before the first word: whoever may have missed a bundle gives up what it agreed to, a loss.
            talk = pair.sides[who].conversation
            if what != "restart":
                lots[who] = Lot(does={moment: what})
            elif talk.confirmed or (talk.is_settled and not talk.is_wanted):
                lots[who] = Lot(restarts=Moment.AFTER)
        record = pair.play(Fate((lots[0], lots[1])))
        assert set(record.accesses.values()) <= {2}, "somebody is alone in a drop"

    for wait, *deed in deeds:
        for _ in range(wait):
            play()
        play(*deed)
    for _ in range(2 * PATIENCE):
        play()


def _second_thoughts(deed: str, epoch_rounds: int = 1) -> tuple[tuple[int, int], Deeds]:
    """Alice changes her mind while her invitation is out, in the first bundle after both have asked."""
    asked = [(0, 0, Moment.BEFORE, "want"), (0, 1, Moment.BEFORE, "want")]
    pace, wait = ((1, INVITE_EVERY), 1) if epoch_rounds == 1 else ((epoch_rounds, 2), 0)
    return pace, [*asked, (wait, 0, Moment.UPLOADED, deed)]


@settings(max_examples=examples(48))
@given(lives)
@example(_second_thoughts("hang up"))
@example(_second_thoughts("quit"))
@example(_second_thoughts("quit", 4))
@example(_second_thoughts("quit", 6))
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


@pytest.mark.parametrize(
    ("counted", "rounds", "epoch_rounds"), [("_ROUNDS_TO_SETUP", 1, 1), ("_ROUNDS_AFTER_SETUP", 0, 6)]
)
def test_leaving_earlier_would_leave_the_peer_alone(
    monkeypatch: pytest.MonkeyPatch, counted: str, rounds: int, epoch_rounds: int
) -> None:
    monkeypatch.setattr(f"iirs.client.departure.{counted}", rounds)
    with pytest.raises(AssertionError, match="alone"):
        leaves_nobody_alone(_second_thoughts("quit", epoch_rounds))


# -- (b) what is over stays shut ------------------------------------------------------------------------

glances = st.tuples(plans, st.integers(0, 40), st.integers(0, 3))


def opens_nothing_from_before(glance: tuple[Plan, int, int]) -> None:
    """A copy of one side's state in any round opens nothing that was posted up to and in that round."""
    plan, back, which = glance
    pair = plan.begun()
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
    def keep(self: DeadDropSync, round_number: int, *, sets_up: bool) -> Any:
        self._switch(round_number)
        self._step(round_number)
        return self._keys(self.current.key, round_number, sets_up)

    monkeypatch.setattr(DeadDropSync, "take_round", keep)
    fails(opens_nothing_from_before, glances)


# -- (c) a leak heals -----------------------------------------------------------------------------------

leaks = st.tuples(plans, st.integers(0, PATIENCE + 4), st.integers(0, 3), spells)
"""Before, rounds until the leak, whose state and at which moment, after."""


def heals(leak: tuple[Plan, int, int, Spells]) -> None:
    before, wait, which, after = leak
    pair = before.begun()
    pair.run(before.talking_again + wait)
    stolen = pair.last.stolen
    thief = Thief(stolen[which % len(stolen)]["sync"])
    pair.watch = thief.watch
    play(pair, after)
    if after:
        pair.run(before.talking_again)
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
        town = (1, INVITE_EVERY) if wait % 4 < 2 else (4, 2)
        heals((Plan(*town, []), wait, which, []))


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
talks = _plan(
    st.lists(
        st.tuples(
            st.builds(Fate, st.tuples(_talking_lot, _talking_lot), _jump, _seldom, _seldom),
            st.integers(1, 8),
        ),
        max_size=10,
    )
)


def delivers(plan: Plan) -> None:
    pair = Pair(plan.invite_every, plan.epoch_rounds)
    alice, bob = pair.sides

    def in_order(_: Any) -> None:
        assert bob.shown == alice.said[: len(bob.shown)], "a text is missing, out of order or there twice"
        assert alice.shown == bob.said[: len(alice.shown)], "a text is missing, out of order or there twice"

    pair.watch = in_order
    pair.want()
    play(pair, plan.spells)
    fragments = sum(1 + len(text) // PAYLOAD_MAX for side in pair.sides for text in side.said)
    ending = HANG_UP_ROUNDS + 2 * plan.epoch_rounds + spacing(plan.epoch_rounds, plan.invite_every)
    for _ in range(plan.talking_again + ending + fragments + 4):
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
        delivers(Plan(1, INVITE_EVERY, [(GOOD, 8), (said, 1), (GOOD, 2), (arrives_unacknowledged, 1)]))


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
    assert [len(record.drops) for record in records[:HANG_UP_ROUNDS]] == [2, 2, 0]
