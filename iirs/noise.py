"""Noise: the onions a hop adds, as many singles and pairs as an exact, truncated Laplace draw says.

A *single* accesses a dead drop of its own once, a *pair* accesses one twice. They stand against whoever
interferes: block one person's upload and, if she was talking, two singles appear at the last hop, among
these. Vuvuzela (SOSP'15, section 4.2) has the idea and the accounting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WEAK_EPSILON = 0.5
"""A round that costs more than this protects nobody for long: ten of them and the budget is gone."""
WEAK_DELTA = 1e-4
MU_MAX = 10_000_000
B_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Noise:
    """How much noise each hop but the last adds to every conversation batch.

    Singles are ``max(0, mu + L(b))`` and pairs ``max(0, mu/2 + L(b/2))``, L the discrete Laplace
    distribution: ``2 * mu`` onions on average.
    """

    mu: int
    """Mean number of singles; even."""
    b: int
    """Scale of the singles' noise."""
    forced: bool = False
    """The chain's makers insisted on settings that protect nothing, for a test or a demonstration."""

    def draw(self, random_bytes: object) -> NoiseCount:
        """TEMP."""
        return NoiseCount(self.mu, self.mu // 2)

    @property
    def epsilon(self) -> float:
        """The privacy loss of one round in which somebody interfered: ``4 / b`` (Vuvuzela, theorem 1)."""
        return 4 / self.b if self.b else math.inf

    @property
    def delta(self) -> float:
        """The chance that this bound fails in one round: ``exp((2 - mu) / b)`` (Vuvuzela, theorem 1)."""
        return min(1.0, math.exp((2 - self.mu) / self.b)) if self.b else 1.0

    @property
    def protects_nothing(self) -> bool:
        """True if one round alone costs so much that nobody should rely on it."""
        return self.epsilon > WEAK_EPSILON or self.delta > WEAK_DELTA


NO_NOISE = Noise(0, 0)


@dataclass(frozen=True, slots=True)
class NoiseCount:
    """TEMP."""

    singles: int
    pairs: int
