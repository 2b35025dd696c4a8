"""``Outgoing``: what waits for one client's socket, in plaintext, and is made into TLS records as it leaves.

A connection that does not read thereby holds one record at most besides what waits; and most of what waits
is the same for everybody, or made when it is its turn.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Iterator

from iirs.tls import RECORD_MAX, TlsPipe

FLUSHED_AT_ONCE = 4 * RECORD_MAX
"""Bytes after which other connections have their turn."""
_WRITE_COST = 96
"""Bytes counted for each write that waits, besides what it holds alone."""


def records(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut what the pieces hold together into what TLS records carry: full ones, and the rest in the last."""
    waiting: list[bytes | memoryview] = []
    size = 0
    for piece in pieces:
        rest = memoryview(piece)
        while size + len(rest) > RECORD_MAX:
            cut = RECORD_MAX - size
            waiting.append(rest[:cut])
            record = [b"".join(waiting)]
            waiting, size, rest = [], 0, rest[cut:]
            yield record.pop()  # while it waits to be asked again, it holds none of what it gave
        waiting.append(rest)
        size += len(rest)
    if size:
        yield b"".join(waiting)


class Outgoing:
    """Not thread-safe: callers hold the lock of the connection, whose TLS this is, around every call."""

    __slots__ = ("_pipe", "_records", "_sealed", "_socket", "_writes", "held")

    def __init__(self, pipe: TlsPipe, sock: socket.socket) -> None:
        """``sock`` must not block."""
        self._pipe = pipe
        self._socket = sock
        self._writes: deque[tuple[Iterable[bytes], int]] = deque()
        self._records: Iterator[bytes] | None = None
        """Of the first of them, once it has begun to leave."""
        self._sealed = memoryview(b"")
        self.held = 0
        """Bytes that wait in memory for this client alone."""

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._writes or self._sealed)

    def put(self, pieces: Iterable[bytes], held: int) -> None:
        """Add one write, with records of its own. ``held`` of its bytes are this client's alone."""
        self._writes.append((pieces, held + _WRITE_COST))
        self.held += held + _WRITE_COST

    def flush(self, most: int = FLUSHED_AT_ONCE) -> bool:
        """Send what the socket takes, ``most`` bytes or a little more; True if nothing is left.

        Raises ``OSError`` if the connection is gone, ``PeerError`` if the client disturbed it.
        """
        sent = 0
        while self._fill():
            if sent >= most:
                return False
            try:
                count = self._socket.send(self._sealed)
            except BlockingIOError:
                return False
            # An empty view would keep all of what it was cut from.
            self._sealed = self._sealed[count:] if count < len(self._sealed) else memoryview(b"")
            sent += count
        return True

    def _fill(self) -> bool:
        """Have something sealed if anything waits."""
        while not self._sealed:
            # What TLS has made already, if only an alert, before anything is added to it.
            self._sealed = memoryview(self._pipe.take_outgoing())
            if self._sealed or not self._writes:
                break
            self._records = self._records or records(self._writes[0][0])
            record = next(self._records, None)
            if record is None:
                self._records = None
                self.held -= self._writes.popleft()[1]
            else:
                self._pipe.send(record)
        return bool(self._sealed)

    def drop(self) -> None:
        """Forget all that waits."""
        self._pipe.take_outgoing()
        self._writes.clear()
        self._records = None
        self._sealed = memoryview(b"")
        self.held = 0
