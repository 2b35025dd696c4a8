"""``Timers``: after how long what is said in a talk disappears, and what others wish of it.

Nobody deletes anything on another's machine: a time that somebody else sets is a wish, until our person sets
it too. What they themselves wrote goes from their own machine as they like.

States of one talk: settled -somebody else sets another time-> asked;
asked -our person sets a time, or leaves it, or the other goes back to ours-> settled.
"""

from __future__ import annotations

from iirs.client.events import TimerAsked, TimerChanged
from iirs.client.messenger.context import Context

OFFERED = (0, 300, 3600, 86_400, 604_800)
"""The times a person can choose, in seconds, shortest first; 0: never."""
_PREFIX = "timer:"
_ASKED = "timer asked:"


class Timers:
    """One account's, by talk. The store's owner thread only; whoever calls commits."""

    def __init__(self, context: Context) -> None:
        self._store = context.store
        self._events = context.events

    def set(self, talk: str, seconds: int) -> None:
        """Have what is said in a talk from now on disappear after so many seconds; 0: never."""
        self.leave(talk)
        if seconds != self._store.get(_PREFIX + talk, 0):
            self._store.set(_PREFIX + talk, seconds)
            self._events.append(TimerChanged(talk, seconds, is_new=True))

    def ask(self, talk: str, author: str, seconds: int) -> None:
        """Take in that somebody else has set a time: nothing disappears here before our person agrees.

        It is taken as one that can be chosen here: the next longer one, or the longest.
        """
        wished = next((offered for offered in OFFERED if offered >= seconds), OFFERED[-1])
        if wished == self._store.get(_PREFIX + talk, 0):
            self.leave(talk)
        elif self._store.get(_ASKED + talk) != [author, wished]:
            self._store.set(_ASKED + talk, [author, wished])
            self._events.append(TimerAsked(talk, author, wished, is_new=True))

    def leave(self, talk: str) -> None:
        """Leave the time as it is, whatever somebody else has set. Nothing is sent."""
        if self._store.get(_ASKED + talk) is not None:
            self._store.remove(_ASKED + talk)
            self._events.append(TimerAsked(talk))

    def expiry(self, talk: str, now_ms: int) -> int:
        """Return when what is said in a talk now disappears, in milliseconds; 0: never."""
        seconds = self._store.get(_PREFIX + talk, 0)
        return now_ms + seconds * 1000 if seconds else 0

    def tell(self) -> None:
        """Tell about every timer that was ever set, and every wish that waits for an answer."""
        for name, seconds in self._store.values(_PREFIX).items():
            self._events.append(TimerChanged(name.removeprefix(_PREFIX), seconds))
        for name, (author, seconds) in self._store.values(_ASKED).items():
            self._events.append(TimerAsked(name.removeprefix(_ASKED), author, seconds))
