"""A chain that keeps nothing to itself, in one process, and real clients on it.

``OpenChain`` is the real entry, the real later hops and the real dead drops, with a tap behind each: tests
see what each hop held, and stand in for hops that do not do what they should. ``Room`` puts real engines on
it and records each round as a ``Glance``, of which ``tests/adversary.py`` takes what dishonest hops hold.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path

from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.engine import Engine
from iirs.client.store.store import ClientStore
from iirs.epoch import EpochKey, EpochKeyring
from iirs.errors import OnionError
from iirs.geometry import (
    DROP_ID_SIZE,
    ONIONS_PER_SLOT,
    PEER_MESSAGE_SIZE,
    PREKEY_INCREMENT,
    VAULT_SIZE,
    BatchKind,
)
from iirs.noise import Noise, NoiseCount
from iirs.onion import EntryChannel, RoundContext, open_reply, wrap
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.later_hop import HopEnvironment, LaterHop, Successor
from iirs.server.hops.link import Prepare, Prepared
from iirs.server.hops.noise_maker import NoiseMaker
from iirs.server.hops.preparer import Increment, Preparer
from iirs.server.mix_net import Collected, MixNet, RoundOutcome
from iirs.server.mix_stage import Batch, MixStage, NextHop, random_permutation
from iirs.suite import KeyPair, PublicKey
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import NO_BUNDLE, Announcement, Bundle, RoundFlags, Upload, announcement_hash
from tests.builders import make_chain, make_directory, person

Permute = Callable[[int], list[int]]
Change = Callable[[Batch], Batch]
TALK = BatchKind.CONVERSATION
HOPS = 3
FIRST_ROUND = 3000
"""The first round of an epoch."""
QUIET_NOISE = Noise(4, 1, forced=True)
"""Little enough to be quick; real draws, real onions."""
PEOPLE = ("alice", "bob", "carol", "client-3", "client-4", "client-5")


def unchanged(batch: Batch) -> Batch:
    return batch


class Tap:
    """Stands behind a hop: keeps what it passes on and gets back; a test may change what it passes on."""

    def __init__(self, behind: NextHop | Successor) -> None:
        self.behind = behind
        self.batches: list[Batch] = []
        self.answers: list[list[bytes]] = []
        self.change: Change = unchanged

    def prepare(self, request: Prepare, give_up_at: float) -> Prepared:
        return self.behind.prepare(request, give_up_at)  # type: ignore[union-attr]  # not behind the last hop

    def open_round(self, announcement: bytes, give_up_at: float) -> None:
        self.behind.open_round(announcement, give_up_at)  # type: ignore[union-attr]

    def close(self) -> None:
        pass

    def exchange(self, batch: Batch) -> list[bytes]:
        passed_on = self.change(batch)
        self.batches.append(passed_on)
        self.answers.append(self.behind.exchange(passed_on))
        return self.answers[-1]

    def collect_invitations(self, batch: Batch) -> Bundle:
        return self.behind.collect_invitations(batch)


class OpenChain:
    """Entry, later hops and dead drops of a chain; ``taps[h]`` stands behind hop h."""

    def __init__(
        self,
        noise: Noise = QUIET_NOISE,
        slots: int = 1,
        directory: Sequence[str] = (),
        permutes: Mapping[int, Permute] | None = None,
        folders: Mapping[int, Path] | None = None,
    ) -> None:
        self.now = FIRST_ROUND * 2.0
        """What every clock shows, in seconds: rounds take 2 s."""
        self.keys = make_chain(HOPS, noise=noise, slots=slots)
        self.chain = self.keys.chain
        self.directory = make_directory(self.chain, *directory)
        self.taps: dict[int, Tap] = {}
        self.hops: dict[int, LaterHop] = {}
        self.orders: dict[int, list[list[int]]] = {hop: [] for hop in range(HOPS)}
        self.noise: dict[int, list[NoiseCount]] = {hop: [] for hop in range(HOPS)}
        self.announced: list[EpochKey] = []
        self._permutes = dict(permutes or {})
        self._folders = dict(folders or {})
        for hop in range(HOPS - 1, 0, -1):
            self.start_hop(hop)
        self.keyring = EpochKeyring(self.chain, 0, self.keys.identities[0])
        self._maker = NoiseMaker(self.chain, 0, os.urandom)
        self._stage = MixStage(
            self.chain.geometry,
            0,
            self.taps[0],
            os.urandom,
            noise=lambda context: self._maker.take(context).onions,
        )
        self._watch(0, self._stage, self._maker)
        self.mix_net = MixNet(self.chain, self._stage, os.urandom)
        self._preparer = Preparer(self.chain, self.keys.identities[0], self.keyring, self.taps[0])

    def start_hop(self, hop: int) -> LaterHop:
        """Start a later hop, or start it anew: what it has in its folder is all that it remembers."""
        state = HopState(self._folders.get(hop), self.chain.chain_id)
        identity, world = self.keys.identities[hop], HopEnvironment(os.urandom, clock=lambda: self.now)
        made = LaterHop(self.chain, hop, identity, state, world, self.taps.get(hop))
        stage = made._mix._stage
        if hop == HOPS - 1:
            self.taps[hop] = Tap(stage._next)
        stage._next = self.taps[hop]
        self._watch(hop, stage, made._noise)
        self.hops[hop] = made
        if hop - 1 in self.taps:
            self.taps[hop - 1].behind = made
        else:
            self.taps[hop - 1] = Tap(made)
        return made

    def _watch(self, hop: int, stage: MixStage, maker: NoiseMaker) -> None:
        permute = self._permutes.get(hop, lambda count: random_permutation(count, os.urandom))

        def recorded(count: int) -> list[int]:
            self.orders[hop].append(permute(count))
            return self.orders[hop][-1]

        stage._permute = recorded
        drawn, take = self.noise[hop], maker.take

        def counted(context: RoundContext) -> object:
            made = take(context)
            drawn.append(made.count)
            return made

        maker.take = counted  # type: ignore[assignment,method-assign]

    def pair(self, hop: int) -> KeyPair:
        """Return a later hop's private epoch key."""
        return self.hops[hop]._keyring.find(self.announced[hop].key_id)[1]

    @property
    def public(self) -> list[PublicKey]:
        """The later hops' public epoch keys, as announced."""
        return [key.verified(self.chain, hop) for hop, key in enumerate(self.announced)][1:]

    def prepare(self, number: int, *, invites: bool = False) -> Announcement:
        """Get keys and signatures together, and return the announcement to be made."""
        entries = [entry.raw for entry in self.directory.entries]
        increment = Increment(len(entries), (), self.directory.digests[-1])
        ready = self._preparer.prepare(number, increment, entries, math.inf)
        self.announced = list(ready.keys)
        flags = RoundFlags.INVITE if invites else RoundFlags.NONE
        key_ids = tuple(key.key_id for key in ready.keys)
        return Announcement(number, flags, 1000, 5, 6, key_ids, ready.head, len(entries), ())

    def open(self, announcement: Announcement) -> RoundContext:
        """Open the round: the entry collects, the later hops are shown the announcement."""
        encoded = announcement.encode()
        number = announcement.round_number
        context = RoundContext(self.chain.chain_id, number, announcement_hash(encoded))
        self._maker.begin(context, self.public)
        self.mix_net.open_round(context, announcement.has_invitations)
        self.taps[0].open_round(encoded, math.inf)
        return context

    def close(self, clients: Sequence[Client], uploads: Mapping[str, Upload]) -> RoundOutcome:
        """Hand in the uploads in their order and run the round."""
        for name, upload in uploads.items():
            assert self.mix_net.submit(name, upload) is Collected.TAKEN
        outcome = self.mix_net.close_round({client.name: client.entry_end for client in clients})
        assert outcome is not None
        return outcome


