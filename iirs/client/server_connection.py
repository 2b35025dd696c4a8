"""``ServerConnection``: the socket to the server, and its thread.

The thread owns the engine and the socket. Others ask for things with ``ask``, ``send``, ``hang_up`` and
``quit``, which only put values on a queue, and read what happened from ``events``. What is asked changes
the contents of the next upload and never its time or size: uploads go a fixed margin before the round
closes, and are built before that timer fires.

States: CONNECTING -> ONLINE -> WAITING (lost, tries again by itself) ...; CLOSED when over for good.
"""

from __future__ import annotations

import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from iirs.chain import JoinLink
from iirs.client.accounts import TryLaterError, enter
from iirs.client.engine import Account, Engine, World
from iirs.client.events import ConnectionChanged, ConnectionState, Event, Notice
from iirs.client.line import Arrival, Line, ServerClosedError
from iirs.client.store import ClientStore
from iirs.errors import (
    AccountError,
    ChainError,
    ConnectionLostError,
    DirectoryError,
    PeerError,
    StoreError,
)
from iirs.message import Message, MessageKind
from iirs.wire import Announcement, Bundle, CloseReason, Replies

_BACKOFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_BUILD_AHEAD = 0.05
"""The upload is built this share of a round before it is sent."""
_MARGIN_SHARE = (0.12, 0.22)
"""An upload leaves this share of a round before the round closes: one draw a session."""
_SILENT_ROUNDS = 5


@dataclass(slots=True)
class _Timetable:
    """When the open round's upload is built and sent (monotonic seconds)."""

    build_at: float
    send_at: float
    upload: Message | None = None
    built: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """What a test may own."""

    world: World = field(default_factory=World)
    backoff_seconds: tuple[float, ...] = _BACKOFF_SECONDS
    tap: Callable[[str, Message], None] | None = None
    """Called with "up" or "down" and each session message: for tests and the glass box."""


