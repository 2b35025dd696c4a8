"""What goes wrong inside one link: threads, addresses, disks. ``test_chain_faults`` has the processes."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from iirs.errors import HopError, StoreError
from iirs.geometry import BatchKind
from iirs.onion import RoundContext
from iirs.server.hops import link
from iirs.server.hops.link import BatchHeader, Frame, LinkKind, Prepare, Refusal, RefusedError
from iirs.server.hops.link_server import LinkServer
from iirs.server.hops.next_hop import FrameStream, NextHopLink
from iirs.server.mix_stage import Batch
from iirs.tls import link_context
from iirs.wire.rounds import NOTHING_BEFORE
from tests.builders import make_chain

KEYS = make_chain(3)
ALLOWED = {LinkKind.OPENED: (0, 0)}


def soon() -> float:
    return time.monotonic() + 60


@contextmanager
def two_ends() -> Iterator[tuple[FrameStream, FrameStream]]:
    """A link between hops 0 and 1: the asking and the answering end."""
    asking, answering = socket.socketpair()
    identities, hops = KEYS.identities, KEYS.chain.hops
    made: list[FrameStream] = []

    def answer() -> None:
        context = link_context(identities[1], hops[0].identity, server_side=True)
        made.append(FrameStream(context.wrap_socket(answering, server_side=True)))

    thread = threading.Thread(target=answer)
    thread.start()
    context = link_context(identities[0], hops[1].identity, server_side=False)
    client = FrameStream(context.wrap_socket(asking))
    thread.join(60)
    try:
        yield client, made[0]
    finally:
        client.release()
        made[0].release()


def test_a_frame_goes_from_one_end_to_the_other() -> None:
    with two_ends() as (client, server):
        client.send([Frame(LinkKind.OPENED)], soon())
        assert server.receive(ALLOWED, soon()) == Frame(LinkKind.OPENED)
        server.close()
        with pytest.raises(OSError, match="hung up"):
            client.receive(ALLOWED, soon())


def test_a_stream_that_another_thread_ends_is_never_read_past_its_tls() -> None:
    """Fixed: what had arrived was read as it was on the wire; or, in worse moments, the thread died of it."""
    with two_ends() as (client, server):
        client.send([Frame(LinkKind.OPENED)], soon())
        ending = threading.Thread(target=server.close)
        ending.start()
        ending.join(60)
        assert server.receive(ALLOWED, soon()) == Frame(LinkKind.OPENED)
        with pytest.raises(OSError, match="hung up"):
            server.receive(ALLOWED, soon())
        with pytest.raises(OSError):  # noqa: PT011  # which, is for OpenSSL to say
            server.send([Frame(LinkKind.OPENED)], soon())


@pytest.mark.parametrize("host", ["no-such-host.invalid", "two..dots", "x" * 64])
def test_an_address_that_leads_nowhere_is_a_hop_that_does_not_answer(host: str) -> None:
    """Fixed: a name that no name can be was an error of another kind, and ended the thread that asked."""
    hops = (KEYS.chain.hops[0], replace(KEYS.chain.hops[1], address=f"{host}:9"), *KEYS.chain.hops[2:])
    successor = NextHopLink(replace(KEYS.chain, hops=hops), 0, KEYS.identities[0])
    with pytest.raises(HopError, match="hop 1 does not answer"):
        successor.prepare(Prepare(1, 1, NOTHING_BEFORE, 0), soon())


# -- what a hop's log says ----------------------------------------------------------------------------------


class _Failing:
    """In place of a ``LaterHop``: prepares, and fails at all else as long as it is told to."""

    error: HopError | StoreError | None = None

    def open_round(self, announcement: bytes, give_up_at: float) -> None:
        if self.error is not None:
            raise self.error

    def context(self, round_number: int) -> RoundContext:
        return RoundContext(KEYS.chain.chain_id, round_number, bytes(32))

    def exchange(self, batch: Batch) -> list[bytes]:
        if self.error is not None:
            raise RefusedError(1, Refusal.STALE)
        return []


def test_what_keeps_rounds_from_being_run_is_said_once_until_one_is(caplog: pytest.LogCaptureFixture) -> None:
    """Fixed: a line for every round, for as long as a disk was full or a clock wrong."""
    hop = _Failing()
    answering = LinkServer(KEYS.chain, 1, KEYS.identities[1], hop)  # type: ignore[arg-type]
    opening = link.encode_open(bytes(KEYS.chain.geometry.announcement_size), 1000)
    with two_ends() as (before, here):

        def a_round() -> None:
            for ask in (opening, BatchHeader(7, BatchKind.CELL, 0).encode(1000)):
                before.send([ask], soon())
                answering._answer(here)

        for error in (None, StoreError("the disk is full"), RefusedError(2, Refusal.CLOCK), None, None):
            hop.error = error
            for _ in range(3):
                a_round()
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [
        "the disk is full",
        "hop 1 was asked for a round that is over, or that it was not told of",
        "hop 2 has a clock that is more than an hour from the entry's rounds",
        "rounds go on",
    ]
