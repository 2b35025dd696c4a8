"""``ServerConnection`` with a clock that the test owns: what it does when, without real rounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

import iirs.client.net.upload_clock
import iirs.client.server_connection
from iirs.chain import JoinLink
from iirs.client.account.account import Account
from iirs.client.net.upload_clock import Timetable
from iirs.client.server_connection import ConnectionOptions, ServerConnection
from iirs.client.store.store import ClientStore
from iirs.errors import ConnectionLostError
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