class Client:
    """Both ends of one entry channel; wraps what it is told to, and opens what comes back."""

    def __init__(self, chain: OpenChain, name: str, number: int = FIRST_ROUND) -> None:
        secret, epoch = os.urandom(32), number // chain.chain.epoch_rounds
        self.name = name
        self.entry_end = EntryChannel(secret, b"binding", epoch)
        self.own_end = EntryChannel(secret, b"binding", epoch)
        self._chain = chain
        self._reply_keys: list[list[bytes]] = []

    def upload(
        self,
        context: RoundContext,
        requests: Sequence[bytes],
        public: Sequence[PublicKey] | None = None,
    ) -> Upload:
        suite, keys = self._chain.chain.geometry.suite, public or self._chain.public
        self.own_end.advance(context.round_number // self._chain.chain.epoch_rounds)
        wrapped = [wrap(item, keys, suite, context, TALK, os.urandom) for item in requests]
        self._reply_keys = [reply_keys for _, reply_keys in wrapped]
        sealed = (self.own_end.seal_up(context, TALK, i, onion) for i, (onion, _) in enumerate(wrapped))
        return Upload(context.round_number, tuple(sealed), ())

    def open(self, context: RoundContext, outcome: RoundOutcome) -> list[bytes | None]:
        """Return what came back for each request; ``None`` for what does not open."""

        def opened(index: int, sealed: bytes) -> bytes | None:
            try:
                reply = self.own_end.open_down(context, index, sealed)
                return open_reply(self._reply_keys[index], reply)
            except OnionError:
                return None

        return [opened(index, sealed) for index, sealed in enumerate(outcome.replies[self.name].replies)]


def request(drop_id: bytes) -> bytes:
    return drop_id + os.urandom(PEER_MESSAGE_SIZE)


def talking() -> tuple[list[bytes], list[bytes]]:
    """Return the requests of one slot each of two people who talk to each other."""
    drops = [os.urandom(DROP_ID_SIZE) for _ in range(ONIONS_PER_SLOT)]
    return [request(drop) for drop in drops], [request(drop) for drop in drops]


def idle() -> list[bytes]:
    """Return the requests of one slot of somebody who talks to nobody."""
    return [request(drop) for drop in ONIONS_PER_SLOT * [os.urandom(DROP_ID_SIZE)]]


# -- people -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Glance:
    """All that the network and every hop held in one round."""

    chain: OpenChain
    context: RoundContext
    uploads: dict[str, bytes]
    """What each client sent, in order of arrival."""
    replies: dict[str, bytes]
    """What each client was sent."""
    channels: dict[str, EntryChannel]
    pairs: dict[int, KeyPair]
    batches: dict[int, Sequence[bytes]]
    """What left hop h."""
    answers: dict[int, Sequence[bytes]]
    """What came back to hop h."""
    orders: dict[int, list[int]]
    noise: dict[int, NoiseCount]
    bundle: tuple[bytes, ...]


@dataclass
class Room:
    """Engines of ``PEOPLE`` on an ``OpenChain``: every round without loss."""

    talk: bool
    permutes: Mapping[int, Permute] = field(default_factory=dict)
    people: Sequence[str] = PEOPLE

    def __post_init__(self) -> None:
        self.chain = OpenChain(directory=self.people, permutes=self.permutes)
        self.number = FIRST_ROUND
        self._shown: list[EpochKey] = []
        self._prekeys: list[bytes] = []
        self._bundle_digest = NO_BUNDLE
        announcement = self.chain.prepare(self.number)
        keys = b"".join(key.encode() for key in self.chain.announced)
        self.engines: dict[str, Engine] = {}
        self.clients: dict[str, Client] = {}
        environment = Environment(lambda: self.chain.now)
        for position, name in enumerate(self.people):
            client = self.clients[name] = Client(self.chain, name)
            account = Account(name, self.chain.chain, person(name), b"")
            engine = self.engines[name] = Engine(account, ClientStore(":memory:", bytes(32)), environment)
            entries = [entry.raw for entry in self.chain.directory.entries]
            record = AccountRecord(position, 0, bytes(VAULT_SIZE))
            engine.begin_session(SessionStart(record, client.own_end, announcement.head, entries, keys, []))
        if self.talk:
            self.engines["alice"].slots.ask("bob")
            self.engines["bob"].slots.ask("alice")

    def play(self, rounds: int) -> list[Glance]:
        """Run rounds and return what could be seen of them."""
        return [self.step() for _ in range(rounds)]

    def step(self) -> Glance:
        for orders in self.chain.orders.values():
            orders.clear()
        announcement = self.chain.prepare(self.number, invites=self.number % 5 == 4)
        announcement = self._complete(announcement)
        if self.chain.announced != self._shown:
            self._shown = self.chain.announced
            for engine in self.engines.values():
                engine.chain_view.take_keys(b"".join(key.encode() for key in self._shown))
        context = self.chain.open(announcement)
        if self.talk and self.number % 7 == 0:
            self.engines["alice"].messenger.send("bob", f"text of round {self.number}")
        wire: dict[str, bytes] = {}
        uploads: dict[str, Upload] = {}
        for name, engine in self.engines.items():
            engine.open_round(announcement.encode())
            *prekey, message = engine.build_upload()
            self._prekeys += [item.body for item in prekey]
            wire[name], uploads[name] = message.body, Upload.decode(message, self.chain.chain.geometry)
        outcome = self.chain.close(list(self.clients.values()), uploads)
        assert not outcome.lost, outcome.failure
        self._bundle_digest = NO_BUNDLE if outcome.bundle is None else outcome.bundle.digest
        for name in self.engines:
            self.deliver(name, outcome)
        self.number += 1
        return self._glance(context, wire, outcome)

    def deliver(self, name: str, outcome: RoundOutcome) -> None:
        """Give one person what a round brought."""
        engine = self.engines[name]
        engine.close_round(outcome.replies[name])
        if outcome.bundle is not None:
            engine.chain_view.take_bundle(outcome.bundle)

    def _complete(self, announcement: Announcement) -> Announcement:
        """Return an announcement with what the last round brought."""
        prekeys = tuple(self._prekeys[:PREKEY_INCREMENT])
        del self._prekeys[:PREKEY_INCREMENT]
        return replace(announcement, prekeys=prekeys, bundle_digest=self._bundle_digest)

    def _glance(self, context: RoundContext, wire: dict[str, bytes], outcome: RoundOutcome) -> Glance:
        chain = self.chain
        return Glance(
            chain,
            context,
            wire,
            {name: outcome.replies[name].encode().body for name in self.people},
            {name: copy(client.entry_end) for name, client in self.clients.items()},
            {hop: chain.pair(hop) for hop in range(1, HOPS)},
            {hop: chain.taps[hop].batches[-1].onions for hop in range(HOPS)},
            {hop: chain.taps[hop].answers[-1] for hop in range(HOPS)},
            {hop: orders[0] for hop, orders in chain.orders.items()},
            {hop: counts[-1] for hop, counts in chain.noise.items() if counts},
            () if outcome.bundle is None else outcome.bundle.invitations,
        )
