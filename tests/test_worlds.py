"""The promise against everybody but one hop: alice talks to bob, or to nobody, and the rest see the same.

The argument is in ``docs/threat-model.md``; this is what it says, measured on real engines, real circuits
and real hops, with everything that the network and the dishonest hops hold handed over: to whoever watches,
while uploads are late now and then, and to whoever meddles with alice's cells. The comparison has teeth: it
tells the worlds apart where the one honest hop does not mix, or does not heal. Times:
``tests/test_send_times.py``.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache
from random import Random
from typing import Any

import pytest

from iirs.circuit import Way, initial_block
from iirs.client.events import PeerChanged, PeerState, RoundClosed, RoundFate, TextReceived
from tests.adversary import (
    ALPHA,
    Inside,
    Marks,
    Spy,
    View,
    arrivals,
    by_luck,
    fisher,
    guessed_right,
    most_telling,
)
from tests.effort import CI, SOAK
from tests.lab_hops import Tagged, authenticate_cells, heal_nothing
from tests.meddler import ALICE, BOB, Meddler
from tests.open_chain import HOPS, Permute
from tests.worlds import PEOPLE, Glance, Room

pytestmark = pytest.mark.slow
EPOCHS = 96 if CI or SOAK else 44
MEDDLED = 80 if CI or SOAK else 36
FEW = 24
"""Epochs enough to see what an honest hop that does not mix gives away."""
WARM_UP = 12
"""Rounds until two who ask have come together."""
EPOCH = Room.epoch_rounds
every_honest_hop = pytest.mark.parametrize("honest", range(HOPS))


def sometimes_late(name: str, number: int) -> bool:
    """Whose line is slow when, whoever talks: never at a setup, which would be interference."""
    return number % EPOCH > 0 and Random(f"{name} {number}").random() < 0.15


@cache
def world(*, talk: bool) -> tuple[list[Glance], Room]:
    room = Room(talk, late=sometimes_late)
    room.play(WARM_UP)
    return room.play(EPOCHS * EPOCH), room


@cache
def seen(honest: int) -> tuple[list[Marks], list[Marks]]:
    """Return what is seen of both worlds, the one in which alice talks first."""
    return Spy(honest).marks(world(talk=True)[0]), Spy(honest).marks(world(talk=False)[0])


@cache
def unmixed(permute: Permute) -> tuple[list[Glance], list[Glance]]:
    """Return both worlds if all hops have another shuffle. Those of dishonest hops are known anyway.

    What is told apart shows at setups: here every round is one.
    """
    glances = []
    for talk in (True, False):
        room = Room(talk, dict.fromkeys(range(HOPS), permute), epoch_rounds=1)
        room.play(WARM_UP)
        glances.append(room.play(FEW))
    return glances[0], glances[1]


def in_order(count: int) -> list[int]:
    return list(range(count))


def turned(count: int) -> list[int]:
    """A shuffle that many would take for one: a random turn."""
    start = os.urandom(1)[0] % count
    return [(start + place) % count for place in range(count)]


# -- the worlds ---------------------------------------------------------------------------------------------


def test_the_worlds_really_differ_for_the_people_in_them() -> None:
    events = world(talk=True)[1].engines[BOB].take_events()
    assert sum(isinstance(event, TextReceived) for event in events) >= EPOCHS * EPOCH // 10
    assert any(isinstance(event, PeerChanged) and event.state is PeerState.CONNECTED for event in events)
    for engine in world(talk=False)[1].engines.values():
        events = engine.take_events()
        assert not any(isinstance(event, TextReceived | PeerChanged) for event in events)
        fates = Counter(event.fate for event in events if isinstance(event, RoundClosed))
        assert fates[RoundFate.LOST] > EPOCHS * EPOCH // 20  # late
        assert fates[RoundFate.TAMPERED] == 0


def test_with_no_honest_hop_at_all_the_adversary_knows_who_talks_to_whom_in_every_round() -> None:
    """What it does with a view is all that can be done: here nothing is left to guess."""
    for talk in (True, False):
        for glance in world(talk=talk)[0][: FEW * EPOCH : EPOCH]:
            view = View.of(glance, None)
            owners = arrivals(view, HOPS - 1)
            met: dict[bytes, list[str]] = {}
            for place, drop in zip(view.setup.orders[HOPS - 1], Inside(view, HOPS - 1).drops, strict=True):
                if (owner := owners[place]) is not None:
                    met.setdefault(drop, []).append(owner[0])
            together = Counter(tuple(sorted(pair)) for pair in met.values())
            assert together[(ALICE, BOB)] == (2 if talk else 0)
            assert sum(together.values()) == len(PEOPLE)


def accesses(glance: Glance) -> Counter[int]:
    """Return how many drops are accessed once, twice and more often, less all noise."""
    counted = Counter(Counter(glance.setup.batches[HOPS - 1]).values())
    for count in glance.setup.noise.values():
        counted.subtract({1: count.singles, 2: count.pairs})
    return +counted


@pytest.mark.parametrize("talk", [True, False])
def test_every_drop_is_accessed_exactly_twice_besides_the_noise(*, talk: bool) -> None:
    for glance in world(talk=talk)[0]:
        assert accesses(glance) == {2: len(PEOPLE)}


def test_whose_setup_is_late_is_seen_to_talk_but_for_the_noise() -> None:
    """Lateness of cells shows nothing; that of a setup is interference, whoever brought it about."""
    found = []
    for talk in (True, False):
        room = Room(talk, late=lambda name, number: name == ALICE and number >= 3000 + WARM_UP)
        room.play(WARM_UP)
        found.append(accesses(room.step()))
    assert found == [{1: 2, 2: len(PEOPLE) - 2}, {2: len(PEOPLE) - 1}]


# -- the same for everybody but one hop ----------------------------------------------------------------------


@every_honest_hop
def test_nothing_stands_out_more_often_when_alice_talks(honest: int) -> None:
    chance, mark = most_telling(*seen(honest))
    assert chance > ALPHA, mark


@every_honest_hop
def test_a_guess_that_has_learned_from_both_worlds_is_right_as_often_as_a_coin(honest: int) -> None:
    right = guessed_right(*seen(honest))
    assert right < by_luck(EPOCHS)


def check_that_nothing_shows(epochs: list[Marks]) -> None:
    found = set().union(*epochs)
    telling = ("shows through", "earlier", "odd", "by their change")
    assert not [mark for mark in found if any(word in mark for word in telling)]
    assert "0 with more" in found


@every_honest_hop
def test_nothing_is_the_same_bytes_on_both_sides_of_the_honest_hop_or_in_two_rounds(honest: int) -> None:
    for epochs in seen(honest):
        check_that_nothing_shows(epochs)


@every_honest_hop
@pytest.mark.parametrize("permute", [in_order, turned])
def test_without_the_honest_hops_shuffle_the_worlds_are_told_apart(honest: int, permute: Permute) -> None:
    """The comparison has teeth, wherever the honest hop stands."""
    talking, idle = (Spy(honest).marks(glances) for glances in unmixed(permute))
    chance, mark = most_telling(talking, idle)
    assert chance < ALPHA / 10, mark
    assert guessed_right(talking, idle) > 0.8


# -- somebody meddles with alice's cells ----------------------------------------------------------------


@cache
def meddled(honest: int) -> tuple[list[Marks], list[Marks]]:
    """Return what is seen of both worlds by whoever meddles in them, the one in which alice talks first."""
    found = []
    for talk in (True, False):
        room = world(talk=talk)[1]
        room.engines[BOB].take_events()
        meddler = Meddler(room, honest, Random(honest))
        found.append(meddler.play(MEDDLED))
        assert meddler.meddled > MEDDLED * EPOCH / 2
        texts = sum(isinstance(event, TextReceived) for event in room.engines[BOB].take_events())
        assert texts >= MEDDLED * EPOCH // 20 if talk else texts == 0
    return found[0], found[1]


@every_honest_hop
def test_whoever_drops_alters_delays_or_replays_alices_cells_cannot_tell_whether_she_talks(
    honest: int,
) -> None:
    talking, idle = meddled(honest)
    chance, mark = most_telling(talking, idle)
    assert chance > ALPHA, mark
    assert guessed_right(talking, idle) < by_luck(MEDDLED)


@every_honest_hop
def test_what_was_dropped_altered_delayed_or_replayed_stands_out_nowhere_behind_the_honest_hop(
    honest: int,
) -> None:
    for epochs in meddled(honest):
        check_that_nothing_shows(epochs)


class Always(Random):
    """Drops all there is, always."""

    def random(self) -> float:
        return 0.0

    def choice(self, seq: Any) -> Any:
        return seq[0]


def test_if_nothing_is_healed_two_rounds_tell_whether_she_talks_and_to_whom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heal_nothing(monkeypatch)
    for talk in (True, False):
        room = Room(talk)
        room.play(WARM_UP)
        for honest in range(HOPS):
            meddler = Meddler(room, honest, Always())
            found: Marks = set()
            for _ in range(2):
                found |= meddler.spy.look(meddler.step())
            assert ("2 odd in 2 drops" if talk else "2 odd in 1 drops") in found
            if honest < HOPS - 1:  # what comes back to the last is its own
                assert f"odd on the way back: {[BOB if talk else ALICE]}" in found
            room.play(EPOCH - 2)


@pytest.mark.parametrize("honest", range(HOPS - 1))
def test_if_cells_are_authenticated_two_rounds_tell_whether_she_talks(
    honest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The honest hop heals, and what it puts there does not fit at the next. Behind the last is none."""
    for talk in (True, False):
        room = Room(talk)
        room.play(WARM_UP)
        authenticate_cells(monkeypatch)
        before = room.step()
        inside = Inside(View.of(before, honest), honest)
        after = Meddler(room, honest, Always()).step()
        stands_out = failing(inside, after, honest) - failing(inside, before, honest)
        drops = [inside.drops[place] for place in stands_out]
        assert len(drops) == 2
        assert len(set(drops)) == (2 if talk else 1)
        monkeypatch.undo()


