"""``Listener``: a listening socket and the thread that accepts on it, for clients and for links alike."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from iirs.errors import ConfigError


def _say_nothing() -> None:
    """Nobody wants to know."""


class Listener:
    """Hands every connection to ``serve``, which must return quickly, until ``close``."""

    def __init__(
        self,
        host: str,
        port: int,
        serve: Callable[[socket.socket], None],
        *,
        backlog: int,
        advice: str,
        cannot_accept: Callable[[], None] = _say_nothing,
    ) -> None:
        """Raises ``ConfigError``, which ends with ``advice``, if the address cannot be had.

        ``cannot_accept`` is called each time a connection cannot be taken, for want of descriptors.
        """
        try:
            self._socket = _listen(host, port, backlog)
        except (OSError, OverflowError, UnicodeError) as error:
            raise ConfigError(
                "This address and port cannot be listened on: another program may hold the port, "
                "or the address is not this machine's. " + advice
            ) from error
        self._serve = serve
        self._cannot_accept = cannot_accept
        self._closing = threading.Event()
        self.address, self.port = str(self._socket.getsockname()[0]), int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to accept."""
        threading.Thread(target=self._accept, name="iirs-accept", daemon=True).start()

    def close(self) -> None:
        """Let go of the socket; safe from any thread."""
        self._closing.set()
        # Waking accept() needs a shutdown on Linux; other systems wake on close.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                sock, _ = self._socket.accept()
            except OSError:
                if self._closing.is_set():
                    return
                self._cannot_accept()
                time.sleep(0.1)  # out of file descriptors, most likely: let some go
                continue
            self._serve(sock)


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    """Listen on an address, an IPv6 one in brackets or not, or on what a host name stands for."""
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if host and ":" not in host:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if socket.AF_INET not in {item[0] for item in found}:
            family = socket.AF_INET6  # a name for an IPv6 address and no other
    return socket.create_server((host, port), family=family, backlog=backlog)
