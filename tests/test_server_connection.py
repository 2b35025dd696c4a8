"""``ServerConnection`` with a clock that the test owns: what it does when, without real rounds."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

import iirs.client.net.upload_clock
import iirs.client.server_connection
from iirs.chain import JoinLink
from iirs.client import account_tasks
from iirs.client.account.account import Account
from iirs.client.account.entry_calls import Home
from iirs.client.account_tasks import Credentials, LoggedIn
from iirs.client.connection_options import ConnectionOptions
from iirs.client.engine import Engine
from iirs.client.net.upload_clock import START_STEP, Timetable
from iirs.client.server_connection import ServerConnection
from iirs.client.store.store import ClientStore
from iirs.errors import ConnectionLostError, StoreError
from iirs.message import Message, MessageKind
from tests.builders import make_chain, person

UPLOAD = Message(MessageKind.UPLOAD, b"")
PLAN = Timetable(quiet_from=100.0, build_at=101.0, send_at=102.0, step=1.0)


@dataclass
class Clock:
    """Monotonic seconds that go on only when told."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Wire:
    """Stands where the transport would: ``happened`` gets what leaves, in its order among all else."""

    happened: list[str] = field(default_factory=list)
    broken: bool = False
    is_leaving: threading.Event = field(default_factory=threading.Event)
    may_leave: threading.Event = field(default_factory=threading.Event)

    def send(self, *messages: Message) -> None:
        self.is_leaving.set()
        assert self.may_leave.wait(10)
        if self.broken:
            raise ConnectionLostError("broken")
        self.happened += ["upload" for _ in messages]

    def hang_up(self) -> None:
        pass


@contextmanager
def about_to_upload(clock: Clock, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerConnection]:
    """A connection in its session, with an upload planned as ``PLAN``; its thread is the test's."""
    owned = SimpleNamespace(monotonic=clock.monotonic)
    monkeypatch.setattr(iirs.client.server_connection, "time", owned)
    monkeypatch.setattr(iirs.client.net.upload_clock, "time", owned)
    account = Account("alice", make_chain().chain, person("alice"), b"")
    store = ClientStore(":memory:", bytes(32))
    connection = ServerConnection(JoinLink("host", 1), account, store, ConnectionOptions())
    monkeypatch.setattr(connection, "_transport", wire)
    monkeypatch.setattr(connection._engine, "build_upload", lambda: [UPLOAD])
    connection._timetable = PLAN
    try:
        yield connection
    finally:
        wire.may_leave.set()
        connection._upload_clock.stop()
        store.close()


def step(connection: ServerConnection, until: float) -> None:
    """Do what the connection's thread does in one turn."""
    connection._keep_timetable()
    item = connection._next_item(until)
    if callable(item):
        connection._carry_out(item)


@pytest.mark.parametrize("broken", [False, True], ids=["sent", "connection broke"])
@pytest.mark.parametrize("asked_at", [100.5, 101.0, 101.9, 102.0])
def test_a_command_given_close_to_an_upload_waits_until_it_has_left(
    monkeypatch: pytest.MonkeyPatch, asked_at: float, broken: bool
) -> None:
    """Fixed: all that had waited ran in the last moments before the upload left, once it was built."""
    clock, wire = Clock(), Wire(broken=broken)
    with about_to_upload(clock, wire, monkeypatch) as connection:
        for clock.now in (100.5, 101.0, 101.9, 102.0):
            if clock.now == asked_at:
                connection.call(lambda _: wire.happened.append("command"))
            step(connection, until=clock.now)
        connection._upload_clock.start()
        assert wire.is_leaving.wait(10)
        step(connection, until=clock.now)
        assert wire.happened == []  # it is leaving, and has not left
        wire.may_leave.set()
        while "command" not in wire.happened:
            step(connection, until=clock.now + 5)
        assert wire.happened == (["command"] if broken else ["upload", "command"])


def test_a_command_given_in_good_time_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, wire = Clock(99.0), Wire()
    with about_to_upload(clock, wire, monkeypatch) as connection:
        connection.call(lambda _: wire.happened.append("command"))
        step(connection, until=clock.now + 5)  # takes it up
        step(connection, until=clock.now + 5)
        assert wire.happened == ["command"]


