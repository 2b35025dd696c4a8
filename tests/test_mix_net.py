"""The mix net in one process: clients, entry, later hops and dead drops, every part in its real order."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.errors import ChainError, OnionError, PeerError
from iirs.geometry import DROP_ID_SIZE, INVITATION_SIZE, PEER_MESSAGE_SIZE, BatchKind
from iirs.onion import EntryChannel, RoundContext, cover_invitation, open_reply, wrap
from iirs.server.deaddrop import DeadDropManager, DeaddropMessage, DeadDrops, GarbageCollector
from iirs.server.hops.mix_hop import MixHop
from iirs.server.mix_net import Collected, MixNet, RoundOutcome
from iirs.server.mix_stage import (
    Batch,
    MixStage,
    NextHop,
    _distinct,
    random_permutation,
    shuffle,
    unshuffle,
)
from iirs.suite import HYBRID, KeyPair
from iirs.wire.rounds import Bundle, Replies, RoundStatus, Upload
from tests.builders import BOTH_SUITES, ChainKeys, make_chain

Permute = Callable[[int], list[int]]
TALK, INVITE = BatchKind.CONVERSATION, BatchKind.INVITATION
CHAINS = [(1, "X25519"), (1, "MLKEM768_X25519"), (3, "X25519"), (3, "MLKEM768_X25519")]
every_chain = pytest.mark.parametrize(("hops", "suite"), CHAINS)


@dataclass
class Tap:
    """Stands between two hops: remembers what passes, and may change it."""

    behind: NextHop
    batches: list[Batch] = field(default_factory=list)
    change: Callable[[list[bytes]], list[bytes]] = lambda replies: replies
    change_bundle: Callable[[Bundle], Bundle] = lambda bundle: bundle

    def exchange(self, batch: Batch) -> list[bytes]:
        self.batches.append(batch)
        return self.change(self.behind.exchange(batch))

    def collect_invitations(self, batch: Batch) -> Bundle:
        self.batches.append(batch)
        return self.change_bundle(self.behind.collect_invitations(batch))


class Net:
    """A chain of any length, wired by hand, with a tap before every later hop and before the dead drops."""

    def __init__(self, hops: int, suite: str = "X25519", permute: Permute | None = None) -> None:
        self.keys: ChainKeys = make_chain(hops, suite)
        self.chain = self.keys.chain
        self.geometry = self.chain.geometry
        self.pairs: dict[int, KeyPair] = {hop: self.geometry.suite.generate() for hop in range(1, hops)}
        self.histograms: list[Counter[int]] = []
        self.taps: dict[int, Tap] = {}
        self.mix_hops: dict[int, MixHop] = {}
        self.stored: list[tuple[int, int, BatchKind]] = []
        manager = DeadDropManager(os.urandom, lambda counts, ids: self.histograms.append(counts))
        behind: NextHop = DeadDrops(manager, self.chain.chain_id, self.keys.identities[-1].sign)
        for hop in range(hops - 1, -1, -1):
            self.taps[hop] = tap = Tap(behind)
            stage = MixStage(self.geometry, hop, tap, os.urandom, permute)
            if hop == 0:
                break
            behind = self.mix_hops[hop] = MixHop(
                self.geometry, hop, lambda _, h=hop: self.pairs[h], stage, os.urandom, self._store(hop)
            )
        self.mix_net = MixNet(self.chain, stage, os.urandom)

    def _store(self, hop: int) -> Callable[[int, BatchKind], None]:
        return lambda round_number, kind: self.stored.append((hop, round_number, kind))

    @property
    def last_tap(self) -> Tap:
        """What reaches the dead drops."""
        return self.taps[self.chain.geometry.hops - 1]

    def context(self, round_number: int = 60) -> RoundContext:
        return RoundContext(self.chain.chain_id, round_number, b"a" * 32)

    def run(
        self,
        clients: Sequence[Client],
        uploads: dict[str, Upload],
        *,
        number: int = 60,
        invites: bool = False,
    ) -> RoundOutcome:
        """Open a round, hand in the uploads, close it."""
        self.mix_net.open_round(self.context(number), invites)
        for name, upload in uploads.items():
            assert self.mix_net.submit(name, upload) is Collected.TAKEN
        outcome = self.mix_net.close_round({client.name: client.entry_end for client in clients})
        assert outcome is not None
        return outcome


class Client:
    """One client's two slots: builds uploads and opens replies."""

    def __init__(self, net: Net, name: str) -> None:
        secret = os.urandom(32)
        self.name = name
        self.entry_end = EntryChannel(secret, b"binding", 2)
        self._channel = EntryChannel(secret, b"binding", 2)
        self._net = net
        self._reply_keys: list[list[bytes]] = []

    def upload(
        self,
        requests: Sequence[bytes],
        invitations: Sequence[bytes] = (),
        number: int = 60,
        pairs: dict[int, KeyPair] | None = None,
    ) -> Upload:
        """Wrap and seal; the first request for the keys of ``pairs``, if they are given."""
        context, suite = self._net.context(number), self._net.geometry.suite
        self._channel.advance(number // 30)
        self._reply_keys = []
        sealed: dict[BatchKind, list[bytes]] = {TALK: [], INVITE: []}
        payloads = [(TALK, request) for request in requests] + [(INVITE, item) for item in invitations]
        for index, (kind, payload) in enumerate(payloads):
            used = (pairs if pairs is not None and index == 0 else self._net.pairs).values()
            public = [suite.load_public(pair.public_bytes) for pair in used]
            onion, reply_keys = wrap(payload, public, suite, context, kind, os.urandom)
            self._reply_keys.append(reply_keys)
            sealed[kind].append(self._channel.seal_up(context, kind, index, onion))
        return Upload(number, tuple(sealed[TALK]), tuple(sealed[INVITE]))

    def open(self, replies: Replies) -> list[bytes | None]:
        """Return what came back for each request; ``None`` for what does not open."""
        context = self._net.context(replies.round_number)
        return [self._open(context, index, reply) for index, reply in enumerate(replies.replies)]

    def _open(self, context: RoundContext, index: int, reply: bytes) -> bytes | None:
        try:
            return open_reply(self._reply_keys[index], self._channel.open_down(context, index, reply))
        except OnionError:
            return None


def request(drop_id: bytes, message: bytes) -> bytes:
    return DeaddropMessage(drop_id.ljust(DROP_ID_SIZE), message).encode()


def text(words: str) -> bytes:
    return words.encode().ljust(PEER_MESSAGE_SIZE)


def four_requests(name: str, first: bytes, second: bytes) -> list[bytes]:
    """Return a talking slot (two shared drops) and an idle one (both to one drop of its own)."""
    own = f"own {name}".encode()
    drops = (first, second, own, own)
    return [request(drop, text(f"{name} {place}")) for place, drop in enumerate(drops)]


def two_who_talk(net: Net, number: int = 60) -> tuple[Client, Client, dict[str, Upload]]:
    alice, bob = Client(net, "alice"), Client(net, "bob")
    uploads = {
        client.name: client.upload(four_requests(client.name, b"one", b"two"), number=number)
        for client in (alice, bob)
    }
    return alice, bob, uploads


def sizes(replies: Replies) -> list[int]:
    return [len(reply) for reply in replies.replies]


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
        assert len(upload.encode().body) == net.geometry.upload_size
    for hop, tap in net.taps.items():
        remaining = net.geometry.hops - 1 - hop
        assert {len(onion) for onion in tap.batches[0].onions} == {net.geometry.onion_size(remaining, TALK)}
    for replies in outcome.replies.values():
        assert len(replies.encode().body) == net.geometry.replies_size


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
    expected = four_requests("alice", b"one", b"two") + four_requests("bob", b"one", b"two")
    for _ in range(hops):
        expected = [expected[position] for position in permute(8)]
    assert list(net.last_tap.batches[0].onions) == expected
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
            client.name: client.upload(four_requests(client.name, b"one", b"two"), number=number)
            for client in (alice, bob)
        }
        net.run([alice, bob], uploads, number=number)
        orders.add(tuple(onion[DROP_ID_SIZE:] for onion in net.last_tap.batches[-1].onions))
    assert len(orders) > 1


