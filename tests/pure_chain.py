"""The mix net in one process, with neither socket nor clock: clients, entry, later hops and dead drops."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from iirs.circuit import Circuit, set_up
from iirs.errors import OnionError
from iirs.geometry import CELL_SIZE, DROP_ID_SIZE, BatchKind
from iirs.onion import CHANNEL_ROUNDS, EntryChannel, RoundContext, channel_period, wrap
from iirs.server.deaddrop import DeadDropManager, DeadDrops
from iirs.server.hops.mix_hop import MixHop
from iirs.server.mix_net import Collected, MixNet, RoundOutcome
from iirs.server.mix_stage import Batch, MixStage, NextHop, NoiseSource, no_noise
from iirs.suite import KeyPair, PublicKey
from iirs.wire.rounds import Bundle, Replies, Upload
from tests.builders import ChainKeys, make_chain

CELL, INVITE, SETUP = BatchKind
Permute = Callable[[int], list[int]]
FIRST = 2 * CHANNEL_ROUNDS
"""The first round of a period of the entry's channels."""


@dataclass
class Tap:
    """Stands between two hops: remembers what passes, and may change it or fail."""

    behind: NextHop
    batches: list[Batch] = field(default_factory=list)
    change: Callable[[list[bytes]], list[bytes]] = lambda replies: replies
    change_bundle: Callable[[Bundle], Bundle] = lambda bundle: bundle
    alter: Callable[[Batch], Batch] = lambda batch: batch
    fails: tuple[BatchKind, str] | None = None
    """A kind of batch that is lost here, and where: "out" or "back"."""

    def set_up(self, batch: Batch) -> None:
        self._go_out(batch)
        self.behind.set_up(self.alter(batch))
        self._come_back(batch.kind)

    def exchange(self, batch: Batch) -> list[bytes]:
        self._go_out(batch)
        answers = self.change(self.behind.exchange(self.alter(batch)))
        self._come_back(batch.kind)
        return answers

    def collect_invitations(self, batch: Batch) -> Bundle:
        self._go_out(batch)
        bundle = self.change_bundle(self.behind.collect_invitations(self.alter(batch)))
        self._come_back(batch.kind)
        return bundle

    def of(self, kind: BatchKind) -> list[Batch]:
        """Return the batches of a kind that passed."""
        return [batch for batch in self.batches if batch.kind is kind]

    def _go_out(self, batch: Batch) -> None:
        self.batches.append(batch)
        if self.fails == (batch.kind, "out"):
            raise OnionError("the batch was lost")

    def _come_back(self, kind: BatchKind) -> None:
        if self.fails == (kind, "back"):
            raise OnionError("the answer was lost")


class Net:
    """A chain of any length, wired by hand, with a tap before every later hop and before the dead drops."""

    def __init__(
        self,
        hops: int,
        suite: str = "X25519",
        permute: Permute | None = None,
        slots: int = 2,
        noise: tuple[int, int] = (0, 0),
    ) -> None:
        """``noise``: how many singles and pairs each hop but the last adds."""
        self.keys: ChainKeys = make_chain(hops, suite, slots=slots)
        self.chain = self.keys.chain
        self.geometry = self.chain.geometry
        self.hops = hops
        self.histograms: list[Counter[int]] = []
        self.taps: dict[int, Tap] = {}
        self.mix_hops: dict[int, MixHop] = {}
        self.stored: list[tuple[int, int, BatchKind]] = []
        self.on_disk: dict[int, dict[BatchKind, int]] = {hop: {} for hop in range(1, hops)}
        self.pairs: dict[int, KeyPair] = {}
        self.new_keys()
        self._permute = permute
        self._noise = noise
        self.start_hop(hops - 1)
        for hop in range(hops - 2, -1, -1):
            self.start_hop(hop)

    def new_keys(self) -> None:
        """Have every later hop show a key for another setup; the old ones are gone."""
        self.pairs = {hop: self.geometry.suite.generate() for hop in range(1, self.hops)}

    def public_keys(self) -> list[PublicKey]:
        return [self.geometry.suite.load_public(pair.public_bytes) for pair in self.pairs.values()]

    def start_hop(self, hop: int) -> None:
        """Start a hop's program: of what it held in memory nothing is left."""
        behind: NextHop
        if hop == self.hops - 1:
            manager = DeadDropManager(os.urandom, lambda counts, ids: self.histograms.append(counts))
            behind = DeadDrops(manager, self.chain.chain_id, self.keys.identities[-1].sign)
        else:
            behind = self.mix_hops[hop + 1]
        tap = self.taps.setdefault(hop, Tap(behind))
        tap.behind = behind
        stage = MixStage(tap, os.urandom, self._permute, self._noise_source(hop))
        if hop == 0:
            self.mix_net = MixNet(
                self.chain, stage, os.urandom, account=lambda client: str(client).partition("/")[0]
            )
            return
        key, store = (lambda _: self.pairs[hop]), self._store(hop)
        self.mix_hops[hop] = MixHop(self.geometry, hop, key, stage, os.urandom, store, self.on_disk[hop])
        if hop - 1 in self.taps:
            self.taps[hop - 1].behind = self.mix_hops[hop]

    def _store(self, hop: int) -> Callable[[int, BatchKind], None]:
        def store(round_number: int, kind: BatchKind) -> None:
            self.stored.append((hop, round_number, kind))
            self.on_disk[hop][kind] = round_number

        return store

    def _noise_source(self, hop: int) -> NoiseSource:
        if hop == self.hops - 1:
            return no_noise
        return lambda context: self._noise_onions(hop, context)

    def _noise_onions(self, hop: int, context: RoundContext) -> list[bytes]:
        singles, pairs = self._noise
        ids = [os.urandom(DROP_ID_SIZE) for _ in range(singles + pairs)]
        keys = self.public_keys()[hop:]
        suite = self.geometry.suite
        return [set_up(drop, keys, suite, context, os.urandom, hop + 1)[0] for drop in ids + ids[singles:]]

    @property
    def noise_a_hop(self) -> int:
        """How many circuits each hop but the last adds."""
        return self._noise[0] + 2 * self._noise[1]

    @property
    def last_tap(self) -> Tap:
        """What reaches the dead drops."""
        return self.taps[self.hops - 1]

    def live_in(self, setup_round: int) -> bool:
        """Whether every hop has circuits of an epoch: else the next round is prepared as a setup."""
        return self.mix_net.is_set_up and all(
            hop.setup_round == setup_round for hop in self.mix_hops.values()
        )

    def context(self, round_number: int = FIRST) -> RoundContext:
        return RoundContext(self.chain.chain_id, round_number, b"a" * 32)

    def run(
        self,
        clients: Sequence[Client],
        uploads: dict[str, Upload],
        *,
        number: int = FIRST,
        sets_up: bool = True,
        invites: bool = False,
    ) -> RoundOutcome:
        """Open a round, hand in the uploads, close it; ``uploads`` are by the client's session."""
        self.mix_net.open_round(self.context(number), sets_up=sets_up, invites=invites)
        for session, upload in uploads.items():
            assert self.mix_net.submit(session, upload) is Collected.TAKEN
        outcome = self.mix_net.close_round({client.session: client.entry_end for client in clients})
        assert outcome is not None
        return outcome


