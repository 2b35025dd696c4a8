"""``Listener``: a listening socket, for clients and for links alike."""

from __future__ import annotations

import socket

from iirs.errors import ConfigError


class Listener:
    """A listening socket that does not block; its owner asks it for connections until ``close``."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        backlog: int,
        advice: str,
    ) -> None:
        """Raises ``ConfigError``, which ends with ``advice``, if the address cannot be had."""
        try:
            self.socket = _listen(host, port, backlog)
        except (OSError, OverflowError, UnicodeError) as error:
            raise ConfigError(
                "This address and port cannot be listened on: another program may hold the port, "
                "or the address is not this machine's. " + advice
            ) from error
        self.socket.setblocking(False)
        self.address, self.port = str(self.socket.getsockname()[0]), int(self.socket.getsockname()[1])

    def accept(self) -> tuple[socket.socket, str] | None:
        """Return the next connection, which does not block either, and its address; ``None`` if none waits.

        Raises ``OSError`` for want of descriptors.
        """
        try:
            sock, address = self.socket.accept()
        except (BlockingIOError, ConnectionError):  # a connection that has ended is none
            return None
        sock.setblocking(False)
        return sock, str(address[0])

    def close(self) -> None:
        """Let go of the socket."""
        self.socket.close()


def _listen(host: str, port: int, backlog: int) -> socket.socket:
    """Listen on an address, an IPv6 one in brackets or not, or on what a host name stands for."""
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if host and ":" not in host:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if socket.AF_INET not in {item[0] for item in found}:
            family = socket.AF_INET6  # a name for an IPv6 address and no other
    address: tuple[object, ...] = (host, port)
    if "%" in host:  # which interface is a number beside the address
        address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4]
    return socket.create_server(address, family=family, backlog=backlog)