# -- what does not belong --------------------------------------------------------------------------


def test_an_onion_sent_twice_enters_the_dead_drops_once() -> None:
    net = Net(3)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    batch = net.taps[0].batches[0]
    context = net.context(61)
    public = [net.geometry.suite.load_public(net.pairs[hop].public_bytes) for hop in (1, 2)]
    onion, keys = wrap(request(b"one", text("alice")), public, net.geometry.suite, context, TALK, os.urandom)
    replies = net.mix_hops[1].exchange(replace(batch, context=context, onions=[onion, onion]))
    assert net.histograms[-1] == Counter({1: 1})
    assert open_reply(keys, replies[0]) == text("alice")
    assert len(replies[0]) == len(replies[1])
    with pytest.raises(OnionError):
        open_reply(keys, replies[1])


@every_chain
def test_identical_requests_from_two_clients_are_one_where_they_become_visible(hops: int, suite: str) -> None:
    net = Net(hops, suite)
    alice, bob = Client(net, "alice"), Client(net, "bob")
    same = four_requests("both", b"one", b"two")
    outcome = net.run([alice, bob], {client.name: client.upload(same) for client in (alice, bob)})
    assert net.histograms == [Counter({1: 2, 2: 1})]
    answers = alice.open(outcome.replies["alice"]) + bob.open(outcome.replies["bob"])
    assert sum(answer == text("both 0") for answer in answers) == 1
    assert sizes(outcome.replies["alice"]) == sizes(outcome.replies["bob"])


