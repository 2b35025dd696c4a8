"""Hops and clients that lack one defence, for tests to show what it is good for."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Hashable, Sequence

import pytest

from iirs import circuit
from iirs.circuit import Circuit, Layer, Way, initial_block
from iirs.geometry import CELL_SIZE
from iirs.server.hops import later_hop, mix_hop
from iirs.server.hops.mix_hop import MixHop
from iirs.server.mix_net import MixNet, _Uploads
from iirs.wire.rounds import Replies
from tests import open_chain

NOTHING = bytes(CELL_SIZE)
"""Stands where a cell is missing, for whoever does not heal it."""


# -- nothing is healed ------------------------------------------------------------------------------------


class PassesOnMissing(MixHop):
    """Passes on as missing what is missing, both ways."""

    def _apply(self, round_number: int, way: Way, cells: Sequence[bytes]) -> list[bytes]:
        applied = super()._apply(round_number, way, cells)
        return [NOTHING if cell == NOTHING else there for cell, there in zip(cells, applied, strict=True)]


class EntryPassesOnMissing(MixNet):
    """The same, at the entry."""

    def _cells(self, uploads: _Uploads) -> list[bytes]:
        healed = self._stage.random_cells
        self._stage.random_cells = lambda count: [NOTHING] * count  # type: ignore[method-assign]
        try:
            return super()._cells(uploads)
        finally:
            self._stage.random_cells = healed  # type: ignore[method-assign]

    def _replies(self, uploads: _Uploads, answers: Sequence[bytes]) -> dict[Hashable, Replies]:
        replies = super()._replies(uploads, answers)
        for client, first in self._first_places.items():
            given = replies[client]
            cells = tuple(
                bytes(len(cell)) if answers[first + index] == NOTHING else cell
                for index, cell in enumerate(given.cells)
            )
            replies[client] = Replies(given.round_number, given.status, cells)
        return replies


def heal_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every hop that is started from now on pass on as missing what is missing."""
    monkeypatch.setattr(later_hop, "MixHop", PassesOnMissing)
    monkeypatch.setattr(open_chain, "MixNet", EntryPassesOnMissing)


# -- cells that are authenticated hop by hop --------------------------------------------------------------

_TAG = 16
_TAGS = 2
"""Room at a cell's beginning, for each later hop in turn: what is said there is lost."""


def _tag(secret: bytes, block: bytes, cell: bytes) -> bytes:
    return hmac.digest(secret, block + cell, hashlib.sha256)[:_TAG]


class Tagged:
    """A layer with a tag: opens what its client sealed in this round, and nothing else."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._layer = Layer(secret)

    def seal(self, block: bytes, cell: bytes, hop: int) -> bytes:
        """Return a cell with this layer, the tag of hop 1 standing first."""
        end = hop * _TAG
        tag = _tag(self._secret, block, cell[end:])
        return self._layer.apply(block, cell[: end - _TAG] + tag + cell[end:])

    def fits(self, block: bytes, sealed: bytes) -> bool:
        """Whether a cell is as a client sealed it, for whichever place in the chain this is."""
        cell = self._layer.apply(block, sealed)
        ends = [hop * _TAG for hop in range(1, _TAGS + 1)]
        return any(cell[end - _TAG : end] == _tag(self._secret, block, cell[end:]) for end in ends)

    def apply(self, block: bytes, cell: bytes) -> bytes:
        """Take the layer off; heal what does not fit. On the way back only the client checks."""
        if block[8] == Way.FORWARD and not self.fits(block, cell):
            return os.urandom(CELL_SIZE)
        return self._layer.apply(block, cell)


class TaggedCircuit(Circuit):
    """A client's circuit with a tag for every hop."""

    __slots__ = ("_tagged",)

    def __init__(self, secrets: Sequence[bytes]) -> None:
        super().__init__(secrets)
        self._tagged = [Tagged(secret) for secret in secrets]

    def wrap(self, round_number: int, cell: bytes) -> bytes:
        block = initial_block(round_number, Way.FORWARD)
        for hop in range(len(self._tagged), 0, -1):
            cell = self._tagged[hop - 1].seal(block, cell, hop)
        return cell


def authenticate_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have clients put a tag for every hop into their cells, and hops check it, from the next setup on.

    Noise does not fit then: what a hop makes of it is known to be noise by that hop and all before it alone.
    """
    monkeypatch.setattr(circuit, "Circuit", TaggedCircuit)
    monkeypatch.setattr(mix_hop, "Layer", Tagged)
