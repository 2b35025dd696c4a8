"""Epoch keys: each hop's short-lived HPKE key, signed by its identity, never on disk.

A later hop makes one for every setup, which serves that and the invitations of its epoch, and erases it when
the next setup is announced. The entry's is what logins are sealed to; it makes a new one every 30 rounds.
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
from iirs.onion import CHANNEL_ROUNDS, channel_period
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
        longest = CHANNEL_ROUNDS if hop == 0 else chain.epoch_rounds
        if self.hop != hop or not 0 <= self.last_round - self.first_round < longest:
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

    def verified_for_epoch(self, chain: Chain, hop: int, setup_round: int, round_number: int) -> PublicKey:
        """Return the key if ``hop`` signed it for the epoch of ``setup_round``, and this round is in that.

        Raises ``ChainError`` if not.
        """
        key = self.verified_for(chain, hop, round_number)
        if self.first_round != setup_round:
            raise ChainError("A server of this chain shows a key that is for another epoch.")
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
    """A hop's own epoch keys, the newest last. Safe from any thread.

    By the clock a key lasts twice as long as its rounds should: whoever stops asking for rounds does not
    keep it alive.
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

    def for_logins(self, round_number: int) -> EpochKey:
        """Return the entry's key announced for ``round_number``, made now if there is none; erase older ones.

        The last one stays for a grace of two rounds: a login may be on its way.
        """
        last = (channel_period(round_number) + 1) * CHANNEL_ROUNDS - 1
        return self._current(round_number, last, round_number - GRACE_ROUNDS, round_number)

    def for_setup(self, setup_round: int, running: bytes) -> EpochKey:
        """Return a later hop's key for the epoch that begins with ``setup_round``, made now if there is none.

        The key with the id ``running`` stays until the setup is announced: it may never be. No other does.
        Of the epoch that runs it is the only one, however long that takes: what is sealed to another is
        opened by nobody.
        """
        last = setup_round + self._chain.epoch_rounds - 1
        with self._lock:
            self._keys = [
                key
                for key in self._keys
                if key.public.key_id == running or key.public.first_round == setup_round
            ]
            for key in self._keys:
                if key.public.key_id == running and key.public.first_round == setup_round:
                    return key.public
        return self._current(setup_round, last, 0, setup_round)

    def keep_only(self, key_id: bytes) -> None:
        """Erase all keys but this one."""
        with self._lock:
            self._keys = [key for key in self._keys if key.public.key_id == key_id]

    def erase(self) -> None:
        """Forget the keys whose time is over by the clock; to be called now and then."""
        now = self._clock()
        with self._lock:
            self._keys = [key for key in self._keys if key.dies_at > now]

    def holds(self, key_id: bytes) -> bool:
        """Whether the key with this id is there."""
        with self._lock:
            return any(key.public.key_id == key_id for key in self._keys)

    def find(self, key_id: bytes) -> tuple[EpochKey, KeyPair]:
        """Return the key with this id, with its private half. Raises ``OnionError`` if it is gone."""
        self.erase()
        with self._lock:
            for key in self._keys:
                if key.public.key_id == key_id:
                    return key.public, key.pair
        raise OnionError("a message was sealed to an epoch key that is gone")

    def _current(self, first: int, last: int, keep_from: int, round_number: int) -> EpochKey:
        self.erase()
        with self._lock:
            self._keys = [key for key in self._keys if key.public.last_round >= keep_from]
            newest = self._keys[-1] if self._keys else None
            if (
                newest is None
                or newest.public.last_round != last
                or newest.public.first_round > round_number
                or newest.renew_at <= self._clock()
            ):
                self._keys.append(self._make(first, last))
            return self._keys[-1].public

    def _make(self, first: int, last: int) -> _OwnKey:
        pair = SUITES[self._chain.suite].generate()
        unsigned = EpochKey(self._hop, first, last, pair.public_bytes, b"")
        signature = self._identity.sign(unsigned.signed_content(self._chain.chain_id))
        rounds = last - first + 1 + GRACE_ROUNDS
        lifetime = max(_LIFETIME_MIN, 2 * rounds * self._chain.round_ms / 1000)
        public = EpochKey(self._hop, first, last, pair.public_bytes, signature)
        now = self._clock()
        return _OwnKey(public, pair, now + _RENEWED_AFTER * lifetime, now + lifetime)
