"""The engine by example, without a server: slots, and an account used on two machines."""

from __future__ import annotations

import os

import pytest

from iirs.client.engine import Account, Engine, SessionStart, World
from iirs.client.store import ClientStore
from iirs.errors import AccountError
from iirs.geometry import VAULT_SIZE
from iirs.onion import EntryChannel
from iirs.wire import AccountRecord
from tests.builders import make_chain, make_directory, person

KEYS = make_chain(slots=1)
DIRECTORY = make_directory(KEYS.chain, "alice", "bob", "carol")


def alice(store: ClientStore | None = None) -> Engine:
    account = Account("alice", KEYS.chain, person("alice"), b"")
    return Engine(account, store or ClientStore(":memory:", bytes(32)), World())


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
    engine.ask("bob")
    with pytest.raises(AccountError, match="in use"):
        engine.ask("carol")
    engine.hang_up("bob")
    engine._conversations["bob"]._end_invitations = 2
    assert [item.peer.name for item in engine._active()] == ["bob"]
    engine.ask("carol")
    assert [item.peer.name for item in engine._active()] == ["carol"]


def test_keys_are_kept_when_nobody_else_has_used_the_account_and_dropped_when_somebody_has() -> None:
    """Fixed: only the first login looked; a later one went on with keys that were not the newest."""
    engine = alice()
    log_in(engine, 0)
    engine.ask("bob")
    engine.send("bob", "hello")
    engine._last_used = 100  # as after an upload for that round
    for seen_by_server in (99, 100):
        log_in(engine, seen_by_server)
        assert engine._conversations["bob"].needs_slot
    log_in(engine, 101)
    assert not engine._conversations["bob"].needs_slot
    assert [item.text for item in engine.undelivered("bob")] == ["hello"]
    assert engine._last_used == 101


def test_a_file_that_went_back_in_time_loses_its_keys_and_keeps_its_texts() -> None:
    store = ClientStore(":memory:", bytes(32))
    engine = alice(store)
    log_in(engine, 0)
    engine.ask("bob")
    engine.send("bob", "hello")
    again = alice(store)
    log_in(again, 7)
    assert not again._conversations["bob"].needs_slot
    assert [item.text for item in again.undelivered("bob")] == ["hello"]
