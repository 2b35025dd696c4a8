"""What clients and the entry say in a round, as values: announcement, upload, replies, bundle, standby."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from iirs import PROTOCOL_VERSION
from iirs.chain import Chain
from iirs.directory import Head
from iirs.errors import PeerError
from iirs.geometry import (
    ENTRY_SIZE,
    ERRAND_SIZE,
    HASH_SIZE,
    INVITATION_SIZE,
    PREKEY_INCREMENT_MAX,
    PREKEY_SIZE,
    SIGNATURE_SIZE,
    BatchKind,
    Geometry,
    entry_room,
    pieces,
    prekey_room,
)
from iirs.message import Message, MessageKind
from iirs.wire.accounts import NO_ERRAND, Errand

_BUNDLE_LABEL = b"iirs/1 bundle"


NO_BUNDLE = bytes(HASH_SIZE)
"""In place of the digest of a bundle, where there is none."""


class RoundFlags(IntFlag):
    """What is special about a round."""

    NONE = 0
    INVITE = 1


class RoundStatus(IntEnum):
    """What became of this client's upload."""

    DONE = 0
    LOST = 1
    """The round failed; nothing was delivered to anyone."""
    MISSING = 2
    """No upload from this client was in the batch: what came back is for the random cells in its place."""
    NO_CIRCUITS = 3
    """This client has no circuits in this epoch."""


