"""One thread per client connection: greeting, login, then uploads until the connection ends.

States: HELLO -> GREETED (register, log in) -> SESSION (uploads) -> CLOSED.

The thread blocks in a plain ``recv`` and feeds a ``TlsPipe`` under this connection's lock; the round's
writer sends under the same lock, so never two threads are inside one TLS object. Sending does not block:
what the socket does not take at once is left to the ``LeftoverWriter``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from iirs import PROTOCOL_VERSION
from iirs.errors import AccountError, HopError, IirsError, OnionError, PeerError
from iirs.geometry import Geometry
from iirs.message import Message, MessageKind, MessageReader
from iirs.onion import EntryChannel
from iirs.prekey import Prekey
from iirs.server.event_counts import Counted
from iirs.server.mix_net import Collected
from iirs.server.net.leftover_writer import LeftoverWriter
from iirs.tls import TlsPipe, on_the_wire
from iirs.wire.accounts import AccountRecord, Errand, ErrandKind, Login, Registration, Result
from iirs.wire.limits import HELLO_LIMITS, CloseReason, greeting_limits, upload_limits
from iirs.wire.rounds import NoticeFlags, Upload

_RECEIVE_CHUNK = 65536
_BACKLOG_MAX = 64 * 1024 * 1024
_UPLOADS_DUE_MAX = 64


class State(Enum):
    """How far a connection has come."""

    HELLO = "hello"
    GREETED = "greeted"
    SESSION = "session"
    CLOSED = "closed"


class ConnectionHandler(Protocol):
    """What a connection needs of the server; every call returns quickly and holds no lock on return."""

    def greeting(self) -> list[Message]:
        """Return the chain file and the current epoch keys. Raises ``HopError`` if there are none yet."""
        ...

    def register(self, registration: Registration, address: str) -> Result:
        """Take in a new account."""
        ...

    def login(self, login: Login, address: str) -> tuple[Result, AccountRecord | None]:
        """Check a login secret."""
        ...

    def open_channel(self, login: Login) -> EntryChannel:
        """Open the client's offer of a session secret. Raises ``OnionError``."""
        ...

    def enter(self, connection: ConnectionThread) -> list[Message]:
        """Make this the account's one live session; return what a new session is told first."""
        ...

    def do_errand(self, connection: ConnectionThread, errand: Errand) -> NoticeFlags:
        """Change the connection's account, and return what to say of it."""
        ...

    def submit(self, connection: ConnectionThread, upload: Upload) -> Collected:
        """Queue an upload for the round. Raises ``PeerError``."""
        ...

    def keep_prekey(self, connection: ConnectionThread, prekey: Prekey) -> None:
        """Take in the prekey that comes with an upload. Raises ``PeerError``."""
        ...

    def note(self, what: Counted) -> None:
        """Count why a connection ended."""
        ...

    def left(self, connection: ConnectionThread) -> None:
        """Forget a connection that ended."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Bounds on what one connection may take, in seconds."""

    greeting_seconds: float = 20.0
    idle_seconds: float = 120.0


