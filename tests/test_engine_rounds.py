"""The engine against an entry that a test plays: what it uploads, and what it makes of what comes back."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from iirs.circuit import Layer, Way, initial_block
from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.engine import Engine
from iirs.client.events import RoundClosed, RoundFate, StandingBy
from iirs.client.model.round_health import RoundHealth
from iirs.client.open_round import OpenRound
from iirs.client.store.store import ClientStore
from iirs.client.sync import patience_for
from iirs.epoch import EpochKeyring
from iirs.geometry import CELL_SIZE, VAULT_SIZE, BatchKind
from iirs.message import Message, MessageKind
from iirs.onion import EntryChannel, RoundContext, channel_period, peel
from iirs.server.deaddrop import DeadDropManager
from iirs.suite import X25519
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import (
    NOTHING_BEFORE,
    Announcement,
    Replies,
    RoundFlags,
    RoundStatus,
    Standby,
    Upload,
    announcement_hash,
)
from tests.builders import ChainKeys, make_chain, make_directory, person

KEYS = make_chain(slots=2, invite_every=1000)
CHAIN = make_chain(2, slots=2, invite_every=1000, epoch_rounds=4)
"""One whose rounds share circuits by four."""
CIRCUITS = KEYS.chain.geometry.circuits
FIRST_ROUND = 1000
Spoil = Callable[[list[bytes]], list[bytes]]
"""What somebody does to the replies of one round on their way back, before the entry seals them."""


@dataclass
class Entry:
    """A server, of one hop or two, for one client, stepped by hand; it may do what it likes with replies."""

    seed: int = 0
    number: int = FIRST_ROUND - 1
    keys: ChainKeys = field(default_factory=lambda: KEYS)
    uploads: list[list[Message]] = field(default_factory=list)

    def __post_init__(self) -> None:
        source = random.Random(self.seed)
        self.chain = self.keys.chain
        self.directory = make_directory(self.chain, "alice", "bob")
        account = Account("alice", self.chain, person("alice"), b"")
        environment = Environment(lambda: FIRST_ROUND * 2.0, source.randbytes)
        self.random_bytes = source.randbytes
        self.store = ClientStore(":memory:", bytes(32))
        self.engine = Engine(account, self.store, environment)
        self.setup_round = self.number + 1
        self.previous = NOTHING_BEFORE
        self.drops = DeadDropManager(random.Random(1).randbytes)
        self.layers: list[Layer | None] = []
        """Of the client's circuits at the later hop, if there is one; none: it has no circuits."""
        self.hop = (
            EpochKeyring(self.chain, 1, self.keys.identities[-1]) if self.chain.geometry.hops > 1 else None
        )
        self.log_in()

    def log_in(self) -> None:
        secret = bytes([self.seed]) * 32
        self.channel = EntryChannel(secret, b"", channel_period(self.number + 1))
        record = AccountRecord(0, 0, bytes(VAULT_SIZE))
        entries = [entry.raw for entry in self.directory.entries]
        channel = EntryChannel(secret, b"", channel_period(self.number + 1))
        head = self.keys.head(self.directory)
        self.engine.begin_session(SessionStart(record, channel, head, entries, b"", []))

    def announce(self, *, forced: bool = False) -> None:
        self.number += 1
        if forced or self.number >= self.setup_round + self.chain.epoch_rounds:
            self.setup_round = self.number
        head = self.keys.head(self.directory)
        key_ids = [bytes(32)]
        if self.hop is not None:
            own = EpochKeyring(self.chain, 0, self.keys.identities[0]).for_logins(self.number)
            key = self.hop.for_setup(self.setup_round, b"")
            self.engine.chain_view.take_keys(own.encode() + key.encode())
            key_ids.append(key.key_id)
        announcement = Announcement(
            self.previous, self.number, self.setup_round, RoundFlags.NONE, 2000, 1000, 1, tuple(key_ids),
            head, len(self.directory), (),
        ).encode()  # fmt: skip
        self.previous = announcement_hash(announcement)
        self.context = RoundContext(self.chain.chain_id, self.number, self.previous)
        self.engine.open_round(announcement)

    def collect(self, *, late: bool = False) -> list[bytes]:
        """Have the client upload; return what comes to the drops, by its circuits."""
        messages = [
            message for message in self.engine.build_upload() if message.kind is not MessageKind.PREKEY
        ]
        self.uploads.append(messages)
        self.channel.advance(channel_period(self.number))
        parts = {message.kind: message.body for message in messages}
        upload = Upload.decode(parts.pop(MessageKind.UPLOAD), parts, self.chain.geometry)
        assert bool(upload.setups) is (self.number == self.setup_round)
        if upload.setups:
            self.layers = []
            self.drops_set_up = [] if late else [self._end(*each) for each in enumerate(upload.setups)]
            self.drops.set_up(self.drops_set_up)
        if not self.layers:
            return []
        if late:
            return [self.random_bytes(CELL_SIZE) for _ in self.layers]
        cells = [
            self.channel.open_up(self.context, BatchKind.CELL, index, cell)
            for index, cell in enumerate(upload.cells)
        ]
        return [self._through(place, cell, Way.FORWARD) for place, cell in enumerate(cells)]

    def _end(self, place: int, sealed: bytes) -> bytes:
        """Open a setup onion; return the drop id, and keep the circuit."""
        index = self.chain.geometry.first_index(BatchKind.SETUP) + place
        onion = self.channel.open_up(self.context, BatchKind.SETUP, index, sealed)
        layer = None
        if self.hop is not None:
            pair = self.hop.find(self.hop.for_setup(self.setup_round, b"").key_id)[1]
            secret, onion = peel(onion, pair, X25519, self.context, 1, BatchKind.SETUP)
            layer = Layer(secret)
        self.layers.append(layer)
        return onion

    def _through(self, place: int, cell: bytes, way: Way) -> bytes:
        layer = self.layers[place]
        return cell if layer is None else layer.apply(initial_block(self.number, way), cell)

    def reply(self, replies: list[bytes], status: RoundStatus = RoundStatus.DONE) -> None:
        backwards = [self._through(place, reply, Way.BACK) for place, reply in enumerate(replies)]
        sealed = [self.channel.seal_down(self.context, index, reply) for index, reply in enumerate(backwards)]
        size = self.chain.geometry.uploaded_size(BatchKind.CELL)
        filler = [self.random_bytes(size) for _ in range(CIRCUITS - len(sealed))]
        self.engine.close_round(Replies(self.number, status, (*sealed, *filler)))

    def play(
        self,
        spoil: Spoil = list,
        status: RoundStatus = RoundStatus.DONE,
        *,
        late: bool = False,
        forced: bool = False,
    ) -> None:
        """Run one round; ``late``: the upload is not in it."""
        self.announce(forced=forced)
        cells = self.collect(late=late)
        if not self.layers and status is RoundStatus.DONE:
            status = RoundStatus.NO_CIRCUITS
        elif late:
            status = RoundStatus.MISSING
        self.reply(spoil(self.drops.handle_messages(cells)), status)

    @property
    def fates(self) -> list[RoundFate]:
        return [event.fate for event in self.engine.take_events() if isinstance(event, RoundClosed)]


