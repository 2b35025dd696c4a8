"""The privacy meter: what the drops give away, two accountants of it, and what is said."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain as chained
from itertools import combinations, product
from pathlib import Path

import pytest

from iirs.chain import render_chain
from iirs.errors import ConfigError, ExtraMissingError
from iirs.meter import main as meter
from iirs.meter import noise_budget as privacy
from iirs.meter.noise_budget import (
    Accountant,
    LossMasses,
    TheoremAccountant,
    TightAccountant,
    best_accountant,
    pairs_loss,
    setups_within,
    singles_loss,
)
from iirs.meter.report import MeterSettings, duration, figure, odds, read_meter, report
from iirs.noise import Noise
from iirs.server.deaddrop import DeadDropManager
from iirs.server.ration import Ration
from tests.builders import chain_values
from tests.test_chain import TWO_HOPS

LN2 = math.log(2)
PUBLISHED = Noise(300_000, 13_800)
MIDDLE = Noise(4000, 193)
"""Enough for hours; a tenth of the time that the published noise takes to compose."""
SMALL = Noise(1000, 48)

# -- what the drops give away -------------------------------------------------------------------------------

World = dict[str, str]
"""Setup onion -> the drop its circuit leads to."""
TALKING: World = {"alice1": "shared1", "alice2": "shared2", "bob1": "shared1", "bob2": "shared2"}
BOTH_IDLE: World = {"alice1": "alice", "alice2": "alice", "bob1": "bob", "bob2": "bob"}
ALICE_IDLE: World = {**TALKING, "alice1": "alice", "alice2": "alice"}
WITH_BOB: World = {**TALKING, "carol1": "carol", "carol2": "carol"}
WITH_CAROL: World = {
    "alice1": "other1", "alice2": "other2", "carol1": "other1", "carol2": "other2",
    "bob1": "bob", "bob2": "bob",
}  # fmt: skip
BYSTANDERS: World = {"dave1": "dave", "dave2": "dave", "noise1": "noise", "erin1": "erin", "erin2": "erin"}


def counts(world: World, removed: Iterable[str]) -> tuple[int, int]:
    """Return how many drops were accessed once and twice, as the real dead drops count them."""
    seen: list[Counter[int]] = []
    manager = DeadDropManager(os.urandom, lambda histogram, drops: seen.append(histogram))
    left = {onion: drop for onion, drop in {**world, **BYSTANDERS}.items() if onion not in set(removed)}
    manager.set_up([drop.encode().ljust(16) for drop in left.values()])
    manager.handle_messages([bytes(1024)] * len(left))  # whatever comes through them: nothing more is counted
    assert len(seen) == 1
    assert set(seen[0]) <= {1, 2}
    return seen[0][1], seen[0][2]


def check_sensitivity(one: World, other: World) -> None:
    """Whatever is removed at a setup, singles differ by 2 at most and pairs by 1; something makes them so."""
    assert one.keys() == other.keys()
    subsets = list(chained.from_iterable(combinations(one, size) for size in range(len(one) + 1)))
    assert len(subsets) == 2 ** len(one)
    differences = set()
    for removed in subsets:
        (singles, pairs), (others, other_pairs) = counts(one, removed), counts(other, removed)
        differences.add((singles - others, pairs - other_pairs))
    assert differences <= {(0, 0), (2, -1), (-2, 1)}
    assert len(differences) > 1


@pytest.mark.parametrize(
    ("one", "other"),
    [(TALKING, BOTH_IDLE), (TALKING, ALICE_IDLE), (ALICE_IDLE, BOTH_IDLE), (WITH_BOB, WITH_CAROL)],
)
def test_whatever_is_removed_two_singles_and_a_pair_is_all_that_changes(one: World, other: World) -> None:
    check_sensitivity(one, other)


@pytest.mark.parametrize(
    "broken",
    [
        {**BOTH_IDLE, "alice2": "alice's other", "bob2": "bob's other"},  # cover that is no pair
        {**BOTH_IDLE, "alice1": "erin"},  # cover in a drop that is in use
        {**TALKING, "bob2": "shared1"},  # a conversation in one drop
        {**TALKING, "bob1": "former1", "bob2": "former2"},  # two who have parted, and both post
    ],
)
def test_other_ways_to_fill_the_drops_change_more_and_are_caught(broken: World) -> None:
    with pytest.raises(AssertionError):
        check_sensitivity(TALKING, broken)


def test_without_interference_nothing_changes_at_all() -> None:
    assert counts(TALKING, ()) == counts(BOTH_IDLE, ()) == (1, 4)
    assert counts(WITH_BOB, ()) == counts(WITH_CAROL, ())


# -- the tight accountant, against every outcome ------------------------------------------------------------


def truncated(mean: int, scale: float) -> dict[int, float]:
    """Return the distribution of ``max(0, mean + L(scale))``, value by value."""
    decay = math.exp(-1 / scale)
    masses: dict[int, float] = defaultdict(float)
    for draw in range(-mean - int(40 * scale), int(40 * scale) + 1):
        masses[max(0, mean + draw)] += (1 - decay) / (1 + decay) * decay ** abs(draw)
    return masses


def losses(one: dict[int, float], other: dict[int, float]) -> dict[float, float]:
    """Return loss -> probability under ``one``; an outcome impossible under ``other`` loses without bound."""
    found: dict[float, float] = defaultdict(float)
    for outcome, mass in one.items():
        loss = math.log(mass / other[outcome]) if other.get(outcome) else math.inf
        found[round(loss, 9)] += mass
    return found


def shifted(masses: dict[int, float], by: int) -> dict[int, float]:
    return {value + by: mass for value, mass in masses.items()}


def one_round(noise: Noise, singles_more: bool) -> dict[float, float]:
    """Return the exact loss of a round with two singles more and a pair fewer, or the other way round."""
    singles, pairs = truncated(noise.mu, noise.b), truncated(noise.mu // 2, noise.b / 2)
    if singles_more:
        return both(losses(shifted(singles, 2), singles), losses(pairs, shifted(pairs, 1)))
    return both(losses(singles, shifted(singles, 2)), losses(shifted(pairs, 1), pairs))


def both(first: dict[float, float], second: dict[float, float]) -> dict[float, float]:
    found: dict[float, float] = defaultdict(float)
    for (loss, mass), (more, share) in product(first.items(), second.items()):
        found[round(loss + more, 9)] += mass * share
    return found


def delta_of(found: dict[float, float], epsilon: float) -> float:
    return sum(mass * -math.expm1(epsilon - loss) for loss, mass in found.items() if loss > epsilon)


def check_against_every_outcome(accountant: Accountant, slack: float) -> None:
    """Never too little, in whichever direction each of up to three rounds goes, and hardly too much."""
    directions = [one_round(accountant.noise, more) for more in (True, False)]
    each = accountant.noise.epsilon
    sequences: list[dict[float, float]] = [{0.0: 1.0}]
    for rounds in (1, 2, 3):
        sequences = [both(found, direction) for found in sequences for direction in directions]
        for share in (0.0, 0.3, 0.5, 0.8, 1.0, 1.5):
            epsilon = share * each * rounds
            exact = max(delta_of(found, epsilon) for found in sequences)
            delta = accountant.delta(rounds, epsilon)
            assert delta >= exact - 1e-9
            assert delta <= exact + slack
            if rounds > 1:
                assert accountant.epsilon(rounds, delta) <= epsilon + 1e-6


@pytest.mark.parametrize(
    ("noise", "slack"),
    [(Noise(60, 3), 1e-7), (Noise(40, 4), 2e-4), (Noise(400, 40), 1e-5), (Noise(8, 5), 0.3)],
)
def test_the_tight_account_is_never_below_the_truth_and_hardly_above(noise: Noise, slack: float) -> None:
    check_against_every_outcome(TightAccountant(noise), slack)


def less_shift(noise: Noise) -> LossMasses:
    steps = singles_loss(noise).steps
    return LossMasses({0: steps[0] + steps[-1], 1: steps[1]}, singles_loss(noise).infinite)


def untruncated(noise: Noise) -> LossMasses:
    true = singles_loss(noise)
    return LossMasses({**true.steps, 1: true.steps[1] + true.infinite}, 0.0)


def one_way(noise: Noise) -> LossMasses:
    true = pairs_loss(noise)
    return LossMasses({-1: true.steps[1], 1: true.steps[-1]}, true.infinite)


@pytest.mark.parametrize(
    ("place", "broken"),
    [
        ("singles_loss", untruncated),
        ("singles_loss", less_shift),
        ("pairs_loss", lambda noise: LossMasses({0: 1.0}, 0.0)),
        ("pairs_loss", one_way),
    ],
)
def test_an_account_that_leaves_something_out_is_caught(
    place: str, broken: Callable[[Noise], LossMasses], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privacy, place, broken)
    with pytest.raises(AssertionError):
        check_against_every_outcome(TightAccountant(Noise(40, 4)), 2e-4)


@pytest.mark.parametrize("noise", [PUBLISHED, SMALL, Noise(300_000, 3), Noise(2, 1), Noise(4, 1_000_000)])
def test_the_losses_of_a_round_are_distributions(noise: Noise) -> None:
    for loss in (singles_loss(noise), pairs_loss(noise)):
        masses = [*loss.steps.values(), loss.infinite]
        assert math.isclose(sum(masses), 1)
        assert min(masses) >= 0


def test_composing_by_fourier_transform_loses_nothing_that_matters() -> None:
    noise, rounds = SMALL, 300
    singles, pairs = singles_loss(noise), pairs_loss(noise)
    found = {0: 1.0}
    for part in [singles.steps, pairs.steps] * rounds:
        new: dict[int, float] = defaultdict(float)
        for (step, mass), (more, share) in product(found.items(), part.items()):
            new[step + more] += mass * share
        found = new
    certain = 1 - ((1 - singles.infinite) * (1 - pairs.infinite)) ** rounds
    accountant = TightAccountant(noise)
    for epsilon in (0.0, 2.0, 5.0, 8.0):
        exact = certain + delta_of({step * 2 / noise.b: mass for step, mass in found.items()}, epsilon)
        assert math.isclose(accountant.delta(rounds, epsilon), exact, rel_tol=1e-6, abs_tol=1e-12)


# -- the theorem --------------------------------------------------------------------------------------------


def test_the_theorem_gives_the_published_figures() -> None:
    accountant = TheoremAccountant(PUBLISHED)
    assert math.isclose(PUBLISHED.epsilon, 4 / 13_800)
    assert accountant.epsilon(200_000, 1e-4) <= LN2 < accountant.epsilon(250_000, 1e-4)
    assert 200_000 <= accountant.setups_within(LN2, 1e-4) <= 250_000
    assert accountant.setups_within(LN2, 1e-4) <= TightAccountant(PUBLISHED).setups_within(LN2, 1e-4)


def test_no_other_split_of_delta_gives_less() -> None:
    rounds, delta = 1000, 1e-4
    each = SMALL.epsilon
    least = TheoremAccountant(SMALL).epsilon(rounds, delta)
    for share in (0.1, 0.5, 0.9, 0.99):
        left = share * (delta - rounds * SMALL.delta)
        other = math.sqrt(2 * rounds * math.log(1 / left)) * each + rounds * each * math.expm1(each)
        assert other > least


def test_few_rounds_are_added_up_where_that_gives_less() -> None:
    assert TheoremAccountant(SMALL).epsilon(1, 1e-4) == SMALL.epsilon
    assert TheoremAccountant(SMALL).epsilon(8, 1e-4) == 8 * SMALL.epsilon


@pytest.mark.parametrize("kind", [TheoremAccountant, TightAccountant])
@pytest.mark.parametrize("noise", [MIDDLE, SMALL])
def test_a_budget_lasts_to_the_last_round_and_no_longer(kind: type[Accountant], noise: Noise) -> None:
    accountant = kind(noise)
    lasts = accountant.setups_within(LN2, 1e-4)
    assert accountant.epsilon(lasts, 1e-4) <= LN2 * (1 + 1e-9)
    assert accountant.epsilon(lasts + 1, 1e-4) > LN2


@pytest.mark.parametrize("noise", [MIDDLE, SMALL, Noise(100, 12), Noise(6, 9)])
def test_the_tight_account_never_says_more_than_the_theorem(noise: Noise) -> None:
    theorem, tight = TheoremAccountant(noise), TightAccountant(noise)
    for rounds in (1, 10, 1000):
        assert tight.epsilon(rounds, 1e-4) <= theorem.epsilon(rounds, 1e-4) * (1 + 1e-9)
    assert tight.setups_within(LN2, 1e-4) >= theorem.setups_within(LN2, 1e-4)


@pytest.mark.parametrize("noise", [Noise(0, 0), Noise(1000, 0), Noise(0, 50)])
@pytest.mark.parametrize("kind", [TheoremAccountant, TightAccountant])
def test_without_noise_there_is_no_bound(kind: type[Accountant], noise: Noise) -> None:
    accountant = kind(noise)
    assert math.isinf(accountant.epsilon(1, 0.5))
    assert accountant.delta(1, 5.0) == 1
    assert accountant.setups_within(5.0, 0.5) == 0


def test_a_budget_that_lasts_for_ever_is_counted_to_the_largest_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(privacy, "SETUPS_MAX", 1000)
    assert TheoremAccountant(PUBLISHED).setups_within(LN2, 1e-4) == 1000


# -- without the extra --------------------------------------------------------------------------------------


@pytest.fixture
def no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "dp_accounting"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dp_accounting", None)


@pytest.mark.usefixtures("no_extra")
def test_without_the_extra_the_theorem_stands_and_the_report_says_how_to_get_it() -> None:
    with pytest.raises(ExtraMissingError, match=r"iirs\[privacy\]"):
        TightAccountant(SMALL)
    assert isinstance(best_accountant(SMALL), TheoremAccountant)
    assert setups_within(SMALL, LN2, 1e-4) == 8
    reading = read_meter(MeterSettings(SMALL))
    assert reading.tight is None
    assert sum("pip install 'iirs[privacy]'" in line for line in reading.lines()) == 1
    assert "8 setups (93.75 s)" in reading.verdict
    json.dumps(reading.as_dict(), allow_nan=False)


def test_with_the_extra_the_tight_account_decides() -> None:
    assert setups_within(SMALL, LN2, 1e-4) == 15
    text = "\n".join(report(MeterSettings(SMALL)))
    assert "15 setups (3.8 min)" in text
    assert "pip install" not in text


# -- what is said -------------------------------------------------------------------------------------------


def check_report(lines: list[str], settings: MeterSettings) -> None:
    """Each epsilon has its number of rounds and its time; the assumptions are there."""
    text = "\n".join(lines)
    for setups in settings.setups:
        seconds = settings.seconds(setups)
        time = duration(seconds) if seconds else "at once"
        assert any(f"{setups:,} " in line and time in line for line in lines), setups
    for words in (
        "honest hop that is not the last",
        "one conversation in one slot",
        "s times",
        "only watches",
    ):
        assert words in text
    assert "delta" in text


@pytest.mark.parametrize("noise", [MIDDLE, SMALL, Noise(300_000, 3), Noise(0, 0)])
def test_every_report_has_its_rounds_its_time_and_its_assumptions(noise: Noise) -> None:
    settings = MeterSettings(noise, round_seconds=4.0)
    lines = report(settings)
    check_report(lines, settings)
    for left_out in ("43,200", "One honest hop", "one conversation"):
        with pytest.raises(AssertionError):
            check_report([line for line in lines if left_out not in line], settings)


@pytest.mark.parametrize("noise", [Noise(300_000, 3), Noise(0, 0), Noise(10, 20)])
def test_noise_that_protects_nobody_is_called_that(noise: Noise) -> None:
    reading = read_meter(MeterSettings(noise))
    assert reading.protects_nobody
    assert reading.lines()[0].startswith("This noise protects nobody")
    assert not read_meter(MeterSettings(SMALL)).protects_nobody
    assert "nobody" not in read_meter(MeterSettings(SMALL)).verdict


def test_what_vuvuzelas_program_ships_costs_one_and_a_third_a_round() -> None:
    assert "epsilon 1.33" in read_meter(MeterSettings(Noise(100, 3))).verdict


def test_little_noise_is_called_little_and_much_is_not() -> None:
    assert "That is little" in read_meter(MeterSettings(SMALL)).verdict
    assert "That is little" not in read_meter(MeterSettings(PUBLISHED)).verdict


def test_a_chain_of_one_is_told_that_noise_protects_nobody_there() -> None:
    reading = read_meter(MeterSettings(MIDDLE, hops=1))
    assert reading.protects_nobody
    assert "one server" in reading.verdict
    text = "\n".join(reading.lines())
    assert "must be trusted not to look" in text
    assert "keeps the budget" not in text
    assert "odds" not in text


@pytest.mark.parametrize(
    "values",
    [{"noise": Noise(3, 1)}, {"noise": Noise(-2, 1)}, {"noise": Noise(2, -1)}, {"noise": Noise(10**8, 1)},
     {"round_seconds": 0.0}, {"round_seconds": math.nan}, {"setups": (0,)}, {"setups": (10**9,)},
     {"epoch_rounds": 0}, {"epoch_rounds": 121},
     {"epsilon": 0.0}, {"epsilon": math.inf}, {"epsilon": math.nan}, {"delta": 0.0}, {"delta": 1.0}],
    ids=str,
)  # fmt: skip
def test_nonsense_is_refused_with_a_sentence(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"^[A-Zmb].*\.$"):
        MeterSettings(**{"noise": SMALL, **values})  # type: ignore[arg-type]  # one value is wrong on purpose


def test_setups_make_a_time_by_what_servers_allow_whoever_asks() -> None:
    settings = MeterSettings(SMALL, round_seconds=2.0, epoch_rounds=10)
    assert [settings.seconds(setups) for setups in (1, 3, 4, 19)] == [0, 0, 18.75, 300]
    assert replace(settings, epoch_rounds=20).seconds(4) == 37.5
    clock = [0.0]
    ration = Ration(settings.seconds(4), lambda: clock[0])
    for setups in range(1, 40):  # an entry that asks as often as it can
        clock[0] = max(clock[0], settings.seconds(setups))
        assert ration.allows()
        ration.take()
        assert not ration.allows() or setups < 3


def test_numbers_and_times_are_written_for_people() -> None:
    assert [duration(seconds) for seconds in (2, 0.5, 119, 120, 7200, 172_800)] == [
        "2 s", "0.5 s", "119 s", "2.0 min", "2.0 h", "2.0 days",
    ]  # fmt: skip
    assert [figure(value) for value in (0.0833, 57_600.0, math.inf)] == ["0.0833", "57,600", "no bound"]
    assert [odds(value) for value in (LN2, 5.0, 21.0, math.inf)] == [
        "x 2.00",
        "x 148",
        "no bound",
        "no bound",
    ]


# -- the program --------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        code = meter.main(list(arguments))
    except SystemExit as ended:
        code = int(str(ended.code))
    written = capsys.readouterr()
    return code, written.out, written.err


@pytest.fixture
def chain_file(tmp_path: Path) -> str:
    path = tmp_path / "chain.toml"
    path.write_bytes(render_chain(**chain_values(hops=TWO_HOPS, noise=SMALL, round_ms=500)))
    return str(path)


def test_a_chain_file_gives_noise_round_length_and_hops(
    chain_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, chain_file, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["mu"], told["b"], told["hops"], told["round_seconds"]) == (1000, 48, 2, 0.5)
    assert told["epoch_rounds"] == 30
    between = 15 / 16 * 30 * 0.5
    assert [row["seconds"] for row in told["setups"]] == [
        between * (n - min(n, 3)) for n in (1, 100, 1800, 43_200)
    ]
    budget = told["budget"]
    assert (budget["theorem_setups"], budget["tight_setups"]) == (8, 15)
    assert (budget["theorem_seconds"], budget["tight_seconds"]) == (5 * between, 12 * between)


def test_what_is_given_replaces_what_the_chain_file_says(
    chain_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(
        capsys, chain_file, "--mu", "4000", "--b", "193", "--setups", "50", "--epsilon", "1",
        "--delta", "0.001", "--round-seconds", "3", "--epoch-rounds", "20", "--json",
    )  # fmt: skip
    told = json.loads(out)
    assert (code, told["mu"], told["b"], told["round_seconds"], told["epoch_rounds"]) == (
        0,
        4000,
        193,
        3.0,
        20,
    )
    assert [row["setups"] for row in told["setups"]] == [50]
    assert (told["budget"]["epsilon"], told["budget"]["delta"], told["delta"]) == (1.0, 0.001, 0.001)


def test_without_a_chain_file_settings_can_be_tried(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--mu", "1000", "--b", "0")
    assert code == 0
    assert out.startswith("This noise protects nobody")
    code, out, _ = run(capsys, "--mu", "1000", "--b", "0", "--json")
    assert json.loads(out)["one_setup"]["epsilon"] is None
    assert "Infinity" not in out


@pytest.mark.parametrize(
    "arguments",
    [[], ["--mu", "10"], ["--mu", "x", "--b", "1"], ["--mu", "3", "--b", "1"], ["/nowhere/chain.toml"], ["/"],
     ["--mu", "10", "--b", "1", "--setups", "0"], ["--mu", "10", "--b", "1", "--round-seconds", "0"],
     ["--mu", "10", "--b", "1", "--delta", "nan"], ["--what"], [__file__]],
    ids=str,
)  # fmt: skip
def test_bad_input_gets_one_sentence_and_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("iirs-meter: ")
    assert err.count("\n") == 1


# -- the threat model ---------------------------------------------------------------------------------------

THREAT_MODEL = (Path(__file__).parent.parent / "docs" / "threat-model.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([\d,]+), ([\d,]+) \| ([\d,]+) \| (.+) \|$", flags=re.M)


def check_table(text: str) -> None:
    """Every figure in the threat model's table is what the meter says."""
    rows = ROW.findall(text)
    assert len(rows) > 4
    for mu, b, onions, cells in rows:
        noise = Noise(int(mu.replace(",", "")), int(b.replace(",", "")))
        reading = read_meter(MeterSettings(noise))
        assert reading.tight is not None
        wanted = [
            f"{figure(theorem)} / {figure(tight)}"
            for theorem, tight in zip(reading.theorem.epsilons, reading.tight.epsilons, strict=True)
        ]
        wanted.append(f"{reading.theorem.setups:,} / {reading.tight.setups:,}")
        assert cells.split(" | ") == wanted
        assert onions == f"{2 * noise.mu:,}"


def test_the_threat_model_quotes_what_the_meter_says() -> None:
    check_table(THREAT_MODEL)
    assert "| 8 / 15 |" in THREAT_MODEL
    with pytest.raises(AssertionError):
        check_table(THREAT_MODEL.replace("| 8 / 15 |", "| 8 / 16 |"))
