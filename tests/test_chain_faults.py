"""Hops that die, hang, are slow, or cheat: a round is lost, or an item is, and never a text.

Every hop is a process of its own. Each test breaks one thing, says texts while it is broken, mends it, and
demands that every text arrives once and in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iirs.client.events import ConnectionChanged, ConnectionState, RoundFate, StandingBy
from tests.chain import PATIENT, RoundLine, Shape, Talk, begin_talk, running_chain
from tests.harness import wait_until
from tests.shared import Shared

pytestmark = pytest.mark.slow
SILENT = "does not answer"
LATE = "did not answer in time"
STALE = "was asked for a round that is over"
SENSELESS = "got, or gave, something that makes no sense"
LAST = 2


@contextmanager
def begun(folder: Path) -> Iterator[Talk]:
    with running_chain(folder) as place:
        yield begin_talk(place)


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[Talk]]:
    with Shared(lambda: begun(tmp_path_factory.mktemp("chain"))) as shared:
        yield shared


@pytest.fixture
def talk(talks: Shared[Talk], request: pytest.FixtureRequest) -> Iterator[Talk]:
    """Two people of a whole chain, all of whose texts have arrived."""
    with talks.lent(request.session) as running:
        running.settle()
        running.place.wait_online(2)
        yield running
        running.place.mend()


def mend(talk: Talk, hop: int) -> None:
    """Put an honest hop in the place of what is there, and demand all texts."""
    talk.say()
    talk.place.restart(hop)
    talk.settle()


def lost(why: str) -> Callable[[RoundLine], bool]:
    return lambda line: why in line.why_lost


# -- a hop that is gone, hangs or is slow ----------------------------------------------------------------


@pytest.mark.parametrize("hop", [1, LAST])
def test_a_hop_that_is_killed_stops_the_rounds_and_rejoins_by_itself(talk: Talk, hop: int) -> None:
    place, mark = talk.place, talk.mark()
    before = len(place.log(0))
    place.kill(hop)
    talk.say()
    for person in (talk.alice, talk.bob):
        person.wait_for(StandingBy, lambda e: e.hop == hop and e in talk.since(mark, StandingBy))
    place.wait_log(0, f"no round can be announced: hop {hop} {SILENT}", before)
    talk.say()
    place.start(hop)
    talk.settle()
    place.wait_log(0, "the chain is complete again", before)
    assert not any(event.state is ConnectionState.WAITING for event in talk.since(mark, ConnectionChanged))


def test_a_hop_that_is_restarted_within_a_round_costs_that_round_alone(talk: Talk) -> None:
    place = talk.place
    before = len(place.rounds())
    place.restart(1)  # quicker than a round is long, or not: it has lost the round's key all the same
    talk.say()
    talk.settle()
    # None, if it fell between two rounds, as it does where a machine is slow to begin the next.
    assert sum(1 for line in place.rounds()[before:] if line.why_lost) <= 2


@pytest.mark.parametrize("hop", [1, LAST])
def test_a_hop_that_hangs_loses_its_round_and_goes_on_when_it_wakes(talk: Talk, hop: int) -> None:
    place, mark = talk.place, talk.mark()
    place.freeze(hop)
    talk.say()
    for person in (talk.alice, talk.bob):
        person.wait_for(StandingBy, lambda e: e in talk.since(mark, StandingBy), PATIENT)
    assert f"hop {hop} {LATE}" in place.log(0), "whether a round was lost or none announced"
    place.thaw(hop)
    talk.settle()
    assert not any(event.state is ConnectionState.WAITING for event in talk.since(mark, ConnectionChanged))


@pytest.mark.parametrize("hop", [1, LAST])
def test_a_hop_that_is_slow_but_in_time_slows_the_rounds_and_loses_none(talk: Talk, hop: int) -> None:
    place = talk.place
    place.restart(hop, "slow", "0.8")
    place.wait_rounds(1)
    before = len(place.rounds())
    talk.say()
    talk.settle()
    assert not any(line.why_lost for line in place.rounds()[before:])
    mend(talk, hop)


def test_a_hop_that_is_slower_than_its_round_allows_loses_it(talk: Talk) -> None:
    talk.place.restart(LAST, "slow", "5")
    talk.say()
    talk.place.wait_rounds(1, lost(f"hop {LAST} {LATE}"))
    mend(talk, LAST)


def test_a_hop_with_a_bug_ends_so_that_it_can_be_started_again(talk: Talk) -> None:
    """Fixed: the thread that serves ended alone, and the hop stayed, alive and deaf."""
    place = talk.place
    before, rounds = len(place.log(1)), len(place.rounds())
    place.restart(1, "breaks")
    talk.say()
    assert place.wait_end(1) == 1
    assert any(map(lost(f"hop 1 {SILENT}"), place.rounds()[rounds:]))
    assert "this hop gave up because of the error above" in place.log(1)[before:]
    place.start(1)
    talk.settle()


# -- a hop that cheats, and is seen by the next one --------------------------------------------------------

SEEN = {
    "short of replies": (1, "short-of-replies", f"hop 1 {SENSELESS}"),
    "short of replies at the end": (LAST, "short-of-replies", SENSELESS),
    "short of cells": (1, "short-of-cells", f"hop {LAST} {STALE}"),
    "an altered bundle": (1, "alters-bundles", f"hop 1 {SENSELESS}"),
    "dead within a round": (1, "dies", f"hop 1 {SILENT}"),
    "dead within a round at the end": (LAST, "dies", f"hop {LAST} {SILENT}"),
}


@pytest.mark.parametrize("case", SEEN)
def test_a_batch_that_cannot_be_is_refused_and_its_round_is_lost(talk: Talk, case: str) -> None:
    hop, behaviour, why = SEEN[case]
    talk.place.restart(hop, behaviour)
    talk.say()
    talk.place.wait_rounds(1, lost(why))
    mend(talk, hop)


# -- a hop that cheats, and is seen only by whom it cheats -------------------------------------------------

UNSEEN = {
    "altered replies": (1, "alters-replies"),
    "altered replies at the end": (LAST, "alters-replies"),
    "swapped replies": (1, "swaps-replies"),
    "altered onions": (1, "alters-onions"),
    "altered cells": (1, "alters-cells"),
    "the batch of the round before": (1, "replays-old-batches"),
    "another announcement": (1, "alters-announcements"),
    "one onion in the place of all": (1, "doubles-onions"),
}


@pytest.mark.parametrize("case", UNSEEN)
def test_what_a_hop_alters_opens_nowhere_and_is_noticed_by_everybody(talk: Talk, case: str) -> None:
    hop, behaviour = UNSEEN[case]
    place = talk.place
    place.restart(hop, behaviour)
    place.wait_rounds(1)
    before, mark = len(place.rounds()), talk.mark()
    talk.say()
    wait_until(lambda: fates_of_each(talk, mark, RoundFate.TAMPERED) >= 2, PATIENT)
    assert not any(line.why_lost for line in place.rounds()[before:]), "the round itself goes on"
    mend(talk, hop)


def test_a_cell_that_is_dropped_costs_whose_it_was_and_nobody_else(talk: Talk) -> None:
    """One cell of many, noise included, so it takes a while until it is somebody's."""
    place = talk.place
    place.restart(1, "makes-up-a-cell")
    place.wait_rounds(1)
    before, mark = len(place.rounds()), talk.mark()
    talk.say()
    wait_until(lambda: RoundFate.TAMPERED in {event.fate for event in talk.fates(mark)}, PATIENT)
    talk.settle()  # other rounds get through, while it goes on
    assert not any(line.why_lost for line in place.rounds()[before:])
    mend(talk, 1)


