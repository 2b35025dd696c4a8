"""Hostile neighbours of a hop: the one before asks anything in any order, the one behind answers anything.

The link's own code runs on wires without sockets. Whatever comes, ``serve`` goes on; a number is used once;
what a hop remembers never goes back; it signs one head of each length; and its log has counts and reasons
only. ``check`` is for the fuzzer and for tests alike.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import takewhile
from queue import SimpleQueue
from random import Random
from typing import cast

from fuzz.world import Choices, chain_keys, directory
from iirs.directory import head_content
from iirs.epoch import EpochKeyring
from iirs.errors import HopError, OnionError
from iirs.geometry import CELL_SIZE, ENTRY_SIZE, BatchKind, pieces
from iirs.onion import RoundContext, wrap
from iirs.server.hops import link
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.later_hop import HopEnvironment, LaterHop, Successor
from iirs.server.hops.link import BatchHeader, Frame, LinkKind, Prepare, Prepared
from iirs.server.hops.link_server import LinkServer
from iirs.server.hops.next_hop import FrameStream, NextHopLink
from iirs.server.hops.preparer import Increment, Place, Preparer
from iirs.server.mix_stage import Batch, MixStage
from iirs.wire.rounds import NO_BUNDLE, NOTHING_BEFORE, Announcement, Bundle, RoundFlags, announcement_hash

KEYS = chain_keys(3)
CHAIN, GEOMETRY = KEYS.chain, KEYS.chain.geometry
PEOPLE = directory(KEYS, *(f"person{number}" for number in range(10)))
RAW = tuple(entry.raw for entry in PEOPLE.entries)
NOW = 3000
_SAID_MAX = 40
"""What a hop before says on all its connections, at most."""
_CONNECTIONS = 4
_TELLING = re.compile(r"[0-9a-f]{9}|b'|\\x|person", re.IGNORECASE)


def make_hop(hop: int, state: HopState, successor: Successor | None) -> LaterHop:
    world = HopEnvironment(Random(0).randbytes, clock=lambda: NOW * CHAIN.round_ms / 1000)
    return LaterHop(CHAIN, hop, KEYS.identities[hop], state, world, successor)


def in_memory() -> HopState:
    return HopState(None, CHAIN.chain_id)


class Wire:
    """What a ``FrameStream`` takes for its socket: somebody who says bytes, and hears them."""

    def __init__(self, say: Callable[[], bytes], hear: Callable[[bytes], None]) -> None:
        self._say = say
        self._hear = hear

    def settimeout(self, seconds: float | None) -> None: ...

    def recv(self, size: int) -> bytes:
        return self._say()

    def sendall(self, data: bytes) -> None:
        self._hear(data)

    def close(self) -> None: ...


class Stream(FrameStream):
    """Frames over a ``Wire``."""

    def __init__(self, say: Callable[[], bytes], hear: Callable[[bytes], None]) -> None:
        super().__init__(cast(ssl.SSLSocket, Wire(say, hear)))

    def close(self) -> None: ...


def _altered(choices: Choices, data: bytes) -> bytes:
    """Return ``data`` as it is, or with a byte changed, cut, twice, or something else in its place."""
    match choices.below(8):
        case 1 if data:
            place = choices.number(2) % len(data)
            return data[:place] + bytes([data[place] ^ (choices.number() or 1)]) + data[place + 1 :]
        case 2:
            return data[: choices.number(2)]
        case 3:
            return data + data
        case 4:
            return choices.take(choices.number())
    return data


# -- the hop before -----------------------------------------------------------------------------------------


class HopBefore:
    """Says what an input chooses, and holds the hop behind to its promises."""

    def __init__(self, choices: Choices, hop: int, later_hop: LaterHop, state: HopState) -> None:
        self._choices = choices
        self._hop = hop
        self._last = later_hop._mix._last
        """The last round of each kind that was run: of cells that is in memory only."""
        self._state = state
        self._said = 0
        self._asked = Prepare(NOW, NOW, NOTHING_BEFORE, 0)
        self._rounds = dict(self._last)
        self._history = NOTHING_BEFORE
        """Hash of the announcement that the hop accepted last."""
        self._running = BatchKind.CELL
        self._prepared: Prepared | None = None
        self._announcement = b""
        self._opens_next = False
        """What is said next is the announcement of what has just been prepared."""
        self._bundle_digest = NO_BUNDLE
        self._signed: dict[int, bytes] = {}
        self._opened = -1
        self._run: set[tuple[int, BatchKind]] = set()
        self._awaited = 0
        self._result = b""
        self._remembered = self._memory()

    def say(self) -> bytes:
        """Return the next request, as bytes; nothing to hang up."""
        choices = self._choices
        self._said += 1
        if choices.ended or self._said > _SAID_MAX:
            return b""
        if self._opens_next:
            self._opens_next = False
            return _altered(choices, self._open())
        match choices.below(6):
            case 0:
                return _altered(choices, self._prepare())
            case 1:
                return _altered(choices, self._open())
            case 2 | 3:
                return _altered(choices, self._send_batch())
            case 4:
                self._opens_next = True
                return self._prepare()
        return choices.take(choices.number())

    def _budget(self) -> int:
        return 0 if self._choices.below(16) == 15 else 120_000

    def _number(self) -> int:
        steps = self._choices.below(8)
        return (NOW, NOW + 1, NOW + 2, NOW + 31, NOW - 1, 0, 2**63, self._asked.round_number)[steps]

    def _prepare(self) -> bytes:
        choices = self._choices
        base, count = choices.below(12), choices.below(12)
        entries = RAW[base : base + count]
        if choices.below(8) == 7:
            entries = (*entries, choices.take(ENTRY_SIZE).ljust(ENTRY_SIZE, b"\1"))
        number, before = self._number(), self._asked
        setup_round = choices.one_of((number, before.setup_round, number - 1 if number else 7))
        previous = choices.one_of((self._history, NOTHING_BEFORE, bytes(31) + b"\1"))
        self._asked = Prepare(number, setup_round, previous, base, entries)
        return self._asked.encode(self._budget()).encode()

    def _open(self) -> bytes:
        choices = self._choices
        number = self._number() if choices.below(8) == 7 else self._asked.round_number
        keys = [] if self._prepared is None else [key.key_id for key in self._prepared.keys]
        key_ids = (*[bytes(32)] * (len(CHAIN.hops) - len(keys)), *keys)
        held = self._state.witnessed
        length = choices.below(11) if choices.below(8) == 7 else held.length
        digest = held.digest if length == held.length else PEOPLE.digests[length]
        head = KEYS.sign_head(length, digest)
        bundle = choices.one_of((NO_BUNDLE, self._bundle_digest, bytes(31) + b"\1"))
        collect_ms = choices.one_of((CHAIN.round_ms, 0, 2**32 - 1))
        shown = Announcement(
            self._asked.previous, number, self._asked.setup_round, RoundFlags.INVITE, collect_ms, 1, 1,
            key_ids, head, length, RAW[:1], (), bundle,
        )  # fmt: skip
        self._announcement = shown.encode()
        return link.encode_open(self._announcement, self._budget()).encode()

    def _send_batch(self) -> bytes:
        choices = self._choices
        kind = choices.one_of(tuple(BatchKind))
        onions = [self._onion(kind) for _ in range(choices.below(5))]
        if onions and choices.below(2):
            onions.append(onions[0])
        header = BatchHeader(self._number(), kind, len(onions))
        frames = [header.encode(self._budget()), *link.chunks(onions)]
        return b"".join(frame.encode() for frame in frames)

    def _onion(self, kind: BatchKind) -> bytes:
        choices = self._choices
        size = GEOMETRY.item_size(len(CHAIN.hops) - self._hop, kind)
        if self._prepared is None or kind is BatchKind.CELL or choices.below(3) == 0:
            return choices.take(4).ljust(size, b"\0")
        keys = [GEOMETRY.suite.load_public(key.public_bytes) for key in self._prepared.keys]
        digest = announcement_hash(self._announcement)
        context = RoundContext(CHAIN.chain_id, self._asked.round_number, digest)
        payload = choices.take(2).ljust(GEOMETRY.item_size(0, kind), b"\0")
        return wrap(payload, keys, GEOMETRY.suite, context, kind, Random(1).randbytes, self._hop)[0]

    def hear(self, data: bytes) -> None:
        """Take in one frame of the answer. Raises ``AssertionError`` if it is not as promised."""
        self._look_back()
        most = len(data) - link.HEADER_SIZE
        kind, length = link.decode_header(data[: link.HEADER_SIZE], dict.fromkeys(LinkKind, (0, most)))
        body = data[link.HEADER_SIZE :]
        assert len(body) == length
        assert (kind is LinkKind.CHUNK) == (self._awaited > 0), "chunks that were not announced"
        match kind:
            case LinkKind.PREPARED:
                self._take_prepared(body)
            case LinkKind.OPENED:
                assert self._opened < self._state.announced, "one number was announced twice"
                self._opened = self._state.announced
                self._history = announcement_hash(self._announcement)
            case LinkKind.RESULT:
                self._begin_result(link.decode_length(body))
            case LinkKind.CHUNK:
                self._awaited -= len(body)
                self._result += body
                assert self._awaited >= 0, "more than was announced"
                self._end_result()
            case LinkKind.REFUSED:
                link.decode_refusal(body, range(self._hop, len(CHAIN.hops)))
                self._rounds = dict(self._last)  # a batch that failed is noted all the same
            case _:
                assert kind is LinkKind.BEHIND, "a frame that only asks"

    def _take_prepared(self, body: bytes) -> None:
        count = len(CHAIN.hops) - self._hop
        assert len(body) == Prepared.size(GEOMETRY, count)
        self._prepared = Prepared.decode(body, GEOMETRY, count)
        head = self._state.witnessed
        assert self._signed.setdefault(head.length, head.digest) == head.digest, "two heads of one length"
        content = head_content(CHAIN.chain_id, head.length, head.digest)
        first_round = self._prepared.keys[0].first_round
        self._prepared.check(CHAIN, self._hop, Prepare(first_round, first_round, NOTHING_BEFORE, 0), content)

    def _begin_result(self, size: int) -> None:
        before, self._rounds = self._rounds, dict(self._last)
        run = [kind for kind in BatchKind if before[kind] != self._rounds[kind]]
        assert len(run) == 1, "a batch that was run, and not noted"
        self._running = run[0]
        stored = self._state.rounds.get(self._running, self._rounds[self._running])
        assert stored == self._rounds[self._running], "a batch that was run, and not noted on disk"
        self._awaited, self._result = size, b""
        self._end_result()

    def _end_result(self) -> None:
        if self._awaited:
            return
        number = self._rounds[self._running]
        assert (number, self._running) not in self._run, "one batch was run twice"
        self._run.add((number, self._running))
        if self._running is BatchKind.INVITATION:
            self._bundle_digest = Bundle.decode(self._result, CHAIN).digest
        else:
            assert len(self._result) % CELL_SIZE == 0
            assert not (self._running is BatchKind.SETUP and self._result), (
                "a setup that gives something back"
            )

    def _memory(self) -> tuple[int, ...]:
        state = self._state
        return (state.announced, state.witnessed.length, *state.rounds.values(), *self._last.values())

    def _look_back(self) -> None:
        before, self._remembered = self._remembered, self._memory()
        pairs = zip(before, self._remembered, strict=True)
        assert all(old <= new for old, new in pairs), "what a hop remembers went back"


# -- the hop behind -----------------------------------------------------------------------------------------


class HopBehind(NextHopLink):
    """The link to a next hop that answers as an honest one, or as an input chooses."""

    def __init__(self, choices: Choices, hop: int, honest: LaterHop) -> None:
        """``hop`` asks; ``honest`` stands behind it."""
        self.__dict__.update(_link(hop).__dict__)
        self._choices = choices
        self._honest = honest
        self._request = b""
        self._connections = 0

    def _connect(self, give_up_at: float) -> FrameStream:
        self._connections += 1
        if self._connections > _CONNECTIONS:
            raise ConnectionRefusedError
        self._request = b""
        return Stream(self._say, self._hear)

    def _hear(self, data: bytes) -> None:
        self._request += data

    def _say(self) -> bytes:
        request, self._request = self._request, b""
        if not request:
            return self._choices.take(self._choices.number())
        answers = b"".join(frame.encode() for frame in self._answer(request))
        if self._choices.below(8) == 7:
            number = self._choices.number(2)
            answers = Frame(LinkKind.REFUSED, number.to_bytes(2)).encode()
            if number % 2:
                answers = Frame(LinkKind.BEHIND, bytes(3) + bytes([number >> 8])).encode()
        return _altered(self._choices, answers)

    def _answer(self, request: bytes) -> list[Frame]:
        """Return what an honest hop answers to requests, several if answers came before they were asked."""
        allowed = {**link.requests(GEOMETRY), LinkKind.CHUNK: (0, link.CHUNK_MAX)}
        frames: list[Frame] = []
        while request:
            kind, length = link.decode_header(request[: link.HEADER_SIZE], allowed)
            frames.append(Frame(kind, request[link.HEADER_SIZE :][:length]))
            request = request[link.HEADER_SIZE + length :]
        answers: list[Frame] = []
        for place, frame in enumerate(frames):
            chunks = takewhile(lambda frame: frame.kind is LinkKind.CHUNK, frames[place + 1 :])
            try:
                answers += self._honest_answer(frame, b"".join(chunk.body for chunk in chunks))
            except link.BehindError as error:
                answers.append(error.encode())
            except HopError as error:
                answers.append(link.encode_refusal(error))
        return answers

    def _honest_answer(self, frame: Frame, onions: bytes) -> list[Frame]:
        match frame.kind:
            case LinkKind.PREPARE:
                return [self._honest.prepare(Prepare.decode(frame.body)[0], _soon()).encode()]
            case LinkKind.OPEN:
                self._honest.open_round(link.decode_open(frame.body)[0], _soon())
                return [Frame(LinkKind.OPENED)]
            case LinkKind.BATCH:
                return self._honest_batch(BatchHeader.decode(frame.body)[0], onions)
        return []  # a chunk, which went with its batch

    def _honest_batch(self, header: BatchHeader, data: bytes) -> list[Frame]:
        size = GEOMETRY.item_size(GEOMETRY.hops - self._hop, header.kind)
        assert len(data) == header.count * size
        context = self._honest.context(header.round_number)
        batch = Batch(context, header.kind, pieces(data, size), _soon())
        answers: list[bytes] = []
        match header.kind:
            case BatchKind.SETUP:
                self._honest.set_up(batch)
            case BatchKind.INVITATION:
                answers = [self._honest.collect_invitations(batch).encode_body()]
            case BatchKind.CELL:
                answers = self._honest.exchange(batch)
        return [link.result_header(sum(map(len, answers))), *link.chunks(answers)]


@cache
def _link(hop: int) -> NextHopLink:
    # Made once, as ``_server`` is.
    return NextHopLink(CHAIN, hop, KEYS.identities[hop])


def _soon() -> float:
    return time.monotonic() + 120


# -- what is checked ----------------------------------------------------------------------------------------


class Telling(logging.Handler):
    """Keeps what the hops log, and demands that it says nothing of keys, bytes or people."""

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        assert record.exc_info is None, "a traceback in the log"
        assert not _TELLING.search(said), "something in the log that nobody should read"


@cache
def _server(hop: int) -> LinkServer:
    # Made once: its TLS context takes longer than everything else. Without a socket none of it is used.
    return LinkServer(CHAIN, hop, KEYS.identities[hop], make_hop(hop, in_memory(), None))


def serve(choices: Choices, hop: int, later_hop: LaterHop, state: HopState) -> None:
    """Let a hop before say what it likes on some connections, until it has nothing more to say."""
    server, before = _server(hop), HopBefore(choices, hop, later_hop, state)
    server._later_hop, server._admitted = later_hop, SimpleQueue()
    for _ in range(_CONNECTIONS):
        server._admit(Stream(before.say, before.hear))
    server._admit(None)
    server.serve()  # what it raises would end a hop's thread


def _as_entry(choices: Choices, behind: HopBehind) -> None:
    """Do an entry's part of some rounds with a next hop that answers as it likes."""
    keyring = EpochKeyring(CHAIN, 0, KEYS.identities[0])
    preparer = Preparer(CHAIN, KEYS.identities[0], keyring, behind)
    stage, place = MixStage(behind, Random(2).randbytes), Place(NOW, NOW, NOTHING_BEFORE)
    places = 0
    for number in takewhile(lambda _: not choices.ended, range(NOW, NOW + 4)):
        end = choices.below(len(RAW) + 1)
        start = choices.below(end + 1)
        increment = Increment(start, RAW[start:end], PEOPLE.digests[end])
        place = replace(place, round_number=number)
        place = place if stage.is_set_up else place.as_setup()
        with suppress(HopError, OnionError):
            ready = preparer.prepare(place, increment, RAW[:end], _soon())
            ready.head.verify(CHAIN)
            place = ready.place
            key_ids = tuple(key.key_id for key in ready.keys)
            shown = Announcement(
                place.previous, number, place.setup_round, RoundFlags.INVITE, CHAIN.round_ms, 1, 1, key_ids,
                ready.head, end, (),
            ).encode()  # fmt: skip
            context = RoundContext(CHAIN.chain_id, number, announcement_hash(shown))
            place = replace(place, previous=context.announcement_hash)
            behind.open_round(shown, _soon())
            if ready.place.is_setup:
                size = GEOMETRY.item_size(2, BatchKind.SETUP)
                places = choices.below(4)
                stage.set_up(context, [bytes([onion]) * size for onion in range(places)], _soon())
            cells = stage.exchange(context, stage.random_cells(places), _soon())
            assert [len(cell) for cell in cells] == [CELL_SIZE] * places
            invitation = bytes(GEOMETRY.item_size(2, BatchKind.INVITATION))
            assert stage.collect_invitations(context, [invitation], _soon()).round_number == number
    behind.close()


def check(data: bytes) -> None:
    """Have a hop deal with the neighbours that an input describes. Raises whatever it should not."""
    choices = Choices(data)
    log, telling = logging.getLogger("iirs.mix"), Telling()
    log.addHandler(telling)
    log.setLevel(logging.INFO)
    state, last_state = in_memory(), in_memory()
    last = make_hop(2, last_state, None)
    try:
        match choices.below(4):
            case 0:
                serve(choices, 2, make_hop(2, state, None), state)
            case 1:
                serve(choices, 1, make_hop(1, state, last), state)
            case 2:
                serve(choices, 1, make_hop(1, state, HopBehind(choices, 1, last)), state)
            case _:
                _as_entry(choices, HopBehind(choices, 0, make_hop(1, state, last)))
    finally:
        log.removeHandler(telling)
