"""What the privacy meter says: a verdict, a table over rounds, how long a budget lasts, and whom to trust.

A figure without its number of rounds and its assumption would promise what nobody keeps, so both are in
every report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from iirs.chain import ONE_SERVER
from iirs.errors import ConfigError, ExtraMissingError
from iirs.meter.noise_budget import DELTA_MIN, ROUNDS_MAX, Accountant, TheoremAccountant, TightAccountant
from iirs.noise import B_MAX, MU_MAX, Noise

EPSILON_MAX = 20.0
"""The largest budget that means anything: odds of a hundred million to one."""
ROUND_SECONDS_MAX = 600.0
_SHORT_SECONDS = 3600
TRUST = (
    "One honest hop that is not the last must add its noise. If the last hop is honest, nobody else sees "
    "the drops, and no noise is needed. If all hops work together, nothing helps.",
    "Counted is one conversation in one slot, in each round in which somebody could have interfered, or in "
    "which two people who lost each other that way still post. A person with s slots in use at once pays "
    "s times.",
    "Against whoever only watches, no noise is needed, and these figures do not apply.",
)
TRUST_ONE_HOP = (
    "No hop is there that could hide anything: a person with s slots in use could be seen in all of them, in "
    "every round.",
)


@dataclass(frozen=True, slots=True)
class MeterSettings:
    """What to measure. Raises ``ConfigError`` for values out of range."""

    noise: Noise
    hops: int | None = None
    """Hops in the chain; ``None``: several."""
    round_seconds: float = 2.0
    rounds: tuple[int, ...] = (1, 100, 1800, 43_200)
    """Interfered rounds to give epsilon for."""
    epsilon: float = math.log(2)
    """Budget: odds change by a factor of two at most."""
    delta: float = 1e-4

    def __post_init__(self) -> None:
        """Check every value."""
        for holds, sentence in (
            (0 <= self.noise.mu <= MU_MAX and self.noise.mu % 2 == 0, f"mu is even, from 0 to {MU_MAX:,}."),
            (0 <= self.noise.b <= B_MAX, f"b is a whole number from 0 to {B_MAX:,}."),
            (0 < self.round_seconds <= ROUND_SECONDS_MAX, "A round takes more than 0 and up to 600 seconds."),
            (
                all(1 <= rounds <= ROUNDS_MAX for rounds in self.rounds),
                f"Rounds are counted from 1 to {ROUNDS_MAX:,}.",
            ),
            (0 < self.epsilon <= EPSILON_MAX, f"Epsilon is above 0, and {EPSILON_MAX:g} at most."),
            (DELTA_MIN <= self.delta < 1, f"Delta is from {DELTA_MIN:g} to less than 1."),
        ):
            if not holds:
                raise ConfigError(sentence)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one accountant gives: an epsilon for each number of rounds asked for, and rounds in the budget."""

    epsilons: tuple[float, ...]
    rounds: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement."""

    settings: MeterSettings
    theorem: Figures
    tight: Figures | None
    """``None``: the extra is not installed."""

    @property
    def best(self) -> Figures:
        """The tight figures, or else the theorem's."""
        return self.tight or self.theorem

    @property
    def protects_nobody(self) -> bool:
        """True if this noise is of no use in this chain."""
        return self.settings.hops == 1 or self.settings.noise.protects_nothing or self.best.rounds == 0

    @property
    def verdict(self) -> str:
        """One or two sentences: what this noise is worth."""
        noise, lasts = self.settings.noise, self.best.rounds
        if self.settings.hops == 1:
            return f"Noise protects nobody here. {ONE_SERVER}"
        if noise.protects_nothing or lasts == 0:
            return (
                "This noise protects nobody from a server that interferes: a single round costs epsilon "
                f"{figure(noise.epsilon)}, delta {figure(noise.delta)}."
            )
        verdict = (
            f"Against a server that interferes in every round, this noise keeps the budget for "
            f"{self._rounds_and_time(lasts)}."
        )
        if lasts * self.settings.round_seconds < _SHORT_SECONDS:
            verdict += (
                " That is little: it stands against single attempts, not against an attack that goes on."
            )
        return verdict

    @property
    def trust(self) -> tuple[str, ...]:
        """What all figures depend on."""
        return TRUST_ONE_HOP if self.settings.hops == 1 else TRUST

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        settings, noise = self.settings, self.settings.noise
        lines = [
            self.verdict,
            "",
            f"Noise: every hop but the last adds max(0, {noise.mu} + L({noise.b})) singles and "
            f"max(0, {noise.mu // 2} + L({noise.b / 2:g})) pairs; {2 * noise.mu:,} onions on average.",
            f"One interfered round: epsilon {figure(noise.epsilon)}, delta {figure(noise.delta)} "
            "(Vuvuzela, theorem 1).",
        ]
        if settings.hops != 1:
            lines += ["", *self._table(), "", *self._budget()]
        return [*lines, "", *(f"Trust: {sentence}" for sentence in self.trust)]

    def as_dict(self) -> dict[str, object]:
        """Return the report for a program; ``None`` stands for an epsilon without bound."""
        settings, noise = self.settings, self.settings.noise
        return {
            "mu": noise.mu,
            "b": noise.b,
            "hops": settings.hops,
            "round_seconds": settings.round_seconds,
            "one_round": {"epsilon": _finite(noise.epsilon), "delta": noise.delta},
            "delta": settings.delta,
            "rounds": [
                {
                    "rounds": rounds,
                    "seconds": rounds * settings.round_seconds,
                    "theorem_epsilon": _finite(self.theorem.epsilons[place]),
                    "tight_epsilon": _finite(self.tight.epsilons[place]) if self.tight else None,
                }
                for place, rounds in enumerate(settings.rounds)
            ],
            "budget": {
                "epsilon": settings.epsilon,
                "delta": settings.delta,
                "theorem_rounds": self.theorem.rounds,
                "tight_rounds": self.tight.rounds if self.tight else None,
                "seconds": self.best.rounds * settings.round_seconds,
            },
            "tight": self.tight is not None,
            "protects_nobody": self.protects_nobody,
            "verdict": self.verdict,
            "trust": list(self.trust),
        }

    def _table(self) -> list[str]:
        settings = self.settings
        lines = [
            "If every one of so many rounds could have been interfered with, then at delta "
            f"{figure(settings.delta)}:",
            f"{'rounds':>11} {'time':>10} {'epsilon by theorem 2':>21} {'tight':>10} {'odds, at most':>14}",
        ]
        for place, rounds in enumerate(settings.rounds):
            tight = figure(self.tight.epsilons[place]) if self.tight else "-"
            lines.append(
                f"{rounds:>11,} {duration(rounds * settings.round_seconds):>10} "
                f"{figure(self.theorem.epsilons[place]):>21} {tight:>10} "
                f"{odds(self.best.epsilons[place]):>14}"
            )
        return lines

    def _budget(self) -> list[str]:
        settings = self.settings
        theorem = self._rounds_and_time(self.theorem.rounds)
        tight = f", {self._rounds_and_time(self.tight.rounds)} by the tight accountant" if self.tight else ""
        lines = [
            f"A budget of epsilon {figure(settings.epsilon)} (odds {odds(settings.epsilon)}) and delta "
            f"{figure(settings.delta)} lasts {theorem} by theorem 2{tight}."
        ]
        return lines if self.tight else [*lines, "For the tight figures: pip install 'iirs[privacy]'."]

    def _rounds_and_time(self, rounds: int) -> str:
        more = " or more" if rounds >= ROUNDS_MAX else ""
        noun = "round" if rounds == 1 else "rounds"
        return f"{rounds:,} {noun}{more} ({duration(rounds * self.settings.round_seconds)}{more})"


def read_meter(settings: MeterSettings) -> Reading:
    """Measure, with both accountants where both are there."""

    def figures(accountant: Accountant) -> Figures:
        return Figures(
            tuple(accountant.epsilon(rounds, settings.delta) for rounds in settings.rounds),
            accountant.rounds_within(settings.epsilon, settings.delta),
        )

    theorem = figures(TheoremAccountant(settings.noise))
    try:
        tight = figures(TightAccountant(settings.noise))
    except ExtraMissingError:
        tight = None
    return Reading(settings, theorem, tight)


def report(settings: MeterSettings) -> list[str]:
    """Measure, and return the report as lines of text."""
    return read_meter(settings).lines()


def figure(value: float) -> str:
    """Write a number with the digits that matter; an infinite one as "no bound"."""
    if math.isinf(value):
        return "no bound"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def odds(epsilon: float) -> str:
    """Write what epsilon does to the odds between two suspicions."""
    if epsilon > EPSILON_MAX:
        return "no bound"
    factor = math.exp(epsilon)
    return f"x {factor:.2f}" if factor < 10 else f"x {factor:,.0f}"


def duration(seconds: float) -> str:
    """Write a time in the unit a person would use."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:g} s"


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value
