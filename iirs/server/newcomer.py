"""``Newcomer``: a client that has connected and not logged in yet: handshake, registering, logging in.

States: HELLO -> GREETED (register, log in) -> let in, as an ``Arrival``. It does not wait for anything: the
lobby's thread asks it to go on when there is something to read, to send, or to ask again.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from iirs import PROTOCOL_VERSION
from iirs.errors import AccountError, HopError, IirsError, OnionError, PeerError
from iirs.geometry import Geometry
from iirs.message import Message, MessageKind, MessageReader
from iirs.onion import EntryChannel
from iirs.server.connectionThread import Arrival
from iirs.server.event_counts import Counted
from iirs.server.net.lobby import Wants
from iirs.server.net.outgoing import Outgoing
from iirs.tls import TlsBuffers, TlsPipe
from iirs.wire.accounts import AccountRecord, Login, Registration, Result
from iirs.wire.limits import HELLO_LIMITS, CloseReason, greeting_limits

_RECEIVE_CHUNK = 4096
_BUFFERS = 32


class Reception(Protocol):
    """What a newcomer needs of the server; every call returns at once."""

    def greeting(self) -> list[Message]:
        """Return the chain file and the current epoch keys. Raises ``HopError`` if there are none yet."""
        ...

    def register(self, registration: Registration, share: str) -> Future[Result]:
        """Take in a new account, in a while."""
        ...

    def login(self, login: Login, share: str) -> tuple[Result, AccountRecord | None]:
        """Check a login secret."""
        ...

    def is_announced(self, position: int) -> bool:
        """Whether the directory as announced holds this account, so that it can be shown to its owner."""
        ...

    def open_channel(self, login: Login) -> EntryChannel:
        """Open the client's offer of a session secret. Raises ``OnionError``."""
        ...

    def let_in(self, arrival: Arrival) -> None:
        """Serve a client that has logged in; its socket is the server's from now on."""
        ...

    def note(self, what: Counted) -> None:
        """Count why a connection ended."""
        ...


@dataclass(frozen=True, slots=True)
class Desk:
    """What all newcomers have in common."""

    reception: Reception
    context: ssl.SSLContext
    geometry: Geometry
    sign_seconds: float
    """How long a login waits until every hop has signed the registration."""
    clock: Callable[[], float] = time.monotonic
    buffers: Iterator[TlsBuffers] = field(
        default_factory=lambda: itertools.cycle([TlsBuffers() for _ in range(_BUFFERS)])
    )
    """For each in turn: what TLS needs of them is as much for few connections as for thousands."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A login that is right, whose account is not announced yet."""

    login: Login
    record: AccountRecord
    until: float


@dataclass(frozen=True, slots=True)
class _Line:
    """What a connection has from its first byte on: silence costs a socket, and no TLS."""

    pipe: TlsPipe
    outgoing: Outgoing