def test_an_honest_stand_in_is_blamed_for_nothing(talk: Talk) -> None:
    """What the tests around here see comes from what their rogues do, and not from how they are run."""
    place = talk.place
    for hop, behaviour in ((1, "honest"), (LAST, "honest"), (0, "entry-honest")):
        place.restart(hop, behaviour)
    place.wait_online(2)
    before, mark = len(place.rounds()), talk.mark()
    talk.say()
    talk.settle()
    place.wait_rounds(6)
    assert not any(line.why_lost for line in place.rounds()[before:])
    assert RoundFate.TAMPERED not in {event.fate for event in talk.fates(mark)}
    for hop in (1, LAST, 0):
        place.restart(hop)


def test_an_entry_that_drops_one_persons_onions_is_noticed_by_that_person(talk: Talk) -> None:
    place = talk.place
    place.restart(0, "entry-drops-one")
    place.wait_online(2)
    mark = talk.mark()
    talk.say()
    wait_until(lambda: RoundFate.TAMPERED in {event.fate for event in talk.fates(mark)}, PATIENT)
    mend(talk, 0)


# -- repeats ------------------------------------------------------------------------------------------------


def test_a_batch_that_is_passed_on_twice_is_refused_the_second_time(talk: Talk) -> None:
    place = talk.place
    before = len(place.log(LAST))
    place.restart(1, "replays-batches")
    place.wait_rounds(2)
    place.wait_log(LAST, f"hop {LAST} {STALE}", before)
    talk.say()
    talk.settle()  # the first time counted
    before = len(place.log(LAST))
    place.restart(1)
    place.wait_rounds(3)
    assert STALE not in place.log(LAST)[before:], "an honest hop repeats nothing"
    talk.settle()


