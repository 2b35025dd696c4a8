"""Real clients on a chain that keeps nothing to itself (``tests/open_chain.py``).

``Room`` records each round as a ``Glance``, of which ``tests/adversary.py`` takes what dishonest hops hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.engine import Engine
from iirs.client.store.store import ClientStore
from iirs.epoch import EpochKey
from iirs.geometry import PREKEY_INCREMENT, VAULT_SIZE
from iirs.message import Message, MessageKind
from iirs.noise import NoiseCount
from iirs.onion import EntryChannel, RoundContext
from iirs.server.mix_net import RoundOutcome
from iirs.suite import KeyPair
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import NO_BUNDLE, Announcement, NoticeFlags, Upload
from tests.builders import person
from tests.open_chain import FIRST_ROUND, HOPS, Client, OpenChain, Permute

PEOPLE = ("alice", "bob", "carol", "client-3", "client-4", "client-5")


@dataclass(frozen=True)
class Setup:
    """All that the network and every hop held of an epoch's setup."""

    context: RoundContext
    uploads: dict[str, Upload]
    """What the entry took, in its order."""
    channels: dict[str, EntryChannel]
    pairs: dict[int, KeyPair]
    batches: dict[int, Sequence[bytes]]
    """What left hop h."""
    orders: dict[int, list[int]]
    noise: dict[int, NoiseCount]


@dataclass(frozen=True)
class Glance:
    """All that the network and every hop held in one round."""

    chain: OpenChain
    context: RoundContext
    setup: Setup
    """Of the round's epoch."""
    taken: dict[str, Upload]
    """What the entry took."""
    wire: dict[str, bytes]
    """What each client sent, in time or not."""
    replies: dict[str, bytes]
    """What each client was sent."""
    channels: dict[str, EntryChannel]
    cells: dict[int, Sequence[bytes]]
    """What left hop h."""
    answers: dict[int, Sequence[bytes]]
    """What came back to hop h."""
    bundle: tuple[bytes, ...]

    @property
    def is_setup(self) -> bool:
        return self.context == self.setup.context


Late = Callable[[str, int], bool]
Meddle = Callable[[str, Upload], Upload | None]


def nobody_late(name: str, number: int) -> bool:
    return False


def as_sent(name: str, upload: Upload) -> Upload | None:
    return upload


@dataclass
class Room:
    """Engines of ``people`` on an ``OpenChain``. ``late`` says whose upload misses which round."""

    talk: bool
    permutes: Mapping[int, Permute] = field(default_factory=dict)
    people: Sequence[str] = PEOPLE
    epoch_rounds: int = 3
    late: Late = nobody_late
    meddle: Meddle = field(default_factory=lambda: as_sent, init=False)
    """What the entry is given in place of an upload; ``None``: nothing in time."""

    def __post_init__(self) -> None:
        self.chain = OpenChain(directory=self.people, permutes=self.permutes, epoch_rounds=self.epoch_rounds)
        self.number = FIRST_ROUND
        self._shown: list[EpochKey] = []
        self._prekeys: list[bytes] = []
        self._bundle_digest = NO_BUNDLE
        self._missed: set[str] = set()
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
        context = self.begin()
        wire: dict[str, bytes] = {}
        uploads: dict[str, Upload] = {}
        for name, engine in self.engines.items():
            messages = engine.build_upload()
            wire[name] = b"".join(item.encode() for item in messages if item.kind is not MessageKind.PREKEY)
            taken = self.meddle(name, self.decode(messages))
            if taken is not None and not self.late(name, self.number):
                uploads[name] = taken
        self._missed = self.engines.keys() - uploads.keys()
        outcome = self.chain.close(list(self.clients.values()), uploads)
        assert not outcome.lost, outcome.failure
        self.end(outcome)
        return self._glance(context, wire, uploads, outcome)

    def begin(self) -> RoundContext:
        """Announce the next round to everybody."""
        announcement = self._complete(self.chain.prepare(self.number, invites=self.number % 5 == 4))
        if self.chain.announced != self._shown:
            self._shown = self.chain.announced
            for engine in self.engines.values():
                engine.chain_view.take_keys(b"".join(key.encode() for key in self._shown))
        context = self.chain.open(announcement)
        if self.talk and self.number % 7 == 0:
            self.engines["alice"].messenger.send("bob", f"text of round {self.number}")
        for name, engine in self.engines.items():
            notice = NoticeFlags.LATE if name in self._missed else NoticeFlags.NONE
            engine.open_round(self.shown(name, announcement).encode(), notice)
        return context

    def shown(self, name: str, announcement: Announcement) -> Announcement:
        """Return what one person is shown of a round."""
        return announcement

    def decode(self, messages: Sequence[Message]) -> Upload:
        """Return an upload as the entry reads it; keep the prekey that came with it."""
        bodies = {message.kind: message.body for message in messages}
        self._prekeys += [bodies.pop(MessageKind.PREKEY)] if MessageKind.PREKEY in bodies else []
        return Upload.decode(bodies.pop(MessageKind.UPLOAD), bodies, self.chain.chain.geometry)

    def end(self, outcome: RoundOutcome) -> None:
        """Give everybody what the round brought."""
        self._bundle_digest = NO_BUNDLE if outcome.bundle is None else outcome.bundle.digest
        for name in self.engines:
            self.deliver(name, outcome)
        self.number += 1

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

    def _glance(
        self, context: RoundContext, wire: dict[str, bytes], uploads: dict[str, Upload], outcome: RoundOutcome
    ) -> Glance:
        chain = self.chain
        channels = {name: copy(client.entry_end) for name, client in self.clients.items()}
        if context.round_number == chain.place.setup_round:
            self._setup = Setup(
                context,
                uploads,
                channels,
                {hop: chain.pair(hop) for hop in range(1, HOPS)},
                {hop: chain.taps[hop].setups[-1].items for hop in range(HOPS)},
                chain.setup_orders,
                {hop: counts[-1] for hop, counts in chain.noise.items() if counts},
            )
        return Glance(
            chain,
            context,
            self._setup,
            uploads,
            wire,
            {name: outcome.replies[name].encode().body for name in self.people},
            channels,
            {hop: chain.taps[hop].cells[-1].items for hop in range(HOPS)},
            {hop: chain.taps[hop].answers[-1] for hop in range(HOPS)},
            () if outcome.bundle is None else outcome.bundle.invitations,
        )
