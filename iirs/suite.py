"""The public-key suites a chain may choose, behind one small surface.

HPKE (RFC 9180, base mode, single shot) from ``cryptography``. ``HYBRID`` joins ML-KEM-768 and X25519
(draft-ietf-hpke-pq), so that traffic recorded today stays closed to a quantum computer later; ``X25519``
is for scale. Keys travel as raw bytes: ML-KEM part first, X25519 part last.

The KDF is SHAKE256 in one stage (the same draft), because HKDF's eight HMAC calls cost a hop a third of an
X25519 exchange for each onion, and the AEAD is AES-256-GCM, which the machines that run hops do in hardware.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from iirs.errors import OnionError

TAG_SIZE = 16
X25519_SIZE = 32
MLKEM768_PUBLIC_SIZE = 1184
MLKEM768_SEED_SIZE = 64

PublicKey = X25519PublicKey | MLKEM768X25519PublicKey
PrivateKey = X25519PrivateKey | MLKEM768X25519PrivateKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key ready for use, with both halves as the raw bytes that travel or are stored."""

    private: PrivateKey
    public_bytes: bytes
    private_bytes: bytes = b""

    def __repr__(self) -> str:
        """Name the type only; key material never reaches a log."""
        return "KeyPair(...)"


class HpkeSuite(ABC):
    """One choice of KEM; the KDF is SHAKE256 and the AEAD AES-256-GCM in both."""

    name: str
    public_size: int
    private_size: int
    kem: KEM

    def __init__(self) -> None:
        self._suite = Suite(self.kem, KDF.SHAKE256, AEAD.AES_256_GCM)
        self.overhead = self.kem.enc_length() + TAG_SIZE

    @abstractmethod
    def generate(self) -> KeyPair:
        """Return a fresh key pair from the operating system's randomness."""

    @abstractmethod
    def load_private(self, data: bytes) -> KeyPair:
        """Return the pair stored as ``private_size`` bytes. Raises ``ValueError`` for anything else."""

    @abstractmethod
    def load_public(self, data: bytes) -> PublicKey:
        """Return the public key of ``public_size`` raw bytes. Raises ``ValueError`` for anything else."""

    def seal(self, public_key: PublicKey, plaintext: bytes, info: bytes) -> bytes:
        """Return ``plaintext`` sealed to ``public_key``, ``overhead`` bytes longer."""
        return self._suite.encrypt(plaintext, public_key, info)

    def open(self, key: KeyPair, sealed: bytes, info: bytes) -> bytes:
        """Return what was sealed. Raises ``OnionError`` if anything at all does not fit."""
        try:
            return self._suite.decrypt(sealed, key.private, info)
        except (InvalidTag, ValueError) as error:
            raise OnionError("a sealed item does not open") from error


_probe = X25519PrivateKey.generate()


def _contributory(public: X25519PublicKey) -> X25519PublicKey:
    # A point of small order shares the same secret with everybody; sealing to one fails, so refuse it here.
    _probe.exchange(public)
    return public


class _X25519Suite(HpkeSuite):
    name = "X25519"
    public_size = X25519_SIZE
    private_size = X25519_SIZE
    kem = KEM.X25519

    def generate(self) -> KeyPair:
        return self._pair(X25519PrivateKey.generate())

    def load_private(self, data: bytes) -> KeyPair:
        return self._pair(X25519PrivateKey.from_private_bytes(data))

    def load_public(self, data: bytes) -> X25519PublicKey:
        return _contributory(X25519PublicKey.from_public_bytes(data))

    @staticmethod
    def _pair(private: X25519PrivateKey) -> KeyPair:
        return KeyPair(private, private.public_key().public_bytes_raw(), private.private_bytes_raw())


class _HybridSuite(HpkeSuite):
    name = "MLKEM768_X25519"
    public_size = MLKEM768_PUBLIC_SIZE + X25519_SIZE
    private_size = MLKEM768_SEED_SIZE + X25519_SIZE
    kem = KEM.MLKEM768_X25519

    def generate(self) -> KeyPair:
        return self._pair(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    def load_private(self, data: bytes) -> KeyPair:
        if len(data) != self.private_size:
            raise ValueError("a hybrid private key has 96 bytes")
        return self._pair(
            MLKEM768PrivateKey.from_seed_bytes(data[:MLKEM768_SEED_SIZE]),
            X25519PrivateKey.from_private_bytes(data[MLKEM768_SEED_SIZE:]),
        )

    def load_public(self, data: bytes) -> MLKEM768X25519PublicKey:
        if len(data) != self.public_size:
            raise ValueError("a hybrid public key has 1216 bytes")
        return MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(data[:MLKEM768_PUBLIC_SIZE]),
            _contributory(X25519PublicKey.from_public_bytes(data[MLKEM768_PUBLIC_SIZE:])),
        )

    @staticmethod
    def _pair(mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> KeyPair:
        return KeyPair(
            MLKEM768X25519PrivateKey(mlkem, x25519),
            mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw(),
            mlkem.private_bytes_raw() + x25519.private_bytes_raw(),
        )


X25519: HpkeSuite = _X25519Suite()
HYBRID: HpkeSuite = _HybridSuite()
SUITES = {suite.name: suite for suite in (X25519, HYBRID)}
