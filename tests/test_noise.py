"""Noise: drawn exactly, truncated at zero, and as much as the machines can carry."""

from __future__ import annotations

import ast
import hashlib
import inspect
import math
import os
from collections import Counter
from collections.abc import Callable
from fractions import Fraction

import pytest

from iirs import noise
from iirs.errors import ConfigError
from iirs.geometry import CELL_SIZE, RandomBytes
from iirs.noise import NO_NOISE, SETUP_SHARE, CircuitCost, Noise, NoiseCount, discrete_laplace, noise_for
from iirs.server.keystore import DEFAULT_EPOCH_ROUNDS, DEFAULT_ROUND_SECONDS

DRAWS = 20_000
SCALES = [Fraction(1), Fraction(3, 2), Fraction(5, 2), Fraction(2, 7), Fraction(7)]
Sampler = Callable[[Fraction, RandomBytes], int]


class Hashed:
    """Randomness that is the same in every run: SHA-256 of a seed and a counter."""

    def __init__(self, seed: object) -> None:
        self._seed = repr(seed).encode()
        self._counter = 0
        self._left = b""

    def __call__(self, size: int) -> bytes:
        while len(self._left) < size:
            self._left += hashlib.sha256(self._seed + self._counter.to_bytes(8)).digest()
            self._counter += 1
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def uniform(random_bytes: RandomBytes) -> float:
    return (int.from_bytes(random_bytes(6)) + 1) / 2**48


# -- the distribution ---------------------------------------------------------------------------------------


def probability(value: int, scale: Fraction) -> float:
    decay = math.exp(-1 / scale)
    return (1 - decay) / (1 + decay) * decay ** abs(value)


def check_distribution(sampler: Sampler, scale: Fraction) -> None:
    """As many of each value as the formula says, by chi-square; rare values are counted together."""
    random_bytes = Hashed(scale)
    drawn = Counter(sampler(scale, random_bytes) for _ in range(DRAWS))
    edge = next(value for value in range(1, 1000) if DRAWS * probability(value, scale) < 10)
    expected = {value: DRAWS * probability(value, scale) for value in range(1 - edge, edge)}
    tail = (DRAWS - sum(expected.values())) / 2
    counted = [(drawn[value], wanted) for value, wanted in expected.items()]
    counted.append((sum(count for value, count in drawn.items() if value >= edge), tail))
    counted.append((sum(count for value, count in drawn.items() if value <= -edge), tail))
    distance = sum((count - wanted) ** 2 / wanted for count, wanted in counted)
    freedom = len(counted) - 1
    assert distance < freedom + 4 * math.sqrt(2 * freedom), (distance, freedom)


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_draws_follow_the_discrete_laplace_distribution(scale: Fraction) -> None:
    check_distribution(discrete_laplace, scale)


def rounded_float(scale: Fraction, random_bytes: RandomBytes) -> int:
    draw = -float(scale) * math.log(uniform(random_bytes))
    return round(draw if random_bytes(1)[0] % 2 else -draw)


def zero_with_two_signs(scale: Fraction, random_bytes: RandomBytes) -> int:
    magnitude = abs(discrete_laplace(scale, random_bytes))
    while not magnitude and random_bytes(1)[0] % 2:
        magnitude = abs(discrete_laplace(scale, random_bytes))
    return magnitude if random_bytes(1)[0] % 2 else -magnitude


def one_sided(scale: Fraction, random_bytes: RandomBytes) -> int:
    return abs(discrete_laplace(scale, random_bytes))


def whole_scale(scale: Fraction, random_bytes: RandomBytes) -> int:
    return discrete_laplace(Fraction(math.ceil(scale)), random_bytes)


@pytest.mark.parametrize("broken", [rounded_float, zero_with_two_signs, one_sided, whole_scale])
def test_a_draw_that_is_almost_that_is_caught(broken: Sampler) -> None:
    with pytest.raises(AssertionError):
        check_distribution(broken, Fraction(3, 2))


def test_a_large_scale_costs_no_more_and_loses_nothing() -> None:
    scale = Fraction(10**40, 3)
    drawn = [discrete_laplace(scale, Hashed(seed)) for seed in range(200)]
    assert 0.8 < sum(abs(value) for value in drawn) / len(drawn) / scale < 1.2
    assert len({value % 1000 for value in drawn}) > 150  # a float has no such digits: they would be alike
    assert len({int(float(value)) % 2 for value in drawn}) == 1


