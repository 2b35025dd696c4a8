"""Sends what a socket would not take at once, so that one slow client never holds up a round.

It also ends, a moment later, connections whose clients have been told why and stay all the same.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

_FAREWELL_SECONDS = 1.0


class LeftoverWriter(threading.Thread):
    """One thread for all connections: waits until a socket can take more, then calls its ``flush``.

    ``flush`` returns True when nothing is left. Connections ask for it with ``watch``, from any thread.
    """

    def __init__(self) -> None:
        super().__init__(name="iirs-writer", daemon=True)
        self._selector = selectors.DefaultSelector()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._lock = threading.Lock()
        self._asked: list[tuple[socket.socket, Callable[[], bool] | None]] = []
        self._farewells: deque[tuple[float, socket.socket]] = deque()
        self._stopping = False

    def watch(self, sock: socket.socket, flush: Callable[[], bool]) -> None:
        """Have ``flush`` called when ``sock`` can take more, until it returns True."""
        with self._lock:
            self._asked.append((sock, flush))
        self._wake()

    def hang_up_soon(self, sock: socket.socket) -> None:
        """Shut ``sock`` down in a second, whether the other end has hung up by then or not."""
        with self._lock:
            self._farewells.append((time.monotonic() + _FAREWELL_SECONDS, sock))
        self._wake()

    def release(self, sock: socket.socket) -> None:
        """Stop watching ``sock`` and close it; a selector must not hold a closed one."""
        with self._lock:
            self._asked.append((sock, None))
        self._wake()

    def stop(self) -> None:
        """End the thread; what is left is dropped."""
        self._stopping = True
        self._wake()

    def run(self) -> None:
        """Wait and flush until stopped."""
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        while not self._stopping:
            events = self._selector.select(self._hang_up_those_due())
            ready = [key for key, _ in events if key.fileobj is not self._wake_out]
            for key in ready:
                if key.data():
                    self._selector.unregister(key.fileobj)
            # After the flushing: a socket that is released here may be among those that were ready.
            self._take_asked()
        self._take_asked()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _hang_up_those_due(self) -> float | None:
        """Return in how many seconds the next one is due."""
        with self._lock:
            while self._farewells:
                left = self._farewells[0][0] - time.monotonic()
                if left > 0:
                    return left
                _, sock = self._farewells.popleft()
                with contextlib.suppress(OSError):  # it has been let go of
                    sock.shutdown(socket.SHUT_RDWR)
        return None

    def _take_asked(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_out.recv(4096)
        with self._lock:
            asked, self._asked = self._asked, []
        for sock, flush in asked:
            watched = sock.fileno() >= 0 and sock in self._selector.get_map()
            if flush is None:
                if watched:
                    self._selector.unregister(sock)
                sock.close()
            elif not watched and sock.fileno() >= 0:
                self._selector.register(sock, selectors.EVENT_WRITE, flush)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full means it will wake anyway; closed means it has ended
            self._wake_in.send(b"x")
