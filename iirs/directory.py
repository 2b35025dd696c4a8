"""The directory: who is registered, with which key. Append-only, hash-chained, held whole by everyone.

Holding all of it means that looking somebody up never touches the network, and that a server that shows
two people two directories is caught when they compare heads (``docs/protocol.md`` section 8).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature

from iirs.chain import Chain
from iirs.errors import AccountError, DirectoryError, PeerError
from iirs.geometry import ENTRY_SIZE, HASH_SIZE, NAME_FIELD_SIZE, NAME_MAX, SIGNATURE_SIZE
from iirs.identity import Identity, VerifyKey, checked_name

_ENTRY_LABEL = b"iirs/1 directory entry"
_CHAIN_LABEL = b"iirs/1 directory chain"
_HEAD_LABEL = b"iirs/1 directory head"


def encode_name(name: str) -> bytes:
    """Return the 33-byte field: length in bytes, the name, zeros."""
    raw = checked_name(name).encode()
    return bytes([len(raw)]) + raw + bytes(NAME_MAX - len(raw))


def decode_name(data: bytes) -> str:
    """Return the name in a 33-byte field. Raises ``AccountError`` unless it is exactly one."""
    try:
        name = data[1 : 1 + data[0]].decode("ascii")
    except UnicodeDecodeError as error:
        raise AccountError("A name has letters a-z, digits, dot, dash and underscore only.") from error
    if len(data) != NAME_FIELD_SIZE or encode_name(name) != data:
        raise AccountError("A name field is not filled in the way it must be.")
    return name


@dataclass(frozen=True, slots=True)
class Entry:
    """One person: name, signing key, and proof that they hold it."""

    name: str
    verify_key: VerifyKey = field(repr=False)
    raw: bytes = field(repr=False)

    @classmethod
    def create(cls, chain_id: bytes, name: str, identity: Identity) -> Entry:
        """Return the entry this identity registers under ``name``."""
        content = encode_name(name) + identity.verify_key_bytes
        return cls.parse(chain_id, content + identity.sign(_ENTRY_LABEL + chain_id + content))

    @classmethod
    def parse(cls, chain_id: bytes, raw: bytes) -> Entry:
        """Read and check an entry. Raises ``DirectoryError`` unless it is well formed and self-signed."""
        if len(raw) != ENTRY_SIZE:
            raise DirectoryError("An entry in the server's list of people has a wrong length.")
        content, signature = raw[:-SIGNATURE_SIZE], raw[-SIGNATURE_SIZE:]
        try:
            name = decode_name(content[:NAME_FIELD_SIZE])
            verify_key = VerifyKey(content[NAME_FIELD_SIZE:])
            verify_key.verify(signature, _ENTRY_LABEL + chain_id + content)
        except (AccountError, ValueError, InvalidSignature) as error:
            raise DirectoryError(
                "An entry in the server's list of people is not signed as it must be."
            ) from error
        return cls(name, verify_key, raw)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the whole entry: what signatures name a person by."""
        return hashlib.sha256(self.raw).digest()


@dataclass(frozen=True, slots=True)
class Head:
    """How long the directory is, the hash of all of it, and each hop's signature over both."""

    length: int
    digest: bytes
    signatures: bytes

    def encode(self) -> bytes:
        """Return length (4), hash (32), 64 bytes a hop."""
        return struct.pack(">I", self.length) + self.digest + self.signatures

    @classmethod
    def decode(cls, data: bytes) -> Head:
        """Read what ``encode`` wrote; the signatures are checked by ``verify``."""
        return cls(int.from_bytes(data[:4]), data[4 : 4 + HASH_SIZE], data[4 + HASH_SIZE :])

    def verify(self, chain: Chain) -> None:
        """Return if every hop signed this head. Raises ``ChainError`` if not."""
        signed = head_content(chain.chain_id, self.length, self.digest)
        for position, hop in enumerate(chain.hops):
            hop.verify(self.signatures[position * SIGNATURE_SIZE : (position + 1) * SIGNATURE_SIZE], signed)


def head_content(chain_id: bytes, length: int, digest: bytes) -> bytes:
    """Return the bytes a hop signs to vouch for a head."""
    return _HEAD_LABEL + chain_id + struct.pack(">I", length) + digest


class Directory:
    """All entries in order, with the hash at every length. Not thread-safe: one owner."""

    def __init__(self, chain_id: bytes) -> None:
        self.chain_id = chain_id
        self.entries: list[Entry] = []
        self.digests = [hashlib.sha256(_CHAIN_LABEL + chain_id).digest()]
        self._positions: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many people are registered."""
        return len(self.entries)

    def append(self, entry: Entry) -> None:
        """Add one entry. Raises ``DirectoryError`` if the name is there: names are for good."""
        if entry.name in self._positions:
            raise DirectoryError("The list of people names somebody twice.")
        self._positions[entry.name] = len(self.entries)
        self.entries.append(entry)
        self.digests.append(self.next_digest(self.digests[-1], entry.raw))

    @staticmethod
    def next_digest(digest: bytes, entry: bytes) -> bytes:
        """Return the digest after one more entry, given as its raw bytes."""
        return hashlib.sha256(_CHAIN_LABEL + digest + entry).digest()

    def position(self, name: str) -> int:
        """Return where ``name`` stands. Raises ``AccountError`` if nobody has that name."""
        try:
            return self._positions[checked_name(name)]
        except KeyError:
            raise AccountError("Nobody with that name is registered here.") from None

    def lookup(self, name: str) -> Entry:
        """Return ``name``'s entry. Raises ``AccountError`` if nobody has that name."""
        return self.entries[self.position(name)]

    def extend(self, start: int, entries: Iterable[bytes], head: Head, chain: Chain) -> None:
        """Take in entries from position ``start`` on; afterwards this copy agrees with ``head``.

        Entries already held must be the same. Raises ``DirectoryError`` on a difference or a head that does
        not fit, ``ChainError`` if the head is not signed, and ``PeerError`` if a part is missing: whoever
        connects again gets all of it. Then nothing has been taken in.
        """
        head.verify(chain)
        raws = list(entries)
        if start + len(raws) > head.length:
            # Nobody vouches for those: one person could be shown people who do not exist for anyone else.
            raise DirectoryError(
                "The server showed entries in its list of people that its chain did not sign."
            )
        missing = PeerError("A part of the list of people is missing; it will be fetched again.")
        if start > len(self):
            raise missing
        known = self.entries[start : start + len(raws)]
        if any(entry.raw != raw for entry, raw in zip(known, raws, strict=False)):
            raise DirectoryError("The server changed an entry that was in its list of people already.")
        trial = [Entry.parse(self.chain_id, raw) for raw in raws[len(known) :]]
        names = {entry.name for entry in trial}
        if len(names) < len(trial) or not names.isdisjoint(self._positions):
            raise DirectoryError("The list of people names somebody twice.")
        digest = self.digests[-1]
        digests = list(self.digests)
        for entry in trial:
            digest = self.next_digest(digest, entry.raw)
            digests.append(digest)
        if head.length >= len(digests):
            raise missing
        if digests[head.length] != head.digest:
            raise DirectoryError("The list of people is not the one its servers signed.")
        for entry in trial:
            self.append(entry)
