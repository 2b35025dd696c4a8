"""Everybody but one hop, together: what they hold of a round, what they make of it, and how well they guess.

A ``View`` is all that the network and the dishonest hops hold, with the batches into and out of the honest
one. ``arrivals`` and ``requests`` follow every onion as far as it can be followed; ``marks`` says what then
stands out, as a set of words, so that rounds of two worlds can be compared word by word.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from iirs.geometry import DROP_ID_SIZE, ERRAND_SIZE, PEER_MESSAGE_SIZE, Geometry
from iirs.noise import NoiseCount
from iirs.onion import EntryChannel, RoundContext, open_reply, peel
from iirs.suite import KeyPair
from tests.worlds import HOPS, TALK, Glance

ALPHA = 1e-6
"""The chance that one comparison of two equal worlds fails by bad luck."""
MARKS_MAX = 1000
"""More kinds of marks than there can be: each is tested at ``ALPHA`` divided by this."""
TELLING = 0.1
"""The p-value below which a guess takes a mark for more than chance."""
LOOKED_AT = (*range(16), *range(PEER_MESSAGE_SIZE - 48, PEER_MESSAGE_SIZE - 1))
"""Where in a message two bytes are compared: in what is the IV and the MAC of a real one."""

Owner = tuple[str, int]
"""A client, and which of its onions."""
Marks = set[str]
T = TypeVar("T")


@dataclass(frozen=True)
class View:
    """What the network and all hops but ``honest`` hold of one round, together."""

    honest: int | None
    geometry: Geometry
    context: RoundContext
    uploads: Mapping[str, bytes]
    replies: Mapping[str, bytes]
    channels: Mapping[str, EntryChannel]
    pairs: Mapping[int, KeyPair]
    batches: Mapping[int, Sequence[bytes]]
    """What left each hop. Of an honest last hop too, whose requests nobody else would see in truth."""
    answers: Mapping[int, Sequence[bytes]]
    """What came back to each hop."""
    orders: Mapping[int, Sequence[int]]
    noise: Mapping[int, NoiseCount]
    bundle: Sequence[bytes]
    """The invitations everybody gets, in rounds that have some."""

    @classmethod
    def of(cls, glance: Glance, honest: int | None) -> View:
        """Take from a round what the honest hop keeps to itself; ``None``: there is no honest hop."""
        return cls(
            honest,
            glance.chain.chain.geometry,
            glance.context,
            glance.uploads,
            glance.replies,
            {} if honest == 0 else glance.channels,
            _without(glance.pairs, honest),
            glance.batches,
            glance.answers,
            _without(glance.orders, honest),
            _without(glance.noise, honest),
            glance.bundle,
        )

    def peeled(self, hop: int, onion: bytes) -> tuple[bytes, bytes]:
        """Return reply key and inner onion, which takes a dishonest hop's private key."""
        return peel(onion, self.pairs[hop], self.geometry.suite, self.context, hop, TALK)

    def uploaded(self, owner: Owner) -> bytes:
        """Return an onion as the entry takes it out of an upload, which takes the entry's channel keys."""
        client, index = owner
        size = self.geometry.entry_onion_size(TALK)
        start = 8 + ERRAND_SIZE + index * size
        sealed = self.uploads[client][start : start + size]
        return self.channels[client].open_up(self.context, TALK, index, sealed)


def _without(table: Mapping[int, T], hop: int | None) -> dict[int, T]:
    return {key: value for key, value in table.items() if key != hop}


# -- following onions -------------------------------------------------------------------------------------


def arrivals(view: View, hop: int) -> list[Owner | None]:
    """Return whose onion stands in each place of the batch into ``hop``; ``None``: noise of a hop before."""
    clients = [(client, i) for client in view.uploads for i in range(view.geometry.onions_per_client)]
    owners: list[Owner | None] = list(clients)
    for passed in range(hop):
        if passed == 0:
            inner = [view.uploaded(owner) for owner in clients]
        else:
            inner = [view.peeled(passed, onion)[1] for onion in view.batches[passed - 1]]
        whose = dict(zip(inner, owners, strict=True))
        order = view.orders[passed]
        by_order = [owners[place] if place < len(owners) else None for place in order]
        owners = [whose.get(onion) for onion in view.batches[passed]]
        assert owners == by_order, "a dishonest hop's keys and its permutation tell the same"
    return owners


def requests(view: View, hop: int) -> list[bytes]:
    """Return what each onion that left ``hop`` is at the dead drops."""
    onions = list(view.batches[hop])
    for behind in range(hop + 1, HOPS):
        onions = [view.peeled(behind, onion)[1] for onion in onions]
    return onions


