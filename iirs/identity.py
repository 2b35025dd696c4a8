"""A person's one long-term key: ECDSA P-256, to sign. Invitations are sealed to prekeys (``iirs.prekey``).

Signatures travel as 64 raw bytes (r, s; big-endian), so that they have one size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from iirs.errors import AccountError
from iirs.geometry import NAME_MAX, SIGNATURE_SIZE, SIGNING_KEY_SIZE

SIGNING_PRIVATE_SIZE = 32
_NAME = re.compile(rf"[a-z0-9][a-z0-9._-]{{0,{NAME_MAX - 1}}}")


def checked_name(name: str) -> str:
    """Return ``name`` as it is registered: lower case, 1 to 32 of ``a-z 0-9 . _ -``.

    ASCII only, because names that look alike must be alike where people trust what they read.
    Raises ``AccountError`` with a sentence for the person who typed it.
    """
    folded = name.lower()
    if not _NAME.fullmatch(folded):
        raise AccountError(
            "A name has 1 to 32 characters: letters a-z, digits, dot, dash or underscore, "
            "and starts with a letter or a digit."
        )
    return folded


class VerifyKey:
    """A P-256 public key that checks 64-byte signatures."""

    __slots__ = ("_key", "raw")

    def __init__(self, raw: bytes) -> None:
        """Load a compressed point of 33 bytes. Raises ``ValueError`` for anything else."""
        if len(raw) != SIGNING_KEY_SIZE:
            raise ValueError("not a compressed point")
        self._key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
        self.raw = raw

    def verify(self, signature: bytes, data: bytes) -> None:
        """Return if ``signature`` is right. Raises ``InvalidSignature`` if not."""
        if len(signature) != SIGNATURE_SIZE:
            raise InvalidSignature
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        self._key.verify(encode_dss_signature(r, s), data, ec.ECDSA(SHA256()))


@dataclass(frozen=True, slots=True)
class Identity:
    """The private half: what the vault holds. Never leaves a machine unencrypted."""

    signing: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def generate(cls) -> Identity:
        """Return a fresh key from the operating system's randomness."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_bytes(cls, data: bytes) -> Identity:
        """Load what ``to_bytes`` gave. Raises ``ValueError`` if it is not that."""
        if len(data) != SIGNING_PRIVATE_SIZE:
            raise ValueError("a signing key has 32 bytes")
        return cls(ec.derive_private_key(int.from_bytes(data), ec.SECP256R1()))

    def to_bytes(self) -> bytes:
        """Return the P-256 scalar, 32 bytes."""
        return self.signing.private_numbers().private_value.to_bytes(SIGNING_PRIVATE_SIZE)

    @property
    def verify_key_bytes(self) -> bytes:
        """The compressed public point, 33 bytes."""
        public = self.signing.public_key()
        return public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)

    def sign(self, data: bytes) -> bytes:
        """Return a 64-byte ECDSA P-256 SHA-256 signature."""
        r, s = decode_dss_signature(self.signing.sign(data, ec.ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)
