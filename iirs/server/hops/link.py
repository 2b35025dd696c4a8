"""What one hop says to the next, as values: keys and heads before a round, batches during it.

A link is half-duplex: the hop before asks, the hop behind answers, one request at a time. Nothing in here
touches a socket. Byte tables: ``docs/links.md``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from iirs.chain import Chain
from iirs.epoch import EpochKey
from iirs.errors import HopError, PeerError
from iirs.geometry import ENTRY_SIZE, SIGNATURE_SIZE, BatchKind, Geometry, pieces

CHUNK_MAX = 256 * 1024
"""Bytes a CHUNK carries at most: a batch streams in pieces that are checked one by one."""
BATCH_MAX = 1_000_000
"""Onions or cells a batch holds at most."""
ENTRIES_MAX = 500
"""Directory entries a PREPARE carries at most."""
_HEADER = struct.Struct(">BI")
HEADER_SIZE = _HEADER.size


class LinkKind(IntEnum):
    """What a frame between two hops says. PREPARE, OPEN and BATCH ask; the others answer or go along."""

    PREPARE = 1
    PREPARED = 2
    BEHIND = 3
    OPEN = 4
    OPENED = 5
    BATCH = 6
    CHUNK = 7
    RESULT = 8
    REFUSED = 9


class Refusal(IntEnum):
    """Why a hop does not do what it is asked."""

    UNREACHABLE = 0
    TIMEOUT = 1
    STALE = 2
    KEY = 3
    DIRECTORY = 4
    MALFORMED = 5
    CLOCK = 6
    RATION = 7
    CIRCUITS = 8

    @property
    def why(self) -> str:
        """What to tell the people who run the servers; follows "hop 2"."""
        return _WHY[self]


_WHY = {
    Refusal.UNREACHABLE: "does not answer",
    Refusal.TIMEOUT: "did not answer in time",
    Refusal.STALE: "was asked for a round that is over, or that it was not told of",
    Refusal.KEY: "has no such epoch key any more: it may have been restarted",
    Refusal.DIRECTORY: "does not sign this directory: it does not continue the one it signed before",
    Refusal.MALFORMED: "got, or gave, something that makes no sense",
    Refusal.RATION: "was asked for setups too often; rounds go on as soon as another is due",
    Refusal.CIRCUITS: "has no circuits for this epoch: it may have been restarted",
    Refusal.CLOCK: "has a clock that is more than an hour from the entry's rounds",
}


class RefusedError(HopError):
    """A hop did not do its part, for a reason that can be said on a link."""

    def __init__(self, hop: int, refusal: Refusal) -> None:
        super().__init__(hop, refusal.why)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: kind (1 byte), body length (4), body."""

    kind: LinkKind
    body: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """Return the frame as it travels."""
        return _HEADER.pack(self.kind, len(self.body)) + self.body


def decode_header(data: bytes, allowed: dict[LinkKind, tuple[int, int]]) -> tuple[LinkKind, int]:
    """Read kind and length of a frame. Raises ``PeerError`` unless it may come now, at this length."""
    number, length = _HEADER.unpack(data)
    try:
        kind = LinkKind(number)
        smallest, largest = allowed[kind]
    except (KeyError, ValueError) as error:
        raise PeerError("The other hop sent a frame that may not come now.") from error
    if not smallest <= length <= largest:
        raise PeerError("The other hop sent a frame of a wrong length.")
    return kind, length


def requests(geometry: Geometry) -> dict[LinkKind, tuple[int, int]]:
    """Return what the hop before may ask, and how long each request may be."""
    return {
        LinkKind.PREPARE: (_PREPARE.size, _PREPARE.size + ENTRIES_MAX * ENTRY_SIZE),
        LinkKind.OPEN: (_BUDGET.size + geometry.announcement_size, _BUDGET.size + geometry.announcement_max),
        LinkKind.BATCH: (_BATCH.size,) * 2,
    }


def answers(kind: LinkKind, body_size: int) -> dict[LinkKind, tuple[int, int]]:
    """Return what may answer a request: ``kind`` with ``body_size`` bytes, or a refusal."""
    allowed = {kind: (body_size, body_size), LinkKind.REFUSED: (_REFUSED.size, _REFUSED.size)}
    if kind is LinkKind.PREPARED:
        allowed[LinkKind.BEHIND] = (_LENGTH.size, _LENGTH.size)
    return allowed


_PREPARE = struct.Struct(">IQQ32sII")
_BUDGET = struct.Struct(">I")
_BATCH = struct.Struct(">IQBI")
_LENGTH = struct.Struct(">I")
_REFUSED = struct.Struct(">BB")


@dataclass(frozen=True, slots=True)
class Prepare:
    """Asks every hop for its epoch key for a round, and for its signature under a directory head.

    ``entries`` are the directory's from position ``base`` on; the head is the one after the last of them.
    """

    round_number: int
    setup_round: int
    """The round whose circuits it will use: this one, to ask for a setup."""
    previous: bytes
    """Hash of the announcement before."""
    base: int
    entries: tuple[bytes, ...] = ()

    @property
    def length(self) -> int:
        """How many entries the head to be signed covers."""
        return self.base + len(self.entries)

    def encode(self, budget_ms: int) -> Frame:
        """Return PREPARE; ``budget_ms``: how long the asker waits for the answer."""
        start = _PREPARE.pack(
            budget_ms, self.round_number, self.setup_round, self.previous, self.base, len(self.entries)
        )
        return Frame(LinkKind.PREPARE, start + b"".join(self.entries))

    @classmethod
    def decode(cls, body: bytes) -> tuple[Prepare, int]:
        """Return the request and its budget in ms. Raises ``PeerError`` if it was cut off."""
        budget, number, setup_round, previous, base, count = _PREPARE.unpack_from(body)
        rest = body[_PREPARE.size :]
        if len(rest) != count * ENTRY_SIZE:
            raise PeerError("The other hop sent a part of a directory entry.")
        return cls(number, setup_round, previous, base, tuple(pieces(rest, ENTRY_SIZE))), budget


