"""``SpareMemory``: what was let go of, given back to the system instead of kept by the C library for later.

Thousands of connections that send, wait and send again leave holes between what lasts. GNU's library keeps
those for the next one who asks, a fifth of all it has; other libraries do not need to be told.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

_SECONDS = 10.0


class SpareMemory:
    """Not thread-safe: one thread asks."""

    def __init__(
        self, library: ctypes.CDLL | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``library`` is C's own if none is given; ``clock`` gives monotonic seconds."""
        self._clock = clock
        self._next = clock() + _SECONDS
        try:
            self._trim: Callable[[int], object] | None = (library or ctypes.CDLL(None)).malloc_trim
        except (AttributeError, OSError, TypeError):  # not GNU's
            self._trim = None

    def give_back(self) -> None:
        """Give back what is spare; to be called now and then, and does so every ten seconds at most."""
        now = self._clock()
        if self._trim is not None and now >= self._next:
            self._next = now + _SECONDS
            self._trim(0)
