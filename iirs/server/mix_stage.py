"""What every hop does with a batch: shuffle, pass on, and unshuffle what comes back.

``MixStage`` is the part that every place in the chain shares. At a setup it drops duplicates, adds noise and
draws the permutation that the epoch's rounds go by. The entry (``mix_net``) and the later hops
(``hops.mix_hop``) open the onions and cells before it and put their layer on after it; behind the last are
the dead drops (``deaddrop``). No socket and no clock in here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from iirs.errors import OnionError
from iirs.geometry import CELL_SIZE, BatchKind, RandomBytes, pieces
from iirs.onion import RoundContext
from iirs.permutation import random_permutation
from iirs.wire.rounds import Bundle

_PREFIX = 32
_KEY_SIZE = 32


def shuffle(items: Sequence[bytes], permutation: Sequence[int]) -> list[bytes]:
    """Return the items in the order of ``permutation``: at place ``i`` stands item ``permutation[i]``."""
    return [items[place] for place in permutation]


def unshuffle(replies: Sequence[bytes], permutation: Sequence[int]) -> list[bytes]:
    """Undo ``shuffle``: what came back for item ``i`` stands at place ``i`` again."""
    ordered = [b""] * len(permutation)
    for place, reply in zip(permutation, replies, strict=True):
        ordered[place] = reply
    return ordered


@dataclass(frozen=True, slots=True)
class Batch:
    """All onions or cells of one round and kind, as they enter one hop."""

    context: RoundContext
    kind: BatchKind
    items: Sequence[bytes] = field(repr=False)
    give_up_at: float = math.inf
    """When whoever passes this batch on stops to wait for the answer (monotonic seconds)."""


class NextHop(Protocol):
    """What follows a hop: another hop, or the dead drops."""

    def set_up(self, batch: Batch) -> None:
        """Make the circuits of an epoch; what was there before is gone, also if this fails."""
        ...

    def exchange(self, batch: Batch) -> list[bytes]:
        """Return what comes back for each cell of a round, in the same order."""
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
    """Onions or cells in the batch."""
    mixed: int
    """Of these, opened and distinct; for cells, those of circuits that go on."""
    noise: int
    """Of the hop's own among those passed on."""


NoiseSource = Callable[[RoundContext], Sequence[bytes]]
"""Gives the onions a hop adds to a setup."""


def no_noise(_: RoundContext) -> Sequence[bytes]:
    """Return nothing: what the last hop adds, behind which there is nobody to hide from."""
    return ()


@dataclass(frozen=True, slots=True)
class _Epoch:
    """What a hop keeps of a setup: how its circuits run through it."""

    places: int
    """Onions it was given."""
    alive: Sequence[int] = field(repr=False)
    """The places of those that it passed on."""
    noise: int
    """Circuits of its own that it added."""
    permutation: Sequence[int] = field(repr=False)


class MixStage:
    """What every hop does with an opened batch: ``set_up``, ``exchange``, and ``collect_invitations``."""

    def __init__(
        self,
        next_hop: NextHop,
        random_bytes: RandomBytes,
        permute: Callable[[int], list[int]] | None = None,
        noise: NoiseSource = no_noise,
        observe: Callable[[StageView], None] | None = None,
    ) -> None:
        """``permute`` draws a permutation of so many; ``random_permutation`` unless a test owns it.

        ``observe`` is for the openly marked glass box and for tests; it is handed counts only."""
        self._next = next_hop
        self._random_bytes = random_bytes
        self._permute = permute or (lambda count: random_permutation(count, random_bytes))
        self._noise = noise
        self._observe = observe
        self._epoch: _Epoch | None = None

    @property
    def is_set_up(self) -> bool:
        """Whether there are circuits."""
        return self._epoch is not None

    def forget(self) -> None:
        """Forget the circuits, if there are any."""
        self._epoch = None

    def set_up(
        self, context: RoundContext, opened: Sequence[bytes | None], give_up_at: float = math.inf
    ) -> None:
        """Make the circuits of an epoch; a place is dead if its onion did not open, or is a copy."""
        self.forget()
        # Onions that are alike inside are not looked for: at the end of the chain they are the ids of drops,
        # which come twice; anywhere else the next hop drops them.
        alive = [place for place, onion in enumerate(opened) if onion is not None]
        onions = [onion for onion in opened if onion is not None]
        noise = self._noise(context)
        self._tell(context, BatchKind.SETUP, len(opened), len(alive), len(noise))
        onions += noise
        permutation = self._permute(len(onions))
        self._next.set_up(Batch(context, BatchKind.SETUP, shuffle(onions, permutation), give_up_at))
        self._epoch = _Epoch(len(opened), alive, len(noise), permutation)

    def exchange(
        self, context: RoundContext, cells: Sequence[bytes], give_up_at: float = math.inf
    ) -> list[bytes]:
        """Return what comes back for the cell of each place: random bytes for a dead one.

        Raises ``OnionError`` unless there is just one cell for each place of the setup.
        """
        epoch = self._epoch
        if epoch is None or len(cells) != epoch.places or any(len(cell) != CELL_SIZE for cell in cells):
            raise OnionError("a round with other cells than circuits")
        self._tell(context, BatchKind.CELL, len(cells), len(epoch.alive), epoch.noise)
        onward = [cells[place] for place in epoch.alive] + self.random_cells(epoch.noise)
        mixed = shuffle(onward, epoch.permutation)
        answers = self._next.exchange(Batch(context, BatchKind.CELL, mixed, give_up_at))
        if len(answers) != len(mixed) or any(len(answer) != CELL_SIZE for answer in answers):
            raise OnionError("the next hop gave back a batch of another shape")
        replies: list[bytes | None] = [None] * epoch.places
        # Noise came last and falls away here: nobody waits for its replies.
        for place, reply in zip(epoch.alive, unshuffle(answers, epoch.permutation), strict=False):
            replies[place] = reply
        return self.healed(replies)

    def healed(self, cells: Sequence[bytes | None]) -> list[bytes]:
        """Return the cells, with fresh random ones where there is none."""
        fresh = iter(self.random_cells(cells.count(None)))
        return [next(fresh) if cell is None else cell for cell in cells]

    def random_cells(self, count: int) -> list[bytes]:
        """Return fresh random cells: what stands where one is missing, and goes through noise."""
        # A key stream, as cells are under their layers: the system's own take three times as long.
        stream = Cipher(algorithms.AES256(self._random_bytes(_KEY_SIZE)), modes.CTR(bytes(16))).encryptor()
        return pieces(stream.update(bytes(CELL_SIZE * count)), CELL_SIZE)

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
