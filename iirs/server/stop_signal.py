"""``StopSignal``: Ctrl-C and SIGTERM as something a server's main thread waits for."""

from __future__ import annotations

import queue
import signal


class StopSignal:
    """Notes SIGINT and SIGTERM from its making on, however the process was started. For the main thread only.

    A ``SimpleQueue``, because its ``put`` may interrupt its ``get``: an ``Event`` set by a handler waits for
    ever if the signal comes while ``wait`` holds the event's lock.
    """

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[None] = queue.SimpleQueue()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: self._arrived.put(None))

    def wait(self, seconds: float) -> bool:
        """Wait for a signal; False if none has come after so long. Once one has come, the answer is True."""
        try:
            self._arrived.get(timeout=seconds)
        except queue.Empty:
            return False
        self._arrived.put(None)
        return True
