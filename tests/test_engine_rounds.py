"""The engine against an entry that a test plays: what it uploads, and what it makes of what comes back."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.engine import Engine
from iirs.client.events import RoundClosed, RoundFate, StandingBy
from iirs.client.model.round_health import RoundHealth
from iirs.client.store.store import ClientStore
from iirs.client.sync import PATIENCE
from iirs.geometry import PEER_MESSAGE_SIZE, VAULT_SIZE, BatchKind
from iirs.message import Message
from iirs.onion import EntryChannel, RoundContext
from iirs.server.deaddrop import DeadDropManager, DeaddropMessage
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import (
    Announcement,
    Replies,
    RoundFlags,
    RoundStatus,
    Standby,
    Upload,
    announcement_hash,
)
from tests.builders import make_chain, make_directory, person

KEYS = make_chain(slots=2, invite_every=1000)
GEOMETRY = KEYS.chain.geometry
DIRECTORY = make_directory(KEYS.chain, "alice", "bob")
FIRST_ROUND = 1000
Spoil = Callable[[list[bytes]], list[bytes]]
"""What somebody does to the replies of one round on their way back, before the entry seals them."""


@dataclass
class Entry:
    """A server of one hop for one client, stepped by hand; it may do as it likes with the replies."""

    seed: int = 0
    number: int = FIRST_ROUND - 1
    uploads: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        source = random.Random(self.seed)
        account = Account("alice", KEYS.chain, person("alice"), b"")
        environment = Environment(lambda: FIRST_ROUND * 2.0, source.randbytes)
        self.random_bytes = source.randbytes
        self.store = ClientStore(":memory:", bytes(32))
        self.engine = Engine(account, self.store, environment)
        self.log_in()

    def log_in(self) -> None:
        secret = bytes([self.seed]) * 32
        self.channel = EntryChannel(secret, b"", 0)
        record = AccountRecord(0, 0, bytes(VAULT_SIZE))
        entries = [entry.raw for entry in DIRECTORY.entries]
        start = SessionStart(record, EntryChannel(secret, b"", 0), KEYS.head(DIRECTORY), entries, b"", [])
        self.engine.begin_session(start)

    def announce(self) -> None:
        self.number += 1
        head = KEYS.head(DIRECTORY)
        announcement = Announcement(
            self.number, RoundFlags.NONE, 2000, 1000, 1, (bytes(32),), head, len(DIRECTORY), ()
        ).encode()
        self.context = RoundContext(KEYS.chain.chain_id, self.number, announcement_hash(announcement))
        self.engine.open_round(announcement)

    def collect(self) -> list[bytes]:
        """Have the client upload; return its requests."""
        *_, upload = self.engine.build_upload()
        self.uploads.append(upload)
        self.channel.advance(self.number // KEYS.chain.epoch_rounds)
        return [
            self.channel.open_up(self.context, BatchKind.CONVERSATION, index, onion)
            for index, onion in enumerate(Upload.decode(upload, GEOMETRY).onions)
        ]

    def reply(self, replies: list[bytes], status: RoundStatus = RoundStatus.DONE) -> None:
        sealed = [self.channel.seal_down(self.context, index, reply) for index, reply in enumerate(replies)]
        self.engine.close_round(Replies(self.number, status, tuple(sealed)))

    def play(self, spoil: Spoil = list, status: RoundStatus = RoundStatus.DONE) -> None:
        """Run one round."""
        self.announce()
        messages = [DeaddropMessage(request[:16], request[16:]) for request in self.collect()]
        self.reply(spoil(DeadDropManager(random.Random(1).randbytes).handle_messages(messages)), status)

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
    """What a later hop answers if the onion never reached the dead drop."""
    noise = random.Random(2).randbytes(PEER_MESSAGE_SIZE)
    return lambda replies: [reply if i != place else noise for i, reply in enumerate(replies)]


def came_back_alone(place: int) -> Spoil:
    """What the dead drop answers if only one of the two pieces of cover reached it: its own."""
    return lambda replies: [reply if i != place else replies[place ^ 1] for i, reply in enumerate(replies)]


@pytest.mark.parametrize("place", range(GEOMETRY.onions_per_client))
@pytest.mark.parametrize("spoil", [altered, replaced, came_back_alone])
def test_one_reply_to_cover_dropped_or_altered_is_counted_once(
    spoil: Callable[[int], Spoil], place: int
) -> None:
    entry = Entry()
    entry.play()
    entry.play(spoil(place))
    entry.play()
    health = health_of(entry)
    assert (health.clean, health.tampered, health.lost) == (2, 1, 0)
    assert health.sentence == "1 of the last 3 rounds did not arrive intact"


def test_rounds_that_nobody_touches_are_clean() -> None:
    entry = Entry()
    for _ in range(100):
        entry.play()
    assert health_of(entry).sentence == "All of the last 100 rounds arrived intact"


def test_a_reply_that_does_not_open_is_counted_as_tampered_with() -> None:
    entry = Entry()
    entry.announce()
    entry.collect()
    noise = tuple(entry.random_bytes(GEOMETRY.entry_reply_size) for _ in range(GEOMETRY.onions_per_client))
    entry.engine.close_round(Replies(entry.number, RoundStatus.DONE, noise))
    assert entry.fates == [RoundFate.TAMPERED]


@pytest.mark.parametrize("status", [RoundStatus.LOST, RoundStatus.MISSING])
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
    entry.reply([bytes(PEER_MESSAGE_SIZE)] * GEOMETRY.onions_per_client)
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
        attacked.play(altered(number % GEOMETRY.onions_per_client), status)
    assert health_of(untouched).clean == health_of(attacked).troubled == 30
    assert untouched.uploads == attacked.uploads
    other = Entry(seed=1)
    other.play()
    assert other.uploads[0] != untouched.uploads[0]


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
    for _ in range(3 * PATIENCE):
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
