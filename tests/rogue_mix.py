"""A hop that misbehaves in one way: the real program, with one part put in the place of another.

    python -m tests.rogue_mix BEHAVIOUR [VALUE] -- ARGUMENTS OF THE REAL PROGRAM

``honest`` changes nothing: what a test finds with a rogue must not be found with that one.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import iirs.server.announcer
import iirs.server.hops.hop_state
import iirs.server.main
from iirs.epoch import EpochKey
from iirs.errors import HopError
from iirs.server.hops import main as mix_main
from iirs.server.hops.later_hop import HopEnvironment, LaterHop
from iirs.server.hops.link import Prepare, Prepared, Refusal, RefusedError
from iirs.server.hops.next_hop import NextHopLink
from iirs.server.mix_net import MixNet, _Uploads
from iirs.server.mix_stage import Batch
from iirs.wire.rounds import Announcement, Bundle, announcement_hash

_value = ""


def _flip(data: bytes) -> bytes:
    """Change one bit somewhere in the middle."""
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


# -- in what a hop gives back ----------------------------------------------------------------------------


class Slow(LaterHop):
    """Takes VALUE seconds more for every round's cells."""

    def exchange(self, batch: Batch) -> list[bytes]:
        time.sleep(float(_value))
        return super().exchange(batch)


class ShortOfReplies(LaterHop):
    """Gives back one answer less than it was given cells."""

    def exchange(self, batch: Batch) -> list[bytes]:
        return super().exchange(batch)[:-1]


class AltersReplies(LaterHop):
    """Flips a bit in every answer."""

    def exchange(self, batch: Batch) -> list[bytes]:
        return [_flip(reply) for reply in super().exchange(batch)]


class SwapsReplies(LaterHop):
    """Gives every answer to the cell after it."""

    def exchange(self, batch: Batch) -> list[bytes]:
        replies = super().exchange(batch)
        return replies[1:] + replies[:1]


class AltersBundles(LaterHop):
    """Flips a bit in every invitation that comes back, under the last hop's signature."""

    def collect_invitations(self, batch: Batch) -> Bundle:
        bundle = super().collect_invitations(batch)
        return replace(bundle, invitations=tuple(sorted(_flip(item) for item in bundle.invitations)))


class Dies(LaterHop):
    """Ends, without a word, when it is given cells."""

    def exchange(self, batch: Batch) -> list[bytes]:
        os._exit(1)


class Breaks(LaterHop):
    """Has a bug."""

    def exchange(self, batch: Batch) -> list[bytes]:
        raise RuntimeError("nobody has thought of this")


class Slanders(LaterHop):
    """Refuses to prepare a round, and says that hop VALUE is to blame."""

    def prepare(self, request: Prepare, give_up_at: float) -> Prepared:
        raise RefusedError(int(_value), Refusal.UNREACHABLE)


class ForgesSignatures(LaterHop):
    """Gives another signature under the directory than its own."""

    def prepare(self, request: Prepare, give_up_at: float) -> Prepared:
        prepared = super().prepare(request, give_up_at)
        return replace(prepared, signatures=(_flip(prepared.signatures[0]), *prepared.signatures[1:]))


class KeepsItsKey(LaterHop):
    """Shows the first epoch key it has made for ever."""

    _first: EpochKey | None = None

    def prepare(self, request: Prepare, give_up_at: float) -> Prepared:
        prepared = super().prepare(request, give_up_at)
        self._first = self._first or prepared.keys[0]
        return replace(prepared, keys=(self._first, *prepared.keys[1:]))


# -- in what a hop passes on -----------------------------------------------------------------------------


class AltersOnions(NextHopLink):
    """Flips a bit in every setup onion it passes on."""

    def set_up(self, batch: Batch) -> None:
        super().set_up(replace(batch, items=[_flip(onion) for onion in batch.items]))


class AltersCells(NextHopLink):
    """Flips a bit in every cell it passes on."""

    def exchange(self, batch: Batch) -> list[bytes]:
        return super().exchange(replace(batch, items=[_flip(cell) for cell in batch.items]))


class ShortOfOnions(NextHopLink):
    """Sets up all circuits but one, sends no cells through that, and makes up the answers."""

    def set_up(self, batch: Batch) -> None:
        super().set_up(replace(batch, items=batch.items[:-1]))

    def exchange(self, batch: Batch) -> list[bytes]:
        answers = super().exchange(replace(batch, items=batch.items[:-1]))
        return [*answers, os.urandom(len(answers[0]))]


class ShortOfCells(NextHopLink):
    """Passes on all cells but one, and makes up an answer."""

    def exchange(self, batch: Batch) -> list[bytes]:
        answers = super().exchange(replace(batch, items=batch.items[:-1]))
        return [*answers, os.urandom(len(answers[0]))]


