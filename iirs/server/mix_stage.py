"""What every hop does with a batch: drop duplicates, add noise, shuffle, pass on, and unshuffle the replies.

``MixStage`` is the part that every place in the chain shares. The entry (``mix_net``) and the later hops
(``hops.mix_hop``) open the onions before it and seal the replies after it; behind the last are the dead
drops (``deaddrop``). No socket and no clock in here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from iirs.errors import OnionError
from iirs.geometry import BatchKind, Geometry, RandomBytes, pieces
from iirs.onion import RoundContext
from iirs.wire.rounds import Bundle

_TICKET_SIZE = 16
_PREFIX = 32


def random_permutation(count: int, random_bytes: RandomBytes) -> list[int]:
    """Return a uniform permutation of ``range(count)``.

    Everything draws a random ticket of 16 bytes and is put in their order; should two be alike, all draw
    again, so every order is equally likely.
    """
    while True:
        drawn = random_bytes(_TICKET_SIZE * count)
        tickets = pieces(drawn, _TICKET_SIZE)
        if len(set(tickets)) == count:
            return sorted(range(count), key=tickets.__getitem__)


def shuffle(onions: Sequence[bytes], permutation: Sequence[int]) -> list[bytes]:
    """Return the onions in the order of ``permutation``: at place ``i`` stands onion ``permutation[i]``."""
    return [onions[place] for place in permutation]


def unshuffle(replies: Sequence[bytes], permutation: Sequence[int]) -> list[bytes]:
    """Undo ``shuffle``: the reply to onion ``i`` stands at place ``i`` again."""
    ordered = [b""] * len(permutation)
    for place, reply in zip(permutation, replies, strict=True):
        ordered[place] = reply
    return ordered


@dataclass(frozen=True, slots=True)
class Batch:
    """All onions of one round and kind, as they enter one hop."""

    context: RoundContext
    kind: BatchKind
    onions: Sequence[bytes] = field(repr=False)
    give_up_at: float = math.inf
    """When whoever passes this batch on stops to wait for the answer (monotonic seconds)."""


class NextHop(Protocol):
    """What follows a hop: another hop, or the dead drops."""

    def exchange(self, batch: Batch) -> list[bytes]:
        """Return one reply for each onion of a conversation batch, in the same order."""
        ...

    def collect_invitations(self, batch: Batch) -> Bundle:
        """Return the signed contents of dead drop 0 after this batch."""
        ...


@dataclass(frozen=True, slots=True)
class StageView:
    """What one hop sees of one batch: counts, for the openly marked glass box and for tests."""

    round_number: int
    kind: BatchKind
    arrived: int
    """Onions in the batch."""
    mixed: int
    """Of these, opened and distinct."""
    noise: int
    """Onions of the hop's own noise among those passed on."""


NoiseSource = Callable[[RoundContext], Sequence[bytes]]
"""Gives the onions a hop adds to the conversation batch of a round."""


def no_noise(_: RoundContext) -> Sequence[bytes]:
    """Return nothing: what the last hop adds, behind which there is nobody to hide from."""
    return ()


class MixStage:
    """What every hop does with an opened batch: ``exchange``, and ``collect_invitations`` one way only."""

    def __init__(
        self,
        geometry: Geometry,
        hop: int,
        next_hop: NextHop,
        random_bytes: RandomBytes,
        permute: Callable[[int], list[int]] | None = None,
        noise: NoiseSource = no_noise,
        observe: Callable[[StageView], None] | None = None,
    ) -> None:
        """``permute`` draws a permutation of so many; ``random_permutation`` unless a test owns it.

        ``observe`` is for the openly marked glass box and for tests; it is handed counts only."""
        self._reply_size = geometry.reply_size(geometry.hops - 1 - hop)
        self._next = next_hop
        self._random_bytes = random_bytes
        self._permute = permute or (lambda count: random_permutation(count, random_bytes))
        self._noise = noise
        self._observe = observe

    def exchange(
        self, context: RoundContext, opened: Sequence[bytes | None], give_up_at: float = math.inf
    ) -> list[bytes]:
        """Return a reply for each place of ``opened``; ``None`` (did not open) gets random bytes."""
        places, onions = _distinct(opened)
        noise = self._noise(context)
        self._tell(context, BatchKind.CONVERSATION, len(opened), len(places), len(noise))
        onions += noise
        permutation = self._permute(len(onions))
        mixed = shuffle(onions, permutation)
        answers = self._next.exchange(Batch(context, BatchKind.CONVERSATION, mixed, give_up_at))
        if len(answers) != len(mixed) or any(len(answer) != self._reply_size for answer in answers):
            raise OnionError("the next hop gave back a batch of another shape")
        replies: list[bytes | None] = [None] * len(opened)
        # Noise came last and falls away here: nobody waits for its replies.
        for place, reply in zip(places, unshuffle(answers, permutation), strict=False):
            replies[place] = reply
        return [reply or self._random_bytes(self._reply_size) for reply in replies]

    def collect_invitations(
        self, context: RoundContext, opened: Sequence[bytes | None], give_up_at: float = math.inf
    ) -> Bundle:
        """Pass a batch of invitations on; nothing comes back but the bundle for everybody."""
        places, onions = _distinct(opened)
        self._tell(context, BatchKind.INVITATION, len(opened), len(places), 0)
        mixed = shuffle(onions, self._permute(len(onions)))
        bundle = self._next.collect_invitations(Batch(context, BatchKind.INVITATION, mixed, give_up_at))
        if bundle.round_number != context.round_number:
            raise OnionError("the next hop gave back the bundle of another round")
        return bundle

    def _tell(self, context: RoundContext, kind: BatchKind, arrived: int, mixed: int, noise: int) -> None:
        if self._observe is not None:
            self._observe(StageView(context.round_number, kind, arrived, mixed, noise))


class SeenOnions:
    """Tells repeats from what is new, by all bytes of it; of most it needs to look at the first few only."""

    def __init__(self) -> None:
        self._first: dict[bytes, bytes] = {}
        self._more: set[bytes] = set()

    def is_new(self, onion: bytes) -> bool:
        """Return False if the very same bytes were asked about before."""
        prefix = onion[:_PREFIX]
        known = self._first.get(prefix)
        if known is None:
            self._first[prefix] = onion
            return True
        if known == onion or onion in self._more:
            return False
        self._more.add(onion)
        return True


def _distinct(opened: Sequence[bytes | None]) -> tuple[list[int], list[bytes]]:
    """Return the places of what opened, each content once, and the contents."""
    seen = SeenOnions()
    places: list[int] = []
    onions: list[bytes] = []
    for place, onion in enumerate(opened):
        if onion is not None and seen.is_new(onion):
            places.append(place)
            onions.append(onion)
    return places, onions
