"""``Ration``: how often circuits are set up.

Each setup in which somebody could have interfered costs privacy. Whoever crashes a hop on purpose, or asks
for setups, would have in minutes what is meant for hours otherwise.
"""

from __future__ import annotations

from collections.abc import Callable

from iirs.chain import Chain
from iirs.noise import SETUP_SHARE, SETUPS_AT_ONCE

_ENOUGH = 1 - 1e-9


def setup_seconds(chain: Chain) -> float:
    """Return in how many seconds there is one setup."""
    return SETUP_SHARE * chain.epoch_rounds * chain.round_ms / 1000


def left_at_start(left: float, stored_at: float, now: float, seconds: float) -> float:
    """Return how many setups a hop has that starts ``now`` and had ``left`` at ``stored_at`` (unix seconds).

    One more at most, whatever the clock says: it may have been set.
    """
    return min(SETUPS_AT_ONCE, left + min(1.0, max(0.0, now - stored_at) / seconds))


class Ration:
    """Three setups at once, and then one in so many seconds. Not thread-safe: one owner."""

    def __init__(self, seconds: float, monotonic: Callable[[], float], left: float = SETUPS_AT_ONCE) -> None:
        """``monotonic`` gives seconds, ``left`` is how many there are now."""
        self._seconds = seconds
        self._monotonic = monotonic
        self._left = left
        self._counted_at = monotonic()

    def left(self, ahead: float = 0.0) -> float:
        """Return how many setups there are in so many seconds."""
        passed = self._monotonic() + ahead - self._counted_at
        return min(SETUPS_AT_ONCE, self._left + passed / self._seconds)

    def allows(self, ahead: float = 0.0) -> bool:
        """Whether there may be a setup in so many seconds."""
        return self.left(ahead) >= _ENOUGH

    @property
    def after_one(self) -> float:
        """How many are left once one has been used up now: none at the least, whatever was rounded."""
        return max(0.0, self.left() - 1)

    def take(self) -> None:
        """Use up one."""
        self._left, self._counted_at = self.after_one, self._monotonic()
