"""Onions: a request wrapped once per hop, and the replies on their way back.

Hops n-1 .. 1 each get an HPKE layer (RFC 9180, base mode) to their epoch key; the entry, hop 0, which
sees the connection an upload comes from anyway, gets an AEAD under a key agreed when the client connects
(``EntryChannel``). Where no public key is involved the AEAD is AES-256-GCM. Sizes: ``iirs.geometry``. Byte
tables: ``docs/protocol.md`` section 5.
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
from iirs.geometry import INVITATION_PLAIN_SIZE, REPLY_KEY_SIZE, BatchKind, RandomBytes
from iirs.suite import HYBRID, HpkeSuite, KeyPair, PublicKey

_ONION_LABEL = b"iirs/1 onion"
_ENTRY_LABEL = b"iirs/1 entry"
_ZERO_NONCE = bytes(12)
MAX_EPOCH_STEPS = 2**16
"""An entry channel steps this many epochs at most at once: a lie about the round costs no more."""


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

    Returns the onion and the reply keys, ``first_hop``'s first. With no hops the onion is the payload.
    """
    onion = payload
    reply_keys: list[bytes] = []
    for place in range(len(hop_keys) - 1, -1, -1):
        reply_key = random_bytes(REPLY_KEY_SIZE)
        onion = suite.seal(hop_keys[place], reply_key + onion, context.info(first_hop + place, kind))
        reply_keys.insert(0, reply_key)
    return onion, reply_keys


def peel(
    onion: bytes, key: KeyPair, suite: HpkeSuite, context: RoundContext, hop: int, kind: BatchKind
) -> tuple[bytes, bytes]:
    """Take off the layer meant for ``hop``; return reply key and inner onion. Raises ``OnionError``."""
    plain = suite.open(key, onion, context.info(hop, kind))
    return plain[:REPLY_KEY_SIZE], plain[REPLY_KEY_SIZE:]


def seal_reply(reply_key: bytes, reply: bytes) -> bytes:
    """Return ``reply`` sealed, 16 bytes longer. This key seals once, so a constant nonce is safe here."""
    return AESGCM(reply_key).encrypt(_ZERO_NONCE, reply, None)


def open_reply(reply_keys: Sequence[bytes], sealed: bytes) -> bytes:
    """Undo every later hop's seal, hop 1's (the outermost) first. Raises ``OnionError``."""
    try:
        for reply_key in reply_keys:
            sealed = AESGCM(reply_key).decrypt(_ZERO_NONCE, sealed, None)
    except InvalidTag as error:
        raise OnionError("a reply was lost or altered on its way back") from error
    return sealed


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
    """The AEAD between one client and the entry: one key a direction, new ones every epoch.

    The nonce is round (8 bytes) and index (4), so it never repeats under a key as long as each index is
    sealed once a round, which both sides' round counters ensure. Not thread-safe: one owner.
    """

    def __init__(self, secret: bytes, binding: bytes, epoch: int) -> None:
        """Start from the 32-byte ``secret`` the client sealed with ``binding`` as its HPKE info."""
        self._epoch = epoch
        self._set(_derive(secret, b"start" + binding))

    def advance(self, epoch: int) -> None:
        """Step to ``epoch``'s keys; those of earlier epochs are gone.

        Raises ``OnionError`` on going back, or on more than ``MAX_EPOCH_STEPS`` ahead.
        """
        if not 0 <= epoch - self._epoch <= MAX_EPOCH_STEPS:
            raise OnionError("the entry's epoch went back, or too far ahead")
        if epoch == self._epoch:
            return
        chain = self._chain
        for _ in range(epoch - self._epoch):
            chain = _derive(chain, b"next epoch")
        self._epoch = epoch
        self._set(chain)

    def seal_up(self, context: RoundContext, kind: BatchKind, index: int, onion: bytes) -> bytes:
        """Client: seal one onion for upload, 16 bytes longer."""
        return self._up.encrypt(_nonce(context, index), onion, context.info(0, kind))

    def open_up(self, context: RoundContext, kind: BatchKind, index: int, sealed: bytes) -> bytes:
        """Entry: open one uploaded onion. Raises ``OnionError``."""
        try:
            return self._up.decrypt(_nonce(context, index), sealed, context.info(0, kind))
        except InvalidTag as error:
            raise OnionError("an uploaded onion does not open") from error

    def seal_down(self, context: RoundContext, index: int, reply: bytes) -> bytes:
        """Entry: seal one reply, 16 bytes longer."""
        data = context.info(0, BatchKind.CONVERSATION)
        return self._down.encrypt(_nonce(context, index), reply, data)

    def open_down(self, context: RoundContext, index: int, sealed: bytes) -> bytes:
        """Client: open one reply. Raises ``OnionError``."""
        try:
            data = context.info(0, BatchKind.CONVERSATION)
            return self._down.decrypt(_nonce(context, index), sealed, data)
        except InvalidTag as error:
            raise OnionError("a reply does not open") from error

    def _set(self, chain: bytes) -> None:
        self._chain = chain
        self._up, self._down = (AESGCM(_derive(chain, way)) for way in (b"up", b"down"))


def _nonce(context: RoundContext, index: int) -> bytes:
    return struct.pack(">QI", context.round_number, index)


def _derive(secret: bytes, label: bytes) -> bytes:
    return HKDF(SHA256(), 32, None, _ENTRY_LABEL + b" " + label).derive(secret)
