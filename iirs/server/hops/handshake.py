"""``Handshake``: somebody who wants to be the hop before, until TLS has shown who it is."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable

from iirs.server.net.lobby import Wants


class Handshake:
    """A ``Visitor`` in the lobby of a later hop. Only the lobby's thread calls it."""

    is_proven = False

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        let_in: Callable[[ssl.SSLSocket], None],
        refused: Callable[[], None],
    ) -> None:
        """``let_in`` is given the connection of whoever passes, ``refused`` called for whoever does not."""
        self._socket = sock
        self._context = context
        self._let_in = let_in
        self._refused = refused
        self._tls: ssl.SSLSocket | None = None

    def go_on(self) -> Wants:
        """Shake hands as far as possible without waiting; never raises."""
        try:
            if self._tls is None:  # only now: silence costs a socket, and no TLS
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._tls = self._context.wrap_socket(
                    self._socket, server_side=True, do_handshake_on_connect=False
                )
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return Wants.BYTES
        except ssl.SSLWantWriteError:
            return Wants.ROOM
        except (OSError, ValueError):  # ssl.SSLError is an OSError; one that has hung up cannot be wrapped
            return self.time_is_up()
        return Wants.ENTRY

    def time_is_up(self) -> Wants:
        """Count it; a stranger is told nothing."""
        self._refused()
        return Wants.CLOSE

    def enter(self) -> None:
        """Hand the connection on."""
        if self._tls is None:
            raise AssertionError("only who has shaken hands is let in")
        self._let_in(self._tls)

    def close(self) -> None:
        """Let go of the socket."""
        with contextlib.suppress(OSError):
            (self._tls or self._socket).close()
