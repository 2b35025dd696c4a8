"""The privacy meter: what noise buys against somebody who interferes, over many setups.

**What is measured.** Whoever interferes removes onions and looks at the last hop how many drops are accessed
once and twice. One conversation in one slot, whatever subset of its onions is removed, changes the first
count by 2 at most and the second by 1 (``tests/test_privacy_meter.py`` tries them all). A setup in which
that could have happened shows both counts with the noise of one honest hop: ``max(0, mu + L(b))`` and
``max(0, mu/2 + L(b/2))``.

**What comes out.** After k such setups the odds between "they talk" and "they do not" have changed by a
factor of ``exp(epsilon)`` at most, except with probability delta. Two accountants: ``TheoremAccountant`` is
Vuvuzela's (SOSP'15, theorems 1 and 2), in closed form. ``TightAccountant`` composes the exact privacy losses
of this mechanism, truncation included, and needs the extra ``privacy``.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from iirs.errors import ExtraMissingError
from iirs.noise import Noise

SETUPS_MAX = 2_000_000
"""The most setups that are counted: more than a year of one every 20 s. More are said to be this many."""
DELTA_MIN = 1e-9
"""The least delta asked for: below it the rounding of the tight accountant's Fourier transform shows."""


class Accountant(ABC):
    """Epsilon and delta over many setups with one noise, by one way of counting."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise

    @abstractmethod
    def epsilon(self, setups: int, delta: float) -> float:
        """Return the least epsilon that holds over ``setups`` with ``delta``; infinite if none does."""

    @abstractmethod
    def delta(self, setups: int, epsilon: float) -> float:
        """Return the least delta with which ``epsilon`` holds over ``setups``: 0 to 1."""

    def setups_within(self, epsilon: float, delta: float) -> int:
        """Return the most setups that stay within the budget: 0 to ``SETUPS_MAX``."""
        inside, outside = 0, 1
        while outside <= SETUPS_MAX and self.delta(outside, epsilon) <= delta:
            inside, outside = outside, 2 * outside
        outside = min(outside, SETUPS_MAX + 1)
        while outside - inside > 1:
            middle = (inside + outside) // 2
            if self.delta(middle, epsilon) <= delta:
                inside = middle
            else:
                outside = middle
        return inside


class TheoremAccountant(Accountant):
    """Vuvuzela's theorem 2, or plain addition where that gives less (it does for few setups).

    Theorem 2 holds for any d above 0: ``epsilon' = sqrt(2 k ln(1/d)) epsilon + k epsilon (e^epsilon - 1)``
    and ``delta' = k delta + d``. Epsilon' falls as d grows, so the best d is all that k delta leaves.
    """

    def epsilon(self, setups: int, delta: float) -> float:
        """Return epsilon' for the best d."""
        each, left = self.noise.epsilon, delta - setups * self.noise.delta
        if left < 0 or math.isinf(each):
            return math.inf
        added = setups * each
        if left == 0:
            return added
        return min(added, math.sqrt(2 * setups * math.log(1 / left)) * each + self._drift(setups))

    def delta(self, setups: int, epsilon: float) -> float:
        """Return delta' for the d that gives just this epsilon'."""
        each = self.noise.epsilon
        if math.isinf(each):
            return 1.0
        certain = setups * self.noise.delta
        if setups * each <= epsilon:
            return min(1.0, certain)
        above = (epsilon - self._drift(setups)) / each
        return min(1.0, certain + math.exp(-(above**2) / (2 * setups))) if above > 0 else 1.0

    def _drift(self, setups: int) -> float:
        each = self.noise.epsilon
        return setups * each * math.expm1(each) if each < 100 else math.inf


@dataclass(frozen=True, slots=True)
class LossMasses:
    """The distribution of one observation's privacy loss, on a grid of ``2 / b``, rounded up to it."""

    steps: dict[int, float]
    """Loss in steps of the grid -> probability."""
    infinite: float
    """The probability of a count that would be impossible in the other world."""


def singles_loss(noise: Noise) -> LossMasses:
    """Return what the count of singles gives away when it differs by 2: at worst, in either direction.

    A low count speaks by 2/b for the world with fewer, a high one for the world with more, and one in
    between for neither. The two lowest counts are possible in one world only. The third, in the world with
    more, holds all that was cut off there; it is taken for impossible in the other, which costs nothing,
    because the two lowest together are the likelier. Needs a mean of 2 and a scale of 1 at least.
    """
    decay, rest = math.exp(-1 / noise.b), -math.expm1(-1 / noise.b)
    infinite = decay ** (noise.mu - 1) / (1 + decay)
    up = (1 - rest * decay ** (noise.mu - 1)) / (1 + decay)
    nothing = rest * decay / (1 + decay)
    return LossMasses({-1: max(0.0, 1 - infinite - up - nothing), 0: nothing, 1: up}, infinite)


def pairs_loss(noise: Noise) -> LossMasses:
    """Return what the count of pairs gives away when it differs by 1: at worst, in either direction."""
    decay = math.exp(-2 / noise.b)
    infinite = decay ** (noise.mu // 2) / (1 + decay)
    up = 1 / (1 + decay)
    return LossMasses({-1: max(0.0, 1 - infinite - up), 1: up}, infinite)


class TightAccountant(Accountant):
    """The composition of the losses themselves, by Google's ``dp-accounting`` (Apache 2.0).

    All losses of this mechanism are whole multiples of 2/b but those at the cut, which are rounded up, so the
    grid costs nothing. Each setup's loss is bounded in both directions at once, so an adversary who chooses
    anew in each setup, knowing all setups before, is covered (Zhu, Dong, Wang: "Optimal Accounting of
    Differential Privacy via Characteristic Function", AISTATS 2022).
    """

    def __init__(self, noise: Noise) -> None:
        """Raises ``ExtraMissingError`` if the extra is not installed."""
        super().__init__(noise)
        try:
            from dp_accounting.pld import privacy_loss_distribution as library  # noqa: PLC0415  # an extra
        except ImportError as error:
            raise ExtraMissingError("For the tight figures: pip install 'iirs[privacy]'.") from error
        self._setup: Any = None
        if noise.b and noise.mu >= 2:
            singles, pairs = (
                library.PrivacyLossDistribution.create_from_rounded_probability(
                    loss.steps, loss.infinite, 2 / noise.b
                )
                for loss in (singles_loss(noise), pairs_loss(noise))
            )
            self._setup = singles.compose(pairs, tail_mass_truncation=0)

    def epsilon(self, setups: int, delta: float) -> float:
        """Return epsilon over so many setups, for this very mechanism."""
        if self._setup is None:
            return math.inf
        with warnings.catch_warnings():
            # Of numbers that overflow: the result is no bound.
            warnings.simplefilter("ignore", RuntimeWarning)
            return float(self._setup.self_compose(setups).get_epsilon_for_delta(delta))

    def delta(self, setups: int, epsilon: float) -> float:
        """Return delta over so many setups, for this very mechanism."""
        if self._setup is None:
            return 1.0
        return min(1.0, float(self._setup.self_compose(setups).get_delta_for_epsilon(epsilon)))


def best_accountant(noise: Noise) -> Accountant:
    """Return the tight accountant, or the theorem's where the extra is missing."""
    try:
        return TightAccountant(noise)
    except ExtraMissingError:
        return TheoremAccountant(noise)


def setups_within(noise: Noise, epsilon: float, delta: float) -> int:
    """Return how many interfered setups the budget lasts, by the best accountant there is."""
    return best_accountant(noise).setups_within(epsilon, delta)