# -- connecting: at moments that know nothing of what is stored or was asked for -----------------------


@dataclass
class Waiting:
    """Stands where the event of quitting would: waiting moves the clock."""

    clock: Clock
    quits_at: float = math.inf

    def is_set(self) -> bool:
        return self.clock.now >= self.quits_at

    def wait(self, seconds: float) -> None:
        self.clock.now = min(self.clock.now + seconds, self.quits_at)


def happened_at_start(
    monkeypatch: pytest.MonkeyPatch, folder: Path, opening_takes: float, quits_at: float = math.inf
) -> list[tuple[str, float]]:
    """Log in where opening the store takes so long; return what happened when."""
    clock = Clock(1000.0)
    owned = SimpleNamespace(monotonic=clock.monotonic)
    for module in (account_tasks, iirs.client.server_connection):
        monkeypatch.setattr(module, "time", owned)
    happened: list[tuple[str, float]] = []

    def note(what: str) -> None:
        happened.append((what, clock.now - 1000.0))

    def login(*_: object) -> Account:
        note("logged in")
        return Account("alice", make_chain().chain, person("alice"), b"")

    def opened(path: Path, key: bytes, _me: str) -> tuple[ClientStore, None]:
        clock.now += opening_takes
        note("store opened")
        return ClientStore(":memory:", key), None

    def connect(_: ServerConnection) -> None:
        note("connected")
        raise StoreError("enough")

    monkeypatch.setattr(account_tasks, "login", login)
    monkeypatch.setattr(account_tasks, "open_store", opened)
    monkeypatch.setattr(ServerConnection, "_connect", connect)
    result = account_tasks.log_in(Home(folder), Credentials("host", "alice", "a password", new=False))
    assert isinstance(result, LoggedIn)
    monkeypatch.setattr(result.connection, "_quitting", Waiting(clock, 1000.0 + quits_at))
    result.connection._run()
    return happened


@pytest.mark.parametrize("opening_takes", [0.0, 0.008, 0.36, 0.93, 1.0])
def test_the_gap_between_logging_in_and_connecting_does_not_show_what_is_stored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, opening_takes: float
) -> None:
    """Fixed: it took as long as checking the history did, 8 ms to 930 ms."""
    happened = happened_at_start(monkeypatch, tmp_path, opening_takes)
    assert [what for what, _ in happened] == ["logged in", "store opened", "connected"]
    assert happened[0][1] == 0.0
    assert happened[-1][1] == START_STEP


def test_what_was_not_opened_in_time_is_connected_for_at_the_next_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for takes in (2.1, 2.5, 3.0):
        assert happened_at_start(monkeypatch, tmp_path, takes)[-1] == ("connected", 3 * START_STEP)


def test_whoever_quits_in_the_gap_does_not_connect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert [what for what, _ in happened_at_start(monkeypatch, tmp_path, 0.1, quits_at=0.5)] == [
        "logged in",
        "store opened",
    ]


@pytest.mark.parametrize("command_takes", [0.0, 0.2, 0.24])
def test_a_command_does_not_move_the_next_attempt_to_connect(
    monkeypatch: pytest.MonkeyPatch, command_takes: float
) -> None:
    """Fixed: a command that was being carried out when the time came delayed it by as long as it took."""
    clock = Clock(50.0)
    with about_to_upload(clock, Wire(), monkeypatch) as connection:
        monkeypatch.setattr(connection, "_quitting", Waiting(clock))
        monkeypatch.setattr(
            iirs.client.server_connection, "secrets", SimpleNamespace(randbelow=lambda _: 250)
        )
        ran: list[float] = []

        def work(_: Engine) -> None:
            ran.append(clock.now)
            clock.now += command_takes

        next_item = connection._next_item

        def at_the_last_moment(until: float) -> object:
            clock.now = until - 0.01  # nothing came until just before
            if not ran:
                connection.call(work)
            elif clock.now < until:
                clock.now = until
            return next_item(until)

        monkeypatch.setattr(connection, "_next_item", at_the_last_moment)
        connection._wait_to_reconnect(0, "")
        assert ran
        assert clock.now == 51.0
