"""Small worlds for unit tests: chains of any length with their hops' keys, people, signed directories."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from iirs.chain import Chain, Hop, parse_chain, render_chain
from iirs.directory import Directory, Entry, Head, head_content
from iirs.identity import Identity
from iirs.noise import Noise
from iirs.prekey import Prekey
from iirs.suite import HYBRID, KeyPair

BOTH_SUITES = ("X25519", "MLKEM768_X25519")


@dataclass(frozen=True)
class ChainKeys:
    """A chain and what its servers hold."""

    chain: Chain
    chain_file: bytes
    identities: tuple[Ed25519PrivateKey, ...]

    def head(self, directory: Directory, length: int | None = None) -> Head:
        """Return the head at ``length`` (default: all of it), signed by every hop."""
        length = len(directory) if length is None else length
        return self.sign_head(length, directory.digests[length])

    def sign_head(self, length: int, digest: bytes) -> Head:
        content = head_content(self.chain.chain_id, length, digest)
        return Head(length, digest, b"".join(identity.sign(content) for identity in self.identities))


def chain_values(**changes: Any) -> dict[str, Any]:
    """Return arguments of ``render_chain`` that make a valid chain of one hop."""
    hops = (Hop("entry", "", bytes(range(32))),)
    values = {
        "suite": "X25519",
        "slots": 2,
        "round_ms": 2000,
        "invite_every": 5,
        "epoch_rounds": 30,
        "entry_certificate": bytes(32),
        "hops": hops,
        "noise": Noise(0, 0, forced=True),
    }
    return {**values, **changes}


def make_chain(hops: int = 1, suite: str = "X25519", **changes: Any) -> ChainKeys:
    identities = tuple(Ed25519PrivateKey.generate() for _ in range(hops))
    places = tuple(
        Hop(f"hop{number}", f"127.0.0.1:{9000 + number}", identity.public_key().public_bytes_raw())
        for number, identity in enumerate(identities)
    )
    chain_file = render_chain(**chain_values(suite=suite, hops=places, **changes))
    return ChainKeys(parse_chain(chain_file), chain_file, identities)


@cache
def person(name: str) -> Identity:
    """Return the same keys for the same name: making them is what takes time."""
    return Identity.generate()


@cache
def entry_of(chain: Chain, name: str, identity: Identity | None = None) -> Entry:
    return Entry.create(chain.chain_id, name, identity or person(name))


@cache
def prekey_pair(name: str, period: int = 0) -> KeyPair:
    """Return the same key pair for the same name and period."""
    return HYBRID.generate()


def make_prekey(directory: Directory, name: str, period: int = 0, machine: str = "") -> Prekey:
    """Return the prekey of a registered person, as made on one of their machines."""
    public = prekey_pair(name + machine, period).public_bytes
    return Prekey.create(person(name), directory, directory.position(name), period, public)


def make_directory(chain: Chain, *names: str) -> Directory:
    directory = Directory(chain.chain_id)
    for name in names:
        directory.append(entry_of(chain, name))
    return directory
