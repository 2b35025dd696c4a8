"""Onions: setups and invitations, wrapped once per hop, and what the entry and a client say to each other.

Hops n-1 .. 1 each get an HPKE layer (RFC 9180, base mode) to their epoch key; the entry, hop 0, which
sees the connection an upload comes from anyway, gets an AEAD under a key agreed when the client connects
(``EntryChannel``), AES-256-GCM; so do the cells of each round. Sizes: ``iirs.geometry``. Byte tables:
``docs/protocol.md`` section 5.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from iirs.errors import OnionError
from iirs.geometry import CIRCUIT_SECRET_SIZE, INVITATION_PLAIN_SIZE, BatchKind, RandomBytes
from iirs.suite import HYBRID, HpkeSuite, KeyPair, PublicKey

_ONION_LABEL = b"iirs/1 onion"
_ENTRY_LABEL = b"iirs/1 entry"
MAX_STEPS = 2**16
"""An entry channel steps this many periods at most at once: a lie about the round costs no more."""
CHANNEL_ROUNDS = 30
"""Rounds that an entry channel uses one pair of keys for; those of the entry's login keys, too."""


def channel_period(round_number: int) -> int:
    """Return the period of entry channels and login keys that a round is in."""
    return round_number // CHANNEL_ROUNDS


@dataclass(frozen=True, slots=True)
class RoundContext:
    """What every layer of one round is bound to."""

    chain_id: bytes
    round_number: int
    announcement_hash: bytes

    def info(self, hop: int, kind: BatchKind) -> bytes:
        """Return the HPKE ``info`` (or AEAD data) of the layer for ``hop``."""
        return _layer_info(self.chain_id, self.round_number, self.announcement_hash, hop, kind)


@lru_cache(maxsize=64)
def _layer_info(chain_id: bytes, round_number: int, digest: bytes, hop: int, kind: BatchKind) -> bytes:
    # The same for every onion of a batch: a hop asks for it thousands of times a round.
    return _ONION_LABEL + chain_id + struct.pack(">BQB", hop, round_number, kind) + digest


def wrap(
    payload: bytes,
    hop_keys: Sequence[PublicKey],
    suite: HpkeSuite,
    context: RoundContext,
    kind: BatchKind,
    random_bytes: RandomBytes,
    first_hop: int = 1,
) -> tuple[bytes, list[bytes]]:
    """Wrap ``payload`` for the hops from ``first_hop`` on, whose keys are given in that order up to n-1.

    Returns the onion and the secret in each layer, ``first_hop``'s first. With no hops the onion is the
    payload.
    """
    onion = payload
    secrets: list[bytes] = []
    for place in range(len(hop_keys) - 1, -1, -1):
        secret = random_bytes(CIRCUIT_SECRET_SIZE)
        onion = suite.seal(hop_keys[place], secret + onion, context.info(first_hop + place, kind))
        secrets.insert(0, secret)
    return onion, secrets


def peel(
    onion: bytes, key: KeyPair, suite: HpkeSuite, context: RoundContext, hop: int, kind: BatchKind
) -> tuple[bytes, bytes]:
    """Take off the layer meant for ``hop``; return its secret and the inner onion. Raises ``OnionError``."""
    plain = suite.open(key, onion, context.info(hop, kind))
    return plain[:CIRCUIT_SECRET_SIZE], plain[CIRCUIT_SECRET_SIZE:]


def cover_invitation(random_bytes: RandomBytes) -> bytes:
    """Return an invitation to nobody: a genuine seal to a throwaway key.

    Random bytes would not do: half of them are not points of the curve.
    """
    public = HYBRID.load_public(HYBRID.generate().public_bytes)
    return HYBRID.seal(public, random_bytes(INVITATION_PLAIN_SIZE), b"")


def entry_offer_info(chain_id: bytes, certificate_hash: bytes, key_id: bytes) -> bytes:
    """Return the HPKE ``info`` under which a client offers the entry a session secret."""
    return _ENTRY_LABEL + b" offer" + chain_id + certificate_hash + key_id


class EntryChannel:
    """The AEAD between one client and the entry: one key a direction, new ones every period.

    The nonce is round (8 bytes) and index (4), so it never repeats under a key as long as each index is
    sealed once a round, which both sides' round counters ensure. Not thread-safe: one owner.
    """

    def __init__(self, secret: bytes, binding: bytes, period: int) -> None:
        """Start from the 32-byte ``secret`` the client sealed with ``binding`` as its HPKE info."""
        self._period = period
        self._set(_derive(secret, b"start" + binding))

    def advance(self, period: int) -> None:
        """Step to ``period``'s keys; those of earlier ones are gone.

        Raises ``OnionError`` on going back, or on more than ``MAX_STEPS`` ahead.
        """
        if not 0 <= period - self._period <= MAX_STEPS:
            raise OnionError("the entry's rounds went back, or too far ahead")
        if period == self._period:
            return
        chain = self._chain
        for _ in range(period - self._period):
            chain = _derive(chain, b"next epoch")
        self._period = period
        self._set(chain)

    def seal_up(self, context: RoundContext, kind: BatchKind, index: int, item: bytes) -> bytes:
        """Client: seal one cell or onion for upload, 16 bytes longer."""
        return self._up.encrypt(_nonce(context, index), item, context.info(0, kind))

    def open_up(self, context: RoundContext, kind: BatchKind, index: int, sealed: bytes) -> bytes:
        """Entry: open one uploaded cell or onion. Raises ``OnionError``."""
        try:
            return self._up.decrypt(_nonce(context, index), sealed, context.info(0, kind))
        except InvalidTag as error:
            raise OnionError("something uploaded does not open") from error

    def seal_down(self, context: RoundContext, index: int, cell: bytes) -> bytes:
        """Entry: seal one cell that goes back, 16 bytes longer."""
        return self._down.encrypt(_nonce(context, index), cell, context.info(0, BatchKind.CELL))

    def open_down(self, context: RoundContext, index: int, sealed: bytes) -> bytes:
        """Client: open one cell that came back. Raises ``OnionError``."""
        try:
            return self._down.decrypt(_nonce(context, index), sealed, context.info(0, BatchKind.CELL))
        except InvalidTag as error:
            raise OnionError("a reply does not open") from error

    def _set(self, chain: bytes) -> None:
        self._chain = chain
        self._up, self._down = (AESGCM(_derive(chain, way)) for way in (b"up", b"down"))


def _nonce(context: RoundContext, index: int) -> bytes:
    return struct.pack(">QI", context.round_number, index)


def _derive(secret: bytes, label: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, _ENTRY_LABEL + b" " + label).derive(secret)
