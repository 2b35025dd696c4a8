"""``Keeping``: what an engine does while this machine's disk takes nothing.

States: KEEPING -the disk refuses-> PAUSED -there is room at an announcement-> KEEPING. Pausing is a crash of
all that is kept, and of nothing else: what was not committed is taken back, in the file and among the events,
and what lives in memory is made anew from the file before it is used again. Uploads go on as they would, but
hold cover alone, which needs no state; so nothing that has to be kept is ever used before it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from iirs.client.events import EventLog, KeepingChanged
from iirs.client.store.encrypted_file import StoreFullError
from iirs.client.store.store import ClientStore
from iirs.client.text.translate import _

T = TypeVar("T")


class Keeping:
    """One engine's; its thread only."""

    def __init__(self, store: ClientStore, events: EventLog) -> None:
        self.is_paused = False
        self.is_stale = False
        """What lives in memory may be ahead of the file, and is to be made anew before it is used."""
        self._store = store
        self._events = events

    def attempt(self, work: Callable[[], T]) -> T | None:
        """Return what comes of work that keeps something; ``None``, and nothing has happened, if it cannot.

        While paused nothing is tried. An error other than ``StoreFullError`` is raised.
        """
        if self.is_paused:
            return None
        try:
            return self.run(work)
        except StoreFullError:
            return None

    def run(self, work: Callable[[], T]) -> T:
        """Return what comes of work, even while paused; pause and raise ``StoreFullError`` if it fails."""
        before = self._events.length
        try:
            return work()
        except StoreFullError as error:
            self._events.cut(before)
            self._store.pause()
            self.is_stale = True
            if not self.is_paused:
                self.is_paused = True
                self._events.append(KeepingChanged(error.said(_)))
            raise

    def try_again(self, come_back: Callable[[], None]) -> None:
        """While paused, see whether there is room; if so, ``come_back`` takes up what the file has."""
        if not self.is_paused:
            return
        before = self._events.length
        try:
            self._store.resume()
            come_back()
        except StoreFullError:
            self._events.cut(before)
            self._store.pause()
            self.is_stale = True
        else:
            self.is_paused = False
            self._events.append(KeepingChanged())