@every_chain
def test_one_upload_that_does_not_open_gets_random_bytes_and_the_others_their_round(
    hops: int, suite: str
) -> None:
    net = Net(hops, suite)
    alice, bob, uploads = two_who_talk(net)
    carol = Client(net, "carol")
    good = carol.upload(four_requests("carol", b"three", b"four"))
    uploads["carol"] = replace(good, onions=(os.urandom(len(good.onions[0])), *good.onions[1:]))
    outcome = net.run([alice, bob, carol], uploads)
    assert not outcome.lost
    assert alice.open(outcome.replies["alice"])[:2] == [text("bob 0"), text("bob 1")]
    answers = carol.open(outcome.replies["carol"])
    assert answers[1:] == [text("carol 1"), text("carol 3"), text("carol 2")]
    assert answers[0] != text("carol 0")
    assert sizes(outcome.replies["carol"]) == sizes(outcome.replies["alice"])
    assert len(net.last_tap.batches[0].onions) == 11


@pytest.mark.parametrize("suite", BOTH_SUITES)
@pytest.mark.parametrize("bad_hop", [1, 2])
def test_one_onion_that_a_later_hop_cannot_open_gets_random_bytes(suite: str, bad_hop: int) -> None:
    net = Net(3, suite)
    alice, bob, uploads = two_who_talk(net)
    other_pairs = {**net.pairs, bad_hop: net.geometry.suite.generate()}
    uploads["alice"] = alice.upload(four_requests("alice", b"one", b"two"), pairs=other_pairs)
    outcome = net.run([alice, bob], uploads)
    assert alice.open(outcome.replies["alice"])[1:] == [text(w) for w in ("bob 1", "alice 3", "alice 2")]
    assert alice.open(outcome.replies["alice"])[0] != text("bob 0")
    assert bob.open(outcome.replies["bob"]) == [text(w) for w in ("bob 0", "alice 1", "bob 3", "bob 2")]
    assert sizes(outcome.replies["alice"]) == sizes(outcome.replies["bob"])


def test_an_onion_of_a_wrong_size_gets_random_bytes_and_the_others_their_round() -> None:
    net = Net(2)
    hop, suite = net.mix_hops[1], net.geometry.suite
    public = [suite.load_public(net.pairs[1].public_bytes)]
    onion, keys = wrap(request(b"one", text("alice")), public, suite, net.context(), TALK, os.urandom)
    longer, _ = wrap(request(b"one", text("bob")) + b"x", public, suite, net.context(), TALK, os.urandom)
    replies = hop.exchange(Batch(net.context(), TALK, [onion[:-1], onion, longer, b""]))
    assert open_reply(keys, replies[1]) == text("alice")
    assert {len(reply) for reply in replies} == {net.geometry.reply_size(1)}
    assert net.histograms == [Counter({1: 1})]


@pytest.mark.parametrize("kind", list(BatchKind))
@pytest.mark.parametrize("number", [60, 59, 0])
def test_a_hop_refuses_a_repeated_or_older_batch_unprocessed(kind: BatchKind, number: int) -> None:
    net = Net(3)
    hop = net.mix_hops[1]
    passes: dict[BatchKind, Callable[[Batch], object]] = {
        TALK: hop.exchange,
        INVITE: hop.collect_invitations,
    }
    passes[kind](Batch(net.context(60), kind, []))
    before = len(net.taps[1].batches)
    with pytest.raises(OnionError, match="round that is over"):
        passes[kind](Batch(net.context(number), kind, []))
    assert len(net.taps[1].batches) == before
    passes[kind](Batch(net.context(61), kind, []))
    assert len(net.taps[1].batches) == before + 1


def test_a_hop_makes_the_round_final_before_it_opens_anything() -> None:
    net = Net(2)
    order: list[str] = []

    def key(_: int) -> KeyPair:
        order.append("key")
        return net.pairs[1]

    stage = MixStage(net.geometry, 1, net.taps[1], os.urandom)
    hop = MixHop(net.geometry, 1, key, stage, os.urandom, lambda number, kind: order.append("stored"))
    hop.exchange(Batch(net.context(), TALK, [os.urandom(net.geometry.onion_size(1, TALK))]))
    assert order == ["stored", "key"]


