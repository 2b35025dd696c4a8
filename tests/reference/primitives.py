"""What ``docs/protocol.md`` lists as primitives, under the names it gives them."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Values = dict[str, Any]


class RefusedError(Exception):
    """What was given is not as the documents say it must be."""


def demand(condition: bool, why: str) -> None:
    """Raise ``RefusedError`` unless the condition holds."""
    if not condition:
        raise RefusedError(why)


def cut(data: bytes, *sizes: int) -> list[bytes]:
    """Return ``data`` cut into pieces of these sizes, which must be all of it."""
    demand(len(data) == sum(sizes), "another length")
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def demand_zeros(data: bytes) -> None:
    """What is said to be zeros must be zeros."""
    demand(data == bytes(len(data)), "something where zeros must be")


def number(data: bytes) -> int:
    """All integers are unsigned and big-endian."""
    return int.from_bytes(data, "big")


def sha256(*parts: bytes) -> bytes:
    """H of the parts joined."""
    return hashlib.sha256(b"".join(parts)).digest()


def extract(salt: bytes, secret: bytes, digest: str = "sha256") -> bytes:
    """HKDF-Extract, RFC 5869 section 2.2; no salt is as many zeros as the hash is long."""
    return hmac.digest(salt or bytes(hashlib.new(digest).digest_size), secret, digest)


def expand(key: bytes, info: bytes, length: int = 32, digest: str = "sha256") -> bytes:
    """HKDF-Expand, RFC 5869 section 2.3."""
    result, block, count = b"", b"", 0
    while len(result) < length:
        count += 1
        block = hmac.digest(key, block + info + bytes([count]), digest)
        result += block
    return result[:length]


def hkdf(secret: bytes, info: bytes, salt: bytes = b"", digest: str = "sha256") -> bytes:
    """HKDF, 32 bytes."""
    return expand(extract(salt, secret, digest), info, 32, digest)


def gcm_seal(key: bytes, nonce: bytes, plaintext: bytes, data: bytes = b"") -> bytes:
    """GCM: the tag stands at the end."""
    return AESGCM(key).encrypt(nonce, plaintext, data)


def gcm_open(key: bytes, nonce: bytes, sealed: bytes, data: bytes = b"") -> bytes:
    """GCM, the other way."""
    try:
        return AESGCM(key).decrypt(nonce, sealed, data)
    except InvalidTag as error:
        raise RefusedError("it does not open") from error


def x25519_public(private: bytes) -> bytes:
    """The public key of a private one."""
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def x25519(private: bytes, public: bytes) -> bytes:
    """The shared secret. One of all zeros, which comes of a key of small order, is refused."""
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(
            X25519PublicKey.from_public_bytes(public)
        )
    except ValueError as error:
        raise RefusedError("a key of small order") from error


def check_x25519(public: bytes) -> None:
    """Refuse a key of small order: any private key shows it."""
    x25519(sha256(b"any private key"), public)


def ecdsa_key(scalar: bytes) -> ec.EllipticCurvePrivateKey:
    """A person's signing key, from the 32 bytes that the vault holds."""
    try:
        return ec.derive_private_key(number(scalar), ec.SECP256R1())
    except ValueError as error:
        raise RefusedError("no scalar of the curve") from error


def ecdsa_public(scalar: bytes) -> bytes:
    """The compressed point, 33 bytes."""
    return ecdsa_key(scalar).public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def ecdsa_sign(scalar: bytes, data: bytes) -> bytes:
    """r and s, 32 bytes each; deterministic (RFC 6979), so that a vector can be made again."""
    r, s = decode_dss_signature(ecdsa_key(scalar).sign(data, ec.ECDSA(SHA256(), deterministic_signing=True)))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def ecdsa_check(public: bytes, signature: bytes, data: bytes) -> None:
    """Return if the signature, of 64 bytes, is right."""
    demand(len(public) == 33 and len(signature) == 64, "another length")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
        key.verify(
            encode_dss_signature(number(signature[:32]), number(signature[32:])), data, ec.ECDSA(SHA256())
        )
    except (InvalidSignature, ValueError) as error:
        raise RefusedError("not signed") from error


def ed25519_public(seed: bytes) -> bytes:
    """The identity of a hop."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def ed25519_sign(seed: bytes, data: bytes) -> bytes:
    """A hop's signature, 64 bytes."""
    return Ed25519PrivateKey.from_private_bytes(seed).sign(data)


def ed25519_check(public: bytes, signature: bytes, data: bytes) -> None:
    """Return if the signature is right."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise RefusedError("not signed") from error
