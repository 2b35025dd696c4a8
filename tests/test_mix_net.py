"""The mix net in one process: clients, entry, later hops and dead drops, every part in its real order."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.errors import ChainError, OnionError, PeerError
from iirs.geometry import CELL_SIZE, INVITATION_SIZE, BatchKind
from iirs.onion import EntryChannel, cover_invitation, wrap
from iirs.permutation import random_permutation
from iirs.server.deaddrop import DeadDropManager, DeaddropMessage, GarbageCollector
from iirs.server.hops.mix_hop import MixHop
from iirs.server.mix_net import Collected, RoundOutcome
from iirs.server.mix_stage import Batch, MixStage, _distinct, shuffle, unshuffle
from iirs.suite import HYBRID, KeyPair
from iirs.wire.rounds import Bundle, Replies, RoundStatus, Upload
from tests.builders import BOTH_SUITES
from tests.pure_chain import CELL, FIRST, INVITE, SETUP, Client, Net, Permute, drop, text

CHAINS = [(1, "X25519"), (1, "MLKEM768_X25519"), (3, "X25519"), (3, "MLKEM768_X25519")]
every_chain = pytest.mark.parametrize(("hops", "suite"), CHAINS)
Request = tuple[bytes, bytes]
"""A dead drop, and what is sent there."""


def four_requests(name: str, first: str = "one", second: str = "two") -> list[Request]:
    """Return a talking slot (two shared drops) and an idle one (both to one drop of its own)."""
    drops = (first, second, f"own {name}", f"own {name}")
    return [(drop(where), text(f"{name} {place}")) for place, where in enumerate(drops)]


def two_who_talk(net: Net, number: int = FIRST) -> tuple[Client, Client, dict[str, Upload]]:
    alice, bob = Client(net, "alice"), Client(net, "bob")
    uploads = {
        client.name: client.upload(four_requests(client.name), number=number) for client in (alice, bob)
    }
    return alice, bob, uploads


def sizes(replies: Replies) -> list[int]:
    return [len(cell) for cell in replies.cells]


# -- rounds that go well ---------------------------------------------------------------------------


@every_chain
def test_replies_come_back_to_the_right_client_in_the_order_of_the_requests(hops: int, suite: str) -> None:
    net = Net(hops, suite)
    alice, bob, uploads = two_who_talk(net)
    outcome = net.run([alice, bob], uploads)
    assert alice.open(outcome.replies["alice"]) == [text(w) for w in ("bob 0", "bob 1", "alice 3", "alice 2")]
    assert bob.open(outcome.replies["bob"]) == [text(w) for w in ("alice 0", "alice 1", "bob 3", "bob 2")]
    assert {replies.status for replies in outcome.replies.values()} == {RoundStatus.DONE}
    assert (outcome.uploads, outcome.late, outcome.lost, outcome.bundle) == (2, 0, False, None)
    assert net.histograms == [Counter({2: 4})]


@every_chain
def test_whoever_is_alone_in_a_shared_drop_gets_the_own_message_back(hops: int, suite: str) -> None:
    net = Net(hops, suite)
    alice, bob, uploads = two_who_talk(net)
    outcome = net.run([alice, bob], {"alice": uploads["alice"]})
    assert alice.open(outcome.replies["alice"])[:2] == [text("alice 0"), text("alice 1")]
    assert net.histograms == [Counter({1: 2, 2: 1})]


@every_chain
def test_sizes_on_the_way_are_those_of_the_geometry(hops: int, suite: str) -> None:
    net = Net(hops, suite)
    alice, bob, uploads = two_who_talk(net)
    outcome = net.run([alice, bob], uploads)
    for upload in uploads.values():
        setup, cells = upload.encode()
        assert (len(setup.body), len(cells.body)) == (net.geometry.setup_size, net.geometry.upload_size)
    for hop, tap in net.taps.items():
        remaining = net.geometry.hops - 1 - hop
        for kind in (SETUP, CELL):
            (batch,) = tap.of(kind)
            assert {len(item) for item in batch.items} == {net.geometry.item_size(remaining, kind)}
    for replies in outcome.replies.values():
        assert len(replies.encode().body) == net.geometry.replies_size


@every_chain
def test_an_epoch_goes_on_without_public_keys_and_joins_the_same_people(hops: int, suite: str) -> None:
    net = Net(hops, suite)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    net.pairs.clear()
    for number in (61, 62, 75):
        uploads = {
            client.name: client.upload(
                [(b"", text(f"{client.name} in {number}, {place}")) for place in range(4)],
                number=number,
                sets_up=False,
            )
            for client in (alice, bob)
        }
        outcome = net.run([alice, bob], uploads, number=number, sets_up=False)
        assert alice.open(outcome.replies["alice"]) == [
            text(f"{who} in {number}, {place}")
            for who, place in (("bob", 0), ("bob", 1), ("alice", 3), ("alice", 2))
        ]
    assert net.histograms == [Counter({2: 4})]


# -- the shuffle -----------------------------------------------------------------------------------


def backwards(count: int) -> list[int]:
    return list(range(count))[::-1]


def in_order(count: int) -> list[int]:
    return list(range(count))


@pytest.mark.parametrize("hops", [1, 3])
@pytest.mark.parametrize("permute", [in_order, backwards, lambda count: [2, 0, 1, *range(3, count)]])
def test_the_permutation_is_applied_at_every_hop_and_undone_on_the_way_back(
    hops: int, permute: Permute
) -> None:
    net = Net(hops, permute=permute)
    alice, bob, uploads = two_who_talk(net)
    outcome = net.run([alice, bob], uploads)
    expected = four_requests("alice") + four_requests("bob")
    for _ in range(hops):
        expected = [expected[position] for position in permute(8)]
    for place, kind in enumerate((SETUP, CELL)):
        assert list(net.last_tap.of(kind)[0].items) == [request[place] for request in expected]
    assert alice.open(outcome.replies["alice"])[0] == text("bob 0")
    assert bob.open(outcome.replies["bob"])[3] == text("bob 2")


def test_the_usual_permutation_is_one_and_any_one() -> None:
    assert sorted(random_permutation(1000, os.urandom)) == list(range(1000))
    seen = {tuple(random_permutation(3, os.urandom)) for _ in range(600)}
    assert seen == set(permutations(range(3)))
    assert random_permutation(1000, os.urandom) != random_permutation(1000, os.urandom)


@given(st.permutations(range(7)))
def test_a_shuffle_is_undone_by_its_own_permutation_and_by_no_other(permutation: list[int]) -> None:
    onions = [bytes([number]) for number in range(7)]
    mixed = shuffle(onions, permutation)
    assert mixed == [onions[place] for place in permutation]
    assert unshuffle(mixed, permutation) == onions
    other = [permutation[1], permutation[0], *permutation[2:]]
    assert unshuffle(mixed, other) != onions


def test_tickets_that_are_alike_are_drawn_again() -> None:
    draws = [
        bytes(48),
        bytes(16) + bytes([1]) * 16 + bytes(16),
        bytes([2]) * 16 + bytes(16) + bytes([1]) * 16,
    ]
    assert random_permutation(3, lambda size: draws.pop(0)) == [1, 2, 0]
    assert draws == []


def test_contents_that_begin_alike_are_told_apart_and_repeats_are_not() -> None:
    one, other, third = (bytes(40) + bytes([number]) for number in range(3))
    assert _distinct([one, None, other, one, third, other, third]) == ([0, 2, 4], [one, other, third])


@pytest.mark.parametrize("hops", [1, 3])
def test_nobody_at_the_dead_drops_can_tell_the_order_of_arrival(hops: int) -> None:
    net = Net(hops)
    alice, bob, uploads = two_who_talk(net)
    orders = set()
    for number in range(60, 72):
        uploads = {
            client.name: client.upload(four_requests(client.name), number=number) for client in (alice, bob)
        }
        net.run([alice, bob], uploads, number=number)
        orders.add(tuple(net.last_tap.of(CELL)[-1].items))
    assert len(orders) > 1


@pytest.mark.parametrize("hops", [1, 3])
def test_a_permutation_is_drawn_for_a_setup_and_serves_its_epoch(hops: int) -> None:
    net = Net(hops)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    for number in (61, 62):
        uploads = {
            client.name: client.upload(four_requests(client.name), number=number, sets_up=False)
            for client in (alice, bob)
        }
        net.run([alice, bob], uploads, number=number, sets_up=False)
    orders = [list(batch.items) for batch in net.last_tap.of(CELL)]
    assert orders[0] == orders[1] == orders[2]


# -- what does not belong --------------------------------------------------------------------------


def test_an_onion_sent_twice_enters_the_dead_drops_once_and_its_copy_is_dead() -> None:
    net = Net(3, slots=1)
    alice = Client(net, "alice")
    (onion,) = alice.onions([drop("one")])
    hop = net.mix_hops[1]
    hop.set_up(Batch(net.context(), SETUP, [onion, onion]))
    assert net.histograms[-1] == Counter({1: 1})
    (cell,) = alice.wrapped([text("alice")], FIRST)
    answers = hop.exchange(Batch(net.context(), CELL, [cell, cell]))
    opened = [alice.circuits[0].unwrap(FIRST, answer) for answer in answers]
    assert opened[0] == text("alice") != opened[1]
    assert {len(answer) for answer in answers} == {CELL_SIZE}


@pytest.mark.parametrize("suite", BOTH_SUITES)
def test_onions_that_are_alike_inside_are_one_where_that_becomes_visible(suite: str) -> None:
    """Else one key stream would be used for two cells."""
    net = Net(3, suite, slots=1)
    alice = Client(net, "alice")
    keys, suite_, context = net.public_keys(), net.geometry.suite, net.context()
    inner, _ = wrap(drop("one"), keys[1:], suite_, context, SETUP, os.urandom, first_hop=2)
    onions = [wrap(inner, keys[:1], suite_, context, SETUP, os.urandom)[0] for _ in range(2)]
    upload = Upload(FIRST, alice.seal(CELL, [text("")] * 2, FIRST), alice.seal(SETUP, onions, FIRST))
    assert not net.run([alice], {"alice": upload}).lost
    assert [len(net.taps[hop].of(SETUP)[0].items) for hop in range(3)] == [2, 2, 1]
    assert net.histograms == [Counter({1: 1})]


@every_chain
def test_identical_requests_from_two_clients_are_two_accesses(hops: int, suite: str) -> None:
    net = Net(hops, suite)
    alice, bob = Client(net, "alice"), Client(net, "bob")
    same = four_requests("both")
    outcome = net.run([alice, bob], {client.name: client.upload(same) for client in (alice, bob)})
    assert net.histograms == [Counter({2: 2, 4: 1})]
    assert alice.open(outcome.replies["alice"])[:2] == [text("both 0"), text("both 1")]
    assert sizes(outcome.replies["alice"]) == sizes(outcome.replies["bob"])


@every_chain
def test_one_upload_that_does_not_open_gets_random_bytes_and_the_others_their_round(
    hops: int, suite: str
) -> None:
    net = Net(hops, suite)
    alice, bob, uploads = two_who_talk(net)
    carol = Client(net, "carol")
    good = carol.upload(four_requests("carol", "three", "four"))
    uploads["carol"] = replace(good, setups=(os.urandom(len(good.setups[0])), *good.setups[1:]))
    outcome = net.run([alice, bob, carol], uploads)
    assert not outcome.lost
    assert alice.open(outcome.replies["alice"])[:2] == [text("bob 0"), text("bob 1")]
    answers = carol.open(outcome.replies["carol"])
    assert answers[1:] == [text("carol 1"), text("carol 3"), text("carol 2")]
    assert answers[0] != text("carol 0")
    assert sizes(outcome.replies["carol"]) == sizes(outcome.replies["alice"])
    assert [len(net.last_tap.of(kind)[0].items) for kind in (SETUP, CELL)] == [11, 11]


@pytest.mark.parametrize("suite", BOTH_SUITES)
@pytest.mark.parametrize("bad_hop", [1, 2])
def test_one_onion_that_a_later_hop_cannot_open_gets_random_bytes(suite: str, bad_hop: int) -> None:
    net = Net(3, suite)
    alice, bob, uploads = two_who_talk(net)
    keys = net.public_keys()
    keys[bad_hop - 1] = net.geometry.suite.load_public(net.geometry.suite.generate().public_bytes)
    uploads["alice"] = alice.upload(four_requests("alice"), keys=keys)
    outcome = net.run([alice, bob], uploads)
    assert alice.open(outcome.replies["alice"])[1:] == [text(w) for w in ("bob 1", "alice 3", "alice 2")]
    assert alice.open(outcome.replies["alice"])[0] != text("bob 0")
    assert bob.open(outcome.replies["bob"]) == [text(w) for w in ("bob 0", "alice 1", "bob 3", "bob 2")]
    assert sizes(outcome.replies["alice"]) == sizes(outcome.replies["bob"])


def test_an_onion_of_a_wrong_size_is_dead_and_the_others_get_their_round() -> None:
    net = Net(2)
    hop, alice = net.mix_hops[1], Client(net, "alice")
    longer, onion = alice.onions([drop("one") + b"x", drop("one")])
    hop.set_up(Batch(net.context(), SETUP, [onion[:-1], onion, longer, b""]))
    cell = alice.circuits[1].wrap(FIRST, text("alice"))
    answers = hop.exchange(Batch(net.context(), CELL, [text(""), cell, text(""), text("")]))
    assert alice.circuits[1].unwrap(FIRST, answers[1]) == text("alice")
    assert {len(answer) for answer in answers} == {CELL_SIZE}
    assert len({*answers, text("")}) == 5, "the others get random bytes, each of its own"
    assert net.histograms == [Counter({1: 1})]


# -- rounds that are over ----------------------------------------------------------------------------


def passes(hop: MixHop, kind: BatchKind) -> Callable[[Batch], object]:
    return {CELL: hop.exchange, INVITE: hop.collect_invitations, SETUP: hop.set_up}[kind]


@pytest.mark.parametrize("kind", list(BatchKind))
@pytest.mark.parametrize("number", [60, 59, 0])
def test_a_hop_refuses_a_repeated_or_older_batch_unprocessed(kind: BatchKind, number: int) -> None:
    net = Net(3)
    hop = net.mix_hops[1]
    hop.set_up(Batch(net.context(0 if kind is CELL else 30), SETUP, []))
    passes(hop, kind)(Batch(net.context(60), kind, []))
    before = len(net.taps[1].batches)
    with pytest.raises(OnionError, match="round that is over"):
        passes(hop, kind)(Batch(net.context(number), kind, []))
    assert len(net.taps[1].batches) == before
    passes(hop, kind)(Batch(net.context(61), kind, []))
    assert len(net.taps[1].batches) == before + 1


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_round_with_other_cells_than_places_is_burnt_and_lost(count: int) -> None:
    net = Net(3)
    hop, alice = net.mix_hops[1], Client(net, "alice")
    hop.set_up(Batch(net.context(), SETUP, alice.onions([drop("one"), drop("two")])))
    cells = alice.wrapped([text("one"), text("two")], FIRST)
    for broken in ((cells * 2)[:count], [cells[0], cells[1][:-1]], [cells[0] + b"x", cells[1]]):
        before = len(net.taps[1].of(CELL))
        with pytest.raises(OnionError, match="other cells"):
            hop.exchange(Batch(net.context(), CELL, broken))
        with pytest.raises(OnionError, match="round that is over"):
            hop.exchange(Batch(net.context(), CELL, cells))
        assert len(net.taps[1].of(CELL)) == before
        hop._last[CELL] = FIRST - 1  # as if it had not been there
    answers = hop.exchange(Batch(net.context(), CELL, cells))
    assert [c.unwrap(FIRST, a) for c, a in zip(alice.circuits, answers, strict=True)] == [
        text("one"),
        text("two"),
    ]


def test_cells_of_a_round_before_the_setup_or_without_circuits_are_refused() -> None:
    net = Net(3)
    hop = net.mix_hops[1]
    with pytest.raises(OnionError, match="without circuits"):
        hop.exchange(Batch(net.context(), CELL, []))
    hop.set_up(Batch(net.context(), SETUP, []))
    with pytest.raises(OnionError, match="without circuits"):
        hop.exchange(Batch(net.context(FIRST - 1), CELL, []))
    hop.forget()
    with pytest.raises(OnionError, match="without circuits"):
        hop.exchange(Batch(net.context(), CELL, []))


def test_a_round_whose_answers_were_lost_is_not_run_again() -> None:
    """A second answer under the same key stream would show the difference of the two."""
    net = Net(2)
    hop, alice = net.mix_hops[1], Client(net, "alice")
    hop.set_up(Batch(net.context(), SETUP, alice.onions([drop("one")])))
    net.taps[1].fails = (CELL, "back")
    cells = alice.wrapped([text("one")], FIRST)
    with pytest.raises(OnionError, match="answer was lost"):
        hop.exchange(Batch(net.context(), CELL, cells))
    net.taps[1].fails = None
    with pytest.raises(OnionError, match="round that is over"):
        hop.exchange(Batch(net.context(), CELL, cells))
    hop.exchange(Batch(net.context(FIRST + 1), CELL, alice.wrapped([text("one")], FIRST + 1)))


def test_a_setup_that_fails_leaves_no_circuits_neither_old_nor_new() -> None:
    net = Net(3)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    net.taps[1].fails = (SETUP, "back")
    outcome = net.run(*_next(net), number=61)
    assert outcome.lost
    assert [net.mix_hops[hop].setup_round for hop in (1, 2)] == [None, 61]
    assert not net.mix_net.is_set_up
    net.taps[1].fails = None
    clients, uploads = _next(net, 62)
    assert not net.run(clients, uploads, number=62).lost
    assert net.live_in(62)


def test_a_hop_makes_the_round_final_before_it_opens_anything() -> None:
    net = Net(2)
    order: list[str] = []

    def key(_: int) -> KeyPair:
        order.append("key")
        return net.pairs[1]

    stage = MixStage(net.taps[1], os.urandom)
    hop = MixHop(net.geometry, 1, key, stage, os.urandom, lambda number, kind: order.append("stored"))
    hop.set_up(Batch(net.context(), SETUP, [os.urandom(net.geometry.item_size(1, SETUP))]))
    assert order == ["stored", "key"]


def test_setups_and_invitations_are_stored_with_their_round_at_every_later_hop() -> None:
    """Of cells nothing is: whoever lost the memory of them has no keys to run them with either."""
    net = Net(3)
    carol = Client(net, "carol")
    invitations = [cover_invitation(os.urandom) for _ in range(2)]
    upload = carol.upload(four_requests("carol"), invitations)
    net.run([carol], {"carol": upload}, invites=True)
    assert net.stored == [(1, 60, SETUP), (2, 60, SETUP), (1, 60, INVITE), (2, 60, INVITE)]


def test_a_round_number_run_a_second_time_is_lost_for_all() -> None:
    net = Net(3)
    alice, bob, uploads = two_who_talk(net)
    assert not net.run([alice, bob], uploads).lost
    again = net.run([alice, bob], uploads)
    assert again.lost
    assert net.run(*_next(net), number=61).lost is False


def _next(net: Net, number: int = 61) -> tuple[list[Client], dict[str, Upload]]:
    alice, bob, uploads = two_who_talk(net, number)
    return [alice, bob], uploads


# -- a chain that fails ----------------------------------------------------------------------------


def raise_onion_error(_: object) -> list[bytes]:
    raise OnionError("this hop is broken")


BREAKAGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "one reply fewer": lambda replies: replies[1:],
    "one reply more": lambda replies: [*replies, replies[0]],
    "no reply": lambda replies: [],
    "a shorter reply": lambda replies: [replies[0][:-1], *replies[1:]],
    "a longer reply": lambda replies: [*replies[:-1], replies[-1] + b"x"],
    "an error": raise_onion_error,
}


@pytest.mark.parametrize("breakage", BREAKAGES)
@pytest.mark.parametrize(("hops", "place"), [(1, 0), (3, 0), (3, 1), (3, 2)])
def test_a_next_hop_that_fails_loses_the_round_for_all_alike(hops: int, place: int, breakage: str) -> None:
    net = Net(hops)
    alice, bob, uploads = two_who_talk(net)
    carol = Client(net, "carol")  # connected, but without an upload
    net.taps[place].change = BREAKAGES[breakage]
    outcome = net.run([alice, bob, carol], uploads)
    assert outcome.lost
    assert {replies.status for replies in outcome.replies.values()} == {RoundStatus.LOST}
    for replies in outcome.replies.values():
        assert len(replies.encode().body) == net.geometry.replies_size
        assert len(set(replies.cells)) == 4
    assert alice.open(outcome.replies["alice"]) == [None] * 4
    net.taps[place].change = lambda replies: replies
    clients, uploads = _next(net)
    assert not net.run(clients, uploads, number=61).lost


@pytest.mark.parametrize("hops", [1, 3])
def test_invitations_that_cannot_be_collected_lose_the_round_for_all_alike(hops: int) -> None:
    net = Net(hops)
    alice, bob = Client(net, "alice"), Client(net, "bob")
    uploads = {
        client.name: client.upload(
            four_requests(client.name), [os.urandom(INVITATION_SIZE) for _ in range(2)]
        )
        for client in (alice, bob)
    }
    net.last_tap.change_bundle = _refuse
    outcome = net.run([alice, bob], uploads, invites=True)
    assert outcome.lost
    assert outcome.bundle is None
    assert {replies.status for replies in outcome.replies.values()} == {RoundStatus.LOST}


def _refuse(_: Bundle) -> Bundle:
    raise OnionError("dead drop 0 is gone")


# -- who takes part --------------------------------------------------------------------------------


@every_chain
def test_a_client_without_an_upload_gets_random_bytes_of_the_usual_size(hops: int, suite: str) -> None:
    net = Net(hops, suite)
    alice, bob, uploads = two_who_talk(net)
    carol = Client(net, "carol")
    outcome = net.run([alice, bob, carol], uploads)
    assert outcome.replies["carol"].status is RoundStatus.NO_CIRCUITS
    assert outcome.replies["alice"].status is RoundStatus.DONE
    assert sizes(outcome.replies["carol"]) == sizes(outcome.replies["alice"])
    assert len(set(outcome.replies["carol"].cells)) == 4
    assert carol.open(outcome.replies["carol"]) == [None] * 4


@every_chain
def test_an_upload_that_is_missing_is_healed_and_its_client_still_gets_what_came_for_it(
    hops: int, suite: str
) -> None:
    net = Net(hops, suite)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    later = alice.upload(four_requests("alice"), number=61, sets_up=False)
    outcome = net.run([alice, bob], {"alice": later}, number=61, sets_up=False)
    assert outcome.replies["bob"].status is RoundStatus.MISSING
    assert bob.open(outcome.replies["bob"])[:2] == [text("alice 0"), text("alice 1")]
    answers = alice.open(outcome.replies["alice"])
    assert answers[2:] == [text("alice 3"), text("alice 2")]
    assert not {*answers[:2]} & {text("bob 0"), text("bob 1"), text("alice 0"), text("alice 1"), None}
    assert [len(tap.of(CELL)[1].items) for tap in net.taps.values()] == [8] * hops


@every_chain
def test_a_cell_that_does_not_open_is_healed_and_the_others_go_on(hops: int, suite: str) -> None:
    net = Net(hops, suite)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    later = {
        client.name: client.upload(four_requests(client.name), number=61, sets_up=False)
        for client in (alice, bob)
    }
    broken = (os.urandom(len(later["bob"].cells[0])), *later["bob"].cells[1:])
    outcome = net.run(
        [alice, bob], {**later, "bob": replace(later["bob"], cells=broken)}, number=61, sets_up=False
    )
    assert outcome.replies["bob"].status is RoundStatus.DONE
    assert alice.open(outcome.replies["alice"])[1:] == [text(w) for w in ("bob 1", "alice 3", "alice 2")]
    assert alice.open(outcome.replies["alice"])[0] not in (text("bob 0"), text("alice 0"), None)
    assert bob.open(outcome.replies["bob"])[0] == text("alice 0")


@pytest.mark.parametrize("hops", [1, 3])
def test_who_comes_back_in_the_epoch_goes_on_with_the_circuits_of_before(hops: int) -> None:
    net = Net(hops)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    alice.reconnect(61)
    later = {
        client.session: client.upload(four_requests(client.name), number=61, sets_up=False)
        for client in (alice, bob)
    }
    outcome = net.run([alice, bob], later, number=61, sets_up=False)
    assert alice.open(outcome.replies[alice.session])[0] == text("bob 0")
    assert bob.open(outcome.replies["bob"])[0] == text("alice 0")


@pytest.mark.parametrize("hops", [1, 3])
def test_who_left_is_healed_until_the_epoch_ends(hops: int) -> None:
    net = Net(hops)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    later = bob.upload(four_requests("bob"), number=61, sets_up=False)
    outcome = net.run([bob], {"bob": later}, number=61, sets_up=False)
    assert set(outcome.replies) == {"bob"}
    assert not {*bob.open(outcome.replies["bob"])[:2]} & {text("alice 0"), text("bob 0"), None}
    assert [len(tap.of(CELL)[1].items) for tap in net.taps.values()] == [8] * hops
    bobs = bob.upload(four_requests("bob"), number=62)
    net.run([bob], {"bob": bobs}, number=62)
    assert [len(tap.of(CELL)[2].items) for tap in net.taps.values()] == [4] * hops


@pytest.mark.parametrize("hops", [1, 3])
def test_a_place_that_was_not_healed_would_lose_the_round(hops: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(hops)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    healed = MixStage.random_cells
    monkeypatch.setattr(MixStage, "random_cells", lambda stage, count: healed(stage, count)[4:])
    later = alice.upload(four_requests("alice"), number=61, sets_up=False)
    with pytest.raises((AssertionError, StopIteration)):
        assert not net.run([alice, bob], {"alice": later}, number=61, sets_up=False).lost


def test_a_round_in_which_nobody_uploads_ends_as_well() -> None:
    net = Net(3)
    alice = Client(net, "alice")
    outcome = net.run([alice], {})
    assert outcome.replies["alice"].status is RoundStatus.NO_CIRCUITS
    assert (outcome.uploads, outcome.lost) == (0, False)


def test_the_upload_of_a_client_that_left_is_not_part_of_the_round() -> None:
    net = Net(1)
    alice, _, uploads = two_who_talk(net)
    outcome = net.run([alice], uploads)
    assert set(outcome.replies) == {"alice"}
    assert outcome.uploads == 1
    assert alice.open(outcome.replies["alice"])[:2] == [text("alice 0"), text("alice 1")]


def test_nothing_comes_of_closing_a_round_that_is_not_open() -> None:
    net = Net(1)
    assert net.mix_net.close_round({}) is None
    net.run([], {})
    assert net.mix_net.close_round({}) is None


def test_the_scheduler_runs_a_round_from_closing_to_delivery() -> None:
    net = Net(1)
    alice, bob, uploads = two_who_talk(net)
    delivered: list[RoundOutcome | None] = []

    class Front:
        def channels(self) -> dict[Hashable, EntryChannel]:
            return {"alice": alice.entry_end, "bob": bob.entry_end}

        def give_up_at(self) -> float:
            return math.inf

        def deliver(self, outcome: RoundOutcome | None) -> None:
            delivered.append(outcome)

    net.mix_net.open_round(net.context(), sets_up=True, invites=False)
    net.mix_net.submit("alice", uploads["alice"])
    net.mix_net.submit("bob", uploads["bob"])
    net.mix_net.run_round(Front())
    net.mix_net.run_round(Front())
    first, second = delivered
    assert first is not None
    assert alice.open(first.replies["alice"])[0] == text("bob 0")
    assert second is None


def test_a_new_epoch_gives_the_channels_new_keys_on_both_ends() -> None:
    net = Net(1)
    alice, bob, uploads = two_who_talk(net, number=60)
    net.run([alice, bob], uploads, number=60)
    later = {client.name: client.upload(four_requests(client.name), number=90) for client in (alice, bob)}
    outcome = net.run([alice, bob], later, number=90)
    assert alice.open(outcome.replies["alice"])[0] == text("bob 0")


# -- uploads that come at the wrong time -----------------------------------------------------------


def test_a_late_upload_is_thrown_away_and_counted() -> None:
    net = Net(1)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    net.mix_net.open_round(net.context(61), sets_up=False, invites=False)
    assert net.mix_net.submit("alice", uploads["alice"]) is Collected.LATE
    outcome = net.mix_net.close_round({"alice": alice.entry_end})
    assert outcome is not None
    assert (outcome.uploads, outcome.late) == (0, 1)
    assert outcome.replies["alice"].status is RoundStatus.MISSING


def test_an_upload_that_comes_while_its_round_runs_is_late_and_no_reason_to_disconnect() -> None:
    net = Net(1)
    alice, bob, uploads = two_who_talk(net)
    collected: list[Collected] = []

    def submit_meanwhile(replies: list[bytes]) -> list[bytes]:
        collected.append(net.mix_net.submit("bob", uploads["bob"]))
        return replies

    net.taps[0].change = submit_meanwhile
    outcome = net.run([alice, bob], {"alice": uploads["alice"]})
    assert collected == [Collected.LATE]
    assert outcome.replies["bob"].status is RoundStatus.NO_CIRCUITS
    assert net.mix_net.submit("bob", uploads["bob"]) is Collected.LATE
    with pytest.raises(PeerError, match="not been announced"):
        net.mix_net.submit("bob", replace(uploads["bob"], round_number=61))


def test_a_second_upload_for_the_round_is_refused_and_the_first_counts() -> None:
    net = Net(1)
    alice, bob, uploads = two_who_talk(net)
    net.mix_net.open_round(net.context(), sets_up=True, invites=False)
    net.mix_net.submit("alice", uploads["alice"])
    net.mix_net.submit("bob", uploads["bob"])
    with pytest.raises(PeerError, match="second upload"):
        net.mix_net.submit("alice", uploads["alice"])
    outcome = net.mix_net.close_round({"alice": alice.entry_end, "bob": bob.entry_end})
    assert outcome is not None
    assert bob.open(outcome.replies["bob"])[0] == text("alice 0")


@pytest.mark.parametrize("number", [61, 2**64 - 1])
def test_an_upload_for_a_round_that_was_not_announced_is_refused(number: int) -> None:
    net = Net(1)
    _, _, uploads = two_who_talk(net)
    with pytest.raises(PeerError, match="not been announced"):
        net.mix_net.submit("alice", uploads["alice"])
    net.mix_net.open_round(net.context(), sets_up=True, invites=False)
    with pytest.raises(PeerError, match="not been announced"):
        net.mix_net.submit("alice", replace(uploads["alice"], round_number=number))
    assert net.mix_net.submit("alice", uploads["alice"]) is Collected.TAKEN


@pytest.mark.parametrize("invites", [True, False])
def test_an_upload_of_the_wrong_kind_for_the_round_is_refused(*, invites: bool) -> None:
    net = Net(1)
    alice, _, uploads = two_who_talk(net)
    with_invitations = alice.upload(four_requests("alice"), [cover_invitation(os.urandom) for _ in range(2)])
    right, wrong = (with_invitations, uploads["alice"]) if invites else (uploads["alice"], with_invitations)
    net.mix_net.open_round(net.context(), sets_up=True, invites=invites)
    with pytest.raises(PeerError, match="wrong kind"):
        net.mix_net.submit("alice", wrong)
    assert net.mix_net.submit("alice", right) is Collected.TAKEN


@pytest.mark.parametrize("sets_up", [True, False])
def test_an_upload_with_or_without_a_setup_at_the_wrong_time_is_refused(*, sets_up: bool) -> None:
    net = Net(1)
    alice, _, uploads = two_who_talk(net)
    plain = alice.upload(four_requests("alice"), sets_up=False)
    right, wrong = (uploads["alice"], plain) if sets_up else (plain, uploads["alice"])
    net.mix_net.open_round(net.context(), sets_up=sets_up, invites=False)
    with pytest.raises(PeerError, match="wrong kind"):
        net.mix_net.submit("alice", wrong)
    assert net.mix_net.submit("alice", right) is Collected.TAKEN


# -- dead drop 0 -----------------------------------------------------------------------------------


@every_chain
def test_everybodys_invitations_come_back_in_one_signed_and_padded_bundle(hops: int, suite: str) -> None:
    net = Net(hops, suite)
    clients = [Client(net, name) for name in ("alice", "bob", "carol")]
    posted: list[bytes] = []
    uploads = {}
    for client in clients:
        invitations = [cover_invitation(os.urandom) for _ in range(2)]
        posted += invitations
        uploads[client.name] = client.upload(four_requests(client.name), invitations)
        assert len(uploads[client.name].encode()[1].body) == net.geometry.invite_size
    outcome = net.run(clients, uploads, invites=True)
    assert outcome.bundle is not None
    body = outcome.bundle.encode().body
    bundle = Bundle.decode(body, net.chain)
    assert set(posted) < set(bundle.invitations)
    assert len(bundle.invitations) == 8
    assert list(bundle.invitations) == sorted(bundle.invitations)
    assert {len(item) for item in bundle.invitations} == {INVITATION_SIZE}
    assert clients[2].open(outcome.replies["carol"])[3] == text("carol 2")
    with pytest.raises(ChainError):
        Bundle.decode(body[:-1] + bytes([body[-1] ^ 1]), net.chain)
    with pytest.raises(ChainError):
        Bundle.decode(body[:20] + bytes([body[20] ^ 1]) + body[21:], net.chain)


@pytest.mark.parametrize("hops", [1, 3])
def test_an_invitation_that_does_not_open_is_dropped_and_the_bundle_is_whole(hops: int) -> None:
    net = Net(hops)
    alice, bob = Client(net, "alice"), Client(net, "bob")
    posted = {name: [cover_invitation(os.urandom) for _ in range(2)] for name in ("alice", "bob")}
    uploads = {
        client.name: client.upload(four_requests(client.name), posted[client.name]) for client in (alice, bob)
    }
    size = len(uploads["bob"].invitations[0])
    uploads["bob"] = replace(uploads["bob"], invitations=(os.urandom(size), uploads["bob"].invitations[1]))
    outcome = net.run([alice, bob], uploads, invites=True)
    assert outcome.bundle is not None
    assert {*posted["alice"], posted["bob"][1]} <= set(outcome.bundle.invitations)
    assert posted["bob"][0] not in outcome.bundle.invitations
    assert len(outcome.bundle.invitations) == 8


@pytest.mark.parametrize(("count", "expected"), [(0, 8), (1, 8), (8, 8), (9, 16)])
def test_a_bundle_holds_the_next_multiple_of_eight(count: int, expected: int) -> None:
    manager = DeadDropManager(os.urandom)
    assert len(manager.collect_invitations([bytes([n]) * INVITATION_SIZE for n in range(count)])) == expected


def test_cover_in_the_bundle_is_a_genuine_seal() -> None:
    cover = cover_invitation(os.urandom)
    assert len(cover) == INVITATION_SIZE
    with pytest.raises(OnionError):
        HYBRID.open(HYBRID.generate(), cover, b"")


# -- dead drops ------------------------------------------------------------------------------------


def test_three_in_one_drop_cannot_disturb_the_first_two() -> None:
    manager = DeadDropManager(os.urandom)
    manager.set_up([b"d" * 16] * 4)
    cells = [text(name) for name in ("alice", "bob", "carol", "dave")]
    answers = manager.handle_messages(cells)
    assert answers[:2] == [text("bob"), text("alice")]
    assert len({*answers[2:], *cells}) == 6
    assert {len(answer) for answer in answers} == {CELL_SIZE}


def test_a_long_lived_drop_is_taken_once_and_forgotten_in_time() -> None:
    now = [0.0]
    collector = GarbageCollector(10, lambda: now[0])
    collector.deposit(DeaddropMessage(b"one", b"first"))
    collector.deposit(DeaddropMessage(b"one", b"second"))
    assert collector.collect(b"one") == b"second"
    assert collector.collect(b"one") is None
    collector.deposit(DeaddropMessage(b"two", b"text"))
    now[0] = 9.9
    assert collector.clear() == 0
    now[0] = 10.0
    assert collector.clear() == 1
    assert collector.collect(b"two") is None
