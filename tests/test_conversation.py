"""``Conversation`` by example: what a person does, what a peer may do, and what a bundle decides."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest

from iirs.client.conversation import HANG_UP_ROUNDS
from iirs.client.events import PeerState
from iirs.client.invitations import Ask, Invitation, InvitationKind
from iirs.client.sync import MAX_GAP, patience_for
from iirs.errors import StoreError
from iirs.message import ContentKind
from tests.pair import Pair
from tests.pair_values import INVITE_EVERY, Back, Fate, Lot, Moment

PATIENCE = patience_for(1)
NOBODY_HEARS = Fate((Lot(in_time=False), Lot(in_time=False)))


def states(pair: Pair) -> tuple[PeerState, PeerState]:
    alice, bob = pair.sides
    return alice.conversation.state(pair.number), bob.conversation.state(pair.number)


def until_invitations(pair: Pair) -> None:
    """Play until the next round is one with invitations."""
    while not pair.shown().has_invitations:
        pair.play()


# -- from asking to ending ------------------------------------------------------------------------------


def test_a_conversation_goes_through_its_states() -> None:
    pair = Pair()
    assert states(pair) == (PeerState.IDLE, PeerState.IDLE)
    pair.want()
    assert states(pair) == (PeerState.ASKING, PeerState.ASKING)
    until_invitations(pair)
    pair.play()
    assert states(pair) == (PeerState.AGREED, PeerState.AGREED)
    pair.run(2)
    assert states(pair) == (PeerState.CONNECTED, PeerState.CONNECTED)
    pair.play(NOBODY_HEARS)
    pair.play(Fate((Lot(back=Back.LOST), Lot(back=Back.LOST))))
    assert states(pair) == (PeerState.QUIET, PeerState.QUIET)
    pair.run(PATIENCE, Fate((Lot(blocked=(True, True)), Lot(blocked=(True, True)))))
    assert states(pair) == (PeerState.RESUMING, PeerState.RESUMING)
    pair.run(INVITE_EVERY + 2)
    assert states(pair) == (PeerState.CONNECTED, PeerState.CONNECTED)
    pair.sides[0].do("hang up")
    pair.play()
    assert states(pair) == (PeerState.ENDING, PeerState.ENDING)
    pair.run(HANG_UP_ROUNDS)
    assert states(pair) == (PeerState.IDLE, PeerState.ENDED)


@pytest.mark.parametrize("invite_every", [1, 2, 3, 5])
def test_short_intervals_between_bundles_do_not_put_the_start_off(invite_every: int) -> None:
    """Fixed: each bundle agreed anew to start two rounds later."""
    pair = Pair(invite_every)
    pair.talk(2 * invite_every + 2)
    assert all(record.heard == {0, 1} for record in pair.run(30))


def test_a_round_lost_at_the_start_is_asked_about_again() -> None:
    pair = Pair()
    pair.want()
    pair.run(INVITE_EVERY)
    pair.run(INVITE_EVERY - 2, NOBODY_HEARS)
    record = pair.play()
    assert record.heard == record.invited == {0, 1}
    assert pair.play().drops == {}, "both have agreed anew, whatever else the round has brought"
    assert all(record.heard == {0, 1} for record in pair.run(20))


def test_who_alone_heard_in_the_round_of_the_bundle_agrees_anew_with_the_peer() -> None:
    """Fixed: it took back the wish, and was alone at the drops while the peer waited for the new start."""
    pair = Pair()
    pair.want()
    pair.run(INVITE_EVERY)
    pair.run(INVITE_EVERY - 2, NOBODY_HEARS)
    assert pair.play(Fate((Lot(blocked=(True, True)), Lot()))).heard == {0}
    assert pair.play().drops == {}
    assert all(record.heard == {0, 1} for record in pair.run(20))


def test_who_changes_their_mind_while_the_invitation_is_out_begins_and_leaves_with_the_peer() -> None:
    """Fixed: the peer was left alone at the drops for as long as its patience."""
    pair = Pair()
    pair.want()
    until_invitations(pair)
    pair.play(Fate((Lot(does={Moment.UPLOADED: "hang up"}), Lot())))
    assert states(pair) == (PeerState.ENDING, PeerState.AGREED)
    records = pair.run(2 + HANG_UP_ROUNDS)
    assert [sorted(record.drops) for record in records] == [[], *[[0, 1]] * HANG_UP_ROUNDS, []]
    assert states(pair) == (PeerState.IDLE, PeerState.ENDED)


def test_who_hangs_up_before_the_first_round_begins_and_leaves_with_the_peer() -> None:
    pair = Pair()
    pair.want()
    until_invitations(pair)
    pair.play()
    pair.sides[0].do("hang up")
    records = pair.run(2 + HANG_UP_ROUNDS)
    assert [sorted(record.drops) for record in records] == [[], *[[0, 1]] * HANG_UP_ROUNDS, []]


def test_an_end_is_counted_from_the_message_that_first_says_it() -> None:
    """Fixed: named before the open round was built, it was said one round early and shortened by the peer."""
    pair = Pair()
    pair.talk()
    pair.sides[0].do("hang up")
    pair.play(Fate((Lot(), Lot())))
    records = pair.run(HANG_UP_ROUNDS, Fate((Lot(), Lot(blocked=(True, True)))))
    assert [sorted(record.drops) for record in records] == [[0, 1]] * (HANG_UP_ROUNDS - 1) + [[]]


def test_an_end_is_said_even_if_the_next_rounds_are_not_executed() -> None:
    pair = Pair()
    pair.talk()
    pair.sides[0].do("hang up")
    record = pair.play(Fate(jump=HANG_UP_ROUNDS + 2))
    assert sorted(record.drops) == [0, 1]
    assert states(pair) == (PeerState.ENDING, PeerState.ENDING)


def test_who_hangs_up_and_asks_again_before_it_is_said_goes_on() -> None:
    pair = Pair()
    pair.talk()
    pair.sides[0].do("hang up")
    pair.sides[0].do("want")
    assert all(record.heard == {0, 1} for record in pair.run(2 * HANG_UP_ROUNDS))


def test_who_asks_again_after_it_is_said_ends_and_asks_anew() -> None:
    pair = Pair()
    pair.talk()
    first = pair.sides[0].conversation.chat.conversation
    pair.sides[0].do("hang up")
    pair.play()
    for side in pair.sides:
        side.do("want")
    assert states(pair) == (PeerState.ENDING, PeerState.ENDING)
    pair.run(HANG_UP_ROUNDS + INVITE_EVERY + 2)
    assert states(pair) == (PeerState.CONNECTED, PeerState.CONNECTED)
    assert pair.sides[0].conversation.chat.conversation != first


def test_who_hangs_up_while_resuming_ends_in_the_next_round() -> None:
    pair = Pair()
    pair.talk()
    pair.run(PATIENCE + 1, NOBODY_HEARS)
    pair.sides[0].do("hang up")
    pair.play()
    assert states(pair) == (PeerState.IDLE, PeerState.RESUMING)
    assert pair.sides[0].conversation.needs_slot, "the end is still to be said"
    assert not pair.sides[0].conversation.holds_slot
    pair.run(INVITE_EVERY)
    assert states(pair) == (PeerState.IDLE, PeerState.ENDED)


def test_to_ask_again_takes_back_the_end_that_was_to_be_said() -> None:
    """Fixed: two bundles went by before the wish was posted."""
    pair = Pair()
    pair.talk()
    pair.run(PATIENCE + 1, NOBODY_HEARS)
    pair.sides[0].do("hang up")
    pair.play()
    pair.sides[0].do("want")
    pair.run(INVITE_EVERY + 2)
    assert states(pair) == (PeerState.CONNECTED, PeerState.CONNECTED)


# -- epochs of several rounds ---------------------------------------------------------------------------


def in_epochs() -> Pair:
    """Two who talk, at the end of an epoch of four rounds."""
    pair = Pair(2, 4)
    pair.talk()
    pair.run(3 - pair.into)
    return pair


def test_drops_are_left_at_the_first_setup_after_an_end_and_not_before() -> None:
    for hangs_up_after in range(4):
        pair = in_epochs()
        records = pair.run(hangs_up_after)
        pair.sides[0].do("hang up")
        records += pair.run(12)
        setups = [sorted(record.drops) for record in records if record.is_setup]
        assert setups == [[0, 1]] * (1 + (hangs_up_after > 1)) + [[]] * (
            len(setups) - 1 - (hangs_up_after > 1)
        )
        talking = [len(record.talking) for record in records[hangs_up_after:]]
        assert talking == [2] * HANG_UP_ROUNDS + [0] * (12 - HANG_UP_ROUNDS)
        assert states(pair) == (PeerState.IDLE, PeerState.ENDED)


def test_a_late_upload_costs_the_peer_a_round_and_oneself_nothing() -> None:
    pair = in_epochs()
    late = Fate((Lot(in_time=False), Lot()))
    heard = [pair.play(late if number in (1, 2) else Fate()).heard for number in range(4)]
    assert heard == [{0, 1}, {0}, {0}, {0, 1}]


def test_a_late_setup_costs_both_the_epoch_and_no_more() -> None:
    pair = in_epochs()
    records = [*pair.play_epoch(Fate((Lot(in_time=False), Lot()))), *pair.play_epoch()]
    assert [record.heard for record in records] == [set()] * 4 + [{0, 1}] * 4
    assert set(records[0].accesses.values()) == {1}, "bob is alone in both drops"


def test_whoever_is_restarted_speaks_again_from_the_next_setup_on() -> None:
    pair = in_epochs()
    pair.play()
    records = [pair.play(Fate((Lot(restarts=Moment.BEFORE), Lot()))), *pair.run(6)]
    assert [len(record.talking) for record in records] == [1, 1, 1, 2, 2, 2, 2]
    assert [record.heard for record in records] == [set()] * 3 + [{0, 1}] * 4


def test_whoever_reconnects_goes_on_in_the_same_epoch() -> None:
    pair = in_epochs()
    pair.play()
    pair.play(Fate((Lot(online=False), Lot())))
    assert pair.play().heard == {0, 1}


def test_a_setup_that_is_forced_or_lost_costs_no_more_than_its_round() -> None:
    pair = in_epochs()
    pair.play()
    assert pair.play(Fate(forced=True)).heard == {0, 1}
    assert pair.play(Fate(forced=True, lost=True)).heard == set()
    again = pair.play()
    assert again.is_setup
    assert again.heard == {0, 1}


def test_who_stops_before_the_start_that_a_bundle_named_does_not_begin_there() -> None:
    """Fixed: it crashed on a round before that start, whose keys it does not have."""
    pair = Pair(1, 4)
    pair.want()
    while not pair.last.invited if pair.records else True:
        pair.play()
    assert pair.play(Fate((Lot(restarts=Moment.BEFORE), Lot()))).talking == set()
    pair.run(4)
    assert pair.last.heard in (set(), {0, 1})


# -- what a bundle decides ------------------------------------------------------------------------------


def test_somebody_we_are_not_asking_for_is_reported_and_nothing_is_answered() -> None:
    pair = Pair()
    assert _say(pair, InvitationKind.TALK) == [True]
    assert not pair.sides[0].conversation.needs_slot
    pair.sides[0].do("want")
    pair.number += 1
    assert _say(pair, InvitationKind.TALK) == [False]


def test_replies_that_come_after_the_bundle_they_belong_before_are_a_loss() -> None:
    """A server may send frames in any order: old messages must not reach the numbering of a new agreement."""
    pair = Pair()
    pair.want()
    pair.run(INVITE_EVERY)
    pair.run(INVITE_EVERY - 2, NOBODY_HEARS)
    alice, bob = pair.sides
    number = pair.number + 1
    posted = [side.conversation.prepare(pair.shown(), False) for side in pair.sides]
    sealed = [side.conversation.invitation(number, side.prekeys) for side in pair.sides]
    assert posted[0] is not None
    assert posted[1] is not None
    bundle = frozenset(item for item in sealed if item is not None)
    alice.take_bundle(number, bundle)
    gathered = alice.conversation.gather(number, posted[0], list(posted[1].sealed))
    assert not gathered.heard
    assert not alice.conversation.confirmed
    assert bob.conversation.gather(number, posted[1], list(posted[0].sealed)).heard


def test_the_same_bundle_twice_decides_once() -> None:
    pair = Pair()
    pair.want()
    until_invitations(pair)
    alice = pair.sides[0]
    take = alice.take_bundle

    def twice(number: int, bundle: frozenset[bytes]) -> list[bool]:
        take(number, bundle)
        before = alice.disk
        met = take(number, bundle)
        assert alice.disk == before
        return met

    alice.take_bundle = twice  # type: ignore[method-assign]
    pair.play()
    assert all(record.heard == {0, 1} for record in pair.run(10)[1:])


def test_an_invitation_is_nothing_if_our_own_is_not_in_the_bundle() -> None:
    pair = Pair()
    pair.want()
    until_invitations(pair)
    alice = pair.sides[0]
    take = alice.take_bundle

    def without_ours(number: int, bundle: frozenset[bytes]) -> list[bool]:
        out = alice.conversation._out
        assert out is not None
        return take(number, bundle - {out.sealed})

    alice.take_bundle = without_ours  # type: ignore[method-assign]
    pair.play()
    assert states(pair) == (PeerState.ASKING, PeerState.AGREED)


def _say(pair: Pair, kind: InvitationKind, **fields: Any) -> list[bool]:
    """Have bob post something of his own making, and alice meet it in the bundle of the next round."""
    alice, bob = pair.sides
    number = pair.number + 1
    ask = Ask.create(0, os.urandom)
    values: dict[str, Any] = {
        "conversation": bytes(16),
        "chain_ids": (),
        "ephemeral": ask.ephemeral,
        **fields,
    }
    invitation = Invitation(
        kind,
        1,
        values["conversation"],
        0,
        values["ephemeral"],
        ask.seed,
        number,
        values["chain_ids"],
        bob.own_prekeys.ids,
    )
    alice.conversation.prepare(pair.shown(), False)
    out = alice.conversation.invitation(number, alice.prekeys)
    theirs = invitation.seal(bob.directory, bob.identity, bob.directory.entries[0], alice.prekey)
    return alice.take_bundle(number, frozenset([theirs, *([out] if out else [])]))


def test_an_end_counts_only_for_the_conversation_it_names() -> None:
    pair = Pair()
    pair.talk()
    _say(pair, InvitationKind.END, conversation=os.urandom(16))
    assert states(pair)[0] is PeerState.CONNECTED
    pair.number += 1
    _say(pair, InvitationKind.END, conversation=pair.sides[0].conversation.chat.conversation)
    assert states(pair)[0] is PeerState.ENDED


def test_an_end_for_somebody_without_a_conversation_is_nothing() -> None:
    pair = Pair()
    _say(pair, InvitationKind.END)
    assert states(pair)[0] is PeerState.IDLE


def test_a_wish_with_a_key_of_small_order_is_not_agreed_to() -> None:
    pair = Pair()
    pair.sides[0].do("want")
    _say(pair, InvitationKind.TALK, ephemeral=bytes(32))
    assert states(pair)[0] is PeerState.ASKING


def test_a_wish_to_resume_a_chain_we_do_not_hold_begins_anew() -> None:
    pair = Pair()
    pair.talk()
    pair.run(PATIENCE + 1, NOBODY_HEARS)
    held = pair.sides[0].conversation.chat.conversation
    _say(pair, InvitationKind.TALK, chain_ids=(os.urandom(16),) * 4)
    assert states(pair)[0] is PeerState.AGREED
    assert pair.sides[0].conversation.chat.conversation != held


# -- what a peer may say --------------------------------------------------------------------------------


@pytest.mark.parametrize(("named", "distance"), [(2**40, HANG_UP_ROUNDS), (1, 1)])
def test_a_peer_can_neither_keep_us_posting_for_long_nor_end_in_the_past(named: int, distance: int) -> None:
    pair = Pair()
    pair.talk()
    alice = pair.sides[0].conversation
    for _ in range(2):
        alice._peer_ends(pair.number, named)
        assert alice.end_round == pair.number + distance
    assert states(pair)[0] is PeerState.ENDING


@pytest.mark.parametrize("noise", [1, 2])
def test_what_is_neither_ours_nor_the_peers_is_a_loss_and_noticed_in_one_drop_alone(noise: int) -> None:
    """In both, it may stand for a peer whose upload was late."""
    pair = Pair()
    pair.talk()
    alice = pair.sides[0]
    number = pair.number + 1
    posted = alice.conversation.prepare(pair.shown(), False)
    assert posted is not None
    own_and_noise = [*posted.sealed[noise:], *(os.urandom(1024) for _ in range(noise))]
    if noise == 1:
        own_and_noise.reverse()
    gathered = alice.conversation.gather(number, posted, own_and_noise)
    assert (gathered.heard, gathered.altered) == (False, noise == 1)
    assert alice.conversation.state(number) is PeerState.QUIET


@pytest.mark.parametrize("missing", [0, 1])
def test_a_peer_in_only_one_of_the_two_drops_was_tampered_with(missing: int) -> None:
    pair = Pair()
    pair.talk()
    alice, bob = pair.sides
    number = pair.number + 1
    posted, theirs = (side.conversation.prepare(pair.shown(), False) for side in (alice, bob))
    assert posted is not None
    assert theirs is not None
    replies = list(theirs.sealed)
    replies[missing] = posted.sealed[missing]
    gathered = alice.conversation.gather(number, posted, replies)
    assert (gathered.heard, gathered.altered) == (True, True)


def test_a_peer_in_both_drops_or_in_none_was_not() -> None:
    for heard in (True, False):
        pair = Pair()
        pair.talk()
        alice, bob = pair.sides
        number = pair.number + 1
        posted, theirs = (side.conversation.prepare(pair.shown(), False) for side in (alice, bob))
        assert posted is not None
        assert theirs is not None
        gathered = alice.conversation.gather(number, posted, list((theirs if heard else posted).sealed))
        assert (gathered.heard, gathered.altered) == (heard, False)


def test_our_own_message_from_the_other_drop_is_not_taken_for_the_peers() -> None:
    pair = Pair()
    pair.talk()
    alice = pair.sides[0]
    posted = alice.conversation.prepare(pair.shown(), False)
    assert posted is not None
    gathered = alice.conversation.gather(pair.number + 1, posted, list(posted.sealed[::-1]))
    assert not gathered.heard
    assert alice.conversation.state(pair.number + 1) is PeerState.QUIET


def test_a_head_that_differs_is_proved_in_a_message_that_has_nothing_else_to_say() -> None:
    pair = Pair()
    pair.talk()
    alice = pair.sides[0]
    alice.conversation.heads_differ = True
    posted = alice.conversation.prepare(pair.shown(), False)
    assert posted is not None
    assert [message.kind for message in posted.messages] == [ContentKind.IDLE, ContentKind.HEAD_PROOF]
    assert posted.messages[1].payload == pair._head.encode()


def test_a_proof_goes_out_every_fourth_round_even_if_texts_have_to_wait() -> None:
    pair = Pair()
    pair.talk()
    alice = pair.sides[0]
    alice.conversation.heads_differ = True
    alice.conversation.chat.send("x" * 20_000, 0)
    proofs = 0
    for _ in range(8):
        posted = alice.conversation.prepare(pair.shown(), False)
        assert posted is not None
        pair.number += 1
        proofs += ContentKind.HEAD_PROOF in [message.kind for message in posted.messages]
    assert proofs == 2


# -- keeping --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        {"sync": {}},
        {"sync": 3},
        {"ended_conversation": 7},
        {"end_invitations": "few"},
        {"end_invitations": math.inf},
    ],
)
def test_a_damaged_state_is_said_to_be(damage: dict[str, Any]) -> None:
    alice = Pair().sides[0]
    with pytest.raises(StoreError, match="damaged"):
        alice._make({"sync": {**alice.conversation.to_state(), **damage}})


def test_a_state_with_a_part_missing_is_damaged() -> None:
    pair = Pair()
    pair.talk()
    alice = pair.sides[0]
    for part in alice.conversation.to_state().keys() - {"begun"}:
        state = alice.conversation.to_state()
        del state[part]
        with pytest.raises(StoreError, match="damaged"):
            alice._make({"sync": state})


def test_a_state_kept_before_there_were_epochs_goes_on() -> None:
    pair = Pair()
    pair.talk()
    for side in pair.sides:
        del side._kept["sync"]["begun"]
        side.restart()
    assert all(record.heard == {0, 1} for record in pair.run(5))


def test_a_conversation_that_was_asleep_for_too_long_starts_over() -> None:
    pair = Pair()
    pair.talk()
    first = pair.sides[0].conversation.chat.conversation
    pair.play(Fate(jump=MAX_GAP + 2))
    assert states(pair) == (PeerState.ASKING, PeerState.ASKING)
    pair.run(INVITE_EVERY + 2)
    assert states(pair) == (PeerState.CONNECTED, PeerState.CONNECTED)
    assert pair.sides[0].conversation.chat.conversation != first
