"""``RateLimit``: how often each of many may do something. Pure but for its clock."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable


class RateLimit:
    """At most ``burst`` attempts a key, refilled at ``per_second``. Remembers a bounded number of keys.

    Not thread-safe: one owner. Of too many keys, those that were used longest ago are forgotten, and have
    their whole burst again.
    """

    def __init__(
        self, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic, keys: int = 10_000
    ) -> None:
        """``clock``: monotonic seconds."""
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._keys = keys
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._left)

    def has_left(self, key: str) -> bool:
        """Return whether one more is allowed; whoever only asks is not remembered for it."""
        return self._now_left(key) >= 1

    def allow(self, key: str) -> bool:
        """Count an attempt; False if there have been too many, and then it does not count."""
        left = self._now_left(key)
        if left < 1:
            return False
        self._left[key] = (left - 1, self._clock())
        self._left.move_to_end(key)
        while len(self._left) > self._keys:
            self._left.popitem(last=False)
        return True

    def _now_left(self, key: str) -> float:
        now = self._clock()
        left, since = self._left.get(key, (self._burst, now))
        return min(self._burst, left + (now - since) * self._per_second)
