"""Invitations through dead drop 0: how two people who both ask come to share a secret.

An invitation is sealed to the callee's prekey and signed by the caller for exactly one bundle. A conversation
starts if and only if one bundle holds my own ciphertext and the peer's valid invitation, and the peer's
says that it can open mine: both see the same bundle, so both decide the same. See ``docs/protocol.md``
section 9.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from iirs.directory import Directory, Entry
from iirs.errors import InvitationError, OnionError
from iirs.geometry import INVITATION_PLAIN_SIZE, PREKEY_ID_SIZE, SIGNATURE_SIZE, RandomBytes
from iirs.identity import Identity
from iirs.message import Direction
from iirs.prekey import Prekey
from iirs.suite import HYBRID, KeyPair

CHAIN_IDS_MAX = 4
PREKEY_IDS_MAX = 2
_ID_SIZE = 16
_FIELDS = struct.Struct(f">BBI16sQ32s32sQB{CHAIN_IDS_MAX * _ID_SIZE}sB{PREKEY_IDS_MAX * PREKEY_ID_SIZE}s")
_VERSION = 1
_SEAL_LABEL = b"iirs/1 invitation"
_SIGNATURE_LABEL = b"iirs/1 invitation signature"


class InvitationKind(IntEnum):
    """What an invitation asks for. There is no "accept": accepting is asking too."""

    TALK = 1
    END = 2


@dataclass(frozen=True, slots=True)
class Ask:
    """One person's wish to talk to another: posted again every invite round until it is answered."""

    started_ms: int
    private: bytes = field(repr=False)
    seed: bytes = field(repr=False)

    @classmethod
    def create(cls, now_ms: int, random_bytes: RandomBytes) -> Ask:
        """Return a wish with a fresh X25519 key and seed."""
        private = X25519PrivateKey.from_private_bytes(random_bytes(32))
        return cls(now_ms, private.private_bytes_raw(), random_bytes(32))

    @property
    def ephemeral(self) -> bytes:
        """The public half of the wish's key."""
        return X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class Invitation:
    """The inside of an invitation, before signing and sealing."""

    kind: InvitationKind
    caller: int
    """The caller's position in the directory."""
    conversation: bytes
    """The conversation to resume or end; zeros for a new one."""
    started_ms: int
    ephemeral: bytes
    seed: bytes = field(repr=False)
    bundle_round: int
    chain_ids: tuple[bytes, ...] = ()
    prekey_ids: tuple[bytes, ...] = ()
    """The prekeys with which the caller can open what this very bundle brings."""

    def _encode(self) -> bytes:
        return _FIELDS.pack(
            _VERSION,
            self.kind,
            self.caller,
            self.conversation,
            self.started_ms,
            self.ephemeral,
            self.seed,
            self.bundle_round,
            len(self.chain_ids),
            b"".join(self.chain_ids),
            len(self.prekey_ids),
            b"".join(self.prekey_ids),
        )

    @classmethod
    def _decode(cls, data: bytes) -> Invitation:
        version, kind, caller, conversation, started, ephemeral, seed, number, *ids = _FIELDS.unpack(data)
        chains, chain_ids, prekeys, prekey_ids = ids
        too_many = chains > CHAIN_IDS_MAX or prekeys > PREKEY_IDS_MAX
        if version != _VERSION or kind not in InvitationKind.__members__.values() or too_many:
            raise InvitationError("an invitation of a version or kind this program does not know")
        if any(chain_ids[chains * _ID_SIZE :]) or any(prekey_ids[prekeys * PREKEY_ID_SIZE :]):
            # The root is bound to a digest of what was read: what is left out of that must have no bits.
            raise InvitationError("an invitation with ids that it does not count")
        return cls(
            InvitationKind(kind),
            caller,
            conversation,
            started,
            ephemeral,
            seed,
            number,
            _cut(chain_ids, _ID_SIZE, chains),
            _cut(prekey_ids, PREKEY_ID_SIZE, prekeys),
        )

    def digest(self) -> bytes:
        """Return the SHA-256 of the content: what the root secret is bound to."""
        return hashlib.sha256(self._encode()).digest()

    def seal(self, directory: Directory, identity: Identity, callee: Entry, prekey: Prekey) -> bytes:
        """Return the invitation signed by ``identity`` and sealed to ``callee``'s ``prekey``."""
        content = self._encode()
        caller = directory.entries[self.caller]
        signature = identity.sign(_signed(directory.chain_id, caller, callee, content))
        plain = content + signature
        plain += bytes(INVITATION_PLAIN_SIZE - len(plain))
        return HYBRID.seal(prekey.public_key, plain, _info(directory.chain_id, self.bundle_round))

    @classmethod
    def open(
        cls, sealed: bytes, directory: Directory, keys: Sequence[KeyPair], callee: Entry, bundle_round: int
    ) -> tuple[Entry, Invitation]:
        """Return the caller and the invitation, opened with any of the callee's ``keys``.

        Raises ``InvitationError`` unless all of it is right.
        """
        plain = _opened(sealed, keys, _info(directory.chain_id, bundle_round))
        content = plain[: _FIELDS.size]
        signature, rest = plain[_FIELDS.size :][:SIGNATURE_SIZE], plain[_FIELDS.size + SIGNATURE_SIZE :]
        invitation = cls._decode(content)
        if any(rest):
            raise InvitationError("an invitation that is not filled in the way it must be")
        if invitation.bundle_round != bundle_round:
            raise InvitationError("an invitation of another bundle")
        if invitation.caller >= len(directory):
            raise InvitationError("an invitation from somebody who is not in the directory")
        caller = directory.entries[invitation.caller]
        try:
            caller.verify_key.verify(signature, _signed(directory.chain_id, caller, callee, content))
        except InvalidSignature as error:
            raise InvitationError("an invitation that its caller did not sign") from error
        return caller, invitation