def health_of(entry: Entry) -> RoundHealth:
    health = RoundHealth()
    for fate in entry.fates:
        health = health.after(fate)
    return health


def altered(place: int) -> Spoil:
    return lambda replies: [r if i != place else r[:-1] + bytes([r[-1] ^ 1]) for i, r in enumerate(replies)]


def replaced(place: int) -> Spoil:
    """What a later hop answers if the setup never reached the dead drop."""
    noise = random.Random(2).randbytes(CELL_SIZE)
    return lambda replies: [reply if i != place else noise for i, reply in enumerate(replies)]


def came_back_alone(place: int) -> Spoil:
    """What the dead drop answers if only one of the two pieces of cover reached it: its own."""
    return lambda replies: [reply if i != place else replies[place ^ 1] for i, reply in enumerate(replies)]


@pytest.mark.parametrize("keys", [KEYS, CHAIN], ids=["one server", "two"])
@pytest.mark.parametrize("place", range(CIRCUITS))
@pytest.mark.parametrize("spoil", [altered, replaced, came_back_alone])
def test_one_reply_to_cover_dropped_or_altered_is_counted_once(
    spoil: Callable[[int], Spoil], place: int, keys: ChainKeys
) -> None:
    entry = Entry(keys=keys)
    entry.play()
    entry.play(spoil(place))
    entry.play()
    health = health_of(entry)
    assert (health.clean, health.tampered, health.lost) == (2, 1, 0)
    assert health.sentence == "1 of the last 3 rounds did not arrive intact"


