"""The engine by example, without a server: slots, and an account used on two machines."""

from __future__ import annotations

import os

import pytest

from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.engine import Engine
from iirs.client.events import PeerChanged, PeerState, RoundClosed, RoundFate
from iirs.client.messenger.limits import text_limit
from iirs.client.store.store import ClientStore
from iirs.epoch import EpochKey, EpochKeyring
from iirs.errors import AccountError, ChainError, PeerError
from iirs.geometry import VAULT_SIZE
from iirs.message import MessageKind
from iirs.onion import EntryChannel
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, RoundFlags, Standby, announcement_hash
from tests.builders import make_chain, make_directory, person

ENVIRONMENT = Environment(clock=lambda: NUMBER * 2.0)
KEYS = make_chain(slots=1)
DIRECTORY = make_directory(KEYS.chain, "alice", "bob", "carol")


def alice(store: ClientStore | None = None) -> Engine:
    account = Account("alice", KEYS.chain, person("alice"), b"")
    return Engine(account, store or ClientStore(":memory:", bytes(32)), ENVIRONMENT)


THREE = make_chain(3, slots=1)
THREE_DIRECTORY = make_directory(THREE.chain, "alice", "bob")
NUMBER = 60
"""A setup round."""


def hop_keys(number: int = NUMBER) -> list[EpochKey]:
    """What the three hops sign for the epoch that begins with a round: fresh keys."""
    rings = [EpochKeyring(THREE.chain, hop, THREE.identities[hop]) for hop in range(3)]
    return [rings[0].for_logins(number), *(ring.for_setup(number, b"") for ring in rings[1:])]


def shown(*keys: EpochKey) -> Engine:
    """Alice in a session on a chain of three, shown these keys."""
    engine = Engine(
        Account("alice", THREE.chain, person("alice"), b""), ClientStore(":memory:", bytes(32)), ENVIRONMENT
    )
    record = AccountRecord(0, 0, bytes(VAULT_SIZE))
    channel = EntryChannel(os.urandom(32), b"", 0)
    entries = [entry.raw for entry in THREE_DIRECTORY.entries]
    encoded = b"".join(key.encode() for key in keys)
    engine.begin_session(SessionStart(record, channel, THREE.head(THREE_DIRECTORY), entries, encoded, []))
    return engine


def announce(
    keys: list[EpochKey], number: int = NUMBER, setup_round: int = NUMBER, previous: bytes = NOTHING_BEFORE
) -> bytes:
    key_ids = tuple(key.key_id for key in keys)
    head = THREE.head(THREE_DIRECTORY)
    return Announcement(
        previous, number, setup_round, RoundFlags.NONE, 1000, 5, 1, key_ids, head, len(THREE_DIRECTORY), ()
    ).encode()


def log_in(engine: Engine, last_round: int) -> None:
    """Begin a session with a server that has last seen an upload for ``last_round``."""
    record = AccountRecord(0, last_round, bytes(VAULT_SIZE))
    channel = EntryChannel(os.urandom(32), b"", 0)
    entries = [entry.raw for entry in DIRECTORY.entries]
    engine.begin_session(SessionStart(record, channel, KEYS.head(DIRECTORY), entries, b"", []))


def test_an_end_still_to_be_said_does_not_keep_a_slot_from_others() -> None:
    """Fixed: with rare bundles a person with one slot could ask nobody for an hour, and saw no reason."""
    engine = alice()
    log_in(engine, 0)
    engine.slots.ask("bob")
    engine.slots.ask("carol")
    assert PeerChanged("carol", PeerState.WAITING) in engine.take_events()
    engine.slots.hang_up("bob")
    engine.slots.conversations["bob"]._end_invitations = 2
    assert [item.peer.name for item in engine.slots.active()] == ["bob"]
    engine.slots.admit_waiting()
    assert [item.peer.name for item in engine.slots.active()] == ["carol"]


def test_a_text_of_exactly_the_limit_is_queued_and_one_byte_more_leaves_nothing_behind() -> None:
    engine = alice()
    log_in(engine, 0)
    limit = text_limit("bob")
    with pytest.raises(AccountError, match=f"{limit + 1} bytes; at most {limit} "):
        engine.messenger.send("bob", "x" * (limit + 1))
    assert (engine.messenger.undelivered("bob"), engine.messenger.history("bob")) == ([], [])
    engine.messenger.send("bob", "x" * limit)
    assert [len(item.data) for item in engine.messenger.undelivered("bob")] == [limit]


def test_keys_are_kept_when_nobody_else_has_used_the_account_and_dropped_when_somebody_has() -> None:
    """Fixed: only the first login looked; a later one went on with keys that were not the newest."""
    engine = alice()
    log_in(engine, 0)
    engine.slots.ask("bob")
    engine.messenger.send("bob", "hello")
    engine._last_used = 100  # as after an upload for that round
    for seen_by_server in (99, 100):
        log_in(engine, seen_by_server)
        assert engine.slots.conversations["bob"].needs_slot
    log_in(engine, 101)
    assert not engine.slots.conversations["bob"].needs_slot
    assert [item.text for item in engine.messenger.undelivered("bob")] == ["hello"]
    assert engine._last_used == 101


