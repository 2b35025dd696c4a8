"""Everybody but one hop, together: what they hold of a round, what they make of it, and how well they guess.

A ``View`` is all that the network and the dishonest hops hold, with the batches into and out of the honest
one. ``arrivals`` and ``Inside`` follow every circuit as far as it can be followed; a ``Spy`` says what then
stands out, as a set of words, so that epochs of two worlds can be compared word by word.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

from iirs.circuit import Layer, Way, initial_block
from iirs.geometry import PEER_MESSAGE_SIZE, Geometry
from iirs.onion import peel
from tests.open_chain import CELL, HOPS, SETUP
from tests.worlds import Glance, Setup

ALPHA = 1e-6
"""The chance that one comparison of two equal worlds fails by bad luck."""
MARKS_MAX = 1000
"""More kinds of marks than there can be: each is tested at ``ALPHA`` divided by this."""
TELLING = 0.1
"""The p-value below which a guess takes a mark for more than chance."""
LOOKED_AT = (*range(16), *range(PEER_MESSAGE_SIZE - 48, PEER_MESSAGE_SIZE - 1))
"""Where in a message two bytes are compared: in what is the IV and the MAC of a real one."""
PIECE = 16

Owner = tuple[str, int]
"""A client, and which of its circuits."""
Marks = set[str]
T = TypeVar("T")


def _without(table: Mapping[int, T], hop: int | None) -> dict[int, T]:
    return {key: value for key, value in table.items() if key != hop}


@dataclass(frozen=True)
class View:
    """What the network and all hops but ``honest`` hold of one epoch's setup, together."""

    honest: int | None
    geometry: Geometry
    setup: Setup
    """Without what the honest hop keeps to itself."""

    @classmethod
    def of(cls, glance: Glance, honest: int | None) -> View:
        """Take from a setup what the honest hop keeps to itself; ``None``: there is no honest hop."""
        setup = glance.setup
        kept = replace(
            setup,
            channels={} if honest == 0 else setup.channels,
            pairs=_without(setup.pairs, honest),
            orders=_without(setup.orders, honest),
            noise=_without(setup.noise, honest),
        )
        return cls(honest, glance.chain.chain.geometry, kept)

    def peeled(self, hop: int, onion: bytes) -> tuple[bytes, bytes]:
        """Return a layer's secret and the inner onion, which takes a dishonest hop's private key."""
        return peel(onion, self.setup.pairs[hop], self.geometry.suite, self.setup.context, hop, SETUP)

    def uploaded(self, owner: Owner) -> bytes:
        """Return an onion as the entry takes it out of an upload, which takes the entry's channel keys."""
        client, place = owner
        index = self.geometry.first_index(SETUP) + place
        sealed = self.setup.uploads[client].setups[place]
        return self.setup.channels[client].open_up(self.setup.context, SETUP, index, sealed)


# -- following circuits -----------------------------------------------------------------------------------


def arrivals(view: View, hop: int) -> list[Owner | None]:
    """Return whose circuit stands in each place of the setup into ``hop``; ``None``: a former hop's noise."""
    clients = [(client, i) for client in view.setup.uploads for i in range(view.geometry.circuits)]
    owners: list[Owner | None] = list(clients)
    for passed in range(hop):
        if passed == 0:
            inner = [view.uploaded(owner) for owner in clients]
        else:
            inner = [view.peeled(passed, onion)[1] for onion in view.setup.batches[passed - 1]]
        whose = dict(zip(inner, owners, strict=True))
        order = view.setup.orders[passed]
        by_order = [owners[place] if place < len(owners) else None for place in order]
        owners = [whose.get(onion) for onion in view.setup.batches[passed]]
        assert owners == by_order, "a dishonest hop's keys and its permutation tell the same"
    return owners


