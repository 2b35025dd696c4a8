"""``DeadDropSync`` by example: rounds, renewal, parting, keeping."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from iirs.client.sync import MAX_GAP, DeadDropSync, RoundKeys, SecretChain, patience_for
from iirs.errors import PeerMessageError, StoreError
from iirs.message import Direction, PeerMessage, RenewalPhase
from tests.effort import examples

ROOT = bytes(range(32))
START = 100
PATIENCE = patience_for(1)
SMALL_ORDER = bytes(32)
IDLE = PeerMessage()


def both() -> tuple[DeadDropSync, DeadDropSync]:
    """Alice, the generator, and bob, the listener, agreed to start in round 100."""
    return (
        DeadDropSync.start(ROOT, Direction.FROM_GENERATOR, START, PATIENCE),
        DeadDropSync.start(ROOT, Direction.FROM_LISTENER, START, PATIENCE),
    )


def take(sync: DeadDropSync, number: int) -> RoundKeys:
    """Take a round that sets up circuits, as each does with one server."""
    return sync.take_round(number, sets_up=True)


def exchange(alice: DeadDropSync, bob: DeadDropSync, number: int, *, lost: str = "") -> None:
    """One round in which both post; ``lost`` names whose message does not arrive."""
    assert take(alice, number).drop_ids == take(bob, number).drop_ids
    from_alice, from_bob = alice.stamp(IDLE), bob.stamp(IDLE)
    if lost != "alice":
        bob.heard(number, from_alice)
    if lost != "bob":
        alice.heard(number, from_bob)


def phase(sync: DeadDropSync) -> RenewalPhase | None:
    return None if sync.next is None else sync.next.phase


# -- rounds ---------------------------------------------------------------------------------------------


def test_both_sides_have_the_same_drops_and_each_opens_what_the_other_seals() -> None:
    alice, bob = both()
    ours, theirs = take(alice, START), take(bob, START)
    assert ours.drop_ids == theirs.drop_ids
    assert ours.keys_out == theirs.keys_in
    assert ours.keys_in == theirs.keys_out
    assert ours.contexts_out == theirs.contexts_in
    everything = {
        key for keys in (*ours.keys_out, *ours.keys_in) for key in (keys.encryption, keys.authentication)
    }
    assert len(everything) == 8
    assert len({*ours.drop_ids, *take(alice, START + 1).drop_ids}) == 4


def test_drops_are_for_an_epoch_and_keys_for_a_round() -> None:
    alice, bob = both()
    assert len(take(alice, START).drop_ids) == 2
    take(bob, START)
    ours, theirs = (side.take_round(START + 1, sets_up=False) for side in (alice, bob))
    assert ours.drop_ids == theirs.drop_ids == ()
    assert ours.keys_out == theirs.keys_in


@pytest.mark.parametrize(("epoch_rounds", "patience"), [(1, 10), (4, 10), (5, 11), (10, 21), (120, 241)])
def test_patience_outlasts_two_setups_that_are_lost_and_ends_before_a_chain_is_given_up(
    epoch_rounds: int, patience: int
) -> None:
    assert patience_for(epoch_rounds) == patience
    assert 2 * epoch_rounds < patience < MAX_GAP


def test_an_agreement_that_was_given_up_is_resumed_with_its_chain() -> None:
    alice, bob = both()
    for side in (alice, bob):
        side.lapse()
        assert side.has_no_key_for(START - 1)
        assert not any(side.is_posting(number) for number in range(START, START + 3 * PATIENCE))
    assert alice.newest_common(bob.chain_ids()) == alice.current.chain_id
    for side in (alice, bob):
        side.resume(alice.current.chain_id, START + 7)
    exchange(alice, bob, START + 7)


def test_a_round_that_is_over_cannot_be_taken_again() -> None:
    alice, _ = both()
    take(alice, START)
    with pytest.raises(ValueError, match="does not go back"):
        take(alice, START)


def test_a_gap_costs_nothing_until_it_is_too_long() -> None:
    alice, bob = both()
    assert take(alice, START + MAX_GAP).drop_ids == take(bob, START + MAX_GAP).drop_ids
    with pytest.raises(StoreError, match="asleep"):
        take(alice, START + 2 * MAX_GAP + 2)


def test_a_skipped_round_cannot_be_opened_any_more() -> None:
    alice, _ = both()
    alice.skip_round(START - 1)
    assert alice.current.round_number == START, "before the chain begins there is nothing to skip"
    alice.skip_round(START)
    assert alice.current.round_number == START + 1
    alice.skip_round(START + 2 * MAX_GAP)
    assert alice.current.round_number == START + 1, "what is too far away is given up in take_round"


def test_posting_goes_on_for_the_patience_after_the_last_word_and_not_before_the_start() -> None:
    alice, _ = both()
    assert alice.begins_after(START - 1)
    assert not alice.begins_after(START)
    posting = [number for number in range(START - 5, START + 2 * PATIENCE) if alice.is_posting(number)]
    assert posting == list(range(START, START + PATIENCE))
    alice.heard(START + 3, IDLE)
    alice.heard(START + 2, IDLE)
    assert alice.last_heard == START + 3


# -- renewal --------------------------------------------------------------------------------------------


def test_both_switch_to_a_new_secret_in_the_same_round() -> None:
    alice, bob = both()
    old = alice.current.chain_id
    exchange(alice, bob, START)
    assert (phase(alice), phase(bob)) == (RenewalPhase.PROPOSE, RenewalPhase.READY)
    exchange(alice, bob, START + 1)
    assert phase(alice) is RenewalPhase.COMMIT
    switch = START + 1 + PATIENCE + 1
    for number in range(START + 2, switch):
        exchange(alice, bob, number)
    assert alice.current.chain_id == bob.current.chain_id == old
    exchange(alice, bob, switch)
    assert alice.current.chain_id == bob.current.chain_id != old
    assert alice.previous is bob.previous is None
    exchange(alice, bob, switch + 1)
    assert phase(alice) is RenewalPhase.PROPOSE


def test_the_listener_proposes_nothing() -> None:
    _, bob = both()
    assert bob.stamp(IDLE) == IDLE


def test_a_proposal_heard_twice_is_adopted_once_and_a_new_one_anew() -> None:
    alice, bob = both()
    proposal = alice.stamp(IDLE)
    bob.heard(START, proposal)
    ready = bob.next
    bob.heard(START + 1, proposal)
    assert bob.next is ready
    alice.generate()
    bob.heard(START + 2, alice.stamp(IDLE))
    assert bob.next is not None
    assert bob.next is not ready


def test_the_generator_waits_for_readiness() -> None:
    alice, _ = both()
    alice.stamp(IDLE)
    proposal = alice.next
    alice.heard(START, IDLE)
    assert alice.next is proposal


def test_readiness_without_a_proposal_is_nothing() -> None:
    alice, bob = both()
    bob.listener_update(X25519PrivateKey.generate().public_key().public_bytes_raw())
    alice.heard(START, bob.stamp(IDLE))
    assert alice.next is None


def test_readiness_for_an_older_proposal_is_not_taken() -> None:
    alice, bob = both()
    bob.heard(START, alice.stamp(IDLE))
    alice.generate()
    alice.heard(START + 1, bob.stamp(IDLE))
    assert phase(alice) is RenewalPhase.PROPOSE


def test_readiness_with_a_key_of_small_order_is_refused_and_the_peer_was_heard() -> None:
    alice, bob = both()
    bob.heard(START, alice.stamp(IDLE))
    proposal = alice.next
    with pytest.raises(PeerMessageError):
        alice.heard(START + 1, replace(bob.stamp(IDLE), renewal_key=SMALL_ORDER))
    assert alice.next is proposal
    assert alice.last_heard == START + 1


def test_a_proposal_of_small_order_is_refused() -> None:
    _, bob = both()
    with pytest.raises(PeerMessageError):
        bob.heard(START, PeerMessage(renewal_phase=RenewalPhase.PROPOSE, renewal_key=SMALL_ORDER))
    assert bob.next is None


def committed() -> tuple[DeadDropSync, PeerMessage]:
    """Bob, ready and not told, and what alice says in the next round (102) when she commits."""
    alice, bob = both()
    exchange(alice, bob, START)
    exchange(alice, bob, START + 1, lost="alice")
    return bob, alice.stamp(IDLE)


def test_a_commitment_is_kept_to_whatever_is_said_later() -> None:
    bob, commitment = committed()
    assert commitment.renewal_round == START + PATIENCE + 2
    bob.heard(START + 2, commitment)
    bob.heard(START + 3, replace(commitment, renewal_round=START + 4))
    assert bob.next is not None
    assert bob.next.switch_round == START + PATIENCE + 2


@pytest.mark.parametrize("away", [-(START + 2), -1, 0, PATIENCE + 1, 2**40])
def test_a_commitment_to_a_round_no_honest_peer_chooses_is_refused(away: int) -> None:
    bob, commitment = committed()
    with pytest.raises(PeerMessageError, match="round"):
        bob.heard(START + 2, replace(commitment, renewal_round=START + 2 + away))
    assert bob.next is not None
    assert bob.next.switch_round == 0


def test_a_commitment_to_another_key_is_refused() -> None:
    bob, commitment = committed()
    with pytest.raises(PeerMessageError, match="proposed"):
        bob.heard(START + 2, replace(commitment, renewal_key=bytes(31) + b"\1"))


def test_a_commitment_out_of_nowhere_is_nothing() -> None:
    _, bob = both()
    _, commitment = committed()
    bob.heard(START + 2, commitment)
    assert bob.next is None


def test_the_renewed_chain_needs_the_secret_and_not_only_what_was_said() -> None:
    chains = set()
    for _ in range(2):
        alice, bob = both()
        exchange(alice, bob, START)
        exchange(alice, bob, START + 1)
        take(alice, START + PATIENCE + 2)
        chains.add(alice.current.key)
    assert len(chains) == 2


# -- parting and finding together -----------------------------------------------------------------------


def parted() -> tuple[DeadDropSync, DeadDropSync, int]:
    """Alice has switched, bob never heard the commitment; the first round in which neither posts."""
    alice, bob = both()
    exchange(alice, bob, START)
    exchange(alice, bob, START + 1)
    bob.next = None if bob.next is None else replace(bob.next, switch_round=0)
    for number in range(START + 2, START + 3 * PATIENCE):
        posting = alice.is_posting(number), bob.is_posting(number)
        ours, theirs = take(alice, number), take(bob, number)
        if all(posting):
            assert ours.drop_ids == theirs.drop_ids
            alice.heard(number, bob.stamp(IDLE))
        elif not any(posting):
            return alice, bob, number
    raise AssertionError("they never stop")


def test_who_misses_the_commitment_stops_before_the_peer_switches_and_both_resume_the_old_chain() -> None:
    alice, bob, number = parted()
    assert alice.current.chain_id != bob.current.chain_id
    assert (
        alice.newest_common(bob.chain_ids()) == bob.newest_common(alice.chain_ids()) == bob.current.chain_id
    )
    for side in (alice, bob):
        side.resume(bob.current.chain_id, number + 2)
        assert side.begins_after(number + 1)
    assert alice.previous is alice.next is bob.next is None
    exchange(alice, bob, number + 2)


def test_the_newest_chain_both_hold_is_the_one_to_resume() -> None:
    alice, bob, number = parted()
    assert len(alice.chain_ids()) == 2
    newest = alice.chain_ids()[0]
    assert alice.newest_common(alice.chain_ids()) == newest
    alice.resume(newest, number + 2)
    assert alice.chain_ids() == (newest,)
    assert alice.newest_common(bob.chain_ids()) is None


def test_the_old_chain_is_kept_until_a_message_under_the_new_one_authenticates() -> None:
    alice, bob = both()
    exchange(alice, bob, START)
    exchange(alice, bob, START + 1)
    switch = START + PATIENCE + 2
    for number in range(START + 2, switch):
        exchange(alice, bob, number)
    assert alice.previous is None
    exchange(alice, bob, switch, lost="bob")
    assert alice.previous is not None
    assert bob.previous is None
    exchange(alice, bob, switch + 1)
    assert alice.previous is None


def test_a_message_of_the_last_round_before_a_switch_does_not_drop_the_old_chain() -> None:
    """Fixed: the state stood behind the switch as soon as the round before it was taken."""
    alice, bob = both()
    old = alice.current.chain_id
    exchange(alice, bob, START)
    exchange(alice, bob, START + 1)
    switch = START + PATIENCE + 2
    take(alice, switch - 1)
    alice.heard(switch - 1, bob.stamp(IDLE))
    assert alice.chain_ids() == (old,)
    take(alice, switch)
    assert len(alice.chain_ids()) == 2


# -- keeping --------------------------------------------------------------------------------------------


def kept(sync: DeadDropSync) -> DeadDropSync:
    return DeadDropSync.from_state(json.loads(json.dumps(sync.to_state())), sync.patience)


def test_every_state_survives_the_disk() -> None:
    alice, bob = both()
    for number in range(START, START + 2 * PATIENCE):
        exchange(alice, bob, number, lost="bob" if number > START + PATIENCE else "")
        assert kept(alice).to_state() == alice.to_state()
        alice, bob = kept(alice), kept(bob)
    assert alice.previous is not None


@pytest.mark.parametrize(
    "damage",
    [
        {"conversation": "not hex"},
        {"conversation": 7},
        {"role": 2},
        {"last_heard": None},
        {"last_heard": math.inf},
        {"current": {}},
        {"current": None},
        {"previous": {"chain_id": "00"}},
        {"next": {"phase": 9}},
        {"next": []},
    ],
)
def test_a_damaged_state_is_said_to_be(damage: dict[str, Any]) -> None:
    alice, _ = both()
    with pytest.raises(StoreError, match="damaged"):
        DeadDropSync.from_state({**alice.to_state(), **damage}, PATIENCE)


@pytest.mark.parametrize("missing", ["conversation", "role", "last_heard", "current", "previous", "next"])
def test_a_state_with_a_part_missing_is_damaged(missing: str) -> None:
    alice, _ = both()
    state = alice.to_state()
    del state[missing]
    with pytest.raises(StoreError, match="damaged"):
        DeadDropSync.from_state(state, PATIENCE)


def test_no_secret_shows_in_a_log() -> None:
    alice, bob = both()
    exchange(alice, bob, START)
    exchange(alice, bob, START + 1)
    keys = take(alice, START + 2)
    shown = repr([alice.current, alice.next, keys, SecretChain.start(ROOT, START)])
    assert alice.next is not None
    secrets = [alice.current.key, alice.next.shared, *keys.drop_ids, keys.keys_out[0].encryption]
    assert not any(repr(secret)[2:-1] in shown for secret in secrets)


# -- hostile peers --------------------------------------------------------------------------------------

_hostile = st.builds(
    PeerMessage,
    renewal_phase=st.sampled_from(RenewalPhase),
    renewal_round=st.one_of(st.integers(0, 2**64 - 1), st.integers(START, START + 3 * PATIENCE)),
    renewal_key=st.one_of(st.binary(min_size=32, max_size=32), st.sampled_from([SMALL_ORDER, b"\1" * 32])),
)


@settings(max_examples=examples(50))
@given(st.lists(_hostile, max_size=30), st.sampled_from(Direction))
def test_whatever_a_peer_says_of_renewal_the_next_round_can_be_taken_and_kept(
    said: list[PeerMessage], role: Direction
) -> None:
    sync = DeadDropSync.start(ROOT, role, START, PATIENCE)
    for number, message in enumerate(said, START):
        take(sync, number)
        sync.stamp(IDLE)
        try:
            sync.heard(number, message)
        except PeerMessageError:
            assert sync.last_heard == number
        sync = kept(sync)
