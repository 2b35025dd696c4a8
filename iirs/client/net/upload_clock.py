"""When an upload leaves: a thread that does nothing but send what was built before, at its moment.

So neither the engine's work nor the disk shows in the time of an upload.
"""

from __future__ import annotations

import math
import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from iirs.client.net.transport import Transport
from iirs.errors import IirsError
from iirs.message import Message

BUILD_AHEAD = 0.05
"""The upload is built this share of a round before it is sent."""
QUIET_AHEAD = 0.05
"""This share of a round before building, commands begin to wait."""
MARGIN_SHARE = (0.15, 0.25)
"""An upload leaves this share of a round before the round closes: one draw a session."""


SWITCH_SECONDS = 0.0001
"""For so long, at most, a thread that computes keeps those that read and send from running.

Python's own 5 ms would show in the times of announcement and upload whenever a window or a search is busy.
"""
START_STEP = 1.0
"""After logging in, a client connects for its session a whole number of so many seconds later."""


def next_step(planned: float, now: float, step: float) -> float:
    """Return ``planned``, or if that is over, the first moment a whole number of steps after it.

    So what was not ready in time does not happen the moment it is: that would show its work.
    """
    return planned + math.ceil(max(0.0, now - planned) / step) * step


class UploadClock(threading.Thread):
    """Sends one write at a time, each at its own moment; that a transport ended is for its reader to say."""

    def __init__(self, sent: Callable[[Message], None], idle: Callable[[], None]) -> None:
        """``sent`` is called with each message that has left, ``idle`` when a write is over."""
        super().__init__(name="iirs-upload-clock", daemon=True)
        self._sent = sent
        self._idle = idle
        self._changed = threading.Condition()
        self._next: tuple[float, Transport, list[Message]] | None = None
        self._sending = False
        self._over = False

    @property
    def is_busy(self) -> bool:
        """Whether something waits to leave, or is just leaving."""
        with self._changed:
            return self._next is not None or self._sending

    def schedule(self, at: float, transport: Transport, messages: list[Message]) -> None:
        """Send ``messages`` in one write at ``at`` (monotonic seconds), in place of anything scheduled."""
        with self._changed:
            self._next = (at, transport, messages)
            self._changed.notify()

    def cancel(self) -> None:
        """Forget what is scheduled."""
        with self._changed:
            self._next = None

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._over = True
            self._changed.notify()

    def run(self) -> None:
        """Wait for each moment and send; and have all threads of this process give way sooner."""
        sys.setswitchinterval(SWITCH_SECONDS)
        while (due := self._wait()) is not None:
            transport, messages = due
            try:
                transport.send(*messages)
            except IirsError:
                messages = []
            for message in messages:
                self._sent(message)
            with self._changed:
                self._sending = False
            self._idle()

    def _wait(self) -> tuple[Transport, list[Message]] | None:
        with self._changed:
            while not self._over:
                if self._next is None:
                    self._changed.wait()
                    continue
                at, transport, messages = self._next
                left = at - time.monotonic()
                if left <= 0:
                    self._next, self._sending = None, True
                    return transport, messages
                self._changed.wait(left)
        return None


@dataclass(frozen=True, slots=True)
class Timetable:
    """When commands have to wait, and the open round's upload is built and sent (monotonic seconds)."""

    quiet_from: float
    build_at: float
    send_at: float
    step: float

    def mark_after(self, now: float) -> float:
        """Return when to send what is ready at ``now``."""
        return next_step(self.send_at, now, self.step)


def upload_margin(round_seconds: float) -> float:
    """Return by how many seconds before the end of a round uploads leave: drawn anew for every session."""
    low, high = MARGIN_SHARE
    return round_seconds * (low + (high - low) * secrets.randbelow(10_001) / 10_000)