class Inside:
    """What left one hop, without the layers of the dishonest ones behind it: drops, and rounds' cells."""

    def __init__(self, view: View, hop: int) -> None:
        self._hop = hop
        self.secrets: list[list[bytes]] = []
        """For each circuit that left the hop, those of all hops behind it."""
        self.drops: list[bytes] = []
        for left in view.setup.batches[hop]:
            onion, secrets = left, []
            for behind in range(hop + 1, HOPS):
                secret, onion = view.peeled(behind, onion)
                secrets.append(secret)
            self.secrets.append(secrets)
            self.drops.append(onion)
        self._layers = [list(map(Layer, secrets)) for secrets in self.secrets]

    def sent(self, glance: Glance) -> list[bytes]:
        """Return what each circuit carried to its drop."""
        return self._opened(glance, Way.FORWARD, glance.cells[self._hop])

    def returned(self, glance: Glance) -> list[bytes]:
        """Return what each circuit brought back from it."""
        return self._opened(glance, Way.BACK, glance.answers[self._hop])

    def _opened(self, glance: Glance, way: Way, cells: Sequence[bytes]) -> list[bytes]:
        block = initial_block(glance.context.round_number, way)
        opened = []
        for layers, cell in zip(self._layers, cells, strict=True):
            for layer in layers:
                cell = layer.apply(block, cell)  # noqa: PLW2901  # opened hop by hop
            opened.append(cell)
        return opened


# -- what stands out --------------------------------------------------------------------------------------


class Spy:
    """What everybody but one hop makes of the rounds, one after the other; it remembers all that was."""

    def __init__(self, honest: int) -> None:
        self.honest = honest
        self.odd: set[int] = set()
        """The circuits behind the honest hop that have stood out in this epoch."""
        self.odd_before: set[Owner] = set()
        """Those before it that have, on the way back."""
        self.drops: list[bytes] = []
        """Where the circuits lead that left the honest hop."""
        self.owners: list[Owner | None] = []
        """Whose circuits came into it."""
        self._remembered: set[bytes] = set()
        self._passages: dict[Way, _Passage] = {}

    def marks(self, glances: Iterable[Glance]) -> list[Marks]:
        """Return what stands out in each epoch."""
        epochs: list[Marks] = []
        for glance in glances:
            if glance.is_setup:
                epochs.append(set())
            epochs[-1].update(self.look(glance))
        return epochs

    def look(self, glance: Glance) -> Marks:
        """Return what stands out in the next round."""
        found: Marks = set()
        if glance.is_setup:
            found |= self._look_at_setup(glance)
        offset = glance.context.round_number - glance.setup.context.round_number
        contents = self._inside.sent(glance)
        found |= _sizes(glance) | {f"{_likeness(contents)} alike, round {offset}"}
        found |= self._showing_through(glance)
        if self._is_new([*glance.cells[self.honest], *contents]):
            found.add("seen in an earlier round")
        odd, linked = self._passages[Way.FORWARD].look(self._before(glance), glance.cells[self.honest])
        odd_back, _ = self._passages[Way.BACK].look(glance.answers[self.honest], self._answered(glance))
        self.odd |= odd
        self.odd_before |= {owner for place in odd_back if (owner := self.owners[place]) is not None}
        whose = [self.owners[linked[place]] if place in linked else None for place in range(len(contents))]
        return found | _meetings(whose, self.drops, "by their change") | self._told_by_odd()

    def _look_at_setup(self, glance: Glance) -> Marks:
        view = View.of(glance, self.honest)
        self.owners = arrivals(view, self.honest)
        self._inside = Inside(view, self.honest)
        self._passages = {way: _Passage() for way in Way}
        self.odd, self.odd_before = set(), set()
        drops = self.drops = self._inside.drops
        found = _meetings(self.owners, drops, "straight on") | _meetings(
            self.owners[::-1], drops, "backwards"
        )
        found |= _turns(self.owners, drops) | _distances(drops) | _counts(view, drops)
        if self._is_new(drops):
            found.add("seen in an earlier round")
        return found

    def _is_new(self, seen: Sequence[bytes]) -> bool:
        is_known = not self._remembered.isdisjoint(seen)
        self._remembered.update(seen)
        return is_known

    def _before(self, glance: Glance) -> Sequence[bytes]:
        """What came into the honest hop."""
        if self.honest > 0:
            return glance.cells[self.honest - 1]
        return [cell for upload in glance.taken.values() for cell in upload.cells]

    def _answered(self, glance: Glance) -> Sequence[bytes]:
        """What the honest hop gave back."""
        if self.honest > 0:
            return glance.answers[self.honest - 1]
        size = glance.chain.chain.geometry.uploaded_size(CELL)
        replies = [glance.replies[name][9:] for name in glance.setup.uploads]
        return [reply[start : start + size] for reply in replies for start in range(0, len(reply), size)]

    def _told_by_odd(self) -> Marks:
        """What the circuits tell that have stood out: where they lead, and whose they are."""
        drops = {self.drops[place] for place in self.odd}
        found = {f"{len(self.odd)} odd in {len(drops)} drops"} if self.odd else set()
        whose = sorted({name for name, _ in self.odd_before})
        return found | ({f"odd on the way back: {whose}"} if whose else set())

    def _showing_through(self, glance: Glance) -> Marks:
        """Whether anything is the same bytes on both sides of the honest hop, on the way there or back."""
        sides = {
            "there": (self._before(glance), glance.cells[self.honest]),
            "back": (self._answered(glance), glance.answers[self.honest]),
        }
        return {
            f"shows through on the way {way}"
            for way, (outside, inside) in sides.items()
            if any(piece in item for item in outside for cell in inside for piece in _pieces(cell))
        }


