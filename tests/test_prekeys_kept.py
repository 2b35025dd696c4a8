"""The prekeys a server keeps: what it announces, once, and what it forgets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from iirs.errors import ConfigError, PeerError
from iirs.geometry import PREKEY_SIZE
from iirs.prekey import Prekey
from iirs.server.accounts.database import Storage
from iirs.server.accounts.prekey_store import PrekeyStore
from tests.builders import make_chain, make_directory, make_prekey, prekey_pair

KEYS = make_chain(prekey_rounds=10)
CHAIN = KEYS.chain
DIRECTORY = make_directory(CHAIN, "alice", "bob", "carol")


def prekey_store(storage: Storage | None = None) -> PrekeyStore:
    return PrekeyStore(CHAIN, storage or Storage("sqlite://"), DIRECTORY.entries.__getitem__)


def test_what_is_new_is_announced_once_and_what_is_the_same_is_not() -> None:
    kept = prekey_store()
    alice = make_prekey(DIRECTORY, "alice", 100)
    kept.take(alice, 1000)
    kept.take(alice, 1000)
    assert kept.announce(3, 1000) == (alice.encode(),)
    kept.take(make_prekey(DIRECTORY, "alice", 100), 1005)  # the same key, signed again
    assert kept.announce(3, 1005) == ()
    elsewhere = make_prekey(DIRECTORY, "alice", 100, machine=" elsewhere")
    kept.take(elsewhere, 1005)
    assert kept.announce(3, 1006) == (elsewhere.encode(),)
    kept.take(alice, 1006)
    assert kept.announce(3, 1007) == (alice.encode(),)
    assert list(kept.known(3, 1007)) == [alice.encode()]


def test_so_many_are_announced_a_round_and_only_of_people_who_have_been(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("iirs.server.accounts.prekey_store.PREKEY_INCREMENT_MAX", 2)

    kept = prekey_store()
    prekeys = [make_prekey(DIRECTORY, name, 100) for name in ("carol", "alice", "bob")]
    for prekey in prekeys:
        kept.take(prekey, 1000)
    raws = [prekey.encode() for prekey in prekeys]
    assert kept.announce(0, 1000) == ()
    assert kept.announce(2, 1000) == (raws[1], raws[2])
    assert list(kept.known(2, 1000)) == [raws[1], raws[2]]
    assert kept.announce(2, 1001) == ()
    assert kept.announce(3, 1002) == (raws[0],)
    for prekey in (make_prekey(DIRECTORY, name, 100, "another") for name in ("carol", "alice", "bob")):
        kept.take(prekey, 1003)
    assert [len(kept.announce(3, 1003)) for _ in range(3)] == [2, 1, 0]


def test_a_renewed_prekey_takes_the_place_of_one_not_yet_announced() -> None:
    kept = prekey_store()
    kept.take(make_prekey(DIRECTORY, "alice", 99), 999)
    kept.take(make_prekey(DIRECTORY, "alice", 100), 1000)
    assert kept.announce(3, 1000) == (make_prekey_again("alice", 100, kept),)
    assert kept.announce(3, 1000) == ()


def make_prekey_again(name: str, period: int, kept: PrekeyStore) -> bytes:
    (raw,) = kept.known(3, period * 10)
    assert Prekey.decode(raw).public == prekey_pair(name, period).public_bytes
    return raw


def test_a_prekey_of_a_period_that_is_over_is_thrown_away_and_one_too_early_refused() -> None:
    kept = prekey_store()
    for period in (98, 99, 100):
        kept.take(make_prekey(DIRECTORY, "alice", period), 1000)
        assert len(kept.known(3, 1000)) == (period > 98)
    kept.take(make_prekey(DIRECTORY, "alice", 99), 1000)
    assert Prekey.decode(*kept.known(3, 1000)).period == 100
    with pytest.raises(PeerError, match="not begun"):
        kept.take(make_prekey(DIRECTORY, "alice", 101), 1000)


def test_nobody_signs_for_somebody_else() -> None:
    kept = prekey_store()
    alice = make_prekey(DIRECTORY, "alice", 100)
    for bad in (replace(alice, position=1), replace(alice, signature=bytes(64)), replace(alice, period=99)):
        with pytest.raises(PeerError, match="did not sign"):
            kept.take(bad, 1000)
    assert list(kept.known(3, 1000)) == []


def test_prekeys_nobody_may_use_any_more_are_not_handed_out_and_forgotten() -> None:
    storage = Storage("sqlite://")
    kept = prekey_store(storage)
    kept.take(make_prekey(DIRECTORY, "alice", 100), 1000)
    kept.take(make_prekey(DIRECTORY, "bob", 100), 1000)
    assert kept.announce(0, 1000) == ()
    assert len(kept.known(3, 1019)) == len(storage.prekeys()) == 2
    assert list(kept.known(3, 1020)) == []
    carol = make_prekey(DIRECTORY, "carol", 102)
    kept.take(carol, 1020)
    assert kept.announce(3, 1020) == (carol.encode(),)
    assert storage.prekeys() == [carol.encode()]
    assert kept.announce(3, 1021) == ()


def test_a_thousand_renewals_in_one_round_are_stored_together(tmp_path: Path) -> None:
    storage = Storage(f"sqlite:///{tmp_path / 'server.sqlite'}")
    for generation in (b"a", b"b"):
        storage.keep_prekeys(dict.fromkeys(range(1000), generation * PREKEY_SIZE))
        assert storage.prekeys() == [generation * PREKEY_SIZE] * 1000
    storage.keep_prekeys({}, range(999))
    assert storage.prekeys() == [b"b" * PREKEY_SIZE]


def test_prekeys_survive_a_restart_and_are_not_announced_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'server.sqlite'}"
    storage = Storage(url)
    kept = prekey_store(storage)
    for machine in (" one", " two"):
        kept.take(make_prekey(DIRECTORY, "alice", 100, machine), 1000)
        newest = kept.announce(3, 1000)
    storage.close()
    again = prekey_store(Storage(url))
    assert list(again.known(3, 1001)) == list(newest)
    assert again.announce(3, 1001) == ()
    again.take(Prekey.decode(newest[0]), 1001)
    assert again.announce(3, 1002) == ()


def test_a_database_with_a_prekey_that_does_not_verify_is_refused() -> None:
    alice = make_prekey(DIRECTORY, "alice", 100)
    for bad in (replace(alice, position=7), replace(alice, signature=bytes(64))):
        storage = Storage("sqlite://")
        storage.keep_prekeys({0: bad.encode()})
        with pytest.raises(ConfigError, match="database is damaged"):
            prekey_store(storage)