class Client:
    """One client: sets circuits up, builds uploads and opens replies."""

    def __init__(self, net: Net, name: str) -> None:
        self.name = name
        self.session = name
        self.circuits: list[Circuit] = []
        """Of the setup uploaded last; in memory only."""
        self._net = net
        self._connect(FIRST)

    def _connect(self, number: int) -> None:
        secret = os.urandom(32)
        period = channel_period(number)
        self.entry_end = EntryChannel(secret, b"binding", period)
        self._channel = EntryChannel(secret, b"binding", period)

    def reconnect(self, number: int) -> None:
        """Come back in another session, with the circuits still in memory."""
        self.session = f"{self.name}/{os.urandom(4).hex()}"
        self._connect(number)

    def onions(
        self, drop_ids: Sequence[bytes], number: int = FIRST, keys: Sequence[PublicKey] | None = None
    ) -> list[bytes]:
        """Return onions that set up circuits, which are this client's from now on; ``keys`` for the first."""
        net = self._net
        made = []
        for place, drop_id in enumerate(drop_ids):
            used = keys if keys is not None and place == 0 else net.public_keys()
            made.append(set_up(drop_id, used, net.geometry.suite, net.context(number), os.urandom))
        self.circuits = [circuit for _, circuit in made]
        return [onion for onion, _ in made]

    def wrapped(self, cells: Sequence[bytes], number: int) -> list[bytes]:
        """Return cells as they go through the circuits, or as they are without."""
        if not self.circuits:
            return list(cells)
        return [circuit.wrap(number, cell) for circuit, cell in zip(self.circuits, cells, strict=True)]

    def seal(self, kind: BatchKind, items: Sequence[bytes], number: int) -> tuple[bytes, ...]:
        self._channel.advance(channel_period(number))
        context, first = self._net.context(number), self._net.geometry.first_index(kind)
        return tuple(
            self._channel.seal_up(context, kind, place, item) for place, item in enumerate(items, first)
        )

    def upload(
        self,
        requests: Sequence[tuple[bytes, bytes]],
        invitations: Sequence[bytes] = (),
        number: int = FIRST,
        keys: Sequence[PublicKey] | None = None,
        *,
        sets_up: bool = True,
    ) -> Upload:
        """Build what is uploaded for ``requests``: a dead drop and a cell each."""
        setups = self.onions([drop_id for drop_id, _ in requests], number, keys) if sets_up else []
        cells = self.wrapped([cell for _, cell in requests], number)
        suite, context = self._net.geometry.suite, self._net.context(number)
        wrapped = [
            wrap(item, self._net.public_keys(), suite, context, INVITE, os.urandom)[0] for item in invitations
        ]
        return Upload(
            number,
            self.seal(CELL, cells, number),
            self.seal(SETUP, setups, number),
            self.seal(INVITE, wrapped, number),
        )

    def open(self, replies: Replies) -> list[bytes | None]:
        """Return what came back through each circuit; ``None`` for what the entry did not seal for us."""
        self._channel.advance(channel_period(replies.round_number))
        context = self._net.context(replies.round_number)
        return [self._open(context, place, cell) for place, cell in enumerate(replies.cells)]

    def _open(self, context: RoundContext, place: int, sealed: bytes) -> bytes | None:
        try:
            cell = self._channel.open_down(context, place, sealed)
        except OnionError:
            return None
        return self.circuits[place].unwrap(context.round_number, cell) if self.circuits else cell


def drop(name: str) -> bytes:
    return name.encode().ljust(DROP_ID_SIZE)


def text(words: str) -> bytes:
    return words.encode().ljust(CELL_SIZE)
