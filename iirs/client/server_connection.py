"""``ServerConnection``: the socket to the server, and its threads.

One thread owns the engine; one only reads (``transport``) and one only sends (``upload_clock``), so that no
work of the engine, and no disk, shows in the time of an upload. Others ask for things with ``ask``, ``send``,
``hang_up`` and ``quit``, which only put values on a queue, and read what happened from ``events``. What is
asked changes the contents of the next upload and never its time or size: uploads go a fixed margin before the
round closes, and are built before that timer fires.

States: CONNECTING -> ONLINE -> WAITING (lost, tries again by itself) ...; CLOSED when over for good.
"""

from __future__ import annotations

import math
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from iirs.chain import JoinLink
from iirs.client.account.account import Account
from iirs.client.account.entry_calls import TryLaterError, enter
from iirs.client.connection_options import ConnectionOptions
from iirs.client.departure import Departure, ticks_to_leave
from iirs.client.engine import Engine
from iirs.client.events import ConnectionChanged, ConnectionState, ErrandDone, Event, Notice
from iirs.client.net.transport import Arrival, ServerClosedError, Transport, TransportReader
from iirs.client.net.upload_clock import (
    BUILD_AHEAD,
    QUIET_AHEAD,
    Timetable,
    UploadClock,
    next_step,
    upload_margin,
)
from iirs.client.store.encrypted_file import StoreFullError
from iirs.client.store.store import ClientStore
from iirs.client.text.translate import _
from iirs.errors import (
    AccountError,
    ChainError,
    ConnectionLostError,
    DirectoryError,
    IirsError,
    ImpostorError,
    PeerError,
    StoreError,
)
from iirs.message import Message, MessageKind
from iirs.wire.limits import CloseReason
from iirs.wire.rounds import Announcement, Bundle, NoticeFlags, Replies, Standby

_QUIET_SHARE = 0.25
"""In this share of the time before reconnecting, commands wait: they must not delay it."""
_SILENT_ROUNDS = 5

_Command = Callable[[], object]


def _look_again() -> None:
    """A command that does nothing: an upload has left, and those behind it may be carried out."""


