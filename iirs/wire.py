"""The bodies of messages between client and server, as values.

Every body has one size per kind, except CHAIN, DIRECTORY and BUNDLE, whose sizes depend on public facts
only (the chain, who is registered, who is online). Byte tables: ``docs/protocol.md`` section 3.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from iirs import PROTOCOL_VERSION
from iirs.chain import Chain
from iirs.directory import Head, decode_name, encode_name
from iirs.errand import NO_ERRAND, Errand
from iirs.errors import PeerError
from iirs.geometry import (
    ACCOUNT_SIZE,
    CHAIN_FILE_MAX,
    CLOSE_SIZE,
    DIRECTORY_INCREMENT,
    ENTRY_SIZE,
    ERRAND_SIZE,
    HASH_SIZE,
    HELLO_SIZE,
    INVITATION_SIZE,
    LOGIN_SECRET_SIZE,
    NAME_FIELD_SIZE,
    PREKEY_INCREMENT,
    PREKEY_SIZE,
    REGISTER_SIZE,
    RESULT_SIZE,
    SIGNATURE_SIZE,
    STANDBY_SIZE,
    VAULT_SIZE,
    BatchKind,
    Geometry,
)
from iirs.message import Limits, Message, MessageKind

MAX_ENTRIES = 100_000
MAX_INVITATIONS = 100_000
_BUNDLE_LABEL = b"iirs/1 bundle"
NO_BUNDLE = bytes(HASH_SIZE)
"""In place of the digest of a bundle, where there is none."""
_COUNT = struct.Struct(">I")


class Result(IntEnum):
    """The server's answer to REGISTER or LOGIN, with the sentence the person reads."""

    OK = 0
    NAME_TAKEN = 1
    UNKNOWN_NAME = 2
    WRONG_PASSWORD = 3
    INVALID = 4
    TOO_MANY = 5
    STALE_KEY = 6
    NOT_YET = 7
    DELETED = 8

    @property
    def sentence(self) -> str:
        """What to tell the person."""
        return _RESULT_SENTENCES[self]


_RESULT_SENTENCES = {
    Result.OK: "Done.",
    Result.NAME_TAKEN: "That name is taken. Names are first come, first served: choose another.",
    Result.UNKNOWN_NAME: "Nobody with that name is registered here. Check the spelling, or register first.",
    Result.WRONG_PASSWORD: "The password is wrong.",
    Result.INVALID: "The server did not accept this registration: a field is not as it must be.",
    Result.TOO_MANY: "Too many attempts. Wait a minute, then try again.",
    Result.STALE_KEY: "The server has changed its key just now; the next attempt will work.",
    Result.DELETED: "This account was deleted. Its name stays taken.",
    Result.NOT_YET: "Not every server of the chain has signed this registration yet. Try again in a moment.",
}


class CloseReason(IntEnum):
    """Why the server closes one connection."""

    STOPPING = 0
    REPLACED = 1
    PROTOCOL = 2
    TIMEOUT = 3
    VERSION = 4
    INCOMPLETE = 5

    @property
    def sentence(self) -> str:
        """What to tell the person."""
        return _CLOSE_SENTENCES[self]


_CLOSE_SENTENCES = {
    CloseReason.STOPPING: "The server is stopping.",
    CloseReason.REPLACED: "This account logged in somewhere else, so this window is no longer connected.",
    CloseReason.PROTOCOL: "The server could not understand a message and closed this connection.",
    CloseReason.TIMEOUT: "The server heard nothing for too long and closed this connection.",
    CloseReason.INCOMPLETE: "A server of the chain is not there yet. It will be tried again.",
    CloseReason.VERSION: "The server speaks another version of the protocol. Update the older of the two.",
}


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


def client_limits() -> Limits:
    """Return what the server may send before the client knows the chain."""
    return {
        MessageKind.CHAIN: (1, CHAIN_FILE_MAX),
        MessageKind.CLOSE: (CLOSE_SIZE, CLOSE_SIZE),
    }


