"""Buffers that many TLS connections share, one at a time; and what else thousands of them hold but once."""

from __future__ import annotations

import contextlib
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.errors import PeerError
from iirs.geometry import VAULT_SIZE
from iirs.message import Message, MessageKind, MessageReader
from iirs.onion import EntryChannel
from iirs.server.connectionThread import Arrival, ConnectionSettings, ConnectionThread
from iirs.server.keystore import ChainOptions, make_keys
from iirs.server.net.leftover_writer import LeftoverWriter
from iirs.server.net.outgoing import Outgoing
from iirs.server.newcomer import Desk, Newcomer
from iirs.server.told_alike import Alike, pieces_of
from iirs.tls import TlsBuffers, TlsPipe, client_context, make_certificate, server_context
from iirs.wire.accounts import AccountRecord
from tests.harness import wait_until

CONTEXT = server_context(*make_certificate())
GEOMETRY = make_keys(ChainOptions()).chain.geometry
CROWD = 100


class Line:
    """A client and its server, whose end shares buffers with others; bytes go over when the test says so."""

    def __init__(self, buffers: TlsBuffers) -> None:
        self.client = TlsPipe(client_context(), server_side=False)
        self.server = TlsPipe(CONTEXT, server_side=True, buffers=buffers)
        self.heard = self.answered = b""
        self._up = self._down = b""
        self.client.start()

    def carry(self, count: int = 1 << 20) -> None:
        """Carry so many bytes in each direction."""
        self._up += self.client.take_outgoing()
        self.heard += self.server.feed(self._up[:count])
        self._down += self.server.take_outgoing()
        self.answered += self.client.feed(self._down[:count])
        self._up, self._down = self._up[count:], self._down[count:]

    def shake_hands(self) -> None:
        while not (self.server.established and self.client.established):
            self.carry()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 700)), max_size=60), st.integers(0, 20_000))
def test_however_bytes_of_several_are_split_and_mixed_each_has_its_own(
    steps: list[tuple[int, int]], size: int
) -> None:
    buffers = TlsBuffers()
    lines = [Line(buffers) for _ in range(3)]
    for place, count in steps:  # handshakes that are cut off anywhere by another one's
        lines[place].carry(count)
    for line in lines:
        line.shake_hands()
    for number, line in enumerate(lines):
        line.client.send(bytes([number]) * size)
        line.server.send(bytes([number + 100]) * size)
    for place, count in steps:
        lines[place].carry(count)
    for number, line in enumerate(lines):
        line.carry()
        line.carry()
        assert line.heard == bytes([number]) * size
        assert line.answered == bytes([number + 100]) * size


def goodbye(line: Line) -> bytes:
    """Return what a client sends that says goodbye, and goes on talking all the same."""
    with contextlib.suppress(Exception):
        line.client._tls.unwrap()
    return line.client._buffers.outgoing.read() + b"\x17\x03\x03\x00\x20" + bytes(32)


BAD: dict[str, Callable[[Line], bytes]] = {
    "no TLS": lambda _: b"GET / HTTP/1.1\r\n\r\n" * 100,
    "a record that does not open": lambda _: b"\x17\x03\x03\x00\x20" + bytes(32) + bytes(5000),
    "more after a goodbye": goodbye,
}


def say_what_is_bad(buffers: TlsBuffers, name: str) -> None:
    bad = Line(buffers)
    bad.shake_hands()
    with contextlib.suppress(PeerError):
        bad.server.feed(BAD[name](bad))


@pytest.mark.parametrize("name", BAD)
def test_what_one_leaves_behind_is_nobody_elses(name: str) -> None:
    buffers = TlsBuffers()
    good = Line(buffers)
    good.shake_hands()
    say_what_is_bad(buffers, name)
    assert buffers.incoming.pending == buffers.outgoing.pending == 0
    good.client.send(b"hello")
    good.carry()
    assert good.heard == b"hello"


def test_without_clearing_up_the_next_one_would_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    buffers = TlsBuffers()
    good = Line(buffers)
    good.shake_hands()
    monkeypatch.setattr(TlsPipe, "_in_buffers", lambda _: contextlib.nullcontext())
    bad = TlsPipe(CONTEXT, server_side=True, buffers=buffers)
    with pytest.raises(PeerError):
        bad.feed(b"GET / HTTP/1.1\r\n\r\n")
    monkeypatch.undo()
    good.client.send(b"hello")
    with pytest.raises(PeerError):
        good.carry()


