"""What the privacy meter says: a verdict, a table over setups, how long a budget lasts, and whom to trust.

A figure without its number of setups and its assumption would promise what nobody keeps, so both are in
every report. Servers ration setups, whoever asks for them: that makes a time of a number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from iirs.chain import EPOCH_ROUNDS_MAX, ONE_SERVER, Chain
from iirs.errors import ConfigError, ExtraMissingError
from iirs.meter.noise_budget import DELTA_MIN, SETUPS_MAX, Accountant, TheoremAccountant, TightAccountant
from iirs.noise import B_MAX, MU_MAX, SETUP_SHARE, SETUPS_AT_ONCE, Noise

EPSILON_MAX = 20.0
"""The largest budget that means anything: odds of a hundred million to one."""
ROUND_SECONDS_MAX = 600.0
_SHORT_SECONDS = 3600
TRUST = (
    "One honest hop that is not the last must add its noise. If the last hop is honest, nobody else sees "
    "the drops, and no noise is needed. If all hops work together, nothing helps.",
    "Counted is one conversation in one slot, at each setup at which somebody could have interfered, or at "
    "which two people who lost each other that way still post. A person with s slots in use at once pays "
    "s times. Between setups there is nothing to be seen, whatever is done to a round.",
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
    epoch_rounds: int = 10
    """Rounds from one setup to the next."""
    setups: tuple[int, ...] = (1, 100, 1800, 43_200)
    """Interfered setups to give epsilon for."""
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
                1 <= self.epoch_rounds <= EPOCH_ROUNDS_MAX,
                f"An epoch has from 1 to {EPOCH_ROUNDS_MAX} rounds.",
            ),
            (
                all(1 <= setups <= SETUPS_MAX for setups in self.setups),
                f"Setups are counted from 1 to {SETUPS_MAX:,}.",
            ),
            (0 < self.epsilon <= EPSILON_MAX, f"Epsilon is above 0, and {EPSILON_MAX:g} at most."),
            (DELTA_MIN <= self.delta < 1, f"Delta is from {DELTA_MIN:g} to less than 1."),
        ):
            if not holds:
                raise ConfigError(sentence)

    @classmethod
    def of(cls, chain: Chain) -> MeterSettings:
        """Return those of a chain."""
        return cls(chain.noise, len(chain.hops), chain.round_ms / 1000, chain.epoch_rounds)

    def seconds(self, setups: int) -> float:
        """Return how soon there can have been so many setups, whoever asked for them: 0 for at once."""
        between = SETUP_SHARE * self.epoch_rounds * self.round_seconds
        return max(0.0, setups - SETUPS_AT_ONCE) * between


@dataclass(frozen=True, slots=True)
class Figures:
    """What one accountant gives: an epsilon for each number of setups asked for, and setups in the budget."""

    epsilons: tuple[float, ...]
    setups: int


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
        return self.settings.hops == 1 or self.settings.noise.protects_nothing or self.best.setups == 0

    @property
    def verdict(self) -> str:
        """One or two sentences: what this noise is worth."""
        noise, lasts = self.settings.noise, self.best.setups
        if self.settings.hops == 1:
            return f"Noise protects nobody here. {ONE_SERVER}"
        if noise.protects_nothing or lasts == 0:
            return (
                "This noise protects nobody from a server that interferes: a single setup costs epsilon "
                f"{figure(noise.epsilon)}, delta {figure(noise.delta)}."
            )
        verdict = (
            f"Against a server that interferes at every setup, this noise keeps the budget for "
            f"{self._setups_and_time(lasts)}."
        )
        if self.settings.seconds(lasts) < _SHORT_SECONDS:
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
            f"max(0, {noise.mu // 2} + L({noise.b / 2:g})) pairs; {2 * noise.mu:,} circuits on average.",
            f"One interfered setup: epsilon {figure(noise.epsilon)}, delta {figure(noise.delta)} "
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
            "epoch_rounds": settings.epoch_rounds,
            "one_setup": {"epsilon": _finite(noise.epsilon), "delta": noise.delta},
            "delta": settings.delta,
            "setups": [
                {
                    "setups": setups,
                    "seconds": settings.seconds(setups),
                    "theorem_epsilon": _finite(self.theorem.epsilons[place]),
                    "tight_epsilon": _finite(self.tight.epsilons[place]) if self.tight else None,
                }
                for place, setups in enumerate(settings.setups)
            ],
            "budget": {
                "epsilon": settings.epsilon,
                "delta": settings.delta,
                "theorem_setups": self.theorem.setups,
                "theorem_seconds": settings.seconds(self.theorem.setups),
                "tight_setups": self.tight.setups if self.tight else None,
                "tight_seconds": settings.seconds(self.tight.setups) if self.tight else None,
            },
            "tight": self.tight is not None,
            "protects_nobody": self.protects_nobody,
            "verdict": self.verdict,
            "trust": list(self.trust),
        }

    def _table(self) -> list[str]:
        settings = self.settings
        lines = [
            f"There is a setup every {settings.epoch_rounds} rounds. Servers allow {SETUPS_AT_ONCE:g} at "
            f"once, and one in {100 * SETUP_SHARE:g} percent of that time, whoever asks for more.",
            "If every one of so many setups could have been interfered with, then at delta "
            f"{figure(settings.delta)}:",
            f"{'setups':>11} {'time':>10} {'epsilon by theorem 2':>21} {'tight':>10} {'odds, at most':>14}",
        ]
        for place, setups in enumerate(settings.setups):
            tight = figure(self.tight.epsilons[place]) if self.tight else "-"
            lines.append(
                f"{setups:>11,} {_time(settings.seconds(setups)):>10} "
                f"{figure(self.theorem.epsilons[place]):>21} {tight:>10} "
                f"{odds(self.best.epsilons[place]):>14}"
            )
        return lines

    def _budget(self) -> list[str]:
        settings = self.settings
        theorem = self._setups_and_time(self.theorem.setups)
        tight = f", {self._setups_and_time(self.tight.setups)} by the tight accountant" if self.tight else ""
        lines = [
            f"A budget of epsilon {figure(settings.epsilon)} (odds {odds(settings.epsilon)}) and delta "
            f"{figure(settings.delta)} lasts {theorem} by theorem 2{tight}."
        ]
        return lines if self.tight else [*lines, "For the tight figures: pip install 'iirs[privacy]'."]

    def _setups_and_time(self, setups: int) -> str:
        more = " or more" if setups >= SETUPS_MAX else ""
        noun = "setup" if setups == 1 else "setups"
        return f"{setups:,} {noun}{more} ({_time(self.settings.seconds(setups))}{more})"


def read_meter(settings: MeterSettings) -> Reading:
    """Measure, with both accountants where both are there."""

    def figures(accountant: Accountant) -> Figures:
        return Figures(
            tuple(accountant.epsilon(setups, settings.delta) for setups in settings.setups),
            accountant.setups_within(settings.epsilon, settings.delta),
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


def _time(seconds: float) -> str:
    return duration(seconds) if seconds else "at once"


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value