def session_limits(geometry: Geometry) -> Limits:
    """Return what the server may send to a client that knows the chain."""
    fixed = {
        MessageKind.KEYS: geometry.keys_size,
        MessageKind.RESULT: RESULT_SIZE,
        MessageKind.ACCOUNT: ACCOUNT_SIZE,
        MessageKind.ANNOUNCE: geometry.announce_size,
        MessageKind.REPLIES: geometry.replies_size,
        MessageKind.CLOSE: CLOSE_SIZE,
        MessageKind.STANDBY: STANDBY_SIZE,
    }
    limits = {kind: (size, size) for kind, size in fixed.items()}
    empty = geometry.head_size + _COUNT.size
    limits[MessageKind.DIRECTORY] = (empty, empty + MAX_ENTRIES * (ENTRY_SIZE + PREKEY_SIZE))
    limits[MessageKind.BUNDLE] = (geometry.bundle_size(0), geometry.bundle_size(MAX_INVITATIONS))
    return limits


def greeting_limits(geometry: Geometry) -> Limits:
    """Return what a client may send after its HELLO and before its session."""
    return {
        MessageKind.REGISTER: (REGISTER_SIZE, REGISTER_SIZE),
        MessageKind.LOGIN: (geometry.login_size, geometry.login_size),
    }


def upload_limits(geometry: Geometry) -> Limits:
    """Return what a client may send in its session."""
    return {
        MessageKind.PREKEY: (PREKEY_SIZE, PREKEY_SIZE),
        MessageKind.UPLOAD: (geometry.upload_size, geometry.upload_size),
        MessageKind.UPLOAD_INVITE: (geometry.upload_invite_size, geometry.upload_invite_size),
    }


HELLO_LIMITS: Limits = {MessageKind.HELLO: (HELLO_SIZE, HELLO_SIZE)}


def hello() -> Message:
    """Return the first thing a client says."""
    return Message(MessageKind.HELLO, struct.pack(">H", PROTOCOL_VERSION))


@dataclass(frozen=True, slots=True)
class Registration:
    """What a new account hands the server: entry, login secret, vault."""

    entry: bytes
    login_secret: bytes = field(repr=False)
    vault: bytes = field(repr=False)

    def encode(self) -> Message:
        """Return the REGISTER message."""
        return Message(MessageKind.REGISTER, self.entry + self.login_secret + self.vault)

    @classmethod
    def decode(cls, body: bytes) -> Registration:
        """Read a REGISTER body; its length has been checked."""
        secret_end = ENTRY_SIZE + LOGIN_SECRET_SIZE
        return cls(body[:ENTRY_SIZE], body[ENTRY_SIZE:secret_end], body[secret_end:])


@dataclass(frozen=True, slots=True)
class Login:
    """Name, login secret, and the offer of a session secret to the entry's epoch key."""

    name: str
    login_secret: bytes = field(repr=False)
    key_id: bytes
    offer: bytes = field(repr=False)

    def encode(self) -> Message:
        """Return the LOGIN message."""
        return Message(
            MessageKind.LOGIN, encode_name(self.name) + self.login_secret + self.key_id + self.offer
        )

    @classmethod
    def decode(cls, body: bytes) -> Login:
        """Read a LOGIN body. Raises ``AccountError`` if the name is not one."""
        name = decode_name(body[:NAME_FIELD_SIZE])
        rest = body[NAME_FIELD_SIZE:]
        key_end = LOGIN_SECRET_SIZE + HASH_SIZE
        return cls(name, rest[:LOGIN_SECRET_SIZE], rest[LOGIN_SECRET_SIZE:key_end], rest[key_end:])


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """What login gives back: own place in the directory, last round used, vault."""

    position: int
    last_round: int
    vault: bytes = field(repr=False)

    def encode(self) -> Message:
        """Return the ACCOUNT message."""
        return Message(MessageKind.ACCOUNT, struct.pack(">IQ", self.position, self.last_round) + self.vault)

    @classmethod
    def decode(cls, body: bytes) -> AccountRecord:
        """Read an ACCOUNT body; its length has been checked."""
        position, last_round = struct.unpack_from(">IQ", body)
        return cls(position, last_round, body[-VAULT_SIZE:])


