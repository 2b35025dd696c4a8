"""A chain that keeps nothing to itself, in one process.

``OpenChain`` is the real entry, the real later hops and the real dead drops, with a tap behind each: tests
see what each hop held, and stand in for hops that do not do what they should.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from iirs.circuit import Circuit, set_up
from iirs.epoch import EpochKey, EpochKeyring
from iirs.errors import OnionError
from iirs.geometry import CELL_SIZE, CIRCUITS_PER_SLOT, DROP_ID_SIZE, BatchKind
from iirs.noise import Noise, NoiseCount
from iirs.onion import EntryChannel, RoundContext, channel_period
from iirs.permutation import random_permutation
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.later_hop import HopEnvironment, LaterHop, Successor
from iirs.server.hops.link import Prepare, Prepared
from iirs.server.hops.noise_maker import NoiseMaker
from iirs.server.hops.preparer import Increment, Place, Preparer
from iirs.server.mix_net import Collected, MixNet, RoundOutcome
from iirs.server.mix_stage import Batch, MixStage, NextHop
from iirs.suite import KeyPair, PublicKey
from iirs.wire.rounds import (
    NOTHING_BEFORE,
    Announcement,
    Bundle,
    RoundFlags,
    Upload,
    announcement_hash,
)
from tests.builders import make_chain, make_directory

Permute = Callable[[int], list[int]]
Change = Callable[[Batch], Batch]
ChangeBack = Callable[[Batch, list[bytes]], list[bytes]]
CELL, SETUP = BatchKind.CELL, BatchKind.SETUP
HOPS = 3
FIRST_ROUND = 3000
"""A setup round, and the first of a period of the entry's keys."""
QUIET_NOISE = Noise(4, 1, forced=True)
"""Little enough to be quick; real draws, real onions."""


def unchanged(batch: Batch) -> Batch:
    return batch


def unchanged_back(_: Batch, answers: list[bytes]) -> list[bytes]:
    return answers


class Tap:
    """Stands behind a hop: keeps what it passes on and gets back; a test may change both."""

    def __init__(self, behind: NextHop | Successor) -> None:
        self.behind = behind
        self.setups: deque[Batch] = deque(maxlen=4)
        self.cells: deque[Batch] = deque(maxlen=4)
        self.answers: deque[list[bytes]] = deque(maxlen=4)
        """What came back for ``cells``, as the hop before gets it."""
        self.change: Change = unchanged
        self.change_back: ChangeBack = unchanged_back

    def prepare(self, request: Prepare, give_up_at: float) -> Prepared:
        return self.behind.prepare(request, give_up_at)  # type: ignore[union-attr]  # not behind the last hop

    def open_round(self, announcement: bytes, give_up_at: float) -> None:
        self.behind.open_round(announcement, give_up_at)  # type: ignore[union-attr]

    def close(self) -> None:
        pass

    def set_up(self, batch: Batch) -> None:
        self.setups.append(self.change(batch))
        self.behind.set_up(self.setups[-1])

    def exchange(self, batch: Batch) -> list[bytes]:
        self.cells.append(self.change(batch))
        self.answers.append(self.change_back(batch, self.behind.exchange(self.cells[-1])))
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
        epoch_rounds: int = 4,
    ) -> None:
        self.now = FIRST_ROUND * 2.0
        """What every clock shows, in seconds: rounds take 2 s, and none is prepared before its time."""
        self.keys = make_chain(HOPS, noise=noise, slots=slots, epoch_rounds=epoch_rounds)
        self.chain = self.keys.chain
        self.directory = make_directory(self.chain, *directory)
        self.taps: dict[int, Tap] = {}
        self.hops: dict[int, LaterHop] = {}
        self.orders: dict[int, list[list[int]]] = {hop: [] for hop in range(HOPS)}
        """The permutations that each hop has drawn, the newest last."""
        self.noise: dict[int, list[NoiseCount]] = {hop: [] for hop in range(HOPS)}
        self.announced: list[EpochKey] = []
        self.place = Place(-1, -1, NOTHING_BEFORE)
        """Of the round opened last; ``previous`` is the hash of its own announcement."""
        self._permutes = dict(permutes or {})
        self._folders = dict(folders or {})
        for hop in range(HOPS - 1, 0, -1):
            self.start_hop(hop)
        self.keyring = EpochKeyring(self.chain, 0, self.keys.identities[0])
        self.maker = NoiseMaker(self.chain, 0, os.urandom)
        self.stage = MixStage(self.taps[0], os.urandom, noise=lambda context: self.maker.take(context).onions)
        self._watch(0, self.stage, self.maker)
        self.mix_net = MixNet(self.chain, self.stage, os.urandom)
        self._preparer = Preparer(self.chain, self.keys.identities[0], self.keyring, self.taps[0])

    def start_hop(self, hop: int) -> LaterHop:
        """Start a later hop, or start it anew: what it has in its folder is all that it remembers."""
        state = HopState(self._folders.get(hop), self.chain.chain_id)
        world = HopEnvironment(os.urandom, clock=lambda: self.now, monotonic=lambda: self.now)
        made = LaterHop(self.chain, hop, self.keys.identities[hop], state, world, self.taps.get(hop))
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

    def prepare(self, number: int, *, invites: bool = False, sets_up: bool = False) -> Announcement:
        """Get keys and signatures together, and return the announcement to be made.

        It is a setup when one is due, and with ``sets_up``. Raises ``HopError`` if a hop refuses.
        """
        self.now = max(self.now, number * 2.0)
        entries = [entry.raw for entry in self.directory.entries]
        increment = Increment(len(entries), (), self.directory.digests[-1])
        place = replace(self.place, round_number=number)
        is_over = number >= place.setup_round + self.chain.epoch_rounds
        if sets_up or is_over or not self.mix_net.is_set_up:
            place = place.as_setup()
        ready = self._preparer.prepare(place, increment, entries, math.inf)
        self.announced = list(ready.keys)
        flags = RoundFlags.INVITE if invites else RoundFlags.NONE
        key_ids = tuple(key.key_id for key in ready.keys)
        setup_round, previous = ready.place.setup_round, ready.place.previous
        return Announcement(
            previous, number, setup_round, flags, 1000, 5, 6, key_ids, ready.head, len(entries), ()
        )

    def open(self, announcement: Announcement) -> RoundContext:
        """Open the round: the entry collects, the later hops are shown the announcement."""
        context = self.context(announcement)
        number = context.round_number
        self.place = Place(number, announcement.setup_round, context.announcement_hash)
        if announcement.is_setup:
            self.maker.begin(context, self.public)
        self.mix_net.open_round(context, sets_up=announcement.is_setup, invites=announcement.has_invitations)
        self.taps[0].open_round(announcement.encode(), math.inf)
        return context

    def context(self, announcement: Announcement) -> RoundContext:
        """Return what the layers of an announced round are bound to."""
        digest = announcement_hash(announcement.encode())
        return RoundContext(self.chain.chain_id, announcement.round_number, digest)

    def close(self, clients: Sequence[Client], uploads: Mapping[str, Upload]) -> RoundOutcome:
        """Hand in the uploads in their order and run the round."""
        for name, upload in uploads.items():
            assert self.mix_net.submit(name, upload) is Collected.TAKEN
        outcome = self.mix_net.close_round({client.name: client.entry_end for client in clients})
        assert outcome is not None
        return outcome

    def places(self, name: str, hop: int) -> list[int]:
        """Return where a client's circuits stand in the batches into ``hop``, by the setup that was last.

        Whoever holds the permutations of all hops before ``hop`` knows this.
        """
        first = self.mix_net._first_places[name]
        places = list(range(first, first + self.chain.geometry.circuits))
        for before in range(hop):
            places = [self.setup_orders[before].index(place) for place in places]
        return places

    @property
    def setup_orders(self) -> dict[int, list[int]]:
        """The permutation of each hop in this epoch, if all circuits are alive."""
        stages = {0: self.stage, **{hop: made._mix._stage for hop, made in self.hops.items()}}
        epochs = {hop: stages[hop]._epoch for hop in range(HOPS)}
        return {hop: list(epoch.permutation) for hop, epoch in epochs.items() if epoch is not None}


