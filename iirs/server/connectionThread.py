"""One thread per client that has logged in: what it is told at first, then uploads until the connection ends.

What comes before, ``Newcomer`` does. States: SESSION (uploads) -> CLOSED.

The thread blocks in a plain ``recv`` and feeds a ``TlsPipe`` under this connection's lock; the round's
writer sends under the same lock, so never two threads are inside one TLS object. Sending does not block:
what the socket does not take at once waits as plaintext, and the ``LeftoverWriter`` sends it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from iirs.errors import HopError, IirsError, PeerError
from iirs.geometry import Geometry
from iirs.message import Message, MessageKind, MessageReader
from iirs.onion import EntryChannel
from iirs.prekey import Prekey
from iirs.server.event_counts import Counted
from iirs.server.mix_net import Collected
from iirs.server.net.leftover_writer import LeftoverWriter
from iirs.server.net.outgoing import Outgoing
from iirs.server.told_alike import pieces_of
from iirs.tls import TlsPipe
from iirs.wire.accounts import AccountRecord, Errand, ErrandKind
from iirs.wire.limits import CloseReason, upload_limits
from iirs.wire.rounds import NoticeFlags, Upload

_RECEIVE_CHUNK = 4096
_HELD_MAX = 12 * 1024
_HELD_ROUNDS = 4
_FAREWELL_SECONDS = 1.0
_UPLOADS_DUE_MAX = 64


@dataclass(frozen=True, slots=True)
class Arrival:
    """A client that has given the right login secret, with what its connection was before."""

    sock: socket.socket
    pipe: TlsPipe
    reader: MessageReader
    record: AccountRecord
    channel: EntryChannel


class ConnectionHandler(Protocol):
    """What a connection needs of the server; every call returns quickly and holds no lock on return."""

    def enter(self, connection: ConnectionThread) -> Iterable[bytes]:
        """Make this the account's one live session; return what a new session is told first, in pieces.

        They are asked for one by one as the client takes them, from any thread.
        """
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

    handshake_seconds: float = 10.0
    greeting_seconds: float = 20.0
    """From the first byte to the session, handshake included."""
    idle_seconds: float = 120.0


class ConnectionThread(threading.Thread):
    """Serves one client. ``send`` and ``close`` may be called from any thread."""

    def __init__(
        self,
        arrival: Arrival,
        handler: ConnectionHandler,
        geometry: Geometry,
        writer: LeftoverWriter,
        settings: ConnectionSettings,
    ) -> None:
        super().__init__(name="iirs-connection", daemon=True)
        self._socket = arrival.sock
        # The same descriptor: one that does not block for who sends, one with a timeout for this thread.
        self._send_socket = socket.socket(fileno=arrival.sock.fileno())
        self._send_socket.setblocking(False)
        self._handler = handler
        self._geometry = geometry
        self._writer = writer
        self._settings = settings
        self._lock = threading.Lock()
        self._pipe = arrival.pipe
        self._outgoing = Outgoing(arrival.pipe, self._send_socket)
        self._held_max = max(_HELD_MAX, _HELD_ROUNDS * geometry.replies_size)
        self._closing = False
        self._reader = arrival.reader
        self._reader.limits = upload_limits(geometry)
        self._deadline = time.monotonic() + settings.idle_seconds
        self._notice = NoticeFlags.NONE
        self._uploads_due = 0
        """Uploads that may still come: one for each announcement sent to this client, of the last so many."""
        self._before_upload: dict[MessageKind, bytes] = {}
        """The bodies of SETUP and INVITE, which come before their UPLOAD."""
        self.record = arrival.record
        self.position = arrival.record.position
        self.last_round = 0
        self.takes_part = False
        """True when all that a new session is told has left; until then it is in no round."""
        self.prekey_period = -1
        self.prekey_round = -1
        self.channel = arrival.channel

    # -- called from any thread -------------------------------------------------------------------

    def send(
        self, messages: Sequence[Message], held: int | None = None, pieces: tuple[bytes, ...] = ()
    ) -> None:
        """Send messages in one write; never blocks. A client too slow to take them is cut off.

        ``held`` of their bytes are in memory for this client alone; all of them if nothing is said.
        ``pieces`` is what the write holds, if many are told the same.
        """
        announced = sum(message.kind is MessageKind.ANNOUNCE for message in messages)
        pieces = pieces or pieces_of(messages)
        with self._lock:
            self._uploads_due = min(self._uploads_due + announced, _UPLOADS_DUE_MAX)
            self._put(pieces, sum(map(len, pieces)) if held is None else held)

    def close(self, reason: CloseReason) -> None:
        """Say why, then end the connection. Whatever waits is let go of, and the reason with it."""
        with self._lock:
            if not self._closing:
                message = Message(MessageKind.CLOSE, bytes([reason]))
                if not self._outgoing:
                    self._put([message.encode()], 0)
                self._end()

    def allow_idle(self) -> None:
        """Take it that nothing can be uploaded now: there is no round to upload for."""
        self._deadline = time.monotonic() + self._settings.idle_seconds

    def let_go(self) -> None:
        """Let go of the socket of a connection whose thread did not start."""
        self._socket.detach()
        self._send_socket.close()

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
            self._begin()
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
            try:
                self._handler.left(self)
            finally:  # whatever the server's disk says, the socket is let go
                with self._lock:
                    self._end()
                self._linger()
                self._socket.detach()
                self._writer.release(self._send_socket)

    def _begin(self) -> None:
        with self._lock:
            # Under the lock, so that the round's writer cannot announce before the directory has its place.
            # However long it is: a directory must never be too large for the people in it.
            self._put(self._first(self._handler.enter(self)), 0)

    def _first(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        yield from pieces
        self.takes_part = True

    def _serve(self) -> None:
        while not self._closing:
            self._socket.settimeout(self._seconds_left())
            try:
                # What is read into is allocated before it is waited for: a byte, as most threads wait.
                if not self._socket.recv(1, socket.MSG_PEEK):
                    return
                data = self._send_socket.recv(_RECEIVE_CHUNK)
            except TimeoutError:
                continue  # the deadline may have been moved meanwhile
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
            case MessageKind.PREKEY:
                self._handler.keep_prekey(self, Prekey.decode(message.body))
            case MessageKind.UPLOAD:
                self._upload(message)
            case _:
                if message.kind in self._before_upload:
                    raise PeerError("The client sent a part of an upload twice.")
                self._before_upload[message.kind] = message.body

    def _upload(self, message: Message) -> None:
        before, self._before_upload = self._before_upload, {}
        upload = Upload.decode(message.body, before, self._geometry)
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

    # -- sending; under the lock ------------------------------------------------------------------

    def _put(self, pieces: Iterable[bytes], held: int) -> None:
        if self._closing:
            return
        self._outgoing.put(pieces, held)
        if not self._flush() and not self._closing:
            if self._outgoing.held > self._held_max:
                self._cut_off()
            else:
                self._writer.watch(self._send_socket, self._flush_leftover)

    def _flush(self) -> bool:
        try:
            return self._outgoing.flush()
        except OSError:
            self._outgoing.drop()
        except PeerError:
            # This client disturbed its TLS connection; its own thread ends it. The round goes on.
            self._closing = True
            self._outgoing.drop()
        return True

    def _flush_leftover(self) -> bool:
        with self._lock:
            return self._flush()

    def _end(self) -> None:
        self._closing = True
        self._outgoing.drop()
        with contextlib.suppress(OSError):
            self._send_socket.shutdown(socket.SHUT_WR)
        self._writer.hang_up_soon(self._send_socket)

    def _cut_off(self) -> None:
        self._closing = True
        self._outgoing.drop()
        with contextlib.suppress(OSError):
            self._send_socket.shutdown(socket.SHUT_RDWR)

    def _linger(self) -> None:
        # Read on for a moment, so that the reason reaches the client before a reset can discard it.
        until = time.monotonic() + _FAREWELL_SECONDS
        with contextlib.suppress(OSError):
            while (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(_RECEIVE_CHUNK):
                    return
