"""Noise: the onions a hop adds, as many singles and pairs as an exact, truncated Laplace draw says.

A *single* accesses a dead drop of its own once, a *pair* accesses one twice. They stand against whoever
interferes: block one person's upload and, if she was talking, two singles appear at the last hop, among
these. Vuvuzela (SOSP'15, section 4.2) has the idea and the accounting; ``docs/protocol.md`` section 7 says
what a hop does.

Drawing uses whole numbers only. A Laplace draw made of floating-point numbers has gaps and uneven
probabilities in its last bits, which give away what it was added to (Mironov, CCS'12).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from iirs.errors import ConfigError
from iirs.geometry import CELL_SIZE, RandomBytes

WEAK_EPSILON = 0.5
"""A setup that costs more than this protects nobody for long: ten of them and the budget is gone."""
WEAK_DELTA = 1e-4
SETUPS_AT_ONCE = 3.0
SETUP_SHARE = 15 / 16
"""Of the time an epoch takes, for which there is one setup. The rest is for clocks that differ."""
MU_MAX = 10_000_000
B_MAX = 1_000_000
DELTA_PER_SETUP = 1e-8
"""What ``noise_for`` aims at: a day of setups, as often as servers allow (4,608), adds up to 5e-5."""


@dataclass(frozen=True, slots=True)
class NoiseCount:
    """What one hop adds to one setup."""

    singles: int
    """Circuits to a drop of their own each."""
    pairs: int
    """Drops with two circuits each."""

    @property
    def onions(self) -> int:
        """Onions to make: one a single, two a pair."""
        return self.singles + 2 * self.pairs


@dataclass(frozen=True, slots=True)
class Noise:
    """How much noise each hop but the last adds to every setup.

    Singles are ``max(0, mu + L(b))`` and pairs ``max(0, mu/2 + L(b/2))``, L the discrete Laplace
    distribution: ``2 * mu`` onions on average.
    """

    mu: int
    """Mean number of singles; even."""
    b: int
    """Scale of the singles' noise."""
    forced: bool = False
    """The chain's makers insisted on settings that protect nothing, for a test or a demonstration."""

    @property
    def epsilon(self) -> float:
        """The privacy loss of one setup in which somebody interfered: ``4 / b`` (Vuvuzela, theorem 1).

        For one conversation; of somebody in k conversations at once, all of them together lose k times that.
        """
        return 4 / self.b if self.b else math.inf

    @property
    def delta(self) -> float:
        """The chance that this bound fails in one setup: ``exp((2 - mu) / b)`` (Vuvuzela, theorem 1)."""
        return math.exp(min(0.0, (2 - self.mu) / self.b)) if self.b else 1.0

    @property
    def protects_nothing(self) -> bool:
        """True if one setup alone costs so much that nobody should rely on it."""
        return self.epsilon > WEAK_EPSILON or self.delta > WEAK_DELTA

    def draw(self, random_bytes: RandomBytes) -> NoiseCount:
        """Return what one hop adds to one setup: fresh, independent of everything before.

        With ``b = 0`` that is the mean, every time.
        """
        singles = self.mu + discrete_laplace(Fraction(self.b), random_bytes)
        pairs = self.mu // 2 + discrete_laplace(Fraction(self.b, 2), random_bytes)
        return NoiseCount(max(0, singles), max(0, pairs))


NO_NOISE = Noise(0, 0)


# -- sizing -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CircuitCost:
    """Measured seconds of one machine's whole time, all its cores together."""

    make: Callable[[int], float]
    """Seconds to make one setup onion with this many layers (1 and more)."""
    peel: float
    """Seconds to open one layer of one setup onion, and to be ready for its circuit's cells."""
    cell: float
    """Seconds for one cell, both ways."""


