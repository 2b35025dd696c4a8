"""Circuits: one key stream a round and way, layers that come off in their order, and cells without a tag."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from iirs.circuit import Circuit, Layer, Way, initial_block, set_up
from iirs.geometry import CELL_SIZE, CIRCUIT_SECRET_SIZE, DROP_ID_SIZE, BatchKind
from iirs.onion import RoundContext, peel
from iirs.suite import SUITES
from tests.builders import BOTH_SUITES

CONTEXT = RoundContext(b"c" * 32, 41, b"a" * 32)
BLOCK = 16
rounds = st.integers(0, 2**64 - 1)
ways = st.sampled_from(Way)


def secrets_of(layers: int) -> list[bytes]:
    return [os.urandom(CIRCUIT_SECRET_SIZE) for _ in range(layers)]


# -- a layer ------------------------------------------------------------------------------------------------


@given(rounds, ways)
def test_a_layer_is_aes_256_in_counter_mode_from_the_round_and_way_on(number: int, way: Way) -> None:
    secret, cell = os.urandom(32), os.urandom(CELL_SIZE)
    start = number.to_bytes(8) + bytes([way]) + bytes(7)
    cipher = Cipher(algorithms.AES256(secret), modes.CTR(start)).encryptor()
    assert initial_block(number, way) == start
    assert Layer(secret).apply(initial_block(number, way), cell) == cipher.update(cell)


@given(st.tuples(rounds, ways), st.tuples(rounds, ways))
def test_no_two_rounds_and_ways_share_a_block(one: tuple[int, Way], other: tuple[int, Way]) -> None:
    first, second = (int.from_bytes(initial_block(*use)) for use in (one, other))
    blocks = CELL_SIZE // BLOCK
    assert first + blocks <= 2**128, "the counter never starts anew"
    assert one == other or abs(first - second) >= blocks


@given(rounds, ways)
def test_what_is_put_on_is_taken_off_in_whatever_order_the_layers_are_used(number: int, way: Way) -> None:
    layer, block = Layer(os.urandom(32)), initial_block(number, way)
    cells = [os.urandom(CELL_SIZE) for _ in range(3)]
    sealed = [layer.apply(block, cell) for cell in cells]
    layer.apply(initial_block(number ^ 1, way), cells[0])
    assert [layer.apply(block, cell) for cell in reversed(sealed)] == cells[::-1]
    assert {len(cell) for cell in sealed} == {CELL_SIZE}


@pytest.mark.parametrize(
    ("number", "way"), [(8, Way.FORWARD), (7, Way.BACK)], ids=["another round", "the other way"]
)
def test_a_cell_of_another_round_or_way_comes_out_as_noise(number: int, way: Way) -> None:
    layer = Layer(os.urandom(32))
    sealed = layer.apply(initial_block(7, Way.FORWARD), bytes(CELL_SIZE))
    assert layer.apply(initial_block(7, Way.FORWARD), sealed) == bytes(CELL_SIZE)
    assert layer.apply(initial_block(number, way), sealed).count(0) < 40


def test_two_cells_under_one_key_stream_show_their_difference() -> None:
    """What burning rounds is for."""
    layer, block = Layer(os.urandom(32)), initial_block(7, Way.FORWARD)
    one, other = (layer.apply(block, cell) for cell in (b"a" * CELL_SIZE, b"b" * CELL_SIZE))
    assert {x ^ y for x, y in zip(one, other, strict=True)} == {ord("a") ^ ord("b")}


# -- a circuit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hops", [0, 1, 2, 3])
@given(rounds)
def test_each_hop_takes_a_layer_off_and_puts_one_on_the_answer(hops: int, number: int) -> None:
    secrets = secrets_of(hops)
    circuit, cell, answer = Circuit(secrets), os.urandom(CELL_SIZE), os.urandom(CELL_SIZE)
    passing = circuit.wrap(number, cell)
    assert (passing == cell) is (hops == 0)
    for secret in secrets:
        assert len(passing) == CELL_SIZE
        passing = Layer(secret).apply(initial_block(number, Way.FORWARD), passing)
    assert passing == cell
    coming = answer
    for secret in reversed(secrets):
        coming = Layer(secret).apply(initial_block(number, Way.BACK), coming)
    assert circuit.unwrap(number, coming) == answer


def test_what_is_altered_on_the_way_is_altered_there_only_and_opens_all_the_same() -> None:
    """No tag, on purpose: a hop that could tell would have to leave it out, and so show whose it was."""
    secrets = secrets_of(3)
    circuit, cell = Circuit(secrets), os.urandom(CELL_SIZE)
    passing = bytearray(circuit.wrap(7, cell))
    passing[100] ^= 1
    for secret in secrets:
        passing = bytearray(Layer(secret).apply(initial_block(7, Way.FORWARD), bytes(passing)))
    assert [place for place in range(CELL_SIZE) if passing[place] != cell[place]] == [100]


@pytest.mark.parametrize("suite_name", BOTH_SUITES)
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_a_setup_brings_each_hop_its_secret_and_the_last_one_the_drop(suite_name: str, hops: int) -> None:
    suite = SUITES[suite_name]
    pairs = [suite.generate() for _ in range(hops - 1)]
    drop_id = os.urandom(DROP_ID_SIZE)
    public = [suite.load_public(pair.public_bytes) for pair in pairs]
    onion, circuit = set_up(drop_id, public, suite, CONTEXT, os.urandom)
    secrets = []
    for hop, pair in enumerate(pairs, start=1):
        secret, onion = peel(onion, pair, suite, CONTEXT, hop, BatchKind.SETUP)
        secrets.append(secret)
    assert onion == drop_id
    cell = os.urandom(CELL_SIZE)
    assert circuit.wrap(41, cell) == Circuit(secrets).wrap(41, cell)
    assert circuit.unwrap(41, cell) == Circuit(secrets).unwrap(41, cell)


def test_the_secrets_of_a_circuit_are_fresh_at_every_hop_and_every_time() -> None:
    drawn: list[bytes] = []

    def random_bytes(size: int) -> bytes:
        drawn.append(os.urandom(size))
        return drawn[-1]

    suite = SUITES["X25519"]
    public = [suite.load_public(suite.generate().public_bytes) for _ in range(3)]
    for _ in range(5):
        set_up(bytes(DROP_ID_SIZE), public, suite, CONTEXT, random_bytes)
    assert len(drawn) == len(set(drawn)) == 15
    assert {len(secret) for secret in drawn} == {CIRCUIT_SECRET_SIZE}
