"""The promise against everybody but one hop: alice talks to bob, or to nobody, and the rest see the same.

The argument is in ``docs/threat-model.md``; this is what it says, measured on real engines, real onions and
real hops, with everything that the network and the dishonest hops hold handed over. The comparison has teeth:
it tells the worlds apart where the one honest hop does not mix. Times are ``tests/test_send_times.py``'s.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache

import pytest

from iirs.client.events import PeerChanged, PeerState, TextReceived
from iirs.geometry import DROP_ID_SIZE
from tests.adversary import (
    ALPHA,
    Marks,
    View,
    arrivals,
    by_luck,
    fisher,
    guessed_right,
    marks,
    most_telling,
    requests,
)
from tests.effort import CI, SOAK
from tests.worlds import HOPS, PEOPLE, Glance, Permute, Room

pytestmark = pytest.mark.slow
ROUNDS = 200 if CI or SOAK else 100
FEW = 24
"""Rounds enough to see what an honest hop that does not mix gives away."""
WARM_UP = 10
"""Rounds until two who ask have come together."""
every_honest_hop = pytest.mark.parametrize("honest", range(HOPS))


@cache
def world(*, talk: bool) -> tuple[list[Glance], Room]:
    room = Room(talk)
    room.play(WARM_UP)
    return room.play(ROUNDS), room


def seen_from(glances: list[Glance], honest: int) -> list[Marks]:
    return marks(View.of(glance, honest) for glance in glances)


@cache
def seen(honest: int) -> tuple[list[Marks], list[Marks]]:
    """Return what is seen of both worlds, the one in which alice talks first."""
    return seen_from(world(talk=True)[0], honest), seen_from(world(talk=False)[0], honest)


def unmixed(honest: int, permute: Permute) -> tuple[list[Marks], list[Marks]]:
    """Return what is seen of both worlds if the honest hop has another shuffle."""
    found = []
    for talk in (True, False):
        room = Room(talk, {honest: permute})
        room.play(WARM_UP)
        found.append(seen_from(room.play(FEW), honest))
    return found[0], found[1]


def in_order(count: int) -> list[int]:
    return list(range(count))


def turned(count: int) -> list[int]:
    """A shuffle that many would take for one: a random turn."""
    start = os.urandom(1)[0] % count
    return [(start + place) % count for place in range(count)]


# -- the worlds ---------------------------------------------------------------------------------------------


def test_the_worlds_really_differ_for_the_people_in_them() -> None:
    events = world(talk=True)[1].engines["bob"].take_events()
    assert sum(isinstance(event, TextReceived) for event in events) >= ROUNDS // 10
    assert any(isinstance(event, PeerChanged) and event.state is PeerState.CONNECTED for event in events)
    for engine in world(talk=False)[1].engines.values():
        assert not any(isinstance(event, TextReceived | PeerChanged) for event in engine.take_events())


def test_with_no_honest_hop_at_all_the_adversary_knows_who_talks_to_whom_in_every_round() -> None:
    """What it does with a view is all that can be done: here nothing is left to guess."""
    for talk in (True, False):
        for glance in world(talk=talk)[0][:FEW]:
            view = View.of(glance, None)
            owners = [arrivals(view, HOPS - 1)[place] for place in view.orders[HOPS - 1]]
            met: dict[bytes, list[str]] = {}
            for owner, request in zip(owners, requests(view, HOPS - 1), strict=True):
                if owner is not None:
                    met.setdefault(request[:DROP_ID_SIZE], []).append(owner[0])
            together = Counter(tuple(sorted(pair)) for pair in met.values())
            assert together[("alice", "bob")] == (2 if talk else 0)
            assert sum(together.values()) == len(PEOPLE)


@pytest.mark.parametrize("talk", [True, False])
def test_every_drop_is_accessed_exactly_twice_besides_the_noise(*, talk: bool) -> None:
    for glance in world(talk=talk)[0]:
        accesses = Counter(Counter(item[:DROP_ID_SIZE] for item in glance.batches[HOPS - 1]).values())
        assert accesses.keys() <= {1, 2}
        noise = glance.noise.values()
        assert accesses[1] == sum(count.singles for count in noise)
        assert accesses[2] == len(PEOPLE) + sum(count.pairs for count in noise)


# -- the same for everybody but one hop ----------------------------------------------------------------------


@every_honest_hop
def test_nothing_stands_out_more_often_when_alice_talks(honest: int) -> None:
    chance, mark = most_telling(*seen(honest))
    assert chance > ALPHA, mark


@every_honest_hop
def test_a_guess_that_has_learned_from_both_worlds_is_right_as_often_as_a_coin(honest: int) -> None:
    right = guessed_right(*seen(honest))
    assert right < by_luck(ROUNDS)


@every_honest_hop
def test_nothing_is_the_same_bytes_on_both_sides_of_the_honest_hop_or_in_two_rounds(honest: int) -> None:
    for rounds in seen(honest):
        found = set().union(*rounds)
        assert not any("shows through" in mark or "earlier" in mark for mark in found)
        assert "0 with more" in found


@every_honest_hop
@pytest.mark.parametrize("permute", [in_order, turned])
def test_without_the_honest_hops_shuffle_the_worlds_are_told_apart(honest: int, permute: Permute) -> None:
    """The comparison has teeth, wherever the honest hop stands."""
    talking, idle = unmixed(honest, permute)
    chance, mark = most_telling(talking, idle)
    assert chance < ALPHA / 10, mark
    assert guessed_right(talking, idle) > 0.8


def test_fishers_exact_test_gives_the_values_of_the_textbook() -> None:
    assert fisher(3, 1, 4) == pytest.approx(2 * 17 / 70)
    assert fisher(0, 0, 10) == fisher(10, 10, 10) == fisher(5, 5, 10) == 1
    assert fisher(20, 0, 20) == pytest.approx(2 / 137846528820)