class Client:
    """Both ends of one entry channel; sets circuits up to where it is told to, and sends what it is told."""

    def __init__(self, chain: OpenChain, name: str, number: int = FIRST_ROUND) -> None:
        secret, period = os.urandom(32), channel_period(number)
        self.name = name
        self.entry_end = EntryChannel(secret, b"binding", period)
        self.own_end = EntryChannel(secret, b"binding", period)
        self.circuits: list[Circuit] = []
        self._chain = chain

    def upload(
        self,
        context: RoundContext,
        cells: Sequence[bytes],
        drop_ids: Sequence[bytes] = (),
        public: Sequence[PublicKey] | None = None,
    ) -> Upload:
        """Return an upload, of a setup round if there are ``drop_ids`` to lead circuits to."""
        geometry, keys = self._chain.chain.geometry, public or self._chain.public
        self.own_end.advance(channel_period(context.round_number))
        made = [set_up(drop, keys, geometry.suite, context, os.urandom) for drop in drop_ids]
        self.circuits = [circuit for _, circuit in made] or self.circuits
        wrapped = [
            circuit.wrap(context.round_number, cell)
            for circuit, cell in zip(self.circuits, cells, strict=True)
        ]
        onions = [onion for onion, _ in made]
        return Upload(
            context.round_number, self._seal(context, CELL, wrapped), self._seal(context, SETUP, onions)
        )

    def _seal(self, context: RoundContext, kind: BatchKind, items: Sequence[bytes]) -> tuple[bytes, ...]:
        first = self._chain.chain.geometry.first_index(kind)
        return tuple(
            self.own_end.seal_up(context, kind, index, item) for index, item in enumerate(items, first)
        )

    def open(self, context: RoundContext, outcome: RoundOutcome) -> list[bytes | None]:
        """Return what came back through each circuit; ``None`` for what does not open."""

        def opened(index: int, sealed: bytes) -> bytes | None:
            try:
                cell = self.own_end.open_down(context, index, sealed)
            except OnionError:
                return None
            return self.circuits[index].unwrap(context.round_number, cell)

        return [opened(index, sealed) for index, sealed in enumerate(outcome.replies[self.name].cells)]


def cells(count: int = CIRCUITS_PER_SLOT) -> list[bytes]:
    """Return as many random cells."""
    return [os.urandom(CELL_SIZE) for _ in range(count)]


def talking() -> list[bytes]:
    """Return the drops of one slot each of two people who talk to each other."""
    return [os.urandom(DROP_ID_SIZE) for _ in range(CIRCUITS_PER_SLOT)]


def idle() -> list[bytes]:
    """Return the drops of one slot of somebody who talks to nobody."""
    return CIRCUITS_PER_SLOT * [os.urandom(DROP_ID_SIZE)]
