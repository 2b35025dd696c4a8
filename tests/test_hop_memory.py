"""Whoever takes a hop over in an epoch gets that one, and nothing of that before, whatever was recorded."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FunctionType, ModuleType

import pytest

from iirs.circuit import Circuit, Layer, Way, initial_block, set_up
from iirs.errors import OnionError
from iirs.geometry import CELL_SIZE, DROP_ID_SIZE, BatchKind
from iirs.onion import RoundContext, peel
from iirs.server.deaddrop import DeadDropManager
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.later_hop import HopEnvironment, LaterHop
from iirs.server.hops.link import Prepare
from iirs.server.hops.mix_hop import MixHop
from iirs.server.mix_stage import Batch
from iirs.suite import KeyPair
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, RoundFlags, announcement_hash
from tests.builders import make_chain, make_directory

KEYS = make_chain(2, epoch_rounds=4)
CHAIN = KEYS.chain
SUITE = CHAIN.geometry.suite
CELL, _, SETUP = BatchKind
NOW = 3000


@dataclass
class Recorded:
    """All that passed a link in one epoch, as somebody who listens there for years has it."""

    context: RoundContext
    onions: list[bytes]
    cells: dict[int, list[bytes]] = field(default_factory=dict)
    answers: dict[int, list[bytes]] = field(default_factory=dict)
    meant: dict[int, list[bytes]] = field(default_factory=dict)
    """What was in the cells; nobody recorded that."""


class Life:
    """The last hop of a chain of two, with people who set up two circuits each time, to one drop."""

    def __init__(self) -> None:
        clock = lambda: NOW * CHAIN.round_ms / 1000  # noqa: E731
        world = HopEnvironment(os.urandom, clock)
        self.hop = LaterHop(CHAIN, 1, KEYS.identities[1], HopState(None, CHAIN.chain_id), world, None)
        self._previous = NOTHING_BEFORE

    def epoch(self, setup_round: int) -> Recorded:
        """Run an epoch of three rounds; return what passed."""
        context = self._open(setup_round, setup_round)
        public = [SUITE.load_public(self._key)]
        made = [set_up(bytes(DROP_ID_SIZE), public, SUITE, context, os.urandom) for _ in range(2)]
        recorded = Recorded(context, [onion for onion, _ in made])
        self.hop.set_up(Batch(context, SETUP, recorded.onions))
        for number in range(setup_round, setup_round + 3):
            if number != setup_round:
                context = self._open(number, setup_round)
            self._round(context, recorded, [circuit for _, circuit in made])
        return recorded

    def _open(self, number: int, setup_round: int) -> RoundContext:
        prepared = self.hop.prepare(Prepare(number, setup_round, self._previous, 0), math.inf)
        self._key = prepared.keys[0].public_bytes
        head = KEYS.head(make_directory(CHAIN))
        key_ids = (bytes(32), prepared.keys[0].key_id)
        place = (self._previous, number, setup_round)
        shown = Announcement(*place, RoundFlags.NONE, CHAIN.round_ms, 1, 2, key_ids, head, 0, ()).encode()
        self.hop.open_round(shown, math.inf)
        self._previous = announcement_hash(shown)
        return self.hop.context(number)

    def _round(self, context: RoundContext, recorded: Recorded, circuits: list[Circuit]) -> None:
        number = context.round_number
        recorded.meant[number] = [os.urandom(CELL_SIZE) for _ in circuits]
        recorded.cells[number] = [
            circuit.wrap(number, cell) for circuit, cell in zip(circuits, recorded.meant[number], strict=True)
        ]
        answers = self.hop.exchange(Batch(context, CELL, recorded.cells[number]))
        assert circuits[0].unwrap(number, answers[0]) == recorded.meant[number][1]
        recorded.answers[number] = answers


def image(hop: LaterHop) -> list[object]:
    """Return every object that can be reached from a hop: what is in its memory.

    Not by way of a module: there are the hops of other tests.
    """
    seen: dict[int, object] = {}
    waiting: list[object] = [hop]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type | ModuleType):
            continue
        seen[id(item)] = item
        if isinstance(item, FunctionType):
            waiting += [item.__closure__, item.__defaults__, item.__kwdefaults__, item.__dict__]
        else:
            waiting += gc.get_referents(item)
    return list(seen.values())


def read(hop: LaterHop, recorded: Recorded) -> Iterator[str]:
    """Say what can be read of an epoch's recorded bytes with all that a hop's memory holds."""
    held = image(hop)
    for pair in (item for item in held if isinstance(item, KeyPair)):
        for onion in recorded.onions:
            try:
                peel(onion, pair, SUITE, recorded.context, 1, SETUP)
            except OnionError:
                continue
            yield "setup"
    for layer in (item for item in held if isinstance(item, Layer)):
        for number, cells in recorded.cells.items():
            meant = set(recorded.meant[number])
            if meant & {layer.apply(initial_block(number, Way.FORWARD), cell) for cell in cells}:
                yield "cell"
            answers = recorded.answers[number]
            if meant & {layer.apply(initial_block(number, Way.BACK), cell) for cell in answers}:
                yield "answer"
    if any(isinstance(item, DeadDropManager) and item._partners == [1, 0] for item in held):
        yield "pairs"


def test_the_image_of_a_hop_opens_the_epoch_it_was_taken_in_and_nothing_before() -> None:
    life = Life()
    before, now = life.epoch(NOW), life.epoch(NOW + 3)
    assert {"setup", "cell", "answer", "pairs"} == set(read(life.hop, now))
    assert set(read(life.hop, before)) == {"pairs"}, "those of now, which happen to be alike"


def test_from_the_announcement_of_a_setup_on_nothing_is_left_of_the_epoch_before() -> None:
    life = Life()
    before = life.epoch(NOW)
    life._open(NOW + 3, NOW + 3)
    assert list(read(life.hop, before)) == []


def test_when_nobody_asks_for_more_nothing_is_left_after_the_keys_time() -> None:
    life = Life()
    before = life.epoch(NOW)
    life.hop._keyring._clock = lambda: math.inf
    life.hop.erase_keys()
    assert list(read(life.hop, before)) == []


@pytest.mark.parametrize(
    ("owner", "method", "found"),
    [
        (MixHop, "forget", {"cell", "answer"}),
        (DeadDropManager, "forget", {"pairs"}),
    ],
    ids=["layers", "pairs"],
)
def test_what_was_not_forgotten_would_be_found(
    owner: type, method: str, found: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, method, lambda _: None)
    life = Life()
    before = life.epoch(NOW)
    life._open(NOW + 3, NOW + 3)
    assert set(read(life.hop, before)) == found


def test_a_key_that_was_not_erased_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life()
    before = life.epoch(NOW)
    monkeypatch.setattr(life.hop._keyring, "keep_only", lambda key_id: None)
    life._open(NOW + 3, NOW + 3)
    assert set(read(life.hop, before)) == {"setup"}
