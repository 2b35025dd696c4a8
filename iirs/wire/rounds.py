"""What clients and the entry say in a round, as values: announcement, upload, replies, bundle, standby."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
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
    """No upload from this client was in the batch."""


_ANNOUNCEMENT = struct.Struct(">BQBIHI")


@dataclass(frozen=True, slots=True)
class Announcement:
    """What opens a round, the same for every client; its hash is part of every layer."""

    round_number: int
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
        start = _ANNOUNCEMENT.pack(
            PROTOCOL_VERSION,
            self.round_number,
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
        version, number, flags, collect_ms, invite_every, online = _ANNOUNCEMENT.unpack_from(data)
        rest = data[_ANNOUNCEMENT.size :]
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
            number,
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
        """True if this round carries the second batch."""
        return RoundFlags.INVITE in self.flags


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
    """Return the SHA-256 of an encoded announcement."""
    return hashlib.sha256(encoded).digest()


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
    """A client's onions of one round, as sealed for the entry."""

    round_number: int
    onions: tuple[bytes, ...]
    invitations: tuple[bytes, ...] = ()
    errand: Errand = NO_ERRAND

    def encode(self) -> Message:
        """Return UPLOAD, or UPLOAD_INVITE if there are invitations."""
        kind = MessageKind.UPLOAD_INVITE if self.invitations else MessageKind.UPLOAD
        onions = b"".join(self.onions) + b"".join(self.invitations)
        return Message(kind, struct.pack(">Q", self.round_number) + self.errand.encode() + onions)

    @classmethod
    def decode(cls, message: Message, geometry: Geometry) -> Upload:
        """Read an upload; its length has been checked. Raises ``PeerError`` for an errand that is none."""
        size = geometry.entry_onion_size(BatchKind.CONVERSATION)
        start = 8 + ERRAND_SIZE
        end = start + geometry.onions_per_client * size
        onions = tuple(pieces(message.body[start:end], size))
        invitations = tuple(pieces(message.body[end:], geometry.entry_onion_size(BatchKind.INVITATION)))
        errand = Errand.decode(message.body[8:start])
        return cls(int.from_bytes(message.body[:8]), onions, invitations, errand)


@dataclass(frozen=True, slots=True)
class Replies:
    """What comes back for a client's conversation onions, in the order it uploaded them."""

    round_number: int
    status: RoundStatus
    replies: tuple[bytes, ...]

    def encode(self) -> Message:
        """Return the REPLIES message."""
        start = struct.pack(">QB", self.round_number, self.status)
        return Message(MessageKind.REPLIES, start + b"".join(self.replies))

    @classmethod
    def decode(cls, body: bytes, geometry: Geometry) -> Replies:
        """Read replies. Raises ``PeerError`` if the status is unknown."""
        number, status = struct.unpack_from(">QB", body)
        try:
            return cls(number, RoundStatus(status), tuple(pieces(body[9:], geometry.entry_reply_size)))
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
