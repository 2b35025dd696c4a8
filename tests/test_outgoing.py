"""What one slow client makes a server hold: a record, and what is its own; however much it is told."""

from __future__ import annotations

import socket
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.directory import Head
from iirs.geometry import ENTRY_SIZE, PREKEY_SIZE, SIGNATURE_SIZE
from iirs.message import Message, MessageKind
from iirs.server.accounts.database import Storage
from iirs.server.accounts.prekey_store import PrekeyStore, ShownPrekeys
from iirs.server.net.outgoing import FLUSHED_AT_ONCE, Outgoing, records
from iirs.server.told_alike import Alike, directory_pieces
from iirs.tls import RECORD_MAX
from iirs.wire.accounts import encode_directory
from iirs.wire.rounds import Replies, RoundStatus
from tests.builders import make_chain, make_directory, make_prekey

SIZES = st.lists(
    st.sampled_from([0, 1, 5, 100, RECORD_MAX - 1, RECORD_MAX, RECORD_MAX + 1, 40_000]), max_size=8
)


@given(SIZES)
def test_what_is_cut_up_is_cut_as_tls_cuts_one_write(sizes: list[int]) -> None:
    pieces = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    whole = b"".join(pieces)
    assert list(records(pieces)) == [
        whole[start : start + RECORD_MAX] for start in range(0, len(whole), RECORD_MAX)
    ]


@dataclass
class Pipe:
    """TLS that adds nothing."""

    waiting: bytes = b""

    def send(self, plaintext: bytes) -> None:
        self.waiting += plaintext

    def take_outgoing(self, most: int = -1) -> bytes:
        count = len(self.waiting) if most < 0 else most
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken


@dataclass
class Socket:
    """Takes so many bytes, and then no more."""

    room: int = 0
    taken: bytearray = field(default_factory=bytearray)

    def send(self, data: memoryview) -> int:
        if not self.room:
            raise BlockingIOError
        count = min(self.room, len(data))
        self.taken += data[:count]
        self.room -= count
        return count


def outgoing(room: int = 0) -> tuple[Outgoing, Socket]:
    sock = Socket(room)
    return Outgoing(Pipe(), sock), sock  # type: ignore[arg-type]


@dataclass
class Endless:
    """Pieces of a directory that goes on for ever, and how many were made."""

    made: int = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.made += 1
            yield bytes(ENTRY_SIZE)


def test_of_a_directory_only_as_much_is_made_as_the_socket_takes() -> None:
    waiting, sock = outgoing()
    directory = Endless()
    waiting.put(directory, 0)
    assert not waiting.flush()
    assert directory.made <= RECORD_MAX // ENTRY_SIZE + 1
    sock.room = 5 * RECORD_MAX
    while sock.room:
        assert not waiting.flush()
    assert directory.made <= 6 * RECORD_MAX // ENTRY_SIZE + 1


def test_of_a_directory_that_waits_no_more_than_a_record_is_held() -> None:
    crowd = [outgoing()[0] for _ in range(40)]
    tracemalloc.start()
    try:
        for one in crowd:
            one.put((bytes(1000) for _ in range(10_000)), 0)
            one.flush()
        held = tracemalloc.get_traced_memory()[0] / len(crowd)
    finally:
        tracemalloc.stop()
    assert held < 1.3 * RECORD_MAX  # the pipe here keeps a whole record


def test_one_turn_has_an_end_however_fast_the_client_reads() -> None:
    waiting, sock = outgoing(room=10**9)
    waiting.put(Endless(), 0)
    assert not waiting.flush()
    assert FLUSHED_AT_ONCE <= len(sock.taken) <= FLUSHED_AT_ONCE + RECORD_MAX


def test_writes_leave_in_order_each_in_records_of_its_own_and_what_they_held_is_let_go() -> None:
    waiting, sock = outgoing()
    for number in range(4):
        waiting.put([bytes([number]) * 30_000], 30_000)
    assert not waiting.flush()
    assert waiting.held >= 120_000
    sock.room = 10**9
    while waiting:
        waiting.flush()
    assert waiting.held == 0
    assert bytes(sock.taken) == b"".join(bytes([number]) * 30_000 for number in range(4))