_ANNOUNCEMENT = struct.Struct(">BQQBIHI")
_ANNOUNCEMENT_LABEL = b"iirs/3 announcement"
NOTHING_BEFORE = bytes(HASH_SIZE)
"""In place of the hash of the announcement before, where there is none."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """What opens a round, the same for every client; its hash is part of every layer."""

    previous: bytes = field(repr=False)
    """``announcement_hash`` of the one before."""
    round_number: int
    setup_round: int
    """The round whose circuits this one uses: this one, if it is a setup round."""
    flags: RoundFlags
    collect_ms: int
    """How long after sending this the batch closes, in milliseconds."""
    invite_every: int
    online: int
    """How many clients the last batch held."""
    key_ids: tuple[bytes, ...]
    head: Head
    increment_start: int
    increment: tuple[bytes, ...]
    prekeys: tuple[bytes, ...] = ()
    bundle_digest: bytes = NO_BUNDLE
    """``Bundle.digest`` of the round executed before, or zeros if it had none."""

    def encode(self) -> bytes:
        """Return the announcement, as long as ``Geometry.announcement_with`` says."""
        start = self.previous + _ANNOUNCEMENT.pack(
            PROTOCOL_VERSION,
            self.round_number,
            self.setup_round,
            self.flags,
            self.collect_ms,
            self.invite_every,
            self.online,
        )
        entries = b"".join(self.increment).ljust(entry_room(len(self.increment)) * ENTRY_SIZE, b"\0")
        increment = struct.pack(">IB", self.increment_start, len(self.increment)) + entries
        records = b"".join(self.prekeys).ljust(prekey_room(len(self.prekeys)) * PREKEY_SIZE, b"\0")
        prekeys = bytes([len(self.prekeys)]) + records
        return start + b"".join(self.key_ids) + self.head.encode() + increment + prekeys + self.bundle_digest

    @classmethod
    def decode(cls, data: bytes, geometry: Geometry) -> Announcement:
        """Read an announcement. Raises ``PeerError`` if it makes no sense."""
        no_sense = PeerError("The server announced a round this program does not understand.")
        if len(data) < geometry.announcement_size:
            raise no_sense
        version, number, setup_round, flags, collect_ms, invite_every, online = _ANNOUNCEMENT.unpack_from(
            data, HASH_SIZE
        )
        rest = data[HASH_SIZE + _ANNOUNCEMENT.size :]
        keys_end = geometry.hops * HASH_SIZE
        head_end = keys_end + geometry.head_size
        start, count = struct.unpack_from(">IB", rest, head_end)
        if len(data) < geometry.announcement_with(count, 0):
            raise no_sense
        entries_end = head_end + 5 + entry_room(count) * ENTRY_SIZE
        prekeys = rest[entries_end]
        if prekeys > PREKEY_INCREMENT_MAX or len(data) != geometry.announcement_with(count, prekeys):
            raise no_sense
        entries, no_entries = _cut(rest[head_end + 5 : entries_end], count * ENTRY_SIZE)
        records, no_records = _cut(rest[entries_end + 1 : -HASH_SIZE], prekeys * PREKEY_SIZE)
        if version != PROTOCOL_VERSION or flags > 1 or any(no_entries) or any(no_records):
            raise no_sense
        return cls(
            data[:HASH_SIZE],
            number,
            setup_round,
            RoundFlags(flags),
            collect_ms,
            invite_every,
            online,
            tuple(pieces(rest[:keys_end], HASH_SIZE)),
            Head.decode(rest[keys_end:head_end]),
            start,
            tuple(pieces(entries, ENTRY_SIZE)),
            tuple(pieces(records, PREKEY_SIZE)),
            rest[-HASH_SIZE:],
        )

    def has_time_for_uploads(self, round_ms: int) -> bool:
        """Say whether uploads get the time they should: half a round at least, one and a half at most.

        With less, an upload would leave when its work is done, and its moment would show how much that was.
        """
        return round_ms // 2 <= self.collect_ms <= round_ms + -(-round_ms // 2)

    @property
    def has_invitations(self) -> bool:
        """True if this round carries a batch of invitations."""
        return RoundFlags.INVITE in self.flags

    @property
    def is_setup(self) -> bool:
        """True if this round begins an epoch."""
        return self.setup_round == self.round_number


def _cut(data: bytes, size: int) -> tuple[bytes, bytes]:
    return data[:size], data[size:]


_UNKNOWN_HOP = 255


@dataclass(frozen=True, slots=True)
class Standby:
    """Sent instead of an announcement, once a round period, while a hop of the chain does not answer."""

    hop: int | None
    """The hop that does not answer, from 1 (the entry is 0, and says this); ``None``: not known."""

    def encode(self) -> Message:
        """Return the STANDBY message, the same for every client."""
        return Message(MessageKind.STANDBY, bytes([_UNKNOWN_HOP if self.hop is None else self.hop]))

    @classmethod
    def decode(cls, body: bytes, geometry: Geometry) -> Standby:
        """Read a STANDBY body. Raises ``PeerError`` if the chain has no such later hop."""
        hop = body[0]
        if hop == _UNKNOWN_HOP:
            return cls(None)
        if not 1 <= hop < geometry.hops:
            raise PeerError("The server waits for a server that is not in its chain.")
        return cls(hop)


def announcement_hash(encoded: bytes) -> bytes:
    """Return what the next announcement names, and every layer of the round is bound to.

    It covers the hash of the announcement before, and so all that came before it.
    """
    previous, body = encoded[:HASH_SIZE], encoded[HASH_SIZE:]
    return hashlib.sha256(_ANNOUNCEMENT_LABEL + previous + hashlib.sha256(body).digest()).digest()


class NoticeFlags(IntFlag):
    """The byte that each announcement has for one client alone."""

    NONE = 0
    LATE = 1
    """The last upload came too late."""
    ERRAND_DONE = 2
    ERRAND_REFUSED = 4

    @classmethod
    def decode(cls, value: int) -> NoticeFlags:
        """Read the byte. Raises ``PeerError`` if it has a bit that means nothing."""
        if value > 7:
            raise PeerError("The server announced a round this program does not understand.")
        return cls(value)


@dataclass(frozen=True, slots=True)
class Upload:
    """A client's cells of one round, sealed for the entry, and the onions that some rounds have besides."""

    round_number: int
    cells: tuple[bytes, ...]
    setups: tuple[bytes, ...] = ()
    invitations: tuple[bytes, ...] = ()
    errand: Errand = NO_ERRAND

    def encode(self) -> list[Message]:
        """Return SETUP and INVITE, if there are such onions, and UPLOAD last."""
        number = struct.pack(">Q", self.round_number)
        before = ((MessageKind.SETUP, self.setups), (MessageKind.INVITE, self.invitations))
        messages = [Message(kind, number + b"".join(onions)) for kind, onions in before if onions]
        upload = number + self.errand.encode() + b"".join(self.cells)
        return [*messages, Message(MessageKind.UPLOAD, upload)]

    @classmethod
    def decode(cls, body: bytes, before: Mapping[MessageKind, bytes], geometry: Geometry) -> Upload:
        """Read UPLOAD, and the bodies of what came before it; their lengths have been checked.

        Raises ``PeerError`` for parts of different rounds, and for an errand that is none.
        """
        if any(part[:8] != body[:8] for part in before.values()):
            raise PeerError("A client sent parts of two uploads.")
        start = 8 + ERRAND_SIZE
        setup_size, invitation_size, cell_size = (
            geometry.uploaded_size(kind) for kind in (BatchKind.SETUP, BatchKind.INVITATION, BatchKind.CELL)
        )
        return cls(
            int.from_bytes(body[:8]),
            tuple(pieces(body[start:], cell_size)),
            tuple(pieces(before.get(MessageKind.SETUP, b"")[8:], setup_size)),
            tuple(pieces(before.get(MessageKind.INVITE, b"")[8:], invitation_size)),
            Errand.decode(body[8:start]),
        )


