"""One connection by itself: who reads slowly, hangs up or disturbs it, and whom that holds up."""

from __future__ import annotations

import os
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

import iirs.server.connectionThread
from iirs.errors import PeerError
from iirs.geometry import VAULT_SIZE
from iirs.message import Message, MessageKind, MessageReader
from iirs.onion import EntryChannel
from iirs.server.connectionThread import Arrival, ConnectionSettings, ConnectionThread
from iirs.server.keystore import ChainOptions, make_keys
from iirs.server.net.leftover_writer import LeftoverWriter
from iirs.tls import TlsPipe, client_context, make_certificate, server_context
from iirs.wire.accounts import AccountRecord
from iirs.wire.limits import CloseReason, hello
from tests.harness import wait_until
from tests.raw import RawEnd


class Nobody:
    """A desk that is asked for nothing but a short welcome, and remembers who left."""

    def __init__(self) -> None:
        self.gone: list[ConnectionThread] = []

    def enter(self, connection: ConnectionThread) -> tuple[bytes, ...]:
        return ()

    def left(self, connection: ConnectionThread) -> None:
        self.gone.append(connection)

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"nobody should have asked for {name}")


@dataclass
class Pair:
    """A connection's thread and the client at the other end of its socket, both past the handshake."""

    connection: ConnectionThread
    client: RawEnd
    desk: Nobody


@contextmanager
def connected_pair() -> Iterator[Pair]:
    here, there = socket.socketpair()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    desk, writer = Nobody(), LeftoverWriter()
    writer.start()
    geometry = make_keys(ChainOptions()).chain.geometry
    here.setblocking(False)
    with RawEnd(there, client_context(), server_side=False) as client:
        pipe = shaken_hands(client.pipe)
        record, channel = AccountRecord(0, 0, bytes(VAULT_SIZE)), EntryChannel(bytes(32), b"", 0)
        arrival = Arrival(here, pipe, MessageReader({}), record, channel)
        connection = ConnectionThread(arrival, desk, geometry, writer, ConnectionSettings())
        connection.start()
        yield Pair(connection, client, desk)
    connection.join(60)
    assert desk.gone == [connection]
    writer.stop()
    writer.join(60)
    assert not writer.is_alive()


def shaken_hands(client: TlsPipe) -> TlsPipe:
    """Return the server's end of a client's TLS."""
    pipe = TlsPipe(server_context(*make_certificate()), server_side=True)
    client.start()
    while not (pipe.established and client.established):
        pipe.feed(client.take_outgoing())
        client.feed(pipe.take_outgoing())
    return pipe


def big(number: int) -> Message:
    return Message(MessageKind.CHAIN, bytes([number]) * 200_000)


def test_one_who_reads_slowly_gets_everything_in_order_and_nobody_waits() -> None:
    with connected_pair() as pair:
        for number in range(10):
            pair.connection.send([big(number)], 0)  # returns although most of it cannot have left
        assert [pair.client.read() for _ in range(10)] == [big(number) for number in range(10)]
        pair.connection.close(CloseReason.STOPPING)
        assert pair.client.ending() is CloseReason.STOPPING


def test_one_who_reads_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iirs.server.connectionThread, "_HELD_MAX", 1_000_000)
    with connected_pair() as pair:
        for number in range(10):
            pair.connection.send([big(number)])
        received = []
        while (message := pair.client.read()) is not None:
            received.append(message)
        assert len(received) < 10
        pair.connection.send([big(0)])  # to nobody, and without harm


def test_one_who_hangs_up_while_much_is_waiting_is_forgotten() -> None:
    with connected_pair() as pair:
        for number in range(10):
            pair.connection.send([big(number)])
        pair.client.socket.close()


class WakeFirst(selectors.DefaultSelector):
    """Reports what is readable first: the order in which a release comes before a flush."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return sorted(super().select(timeout), key=lambda item: item[1])


def test_the_writer_outlives_a_socket_that_is_released_as_it_becomes_ready() -> None:
    writer = LeftoverWriter()
    writer._selector = WakeFirst()
    gone, other = socket.socketpair(), socket.socketpair()
    flushed = threading.Event()

    def flush_other() -> bool:
        flushed.set()
        return True

    writer._selector.register(gone[0], selectors.EVENT_WRITE, lambda: True)
    writer.release(gone[0])
    writer.start()
    wait_until(lambda: gone[0].fileno() < 0)
    writer.watch(other[0], flush_other)
    assert flushed.wait(60)
    writer.release(other[0])
    writer.stop()
    writer.join(60)
    assert not writer.is_alive()
    gone[1].close()
    other[1].close()


def test_a_connection_whose_tls_is_disturbed_can_still_be_sent_to_without_harm() -> None:
    with connected_pair() as pair:
        pair.connection.send([hello()])
        assert pair.client.read() == hello()
        with pair.connection._lock, pytest.raises(PeerError, match="disturbed"):
            pair.connection._pipe.feed(b"\x17\x03\x03\x00\x40" + os.urandom(64))
        pair.connection.send([hello()])  # as the round's writer does, before the thread has noticed
        pair.connection.close(CloseReason.PROTOCOL)
