"""``NextHopLink``: the link to the next hop, from the side that asks, and the frames on a link's socket.

Half-duplex: one thread asks, waits for the answer, and asks again. Whatever goes wrong ends the connection,
so that a late answer can never be taken for another; the next request connects anew.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from iirs.chain import Chain
from iirs.errors import ChainError, PeerError
from iirs.geometry import CELL_SIZE, padded_invitations, pieces
from iirs.server.hops import link
from iirs.server.hops.link import Frame, LinkKind, Refusal, RefusedError
from iirs.server.mix_stage import Batch
from iirs.tls import link_context
from iirs.wire.rounds import Bundle

_BUDGET_SHARE = 0.8
"""Of the time a hop has left, it gives the next this share: who fails is then seen where it happens."""
_RECEIVE_CHUNK = 65536


class FrameStream:
    """Frames over a blocking TLS socket; every call ends by ``until`` (monotonic seconds).

    Raises ``TimeoutError``, ``OSError`` and ``PeerError``; afterwards the stream is of no use.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._socket = sock

    def send(self, frames: Iterable[Frame], until: float) -> None:
        """Send frames one after the other."""
        for frame in frames:
            self._socket.settimeout(_left(until))
            self._socket.sendall(frame.encode())

    def receive(self, allowed: dict[LinkKind, tuple[int, int]], until: float) -> Frame:
        """Return the next frame, of an allowed kind and length."""
        kind, length = link.decode_header(self._read(link.HEADER_SIZE, until), allowed)
        return Frame(kind, self._read(length, until))

    def receive_chunks(self, size: int, until: float) -> bytes:
        """Return ``size`` bytes that come as CHUNKs."""
        return b"".join(self._chunks(size, until))

    def skip_chunks(self, size: int, until: float) -> None:
        """Let ``size`` bytes that come as CHUNKs pass, and keep none."""
        for _ in self._chunks(size, until):
            pass

    def _chunks(self, size: int, until: float) -> Iterator[bytes]:
        while size:
            body = self.receive({LinkKind.CHUNK: (1, min(link.CHUNK_MAX, size))}, until).body
            size -= len(body)
            yield body

    def wait(self) -> None:
        """Block until the other end says something. Raises ``OSError`` when the connection ends."""
        self._socket.settimeout(None)
        self._buffer += self._some()

    def close(self) -> None:
        """End the connection; safe from any thread."""
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown: it takes TLS away under the thread that reads, which then reads on raw.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def release(self) -> None:
        """Let go of the socket; for the thread that uses the stream."""
        self._socket.close()

    _buffer = b""

    def _read(self, size: int, until: float) -> bytes:
        data = bytearray(self._buffer)
        while len(data) < size:
            self._socket.settimeout(_left(until))
            data += self._some()
        self._buffer = bytes(data[size:])
        return bytes(data[:size])

    def _some(self) -> bytes:
        data = self._socket.recv(_RECEIVE_CHUNK)
        if not data:
            raise ConnectionResetError("the other hop hung up")
        return data


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class NextHopLink:
    """The next hop, as ``Successor`` for the hop before it. Not thread-safe: one thread asks.

    Every method raises ``HopError`` if that hop, or one behind it, does not do its part.
    """

    def __init__(self, chain: Chain, hop: int, identity: Ed25519PrivateKey) -> None:
        """``hop`` and ``identity`` are the asking hop's own."""
        self._chain = chain
        self._hop = hop + 1
        self._context = link_context(identity, chain.hops[self._hop].identity, server_side=False)
        self._stream: FrameStream | None = None

    def prepare(self, request: link.Prepare, give_up_at: float) -> link.Prepared:
        """Return keys and signatures of the next hop and all behind it, not yet verified.

        Raises ``BehindError`` if one of them needs earlier directory entries first.
        """
        hops = len(self._chain.hops) - self._hop
        size = link.Prepared.size(self._chain.geometry, hops)
        ask = [request.encode(_budget(give_up_at))]
        frame = self._ask(ask, link.answers(LinkKind.PREPARED, size), give_up_at)
        if frame.kind is LinkKind.BEHIND:
            raise link.BehindError(self._hop, link.decode_length(frame.body))
        return link.Prepared.decode(frame.body, self._chain.geometry, hops)

    def open_round(self, announcement: bytes, give_up_at: float) -> None:
        """Show the round's announcement to the next hop and all behind it."""
        ask = [link.encode_open(announcement, _budget(give_up_at))]
        self._ask(ask, link.answers(LinkKind.OPENED, 0), give_up_at)

    def set_up(self, batch: Batch) -> None:
        """Have the next hop and all behind it make the circuits of an epoch."""
        self._run(batch, lambda total: total == 0)

    def exchange(self, batch: Batch) -> list[bytes]:
        """Return what comes back for each cell, in the same order."""
        data = self._run(batch, lambda total: total == CELL_SIZE * len(batch.items))
        return pieces(data, CELL_SIZE)

    def collect_invitations(self, batch: Batch) -> Bundle:
        """Return the bundle of this round, signed by the last hop."""
        geometry = self._chain.geometry
        least, most = (geometry.bundle_size(n) for n in (0, padded_invitations(len(batch.items))))
        body = self._run(batch, lambda total: least <= total <= most)
        try:
            return Bundle.decode(body, self._chain)
        except (PeerError, ChainError, ValueError) as error:
            raise RefusedError(self._hop, Refusal.MALFORMED) from error

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._stream is not None:
            self._stream.close()
            self._stream.release()
            self._stream = None

    def _run(self, batch: Batch, fits: Callable[[int], bool]) -> bytes:
        if len(batch.items) > link.BATCH_MAX:
            raise RefusedError(self._hop, Refusal.MALFORMED)
        header = link.BatchHeader(batch.context.round_number, batch.kind, len(batch.items))
        ask = [header.encode(_budget(batch.give_up_at)), *link.chunks(batch.items)]
        with self._closing_on_failure():
            frame = self._ask(ask, link.answers(LinkKind.RESULT, link.RESULT_SIZE), batch.give_up_at)
            total = link.decode_length(frame.body)
            if not fits(total):
                raise PeerError("The next hop gave back a batch of another size.")
            return self._connected().receive_chunks(total, batch.give_up_at)

    def _ask(
        self, frames: Iterable[Frame], allowed: dict[LinkKind, tuple[int, int]], give_up_at: float
    ) -> Frame:
        with self._closing_on_failure():
            if self._stream is None:
                self._stream = self._connect(give_up_at)
            self._stream.send(frames, give_up_at)
            frame = self._stream.receive(allowed, give_up_at)
            if frame.kind is not LinkKind.REFUSED:
                return frame
            error = link.decode_refusal(frame.body, range(self._hop, len(self._chain.hops)))
        raise error

    def _connected(self) -> FrameStream:
        if self._stream is None:
            raise AssertionError("an answer is read only where something was asked")
        return self._stream

    def _connect(self, give_up_at: float) -> FrameStream:
        address = self._chain.hops[self._hop].host_and_port
        sock = socket.create_connection(address, timeout=_left(give_up_at))
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(_left(give_up_at))
            return FrameStream(self._context.wrap_socket(sock))
        except BaseException:
            sock.close()
            raise

    @contextlib.contextmanager
    def _closing_on_failure(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            self.close()
            raise RefusedError(self._hop, Refusal.TIMEOUT) from error
        except (OSError, UnicodeError) as error:  # a host name may be one that cannot be looked up at all
            self.close()
            raise RefusedError(self._hop, Refusal.UNREACHABLE) from error
        except PeerError as error:
            self.close()
            raise RefusedError(self._hop, Refusal.MALFORMED) from error


def _budget(give_up_at: float) -> int:
    return max(0, int((give_up_at - time.monotonic()) * 1000 * _BUDGET_SHARE))
