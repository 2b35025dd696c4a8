"""A small world that is the same in every process, so that a kept input means the same tomorrow."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from iirs.chain import Hop, parse_chain, render_chain
from iirs.directory import Directory, Entry
from iirs.identity import Identity
from iirs.suite import HYBRID, KeyPair
from tests.builders import ChainKeys, chain_values

NAMES = ("alice", "bob", "carol", "dave")

_T = TypeVar("_T")


class Choices:
    """Reads decisions out of an input, byte by byte; where it ends, all that follows is 0, or nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    @property
    def ended(self) -> bool:
        return self._place >= len(self._data)

    def number(self, size: int = 1) -> int:
        """Return a number of so many bytes."""
        return int.from_bytes(self.take(size).ljust(size, b"\0"))

    def below(self, limit: int) -> int:
        return self.number() % limit

    def one_of(self, values: Sequence[_T]) -> _T:
        return values[self.below(len(values))]

    def take(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end."""
        taken = self._data[self._place : self._place + size]
        self._place += size
        return taken

    def rest(self) -> bytes:
        return self.take(len(self._data))


def fit(data: bytes, size: int) -> bytes:
    """Return ``data`` cut or filled up with zeros: for bodies whose size is checked before."""
    return data[:size].ljust(size, b"\0")


def seed(label: str) -> bytes:
    """Return 32 bytes that are always the same."""
    return hashlib.sha256(f"iirs fuzz {label}".encode()).digest()


@cache
def person(name: str) -> Identity:
    return Identity.from_bytes(seed(name))


@cache
def prekey_pair(name: str) -> KeyPair:
    private = seed(f"{name} d") + seed(f"{name} z")
    return HYBRID.load_private(private + X25519PrivateKey.from_private_bytes(seed(name)).private_bytes_raw())


@cache
def chain_keys(hops: int, slots: int = 2, suite: str = "X25519") -> ChainKeys:
    """Return a chain whose hops have the same keys each time."""
    identities = tuple(Ed25519PrivateKey.from_private_bytes(seed(f"hop {place}")) for place in range(hops))
    places = tuple(
        Hop(f"hop{place}", f"127.0.0.1:{9000 + place}", identity.public_key().public_bytes_raw())
        for place, identity in enumerate(identities)
    )
    chain_file = render_chain(**chain_values(suite=suite, hops=places, slots=slots))
    return ChainKeys(parse_chain(chain_file), chain_file, identities)


@cache
def entry(keys: ChainKeys, name: str) -> Entry:
    return Entry.create(keys.chain.chain_id, name, person(name))


def directory(keys: ChainKeys, *names: str) -> Directory:
    """Return a directory with these people."""
    made = Directory(keys.chain.chain_id)
    for name in names:
        made.append(entry(keys, name))
    return made