@dataclass(frozen=True, slots=True)
class Prepared:
    """The epoch keys and head signatures of a hop and all behind it, in chain order."""

    keys: tuple[EpochKey, ...] = ()
    signatures: tuple[bytes, ...] = ()

    def encode(self) -> Frame:
        """Return PREPARED."""
        keys = b"".join(key.encode() for key in self.keys)
        return Frame(LinkKind.PREPARED, keys + b"".join(self.signatures))

    @staticmethod
    def size(geometry: Geometry, hops: int) -> int:
        """Return the size of PREPARED from ``hops`` hops."""
        return hops * (geometry.epoch_key_size + SIGNATURE_SIZE)

    @classmethod
    def decode(cls, body: bytes, geometry: Geometry, hops: int) -> Prepared:
        """Read PREPARED; its length has been checked. ``verified`` says whether to believe it."""
        keys_end = hops * geometry.epoch_key_size
        keys = (EpochKey.decode(piece) for piece in pieces(body[:keys_end], geometry.epoch_key_size))
        return cls(tuple(keys), tuple(pieces(body[keys_end:], SIGNATURE_SIZE)))

    def check(self, chain: Chain, first_hop: int, request: Prepare, head_content: bytes) -> None:
        """Return if each hop from ``first_hop`` on signed its key, for the epoch asked for, and the head.

        Raises ``ChainError`` if not.
        """
        for place, (key, signature) in enumerate(zip(self.keys, self.signatures, strict=True)):
            key.verified_for_epoch(chain, first_hop + place, request.setup_round, request.round_number)
            chain.hops[first_hop + place].verify(signature, head_content)


class BehindError(HopError):
    """A hop holds fewer directory entries than it was asked to go on from: begin at ``length``."""

    def __init__(self, hop: int, length: int) -> None:
        super().__init__(hop, "holds an older directory")
        self.length = length

    def encode(self) -> Frame:
        """Return BEHIND."""
        return Frame(LinkKind.BEHIND, _LENGTH.pack(self.length))


def encode_open(announcement: bytes, budget_ms: int) -> Frame:
    """Return OPEN: this is the round's announcement, as every client was shown it."""
    return Frame(LinkKind.OPEN, _BUDGET.pack(budget_ms) + announcement)


def decode_open(body: bytes) -> tuple[bytes, int]:
    """Return the announcement and the budget in ms."""
    return body[_BUDGET.size :], _BUDGET.unpack_from(body)[0]


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """Says what the CHUNKs that follow are."""

    round_number: int
    kind: BatchKind
    count: int

    def encode(self, budget_ms: int) -> Frame:
        """Return BATCH."""
        return Frame(LinkKind.BATCH, _BATCH.pack(budget_ms, self.round_number, self.kind, self.count))

    @classmethod
    def decode(cls, body: bytes) -> tuple[BatchHeader, int]:
        """Return the header and the budget in ms. Raises ``PeerError`` if it makes no sense."""
        budget, number, kind, count = _BATCH.unpack(body)
        if kind not in BatchKind.__members__.values() or count > BATCH_MAX:
            raise PeerError("The other hop announced a batch that cannot be.")
        return cls(number, BatchKind(kind), count), budget


def result_header(size: int) -> Frame:
    """Return RESULT: CHUNKs with ``size`` bytes in all follow."""
    return Frame(LinkKind.RESULT, _LENGTH.pack(size))


def decode_length(body: bytes) -> int:
    """Read the number in RESULT or BEHIND."""
    return int(_LENGTH.unpack(body)[0])


RESULT_SIZE = _LENGTH.size


def encode_refusal(error: HopError) -> Frame:
    """Return REFUSED for an error here or further down; one that no refusal describes is MALFORMED."""
    refusal = error.refusal if isinstance(error, RefusedError) else Refusal.MALFORMED
    return Frame(LinkKind.REFUSED, _REFUSED.pack(error.hop, refusal))


def decode_refusal(body: bytes, possible: range) -> RefusedError:
    """Return the error a REFUSED frame stands for; ``possible`` hops are the sender and those behind it.

    Raises ``PeerError`` if it blames another hop, or if there is no such reason.
    """
    hop, number = _REFUSED.unpack(body)
    if hop not in possible:
        raise PeerError("The other hop blamed one that is not behind it.")
    try:
        return RefusedError(hop, Refusal(number))
    except ValueError as error:
        raise PeerError("The other hop refused for a reason this program does not know.") from error


def chunks(pieces: Sequence[bytes]) -> Iterator[Frame]:
    """Cut a batch into CHUNKs of whole pieces, each as full as it may be."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        if waiting and size + len(piece) > CHUNK_MAX:
            yield Frame(LinkKind.CHUNK, b"".join(waiting))
            waiting, size = [], 0
        waiting.append(piece)
        size += len(piece)
    if waiting:
        yield Frame(LinkKind.CHUNK, b"".join(waiting))
