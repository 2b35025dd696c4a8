"""``Budget``: how much of what waits one round does. The rest stays where it is, on the disk, in order.

Others choose how much waits and when: a contact who holds one fragment back has very much arrive in the round
in which it comes. Count and bytes decide, so that the same happens on every machine; the time is there for a
machine that is slower than was thought.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

ROUND_STEPS = 64
"""Steps a round does, at most: each takes an item in, or erases a little."""
ROUND_BYTES = 512 * 1024
"""Bytes after which a round does no further step: what came, what it makes us send, what was erased."""
ROUND_SECONDS = 0.02
"""And the time after which it does not."""
LEAST_BYTES = 64 * 1024
"""Until so many are moved, the time stops no step of those that keep up with what comes in one round."""

Step = Callable[[], int | None]
"""Does a little, and returns how many bytes it moved; ``None``: there was nothing to do."""


class Budget:
    """One round's. ``monotonic`` returns seconds; ``least`` is how many items can come in a round.

    On a busy machine the time is soon over. As much as comes is done all the same, or it would pile up.
    """

    def __init__(self, monotonic: Callable[[], float], least: int = 1) -> None:
        self._monotonic = monotonic
        self._until = monotonic() + ROUND_SECONDS
        self._least = least
        self._steps = ROUND_STEPS
        self._bytes = ROUND_BYTES

    def spend(self, size: int) -> bool:
        """Count one step; return whether there may be another."""
        self._steps -= 1
        self._bytes -= size
        is_left = self._steps > 0 and self._bytes > 0
        keeps_up = ROUND_STEPS - self._steps < self._least and ROUND_BYTES - self._bytes < LEAST_BYTES
        return is_left and (keeps_up or self._monotonic() < self._until)


class Work:
    """Kinds of waiting work that take turns, one step each: none of them can keep the others waiting."""

    def __init__(self, *steps: Step) -> None:
        self._steps = deque(steps)

    def do(self, budget: Budget) -> bool:
        """Do steps until the budget is spent or nothing waits; one at least. Return whether some may wait."""
        idle = 0
        while idle < len(self._steps):
            step = self._steps[0]
            self._steps.rotate(-1)
            size = step()
            if size is None:
                idle += 1
            else:
                idle = 0
                if not budget.spend(size):
                    return True
        return False