def test_no_float_is_used_in_drawing() -> None:
    def floats(function: Callable[..., object]) -> bool:
        nodes = list(ast.walk(ast.parse(inspect.getsource(function))))
        return any(
            (isinstance(node, ast.Constant) and isinstance(node.value, float))
            or (isinstance(node, ast.Name) and node.id in {"math", "float"})
            for node in nodes
        )

    drawing = [discrete_laplace, noise._geometric, noise._survives, noise._happens, noise._below]
    assert not any(floats(function) for function in drawing)
    assert floats(rounded_float)


def test_a_scale_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="below zero"):
        discrete_laplace(Fraction(-1), os.urandom)


@pytest.mark.parametrize("limit", [1, 2, 3, 255, 256, 257, 1000])
def test_whole_numbers_below_a_limit_are_uniform(limit: int) -> None:
    random_bytes = Hashed(limit)
    drawn = Counter(noise._below(limit, random_bytes) for _ in range(20 * limit))
    assert min(drawn) == 0
    assert max(drawn) == limit - 1
    assert sum((drawn[value] - 20) ** 2 / 20 for value in range(limit)) < limit + 5 * math.sqrt(2 * limit)


# -- what a hop adds ----------------------------------------------------------------------------------------


def draws(setting: Noise, count: int) -> list[NoiseCount]:
    random_bytes = Hashed(setting)
    return [setting.draw(random_bytes) for _ in range(count)]


def test_the_mean_is_mu_singles_and_half_as_many_pairs() -> None:
    counts = draws(Noise(1000, 49), 4000)
    error = 4 * math.sqrt(2) * 49 / math.sqrt(len(counts))
    assert abs(sum(count.singles for count in counts) / len(counts) - 1000) < error
    assert abs(sum(count.pairs for count in counts) / len(counts) - 500) < error / 2
    assert abs(sum(count.onions for count in counts) / len(counts) - 2000) < 2 * error


@pytest.mark.slow
def test_pairs_have_half_the_scale_exactly_even_if_that_is_no_whole_number() -> None:
    setting = Noise(200, 3)

    def pairs(scale: Fraction, random_bytes: RandomBytes) -> int:
        return setting.draw(random_bytes).pairs - 100

    def singles(scale: Fraction, random_bytes: RandomBytes) -> int:
        return setting.draw(random_bytes).singles - 200

    check_distribution(pairs, Fraction(3, 2))
    check_distribution(singles, Fraction(3))
    with pytest.raises(AssertionError):
        check_distribution(pairs, Fraction(1))
    with pytest.raises(AssertionError):
        check_distribution(pairs, Fraction(2))


def test_what_would_be_less_than_none_is_none() -> None:
    counts = draws(Noise(4, 10), 4000)
    assert min(count.singles for count in counts) == min(count.pairs for count in counts) == 0
    decay = math.exp(-1 / 10)
    wanted = decay**4 / (1 + decay)  # the chance of -4 and less
    share = sum(count.singles == 0 for count in counts) / len(counts)
    assert abs(share - wanted) < 4 * math.sqrt(wanted / len(counts))


def test_singles_and_pairs_are_drawn_apart() -> None:
    counts = draws(Noise(1000, 50), 4000)
    both = sum((count.singles > 1000) == (count.pairs > 500) for count in counts) / len(counts)
    assert 0.46 < both < 0.54


def test_without_a_scale_it_is_the_mean_and_takes_no_randomness() -> None:
    def none(size: int) -> bytes:
        raise AssertionError("randomness was asked for")

    assert Noise(10, 0).draw(none) == NoiseCount(10, 5)
    assert Noise(10, 0).draw(none).onions == 20
    assert NO_NOISE.draw(none) == NoiseCount(0, 0)


def test_the_systems_randomness_gives_draws_that_differ() -> None:
    assert len({Noise(10_000, 500).draw(os.urandom) for _ in range(50)}) > 40


# -- sizing -------------------------------------------------------------------------------------------------

COST = CircuitCost(lambda layers: 0.001 * layers, 0.0005, 0.00002)
SIZED = {"hops": 3, "round_ms": 2000, "epoch_rounds": 10, "share": 0.5}


def seconds_at(hop: int, hops: int, epoch_rounds: int, setting: Noise) -> float:
    """What noise costs a hop in an epoch: others' onions, its own, and the cells of both."""
    last = hops - 1
    opened = hop * COST.peel + (COST.make(last - hop) if hop < last else 0.0)
    cells = epoch_rounds * COST.cell * (hop + 1 if hop < last else hop)
    return 2 * setting.mu * (opened + cells)


