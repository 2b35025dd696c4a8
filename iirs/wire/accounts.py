"""What client and entry say of accounts, as values: registration, login, directory, errands.

Byte tables: ``docs/protocol.md`` sections 3 and 4.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from iirs.directory import Head, decode_name, encode_name
from iirs.errors import AccountError, PeerError
from iirs.geometry import (
    ENTRY_SIZE,
    HASH_SIZE,
    LOGIN_SECRET_SIZE,
    NAME_FIELD_SIZE,
    PREKEY_SIZE,
    TICKET_SIZE,
    VAULT_SIZE,
    Geometry,
    pieces,
)
from iirs.message import Message, MessageKind
from iirs.wire.limits import COUNT

_TICKET_LABEL = b"iirs/1 login ticket"


class ErrandKind(IntEnum):
    """What a client wants the entry to do with its account."""

    NONE = 0
    NEW_PASSWORD = 1
    DELETE = 2


@dataclass(frozen=True, slots=True)
class Errand:
    """In every upload, of one size: what the entry is to do with the account, or nothing."""

    kind: ErrandKind = ErrandKind.NONE
    login_secret: bytes = field(default=bytes(LOGIN_SECRET_SIZE), repr=False)
    vault: bytes = field(default=bytes(VAULT_SIZE), repr=False)

    def encode(self) -> bytes:
        """Return ``ERRAND_SIZE`` bytes."""
        return bytes([self.kind]) + self.login_secret + self.vault

    @classmethod
    def decode(cls, data: bytes) -> Errand:
        """Read an errand; its length has been checked.

        Raises ``PeerError`` if there is no such kind, or if it says more than its kind does.
        """
        try:
            kind = ErrandKind(data[0])
        except ValueError as error:
            raise PeerError("A client sent an errand of a kind that does not exist.") from error
        if kind is not ErrandKind.NEW_PASSWORD and any(data[1:]):
            raise PeerError("A client sent an errand that says more than its kind does.")
        end = 1 + LOGIN_SECRET_SIZE
        return cls(kind, data[1:end], data[end:])


NO_ERRAND = Errand()

NO_TICKET = bytes(TICKET_SIZE)


def login_ticket(chain_id: bytes, vault: bytes) -> bytes:
    """Return what shows that a machine has had the vault, so that somebody could log in there before.

    It opens nothing, and without the vault no password can be tried against it.
    """
    return hashlib.sha256(_TICKET_LABEL + chain_id + vault).digest()


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
    NOT_NOW = 9

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
    Result.NOT_NOW: "The server cannot store anything just now. Try again in a minute.",
}


class RefusedError(AccountError):
    """The server refused a registration or login, and said why."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.sentence)
        self.result = result


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
    """Name, login secret, ticket, and the offer of a session secret to the entry's epoch key."""

    name: str
    login_secret: bytes = field(repr=False)
    key_id: bytes
    offer: bytes = field(repr=False)
    ticket: bytes = field(default=NO_TICKET, repr=False)

    def encode(self) -> Message:
        """Return the LOGIN message."""
        fields = (encode_name(self.name), self.login_secret, self.ticket, self.key_id, self.offer)
        return Message(MessageKind.LOGIN, b"".join(fields))

    @classmethod
    def decode(cls, body: bytes) -> Login:
        """Read a LOGIN body. Raises ``AccountError`` if the name is not one."""
        name = decode_name(body[:NAME_FIELD_SIZE])
        rest = body[NAME_FIELD_SIZE:]
        ticket_end = LOGIN_SECRET_SIZE + TICKET_SIZE
        key_end = ticket_end + HASH_SIZE
        secret, ticket = rest[:LOGIN_SECRET_SIZE], rest[LOGIN_SECRET_SIZE:ticket_end]
        return cls(name, secret, rest[ticket_end:key_end], rest[key_end:], ticket)


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


def directory_start(head: Head, prekeys: int) -> bytes:
    """Return how DIRECTORY begins as it travels; ``head.length`` entries and so many prekeys follow."""
    start = head.encode() + COUNT.pack(head.length)
    size = len(start) + head.length * ENTRY_SIZE + prekeys * PREKEY_SIZE
    return struct.pack(">BI", MessageKind.DIRECTORY, size) + start


def encode_directory(head: Head, entries: Sequence[bytes], prekeys: Sequence[bytes]) -> Message:
    """Return the DIRECTORY message: the head, how many entries, every entry, the prekeys."""
    body = head.encode() + COUNT.pack(len(entries)) + b"".join(entries) + b"".join(prekeys)
    return Message(MessageKind.DIRECTORY, body)


def decode_directory(body: bytes, geometry: Geometry) -> tuple[Head, list[bytes], list[bytes]]:
    """Read a DIRECTORY body. Raises ``PeerError`` if it holds a part of an entry or of a prekey."""
    (count,) = COUNT.unpack_from(body, geometry.head_size)
    rest = body[geometry.head_size + COUNT.size :]
    end = count * ENTRY_SIZE
    if len(rest) < end or (len(rest) - end) % PREKEY_SIZE:
        raise PeerError("The server sent a directory that was cut off.")
    head = Head.decode(body[: geometry.head_size])
    return head, pieces(rest[:end], ENTRY_SIZE), pieces(rest[end:], PREKEY_SIZE)
