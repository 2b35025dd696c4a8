"""Onions for chains of 1 to 3 hops, and the client's channel to the entry."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iirs.errors import OnionError
from iirs.geometry import CELL_SIZE, DROP_ID_SIZE, INVITATION_SIZE, BatchKind, Geometry
from iirs.onion import (
    CHANNEL_ROUNDS,
    MAX_STEPS,
    EntryChannel,
    RoundContext,
    channel_period,
    entry_offer_info,
    peel,
    wrap,
)
from iirs.suite import HYBRID, SUITES, X25519, HpkeSuite, KeyPair
from tests.builders import BOTH_SUITES

CONTEXT = RoundContext(b"c" * 32, 41, b"a" * 32)
CELL, INVITE, SETUP = BatchKind
KEY_PAIRS = {name: [suite.generate() for _ in range(3)] for name, suite in SUITES.items()}


def wrapped(
    suite: HpkeSuite, hops: int, payload: bytes, kind: BatchKind = SETUP
) -> tuple[bytes, list[bytes], list[KeyPair]]:
    """Return onion, the secrets in its layers and the key pairs of the later hops (1 .. hops-1)."""
    pairs = KEY_PAIRS[suite.name][: hops - 1]
    public = [suite.load_public(pair.public_bytes) for pair in pairs]
    onion, secrets = wrap(payload, public, suite, CONTEXT, kind, os.urandom)
    return onion, secrets, pairs


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


# -- layers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite_name", BOTH_SUITES)
@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize(("kind", "size"), [(SETUP, DROP_ID_SIZE), (INVITE, INVITATION_SIZE)])
def test_each_hop_peels_its_layer_and_finds_its_secret(
    suite_name: str, hops: int, kind: BatchKind, size: int
) -> None:
    suite = SUITES[suite_name]
    geometry = Geometry(suite, hops, 1)
    payload = os.urandom(size)
    onion, secrets, pairs = wrapped(suite, hops, payload, kind)
    found = []
    for hop, pair in enumerate(pairs, start=1):
        assert len(onion) == geometry.item_size(hops - hop, kind)
        secret, onion = peel(onion, pair, suite, CONTEXT, hop, kind)
        found.append(secret)
    assert onion == payload
    assert len(onion) == geometry.item_size(0, kind)
    assert found == secrets
    assert len(set(found)) == hops - 1


@pytest.mark.parametrize("suite_name", BOTH_SUITES)
def test_a_hop_in_the_middle_wraps_for_those_behind_it_only(suite_name: str) -> None:
    suite = SUITES[suite_name]
    pairs = KEY_PAIRS[suite_name]
    public = [suite.load_public(pair.public_bytes) for pair in pairs[1:]]
    onion, secrets = wrap(b"payload", public, suite, CONTEXT, SETUP, os.urandom, first_hop=2)
    found = []
    for hop, pair in enumerate(pairs[1:], start=2):
        secret, onion = peel(onion, pair, suite, CONTEXT, hop, SETUP)
        found.append(secret)
    assert (onion, found) == (b"payload", secrets)


def test_with_one_server_the_onion_is_the_payload() -> None:
    assert wrapped(HYBRID, 1, b"payload")[:2] == (b"payload", [])


def test_sizes_are_those_of_the_geometry() -> None:
    assert Geometry(X25519, 1, 2).uploaded_size(SETUP) == DROP_ID_SIZE + 16
    assert Geometry(X25519, 3, 2).item_size(2, SETUP) == DROP_ID_SIZE + 2 * (32 + 32 + 16)
    assert Geometry(HYBRID, 2, 2).item_size(1, INVITE) == INVITATION_SIZE + 32 + 1120 + 16
    for hops in (1, 2, 3):
        assert Geometry(HYBRID, hops, 2).item_size(hops - 1, CELL) == CELL_SIZE
        assert Geometry(HYBRID, hops, 2).uploaded_size(CELL) == CELL_SIZE + 16


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_no_two_things_of_an_upload_are_sealed_at_one_index(slots: int) -> None:
    geometry = Geometry(HYBRID, 3, slots)
    counts = {CELL: geometry.circuits, INVITE: slots, SETUP: geometry.circuits}
    used = [geometry.first_index(kind) + place for kind, count in counts.items() for place in range(count)]
    assert sorted(used) == list(range(5 * slots))


@pytest.mark.parametrize("suite_name", BOTH_SUITES)
@pytest.mark.parametrize(
    ("context", "hop", "kind"),
    [
        (CONTEXT, 2, SETUP),
        (CONTEXT, 1, INVITE),
        (replace(CONTEXT, round_number=42), 1, SETUP),
        (replace(CONTEXT, announcement_hash=b"b" * 32), 1, SETUP),
        (replace(CONTEXT, chain_id=b"d" * 32), 1, SETUP),
    ],
    ids=["hop", "kind", "round", "announcement", "chain"],
)
def test_a_layer_opens_in_its_own_place_only(
    suite_name: str, context: RoundContext, hop: int, kind: BatchKind
) -> None:
    suite = SUITES[suite_name]
    onion, _, pairs = wrapped(suite, 2, b"payload")
    assert peel(onion, pairs[0], suite, CONTEXT, 1, SETUP)[1] == b"payload"
    with pytest.raises(OnionError):
        peel(onion, pairs[0], suite, context, hop, kind)


@pytest.mark.parametrize("suite_name", BOTH_SUITES)
def test_a_layer_opens_with_its_own_key_only(suite_name: str) -> None:
    suite = SUITES[suite_name]
    onion, _, _ = wrapped(suite, 2, b"payload")
    with pytest.raises(OnionError):
        peel(onion, KEY_PAIRS[suite_name][2], suite, CONTEXT, 1, SETUP)


@pytest.mark.parametrize("suite_name", BOTH_SUITES)
def test_a_layer_altered_anywhere_does_not_open(suite_name: str) -> None:
    suite = SUITES[suite_name]
    onion, _, pairs = wrapped(suite, 2, os.urandom(64))
    for place in {*range(0, len(onion), 37), len(onion) - 1}:
        with pytest.raises(OnionError):
            peel(flip(onion, place), pairs[0], suite, CONTEXT, 1, SETUP)


@pytest.mark.parametrize("suite_name", BOTH_SUITES)
def test_a_layer_cut_short_anywhere_does_not_open(suite_name: str) -> None:
    suite = SUITES[suite_name]
    onion, _, pairs = wrapped(suite, 2, b"payload")
    for length in {*range(0, len(onion), 29), *range(30, 34), len(onion) - 17, len(onion) - 1}:
        with pytest.raises(OnionError):
            peel(onion[:length], pairs[0], suite, CONTEXT, 1, SETUP)


@settings(max_examples=50)
@given(st.sampled_from(BOTH_SUITES), st.binary(max_size=1300))
def test_any_bytes_in_place_of_an_onion_give_an_onion_error(suite_name: str, data: bytes) -> None:
    with pytest.raises(OnionError):
        peel(data, KEY_PAIRS[suite_name][0], SUITES[suite_name], CONTEXT, 1, SETUP)


@pytest.mark.parametrize("suite_name", BOTH_SUITES)
def test_a_key_nobody_can_seal_to_is_refused_when_it_is_loaded(suite_name: str) -> None:
    suite = SUITES[suite_name]
    good = KEY_PAIRS[suite_name][0].public_bytes
    assert suite.seal(suite.load_public(good), b"text", b"info")
    for bad in (good[:-32] + bytes(32), good[:-32] + b"\x01" + bytes(31), good[:-1], good + b"\0", b""):
        with pytest.raises(ValueError, match=r"."):
            suite.load_public(bad)


@pytest.mark.parametrize("suite_name", BOTH_SUITES)
def test_a_private_key_is_loaded_as_it_was_stored_or_refused(suite_name: str) -> None:
    suite, pair = SUITES[suite_name], KEY_PAIRS[suite_name][0]
    again = suite.load_private(pair.private_bytes)
    assert again.public_bytes == pair.public_bytes
    assert repr(again) == "KeyPair(...)"
    with pytest.raises(ValueError, match=r"."):
        suite.load_private(pair.private_bytes[:-1])


# -- the entry's channel ---------------------------------------------------------------------------


def channels(period: int = 7) -> tuple[EntryChannel, EntryChannel]:
    info = entry_offer_info(b"c" * 32, b"t" * 32, b"k" * 32)
    secret = os.urandom(32)
    return EntryChannel(secret, info, period), EntryChannel(secret, info, period)


def test_the_entry_channel_works_both_ways_with_sixteen_bytes_more() -> None:
    client, entry = channels()
    onion = os.urandom(CELL_SIZE)
    sealed = client.seal_up(CONTEXT, CELL, 3, onion)
    assert len(sealed) == len(onion) + 16
    assert entry.open_up(CONTEXT, CELL, 3, sealed) == onion
    reply = entry.seal_down(CONTEXT, 3, onion)
    assert len(reply) == len(onion) + 16
    assert client.open_down(CONTEXT, 3, reply) == onion


@pytest.mark.parametrize(
    ("context", "kind", "index"),
    [
        (CONTEXT, CELL, 4),
        (CONTEXT, SETUP, 3),
        (replace(CONTEXT, round_number=42), CELL, 3),
        (replace(CONTEXT, announcement_hash=b"b" * 32), CELL, 3),
    ],
    ids=["index", "kind", "round", "announcement"],
)
def test_an_uploaded_onion_opens_in_its_own_place_only(
    context: RoundContext, kind: BatchKind, index: int
) -> None:
    client, entry = channels()
    sealed = client.seal_up(CONTEXT, CELL, 3, b"onion")
    assert entry.open_up(CONTEXT, CELL, 3, sealed) == b"onion"
    with pytest.raises(OnionError):
        entry.open_up(context, kind, index, sealed)


@pytest.mark.parametrize(
    ("context", "index"),
    [
        (CONTEXT, 4),
        (replace(CONTEXT, round_number=42), 3),
        (replace(CONTEXT, announcement_hash=b"b" * 32), 3),
    ],
    ids=["index", "round", "announcement"],
)
def test_a_reply_opens_in_its_own_place_only(context: RoundContext, index: int) -> None:
    client, entry = channels()
    sealed = entry.seal_down(CONTEXT, 3, b"reply")
    assert client.open_down(CONTEXT, 3, sealed) == b"reply"
    with pytest.raises(OnionError):
        client.open_down(context, index, sealed)


def test_the_two_directions_have_keys_of_their_own() -> None:
    client, entry = channels()
    with pytest.raises(OnionError):
        client.open_down(CONTEXT, 0, client.seal_up(CONTEXT, CELL, 0, b"onion"))
    with pytest.raises(OnionError):
        entry.open_up(CONTEXT, CELL, 0, entry.seal_down(CONTEXT, 0, b"reply"))


@given(st.binary(max_size=64))
def test_any_bytes_in_place_of_a_sealed_onion_or_reply_are_refused(data: bytes) -> None:
    client, entry = channels()
    with pytest.raises(OnionError):
        entry.open_up(CONTEXT, CELL, 0, data)
    with pytest.raises(OnionError):
        client.open_down(CONTEXT, 0, data)


@pytest.mark.parametrize("changed", ["chain", "certificate", "key id"])
def test_the_channel_is_bound_to_chain_certificate_and_key(changed: str) -> None:
    values = {"chain": b"c" * 32, "certificate": b"t" * 32, "key id": b"k" * 32}
    secret = bytes(32)
    client = EntryChannel(secret, entry_offer_info(*values.values()), 1)
    entry = EntryChannel(secret, entry_offer_info(*{**values, changed: b"x" * 32}.values()), 1)
    with pytest.raises(OnionError):
        entry.open_up(CONTEXT, CELL, 0, client.seal_up(CONTEXT, CELL, 0, b"onion"))


@settings(max_examples=20)
@given(st.lists(st.integers(0, 5), max_size=5))
def test_both_ends_reach_the_same_keys_whatever_steps_they_take(steps: list[int]) -> None:
    client, entry = channels(period=7)
    client.advance(7 + sum(steps))
    for reached in (7 + sum(steps[: count + 1]) for count in range(len(steps))):
        entry.advance(reached)
    sealed = client.seal_up(CONTEXT, CELL, 0, b"onion")
    assert entry.open_up(CONTEXT, CELL, 0, sealed) == b"onion"


def test_a_new_period_has_new_keys_and_the_old_ones_are_gone() -> None:
    client, entry = channels(period=7)
    before = client.seal_up(CONTEXT, CELL, 0, b"onion")
    client.advance(8)
    with pytest.raises(OnionError):
        entry.open_up(CONTEXT, CELL, 0, client.seal_up(CONTEXT, CELL, 0, b"onion"))
    entry.advance(8)
    assert entry.open_up(CONTEXT, CELL, 0, client.seal_up(CONTEXT, CELL, 0, b"onion")) == b"onion"
    with pytest.raises(OnionError):
        entry.open_up(CONTEXT, CELL, 0, before)


def test_a_channel_does_not_go_back() -> None:
    client, _ = channels(period=7)
    client.advance(8)
    client.advance(8)
    with pytest.raises(OnionError, match="went back"):
        client.advance(7)


def test_a_lie_about_the_round_does_not_keep_a_channel_stepping_for_hours() -> None:
    client, _ = channels(period=7)
    with pytest.raises(OnionError, match="too far ahead"):
        client.advance(8 + MAX_STEPS)
    client.advance(8)


def test_a_period_has_thirty_rounds() -> None:
    assert CHANNEL_ROUNDS == 30
    assert [channel_period(number) for number in (0, 29, 30, 59, 60)] == [0, 0, 1, 1, 2]
