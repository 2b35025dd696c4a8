"""The two kinds of message: ``Message`` between client and server, ``PeerMessage`` end to end.

Both are values: bytes in, frozen objects out. No socket, no thread, no clock.
Byte tables: ``docs/protocol.md`` sections 3 and 11.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from iirs.errors import PeerError, PeerMessageError
from iirs.geometry import HASH_SIZE, PEER_MESSAGE_SIZE, SIGNATURE_SIZE, RandomBytes
from iirs.identity import Identity, VerifyKey


class MessageKind(IntEnum):
    """What a frame between client and server says."""

    HELLO = 1
    CHAIN = 2
    KEYS = 3
    REGISTER = 4
    RESULT = 5
    LOGIN = 6
    ACCOUNT = 7
    DIRECTORY = 8
    ANNOUNCE = 9
    UPLOAD = 10
    INVITE = 11
    REPLIES = 12
    BUNDLE = 13
    CLOSE = 14
    PREKEY = 15
    STANDBY = 16
    SETUP = 17


Limits = Mapping[MessageKind, tuple[int, int]]
"""For each kind that may come now: the smallest and largest body, in bytes."""

_HEADER = struct.Struct(">BI")
HEADER_SIZE = _HEADER.size


@dataclass(frozen=True, slots=True)
class Message:
    """One frame: kind (1 byte), body length (4 bytes), body."""

    kind: MessageKind
    body: bytes = field(repr=False)

    @property
    def header(self) -> bytes:
        """Kind and length, as they travel before the body."""
        return _HEADER.pack(self.kind, len(self.body))

    def encode(self) -> bytes:
        """Return the frame as it travels."""
        return self.header + self.body


class MessageReader:
    """Cuts a stream of bytes, split anywhere, into messages.

    It holds at most one incomplete message, and refuses a kind or length that may not come now as
    soon as the header is there, so nobody can make it wait or buffer beyond ``limits``.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add bytes as they came."""
        self._buffer += data

    @property
    def at_boundary(self) -> bool:
        """True when no message has begun to arrive; what ends elsewhere was cut off."""
        return not self._buffer

    def next_message(self) -> Message | None:
        """Return the next whole message, or ``None`` until more bytes come. Raises ``PeerError``."""
        if len(self._buffer) < HEADER_SIZE:
            return None
        kind_number, length = _HEADER.unpack_from(self._buffer)
        try:
            kind = MessageKind(kind_number)
        except ValueError as error:
            raise PeerError("The other end sent a message of a kind that does not exist.") from error
        if kind not in self.limits:
            raise PeerError(f"A message of kind {kind.name} may not come now.")
        smallest, largest = self.limits[kind]
        if not smallest <= length <= largest:
            raise PeerError(f"A message of kind {kind.name} has a wrong length.")
        if len(self._buffer) < HEADER_SIZE + length:
            return None
        body = bytes(self._buffer[HEADER_SIZE : HEADER_SIZE + length])
        del self._buffer[: HEADER_SIZE + length]
        return Message(kind, body)


class Direction(IntEnum):
    """Which of the two people of a conversation a peer message comes from."""

    FROM_GENERATOR = 0
    FROM_LISTENER = 1


class ContentKind(IntEnum):
    """What the payload is. Control has kinds of its own: nothing a person types is ever a command."""

    IDLE = 0
    TEXT = 1
    HEAD_PROOF = 2
    NOTE = 3
    PART = 4


class RenewalPhase(IntEnum):
    """Where the sender stands in renewing the shared secret (``DeadDropSync``)."""

    NONE = 0
    PROPOSE = 1
    READY = 2
    COMMIT = 3


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """The keys of one peer message: one round, one direction, one dead drop. Used once, then erased."""

    encryption: bytes = field(repr=False)
    authentication: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageContext:
    """Where a peer message belongs; its MAC and its signature cover all of it."""

    conversation: bytes
    round_number: int
    direction: Direction
    drop: int

    def encode(self) -> bytes:
        """Return 26 bytes."""
        return self.conversation + struct.pack(">QBB", self.round_number, self.direction, self.drop)


SENT_AT_MAX = 2**63 - 1
"""The latest time a message may name: what stores it counts no further."""
IV_SIZE = 16
MAC_SIZE = 32
_PLAIN_SIZE = PEER_MESSAGE_SIZE - IV_SIZE - MAC_SIZE
_FIELDS = struct.Struct(f">QQQQB16sHHBQ32sI{HASH_SIZE}sQH")
PAYLOAD_MAX = _PLAIN_SIZE - SIGNATURE_SIZE - _FIELDS.size
_MAC_LABEL = b"iirs/1 peer message mac"
_SIGNATURE_LABEL = b"iirs/1 peer message signature"
_TEXT_ID_SIZE = 16


@dataclass(frozen=True, slots=True)
class PeerMessage:
    """What two people exchange through a dead drop: always 1,024 bytes that look random.

    IV (16), AES-256-CBC (976 = 61 blocks, so there is no padding to attack), HMAC-SHA-256 (32) over IV,
    ciphertext and context: encrypt-then-MAC. Inside, an ECDSA signature over context and content.
    """

    sent_at_ms: int = 0
    sequence: int = 0
    """Position of this fragment in the sender's stream; means nothing with ``IDLE`` and ``HEAD_PROOF``."""
    acknowledged: int = 0
    """Every fragment before this position has been stored by the sender of this message."""
    acknowledged_bits: int = 0
    """Bit i: fragment ``acknowledged + 1 + i`` has been stored too."""
    kind: ContentKind = ContentKind.IDLE
    text_id: bytes = bytes(_TEXT_ID_SIZE)
    fragment: int = 0
    fragments: int = 0
    renewal_phase: RenewalPhase = RenewalPhase.NONE
    renewal_round: int = 0
    """With ``COMMIT``: the round from which the new secret is used. With ``READY``: the first 8 bytes of the
    SHA-256 of the proposal it answers."""
    renewal_key: bytes = bytes(32)
    head_length: int = 0
    head_hash: bytes = bytes(HASH_SIZE)
    end_round: int = 0
    """The round from which the sender is gone, or 0."""
    payload: bytes = field(default=b"", repr=False)

    SIZE: ClassVar[int] = PEER_MESSAGE_SIZE

    def _encode(self) -> bytes:
        if len(self.payload) > PAYLOAD_MAX:
            raise ValueError(f"a peer message carries at most {PAYLOAD_MAX} bytes")
        head = _FIELDS.pack(*(getattr(self, name) for name in _FIELD_NAMES), len(self.payload))
        return head + self.payload + bytes(PAYLOAD_MAX - len(self.payload))

    @classmethod
    def _decode(cls, content: bytes) -> PeerMessage:
        *raw, length = _FIELDS.unpack_from(content)
        payload = content[_FIELDS.size : _FIELDS.size + length]
        if length > PAYLOAD_MAX:
            raise PeerMessageError("a peer message claims more than it holds")
        if any(content[_FIELDS.size + length :]):
            raise PeerMessageError("a peer message holds more than it claims")
        values = dict(zip(_FIELD_NAMES, raw, strict=True))
        if values["sent_at_ms"] > SENT_AT_MAX:
            raise PeerMessageError("a peer message of a time that no store can hold")
        try:
            values["kind"] = ContentKind(values["kind"])
            values["renewal_phase"] = RenewalPhase(values["renewal_phase"])
        except ValueError as error:
            raise PeerMessageError("a peer message of a kind this version does not know") from error
        return cls(**values, payload=payload)

    def seal(
        self, keys: MessageKeys, context: MessageContext, identity: Identity, random_bytes: RandomBytes
    ) -> bytes:
        """Return the 1,024 bytes to leave in the dead drop. Raises ``ValueError`` for too long a payload."""
        content = self._encode()
        signature = identity.sign(_SIGNATURE_LABEL + context.encode() + content)
        iv = random_bytes(IV_SIZE)
        encryptor = Cipher(algorithms.AES(keys.encryption), modes.CBC(iv)).encryptor()
        sealed = iv + encryptor.update(signature + content) + encryptor.finalize()
        return sealed + _mac(keys, context, sealed)

    @classmethod
    def open(cls, data: bytes, keys: MessageKeys, context: MessageContext, sender: VerifyKey) -> PeerMessage:
        """Return what ``sender`` sealed for exactly this context. Raises ``PeerMessageError``."""
        sealed, mac = data[:-MAC_SIZE], data[-MAC_SIZE:]
        if len(data) != PEER_MESSAGE_SIZE or not hmac.compare_digest(mac, _mac(keys, context, sealed)):
            raise PeerMessageError("a peer message does not authenticate")
        decryptor = Cipher(algorithms.AES(keys.encryption), modes.CBC(sealed[:IV_SIZE])).decryptor()
        plain = decryptor.update(sealed[IV_SIZE:]) + decryptor.finalize()
        signature, content = plain[:SIGNATURE_SIZE], plain[SIGNATURE_SIZE:]
        try:
            sender.verify(signature, _SIGNATURE_LABEL + context.encode() + content)
        except InvalidSignature as error:
            raise PeerMessageError("a peer message is not signed by this peer") from error
        return cls._decode(content)


_FIELD_NAMES = tuple(item.name for item in fields(PeerMessage) if item.name != "payload")


def _mac(keys: MessageKeys, context: MessageContext, sealed: bytes) -> bytes:
    return hmac.digest(keys.authentication, _MAC_LABEL + context.encode() + sealed, "sha256")
