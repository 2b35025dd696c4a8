"""``Transport``: framed TLS to the entry, opened only to the chain we trust: one thread reads, one may send.

``TransportReader`` is the thread that reads, and does nothing else, so that a message's arrival is noted when
it arrives, whatever the engine is busy with.
"""

from __future__ import annotations

import hashlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from iirs.chain import Chain, JoinLink, parse_chain
from iirs.errors import ConnectionLostError, IirsError, PeerError
from iirs.message import Message, MessageKind, MessageReader
from iirs.tls import TlsPipe, client_context
from iirs.wire.limits import CloseReason, client_limits, hello, session_limits

CONNECT_SECONDS = 10.0
_RECEIVE_CHUNK = 65536
_POLL_SECONDS = 1.0


class ServerClosedError(ConnectionLostError):
    """The server closed this connection and said why."""

    def __init__(self, reason: CloseReason, *, trusted: bool) -> None:
        """``trusted``: it had proved before that it is the server of our chain, and no stranger."""
        super().__init__(reason.sentence)
        self.reason = reason
        self.trusted = trusted


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message, and when its last byte arrived (monotonic seconds)."""

    message: Message
    at: float


class Transport:
    """A connection to the entry. ``connect`` opens it; every method may raise ``ConnectionLostError``."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over a connected socket."""
        self._socket = sock
        # Not select(): it refuses file descriptors from 1024 on.
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)
        # Held while sending too: a few kilobytes, which the socket's buffer takes at once.
        self._lock = threading.Lock()
        self._pipe = TlsPipe(client_context(), server_side=False)
        self._reader = MessageReader(client_limits())
        self._last_arrival = 0.0
        self._is_trusted = False

    @classmethod
    def connect(
        cls,
        link: JoinLink,
        pinned: bytes | None,
        known: Chain | None = None,
    ) -> tuple[Transport, Chain, bytes]:
        """Connect, check the chain against link and pin; return transport, chain, and the epoch keys' bytes.

        With ``known``, the chain of an earlier visit, not a word is read before the certificate is checked.
        Raises ``ConnectionLostError`` if nobody answers, ``ImpostorError`` if it is not the chain we trust.
        """
        try:
            sock = socket.create_connection((link.host, link.port), timeout=CONNECT_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport = cls(sock)
        except (OSError, UnicodeError) as error:  # a host name may be one that cannot be looked up at all
            raise ConnectionLostError(
                "No server answers at {host}, port {port}. Is it running, and are you on its network?",
                host=link.host,
                port=link.port,
            ) from error
        try:
            return transport, *transport._greet(link, pinned, known)
        except BaseException:
            transport.close()
            raise

    def _greet(self, link: JoinLink, pinned: bytes | None, known: Chain | None) -> tuple[Chain, bytes]:
        deadline = time.monotonic() + CONNECT_SECONDS
        self._pipe.start()
        self._flush()
        while not self._pipe.established:
            self._fill(deadline, must_come=True)
        if known is not None:
            self._trust(known)
        self.send(hello())
        chain_file = self.expect(MessageKind.CHAIN, deadline).body
        link.check(hashlib.sha256(chain_file).digest(), pinned)  # before anything is made of it
        chain = parse_chain(chain_file)
        self._trust(chain)
        self._reader.limits = session_limits(chain.geometry)
        return chain, self.expect(MessageKind.KEYS, deadline).body

    def _trust(self, chain: Chain) -> None:
        self._pipe.check_certificate(chain.entry_certificate)
        self._is_trusted = True

    def send(self, *messages: Message) -> None:
        """Send messages in one write; safe beside a thread that reads."""
        with self._lock:
            self._pipe.send(b"".join(message.encode() for message in messages))
            self._flush()

    def expect(self, kind: MessageKind, deadline: float | None = None) -> Message:
        """Return the next message, which must be of ``kind``. Raises ``PeerError`` if it is another."""
        until = time.monotonic() + CONNECT_SECONDS if deadline is None else deadline
        while True:
            arrival = self.receive(until)
            if arrival is not None:
                break
            if time.monotonic() >= until:
                raise ConnectionLostError("The server does not answer.")
        if arrival.message.kind is not kind:
            raise PeerError("The server answered with something else than it was asked for.")
        return arrival.message

    def receive(self, until: float) -> Arrival | None:
        """Return the next message, or ``None`` at ``until`` (monotonic).

        Raises ``ServerClosedError`` when the server says that it closes.
        """
        while True:
            message = self._reader.next_message()
            if message is not None:
                if message.kind is MessageKind.CLOSE:
                    raise ServerClosedError(_reason(message.body), trusted=self._is_trusted)
                return Arrival(message, self._last_arrival)
            if not self._fill(until):
                return None

    def hang_up(self) -> None:
        """Have the thread that reads find the connection ended; safe from any thread."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection; only for the thread that reads."""
        self._selector.close()
        self._socket.close()

    def _fill(self, until: float, *, must_come: bool = False) -> bool:
        try:
            ready = self._selector.select(max(0.0, until - time.monotonic()))
            if ready:
                data = self._socket.recv(_RECEIVE_CHUNK)
                self._last_arrival = time.monotonic()
                if not data:
                    raise ConnectionLostError("The connection to the server ended.")
                with self._lock:
                    in_session = self._pipe.established
                    plain = self._pipe.feed(data)
                    answer = self._pipe.take_outgoing()
                    if in_session and answer:  # TLS can be asked for new keys, as often as a server likes
                        raise PeerError("The server asked for bytes out of turn.")
                    self._socket.sendall(answer)
                self._reader.feed(plain)
                return True
        except (OSError, ValueError) as error:
            raise ConnectionLostError("The connection to the server broke.") from error
        if must_come and time.monotonic() >= until:
            raise ConnectionLostError("The server does not answer.")
        return False

    def _flush(self) -> None:
        try:
            self._socket.sendall(self._pipe.take_outgoing())
        except OSError as error:
            raise ConnectionLostError("The connection to the server broke.") from error


class TransportReader(threading.Thread):
    """Reads one transport until it ends; hands over each arrival, and last the error that ended it."""

    def __init__(
        self, transport: Transport, hand_over: Callable[[Transport, Arrival | IirsError], None]
    ) -> None:
        super().__init__(name="iirs-transport-reader", daemon=True)
        self._transport = transport
        self._hand_over = hand_over

    def run(self) -> None:
        """Read until the transport ends, then close it."""
        try:
            while True:
                arrival = self._transport.receive(time.monotonic() + _POLL_SECONDS)
                if arrival is not None:
                    self._hand_over(self._transport, arrival)
        except IirsError as error:
            self._hand_over(self._transport, error)
        finally:
            self._transport.close()


def _reason(body: bytes) -> CloseReason:
    try:
        return CloseReason(body[0])
    except ValueError as error:
        raise PeerError(
            "The server closed the connection for a reason this program does not know."
        ) from error
