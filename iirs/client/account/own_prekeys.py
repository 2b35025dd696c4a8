"""The private halves of a person's own prekeys on one machine: this period's, and the last one's.

A thief of the account finds two keys here and no older one, so erasing is the point of this module: what
``renew`` has dropped is gone from memory, and from the disk with the next commit of ``to_state``.
"""

from __future__ import annotations

from typing import Any

from iirs.prekey import is_current, prekey_id
from iirs.suite import HYBRID, KeyPair


class OwnPrekeys:
    """At most two key pairs, newest first. Not thread-safe: the engine owns it."""

    def __init__(self, state: Any = None) -> None:
        """Load what ``to_state`` gave; anything else is as if there were none: new keys are made anyway."""
        self._pairs: dict[int, KeyPair] = {}
        try:
            for period, private in state or ():
                self._pairs[int(period)] = HYBRID.load_private(bytes.fromhex(private))
        except (TypeError, ValueError, OverflowError):
            self._pairs = {}

    def to_state(self) -> list[list[int | str]]:
        """Return everything as JSON values."""
        return [[period, pair.private_bytes.hex()] for period, pair in self._pairs.items()]

    def renew(self, now: int) -> bytes:
        """Erase what is over in period ``now``, make its key if there is none; return the public key."""
        kept = {period: pair for period, pair in self._pairs.items() if is_current(period, now)}
        if now not in kept:
            kept[now] = HYBRID.generate()
        self._pairs = dict(sorted(kept.items(), reverse=True))
        return self._pairs[now].public_bytes

    @property
    def pairs(self) -> tuple[KeyPair, ...]:
        """The keys that can be opened with, newest first."""
        return tuple(self._pairs.values())

    @property
    def ids(self) -> tuple[bytes, ...]:
        """The names of these keys, for the invitations we post."""
        return tuple(prekey_id(pair.public_bytes) for pair in self.pairs)