@pytest.mark.parametrize("hops", [2, 3, 5, 8])
@pytest.mark.parametrize("epoch_rounds", [1, 10, 120])
def test_noise_fills_the_share_of_the_busiest_hop_and_no_more(hops: int, epoch_rounds: int) -> None:
    setting = noise_for(COST, hops=hops, round_ms=2000, epoch_rounds=epoch_rounds, share=0.5)
    assert setting.mu % 2 == 0

    def busiest(noise: Noise) -> float:
        return max(seconds_at(hop, hops, epoch_rounds, noise) for hop in range(hops))

    assert busiest(setting) <= epoch_rounds
    assert busiest(Noise(setting.mu + 2, setting.b)) > epoch_rounds


@pytest.mark.parametrize("hops", [2, 3, 5, 8])
def test_noise_takes_no_more_of_the_last_line_than_it_may(hops: int) -> None:
    line_bytes = 3e6

    def taken(setting: Noise) -> float:
        return 2 * setting.mu * (hops - 1) * CELL_SIZE / 2  # a second, in rounds of two

    free = noise_for(CHEAP, **{**SIZED, "hops": hops})
    assert taken(free) > line_bytes
    for epoch_rounds in (1, 10):
        given = {**SIZED, "hops": hops, "epoch_rounds": epoch_rounds}
        setting = noise_for(CHEAP, **given, line_bytes=line_bytes)
        assert taken(setting) <= line_bytes < taken(Noise(setting.mu + 2, setting.b))
    wide = noise_for(COST, **{**SIZED, "hops": hops}, line_bytes=1e12)
    assert wide == noise_for(COST, **{**SIZED, "hops": hops})


def test_longer_epochs_leave_time_for_more_noise() -> None:
    means = [noise_for(COST, **{**SIZED, "epoch_rounds": rounds}).mu for rounds in (1, 2, 10, 20)]
    assert means == sorted(set(means))


CHEAP = CircuitCost(lambda layers: 0.00001, 0.00001, 0.0)


def test_the_scale_follows_from_the_mean_and_delta() -> None:
    cost = CircuitCost(lambda layers: 0.0005, 0.0, 0.0)
    setting = noise_for(cost, hops=2, round_ms=2000, epoch_rounds=1, share=0.5)
    assert setting == Noise(1000, 54)
    assert not setting.protects_nothing
    assert setting.delta <= noise.DELTA_PER_SETUP < Noise(1000, 55).delta
    setups_a_day = 86_400 / (SETUP_SHARE * DEFAULT_EPOCH_ROUNDS * DEFAULT_ROUND_SECONDS)
    assert setups_a_day * setting.delta < noise.WEAK_DELTA / 2


def test_slow_machines_get_noise_that_says_it_protects_nothing() -> None:
    slow = CircuitCost(lambda layers: 1.0, 1.0, 1.0)
    for share in (0.001, 1.0):
        setting = noise_for(slow, **{**SIZED, "hops": 2, "share": share})
        assert setting.protects_nothing
        assert min(setting.mu, setting.b) >= 0


def test_a_chain_of_one_gets_no_noise_and_fast_machines_what_a_chain_file_can_say() -> None:
    assert noise_for(COST, **{**SIZED, "hops": 1}) == NO_NOISE
    fast = CircuitCost(lambda layers: 1e-12, 1e-12, 1e-12)
    setting = noise_for(fast, **{**SIZED, "round_ms": 600_000, "share": 1.0})
    assert (setting.mu, setting.b) == (noise.MU_MAX, int((noise.MU_MAX - 2) / -math.log(1e-8)))


@pytest.mark.parametrize(
    "wrong",
    [{"hops": 0}, {"round_ms": 0}, {"share": 0.0}, {"share": 1.1}, {"delta": 0.0}, {"delta": 1.0},
     {"epoch_rounds": 0}, {"line_bytes": 0.0}, {"line_bytes": math.nan},
     {"cost": CircuitCost(lambda layers: 0.0, 0.0, 0.0)},
     {"cost": CircuitCost(lambda layers: math.inf, 0.0, 0.0)}],
    ids=["no hops", "no time", "no share", "more than all", "no delta", "any delta", "no epoch", "no line",
         "no number", "free", "endless"],
)  # fmt: skip
def test_noise_is_not_sized_from_nonsense(wrong: dict[str, float]) -> None:
    values = {"cost": COST, **SIZED, **wrong}
    with pytest.raises(ConfigError):
        noise_for(**values)  # type: ignore[arg-type]  # one value is wrong on purpose