class ServerConnection:
    """A logged-in account's connection. ``start`` once; afterwards every method is safe from any thread."""

    def __init__(
        self,
        link: JoinLink,
        account: Account,
        store: ClientStore,
        options: ConnectionOptions | None = None,
    ) -> None:
        self.account = account
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._options = options or ConnectionOptions()
        self._link = link
        self._store = store
        self._engine = Engine(account, store, self._options.world)
        self._commands: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._wake_out, self._wake_in = socket.socketpair()
        self._wake_out.setblocking(False)
        self._wake_in.setblocking(False)
        self._line: Line | None = None
        self._timetable: _Timetable | None = None
        self._quitting = threading.Event()
        self._at_once = False
        self._thread = threading.Thread(target=self._run, name="iirs-server-connection", daemon=True)

    # -- from any thread ------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and stay connected until ``quit``."""
        self._thread.start()

    def ask(self, peer: str) -> None:
        """Ask to talk to ``peer``; a refusal comes as a ``Notice``."""
        self._command(lambda: self._engine.ask(peer))

    def send(self, peer: str, text: str) -> None:
        """Queue a text for ``peer``; ``TextQueued`` says that it is stored."""
        self._command(lambda: self._engine.send(peer, text))

    def hang_up(self, peer: str) -> None:
        """End the conversation with ``peer``, four rounds from now."""
        self._command(lambda: self._engine.hang_up(peer))

    def call(self, function: Callable[[Engine], None]) -> None:
        """Run ``function`` with the engine, in the thread that owns it: for reading history and state."""
        self._command(lambda: function(self._engine))

    def quit(self, *, at_once: bool = False) -> None:
        """Hang up everything, wait until that has taken effect, disconnect.

        ``at_once`` does not wait; the peer's drops are then accessed once for a while, which the last hop
        can see happen as we leave.
        """
        self._at_once = self._at_once or at_once
        self._quitting.set()
        self._command(self._engine.hang_up_all)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the thread has ended; False if it has not by ``timeout`` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _command(self, command: Callable[[], object]) -> None:
        self._commands.put(command)
        with suppress(OSError):  # full: it will wake anyway; closed: it has ended
            self._wake_in.send(b"x")

    # -- this thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        attempt = 0
        try:
            while not self._is_over():
                self._emit(ConnectionChanged(ConnectionState.CONNECTING))
                try:
                    self._connect()
                    attempt = 0
                    self._session()
                except ServerClosedError as error:
                    if error.reason in {CloseReason.REPLACED, CloseReason.VERSION}:
                        self._emit(ConnectionChanged(ConnectionState.CLOSED, str(error)))
                        return
                    self._wait_to_reconnect(attempt, str(error))
                except (ConnectionLostError, PeerError, TryLaterError) as error:
                    self._wait_to_reconnect(attempt, str(error))
                attempt += 1
            self._emit(ConnectionChanged(ConnectionState.CLOSED, "You are logged out."))
        except (AccountError, ChainError, DirectoryError, StoreError) as error:
            self._emit(Notice(str(error), alarm=True))
            self._emit(ConnectionChanged(ConnectionState.CLOSED, str(error)))
        finally:
            self._hang_up_line()
            self._store.close()
            self._wake_in.close()
            self._wake_out.close()

    def _is_over(self) -> bool:
        return self._quitting.is_set() and (self._at_once or self._engine.is_quiet or self._line is None)

    def _connect(self) -> None:
        line, chain, keys = Line.connect(self._link, self.account.chain.chain_id, self._wake_out)
        self._line = line
        start = enter(
            line, chain, keys, self.account.name, self.account.login_secret, self._options.world.random_bytes
        )
        self._engine.begin_session(start)
        self._margin = _margin(chain.round_ms / 1000)
        self._emit(ConnectionChanged(ConnectionState.ONLINE))

    def _session(self) -> None:
        silent_seconds = _SILENT_ROUNDS * self.account.chain.round_ms / 1000 + 10
        heard = time.monotonic()
        while not self._is_over():
            self._drain_commands()
            self._pass_on()
            self._keep_timetable()
            if self._line is None:
                raise ConnectionLostError("The connection to the server ended.")
            arrival = self._line.receive(min(self._next_due(), time.monotonic() + 1.0))
            if arrival is not None:
                heard = arrival.at
                self._take(arrival)
            elif time.monotonic() - heard > silent_seconds:
                raise ConnectionLostError("The server has fallen silent.")
            self._pass_on()

    def _take(self, arrival: Arrival) -> None:
        message = arrival.message
        if self._options.tap is not None:
            self._options.tap("down", message)
        match message.kind:
            case MessageKind.KEYS:
                self._engine.take_keys(message.body)
            case MessageKind.REPLIES:
                self._engine.close_round(Replies.decode(message.body, self.account.chain.geometry))
            case MessageKind.BUNDLE:
                self._engine.take_bundle(Bundle.decode(message.body, self.account.chain))
            case MessageKind.ANNOUNCE:
                was_late = message.body[0] != 0
                announcement = self._engine.open_round(message.body[1:], was_late=was_late)
                self._plan(announcement, arrival.at)
            case _:
                raise PeerError("The server sent a message that has no place in a session.")

    def _plan(self, announcement: Announcement, arrived_at: float) -> None:
        # Counted from the arrival of the bytes, not from now: what was done with them must not show.
        collect = announcement.collect_ms / 1000
        send_at = arrived_at + max(0.0, collect - self._margin)
        build_ahead = _BUILD_AHEAD * collect
        self._timetable = _Timetable(send_at - build_ahead, send_at)

    def _keep_timetable(self) -> None:
        plan, now = self._timetable, time.monotonic()
        if plan is None:
            return
        if not plan.built and now >= plan.build_at:
            plan.upload, plan.built = self._engine.build_upload(), True
            self._pass_on()
        if plan.built and time.monotonic() >= plan.send_at:
            self._timetable = None
            if plan.upload is not None and self._line is not None:
                self._line.send(plan.upload)
                if self._options.tap is not None:
                    self._options.tap("up", plan.upload)

    def _next_due(self) -> float:
        plan = self._timetable
        if plan is None:
            return float("inf")
        return plan.send_at if plan.built else plan.build_at

    def _wait_to_reconnect(self, attempt: int, why: str) -> None:
        """Wait on a schedule that knows nothing of what this client was doing."""
        self._hang_up_line()
        self._pass_on()
        base = self._options.backoff_seconds[min(attempt, len(self._options.backoff_seconds) - 1)]
        seconds = base * (0.75 + secrets.randbelow(501) / 1000)
        self._emit(ConnectionChanged(ConnectionState.WAITING, why))
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._is_over():
            self._quitting.wait(min(0.2, max(0.0, until - time.monotonic())))
            self._drain_commands()
            self._pass_on()

    def _hang_up_line(self) -> None:
        self._timetable = None
        if self._line is not None:
            self._line.close()
            self._line = None

    def _drain_commands(self) -> None:
        with suppress(OSError):
            while self._wake_out.recv(4096):
                pass
        while not self._commands.empty():
            try:
                self._commands.get_nowait()()
            except AccountError as error:
                self._emit(Notice(str(error)))

    def _pass_on(self) -> None:
        for event in self._engine.take_events():
            self._emit(event)

    def _emit(self, event: Event) -> None:
        self.events.put(event)


def _margin(round_seconds: float) -> float:
    low, high = _MARGIN_SHARE
    return round_seconds * (low + (high - low) * secrets.randbelow(10_001) / 10_000)
