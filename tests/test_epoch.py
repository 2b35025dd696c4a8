"""Epoch keys: fresh every epoch, signed by the hop, gone when their time is over."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.epoch import GRACE_ROUNDS, EpochKey, EpochKeyring
from iirs.errors import ChainError, OnionError
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
    key = ring.current(61)
    encoded = key.encode()
    assert len(encoded) == keys.chain.geometry.epoch_key_size
    assert EpochKey.decode(encoded) == key
    assert key.key_id == hashlib.sha256(key.public_bytes).digest()
    sealed = SUITES[suite].seal(key.verified(keys.chain, 0), b"secret", b"info")
    public, pair = ring.find(key.key_id)
    assert public == key
    assert SUITES[suite].open(pair, sealed, b"info") == b"secret"


def test_a_key_lasts_to_the_end_of_its_epoch_and_the_next_is_another() -> None:
    ring = keyring()
    first = ring.current(63)
    assert (first.first_round, first.last_round) == (63, 69)
    assert all(ring.current(number) == first for number in range(63, 70))
    second = ring.current(70)
    assert (second.first_round, second.last_round) == (70, 79)
    assert second.key_id != first.key_id


def test_a_hop_that_starts_anew_within_an_epoch_has_a_new_key() -> None:
    assert keyring().current(63).key_id != keyring().current(63).key_id


def test_an_old_key_is_found_for_a_grace_of_two_rounds_and_then_erased() -> None:
    ring = keyring()
    old = ring.current(60)
    for number in range(70, 70 + GRACE_ROUNDS):
        ring.current(number)
        assert ring.find(old.key_id)[0] == old
    ring.current(70 + GRACE_ROUNDS)
    with pytest.raises(OnionError, match="gone"):
        ring.find(old.key_id)
    with pytest.raises(OnionError, match="gone"):
        ring.find(bytes(32))


def test_a_key_dies_by_the_clock_too_when_nobody_asks_for_the_next() -> None:
    now = [1000.0]
    ring = EpochKeyring(CHAIN, 0, KEYS.identities[0], lambda: now[0])
    key = ring.current(60)
    lifetime = max(60.0, 2 * (10 + GRACE_ROUNDS) * CHAIN.round_ms / 1000)
    now[0] += lifetime - 1
    ring.erase()
    assert ring.find(key.key_id)[0] == key
    now[0] += 1
    ring.erase()
    assert ring._keys == []
    with pytest.raises(OnionError, match="gone"):
        ring.find(key.key_id)
    assert ring.current(61).key_id != key.key_id, "rounds so slow get a fresh key within the epoch"


def test_a_key_that_is_about_to_die_is_shown_to_nobody_and_still_found() -> None:
    now = [1000.0]
    ring = EpochKeyring(CHAIN, 0, KEYS.identities[0], lambda: now[0])
    old = ring.current(60)
    lifetime = 2 * (10 + GRACE_ROUNDS) * CHAIN.round_ms / 1000
    now[0] += 0.75 * lifetime - 1
    assert ring.current(61) == old
    now[0] += 1
    fresh = ring.current(61)
    assert (fresh.first_round, fresh.last_round) == (61, 69)
    assert ring.find(old.key_id)[0] == old
    now[0] += 0.25 * lifetime
    assert ring.current(61) == fresh
    with pytest.raises(OnionError, match="gone"):
        ring.find(old.key_id)


def test_rounds_that_went_back_get_a_key_of_their_own() -> None:
    """Fixed: they were shown the key of later rounds, which nobody may use for them, until that died."""
    ring = keyring()
    later = ring.current(1000)
    assert (ring.current(60).first_round, ring.current(60).last_round) == (60, 69)
    assert ring.current(1000) == later


def test_a_key_of_very_short_rounds_lasts_long_enough_for_slow_machines() -> None:
    keys = make_chain(1, round_ms=10, epoch_rounds=1)
    now = [0.0]
    ring = EpochKeyring(keys.chain, 0, keys.identities[0], lambda: now[0])
    key = ring.current(5)
    now[0] = 59.0
    assert ring.find(key.key_id)[0] == key


def test_rounds_may_be_skipped() -> None:
    ring = keyring()
    old = ring.current(60)
    assert ring.current(1000).first_round == 1000
    with pytest.raises(OnionError):
        ring.find(old.key_id)


def test_a_key_is_believed_only_at_its_own_place_and_as_its_hop_signed_it() -> None:
    key, other = keyring().current(60), keyring().current(60)
    key.verified(CHAIN, 0)
    for wrong in (
        replace(key, first_round=61),
        replace(key, last_round=68),
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


@pytest.mark.parametrize(("first", "last"), [(60, 70), (60, 2**64 - 1), (61, 60)])
def test_a_signed_key_for_too_long_or_no_time_is_refused(first: int, last: int) -> None:
    key = keyring().current(60)
    signed(replace(key, first_round=60, last_round=69)).verified(CHAIN, 0)
    with pytest.raises(ChainError, match="too long"):
        signed(replace(key, first_round=first, last_round=last)).verified(CHAIN, 0)


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31), bytes(31), b""])
def test_a_signed_key_that_is_none_is_refused(public: bytes) -> None:
    key = keyring().current(60)
    with pytest.raises(ChainError, match="not one"):
        signed(replace(key, public_bytes=public)).verified(CHAIN, 0)


@given(st.binary(min_size=CHAIN.geometry.epoch_key_size, max_size=CHAIN.geometry.epoch_key_size))
def test_any_bytes_in_place_of_an_epoch_key_are_not_believed(data: bytes) -> None:
    key = EpochKey.decode(data)
    assert key.encode() == data
    with pytest.raises(ChainError):
        key.verified(CHAIN, 0)