class Newcomer:
    """One client in the lobby, as its ``Visitor``. Only the lobby's thread calls it."""

    def __init__(self, sock: socket.socket, share: str, desk: Desk) -> None:
        """``share`` is what its address counts as, for every limit."""
        self._socket = sock
        self._share = share
        self._desk = desk
        self._line: _Line | None = None
        self._reader = MessageReader(HELLO_LIMITS)
        self._registering: Future[Result] | None = None
        self._waiting: _Waiting | None = None
        self._arrival: Arrival | None = None
        self._is_refused = False

    @property
    def is_proven(self) -> bool:
        """Whether the handshake is done."""
        return self._line is not None and self._line.pipe.established

    def go_on(self) -> Wants:
        """Do what can be done without waiting; never raises."""
        try:
            return self._go_on()
        except HopError:
            return self._refuse(CloseReason.INCOMPLETE)
        except IirsError:
            self._desk.reception.note(Counted.PROTOCOL_BROKEN)
            return self._refuse(CloseReason.PROTOCOL)
        except OSError:
            return Wants.CLOSE  # the connection is gone; there is nobody to tell

    def time_is_up(self) -> Wants:
        """Say so, if it can be told."""
        self._desk.reception.note(Counted.TIMED_OUT)
        return self._refuse(CloseReason.TIMEOUT)

    def enter(self) -> None:
        """Hand the connection on."""
        if self._arrival is None:
            raise AssertionError("only who has logged in is let in")
        self._desk.reception.let_in(self._arrival)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    # -- what comes -------------------------------------------------------------------------------

    def _go_on(self) -> Wants:
        if not self._flush():
            return Wants.ROOM  # who does not read is not read from
        self._look_up()
        if not self._is_waiting and self._arrival is None:
            data = self._receive()
            if data == b"":
                return Wants.CLOSE
            if data is not None:
                self._take(data)
        if self._is_refused:
            return Wants.FAREWELL
        if not self._flush():
            return Wants.ROOM
        if self._arrival is not None:
            return Wants.ENTRY
        return Wants.TIME if self._is_waiting else Wants.BYTES

    @property
    def _is_waiting(self) -> bool:
        return self._registering is not None or self._waiting is not None

    def _receive(self) -> bytes | None:
        """Return what has come, b"" at the end; ``None`` if nothing has."""
        try:
            return self._socket.recv(_RECEIVE_CHUNK)
        except BlockingIOError:
            return None

    def _take(self, data: bytes) -> None:
        if self._line is None:
            pipe = TlsPipe(self._desk.context, server_side=True, buffers=next(self._desk.buffers))
            self._line = _Line(pipe, Outgoing(pipe, self._socket))
        self._reader.feed(self._line.pipe.feed(data))
        self._read_on()

    def _read_on(self) -> None:
        """Take one message after the other, until one has to wait."""
        while not (self._is_waiting or self._is_refused or self._arrival):
            message = self._reader.next_message()
            if message is None:
                return
            match message.kind:
                case MessageKind.HELLO:
                    self._greet(message)
                case MessageKind.REGISTER:
                    registration = Registration.decode(message.body)
                    self._registering = self._desk.reception.register(registration, self._share)
                case _:
                    self._login(message)

    def _greet(self, message: Message) -> None:
        if int.from_bytes(message.body) != PROTOCOL_VERSION:
            self._refuse(CloseReason.VERSION)
            return
        self._reader.limits = greeting_limits(self._desk.geometry)
        self._say(*self._desk.reception.greeting())

    def _login(self, message: Message) -> None:
        try:
            login = Login.decode(message.body)
        except AccountError:
            self._answer(Result.UNKNOWN_NAME)
            return
        result, record = self._desk.reception.login(login, self._share)
        if record is None:
            self._answer(result)
            return
        self._waiting = _Waiting(login, record, self._desk.clock() + self._desk.sign_seconds)
        self._look_up()

    def _look_up(self) -> None:
        """See whether what is waited for has come."""
        registering, waiting = self._registering, self._waiting
        if registering is not None and registering.done():
            self._registering = None
            self._answer(registering.result())
            self._read_on()
        elif waiting is not None and self._desk.reception.is_announced(waiting.record.position):
            self._waiting = None
            self._admit(waiting.login, waiting.record)
        elif waiting is not None and self._desk.clock() >= waiting.until:
            self._waiting = None
            self._answer(Result.NOT_YET)
            self._read_on()

    def _admit(self, login: Login, record: AccountRecord) -> None:
        try:
            channel = self._desk.reception.open_channel(login)
        except OnionError:
            self._answer(Result.STALE_KEY)
            return
        self._arrival = Arrival(self._socket, self._opened.pipe, self._reader, record, channel)

    @property
    def _opened(self) -> _Line:
        if self._line is None:
            raise AssertionError("nothing is answered before something has come")
        return self._line

    # -- what goes --------------------------------------------------------------------------------

    def _answer(self, result: Result) -> None:
        self._say(Message(MessageKind.RESULT, bytes([result])))

    def _say(self, *messages: Message) -> None:
        self._opened.outgoing.put([message.encode() for message in messages], 0)

    def _flush(self) -> bool:
        return self._line is None or self._line.outgoing.flush()

    def _refuse(self, reason: CloseReason) -> Wants:
        """Say why, if the other end can be told; then only read on."""
        self._is_refused = True
        if self._line is None:
            return Wants.CLOSE
        with contextlib.suppress(OSError, PeerError):
            if self.is_proven:
                self._say(Message(MessageKind.CLOSE, bytes([reason])))
            self._flush()  # an alert of TLS itself, at least
            self._socket.shutdown(socket.SHUT_WR)
        self._line.outgoing.drop()
        return Wants.FAREWELL