def buffers_of_a_crowd(desk: Desk) -> set[int]:
    """Return what so many newcomers hold of TLS's memory that have begun to speak."""
    found = set()
    for _ in range(CROWD):
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            there.sendall(b"\x16\x03\x01\x02\x00")  # a ClientHello begins
            newcomer = Newcomer(here, "", desk)
            newcomer.go_on()
            assert newcomer._line is not None
            found.add(id(newcomer._line.pipe._buffers))
    return found


def test_a_crowd_of_connections_needs_no_more_of_them_than_a_few() -> None:
    """Fixed: each connection held 28 KB for as long as it lasted."""
    reception: Any = SimpleNamespace()
    assert len(buffers_of_a_crowd(Desk(reception, CONTEXT, GEOMETRY, 0.0))) < CROWD / 2
    each = Desk(reception, CONTEXT, GEOMETRY, 0.0, buffers=iter([TlsBuffers() for _ in range(CROWD)]))
    assert len(buffers_of_a_crowd(each)) == CROWD


# -- what waits --------------------------------------------------------------------------------------------


class Noting(socket.socket):
    """A socket that keeps how many bytes it was asked for by whoever may wait for them."""

    asked: list[int]

    def recv(self, size: int, flags: int = 0) -> bytes:
        self.asked.append(size)
        return super().recv(size, flags)


@contextlib.contextmanager
def waiting_thread() -> Iterator[tuple[Noting, socket.socket]]:
    here, there = socket.socketpair()
    noting = Noting(here.family, here.type, here.proto, here.detach())
    noting.asked = []
    writer = LeftoverWriter()
    writer.start()
    server, client = TlsPipe(CONTEXT, server_side=True), TlsPipe(client_context(), server_side=False)
    client.start()
    while not (server.established and client.established):
        server.feed(client.take_outgoing())
        client.feed(server.take_outgoing())
    handler: Any = SimpleNamespace(
        enter=lambda _: [], left=lambda _: None, note=lambda _: None, keep_prekey=lambda *_: None
    )
    record, channel = AccountRecord(0, 0, bytes(VAULT_SIZE)), EntryChannel(bytes(32), b"", 0)
    arrival = Arrival(noting, server, MessageReader({}), record, channel)
    connection = ConnectionThread(arrival, handler, GEOMETRY, writer, ConnectionSettings())
    connection.start()
    client.send(bytes(1))
    there.sendall(client.take_outgoing())
    try:
        yield noting, there
    finally:
        there.close()
        connection.join(60)
        writer.stop()
        writer.join(60)


def test_a_thread_that_waits_has_room_for_one_byte_only() -> None:
    """Fixed: 4 KB were allocated for what might come, in each of thousands of threads."""
    with waiting_thread() as (noting, _):
        wait_until(lambda: len(noting.asked) >= 2)
        assert set(noting.asked) == {1}


def held_a_round(share: Callable[[Alike, tuple[Message, ...]], tuple[bytes, ...]]) -> float:
    """Return what a connection that does not read holds for each round, in bytes."""
    pipe: Any = SimpleNamespace()
    crowd = [Outgoing(pipe, pipe) for _ in range(CROWD)]
    rounds = 50
    bodies = [bytes([number]) * 600 for number in range(rounds)]
    tracemalloc.start()
    try:
        for body in bodies:
            alike = Alike()
            for one in crowd:
                told = (alike.announce(Message(MessageKind.ANNOUNCE, body)),)
                one.put(share(alike, told), 0)
        return tracemalloc.get_traced_memory()[0] / rounds / CROWD
    finally:
        tracemalloc.stop()


def test_of_a_round_a_connection_that_does_not_read_holds_only_that_it_waits() -> None:
    """Fixed: 200 bytes, so another 12 KB until it was cut off."""
    assert held_a_round(lambda alike, told: alike.pieces(told)) < 100
    assert held_a_round(lambda _, told: pieces_of(told)) > 120


def test_who_is_told_the_same_is_given_the_same_and_nobody_else() -> None:
    alike = Alike()
    told = [
        (Message(MessageKind.REPLIES, body), Message(MessageKind.ANNOUNCE, b"next"))
        for body in (b"one", b"other", b"one")
    ]
    pieces = [alike.pieces(messages) for messages in told]
    assert pieces[0] is pieces[2]
    assert [b"".join(each) for each in pieces] == [
        b"".join(message.encode() for message in messages) for messages in told
    ]


def test_two_threads_take_turns_in_one_buffer() -> None:
    buffers = TlsBuffers()
    lines = [Line(buffers) for _ in range(4)]

    def talk(line: Line) -> None:
        line.shake_hands()
        for number in range(200):
            line.client.send(bytes([number]) * 50)
            line.carry()

    threads = [threading.Thread(target=talk, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = b"".join(bytes([number]) * 50 for number in range(200))
    assert [line.heard for line in lines] == [expected] * 4