def encode_directory(head: Head, entries: Sequence[bytes], prekeys: Sequence[bytes]) -> Message:
    """Return the DIRECTORY message: the head, how many entries, every entry, the prekeys."""
    body = head.encode() + _COUNT.pack(len(entries)) + b"".join(entries) + b"".join(prekeys)
    return Message(MessageKind.DIRECTORY, body)


def decode_directory(body: bytes, geometry: Geometry) -> tuple[Head, list[bytes], list[bytes]]:
    """Read a DIRECTORY body. Raises ``PeerError`` if it holds a part of an entry or of a prekey."""
    (count,) = _COUNT.unpack_from(body, geometry.head_size)
    rest = body[geometry.head_size + _COUNT.size :]
    end = count * ENTRY_SIZE
    if len(rest) < end or (len(rest) - end) % PREKEY_SIZE:
        raise PeerError("The server sent a directory that was cut off.")
    head = Head.decode(body[: geometry.head_size])
    return head, _cut(rest[:end], ENTRY_SIZE), _cut(rest[end:], PREKEY_SIZE)


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
        """Return the announcement, ``Geometry.announcement_size`` bytes."""
        start = _ANNOUNCEMENT.pack(
            PROTOCOL_VERSION,
            self.round_number,
            self.flags,
            self.collect_ms,
            self.invite_every,
            self.online,
        )
        entries = b"".join(self.increment)
        filler = bytes(DIRECTORY_INCREMENT * ENTRY_SIZE - len(entries))
        increment = struct.pack(">IB", self.increment_start, len(self.increment)) + entries + filler
        records = b"".join(self.prekeys).ljust(PREKEY_INCREMENT * PREKEY_SIZE, b"\0")
        prekeys = bytes([len(self.prekeys)]) + records
        return start + b"".join(self.key_ids) + self.head.encode() + increment + prekeys + self.bundle_digest

    @classmethod
    def decode(cls, data: bytes, geometry: Geometry) -> Announcement:
        """Read an announcement. Raises ``PeerError`` if it makes no sense."""
        version, number, flags, collect_ms, invite_every, online = _ANNOUNCEMENT.unpack_from(data)
        rest = data[_ANNOUNCEMENT.size :]
        keys_end = geometry.hops * HASH_SIZE
        head_end = keys_end + geometry.head_size
        start, count = struct.unpack_from(">IB", rest, head_end)
        entries_end = head_end + 5 + DIRECTORY_INCREMENT * ENTRY_SIZE
        prekeys = rest[entries_end]
        too_many = count > DIRECTORY_INCREMENT or prekeys > PREKEY_INCREMENT
        if version != PROTOCOL_VERSION or too_many or flags > 1:
            raise PeerError("The server announced a round this program does not understand.")
        entries = rest[head_end + 5 :][: count * ENTRY_SIZE]
        records = rest[entries_end + 1 :][: prekeys * PREKEY_SIZE]
        return cls(
            number,
            RoundFlags(flags),
            collect_ms,
            invite_every,
            online,
            tuple(_cut(rest[:keys_end], HASH_SIZE)),
            Head.decode(rest[keys_end:head_end]),
            start,
            tuple(_cut(entries, ENTRY_SIZE)),
            tuple(_cut(records, PREKEY_SIZE)),
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
        """Read an upload; its length has been checked. Raises ``PeerError`` for an unknown errand."""
        size = geometry.entry_onion_size(BatchKind.CONVERSATION)
        start = 8 + ERRAND_SIZE
        end = start + geometry.onions_per_client * size
        onions = tuple(_cut(message.body[start:end], size))
        invitations = tuple(_cut(message.body[end:], geometry.entry_onion_size(BatchKind.INVITATION)))
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
            return cls(number, RoundStatus(status), tuple(_cut(body[9:], geometry.entry_reply_size)))
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
        invitations = tuple(_cut(body[12:-SIGNATURE_SIZE], INVITATION_SIZE))
        bundle = cls(number, invitations, body[-SIGNATURE_SIZE:])
        chain.hops[-1].verify(bundle.signature, bundle.signed_content(chain.chain_id))
        return bundle


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
