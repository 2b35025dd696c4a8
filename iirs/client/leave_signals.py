"""``LeaveSignals``: what ends a client from outside has it leave as everybody does."""

from __future__ import annotations

import queue
import signal

_ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""SIGHUP: the terminal was closed, or the line to it."""
INTERRUPTED = 128 + signal.SIGINT
"""What a program ends with after Ctrl-C."""


class LeaveSignals:
    """Notes Ctrl-C, SIGTERM and SIGHUP, which are seen to between two steps. For the main thread only.

    Raised, one could cut a step in half, or be lost in a finalizer. Ctrl-C again means at once; the others
    may come twice for one reason, from the system and from a shell.
    """

    def __init__(self) -> None:
        self._arrived: queue.SimpleQueue[int] = queue.SimpleQueue()

    def listen(self) -> None:
        """Note signals from now on. A SIGHUP that is ignored stays so: ``nohup`` asks for it."""
        signal.signal(signal.SIGINT, self.note)
        for number in _ENDINGS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self.note)

    def note(self, number: int = signal.SIGINT, _: object = None) -> None:
        """Note that a signal has come. Raises ``KeyboardInterrupt`` if Ctrl-C is pressed and nobody looks."""
        if number == signal.SIGINT and not self._arrived.empty():
            raise KeyboardInterrupt  # what came before has not been seen to: something blocks
        self._arrived.put(number)

    def take(self) -> int:
        """Return the exit code for the next signal that has come, 128 and its number, or 0 if none has."""
        try:
            return 128 + self._arrived.get_nowait()
        except queue.Empty:
            return 0
