"""Names, entries, heads, prekeys, safety numbers: ``docs/protocol.md``, "The directory" and "Invitations"."""

from __future__ import annotations

import hashlib
import re
import struct

from tests.reference.chain import Chain, chain_of
from tests.reference.hpke import SUITES
from tests.reference.primitives import (
    RefusedError,
    Values,
    cut,
    demand,
    ecdsa_check,
    number,
    sha256,
)

ENTRY_SIZE = 130
PREKEY_SIZE = 1292


def name_field(name: str) -> bytes:
    """NAME, 33 bytes."""
    demand(re.fullmatch("[a-z0-9][a-z0-9._-]{0,31}", name) is not None, "no name")
    return bytes([len(name)]) + name.encode().ljust(32, b"\0")


def name_of(field: bytes) -> str:
    """The name in a NAME, which must be exactly what ``name_field`` gives."""
    try:
        name = field[1 : 1 + field[0]].decode("ascii")
    except UnicodeDecodeError as error:
        raise RefusedError("no name") from error
    demand(name_field(name) == field, "a name field filled in another way")
    return name


def entry_signed(chain_id: bytes, content: bytes) -> bytes:
    """What the signing key signs of its own entry."""
    return b"iirs/1 directory entry" + chain_id + content


def read_entry(*, chain_id: bytes, entry: bytes) -> Values:
    """An ENTRY."""
    field, key, signature = cut(entry, 33, 33, 64)
    name = name_of(field)
    ecdsa_check(key, signature, entry_signed(chain_id, field + key))
    return {"name": name, "key": key, "fingerprint": sha256(entry)}


def digests_of(chain_id: bytes, entries: list[bytes]) -> list[bytes]:
    """The digest at every length from 0 on."""
    digests = [sha256(b"iirs/1 directory chain", chain_id)]
    for entry in entries:
        digests.append(sha256(b"iirs/1 directory chain", digests[-1], entry))
    return digests


def directory_digests(*, chain_id: bytes, entries: list[bytes]) -> Values:
    """The digests of a directory whose entries are all right and of different names."""
    names = [read_entry(chain_id=chain_id, entry=entry)["name"] for entry in entries]
    demand(len(set(names)) == len(names), "a name twice")
    return {"digests": digests_of(chain_id, entries)}


def head_signed(chain_id: bytes, length: int, digest: bytes) -> bytes:
    """What each hop signs of a head."""
    return b"iirs/1 directory head" + chain_id + struct.pack(">I", length) + digest


def head_of(chain: Chain, head: bytes) -> tuple[int, bytes]:
    """Length and digest of a HEAD that every hop signed."""
    length, digest, signatures = cut(head, 4, 32, 64 * chain.hops)
    for hop in range(chain.hops):
        signed = head_signed(chain.chain_id, number(length), digest)
        chain.check_signed(hop, signatures[64 * hop : 64 * hop + 64], signed)
    return number(length), digest


def read_head(*, file: str, head: bytes) -> Values:
    """A HEAD."""
    length, digest = head_of(chain_of(file), head)
    return {"length": length, "digest": digest}


def extend_directory(
    *, file: str, held: list[bytes], start: int, entries: list[bytes], head: bytes
) -> Values:
    """What a client holds after an increment of entries from a position on, and a head."""
    chain = chain_of(file)
    length, digest = head_of(chain, head)
    demand(start <= len(held), "a gap")
    demand(start + len(entries) <= length, "an entry that nobody signed for")
    both = min(len(held) - start, len(entries))
    demand(held[start : start + both] == entries[:both], "an entry is another than before")
    after = held + entries[both:]
    digests = directory_digests(chain_id=chain.chain_id, entries=after)["digests"]
    demand(length <= len(after) and digests[length] == digest, "not the head's digest")
    return {"length": len(after), "digest": digests[-1]}


def prekey_signed(chain_id: bytes, entry: bytes, period: int, public: bytes) -> bytes:
    """What its owner signs of a prekey."""
    return b"iirs/1 prekey" + chain_id + sha256(entry) + period.to_bytes(8, "big") + public


def read_prekey(*, chain_id: bytes, entry: bytes, record: bytes) -> Values:
    """A PREKEY of the person whose entry this is."""
    owner = read_entry(chain_id=chain_id, entry=entry)
    position, period, public, signature = cut(record, 4, 8, 1216, 64)
    ecdsa_check(owner["key"], signature, prekey_signed(chain_id, entry, number(period), public))
    SUITES["MLKEM768_X25519"].check_public(public)
    place = {"position": number(position), "period": number(period)}
    return {**place, "public": public, "prekey_id": sha256(public)[:8]}


def safety_number(
    *, chain_id: bytes, name: str, fingerprint: bytes, peer: str, peer_fingerprint: bytes
) -> Values:
    """The 60 digits of two people."""
    people = sorted([name.encode() + b"\0" + fingerprint, peer.encode() + b"\0" + peer_fingerprint])
    length = len(people[0]).to_bytes(2, "big")
    digest = hashlib.sha512(b"iirs/1 safety number" + chain_id + length + people[0] + people[1]).digest()
    digits = f"{number(digest) % 10**60:060d}"
    return {"digits": digits, "groups": re.findall("[0-9]{5}", digits)}
