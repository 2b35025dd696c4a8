"""Epoch keys: fresh for every setup, signed by the hop, gone when their time is over; and login keys."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.epoch import GRACE_ROUNDS, EpochKey, EpochKeyring
from iirs.errors import ChainError, OnionError
from iirs.onion import CHANNEL_ROUNDS
from iirs.suite import SUITES
from tests.builders import BOTH_SUITES, make_chain

KEYS = make_chain(2, epoch_rounds=10, round_ms=4000)
CHAIN = KEYS.chain


def keyring(hop: int = 0) -> EpochKeyring:
    return EpochKeyring(CHAIN, hop, KEYS.identities[hop])


def signed(key: EpochKey, hop: int = 0) -> EpochKey:
    return replace(key, signature=KEYS.identities[hop].sign(key.signed_content(CHAIN.chain_id)))


@pytest.mark.parametrize("suite", BOTH_SUITES)
def test_an_epoch_key_is_read_back_believed_and_usable(suite: str) -> None:
    keys = make_chain(1, suite)
    ring = EpochKeyring(keys.chain, 0, keys.identities[0])
    key = ring.for_logins(61)
    encoded = key.encode()
    assert len(encoded) == keys.chain.geometry.epoch_key_size
    assert EpochKey.decode(encoded) == key
    assert key.key_id == hashlib.sha256(key.public_bytes).digest()
    sealed = SUITES[suite].seal(key.verified(keys.chain, 0), b"secret", b"info")
    public, pair = ring.find(key.key_id)
    assert public == key
    assert SUITES[suite].open(pair, sealed, b"info") == b"secret"


# -- the entry's key for logins -----------------------------------------------------------------------------


def test_a_key_for_logins_lasts_to_the_end_of_its_thirty_rounds_and_the_next_is_another() -> None:
    ring = keyring()
    first = ring.for_logins(63)
    assert (first.first_round, first.last_round) == (63, 89)
    assert all(ring.for_logins(number) == first for number in range(63, 90))
    second = ring.for_logins(90)
    assert (second.first_round, second.last_round) == (90, 119)
    assert second.key_id != first.key_id


def test_a_hop_that_starts_anew_has_a_new_key() -> None:
    assert keyring().for_logins(63).key_id != keyring().for_logins(63).key_id
    assert keyring(1).for_setup(63, b"").key_id != keyring(1).for_setup(63, b"").key_id


def test_an_old_key_for_logins_is_found_for_a_grace_of_two_rounds_and_then_erased() -> None:
    ring = keyring()
    old = ring.for_logins(60)
    for number in range(90, 90 + GRACE_ROUNDS):
        ring.for_logins(number)
        assert ring.find(old.key_id)[0] == old
    ring.for_logins(90 + GRACE_ROUNDS)
    with pytest.raises(OnionError, match="gone"):
        ring.find(old.key_id)
    with pytest.raises(OnionError, match="gone"):
        ring.find(bytes(32))


def test_a_key_that_is_about_to_die_is_shown_to_nobody_and_still_found() -> None:
    now = [1000.0]
    ring = EpochKeyring(CHAIN, 0, KEYS.identities[0], lambda: now[0])
    old = ring.for_logins(60)
    lifetime = 2 * (CHANNEL_ROUNDS + GRACE_ROUNDS) * CHAIN.round_ms / 1000
    now[0] += 0.75 * lifetime - 1
    assert ring.for_logins(61) == old
    now[0] += 1
    fresh = ring.for_logins(61)
    assert (fresh.first_round, fresh.last_round) == (61, 89)
    assert ring.find(old.key_id)[0] == old
    now[0] += 0.25 * lifetime
    assert ring.for_logins(61) == fresh
    with pytest.raises(OnionError, match="gone"):
        ring.find(old.key_id)


def test_rounds_that_went_back_get_a_key_of_their_own() -> None:
    """Fixed: they were shown the key of later rounds, which nobody may use for them, until that died."""
    ring = keyring()
    later = ring.for_logins(1000)
    assert (ring.for_logins(60).first_round, ring.for_logins(60).last_round) == (60, 89)
    assert ring.for_logins(1000) == later


def test_rounds_may_be_skipped() -> None:
    ring = keyring()
    old = ring.for_logins(60)
    assert ring.for_logins(1000).first_round == 1000
    with pytest.raises(OnionError):
        ring.find(old.key_id)


# -- a later hop's key for an epoch -------------------------------------------------------------------------


def test_a_key_for_a_setup_lasts_for_its_epoch_and_is_the_same_whenever_asked_for() -> None:
    ring = keyring(1)
    key = ring.for_setup(63, b"")
    assert (key.first_round, key.last_round) == (63, 72)
    assert ring.for_setup(63, b"") == key
    assert ring.for_setup(63, key.key_id) == key
    key.verified_for_epoch(CHAIN, 1, 63, 72)
    for setup_round, number in ((63, 73), (63, 62), (62, 63), (64, 64)):
        with pytest.raises(ChainError):
            key.verified_for_epoch(CHAIN, 1, setup_round, number)


def test_the_key_that_runs_stays_while_setups_are_asked_for_that_never_come() -> None:
    ring = keyring(1)
    running = ring.for_setup(60, b"")
    asked = [ring.for_setup(number, running.key_id) for number in (70, 71, 72)]
    assert len({running.key_id, *(key.key_id for key in asked)}) == 4
    assert ring.for_setup(60, running.key_id) == running
    assert ring.holds(running.key_id)
    assert not any(ring.holds(key.key_id) for key in asked), "no more than one beside it is kept"


def test_of_the_old_key_nothing_is_left_once_another_setup_is_accepted() -> None:
    ring = keyring(1)
    old = ring.for_setup(60, b"")
    new = ring.for_setup(70, old.key_id)
    assert ring.find(old.key_id)[0] == old
    ring.keep_only(new.key_id)
    with pytest.raises(OnionError, match="gone"):
        ring.find(old.key_id)
    assert [key.public for key in ring._keys] == [new]


def test_an_epoch_that_takes_long_goes_on_with_its_one_key() -> None:
    """Fixed: it was shown another, to which invitations were sealed that nobody could open."""
    now = [1000.0]
    ring = EpochKeyring(CHAIN, 1, KEYS.identities[1], lambda: now[0])
    key = ring.for_setup(60, b"")
    ring.keep_only(key.key_id)
    lifetime = 2 * (CHAIN.epoch_rounds + GRACE_ROUNDS) * CHAIN.round_ms / 1000
    now[0] += lifetime - 1
    assert ring.for_setup(60, key.key_id) == key
    assert ring.find(key.key_id)[0] == key
    fresh = ring.for_setup(70, key.key_id)
    now[0] += 0.75 * lifetime
    assert ring.for_setup(70, key.key_id) != fresh, "one that nobody has begun with yet is made anew in time"


def test_a_key_dies_by_the_clock_too_when_nobody_asks_for_the_next() -> None:
    now = [1000.0]
    ring = EpochKeyring(CHAIN, 1, KEYS.identities[1], lambda: now[0])
    key = ring.for_setup(60, b"")
    lifetime = max(60.0, 2 * (10 + GRACE_ROUNDS) * CHAIN.round_ms / 1000)
    now[0] += lifetime - 1
    ring.erase()
    assert ring.holds(key.key_id)
    now[0] += 1
    ring.erase()
    assert ring._keys == []
    assert not ring.holds(key.key_id)
    with pytest.raises(OnionError, match="gone"):
        ring.find(key.key_id)


def test_a_key_of_very_short_rounds_lasts_long_enough_for_slow_machines() -> None:
    keys = make_chain(2, round_ms=10, epoch_rounds=1)
    now = [0.0]
    ring = EpochKeyring(keys.chain, 1, keys.identities[1], lambda: now[0])
    key = ring.for_setup(5, b"")
    now[0] = 59.0
    assert ring.find(key.key_id)[0] == key


# -- what is believed ---------------------------------------------------------------------------------------


def test_a_key_is_believed_only_at_its_own_place_and_as_its_hop_signed_it() -> None:
    key, other = keyring().for_logins(60), keyring().for_logins(60)
    key.verified(CHAIN, 0)
    for wrong in (
        replace(key, first_round=61),
        replace(key, last_round=88),
        replace(key, public_bytes=other.public_bytes),
        replace(key, signature=other.signature),
        replace(key, signature=bytes(64)),
        signed(key, hop=1),
    ):
        with pytest.raises(ChainError):
            wrong.verified(CHAIN, 0)
    with pytest.raises(ChainError, match="another place"):
        key.verified(CHAIN, 1)
    with pytest.raises(ChainError):
        key.verified(make_chain(2, epoch_rounds=10).chain, 0)


@pytest.mark.parametrize(("hop", "rounds"), [(0, CHANNEL_ROUNDS), (1, 10)])
def test_a_signed_key_for_too_long_or_no_time_is_refused(hop: int, rounds: int) -> None:
    ring = keyring(hop)
    key = ring.for_setup(60, b"") if hop else ring.for_logins(60)
    signed(replace(key, first_round=60, last_round=59 + rounds), hop).verified(CHAIN, hop)
    for first, last in ((60, 60 + rounds), (60, 2**64 - 1), (61, 60)):
        with pytest.raises(ChainError, match="too long"):
            signed(replace(key, first_round=first, last_round=last), hop).verified(CHAIN, hop)


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31), bytes(31), b""])
def test_a_signed_key_that_is_none_is_refused(public: bytes) -> None:
    key = keyring().for_logins(60)
    with pytest.raises(ChainError, match="not one"):
        signed(replace(key, public_bytes=public)).verified(CHAIN, 0)


@given(st.binary(min_size=CHAIN.geometry.epoch_key_size, max_size=CHAIN.geometry.epoch_key_size))
def test_any_bytes_in_place_of_an_epoch_key_are_not_believed(data: bytes) -> None:
    key = EpochKey.decode(data)
    assert key.encode() == data
    with pytest.raises(ChainError):
        key.verified(CHAIN, 0)
