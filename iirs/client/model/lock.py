"""When a window locks by itself, and how long a wrong password makes its person wait. No Tk, no clock here.

Locking changes nothing that is sent: the rounds go on, and the account's keys stay in memory for them.
"""

from __future__ import annotations

from dataclasses import dataclass

FREE_TRIES = 2
_LONGEST_SECONDS = 60.0


@dataclass(slots=True)
class IdleClock:
    """Counts since the person last did something."""

    since: float

    def touch(self, now: float) -> None:
        """Take note that the person is here."""
        self.since = now

    def is_up(self, now: float, minutes: int) -> bool:
        """Return whether so many minutes have passed; never with 0."""
        return minutes > 0 and now - self.since >= minutes * 60


def wait_seconds(failures: int) -> float:
    """Return how long to wait after so many wrong passwords in a row: 0, 0, 2, 4, 8 ... at most 60 s."""
    if failures <= FREE_TRIES:
        return 0.0
    return min(_LONGEST_SECONDS, 2.0 ** min(failures - FREE_TRIES, 16))
