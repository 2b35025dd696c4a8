"""``Shares``: who may wait at a server's door, so that no address keeps the others out. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


@lru_cache(4096)
def share_of(address: str) -> str:
    """Return what shares one share: an IPv4 address, or the /64 of an IPv6 one, which is one line's."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # no address of the internet: a socket of this machine
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64)) + "/64"


@dataclass(slots=True)
class _Share(Generic[T]):
    """Who waits from one address, oldest first, with the time they came."""

    strangers: dict[T, float] = field(default_factory=dict)
    proven: dict[T, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.strangers) + len(self.proven)

    def first_to_go(self) -> tuple[T, float]:
        """Return whoever has shown least for longest, and when it came."""
        return next(iter((self.strangers or self.proven).items()))


class Shares(Generic[T]):
    """At most ``total`` wait, ``per_share`` of one share. Not thread-safe: one owner.

    When there is no room, a newcomer takes the place of the oldest of the share that has most; of those who
    have not proven that they speak the protocol, if there are any. Nobody loses a place within
    ``grace`` seconds, but to a share that has fewer: so that a storm of connections, each of which drives out
    the one before, is refused instead.
    """

    def __init__(self, total: int, per_share: int, grace: float) -> None:
        self._total = total
        self._per_share = per_share
        self._grace = grace
        self._shares: dict[str, _Share[T]] = {}
        self._share_of: dict[T, str] = {}

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._share_of)

    def room_for(self, share: str, now: float) -> list[T] | None:
        """Return who has to go for one more of ``share``, one at most; ``None`` if it is refused."""
        own = self._shares.get(share) or _Share[T]()
        most = own
        if len(own) < self._per_share and len(self) < self._total:
            return []
        if len(own) * len(self._shares) < self._total:  # it has less than its part
            most = max(self._shares.values(), key=len)  # of several, the one that has been here longest
        who, came = most.first_to_go()
        is_due = len(most) > len(own) + 1
        return [who] if is_due or now - came >= self._grace else None

    def enter(self, who: T, share: str, now: float) -> None:
        """Give somebody a place, whose room was asked for."""
        self._shares.setdefault(share, _Share()).strangers[who] = now
        self._share_of[who] = share

    def prove(self, who: T) -> None:
        """Take it that somebody speaks the protocol."""
        share = self._shares[self._share_of[who]]
        share.proven[who] = share.strangers.pop(who)

    def leave(self, who: T) -> None:
        """Take somebody's place away."""
        name = self._share_of.pop(who)
        share = self._shares[name]
        share.strangers.pop(who, None)
        share.proven.pop(who, None)
        if not share:
            del self._shares[name]
