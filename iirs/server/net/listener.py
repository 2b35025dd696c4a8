"""``Listener``: a listening socket and the thread that accepts on it, for clients and for links alike."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from iirs.errors import ConfigError


class Listener:
    """Hands every connection to ``serve``, which must return quickly, until ``close``."""

    def __init__(
        self, host: str, port: int, serve: Callable[[socket.socket], None], *, backlog: int, advice: str
    ) -> None:
        """Raises ``ConfigError``, which ends with ``advice``, if the address cannot be had."""
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=backlog)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                "This address and port cannot be listened on: another program may hold the port, "
                "or the address is not this machine's. " + advice
            ) from error
        self._serve = serve
        self._closing = threading.Event()
        self.port = int(self._socket.getsockname()[1])

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
                time.sleep(0.1)  # out of file descriptors, most likely: let some go
                continue
            self._serve(sock)