@pytest.mark.parametrize(("is_shared", "is_small"), [(True, True), (False, False)])
def test_what_all_are_told_is_in_memory_once(is_shared: bool, is_small: bool) -> None:
    """Fixed: each connection that did not read held the directory and each bundle for itself."""
    body = bytes(1_000_000)
    crowd = [outgoing()[0] for _ in range(40)]
    tracemalloc.start()
    try:
        for one in crowd:
            one.put([b"header", body if is_shared else bytes(bytearray(body))], 0)
            one.flush()
        held = tracemalloc.get_traced_memory()[0] / len(crowd)
    finally:
        tracemalloc.stop()
    assert (held < 2 * RECORD_MAX) is is_small


def test_what_is_dropped_is_let_go_at_once() -> None:
    waiting, sock = outgoing()
    waiting.put([bytes(100_000)], 100_000)
    waiting.flush()
    waiting.drop()
    sock.room = 10**9
    assert not waiting
    assert waiting.held == 0
    assert waiting.flush()
    assert not sock.taken


# -- what is told alike ------------------------------------------------------------------------------------


def test_replies_without_answers_and_announcements_are_the_same_for_everybody() -> None:
    alike = Alike()
    for status in RoundStatus:
        replies = Replies(7, status, (bytes(100),))
        assert alike.replies(replies) == replies.encode()
        is_alike = status in (RoundStatus.LOST, RoundStatus.NO_CIRCUITS)
        assert (alike.replies(replies) is alike.replies(replies)) is is_alike
    told = [alike.announce(Message(MessageKind.ANNOUNCE, bytes([notice]) + b"round")) for notice in (0, 1, 0)]
    assert told[0] is told[2]
    assert [message.body[0] for message in told] == [0, 1, 0]


@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 300])
def test_a_directory_in_pieces_is_the_directory(length: int) -> None:
    entries = [bytes([number % 256]) * ENTRY_SIZE for number in range(length)]
    prekeys = ShownPrekeys(((b"p" * PREKEY_SIZE,), (b"q" * PREKEY_SIZE,) * 2))
    head = Head(length, bytes(32), bytes(SIGNATURE_SIZE))
    given_out = directory_pieces(head, lambda start, stop: entries[start:stop], prekeys)
    assert b"".join(given_out) == encode_directory(head, entries, list(prekeys)).encode()


CHAIN = make_chain().chain
NAMES = [f"person{number}" for number in range(130)]


def test_prekeys_as_they_were_share_what_has_not_changed() -> None:
    directory = make_directory(CHAIN, *NAMES)
    store = PrekeyStore(CHAIN, Storage("sqlite://"), directory.entries.__getitem__)
    store.announce(0, 1000)
    period = CHAIN.period(1000)
    for name in (NAMES[0], NAMES[127]):
        store.take(make_prekey(directory, name, period), 1000)
    before, again = store.known(256, 1000), store.known(256, 1000)
    assert before.blocks[0] is again.blocks[0]
    store.take(make_prekey(directory, NAMES[129], period), 1000)
    store.take(make_prekey(directory, NAMES[0], period, " elsewhere"), 1000)
    after = store.known(256, 1000)
    assert len(before) == 2
    assert len(after) == 3
    assert next(iter(before)) != next(iter(after))
    assert list(before)[1] is list(after)[1]
    assert len(store.known(129, 1000)) == 2


def test_a_socket_that_is_gone_takes_nothing_and_costs_nothing() -> None:
    here, there = socket.socketpair()
    here.setblocking(False)
    there.close()
    waiting = Outgoing(Pipe(), here)  # type: ignore[arg-type]
    waiting.put([bytes(10)], 10)
    with pytest.raises(OSError, match=r"pipe|reset"):
        waiting.flush()
    here.close()