@dataclass(frozen=True, slots=True)
class Agreement:
    """What two invitations in one bundle amount to."""

    role: Direction
    root: bytes = field(repr=False)


def agree(ask: Ask, mine: Invitation, my_entry: Entry, theirs: Invitation, their_entry: Entry,
          round_ms: int) -> Agreement:  # fmt: skip
    """Return role and root secret; the peer gets the same root and the other role.

    The earlier start makes the generator, none later than the bundle itself; equal starts are settled by
    comparing identity keys. Raises ``InvitationError`` on a key of small order.
    """
    limit = mine.bundle_round * round_ms
    my_rank = (min(mine.started_ms, limit), my_entry.verify_key.raw)
    their_rank = (min(theirs.started_ms, limit), their_entry.verify_key.raw)
    role = Direction.FROM_GENERATOR if my_rank < their_rank else Direction.FROM_LISTENER
    generator, listener = (mine, theirs) if role is Direction.FROM_GENERATOR else (theirs, mine)
    try:
        private = X25519PrivateKey.from_private_bytes(ask.private)
        shared = private.exchange(X25519PublicKey.from_public_bytes(theirs.ephemeral))
    except ValueError as error:
        raise InvitationError("an invitation with a key no honest caller would send") from error
    info = b"iirs/1 handshake" + generator.digest() + listener.digest()
    root = HKDF(SHA256(), 32, None, info).derive(shared + generator.seed + listener.seed)
    return Agreement(role, root)


def _opened(sealed: bytes, keys: Sequence[KeyPair], info: bytes) -> bytes:
    for key in keys:
        with suppress(OnionError):
            return HYBRID.open(key, sealed, info)
    raise InvitationError("an invitation that is not for us")


def _cut(data: bytes, size: int, count: int) -> tuple[bytes, ...]:
    return tuple(data[place * size : (place + 1) * size] for place in range(count))


def _info(chain_id: bytes, bundle_round: int) -> bytes:
    return _SEAL_LABEL + chain_id + bundle_round.to_bytes(8)


def _signed(chain_id: bytes, caller: Entry, callee: Entry, content: bytes) -> bytes:
    return _SIGNATURE_LABEL + chain_id + caller.fingerprint + callee.fingerprint + content