class _Passage:
    """One way through the honest hop in an epoch: what stands out behind it."""

    def __init__(self) -> None:
        self._came: Sequence[bytes] = ()
        self._left: Sequence[bytes] = ()
        self._known: set[bytes] = set()

    def look(self, came: Sequence[bytes], left: Sequence[bytes]) -> tuple[set[int], dict[int, int]]:
        """Return the places of what left that is plain, or known from before or outside the hop.

        And which places changed since the last round as another did on the other side, and which that is:
        so they do if both rounds' layers are the same.
        """
        self._known.update(came)
        odd = {place for place, cell in enumerate(left) if cell in self._known or not cell.strip(cell[:1])}
        self._known.update(left)
        changes = {change: place for place, change in enumerate(_changes(self._came, came)) if change}
        linked = {
            place: changes[change]
            for place, change in enumerate(_changes(self._left, left))
            if change in changes
        }
        self._came, self._left = came, left
        return odd, linked


def _changes(former: Sequence[bytes], cells: Sequence[bytes]) -> list[int]:
    """Return how the beginnings of cells differ from those at the same places in the round before."""
    if len(former) != len(cells):
        return []
    return [
        int.from_bytes(old[:PIECE]) ^ int.from_bytes(new[:PIECE])
        for old, new in zip(former, cells, strict=True)
    ]