class ConnectionThread(threading.Thread):
    """Serves one client. ``send`` and ``close`` may be called from any thread."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        handler: ConnectionHandler,
        geometry: Geometry,
        writer: LeftoverWriter,
        settings: ConnectionSettings,
    ) -> None:
        super().__init__(name="iirs-connection", daemon=True)
        self._socket = sock
        self._send_socket = sock.dup()
        self._send_socket.setblocking(False)
        self._handler = handler
        self._geometry = geometry
        self._writer = writer
        self._settings = settings
        self._lock = threading.Lock()
        self._pipe = TlsPipe(context, server_side=True)
        self._backlog = bytearray()
        self._backlog_max = _BACKLOG_MAX
        self._closing = False
        self._state = State.HELLO
        self._reader = MessageReader(HELLO_LIMITS)
        self._deadline = time.monotonic() + settings.greeting_seconds
        self._notice = NoticeFlags.NONE
        self.position = -1
        self.last_round = 0
        self._uploads_due = 0
        """Uploads that may still come: one for each announcement sent to this client, of the last so many."""
        self.prekey_period = -1
        self.prekey_round = -1
        self.channel: EntryChannel | None = None

    # -- called from any thread -------------------------------------------------------------------

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages in one write; never blocks. A client too slow to take them is cut off."""
        announced = sum(message.kind is MessageKind.ANNOUNCE for message in messages)
        with self._lock:
            self._uploads_due = min(self._uploads_due + announced, _UPLOADS_DUE_MAX)
        self._send(b"".join(message.encode() for message in messages))

    def close(self, reason: CloseReason) -> None:
        """Say why, then end the connection."""
        self._send(Message(MessageKind.CLOSE, bytes([reason])).encode())
        self._shut()

    def allow_idle(self) -> None:
        """Take it that nothing can be uploaded now: there is no round to upload for."""
        self._deadline = time.monotonic() + self._settings.idle_seconds

    def take_notice(self) -> NoticeFlags:
        """Return what is to be said to this client alone since the last time this was asked."""
        with self._lock:
            notice, self._notice = self._notice, NoticeFlags.NONE
        return notice

    def _note(self, notice: NoticeFlags) -> None:
        with self._lock:
            self._notice |= notice

    # -- this thread ------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until either side ends."""
        try:
            self._serve()
        except TimeoutError:
            self._handler.note(Counted.TIMED_OUT)
            self.close(CloseReason.TIMEOUT)
        except HopError:
            self.close(CloseReason.INCOMPLETE)
        except IirsError:
            self._handler.note(Counted.PROTOCOL_BROKEN)
            self.close(CloseReason.PROTOCOL)
        except OSError:
            pass  # the connection is gone; there is nobody to tell
        finally:
            self._state = State.CLOSED
            try:
                self._handler.left(self)
            finally:  # whatever the server's disk says, the socket is let go
                self._shut()
                self._linger()
                self._writer.release(self._send_socket)
                self._socket.close()

    def _serve(self) -> None:
        while not self._closing:
            self._socket.settimeout(self._seconds_left())
            try:
                data = self._socket.recv(_RECEIVE_CHUNK)
            except TimeoutError:
                continue  # the deadline may have been moved meanwhile
            if not data:
                return
            with self._lock:
                try:
                    plain = self._pipe.feed(data)
                finally:
                    self._flush()  # an alert too: it says why TLS ended
            self._reader.feed(plain)
            while (message := self._reader.next_message()) is not None:
                self._handle(message)
                if self._closing:
                    return

    def _seconds_left(self) -> float:
        # Only whole messages move the deadline, so dripping bytes buys nobody time.
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _handle(self, message: Message) -> None:
        match message.kind:
            case MessageKind.HELLO:
                self._greet(message)
            case MessageKind.REGISTER:
                self._answer(self._handler.register(Registration.decode(message.body), self._address()))
            case MessageKind.LOGIN:
                self._login(message)
            case MessageKind.PREKEY:
                self._handler.keep_prekey(self, Prekey.decode(message.body))
            case _:
                self._upload(message)

    def _greet(self, message: Message) -> None:
        if int.from_bytes(message.body) != PROTOCOL_VERSION:
            self.close(CloseReason.VERSION)
            return
        self._state = State.GREETED
        self._reader.limits = greeting_limits(self._geometry)
        try:
            self.send(self._handler.greeting())
        except HopError:
            self.close(CloseReason.INCOMPLETE)

    def _login(self, message: Message) -> None:
        try:
            login = Login.decode(message.body)
        except AccountError:
            self._answer(Result.UNKNOWN_NAME)
            return
        result, record = self._handler.login(login, self._address())
        if record is None:
            self._answer(result)
            return
        try:
            self.channel = self._handler.open_channel(login)
        except OnionError:
            self._answer(Result.STALE_KEY)
            return
        self.position = record.position
        self._state = State.SESSION
        self._deadline = time.monotonic() + self._settings.idle_seconds
        self._reader.limits = upload_limits(self._geometry)
        with self._lock:
            # Under the lock, so that the round's writer cannot announce before the directory has been sent.
            first = [Message(MessageKind.RESULT, bytes([Result.OK])), record.encode()]
            first += self._handler.enter(self)
            plaintext = b"".join(item.encode() for item in first)
            # However many are registered: a directory must never be too large for the people in it.
            self._backlog_max = _BACKLOG_MAX + on_the_wire(len(plaintext))
            self._put(plaintext)

    def _upload(self, message: Message) -> None:
        upload = Upload.decode(message, self._geometry)
        with self._lock:
            if not self._uploads_due:
                raise PeerError("The client sent more uploads than it was announced rounds.")
            self._uploads_due -= 1
        # However late the two are: the client says its prekey again with each upload until one was in time.
        self.prekey_round = -1
        if self._handler.submit(self, upload) is Collected.LATE:
            self._note(NoticeFlags.LATE)
        if upload.errand.kind is not ErrandKind.NONE:
            # It is taken from a late upload too; what comes of it is told with the next announcement.
            self._note(self._handler.do_errand(self, upload.errand))
        self._deadline = time.monotonic() + self._settings.idle_seconds

    def _address(self) -> str:
        return str(self._socket.getpeername()[0])

    def _answer(self, result: Result) -> None:
        self.send([Message(MessageKind.RESULT, bytes([result]))])

    # -- sending ----------------------------------------------------------------------------------

    def _send(self, plaintext: bytes) -> None:
        with self._lock:
            self._put(plaintext)

    def _put(self, plaintext: bytes) -> None:
        if self._closing or not self._pipe.established:
            return
        try:
            self._pipe.send(plaintext)
        except PeerError:
            # This client disturbed its TLS connection; its own thread ends it. The round goes on.
            self._closing = True
            return
        if not self._flush():
            if len(self._backlog) > self._backlog_max:
                self._closing = True
                self._shut_socket()
                return
            self._writer.watch(self._send_socket, self._flush_leftover)

    def _flush(self) -> bool:
        self._backlog += self._pipe.take_outgoing()
        while self._backlog:
            try:
                sent = self._send_socket.send(self._backlog)
            except BlockingIOError:
                return False
            except OSError:
                self._backlog.clear()
                return True
            del self._backlog[:sent]
        return True

    def _flush_leftover(self) -> bool:
        with self._lock:
            return self._flush()

    def _shut(self) -> None:
        with self._lock:
            self._closing = True
            with contextlib.suppress(OSError):
                self._send_socket.shutdown(socket.SHUT_WR)

    def _shut_socket(self) -> None:
        with contextlib.suppress(OSError):
            self._send_socket.shutdown(socket.SHUT_RDWR)

    def _linger(self) -> None:
        # Read on for a moment, so that the reason reaches the client before a reset can discard it.
        with contextlib.suppress(OSError):
            self._socket.settimeout(1.0)
            for _ in range(64):
                if not self._socket.recv(_RECEIVE_CHUNK):
                    return