def returned(view: View, hop: int) -> list[bytes]:
    """Return what came back to ``hop``, without the seals of the dishonest hops behind it."""
    opened = []
    for onion, answer in zip(view.batches[hop], view.answers[hop], strict=True):
        reply_keys = []
        for behind in range(hop + 1, HOPS):
            reply_key, onion = view.peeled(behind, onion)  # noqa: PLW2901  # peeled hop by hop
            reply_keys.append(reply_key)
        opened.append(open_reply(reply_keys, answer))
    return opened


# -- what stands out --------------------------------------------------------------------------------------


def marks(views: Iterable[View]) -> list[Marks]:
    """Return what stands out in each round; the adversary remembers the rounds before."""
    remembered: set[bytes] = set()
    return [_marks(view, remembered) for view in views]


def _marks(view: View, remembered: set[bytes]) -> Marks:
    honest = HOPS - 1 if view.honest is None else view.honest
    owners = arrivals(view, honest)
    there = requests(view, honest)
    ids = [request[:DROP_ID_SIZE] for request in there]
    contents = [request[DROP_ID_SIZE:] for request in there]
    found = _meetings(owners, ids, "straight on") | _meetings(owners[::-1], ids, "backwards")
    found |= (
        _turns(owners, ids)
        | _distances(ids)
        | _counts(view, ids)
        | _likeness(contents)
        | _showing_through(view, honest)
    )
    if not remembered.isdisjoint([*ids, *contents]):
        found.add("seen in an earlier round")
    remembered.update(ids, contents)
    return found


def _meetings(owners: Sequence[Owner | None], ids: Sequence[bytes], guess: str) -> Marks:
    """Who met whom in a drop, guessing that the honest hop passes its batch on in this order."""
    places: dict[bytes, list[Owner]] = {}
    for owner, drop_id in zip(owners, ids, strict=False):  # what comes after is the honest hop's own noise
        if owner is not None:
            places.setdefault(drop_id, []).append(owner)
    return {f"{guess}: {met}" for who in places.values() for met in combinations(sorted(who), 2)}


def _turns(owners: Sequence[Owner | None], ids: Sequence[bytes]) -> Marks:
    """How many clients meet themselves, guessing that the honest hop turns its batch, as far as fits best."""
    names = [None if owner is None else owner[0] for owner in owners]
    names += [None] * (len(ids) - len(names))
    first: dict[bytes, int] = {}
    alone: Counter[int] = Counter()
    for place, drop_id in enumerate(ids):
        before = first.setdefault(drop_id, place)
        for turn in range(len(ids) if before != place else 0):
            name = names[place - turn]
            alone[turn] += name is not None and name == names[before - turn]
    return {f"{max(alone.values(), default=0)} meet themselves at the best turn"}


def _distances(ids: Sequence[bytes]) -> Marks:
    """How far apart the two accesses of a drop are, round the batch; how many at each short distance."""
    first: dict[bytes, int] = {}
    apart: Counter[int] = Counter()
    for place, drop_id in enumerate(ids):
        if drop_id in first:
            away = place - first[drop_id]
            apart[min(away, len(ids) - away)] += 1
        first[drop_id] = place
    return {f"{min(apart[away], 4)} drops {away} apart" for away in (1, 2, 3, 4)}


def _counts(view: View, ids: Sequence[bytes]) -> Marks:
    """Accesses and sizes, less the noise that dishonest hops made themselves."""
    drops = Counter(Counter(ids).values())
    singles = drops[1] - sum(count.singles for count in view.noise.values())
    pairs = drops[2] - sum(count.pairs for count in view.noise.values())
    sizes = {name: (len(upload), len(view.replies[name])) for name, upload in view.uploads.items()}
    return {
        f"{singles} singles",
        f"{pairs} pairs",
        f"{len(view.bundle)} invitations",
        f"{sum(number for accesses, number in drops.items() if accesses > 2)} with more",
        *(f"{name} sent and got {size}" for name, size in sizes.items()),
    }


def _likeness(contents: Sequence[bytes]) -> Marks:
    """How many places there are where two messages have the same two bytes."""
    alike = sum(len({message[at : at + 2] for message in contents}) < len(contents) for at in LOOKED_AT)
    return {f"{min(alike, 5)} alike"}


def _showing_through(view: View, honest: int) -> Marks:
    """Whether anything is the same bytes on both sides of the honest hop, on the way there or back."""
    before = list(view.uploads.values()) if honest == 0 else list(view.batches[honest - 1])
    back = list(view.replies.values()) if honest == 0 else list(view.answers[honest - 1])
    there = {piece for onion in view.batches[honest] for piece in _pieces(onion)}
    came = {piece for answer in returned(view, honest) for piece in _pieces(answer)}
    sides = {"there": (before, there), "back": (back, came)}
    return {
        f"shows through on the way {way}"
        for way, (outside, inside) in sides.items()
        if any(piece in item for item in outside for piece in inside)
    }


def _pieces(item: bytes) -> tuple[bytes, ...]:
    return item[:16], item[-16:], item[len(item) // 2 :][:16]


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