def failing(inside: Inside, glance: Glance, honest: int) -> set[int]:
    """Return the circuits behind the honest hop whose cells the next one cannot open."""
    block = initial_block(glance.context.round_number, Way.FORWARD)
    return {
        place
        for place, (secrets, cell) in enumerate(zip(inside.secrets, glance.cells[honest], strict=True))
        if not Tagged(secrets[0]).fits(block, cell)
    }


@pytest.mark.parametrize("honest", range(1, HOPS))
def test_if_all_rounds_of_an_epoch_have_one_key_stream_two_tell_whom_she_talks_to(
    honest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who only watches: what changes from round to round is the same on both sides of the hop."""
    for module in ("iirs.circuit", "iirs.server.hops.mix_hop", "tests.adversary"):
        monkeypatch.setattr(f"{module}.initial_block", lambda number, way: initial_block(0, way))
    for talk in (True, False):
        room = Room(talk)
        room.play(WARM_UP)
        (found,) = Spy(honest).marks(room.play(2))
        met = f"by their change: {((ALICE, 0), (BOB, 0))}" in found
        assert met is talk


# -- the test itself --------------------------------------------------------------------------------------


def test_a_guess_that_is_always_right_would_be_noticed() -> None:
    assert by_luck(EPOCHS) < by_luck(MEDDLED) < 1


def test_fishers_exact_test_gives_the_values_of_the_textbook() -> None:
    assert fisher(3, 1, 4) == pytest.approx(2 * 17 / 70)
    assert fisher(0, 0, 10) == fisher(10, 10, 10) == fisher(5, 5, 10) == 1
    assert fisher(20, 0, 20) == pytest.approx(2 / 137846528820)
