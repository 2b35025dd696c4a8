"""A line to a server on which everything takes a while, each time another one."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def slow_line(port: int, delay: Callable[[], float]) -> Iterator[int]:
    """Forward a new port to ``port``, bytes in order, each piece ``delay()`` seconds after it came."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(listener, port, delay), daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def jitter(most: Callable[[], float], seed: int = 1) -> Callable[[], float]:
    """Return a draw of seconds, uniform from 0 to what ``most`` says then."""
    drawn = random.Random(seed)
    return lambda: drawn.uniform(0, most())


def _accept(listener: socket.socket, port: int, delay: Callable[[], float]) -> None:
    with contextlib.suppress(OSError):
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for source, sink in ((near, far), (far, near)):
                pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                threading.Thread(target=_read, args=(source, pieces, delay), daemon=True).start()
                threading.Thread(target=_write, args=(sink, pieces), daemon=True).start()


def _read(
    source: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]], delay: Callable[[], float]
) -> None:
    data = b"more"
    while data:
        data = b""
        with contextlib.suppress(OSError):
            data = source.recv(65536)
        pieces.put((time.monotonic() + delay(), data))


def _write(sink: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
    with contextlib.suppress(OSError):
        while True:
            due, data = pieces.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                break
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
