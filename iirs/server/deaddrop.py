"""Dead drops: where exactly two peer messages are exchanged, and dead drop 0, where everybody reads all.

The idea is Vuvuzela's (SOSP'15, section 3); that every drop is accessed exactly twice is Karaoke's
(OSDI'18). Drops are found once an epoch, by their ids; each round their messages are exchanged. Nothing here
is stored, and nothing here knows who asks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from iirs.errors import OnionError
from iirs.geometry import CELL_SIZE, RandomBytes, padded_invitations
from iirs.onion import cover_invitation
from iirs.server.mix_stage import Batch
from iirs.wire.rounds import Bundle

ACCESSES = 2
DropObserver = Callable[[Counter[int], Sequence[bytes]], None]
"""Glass box for tests and simulations only: handed the histogram of access counts, and the ids."""


@dataclass(frozen=True, slots=True)
class DeaddropMessage:
    """What is left in a drop, and in which."""

    drop_id: bytes = field(repr=False)
    content: bytes = field(repr=False)


class DeadDrop:
    """One drop, one epoch: remembers which accesses lead here, in order of arrival."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        self.places: list[int] = []

    def partners(self) -> Sequence[int | None]:
        """Return for each place whose message it gets; ``None`` means random bytes.

        Two accesses swap; one gets its own back; a third and later ones get nothing, and do not
        disturb the first two.
        """
        if len(self.places) == 1:
            return self.places
        return self.places[1], self.places[0], *[None] * (len(self.places) - ACCESSES)


class DeadDropManager:
    """Exchanges the messages of one round, all at once, between the accesses of its epoch.

    ``observe`` is for the openly marked glass box and for tests: it is handed the histogram of access
    counts (accesses -> number of drops) and the ids. A server sets it only when started with ``--glass-box``.
    """

    def __init__(
        self,
        random_bytes: RandomBytes,
        observe: DropObserver | None = None,
    ) -> None:
        self._random_bytes = random_bytes
        self._observe = observe
        self._partners: list[int | None] = []

    def set_up(self, drop_ids: Sequence[bytes]) -> None:
        """Take in the ids of an epoch's accesses, in their order; those of the epoch before are forgotten."""
        drops: dict[bytes, DeadDrop] = {}
        for place, drop_id in enumerate(drop_ids):
            drop = drops.get(drop_id)
            if drop is None:
                drop = drops[drop_id] = DeadDrop()
            drop.places.append(place)
        if self._observe is not None:
            self._observe(Counter(len(drop.places) for drop in drops.values()), list(drops))
        self._partners = [None] * len(drop_ids)
        for drop in drops.values():
            for place, partner in zip(drop.places, drop.partners(), strict=True):
                self._partners[place] = partner

    def forget(self) -> None:
        """Forget the accesses of the epoch, and so who is joined with whom."""
        self._partners = []

    def handle_messages(self, messages: Sequence[bytes]) -> list[bytes]:
        """Return for each access, in the order of the setup, what comes back to it: 1,024 bytes.

        Raises ``OnionError`` unless there is one message for each access.
        """
        if len(messages) != len(self._partners):
            raise OnionError("a round with other cells than circuits")
        return [
            self._random_bytes(CELL_SIZE) if partner is None else messages[partner]
            for partner in self._partners
        ]

    def collect_invitations(self, invitations: Sequence[bytes]) -> list[bytes]:
        """Return dead drop 0: every invitation, filled up to a multiple of eight, in sorted order.

        The filling is cover as clients make it. Invitations look random, so sorting them is as good as
        a shuffle and says nothing about the order they came in.
        """
        missing = padded_invitations(len(invitations)) - len(invitations)
        return sorted([*invitations, *(cover_invitation(self._random_bytes) for _ in range(missing))])


class GarbageCollector:
    """Clears dead drops by time: for deployments that keep messages longer than one round.

    The first version had it, and it is kept for that; the server does not use it, because nothing outlives
    a round of ``DeadDropManager``. ``deposit`` leaves a message, ``collect`` takes it once, ``clear`` forgets
    what is older than ``lifetime`` seconds.
    """

    def __init__(self, lifetime: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lifetime = lifetime
        self._clock = clock
        self._kept: dict[bytes, tuple[float, bytes]] = {}

    def deposit(self, message: DeaddropMessage) -> None:
        """Leave a message; a newer one in the same drop replaces it."""
        self._kept[message.drop_id] = (self._clock() + self._lifetime, message.content)

    def collect(self, drop_id: bytes) -> bytes | None:
        """Take the message out of a drop, or return ``None`` if it is empty or its time is over."""
        self.clear()
        _, content = self._kept.pop(drop_id, (0.0, None))
        return content

    def clear(self) -> int:
        """Forget what is too old; return how many drops that emptied."""
        now = self._clock()
        over = [drop_id for drop_id, (end, _) in self._kept.items() if end <= now]
        for drop_id in over:
            del self._kept[drop_id]
        return len(over)


class DeadDrops:
    """The end of the chain: hands the innermost payloads to the ``DeadDropManager``."""

    def __init__(
        self,
        manager: DeadDropManager,
        chain_id: bytes,
        sign: Callable[[bytes], bytes],
    ) -> None:
        self._manager = manager
        self._chain_id = chain_id
        self._sign = sign

    def set_up(self, batch: Batch) -> None:
        """Take in the drop ids of an epoch."""
        self._manager.set_up(batch.items)

    def exchange(self, batch: Batch) -> list[bytes]:
        """Swap the cells of a round."""
        return self._manager.handle_messages(batch.items)

    def collect_invitations(self, batch: Batch) -> Bundle:
        """Gather the invitations of a round and sign them."""
        gathered = tuple(self._manager.collect_invitations(batch.items))
        bundle = Bundle(batch.context.round_number, gathered)
        signature = self._sign(bundle.signed_content(self._chain_id))
        return Bundle(bundle.round_number, gathered, signature)
