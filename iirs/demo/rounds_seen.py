"""Rounds as somebody sees them who watches the network: found in what a wiretap recorded, by size alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

from iirs.chain import Chain
from iirs.demo.wiretap import Burst, TrafficDirection
from iirs.geometry import PREKEY_SIZE, padded_invitations
from iirs.message import HEADER_SIZE
from iirs.tls import on_the_wire


@dataclass(frozen=True, slots=True)
class RoundSeen:
    """One round as the network saw one person's connection."""

    kind: str
    up: int
    down: int
    started: float
    """When its upload began (monotonic seconds)."""


class Sizes:
    """Tells round kinds apart as any observer can: sizes are public, and follow from the chain."""

    def __init__(self, chain: Chain, people: int) -> None:
        geometry = chain.geometry
        bundle = geometry.bundle_size(padded_invitations(people * chain.slots))
        plain = HEADER_SIZE + geometry.replies_size + HEADER_SIZE + geometry.announce_size
        self.uploads = {}
        parts = (
            (geometry.invite_size, "invitations"),
            (geometry.setup_size, "setup"),
            (PREKEY_SIZE, "new prekey"),
        )
        for carried in product((False, True), repeat=len(parts)):
            besides = [part for part, is_there in zip(parts, carried, strict=True) if is_there]
            size = sum(HEADER_SIZE + size for size, _ in ((geometry.upload_size, ""), *besides))
            self.uploads[on_the_wire(size)] = ", ".join(name for _, name in besides) or "plain"
        keys = HEADER_SIZE + geometry.keys_size
        self.with_keys = {
            on_the_wire(plain + keys),
            on_the_wire(plain + keys + HEADER_SIZE + bundle),
        }

    def rounds(self, bursts: list[Burst]) -> list[RoundSeen]:
        """Return the rounds in what a wiretap recorded of one connection."""
        seen = []
        first = next((i for i, burst in enumerate(bursts) if burst.size in self.uploads), len(bursts))
        for up, down in pairwise(bursts[first:]):
            if up.direction is TrafficDirection.UP:
                kind = self.uploads.get(up.size, "unexpected")
                kind += ", new epoch keys" if down.size in self.with_keys else ""
                seen.append(RoundSeen(kind, up.size, down.size, up.started))
        return seen