def test_each_kind_of_batch_is_stored_with_its_round_at_every_later_hop() -> None:
    net = Net(3)
    carol = Client(net, "carol")
    invitations = [cover_invitation(os.urandom) for _ in range(2)]
    upload = carol.upload(four_requests("carol", b"one", b"two"), invitations)
    net.run([carol], {"carol": upload}, invites=True)
    assert net.stored == [(1, 60, TALK), (2, 60, TALK), (1, 60, INVITE), (2, 60, INVITE)]


def test_a_round_number_run_a_second_time_is_lost_for_all() -> None:
    net = Net(3)
    alice, bob, uploads = two_who_talk(net)
    assert not net.run([alice, bob], uploads).lost
    again = net.run([alice, bob], uploads)
    assert again.lost
    assert net.run(*_next(net), number=61).lost is False


def _next(net: Net) -> tuple[list[Client], dict[str, Upload]]:
    alice, bob, uploads = two_who_talk(net, 61)
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
        assert len(set(replies.replies)) == 4
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
            four_requests(client.name, b"one", b"two"), [os.urandom(INVITATION_SIZE)] * 2
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
    assert outcome.replies["carol"].status is RoundStatus.MISSING
    assert outcome.replies["alice"].status is RoundStatus.DONE
    assert sizes(outcome.replies["carol"]) == sizes(outcome.replies["alice"])
    assert len(set(outcome.replies["carol"].replies)) == 4


def test_a_round_in_which_nobody_uploads_ends_as_well() -> None:
    net = Net(3)
    alice = Client(net, "alice")
    outcome = net.run([alice], {})
    assert outcome.replies["alice"].status is RoundStatus.MISSING
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

    net.mix_net.open_round(net.context(), invites=False)
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
    later = {
        client.name: client.upload(four_requests(client.name, b"one", b"two"), number=90)
        for client in (alice, bob)
    }
    outcome = net.run([alice, bob], later, number=90)
    assert alice.open(outcome.replies["alice"])[0] == text("bob 0")


# -- uploads that come at the wrong time -----------------------------------------------------------


def test_a_late_upload_is_thrown_away_and_counted() -> None:
    net = Net(1)
    alice, bob, uploads = two_who_talk(net)
    net.run([alice, bob], uploads)
    net.mix_net.open_round(net.context(61), invites=False)
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
    assert outcome.replies["bob"].status is RoundStatus.MISSING
    assert net.mix_net.submit("bob", uploads["bob"]) is Collected.LATE
    with pytest.raises(PeerError, match="not been announced"):
        net.mix_net.submit("bob", replace(uploads["bob"], round_number=61))


def test_a_second_upload_for_the_round_is_refused_and_the_first_counts() -> None:
    net = Net(1)
    alice, bob, uploads = two_who_talk(net)
    net.mix_net.open_round(net.context(), invites=False)
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
    net.mix_net.open_round(net.context(), invites=False)
    with pytest.raises(PeerError, match="not been announced"):
        net.mix_net.submit("alice", replace(uploads["alice"], round_number=number))
    assert net.mix_net.submit("alice", uploads["alice"]) is Collected.TAKEN


@pytest.mark.parametrize("invites", [True, False])
def test_an_upload_of_the_wrong_kind_for_the_round_is_refused(*, invites: bool) -> None:
    net = Net(1)
    alice, _, uploads = two_who_talk(net)
    with_invitations = alice.upload(
        four_requests("alice", b"one", b"two"), [cover_invitation(os.urandom) for _ in range(2)]
    )
    right, wrong = (with_invitations, uploads["alice"]) if invites else (uploads["alice"], with_invitations)
    net.mix_net.open_round(net.context(), invites)
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
        uploads[client.name] = client.upload(four_requests(client.name, b"one", b"two"), invitations)
        assert len(uploads[client.name].encode().body) == net.geometry.upload_invite_size
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
        client.name: client.upload(four_requests(client.name, b"one", b"two"), posted[client.name])
        for client in (alice, bob)
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
    drop = b"d" * 16
    messages = [DeaddropMessage(drop, text(name)) for name in ("alice", "bob", "carol", "carol")]
    replies = manager.handle_messages(messages)
    assert replies[:2] == [text("bob"), text("alice")]
    assert len({*replies[2:], *(message.content for message in messages)}) == 5
    assert {len(reply) for reply in replies} == {PEER_MESSAGE_SIZE}


@pytest.mark.parametrize("size", [0, 16, 1039, 1041])
def test_a_request_of_another_size_is_refused(size: int) -> None:
    assert DeaddropMessage.decode(bytes(1040)).encode() == bytes(1040)
    with pytest.raises(ValueError, match="1040"):
        DeaddropMessage.decode(bytes(size))


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
