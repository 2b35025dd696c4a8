"""The client's end of a connection, with TLS replaced: what a server can make it send."""

from __future__ import annotations

import socket
import time
from contextlib import nullcontext

import pytest

from iirs.client.net.transport import Transport
from iirs.errors import PeerError


class Pipe:
    """Stands where TLS would: has something to answer whatever comes, as TLS has when asked for new keys."""

    ANSWER = b"27 bytes that nobody planned"

    def __init__(self, *, established: bool) -> None:
        self.established = established

    def feed(self, data: bytes) -> bytes:
        return b""

    def take_outgoing(self) -> bytes:
        return self.ANSWER


@pytest.mark.parametrize("established", [False, True])
def test_tls_answers_in_the_handshake_and_not_a_byte_after_it(established: bool) -> None:
    """Fixed: a server that asked TLS for new keys had its client send 27 bytes, as often as it liked."""
    ours, theirs = socket.socketpair()
    with theirs:
        transport = Transport(ours)
        transport._pipe = Pipe(established=established)  # type: ignore[assignment]
        theirs.sendall(b"x")
        with pytest.raises(PeerError, match="out of turn") if established else nullcontext():
            transport._fill(time.monotonic() + 60)
        transport.close()
        theirs.settimeout(60)
        assert theirs.recv(100) == (b"" if established else Pipe.ANSWER)
