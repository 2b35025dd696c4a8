"""``Notifications``: what is handed to the desktop, by a thread of its own; nothing where it cannot.

A notification stays on this machine. A desktop may read its text as markup, and fetch a picture it names:
what could be markup is replaced, so that nobody's text makes anything leave this machine.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from iirs.client.desktop.notification_text import Notification, merged, nameless

INTERVAL = 4.0
"""Seconds from one notification to the next; what comes meanwhile is told in one."""
_ANSWER_SECONDS = 5.0
_NO_MARKUP = str.maketrans({"<": "‹", ">": "›", "&": "＆"})  # noqa: RUF001  # meant to look alike


class Notifications:
    """The desktop's notifications. ``show`` may be called from any thread, never blocks and never raises."""

    def __init__(self, interval: float = INTERVAL) -> None:
        """Start the thread; whether the desktop takes notifications is known a little later."""
        self.available: bool | None = None
        """Whether the desktop takes notifications; ``None`` as long as it has not answered."""
        self._interval = interval
        self._desktop: Any = None
        self._waiting: Notification | None = None
        self._next = 0.0
        self._work: asyncio.Task[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="iirs-notifications", daemon=True)
        self._thread.start()

    def show(self, news: Notification) -> None:
        """Tell the desktop soon; together with others if they come in quick succession."""
        try:
            self._loop.call_soon_threadsafe(self._take, news)
        except RuntimeError:  # the loop is closed: the window is going, and nobody has to be told
            return

    def conceal(self) -> None:
        """Take names and texts out of what waits to be told: the window has been locked."""
        try:
            self._loop.call_soon_threadsafe(self._conceal)
        except RuntimeError:  # closed before
            return

    def _conceal(self) -> None:
        self._waiting = nameless(self._waiting)

    def close(self) -> None:
        """End the thread. What waits is not shown; later calls of ``show`` do nothing."""
        try:
            self._loop.call_soon_threadsafe(self._loop.stop)
        except RuntimeError:  # closed before
            return
        self._thread.join(_ANSWER_SECONDS)

    def _run(self) -> None:
        self._loop.call_soon(self._begin)
        try:
            self._loop.run_forever()
        finally:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    def _begin(self) -> None:
        self._work = self._loop.create_task(self._find())

    def _take(self, news: Notification) -> None:
        if self.available is not False:
            self._waiting = merged(self._waiting, news)
        if self._work is None or self._work.done():
            self._work = self._loop.create_task(self._tell())

    async def _find(self) -> None:
        """Find out whether there is anybody to tell; then tell what came meanwhile."""
        try:
            self._desktop = _notifier()
            abilities = await asyncio.wait_for(self._desktop.get_capabilities(), _ANSWER_SECONDS)
            self.available = bool(abilities)
        except Exception:  # no library, no bus, nobody on it, on any system: chats go on without
            self.available = False
            self._waiting = None
        await self._tell()

    async def _tell(self) -> None:
        while self._waiting is not None and self.available:
            await asyncio.sleep(self._next - self._loop.time())
            news, self._waiting = self._waiting, None
            self._next = self._loop.time() + self._interval
            try:
                sent = self._desktop.send(news.title.translate(_NO_MARKUP), news.text.translate(_NO_MARKUP))
                await asyncio.wait_for(sent, _ANSWER_SECONDS)
            except Exception:  # the desktop went away: the next one may find it again
                self._next = 0.0


def _notifier() -> Any:
    """Return the library's notifier. Raises whatever it raises where there is none."""
    from desktop_notifier import DesktopNotifier  # noqa: PLC0415  # large, and not there on every machine

    logging.getLogger("desktop_notifier").setLevel(logging.CRITICAL + 1)  # it logs whole notifications
    return DesktopNotifier("iirs", app_icon=None)
