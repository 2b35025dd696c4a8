"""``StopSignal``: Ctrl-C, SIGTERM and SIGHUP as something a server's main thread waits for."""

from __future__ import annotations

import queue
import signal


class StopSignal:
    """Notes them from its making on, however the process was started. For the main thread only.

    SIGHUP is a terminal that was closed; ignored, as ``nohup`` asks for, it stays so.

    A ``SimpleQueue``, because its ``put`` may interrupt its ``get``: an ``Event`` set by a handler waits for
    ever if the signal comes while ``wait`` holds the event's lock.
    """

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[None] = queue.SimpleQueue()
        closed = getattr(signal, "SIGHUP", None)
        numbers = [signal.SIGINT, signal.SIGTERM]
        if closed is not None and signal.getsignal(closed) is not signal.SIG_IGN:
            numbers.append(closed)
        for number in numbers:
            signal.signal(number, lambda *_: self._arrived.put(None))

    def wait(self, seconds: float) -> bool:
        """Wait for a signal; False if none has come after so long. Once one has come, the answer is True."""
        try:
            self._arrived.get(timeout=seconds)
        except queue.Empty:
            return False
        self._arrived.put(None)
        return True
