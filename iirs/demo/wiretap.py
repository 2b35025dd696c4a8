"""A wiretap: what somebody who watches the network sees, and nothing more.

A forwarding listener on loopback that notes direction, size and time of the bytes it passes on. The demo
shows them; the privacy tests compare them.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass
from enum import Enum

_CHUNK = 65536


class TrafficDirection(Enum):
    """Which way bytes go."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Burst:
    """Bytes that went one way before any went the other."""

    direction: TrafficDirection
    size: int
    started: float
    """When its first bytes passed, in monotonic seconds."""
    connection: int
    ended: float = 0.0
    """When its last bytes passed."""


class Wiretap:
    """Listens on a free loopback port and forwards to ``target_port``. ``close`` ends it."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._bursts: list[Burst] = []
        self._sockets: list[socket.socket] = []
        self._connections = 0
        threading.Thread(target=self._accept, name="iirs-wiretap", daemon=True).start()

    def bursts(self) -> list[Burst]:
        """Return everything seen so far, in order."""
        with self._lock:
            return list(self._bursts)

    def cut(self) -> None:
        """Break every connection that passes through now; new ones are accepted."""
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and break every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target_port), timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets += [client, server]
                self._connections += 1
                number = self._connections
            for source, sink, direction in (
                (client, server, TrafficDirection.UP),
                (server, client, TrafficDirection.DOWN),
            ):
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(
                    target=self._forward,
                    args=(source, sink, direction, number),
                    name="iirs-wiretap",
                    daemon=True,
                ).start()

    def _forward(
        self, source: socket.socket, sink: socket.socket, direction: TrafficDirection, connection: int
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._note(direction, len(data), connection)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _note(self, direction: TrafficDirection, size: int, connection: int) -> None:
        now = time.monotonic()
        with self._lock:
            last = self._bursts[-1] if self._bursts else None
            if last is not None and last.direction is direction and last.connection == connection:
                self._bursts[-1] = Burst(direction, last.size + size, last.started, connection, now)
            else:
                self._bursts.append(Burst(direction, size, now, connection, now))
