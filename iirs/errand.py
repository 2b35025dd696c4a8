"""What a client wants the entry to do with its account; in every upload, of one size (protocol section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from iirs.errors import PeerError
from iirs.geometry import LOGIN_SECRET_SIZE, VAULT_SIZE


class ErrandKind(IntEnum):
    """What a client wants the entry to do with its account."""

    NONE = 0
    NEW_PASSWORD = 1
    DELETE = 2


@dataclass(frozen=True, slots=True)
class Errand:
    """In every upload, of one size: what the entry is to do with the account, or nothing."""

    kind: ErrandKind = ErrandKind.NONE
    login_secret: bytes = field(default=bytes(LOGIN_SECRET_SIZE), repr=False)
    vault: bytes = field(default=bytes(VAULT_SIZE), repr=False)

    def encode(self) -> bytes:
        """Return ``ERRAND_SIZE`` bytes."""
        return bytes([self.kind]) + self.login_secret + self.vault

    @classmethod
    def decode(cls, data: bytes) -> Errand:
        """Read an errand; its length has been checked. Raises ``PeerError`` if there is no such kind."""
        try:
            kind = ErrandKind(data[0])
        except ValueError as error:
            raise PeerError("A client sent an errand of a kind that does not exist.") from error
        end = 1 + LOGIN_SECRET_SIZE
        return cls(kind, data[1:end], data[end:])


NO_ERRAND = Errand()