@pytest.mark.parametrize("keys", [KEYS, CHAIN], ids=["one server", "two"])
def test_rounds_that_nobody_touches_are_clean(keys: ChainKeys) -> None:
    entry = Entry(keys=keys)
    for number in range(100):
        entry.play(forced=number % 7 == 6)
    assert health_of(entry).sentence == "All of the last 100 rounds arrived intact"


def test_a_reply_that_does_not_open_is_counted_as_tampered_with() -> None:
    entry = Entry()
    entry.announce()
    entry.collect()
    size = KEYS.chain.geometry.uploaded_size(BatchKind.CELL)
    noise = tuple(entry.random_bytes(size) for _ in range(CIRCUITS))
    entry.engine.close_round(Replies(entry.number, RoundStatus.DONE, noise))
    assert entry.fates == [RoundFate.TAMPERED]


@pytest.mark.parametrize("status", [RoundStatus.LOST, RoundStatus.MISSING, RoundStatus.NO_CIRCUITS])
def test_a_round_that_the_server_says_is_lost_is_lost_whatever_it_holds(status: RoundStatus) -> None:
    entry = Entry()
    entry.play(status=status)
    entry.play(replaced(0), status=status)
    assert entry.fates == [RoundFate.LOST] * 2


@pytest.mark.parametrize("uploaded", [True, False])
@pytest.mark.parametrize("then", [Entry.announce, Entry.log_in])
def test_a_round_that_was_announced_and_never_closed_is_lost(
    then: Callable[[Entry], None], uploaded: bool
) -> None:
    entry = Entry()
    entry.announce()
    if uploaded:
        entry.collect()
    assert entry.fates == []
    then(entry)
    assert entry.fates == [RoundFate.LOST]


def test_a_round_is_counted_once_even_if_its_replies_come_twice_or_too_late() -> None:
    entry = Entry()
    entry.play()
    entry.reply([bytes(CELL_SIZE)] * CIRCUITS)
    entry.announce()
    entry.collect()
    entry.announce()
    entry.engine.close_round(Replies(entry.number - 1, RoundStatus.DONE, ()))
    assert entry.fates == [RoundFate.CLEAN, RoundFate.LOST]


def test_what_is_uploaded_is_the_same_bytes_whatever_became_of_earlier_rounds() -> None:
    untouched, attacked = Entry(), Entry()
    for number in range(30):
        untouched.play()
        status = RoundStatus.LOST if number % 7 == 6 else RoundStatus.DONE
        attacked.play(altered(number % CIRCUITS), status)
    assert health_of(untouched).clean == health_of(attacked).troubled == 30
    assert untouched.uploads == attacked.uploads
    other = Entry(seed=1)
    other.play()
    assert other.uploads[0] != untouched.uploads[0]


# -- epochs ---------------------------------------------------------------------------------------------


def kinds(entry: Entry) -> list[list[MessageKind]]:
    return [[message.kind for message in messages] for messages in entry.uploads]


def test_circuits_are_set_up_once_an_epoch_and_cells_go_every_round() -> None:
    entry = Entry(keys=CHAIN)
    for _ in range(8):
        entry.play()
    plain, setup = [MessageKind.UPLOAD], [MessageKind.SETUP, MessageKind.UPLOAD]
    assert kinds(entry) == [setup, plain, plain, plain] * 2
    assert len({len(messages[-1].body) for messages in entry.uploads}) == 1


def test_a_late_upload_costs_its_round_and_a_late_setup_the_epoch() -> None:
    entry = Entry(keys=CHAIN)
    for number in range(12):
        entry.play(late=number in (1, 4))
    lost, clean = RoundFate.LOST, RoundFate.CLEAN
    assert entry.fates == [clean, lost, clean, clean, *[lost] * 4, *[clean] * 4]


def test_whoever_comes_in_the_middle_of_an_epoch_counts_from_the_next_setup_on() -> None:
    entry = Entry(keys=CHAIN)
    entry.setup_round -= 2
    for _ in range(4):
        entry.play()
    assert entry.fates == [RoundFate.NOT_YET] * 2 + [RoundFate.CLEAN] * 2
    assert [len(messages[-1].body) for messages in entry.uploads] == [len(entry.uploads[0][-1].body)] * 4


