"""Somebody who meddles with alice's cells, round after round, on all sides of the one honest hop.

Before it, any of her cells is dropped, altered, delayed, replayed or swapped, and in most epochs all those of
one round are dropped at once; behind it, so are the answers to any drop. What stands out behind the honest
hop, or before it on the way back, is a ``Spy``'s to see. The same meddler is let loose on hops that lack a
defence (``tests/lab_hops.py``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from iirs.server.mix_stage import Batch
from iirs.wire.rounds import Upload
from tests.adversary import Marks, Spy
from tests.open_chain import CELL, FIRST_ROUND, HOPS, unchanged, unchanged_back
from tests.worlds import Glance, Room, as_sent

ALICE, BOB = "alice", "bob"
Cells = list[bytes]
Alter = Callable[[Cells, int, "Memory"], bytes]
"""Makes another cell of the one at a place."""


class Memory:
    """What stood at her places in the rounds before, and who else's cells there are."""

    def __init__(self) -> None:
        self.former: list[dict[int, bytes]] = []
        self.others: Sequence[int] = ()

    def at(self, which: int, place: int) -> bytes | None:
        cells = self.former[which] if self.former else {}
        return cells.get(place)


def dropped(cells: Cells, place: int, memory: Memory) -> bytes:
    """Nothing: as many bytes that say so, for the number of cells has to be right."""
    return bytes(len(cells[place]))


def made_up(cells: Cells, place: int, memory: Memory) -> bytes:
    return os.urandom(len(cells[place]))


def flipped(cells: Cells, place: int, memory: Memory) -> bytes:
    return bytes([cells[place][0] ^ 1]) + cells[place][1:]


def delayed(cells: Cells, place: int, memory: Memory) -> bytes:
    return memory.at(-1, place) or dropped(cells, place, memory)


def replayed(cells: Cells, place: int, memory: Memory) -> bytes:
    return memory.at(0, place) or dropped(cells, place, memory)


def swapped(cells: Cells, place: int, memory: Memory) -> bytes:
    return cells[memory.others[(place + 1) % len(memory.others)]]


WAYS_TO_ALTER: tuple[Alter, ...] = (dropped, made_up, flipped, delayed, replayed, swapped)


class Meddler:
    """Everybody but ``honest``, as somebody who meddles. ``choose`` decides what is done when."""

    def __init__(self, room: Room, honest: int, choose: Random) -> None:
        self.spy = Spy(honest)
        self._room = room
        self._honest = honest
        self._choose = choose
        self._before, self._behind = Memory(), Memory()
        self._all_dropped_in = 0
        """Which round of the epoch that is; none, if it has no such."""
        self.meddled = 0
        """How many cells and answers were altered."""

    def play(self, epochs: int) -> list[Marks]:
        """Meddle for some epochs, from a setup on; return what stands out in each."""
        return self.spy.marks(self.step() for _ in range(epochs * self._room.epoch_rounds))

    def step(self) -> Glance:
        """Run a round with all that is done to it."""
        taps = self._room.chain.taps
        self._offset = (self._room.number - FIRST_ROUND) % self._room.epoch_rounds
        if self._offset == 0:
            self._all_dropped_in = self._choose.randrange(self._room.epoch_rounds + 1)
        if self._honest == 0:
            self._room.meddle = self._meddle_with_upload
        else:
            taps[self._honest - 1].change = self._meddle_with_cells
        if self._honest < HOPS - 1:
            taps[self._honest].change_back = self._meddle_with_answers
        try:
            return self._room.step()
        finally:
            self._room.meddle = as_sent
            for tap in taps.values():
                tap.change, tap.change_back = unchanged, unchanged_back

    def _meddle_with_hers(self, cells: Cells, hers: Sequence[int]) -> Cells:
        if self._offset == self._all_dropped_in:
            return self._alter(cells, hers, self._before, (dropped,))
        any_of_them = [place for place in hers if self._choose.random() < 0.5]
        return self._alter(cells, any_of_them, self._before)

    def _alter(
        self, cells: Cells, places: Sequence[int], memory: Memory, ways: Sequence[Alter] = WAYS_TO_ALTER
    ) -> Cells:
        altered = list(cells)
        for place in places:
            altered[place] = self._choose.choice(ways)(cells, place, memory)
            self.meddled += 1
        memory.former = [*memory.former[-8:], dict(enumerate(cells))]
        return altered

    def _meddle_with_upload(self, name: str, upload: Upload) -> Upload | None:
        if name != ALICE:
            return upload
        places = range(len(upload.cells))
        self._before.others = places
        if self._offset == self._all_dropped_in and not upload.setups and self._choose.random() < 0.5:
            return None  # delayed: all of it, until it is too late
        return replace(upload, cells=tuple(self._meddle_with_hers(list(upload.cells), places)))

    def _meddle_with_cells(self, batch: Batch) -> Batch:
        if batch.kind is not CELL:
            return batch
        self._before.others = self._room.chain.places(BOB, self._honest)
        hers = self._room.chain.places(ALICE, self._honest)
        return replace(batch, items=self._meddle_with_hers(list(batch.items), hers))

    def _meddle_with_answers(self, batch: Batch, answers: Cells) -> Cells:
        chain = self._room.chain
        drops = self.spy.drops
        if chain.place.is_setup or not drops:
            return answers  # this epoch's drops are looked at when its first round is over
        # Where one leads that has stood out, if any has; the other access to it.
        chosen = drops[min(self.spy.odd)] if self.spy.odd else self._choose.choice(drops)
        places = [place for place, drop in enumerate(drops) if drop == chosen]
        self._behind.others = range(len(answers))
        return self._alter(answers, [p for p in places if p not in self.spy.odd] or places, self._behind)