def test_a_file_that_went_back_in_time_loses_its_keys_and_keeps_its_texts() -> None:
    store = ClientStore(":memory:", bytes(32))
    engine = alice(store)
    log_in(engine, 0)
    engine.slots.ask("bob")
    engine.messenger.send("bob", "hello")
    again = alice(store)
    log_in(again, 7)
    assert not again.slots.conversations["bob"].needs_slot
    assert [item.text for item in again.messenger.undelivered("bob")] == ["hello"]


def test_a_round_is_wrapped_for_the_keys_of_the_hops_it_is_announced_with() -> None:
    keys = hop_keys()
    engine = shown(*keys)
    previous = NOTHING_BEFORE
    for number in (NUMBER, NUMBER + 29):
        announcement = announce(keys, number, previous=previous)
        engine.open_round(announcement)
        assert engine.build_upload()
        previous = announcement_hash(announcement)


@pytest.mark.parametrize("places", [(0, 0, 0), (0, 2, 2), (0, 1, 1), (0, 2, 1), (0, 1, 0)], ids=str)
def test_an_announcement_that_puts_one_hops_key_in_anothers_place_is_refused(places: tuple[int, ...]) -> None:
    """Fixed: any key that had been shown was taken in any place, so a dishonest entry that named its own key
    for every hop, to one client, opened all layers by itself, and honest hops were no protection."""
    keys = hop_keys()
    engine = shown(*keys)
    with pytest.raises(ChainError, match="did not sign"):
        engine.open_round(announce([keys[place] for place in places]))
    assert engine.build_upload() == []


@pytest.mark.parametrize("first_round", [NUMBER - 1, NUMBER + 1, NUMBER + 30, 0])
def test_a_key_for_another_epoch_than_the_one_announced_is_refused(first_round: int) -> None:
    """Fixed: a key whose time was over was taken for ever, so one stolen from a hop's memory once did."""
    keys = hop_keys()
    keys[1] = hop_keys(first_round)[1]
    engine = shown(*keys)
    with pytest.raises(ChainError, match=r"not for this round|another epoch"):
        engine.open_round(announce(keys))
    assert engine.build_upload() == []


def test_the_keys_of_a_round_announced_just_before_they_changed_still_serve() -> None:
    keys, renewed = hop_keys(), hop_keys(NUMBER + 1)
    engine = shown(*keys)
    first = announce(keys)
    engine.open_round(first)
    engine.chain_view.take_keys(b"".join(key.encode() for key in renewed))
    assert engine.build_upload()
    engine.open_round(announce(renewed, NUMBER + 1, NUMBER + 1, announcement_hash(first)))
    assert engine.build_upload()


# -- one announcement after the other -----------------------------------------------------------------------


def second(number: int, setup_round: int, previous: bytes | None = None) -> Engine:
    """Alice in the middle of an epoch, after an announcement that follows its setup's as given."""
    keys = hop_keys()
    engine = shown(*keys)
    first = announce(keys)
    engine.open_round(first)
    engine.build_upload()
    if setup_round not in (NUMBER, NUMBER - 1):
        keys = hop_keys(setup_round)
        engine.chain_view.take_keys(b"".join(key.encode() for key in keys))
    engine.open_round(
        announce(keys, number, setup_round, announcement_hash(first) if previous is None else previous)
    )
    return engine


@pytest.mark.parametrize(("number", "setup_round"), [(61, 60), (61, 61), (89, 60), (100, 100)])
def test_a_round_uses_the_circuits_of_the_one_before_or_its_own(number: int, setup_round: int) -> None:
    kinds = [message.kind for message in second(number, setup_round).build_upload()]
    assert (MessageKind.SETUP in kinds) is (number == setup_round)


@pytest.mark.parametrize("previous", [NOTHING_BEFORE, bytes(31) + b"\1"])
@pytest.mark.parametrize("setup_round", [NUMBER, NUMBER + 1])
def test_an_announcement_that_follows_another_than_was_shown_is_refused(
    previous: bytes, setup_round: int
) -> None:
    with pytest.raises(ChainError, match="other rounds than its chain agreed on"):
        second(NUMBER + 1, setup_round, previous)


@pytest.mark.parametrize(("number", "setup_round"), [(NUMBER + 5, NUMBER + 4), (NUMBER + 3, NUMBER + 4)])
def test_a_round_of_an_epoch_whose_beginning_was_not_announced_is_refused(
    number: int, setup_round: int
) -> None:
    with pytest.raises((PeerError, ChainError)):
        second(number, setup_round)


def test_whoever_comes_in_the_middle_of_an_epoch_uploads_cells_and_waits() -> None:
    keys = hop_keys()
    engine = shown(*keys)
    engine.open_round(announce(keys, NUMBER + 7, previous=bytes(31) + b"\1"))
    kinds = [message.kind for message in engine.build_upload()]
    assert kinds == [MessageKind.PREKEY, MessageKind.UPLOAD]
    engine.stand_by(Standby(None))
    assert [event.fate for event in engine.take_events() if isinstance(event, RoundClosed)] == [
        RoundFate.LOST
    ]