def test_whoever_reconnects_goes_on_with_the_circuits_in_memory() -> None:
    entry = Entry(keys=CHAIN)
    entry.play()
    entry.log_in()
    entry.previous = bytes(32)  # what was announced meanwhile
    for _ in range(3):
        entry.play()
    assert entry.fates == [RoundFate.CLEAN] * 4


def test_after_a_lost_setup_the_next_has_other_drops() -> None:
    entry = Entry(keys=CHAIN)
    seen: list[bytes] = []
    for _ in range(3):
        entry.announce(forced=True)
        entry.collect()
        seen += entry.drops_set_up
        entry.reply([bytes(CELL_SIZE)] * CIRCUITS, RoundStatus.LOST)
    assert len(set(seen)) == len(seen) // 2, "cover is in one drop a slot"
    assert entry.fates == [RoundFate.LOST] * 3


def written(entry: Entry) -> list[list[tuple[MessageKind, int]]]:
    return [[(message.kind, len(message.body)) for message in messages] for messages in entry.uploads]


def comes_later(entry: Entry, number: int) -> None:
    if number == 0:
        entry.setup_round -= 2


def asks_and_writes(entry: Entry, number: int) -> None:
    if number == 1:
        entry.engine.slots.ask("bob")
        entry.engine.messenger.send("bob", "hello" * 1000)


def reconnects(entry: Entry, number: int) -> None:
    if number in (2, 4):
        entry.log_in()


def leaves(entry: Entry, number: int) -> None:
    if number == 3:
        entry.engine.slots.hang_up_all(leaving=True)


@pytest.mark.parametrize("does", [comes_later, asks_and_writes, reconnects, leaves])
def test_what_is_written_says_of_what_kind_the_round_is_and_nothing_else(
    does: Callable[[Entry, int], None],
) -> None:
    plain, busy = Entry(keys=CHAIN), Entry(keys=CHAIN)
    kinds_of_rounds = set()
    for number in range(12):
        does(busy, number)
        plain.setup_round = busy.setup_round  # the rounds are of the same kinds for both
        late = does is not comes_later and number == 7
        for entry in (plain, busy):
            entry.play(late=late and entry is busy)
        kinds_of_rounds.add(busy.number == busy.setup_round)
    assert kinds_of_rounds == {True, False}
    assert written(plain) == written(busy)


def test_a_client_that_sends_no_cells_without_circuits_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = OpenRound.cells

    def lazy(current: OpenRound) -> list[bytes]:
        return honest(current) if current.epoch is not None else []

    monkeypatch.setattr(OpenRound, "cells", lazy)
    entry = Entry(keys=CHAIN)
    entry.setup_round -= 2
    for _ in range(4):
        entry.play()
    assert len({len(messages[-1].body) for messages in entry.uploads}) == 2


# -- standing by ---------------------------------------------------------------------------------------


def stored(entry: Entry) -> list[object]:
    return [entry.store.get(name) for name in ("last_round", "head", "conversations", "sync:bob", "chat:bob")]


def test_while_standing_by_there_is_nothing_to_upload_and_nothing_changes() -> None:
    entry = Entry()
    entry.play()
    entry.engine.slots.ask("bob")
    entry.engine.messenger.send("bob", "hello")
    before = stored(entry)
    entry.engine.take_events()
    for _ in range(3 * patience_for(1)):
        entry.engine.stand_by(Standby(None))
        assert entry.engine.build_upload() == []
    assert set(entry.engine.take_events()) == {StandingBy(None, 1)}
    assert stored(entry) == before
    entry.play()
    assert entry.fates == [RoundFate.CLEAN]
    assert stored(entry) != before


def test_a_round_lost_before_a_standby_is_lost_once_and_one_never_closed_too() -> None:
    entry = Entry()
    entry.play(status=RoundStatus.LOST)
    entry.engine.stand_by(Standby(None))
    assert entry.fates == [RoundFate.LOST]
    entry.announce()
    entry.engine.stand_by(Standby(None))
    assert entry.engine.build_upload() == []
    assert entry.fates == [RoundFate.LOST]


def test_uploads_after_a_pause_are_the_bytes_they_would_have_been() -> None:
    straight, paused = Entry(), Entry()
    for number in range(20):
        straight.play()
        paused.play()
        if number % 3 == 0:
            paused.engine.stand_by(Standby(None))
    assert straight.uploads == paused.uploads
