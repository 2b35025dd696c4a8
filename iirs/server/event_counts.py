"""``EventCounts``: what anybody can make happen as often as they like, logged as counts now and then.

Never a line an event, which would fill the disk at a stranger's will, and never a name or an address.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from enum import Enum

_log = logging.getLogger("iirs.server")


class Counted(Enum):
    """What is counted, in the words of the log."""

    WRONG_GUESS = "wrong passwords"
    UNKNOWN_NAME = "logins under names that nobody has"
    LOGIN_LIMITED = "logins refused after too many wrong passwords"
    LOGINS_TOO_MANY = "logins refused because the account had just logged in too often"
    REGISTRATION_LIMITED = "registrations refused as too many"
    DIRECTORY_FULL = "registrations refused because the directory is full"
    CHANGE_LIMITED = "new passwords put off as too many for one account"
    FULL = "connections refused because the server is full"
    CROWDED = "connections closed because too many had not logged in"
    NO_RESOURCES = "connections lost for want of file descriptors or threads"
    PROTOCOL_BROKEN = "connections closed because they broke the protocol"
    TIMED_OUT = "connections closed because time was up"
    LATE = "late uploads"


class EventCounts:
    """Counts from any thread; ``tell`` logs them, at most once in ``seconds``."""

    def __init__(self, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[Counted] = Counter()
        self._told_at = clock() - seconds

    def count(self, what: Counted, times: int = 1) -> None:
        """Count something that happened."""
        with self._lock:
            self._counts[what] += times

    def tell(self) -> None:
        """Log what has been counted since the last time, if that is long enough ago; to be called often."""
        now = self._clock()
        with self._lock:
            counts = +self._counts
            if not counts or now - self._told_at < self._seconds:
                return
            self._counts.clear()
            self._told_at = now
        said = ", ".join(f"{what.value}: {counts[what]}" for what in Counted if counts[what])
        _log.warning("since this was said last: %s", said)