class ServerConnection:
    """A logged-in account's connection. ``start`` once; afterwards every method is safe from any thread."""

    def __init__(
        self,
        link: JoinLink,
        account: Account,
        store: ClientStore,
        options: ConnectionOptions | None = None,
        *,
        login_ended: float | None = None,
    ) -> None:
        """``login_ended``: when the connection for logging in ended (monotonic seconds), if there was one."""
        self.account = account
        self._login_ended = login_ended
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._options = options or ConnectionOptions()
        self._link = link
        self._store = store
        self._engine = Engine(account, store, self._options.environment)
        self._inbox: queue.SimpleQueue[tuple[Transport, Arrival | IirsError] | _Command] = queue.SimpleQueue()
        self._deferred: deque[_Command] = deque()
        self._upload_clock = UploadClock(self._uploaded, lambda: self._inbox.put(_look_again))
        self._transport: Transport | None = None
        self._timetable: Timetable | None = None
        self._stays = False
        self._quitting = threading.Event()
        self._at_once = False
        self.is_closed = False
        self._coming_back = False
        self._warned_of_impostor = False
        self.ticks_to_leave = ticks_to_leave(account.chain.epoch_rounds)
        """How many announcements, or standbys instead, leaving takes at most."""
        self._departure: Departure | None = None
        self._thread = threading.Thread(target=self._run, name="iirs-server-connection", daemon=True)

    # -- from any thread ------------------------------------------------------------------------------

    def start(self, *, stays: bool = False) -> None:
        """Connect, and stay connected until ``quit``; if it ``stays``, ``call`` works until then anyway."""
        self._stays = stays
        self._thread.start()

    def ask(self, peer: str) -> None:
        """Ask to talk to ``peer``; a refusal comes as a ``Notice``."""
        self.act(lambda engine: engine.slots.ask(peer))

    def send(self, peer: str, text: str) -> None:
        """Queue a text for ``peer``; ``TextQueued`` says that it is stored."""
        self.act(lambda engine: engine.messenger.send(peer, text))

    def hang_up(self, peer: str) -> None:
        """End the conversation with ``peer``, four rounds after the next upload that can say so."""
        self.act(lambda engine: engine.slots.hang_up(peer))

    def change_password(self, login_secret: bytes, make_vault: Callable[[bytes], bytes]) -> None:
        """Have a new password take the old one's place, by way of uploads; ``ErrandDone`` follows."""
        self.act(lambda engine: engine.change_password(login_secret, make_vault))

    def delete_account(self) -> None:
        """Have the server delete the account, by way of the next uploads; ``ErrandDone`` follows."""
        self.act(Engine.delete_account)

    def act(self, function: Callable[[Engine], object]) -> None:
        """As ``call``, for what makes sense only while there is a session to come: otherwise a ``Notice``."""
        self.call(partial(self._in_session, function))

    def _in_session(self, function: Callable[[Engine], object], engine: Engine) -> None:
        self.check_in_session()
        function(engine)

    def check_in_session(self) -> None:
        """Raise ``AccountError`` if the session has ended without anybody having asked for it."""
        if self.is_closed and not self._quitting.is_set():
            raise AccountError("You are logged out. Log in again first.")

    def call(self, function: Callable[[Engine], object]) -> None:
        """Run ``function`` with the engine, in the thread that owns it: for reading history and state."""
        self._inbox.put(lambda: function(self._engine))

    def quit(self, *, at_once: bool = False, coming_back: bool = False) -> None:
        """Hang up everything, wait until that has taken effect, disconnect.

        ``coming_back``: the conversations of now go on at the next login; the others are told so.
        Always at the same tick from now and at the same moment of it, whether anybody was talking or not.
        ``at_once`` does not wait; the peer's drops are then accessed once for a while, which the last hop
        can see happen as we leave.
        """
        self._at_once = self._at_once or at_once
        self._coming_back = self._coming_back or coming_back
        self._quitting.set()
        self._inbox.put(self._begin_leaving)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the thread has ended; False if it has not by ``timeout`` seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # -- the engine's thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._stay_connected()
            while self._stays and not self._quitting.is_set():
                self._carry_out_next(time.monotonic() + 60.0)
            while self._carry_out_next(0.0):
                pass  # what was asked for before leaving
        finally:
            self._store.close()

    def _stay_connected(self) -> None:
        attempt = 0
        self._upload_clock.start()
        try:
            if self._login_ended is not None:  # the store was opened since: its size must not show in the gap
                step = self._options.start_step
                self._rest_until(next_step(self._login_ended + step, time.monotonic(), step))
            while not self._is_over():
                self._emit(ConnectionChanged(ConnectionState.CONNECTING))
                try:
                    self._connect()
                    attempt = 0
                    self._session()
                except ServerClosedError as error:
                    if error.trusted and error.reason in {CloseReason.REPLACED, CloseReason.VERSION}:
                        self._emit(ConnectionChanged(ConnectionState.CLOSED, error.said(_)))
                        return
                    self._wait_to_reconnect(attempt, error.said(_))
                except (ConnectionLostError, PeerError, StoreFullError, TryLaterError) as error:
                    self._wait_to_reconnect(attempt, error.said(_))
                except ImpostorError as error:  # once: who sits on the line must not end a session for good
                    if not self._warned_of_impostor:
                        self._emit(Notice(error.said(_), alarm=True))
                    self._warned_of_impostor = True
                    self._wait_to_reconnect(attempt, error.said(_))
                attempt += 1
            self._emit(ConnectionChanged(ConnectionState.CLOSED, _("You are logged out.")))
        except (AccountError, ChainError, DirectoryError, StoreError) as error:
            self._emit(Notice(error.said(_), alarm=True))
            self._emit(ConnectionChanged(ConnectionState.CLOSED, error.said(_)))
        except Exception as error:  # a thread that dies silently would leave a window that says online
            self._store.undo()  # half of what was being done must not be kept
            kind = type(error).__name__  # its text may quote somebody
            sentence = _("Something unexpected went wrong ({kind}). Please try again.").format(kind=kind)
            self._emit(Notice(sentence, alarm=True))
            self._emit(ConnectionChanged(ConnectionState.CLOSED, sentence))
        finally:
            self.is_closed = True
            self._drop_transport()
            self._upload_clock.stop()

    def _is_over(self) -> bool:
        may_leave = self._departure is not None and self._departure.is_over
        return self._quitting.is_set() and (self._at_once or may_leave or self._transport is None)

    def _begin_leaving(self) -> None:
        if self.is_closed:
            return
        # First what needs no disk: leaving takes as long whether that takes the rest or not.
        epoch_rounds = self.account.chain.epoch_rounds
        self._departure = self._departure or Departure(self._engine.last_announced, epoch_rounds)
        self._engine.slots.hang_up_all(leaving=self._coming_back)

    def _connect(self) -> None:
        changes, attempt = self._engine.account_changes, self._engine.keeping.attempt
        changes.log_in(self._connect_with, attempt, self._tell)

    def _connect_with(self, login_secret: bytes) -> None:
        known = self.account.chain
        transport, chain, keys = Transport.connect(self._link, known.chain_id, known)
        try:
            name, ticket = self.account.name, self.account.ticket
            draw = self._options.environment.random_bytes
            start = enter(transport, chain, keys, name, login_secret, draw, ticket)
            self._engine.begin_session(start)
            self.account = replace(self.account, ticket=start.ticket(chain))
        except BaseException:
            transport.close()
            raise
        self._transport = transport
        self._warned_of_impostor = False
        self._margin = upload_margin(chain.round_ms / 1000)
        TransportReader(transport, lambda source, item: self._inbox.put((source, item))).start()
        self._emit(ConnectionChanged(ConnectionState.ONLINE))

    def _session(self) -> None:
        silent_seconds = _SILENT_ROUNDS * self.account.chain.round_ms / 1000 + self._options.silent_seconds
        heard = time.monotonic()
        while not self._is_over():
            self._pass_on()
            self._keep_timetable()
            due = math.inf if self._timetable is None else self._timetable.build_at
            patience = 0.0 if self._engine.open_invitations() else 1.0
            item = self._next_item(min(due, time.monotonic() + patience))
            if isinstance(item, Arrival):
                heard = item.at
                self._take(item)
            elif isinstance(item, IirsError):
                raise item
            elif item is not None:
                self._carry_out(item)
            elif time.monotonic() - heard > silent_seconds:
                raise ConnectionLostError("The server has fallen silent.")
        self._pass_on()

    def _next_item(self, until: float) -> Arrival | IirsError | _Command | None:
        """Return what comes next, or ``None`` at ``until``: what the server says goes before any command.

        However many commands wait, an announcement never waits for more than the one being carried out,
        and close to an upload they all wait until it has left: carrying one out may take the disk a while.
        """
        while True:
            may_run = bool(self._deferred) and not self._upload_is_close()
            left = 0.0 if may_run else max(0.0, until - time.monotonic())
            try:
                item = self._inbox.get(timeout=left)
            except queue.Empty:
                return self._deferred.popleft() if may_run else None
            if item == self._begin_leaving:
                self._deferred.appendleft(item)  # the rounds until leaving count from when it was asked for
            elif not isinstance(item, tuple):
                self._deferred.append(item)
            elif item[0] is self._transport:
                return item[1]

    def _upload_is_close(self) -> bool:
        is_planned = self._timetable is not None and time.monotonic() > self._timetable.quiet_from
        return is_planned or self._upload_clock.is_busy

    def _take(self, arrival: Arrival) -> None:
        message = arrival.message
        if self._options.tap is not None:
            self._options.tap("down", message)
        match message.kind:
            case MessageKind.KEYS:
                self._engine.chain_view.take_keys(message.body)
            case MessageKind.REPLIES:
                self._engine.close_round(Replies.decode(message.body, self.account.chain.geometry))
            case MessageKind.BUNDLE:
                self._engine.chain_view.take_bundle(Bundle.decode(message.body, self.account.chain))
            case MessageKind.ANNOUNCE:
                notice = NoticeFlags.decode(message.body[0])
                announcement = self._engine.open_round(message.body[1:], notice)
                self._plan(announcement, arrival.at)
                self._tick(announcement)
            case MessageKind.STANDBY:
                self._engine.stand_by(Standby.decode(message.body, self.account.chain.geometry))
                self._timetable = None
                self._upload_clock.cancel()
                self._tick(None)
            case _:
                raise PeerError("The server sent a message that has no place in a session.")

    def _tick(self, announcement: Announcement | None) -> None:
        if self._departure is not None:
            self._departure.tick(announcement)

    def _plan(self, announcement: Announcement, arrived_at: float) -> None:
        # Counted from the arrival of the bytes, not from now: what was done with them must not show.
        collect = announcement.collect_ms / 1000
        send_at = arrived_at + collect - self._margin
        ahead = BUILD_AHEAD * collect
        self._timetable = Timetable(send_at - ahead - QUIET_AHEAD * collect, send_at - ahead, send_at, ahead)

    def _keep_timetable(self) -> None:
        plan = self._timetable
        if plan is None or time.monotonic() < plan.build_at:
            return
        self._timetable = None
        upload = self._engine.build_upload()
        if upload and self._transport is not None:
            self._upload_clock.schedule(plan.mark_after(time.monotonic()), self._transport, upload)
        self._pass_on()

    def _wait_to_reconnect(self, attempt: int, why: str) -> None:
        """Wait on a schedule that knows nothing of what this client was doing."""
        self._drop_transport()
        self._pass_on()
        base = self._options.backoff_seconds[min(attempt, len(self._options.backoff_seconds) - 1)]
        seconds = base * (0.75 + secrets.randbelow(501) / 1000)
        self._emit(ConnectionChanged(ConnectionState.WAITING, why))
        until, quiet = time.monotonic() + seconds, _QUIET_SHARE * seconds
        while time.monotonic() < until - quiet and not self._is_over():
            self._carry_out_next(until - quiet)
        self._rest_until(next_step(until, time.monotonic(), quiet))
        while self._quitting.is_set() and self._carry_out_next(time.monotonic()):
            pass  # what was asked for before leaving

    def _carry_out_next(self, until: float) -> bool:
        if callable(item := self._next_item(until)):
            self._carry_out(item)
        self._pass_on()
        return item is not None

    def _rest_until(self, moment: float) -> None:
        """Wait, and carry nothing out meanwhile, until a moment or until somebody quits."""
        while not self._quitting.is_set() and (left := moment - time.monotonic()) > 0:
            self._quitting.wait(left)

    def _drop_transport(self) -> None:
        self._timetable = None
        self._upload_clock.cancel()
        if self._transport is not None:
            self._transport.hang_up()
            self._transport = None

    def _carry_out(self, command: _Command) -> None:
        try:
            self._engine.carry_out(command)
        except AccountError as error:
            self._emit(Notice(error.said(_)))
        except StoreFullError:
            pass  # the engine says that it pauses; nothing was done

    def _uploaded(self, message: Message) -> None:
        if self._options.tap is not None:
            self._options.tap("up", message)

    def _pass_on(self) -> None:
        for event in self._engine.take_events():
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if isinstance(event, ErrandDone):
            self.account = replace(self.account, login_secret=self._engine.account_changes.login_secret)
            if event.deletion and event.accepted:
                self.quit()  # as everybody leaves
        self._emit(event)

    def _emit(self, event: Event) -> None:
        self.events.put(event)