def noise_for(
    cost: CircuitCost,
    *,
    hops: int,
    round_ms: int,
    epoch_rounds: int,
    share: float,
    line_bytes: float = math.inf,
    delta: float = DELTA_PER_SETUP,
) -> Noise:
    """Return the most noise that costs the busiest hop at most ``share`` of its time, on average.

    In an epoch hop h opens the ``2 * mu`` onions that each of the h hops before it added, makes as many with
    n-1-h layers itself unless it is the last, and carries the cells of all of these. They take at most
    ``line_bytes`` a second of the last link each way. ``b`` is then the largest scale with at most ``delta``
    a setup. The result may protect nothing, on slow machines or for a small share: ask it. A chain of one
    gets none. Raises ``ConfigError`` for values that make no sense.
    """
    if hops == 1:
        return NO_NOISE
    seconds = share * epoch_rounds * round_ms / 1000
    sensible = (
        hops > 1 and round_ms > 0 < epoch_rounds and 0 < share <= 1 and 0 < delta < 1 and line_bytes > 0
    )
    if not sensible:
        raise ConfigError(
            "Noise is sized for a chain of at least one hop, rounds of some length, a share of the machine's "
            "time between 0 and 1, a line that carries something, and a delta between 0 and 1."
        )
    last = hops - 1
    busiest = max(
        hop * cost.peel
        + min(hop + 1, last) * epoch_rounds * cost.cell
        + (cost.make(last - hop) if hop < last else 0.0)
        for hop in range(hops)
    )
    if not (math.isfinite(busiest) and busiest > 0):
        raise ConfigError("What a circuit costs must be a number of seconds above zero.")
    carried = line_bytes * round_ms / 1000 / CELL_SIZE / last
    mu = min(MU_MAX, 2 * int(min(seconds / busiest, carried) / 4))
    b = min(B_MAX, max(0, int((mu - 2) / -math.log(delta))))
    return Noise(mu, b)


# -- drawing ----------------------------------------------------------------------------------------------


def discrete_laplace(scale: Fraction, random_bytes: RandomBytes) -> int:
    """Return x with a probability in proportion to ``exp(-abs(x) / scale)``, exactly; 0 for a scale of 0.

    After Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy" (2020), algorithm
    2. The work does not grow with the scale. Raises ``ValueError`` for a scale below 0.
    """
    if scale < 0:
        raise ValueError("a scale is not below zero")
    if scale == 0:
        return 0
    while True:
        magnitude = _geometric(scale.numerator, random_bytes) // scale.denominator
        negative = _below(2, random_bytes) == 1
        if magnitude or not negative:  # zero has one sign only, or it would come twice as often
            return -magnitude if negative else magnitude


def _geometric(scale: int, random_bytes: RandomBytes) -> int:
    """Return x >= 0 with a probability in proportion to ``exp(-x / scale)``: remainder, then quotient."""
    while True:
        remainder = _below(scale, random_bytes)
        if _survives(Fraction(remainder, scale), random_bytes):
            break
    quotient = 0
    while _survives(Fraction(1), random_bytes):
        quotient += 1
    return quotient * scale + remainder


def _survives(exponent: Fraction, random_bytes: RandomBytes) -> bool:
    """Return true with probability ``exp(-exponent)``, for an exponent from 0 to 1.

    Draws with chances exponent/1, exponent/2, ... until one fails. That the first k succeed has
    probability exponent^k / k!, so that the failure comes at an odd place is the exponential's series.
    """
    place = 1
    while _happens(exponent / place, random_bytes):
        place += 1
    return place % 2 == 1


def _happens(chance: Fraction, random_bytes: RandomBytes) -> bool:
    return _below(chance.denominator, random_bytes) < chance.numerator


def _below(limit: int, random_bytes: RandomBytes) -> int:
    """Return a uniform whole number from 0 to ``limit - 1``; draws again rather than take a remainder."""
    bits = (limit - 1).bit_length()
    size = (bits + 7) // 8
    while True:
        value = int.from_bytes(random_bytes(size)) >> (8 * size - bits)
        if value < limit:
            return value