def test_a_batch_of_a_round_that_is_over_is_refused(talk: Talk) -> None:
    place = talk.place
    before = len(place.log(LAST))
    place.restart(1, "replays-old-rounds")
    place.wait_log(LAST, f"hop {LAST} {STALE}", before)
    place.wait_rounds(2)
    mend(talk, 1)


# -- what a hop says about others -------------------------------------------------------------------------


@pytest.mark.parametrize("blamed", ["0", "7", "255"])
def test_a_hop_that_blames_one_that_is_not_behind_it_disconnects_nobody(talk: Talk, blamed: str) -> None:
    """Fixed: the number went to every client, and each of them took the entry for broken and hung up."""
    place = talk.place
    place.restart(1, "slanders", blamed)
    before, mark = len(place.log(1)), talk.mark()
    talk.say()
    place.wait_log(1, f"hop {blamed} {SILENT}", before)
    wait_until(lambda: len(talk.since(mark, StandingBy)) >= 6, PATIENT)
    for person in (talk.alice, talk.bob):
        person.drain()
    assert {event.hop for event in talk.since(mark, StandingBy)} == {1}
    assert not any(event.state is ConnectionState.WAITING for event in talk.since(mark, ConnectionChanged))
    mend(talk, 1)


@pytest.mark.parametrize("hop", [1, LAST])
def test_a_hop_that_does_not_sign_the_directory_stops_the_rounds(talk: Talk, hop: int) -> None:
    place = talk.place
    before = len(place.log(0))
    place.restart(hop, "forges-signatures")
    place.wait_log(0, f"no round can be announced: hop {hop} {SENSELESS}", before)
    mend(talk, hop)


# -- other chains -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [Shape(hops=2, suite="MLKEM768_X25519", slots=2), Shape(hops=5, slots=2)], ids=lambda s: s.hops
)
def test_chains_of_other_lengths_survive_a_death_too(tmp_path: Path, shape: Shape) -> None:
    with running_chain(tmp_path, shape) as place:
        talk = begin_talk(place)
        talk.say()
        talk.settle()
        place.kill(shape.hops // 2)
        talk.say()
        place.start(shape.hops // 2)
        talk.say()
        talk.settle()


def fates_of_each(talk: Talk, mark: dict[str, int], fate: RoundFate) -> int:
    """How many rounds ended like this for the one of the two who has seen fewer of them."""
    return min(sum(event.fate is fate for event in talk.fates({**mark, other: 10**9})) for other in talk.said)
