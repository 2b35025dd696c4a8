"""Sends what a socket would not take at once, so that one slow client never holds up a round."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable


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
        self._stopping = False

    def watch(self, sock: socket.socket, flush: Callable[[], bool]) -> None:
        """Have ``flush`` called when ``sock`` can take more, until it returns True."""
        with self._lock:
            self._asked.append((sock, flush))
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
            ready = [key for key, _ in self._selector.select() if key.fileobj is not self._wake_out]
            for key in ready:
                if key.data():
                    self._selector.unregister(key.fileobj)
            # After the flushing: a socket that is released here may be among those that were ready.
            self._take_asked()
        self._take_asked()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

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
