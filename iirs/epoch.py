"""Epoch keys: each hop's short-lived HPKE key, signed by its identity, never on disk.

Epoch e covers rounds e * epoch_rounds up to the next multiple; a hop that starts within an epoch
announces a new key at once. Erased when its range (and a grace of a few rounds) is over.
"""

from __future__ import annotations

import hashlib
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from iirs.chain import Chain
from iirs.errors import ChainError, OnionError
from iirs.geometry import SIGNATURE_SIZE
from iirs.suite import SUITES, KeyPair, PublicKey

_LABEL = b"iirs/1 epoch key"
_HEADER = struct.Struct(">BQQ")
GRACE_ROUNDS = 2
_LIFETIME_MIN = 60.0
"""Seconds a key lasts at least, however short the rounds."""
_RENEWED_AFTER = 0.75
"""Share of its life after which another takes its place, if rounds have not come to its end by then."""


@dataclass(frozen=True, slots=True)
class EpochKey:
    """One hop's public key for a range of rounds, as announced."""

    hop: int
    first_round: int
    last_round: int
    public_bytes: bytes
    signature: bytes

    @property
    def key_id(self) -> bytes:
        """SHA-256 of the public key."""
        return hashlib.sha256(self.public_bytes).digest()

    def encode(self) -> bytes:
        """Return hop (1), first and last round (8 each), public key, signature (64)."""
        header = _HEADER.pack(self.hop, self.first_round, self.last_round)
        return header + self.public_bytes + self.signature

    @classmethod
    def decode(cls, data: bytes) -> EpochKey:
        """Read what ``encode`` wrote; ``verified`` says whether to believe it."""
        hop, first, last = _HEADER.unpack_from(data)
        return cls(hop, first, last, data[_HEADER.size : -SIGNATURE_SIZE], data[-SIGNATURE_SIZE:])

    def signed_content(self, chain_id: bytes) -> bytes:
        """Return what the hop's identity signs: chain, hop, key id, round range."""
        return _LABEL + chain_id + _HEADER.pack(self.hop, self.first_round, self.last_round) + self.key_id

    def verified(self, chain: Chain, hop: int) -> PublicKey:
        """Return the key if ``hop`` of ``chain`` signed it. Raises ``ChainError`` if not."""
        if self.hop != hop or not 0 <= self.last_round - self.first_round < chain.epoch_rounds:
            raise ChainError("A server of this chain shows a key for another place or too long a time.")
        chain.hops[hop].verify(self.signature, self.signed_content(chain.chain_id))
        try:
            return SUITES[chain.suite].load_public(self.public_bytes)
        except ValueError as error:
            raise ChainError("A server of this chain shows a key that is not one.") from error

    def verified_for(self, chain: Chain, hop: int, round_number: int) -> PublicKey:
        """Return the key if ``hop`` signed it for a range with this round. Raises ``ChainError`` if not."""
        key = self.verified(chain, hop)
        if not self.first_round <= round_number <= self.last_round:
            raise ChainError("A server of this chain shows a key that is not for this round.")
        return key


@dataclass(frozen=True, slots=True)
class _OwnKey:
    public: EpochKey
    pair: KeyPair = field(repr=False)
    renew_at: float
    """Monotonic seconds: from when another is shown, so that nobody is shown one about to die."""
    dies_at: float
    """Monotonic seconds."""


class EpochKeyring:
    """A hop's own epoch keys: the current one, and the last one for a grace of two rounds.

    By the clock a key lasts twice as long as its rounds should: whoever stops asking for rounds does not
    keep it alive. Safe from any thread.
    """

    def __init__(
        self,
        chain: Chain,
        hop: int,
        identity: Ed25519PrivateKey,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` gives monotonic seconds."""
        self._chain = chain
        self._hop = hop
        self._identity = identity
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: list[_OwnKey] = []

    def current(self, round_number: int) -> EpochKey:
        """Return the key announced for ``round_number``, made now if there is none; erase older ones."""
        self.erase()
        with self._lock:
            self._keys = [key for key in self._keys if key.public.last_round + GRACE_ROUNDS >= round_number]
            newest = self._keys[-1] if self._keys else None
            if (
                newest is None
                or not newest.public.first_round <= round_number <= newest.public.last_round
                or newest.renew_at <= self._clock()
            ):
                self._keys.append(self._make(round_number))
            return self._keys[-1].public

    def erase(self) -> None:
        """Forget the keys whose time is over by the clock; to be called now and then."""
        now = self._clock()
        with self._lock:
            self._keys = [key for key in self._keys if key.dies_at > now]

    def find(self, key_id: bytes) -> tuple[EpochKey, KeyPair]:
        """Return the key with this id, with its private half. Raises ``OnionError`` if it is gone."""
        self.erase()
        with self._lock:
            for key in self._keys:
                if key.public.key_id == key_id:
                    return key.public, key.pair
        raise OnionError("a message was sealed to an epoch key that is gone")

    def _make(self, round_number: int) -> _OwnKey:
        epoch = round_number // self._chain.epoch_rounds
        last = (epoch + 1) * self._chain.epoch_rounds - 1
        pair = SUITES[self._chain.suite].generate()
        unsigned = EpochKey(self._hop, round_number, last, pair.public_bytes, b"")
        signature = self._identity.sign(unsigned.signed_content(self._chain.chain_id))
        rounds = last - round_number + 1 + GRACE_ROUNDS
        lifetime = max(_LIFETIME_MIN, 2 * rounds * self._chain.round_ms / 1000)
        public = EpochKey(self._hop, round_number, last, pair.public_bytes, signature)
        now = self._clock()
        return _OwnKey(public, pair, now + _RENEWED_AFTER * lifetime, now + lifetime)