class DoublesOnions(NextHopLink):
    """Passes on its first setup onion in the place of all others."""

    def set_up(self, batch: Batch) -> None:
        super().set_up(replace(batch, items=[batch.items[0]] * len(batch.items)))


class AltersAnnouncements(NextHopLink):
    """Shows the hop behind other announcements than everybody else has seen, one after the other."""

    _shown = b""

    def prepare(self, request: Prepare, give_up_at: float) -> Prepared:
        return super().prepare(replace(request, previous=self._shown or request.previous), give_up_at)

    def open_round(self, announcement: bytes, give_up_at: float) -> None:
        true = Announcement.decode(announcement, self._chain.geometry)
        shown = replace(true, online=true.online ^ 1, previous=self._shown or true.previous).encode()
        super().open_round(shown, give_up_at)
        self._shown = announcement_hash(shown)


class ReplaysBatches(NextHopLink):
    """Passes on every round's cells twice."""

    def exchange(self, batch: Batch) -> list[bytes]:
        replies = super().exchange(batch)
        with suppress(HopError):
            return super().exchange(batch)
        return replies


class ReplaysOldBatches(NextHopLink):
    """Passes on the cells of the round before, as this round's."""

    _before: Batch | None = None

    def exchange(self, batch: Batch) -> list[bytes]:
        before, self._before = self._before or batch, batch
        cells = [before.items[place % len(before.items)] for place in range(len(batch.items))]
        return super().exchange(replace(batch, items=cells))


class ReplaysOldRounds(NextHopLink):
    """Passes on the cells of the round before once more, under its own number, before this round's."""

    _before: Batch | None = None

    def exchange(self, batch: Batch) -> list[bytes]:
        before, self._before = self._before, batch
        if before is not None:
            with suppress(HopError):
                super().exchange(replace(before, give_up_at=batch.give_up_at))
        return super().exchange(batch)


# -- in the entry ----------------------------------------------------------------------------------------


class DropsOneClient(MixNet):
    """Throws away the cells of whoever uploaded first at the setup, and answers all the same."""

    def _cells(self, uploads: _Uploads) -> list[bytes]:
        mine = self._geometry.circuits
        return [*self._stage.random_cells(mine), *super()._cells(uploads)[mine:]]


# -- the table -------------------------------------------------------------------------------------------


def _as_hop(rogue: type[LaterHop]) -> Callable[[], None]:
    return lambda: setattr(mix_main, "LaterHop", rogue)


def _as_link(rogue: type[NextHopLink]) -> Callable[[], None]:
    return lambda: setattr(mix_main, "NextHopLink", rogue)


def _with_a_slow_clock() -> None:
    mix_main.HopEnvironment = partial(HopEnvironment, clock=lambda: time.time() - float(_value))  # type: ignore[assignment,misc]


def _with_a_full_disk() -> None:
    """While there is a file VALUE, nothing that is written is sure to stay."""
    honest = os.fsync

    def full(descriptor: int) -> None:
        if Path(_value).exists():
            raise OSError(errno.ENOSPC, "no space left")
        honest(descriptor)

    iirs.server.hops.hop_state.os.fsync = full  # type: ignore[attr-defined]


def _dropping_one() -> None:
    iirs.server.announcer.MixNet = DropsOneClient  # type: ignore[misc]


BEHAVIOURS: dict[str, Callable[[], None]] = {
    "honest": lambda: None,
    "slow": _as_hop(Slow),
    "short-of-replies": _as_hop(ShortOfReplies),
    "alters-replies": _as_hop(AltersReplies),
    "swaps-replies": _as_hop(SwapsReplies),
    "alters-bundles": _as_hop(AltersBundles),
    "dies": _as_hop(Dies),
    "breaks": _as_hop(Breaks),
    "slanders": _as_hop(Slanders),
    "forges-signatures": _as_hop(ForgesSignatures),
    "keeps-its-key": _as_hop(KeepsItsKey),
    "alters-announcements": _as_link(AltersAnnouncements),
    "alters-cells": _as_link(AltersCells),
    "alters-onions": _as_link(AltersOnions),
    "short-of-cells": _as_link(ShortOfCells),
    "short-of-onions": _as_link(ShortOfOnions),
    "doubles-onions": _as_link(DoublesOnions),
    "replays-batches": _as_link(ReplaysBatches),
    "replays-old-batches": _as_link(ReplaysOldBatches),
    "replays-old-rounds": _as_link(ReplaysOldRounds),
    "slow-clock": _with_a_slow_clock,
    "full-disk": _with_a_full_disk,
    "entry-honest": lambda: None,
    "entry-drops-one": _dropping_one,
}


def main(words: list[str]) -> int:
    """Misbehave until ended."""
    global _value  # this program is one hop
    end = words.index("--")
    behaviour, _value = words[0], words[1] if end > 1 else ""
    BEHAVIOURS[behaviour]()
    program = iirs.server.main.main if behaviour.startswith("entry-") else mix_main.main
    return program(words[end + 1 :])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
