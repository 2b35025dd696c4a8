"""``Timers``: after how long what is said in a talk disappears."""

from __future__ import annotations

from iirs.client.events import TimerChanged
from iirs.client.messenger.context import Context

_PREFIX = "timer:"


class Timers:
    """One account's, by talk. The store's owner thread only; whoever calls commits."""

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._events = context.events

    def set(self, talk: str, seconds: int) -> None:
        """Have what is said in a talk from now on disappear after so many seconds; 0: never."""
        self._store.set(_PREFIX + talk, seconds)
        self._events.append(TimerChanged(talk, seconds))

    def expiry(self, talk: str, now_ms: int) -> int:
        """Return when what is said in a talk now disappears, in milliseconds; 0: never."""
        seconds = self._store.get(_PREFIX + talk, 0)
        return now_ms + seconds * 1000 if seconds else 0

    def tell(self) -> None:
        """Tell about every timer that was ever set."""
        for name, seconds in self._store.values(_PREFIX).items():
            self._events.append(TimerChanged(name.removeprefix(_PREFIX), seconds))
