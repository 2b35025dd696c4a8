"""HPKE, base mode, single shot, written out: two KEMs, the one-stage KDF SHAKE256, AES-256-GCM.

RFC 9180 for the frame, draft-ietf-hpke-hpke and draft-ietf-hpke-pq for the one-stage key schedule. Sealing
takes its randomness as an argument: the ephemeral X25519 private key, and before it, in the hybrid, the 32
bytes of ML-KEM.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.reference import mlkem
from tests.reference.primitives import (
    Values,
    check_x25519,
    cut,
    demand,
    expand,
    extract,
    gcm_open,
    gcm_seal,
    sha256,
    x25519,
    x25519_public,
)

KDF_ID = 0x0011
AEAD_ID = 0x0002
KEY_SIZE, NONCE_SIZE, EXPORTER_SIZE, TAG_SIZE = 32, 12, 64, 16
VERSION = b"HPKE-v1"
HYBRID_LABEL = b"\\.//^\\"


@dataclass(frozen=True, slots=True)
class Kem:
    """One KEM with its numbers."""

    kem_id: int
    public_size: int
    private_size: int
    enc_size: int
    public_of: Callable[[bytes], bytes]
    check_public: Callable[[bytes], None]
    encapsulate: Callable[[bytes, bytes], tuple[bytes, bytes]]
    """Public key and randomness to shared secret and ``enc``."""
    decapsulate: Callable[[bytes, bytes], bytes]
    """Private key and ``enc`` to shared secret."""

    @property
    def overhead(self) -> int:
        """What a seal adds: E in the documents."""
        return self.enc_size + TAG_SIZE


def key_and_nonce(kem_id: int, shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """The key schedule of a one-stage KDF: everything goes through SHAKE256 once."""
    suite_id = b"HPKE" + kem_id.to_bytes(2, "big") + KDF_ID.to_bytes(2, "big") + AEAD_ID.to_bytes(2, "big")
    mode_base, psk, psk_id = b"\0", b"", b""
    secrets = _prefixed(psk) + _prefixed(shared)
    context = mode_base + _prefixed(psk_id) + _prefixed(info)
    length = KEY_SIZE + NONCE_SIZE + EXPORTER_SIZE
    labeled = secrets + VERSION + suite_id + _prefixed(b"secret") + length.to_bytes(2, "big") + context
    derived = hashlib.shake_256(labeled).digest(length)
    # What follows is the exporter secret, which is not used.
    return derived[:KEY_SIZE], derived[KEY_SIZE : KEY_SIZE + NONCE_SIZE]


def _prefixed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _dhkem_secret(exchanged: bytes, enc: bytes, public: bytes) -> bytes:
    """DHKEM(X25519, HKDF-SHA-256), RFC 9180 section 4.1: its own KDF is the two-stage one."""
    suite_id = b"KEM" + (0x0020).to_bytes(2, "big")
    key = extract(b"", VERSION + suite_id + b"eae_prk" + exchanged)
    return expand(key, (32).to_bytes(2, "big") + VERSION + suite_id + b"shared_secret" + enc + public, 32)


def _dhkem_encapsulate(public: bytes, randomness: bytes) -> tuple[bytes, bytes]:
    enc = x25519_public(randomness)
    return _dhkem_secret(x25519(randomness, public), enc, public), enc


def _dhkem_decapsulate(private: bytes, enc: bytes) -> bytes:
    return _dhkem_secret(x25519(private, enc), enc, x25519_public(private))


def _hybrid_public(private: bytes) -> bytes:
    seed, scalar = cut(private, 64, 32)
    return mlkem.public_of(seed) + x25519_public(scalar)


def _hybrid_check(public: bytes) -> None:
    first, second = cut(public, mlkem.PUBLIC_SIZE, 32)
    mlkem.check_public(first)
    check_x25519(second)


def _hybrid_encapsulate(public: bytes, randomness: bytes) -> tuple[bytes, bytes]:
    first, second = cut(public, mlkem.PUBLIC_SIZE, 32)
    message, ephemeral = cut(randomness, 32, 32)
    secret, ciphertext = mlkem.encapsulate(first, message)
    enc = x25519_public(ephemeral)
    return _hybrid_secret(secret, x25519(ephemeral, second), enc, second), ciphertext + enc


def _hybrid_decapsulate(private: bytes, enc: bytes) -> bytes:
    seed, scalar = cut(private, 64, 32)
    ciphertext, ephemeral = cut(enc, mlkem.CIPHERTEXT_SIZE, 32)
    secret = mlkem.decapsulate(seed, ciphertext)
    return _hybrid_secret(secret, x25519(scalar, ephemeral), ephemeral, x25519_public(scalar))


def _hybrid_secret(mlkem_secret: bytes, exchanged: bytes, ephemeral: bytes, public: bytes) -> bytes:
    return hashlib.sha3_256(mlkem_secret + exchanged + ephemeral + public + HYBRID_LABEL).digest()


SUITES = {
    "X25519": Kem(0x0020, 32, 32, 32, x25519_public, check_x25519, _dhkem_encapsulate, _dhkem_decapsulate),
    "MLKEM768_X25519": Kem(
        0x647A, 1216, 96, 1120, _hybrid_public, _hybrid_check, _hybrid_encapsulate, _hybrid_decapsulate
    ),
}


def seal(suite: str, public: bytes, info: bytes, plaintext: bytes, randomness: bytes) -> bytes:
    """Return enc, ciphertext and tag."""
    kem = SUITES[suite]
    kem.check_public(public)
    shared, enc = kem.encapsulate(public, randomness)
    key, nonce = key_and_nonce(kem.kem_id, shared, info)
    return enc + gcm_seal(key, nonce, plaintext)


def open_sealed(suite: str, private: bytes, info: bytes, sealed: bytes) -> bytes:
    """Return what was sealed."""
    kem = SUITES[suite]
    demand(len(sealed) >= kem.overhead, "cut off")
    shared = kem.decapsulate(private, sealed[: kem.enc_size])
    key, nonce = key_and_nonce(kem.kem_id, shared, info)
    return gcm_open(key, nonce, sealed[kem.enc_size :])


def hpke_public(*, suite: str, private: bytes) -> Values:
    """The public key of a stored private one."""
    demand(len(private) == SUITES[suite].private_size, "another length")
    return {"public": SUITES[suite].public_of(private)}


def hpke_load(*, suite: str, public: bytes) -> Values:
    """A public key that came from elsewhere, with the id that it has."""
    demand(len(public) == SUITES[suite].public_size, "another length")
    SUITES[suite].check_public(public)
    return {"key_id": sha256(public)}


def hpke_seal(*, suite: str, public: bytes, info: bytes, plaintext: bytes, randomness: bytes) -> Values:
    """Seal with the randomness given."""
    return {"sealed": seal(suite, public, info, plaintext, randomness)}


def hpke_open(*, suite: str, private: bytes, info: bytes, sealed: bytes) -> Values:
    """Open."""
    return {"plaintext": open_sealed(suite, private, info, sealed)}