def _pieces(item: bytes) -> tuple[bytes, ...]:
    return item[:PIECE], item[-PIECE:], item[len(item) // 2 :][:PIECE]


def _meetings(owners: Sequence[Owner | None], drops: Sequence[bytes], guess: str) -> Marks:
    """Who met whom in a drop, guessing that the honest hop passes its batch on in this order."""
    places: dict[bytes, list[Owner]] = {}
    for owner, drop_id in zip(owners, drops, strict=False):  # what comes after is the honest hop's own noise
        if owner is not None:
            places.setdefault(drop_id, []).append(owner)
    return {f"{guess}: {met}" for who in places.values() for met in combinations(sorted(who), 2)}


def _turns(owners: Sequence[Owner | None], drops: Sequence[bytes]) -> Marks:
    """How many clients meet themselves, guessing that the honest hop turns its batch, as far as fits best."""
    names = [None if owner is None else owner[0] for owner in owners]
    names += [None] * (len(drops) - len(names))
    first: dict[bytes, int] = {}
    alone: Counter[int] = Counter()
    for place, drop_id in enumerate(drops):
        before = first.setdefault(drop_id, place)
        for turn in range(len(drops) if before != place else 0):
            name = names[place - turn]
            alone[turn] += name is not None and name == names[before - turn]
    return {f"{max(alone.values(), default=0)} meet themselves at the best turn"}


def _distances(drops: Sequence[bytes]) -> Marks:
    """How far apart the two accesses of a drop are, round the batch; how many at each short distance."""
    first: dict[bytes, int] = {}
    apart: Counter[int] = Counter()
    for place, drop_id in enumerate(drops):
        if drop_id in first:
            away = place - first[drop_id]
            apart[min(away, len(drops) - away)] += 1
        first[drop_id] = place
    return {f"{min(apart[away], 4)} drops {away} apart" for away in (1, 2, 3, 4)}


def _counts(view: View, drops: Sequence[bytes]) -> Marks:
    """Accesses, less the noise that dishonest hops made themselves."""
    accesses = Counter(Counter(drops).values())
    singles = accesses[1] - sum(count.singles for count in view.setup.noise.values())
    pairs = accesses[2] - sum(count.pairs for count in view.setup.noise.values())
    more = sum(number for times, number in accesses.items() if times > 2)
    return {f"{singles} singles", f"{pairs} pairs", f"{more} with more"}


def _sizes(glance: Glance) -> Marks:
    sizes = {name: (len(sent), len(glance.replies[name])) for name, sent in glance.wire.items()}
    sent = {f"{name} sent and got {size}" for name, size in sizes.items()}
    return sent | {f"{len(glance.bundle)} invitations", f"{len(glance.cells[HOPS - 1])} cells"}


def _likeness(contents: Sequence[bytes]) -> int:
    """Return at how many places two messages have the same two bytes; 5: at so many or more."""
    alike = sum(len({message[at : at + 2] for message in contents}) < len(contents) for at in LOOKED_AT)
    return min(alike, 5)


# -- comparing --------------------------------------------------------------------------------------------


def fisher(one: int, other: int, rounds: int) -> float:
    """Return Fisher's exact p-value, two-sided by doubling, of two counts out of ``rounds`` each.

    If both worlds are alike it is at most x with a chance of at most x.
    """
    total = one + other
    ways = math.comb(2 * rounds, total)

    def up_to(count: int) -> int:
        lowest = max(0, total - rounds)
        return sum(math.comb(rounds, k) * math.comb(rounds, total - k) for k in range(lowest, count + 1))

    return min(1.0, 2 * min(up_to(one), up_to(other)) / ways)


def most_telling(one: Sequence[Marks], other: Sequence[Marks]) -> tuple[float, str]:
    """Return the mark whose counts differ most between two worlds, and its p-value for all marks together."""
    counts = [Counter(mark for found in world for mark in found) for world in (one, other)]
    kinds = counts[0].keys() | counts[1].keys()
    assert len(one) == len(other)
    assert len(kinds) <= MARKS_MAX
    return min((MARKS_MAX * fisher(counts[0][mark], counts[1][mark], len(one)), mark) for mark in kinds)


def guessed_right(one: Sequence[Marks], other: Sequence[Marks]) -> float:
    """Return which share of the later halves a guess gets right that has learned from the first halves.

    It takes the marks that looked telling there, and weighs each by how much so (naive Bayes).
    """
    half = len(one) // 2
    weights: dict[str, tuple[float, float]] = {}
    for mark in set().union(*one[:half], *other[:half]):
        seen = [sum(mark in found for found in world[:half]) for world in (one, other)]
        if fisher(*seen, half) < TELLING:
            there = math.log((seen[0] + 0.5) / (seen[1] + 0.5))
            weights[mark] = there, math.log((half - seen[0] + 0.5) / (half - seen[1] + 0.5))

    def is_one(found: Marks) -> bool:
        return sum(there if mark in found else missing for mark, (there, missing) in weights.items()) > 0

    right = sum(map(is_one, one[half:])) + sum(not is_one(found) for found in other[half:])
    return right / (len(one) - half) / 2


def by_luck(rounds: int) -> float:
    """Return the share a guess that knows nothing exceeds with a chance of at most ``ALPHA`` (Hoeffding).

    Each of 2n rounds is right with a chance of its own; together n are right on average.
    """
    later = 2 * (rounds - rounds // 2)
    return 0.5 + math.sqrt(math.log(2 / ALPHA) / 2 / later)
