"""Prekeys: the short-lived keys that invitations are sealed to, each signed by the person it belongs to.

Everybody renews theirs on the chain's calendar and erases it one period later, so that an account stolen
today opens no invitation of earlier periods. See ``docs/protocol.md`` section 9.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature

from iirs.directory import Directory, Entry
from iirs.errors import DirectoryError
from iirs.geometry import PREKEY_ID_SIZE, PREKEY_SIZE, SIGNATURE_SIZE
from iirs.identity import Identity
from iirs.suite import HYBRID, PublicKey

_LABEL = b"iirs/1 prekey"
_PLACE = struct.Struct(">IQ")


def prekey_id(public: bytes) -> bytes:
    """Return the 8 bytes by which an invitation names a prekey."""
    return hashlib.sha256(public).digest()[:PREKEY_ID_SIZE]


def is_current(period: int, now: int) -> bool:
    """Return whether a prekey of ``period`` may be used in period ``now``: its own, and the one after."""
    return now - 1 <= period <= now


@dataclass(frozen=True, slots=True)
class Prekey:
    """One person's public key for one period, signed."""

    position: int
    """Its owner's place in the directory."""
    period: int
    public: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @classmethod
    def create(
        cls, identity: Identity, directory: Directory, position: int, period: int, public: bytes
    ) -> Prekey:
        """Return the prekey that ``identity``, at this position in the directory, signs."""
        signed = _signed(directory.chain_id, directory.entries[position], period, public)
        return cls(position, period, public, identity.sign(signed))

    def encode(self) -> bytes:
        """Return the record, ``PREKEY_SIZE`` bytes."""
        return _PLACE.pack(self.position, self.period) + self.public + self.signature

    @classmethod
    def decode(cls, raw: bytes) -> Prekey:
        """Read a record, whose signature is for ``verify``. Raises ``DirectoryError`` on a wrong length."""
        if len(raw) != PREKEY_SIZE:
            raise DirectoryError("An invitation key has a wrong length.")
        position, period = _PLACE.unpack_from(raw)
        return cls(position, period, raw[_PLACE.size : -SIGNATURE_SIZE], raw[-SIGNATURE_SIZE:])

    def verify(self, chain_id: bytes, entry: Entry) -> None:
        """Return if ``entry``'s owner signed a key that can be used. Raises ``DirectoryError`` if not."""
        try:
            entry.verify_key.verify(self.signature, _signed(chain_id, entry, self.period, self.public))
            HYBRID.load_public(self.public)
        except (InvalidSignature, ValueError) as error:
            raise DirectoryError(
                "An invitation key is not signed by the person it is said to belong to."
            ) from error

    @property
    def key_id(self) -> bytes:
        """The 8 bytes that name this key."""
        return prekey_id(self.public)

    @property
    def public_key(self) -> PublicKey:
        """The HPKE key invitations are sealed to."""
        return HYBRID.load_public(self.public)


class KnownPrekeys:
    """The newest prekey of each person, as far as one client has been shown. Not thread-safe: one owner."""

    def __init__(self) -> None:
        self._newest: dict[int, Prekey] = {}

    def take_in(self, records: Iterable[bytes], directory: Directory, now: int | None = None) -> None:
        """Keep what is newer than before: a later period, or the same one shown later.

        One of a period after ``now`` gives way to any: else it would stand in the way for ever.

        In one period a person may log in on a second machine, which makes a key of its own. Raises
        ``DirectoryError``, with nothing taken in, unless every record is signed by somebody in the directory.
        """
        prekeys = [Prekey.decode(raw) for raw in records]
        for prekey in prekeys:
            if prekey.position >= len(directory):
                raise DirectoryError("The server showed an invitation key of somebody who is not registered.")
            prekey.verify(directory.chain_id, directory.entries[prekey.position])
        for prekey in prekeys:
            known = self._newest.get(prekey.position)
            if known is None or prekey.period >= known.period or (now is not None and known.period > now):
                self._newest[prekey.position] = prekey

    def newest(self, position: int, now: int) -> Prekey | None:
        """Return the key to seal to in period ``now``; ``None`` if none is of it or the one before."""
        prekey = self._newest.get(position)
        return prekey if prekey is not None and is_current(prekey.period, now) else None


def _signed(chain_id: bytes, entry: Entry, period: int, public: bytes) -> bytes:
    return _LABEL + chain_id + entry.fingerprint + period.to_bytes(8) + public