@dataclass(frozen=True, slots=True)
class Replies:
    """What comes back through a client's circuits, in their order."""

    round_number: int
    status: RoundStatus
    cells: tuple[bytes, ...]

    @property
    def has_answers(self) -> bool:
        """Whether the cells are what came back, and not random bytes that are the same for everybody."""
        return self.status in (RoundStatus.DONE, RoundStatus.MISSING)

    def encode(self) -> Message:
        """Return the REPLIES message."""
        start = struct.pack(">QB", self.round_number, self.status)
        return Message(MessageKind.REPLIES, start + b"".join(self.cells))

    @classmethod
    def decode(cls, body: bytes, geometry: Geometry) -> Replies:
        """Read replies. Raises ``PeerError`` if the status is unknown."""
        number, status = struct.unpack_from(">QB", body)
        size = geometry.uploaded_size(BatchKind.CELL)
        try:
            return cls(number, RoundStatus(status), tuple(pieces(body[9:], size)))
        except ValueError as error:
            raise PeerError("The server sent replies with a status that does not exist.") from error


@dataclass(frozen=True, slots=True)
class Bundle:
    """Everything that lies in dead drop 0 after one round, signed by the last hop."""

    round_number: int
    invitations: tuple[bytes, ...]
    signature: bytes = b""

    def signed_content(self, chain_id: bytes) -> bytes:
        """Return what the last hop signs."""
        digest = hashlib.sha256(b"".join(self.invitations)).digest()
        return _BUNDLE_LABEL + chain_id + struct.pack(">Q", self.round_number) + digest

    def encode(self) -> Message:
        """Return the BUNDLE message."""
        return Message(MessageKind.BUNDLE, self.encode_body())

    @property
    def digest(self) -> bytes:
        """SHA-256 of the body: by this the next announcement names the bundle, to everybody alike."""
        return hashlib.sha256(self.encode_body()).digest()

    def encode_body(self) -> bytes:
        """Return the body of the BUNDLE message."""
        start = struct.pack(">QI", self.round_number, len(self.invitations))
        return start + b"".join(self.invitations) + self.signature

    @classmethod
    def decode(cls, body: bytes, chain: Chain) -> Bundle:
        """Read a bundle and check the last hop's signature. Raises ``PeerError``, ``ChainError``."""
        cut_off = PeerError("The server sent a bundle of invitations that was cut off.")
        if len(body) < chain.geometry.bundle_size(0):
            raise cut_off
        number, count = struct.unpack_from(">QI", body)
        if len(body) != chain.geometry.bundle_size(count):
            raise cut_off
        invitations = tuple(pieces(body[12:-SIGNATURE_SIZE], INVITATION_SIZE))
        bundle = cls(number, invitations, body[-SIGNATURE_SIZE:])
        chain.hops[-1].verify(bundle.signature, bundle.signed_content(chain.chain_id))
        return bundle
