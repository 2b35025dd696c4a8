"""The running server: sessions, rounds, and the listener, around a ``MixNet``."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections.abc import Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor as RoundsExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from iirs.errors import AccountError, PeerError, StorageError
from iirs.message import Message, MessageKind
from iirs.onion import EntryChannel, channel_period, entry_offer_info
from iirs.prekey import Prekey
from iirs.server.accounts.database import Storage
from iirs.server.accounts.database_thread import DatabaseThread
from iirs.server.accounts.guesses import Allowance, GuessBounds, Guesses
from iirs.server.accounts.prekey_store import PrekeyStore
from iirs.server.accounts.rate_limit import RateLimit
from iirs.server.accounts.registry import Accounts
from iirs.server.announcer import Announcer, Opened
from iirs.server.connectionThread import Arrival, ConnectionThread
from iirs.server.event_counts import Counted, EventCounts
from iirs.server.keystore import ServerKeys
from iirs.server.mix_net import Collected, RoundOutcome
from iirs.server.net.leftover_writer import LeftoverWriter
from iirs.server.net.listener import Listener
from iirs.server.net.lobby import Lobby
from iirs.server.newcomer import Desk, Newcomer
from iirs.server.settings import ServiceSettings
from iirs.server.steady_jobs import SteadyJobs
from iirs.server.told_alike import Alike, directory_pieces
from iirs.tls import server_context
from iirs.wire.accounts import AccountRecord, Errand, Login, Registration, Result
from iirs.wire.limits import MAX_ENTRIES, CloseReason
from iirs.wire.rounds import NoticeFlags, Upload

_log = logging.getLogger("iirs.server")
_IDLE_ROUNDS = 5
_REGISTERED_AT_ONCE = 4
_BACKLOG = 4096
"""Connections that wait to be accepted, as far as the system lets them."""
_COUNTED_LOGINS = {
    Result.WRONG_PASSWORD: Counted.WRONG_GUESS,
    Result.UNKNOWN_NAME: Counted.UNKNOWN_NAME,
    Result.TOO_MANY: Counted.LOGIN_LIMITED,
}


class Service:
    """Everything behind one listening socket. ``start``, then ``stop``; both from one thread."""

    def __init__(self, keys: ServerKeys, storage: Storage, settings: ServiceSettings) -> None:
        self.chain = keys.chain
        self._keys = keys
        self._storage = storage
        self._settings = settings
        self._database = DatabaseThread(storage)
        self._announcer = Announcer(keys, self._database, settings)
        self.mix_net = self._announcer.mix_net
        self.accounts = Accounts(
            keys.chain,
            storage,
            self._database,
            self._announcer.sign_alone if len(keys.chain.hops) == 1 else None,
            settings.random_bytes,
            registrations=RateLimit(settings.registrations_burst, settings.registrations_per_second),
            changes=RateLimit(
                settings.password_changes_burst, settings.password_changes_per_second, keys=MAX_ENTRIES
            ),
            guesses=Guesses(_bounds(settings), settings.random_bytes(32)),
        )
        self.prekeys = PrekeyStore(keys.chain, self._database, self.accounts.entry)
        self._lock = threading.Lock()
        self._connections: set[ConnectionThread] = set()
        self._sessions: dict[int, ConnectionThread] = {}
        # Nobody is idle who has not let several rounds pass, however long the rounds are.
        idle_seconds = max(settings.connection.idle_seconds, _IDLE_ROUNDS * keys.chain.round_ms / 1000)
        self._connection_settings = replace(settings.connection, idle_seconds=idle_seconds)
        self._stopping = threading.Event()
        # One thread for the rounds: each of several would keep the memory that its rounds took.
        stores, executors = {"default": SteadyJobs(time.monotonic)}, {"default": RoundsExecutor(1)}
        self._scheduler = BackgroundScheduler(daemon=True, jobstores=stores, executors=executors)
        self._paced = False
        self._first_tick = 0.0  # monotonic seconds, as the next
        self._closes_at = 0.0
        self._writer = LeftoverWriter()
        self._counts = EventCounts()
        tls = server_context(keys.certificate, keys.certificate_key)
        self._desk = Desk(self, tls, keys.chain.geometry, settings.sign_seconds)
        self._logins = RateLimit(settings.logins_burst, settings.logins_per_second)
        self._clerks = ThreadPoolExecutor(_REGISTERED_AT_ONCE, thread_name_prefix="iirs-clerk")
        self._listener: Listener | None = None
        self._lobby: Lobby | None = None

    # -- life -------------------------------------------------------------------------------------

    def start(self, host: str, port: int, *, paced: bool = True) -> int:
        """Listen and run rounds; return the port. Raises ``ConfigError`` if the address is taken.

        With ``paced=False`` no scheduler runs: simulations call ``run_round`` themselves.
        """
        self._listener = Listener(host, port, backlog=_BACKLOG, advice="Try --port 0.")
        lobby = replace(
            self._settings.lobby,
            handshake_seconds=self._connection_settings.handshake_seconds,
            visit_seconds=self._connection_settings.greeting_seconds,
        )
        self._lobby = Lobby(
            self._listener,
            self._receive,
            lobby,
            refused=lambda: self.note(Counted.CROWDED),
            cannot_accept=lambda: self.note(Counted.NO_RESOURCES),
        )
        self._database.start()
        self._writer.start()
        period = self.chain.round_ms / 1000
        self._paced, self._first_tick = paced, time.monotonic() + period
        self._announcer.show_chain(self._open_next())
        if paced:
            self._scheduler.add_job(
                self._tick,
                "interval",
                seconds=period,
                start_date=datetime.now(UTC) + timedelta(seconds=self._first_tick - time.monotonic()),
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )
        self._scheduler.start()
        self._lobby.start()
        return self._listener.port

    @property
    def address(self) -> str:
        """The address it listens on; "" before ``start``."""
        return "" if self._listener is None else self._listener.address

    def run_round(self) -> None:
        """Run one round, now."""
        self.mix_net.run_round(self)

    def _tick(self) -> None:
        # A tick that came late may have left the open round too little time: then the next one closes it.
        if time.monotonic() > self._closes_at - self.chain.round_ms / 1000 / 4:
            self.run_round()

    def _seconds_to_collect(self) -> float:
        """Return how long the round that opens now stays open: until the next tick half a round away."""
        period = self.chain.round_ms / 1000
        left = period
        if self._paced:
            left = -(time.monotonic() - self._first_tick) % period
            left += 0.0 if left > period / 2 else period
        self._closes_at = time.monotonic() + left
        return left

    def tidy(self) -> None:
        """Forget what is to be forgotten by the clock; to be called now and then, from any thread."""
        self._announcer.erase_keys()
        self._counts.tell()
        if self._paced:
            self._scheduler.wakeup()  # the wall clock may have been set the moment it looked at it

    def stop(self) -> None:
        """Finish the round that runs, tell every client, and let go of everything."""
        self._stopping.set()
        self._scheduler.shutdown(wait=True)
        if self._lobby is not None:
            self._lobby.stop()
            self._lobby.join(2.0)
        self._clerks.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close(CloseReason.STOPPING)
        deadline = time.monotonic() + 2.0
        for connection in connections:
            connection.join(max(0.0, deadline - time.monotonic()))
        self._writer.stop()
        self._announcer.close()
        self._database.stop(self._announcer.last_round)
        self._storage.close()

    def _receive(self, sock: socket.socket, share: str) -> Newcomer | None:
        """Return who has connected, or ``None`` if nobody can be let in."""
        if self._is_full():
            self.note(Counted.FULL)
            return None
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Newcomer(sock, share, self._desk)

    def _is_full(self) -> bool:
        with self._lock:
            return len(self._connections) >= self._settings.max_connections

    # -- Frontend: what MixNet asks for ------------------------------------------------------------

    def channels(self) -> dict[Hashable, EntryChannel]:
        """Return every client in session, with its entry channel."""
        with self._lock:
            sessions = list(self._sessions.values())
        return {session: session.channel for session in sessions if session.takes_part}

    def deliver(self, outcome: RoundOutcome | None) -> None:
        """Send everyone their replies, and announce the next round and open it.

        If a hop does not answer there is no next round yet: everyone is told to stand by, and the next
        tick tries again.
        """
        bundle: list[Message] = []
        if outcome is not None:
            self._announcer.note(outcome)
            self._counts.count(Counted.LATE, outcome.late)
            bundle = [] if outcome.bundle is None else [outcome.bundle.encode()]
            _log.info(
                "round %d: uploads %d, late %d, invitations %s%s",
                outcome.context.round_number,
                outcome.uploads,
                outcome.late,
                "no" if outcome.bundle is None else "yes",
                f", LOST: {outcome.failure}" if outcome.lost else "",
            )
        opened = self._open_next()
        alike = Alike()
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            messages: list[Message] = []
            held = 0
            if outcome is not None and session in outcome.replies:
                replies = outcome.replies[session]
                messages = [alike.replies(replies), *bundle]
                held = len(messages[0].body) if replies.has_answers else 0
            if opened is None:
                session.allow_idle()
                messages.append(self._announcer.standby())
            else:
                messages += [*opened.keys, alike.announce(_announce(opened.announcement, session))]
            session.send(messages, held, () if held else alike.pieces(tuple(messages)))
        self._announcer.show_chain(opened)

    def give_up_at(self) -> float:
        """Return until when the later hops may take for what they are asked now (monotonic seconds)."""
        return self._announcer.round_give_up_at()

    def _open_next(self) -> Opened | None:
        return self._announcer.open_next(self.accounts, self.prekeys, self._seconds_to_collect)

    # -- ConnectionHandler: what a connection asks for --------------------------------------------

    def greeting(self) -> list[Message]:
        """Return the chain file and the current epoch keys. Raises ``HopError`` if there are none yet."""
        return [Message(MessageKind.CHAIN, self._keys.chain_file), self._announcer.keys_message()]

    def register(self, registration: Registration, share: str) -> Future[Result]:
        """Take in a new account, in a thread that may wait for the database."""
        future = self._clerks.submit(self._register, registration, share)
        future.add_done_callback(lambda _: self._ask_lobby_again())
        return future

    def _register(self, registration: Registration, share: str) -> Result:
        result = self.accounts.register(registration, share)
        if result is Result.TOO_MANY:
            self.note(Counted.DIRECTORY_FULL if self.accounts.is_full else Counted.REGISTRATION_LIMITED)
        return result

    def _ask_lobby_again(self) -> None:
        if self._lobby is not None:
            self._lobby.ask_again()

    def login(self, login: Login, share: str) -> tuple[Result, AccountRecord | None]:
        """Check a login secret; an account that logs in again and again has to wait, too."""
        result, record = self.accounts.login(login, share)
        if result in _COUNTED_LOGINS:
            self.note(_COUNTED_LOGINS[result])
        if record is not None and not self._logins.allow(str(record.position)):
            self.note(Counted.LOGINS_TOO_MANY)
            return Result.TOO_MANY, None
        return result, record

    def is_announced(self, position: int) -> bool:
        """Whether the directory as announced holds this account, so that it can be shown to its owner."""
        return self.accounts.is_announced(position)

    def let_in(self, arrival: Arrival) -> None:
        """Serve a client that has logged in, in a thread of its own."""
        if self._is_full():
            self.note(Counted.FULL)
            arrival.sock.close()
            return
        connection = ConnectionThread(
            arrival, self, self.chain.geometry, self._writer, self._connection_settings
        )
        with self._lock:
            self._connections.add(connection)
        try:
            connection.start()
        except RuntimeError:  # no thread to be had
            self.note(Counted.NO_RESOURCES)
            self.left(connection)
            connection.let_go()

    def open_channel(self, login: Login) -> EntryChannel:
        """Open the client's offer of a session secret. Raises ``OnionError``."""
        info = entry_offer_info(self.chain.chain_id, self.chain.entry_certificate, login.key_id)
        epoch_key, pair = self._announcer.find_key(login.key_id)
        secret = self.chain.geometry.suite.open(pair, login.offer, info)
        return EntryChannel(secret, info, channel_period(epoch_key.first_round))

    def enter(self, connection: ConnectionThread) -> Iterable[bytes]:
        """Make this the account's one live session; return what a new session is told first, in pieces.

        The directory is not copied for anybody: each piece is made when the client can take it.
        """
        with self._lock:
            replaced = self._sessions.get(connection.position)
            self._sessions[connection.position] = connection
        record = connection.record
        if replaced is not None:
            # What it has used so far is stored only when it ends.
            record = replace(record, last_round=max(record.last_round, replaced.last_round))
            replaced.close(CloseReason.REPLACED)
        # Only now: an entry announced before this session was listed must be in the snapshot.
        head = self.accounts.current_head()
        prekeys = self.prekeys.known(head.length, self._announcer.last_round)
        ok = Message(MessageKind.RESULT, bytes([Result.OK]))
        first = [item.encode() for item in (ok, record.encode())]
        last = self._announcer.keys_message()

        directory = directory_pieces(head, self.accounts.raw_entries, prekeys)
        return itertools.chain(first, directory, [last.encode()])

    def keep_prekey(self, connection: ConnectionThread, prekey: Prekey) -> None:
        """Take in the prekey that comes with a client's first upload in a session or period.

        It comes with the next one again if that upload missed its batch; on a slow line both may arrive in
        one round. Raises ``PeerError`` for a second one in a round without an upload between them, one of a
        period before the last one's, or somebody else's.
        """
        number = self._announcer.last_round
        is_older = prekey.period < connection.prekey_period
        if prekey.position != connection.position or is_older or number == connection.prekey_round:
            raise PeerError("A client sent a prekey that is not its own, or a second one.")
        connection.prekey_period, connection.prekey_round = prekey.period, number
        with self._lock:
            replaced = self._sessions.get(connection.position) is not connection
        if not replaced:  # the machine that replaced it has another key, and will not say it again
            self.prekeys.take(prekey, number)

    def submit(self, connection: ConnectionThread, upload: Upload) -> Collected:
        """Queue an upload for the round. Raises ``PeerError``."""
        collected = self.mix_net.submit(connection, upload)
        # Only now: a round number that was never announced must not be kept.
        connection.last_round = max(connection.last_round, upload.round_number)
        return collected

    def do_errand(self, connection: ConnectionThread, errand: Errand) -> NoticeFlags:
        """Change the connection's account, and return what to say of it; nothing if it cannot be stored."""
        try:
            done = self.accounts.do_errand(connection.position, errand)
        except StorageError:
            return NoticeFlags.NONE  # the client asks again with every upload until it is told
        except AccountError:
            self.note(Counted.CHANGE_LIMITED)
            return NoticeFlags.NONE
        return NoticeFlags.ERRAND_DONE if done else NoticeFlags.ERRAND_REFUSED

    def note(self, what: Counted) -> None:
        """Count what is told as a count, now and then."""
        self._counts.count(what)

    def left(self, connection: ConnectionThread) -> None:
        """Forget a connection that ended."""
        with self._lock:
            self._connections.discard(connection)
            if self._sessions.get(connection.position) is connection:
                del self._sessions[connection.position]
        if connection.last_round:
            self.accounts.took_part(connection.position, connection.last_round)


def _bounds(settings: ServiceSettings) -> GuessBounds:
    each = Allowance(settings.failed_logins_burst, settings.failed_logins_per_second)
    return GuessBounds(each, settings.failed_logins_of_name, settings.failed_logins_of_place)


def _announce(announcement: bytes, session: ConnectionThread) -> Message:
    return Message(MessageKind.ANNOUNCE, bytes([session.take_notice()]) + announcement)
