"""A long conversation over a chain whose hops keep dying: nothing is lost, doubled or out of order."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from iirs.client.events import ConnectionChanged, ConnectionState, Notice
from tests.chain import PATIENT, begin_talk, running_chain
from tests.effort import SOAK

ROUNDS = 200 if SOAK else 60
KILL_EVERY = 20
SEED = 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_people_chat_on_while_a_hop_dies_every_twenty_rounds(tmp_path: Path) -> None:
    choice = random.Random(SEED)
    with running_chain(tmp_path) as place:
        talk = begin_talk(place)
        begun = len(place.rounds())
        deaths: list[int] = []
        # One death after each twenty rounds, the last one too: what was typed just before it arrives as well.
        while len(deaths) < ROUNDS // KILL_EVERY:
            until = begun + KILL_EVERY * (len(deaths) + 1)
            deadline = time.monotonic() + 10 * PATIENT
            while (rounds := len(place.rounds())) < until:
                assert time.monotonic() < deadline, f"rounds stopped after {rounds - begun}"
                talk.say()
                talk.check_exactly_once()
                while len(place.rounds()) == rounds and time.monotonic() < deadline:
                    time.sleep(0.05)
            hop = choice.randrange(len(place.ports))
            place.kill(hop)
            talk.say()  # nobody is there to take it
            place.start(hop)
            deaths.append(hop)
        talk.settle(5 * PATIENT)
        lines = place.rounds()[begun:]
        lost = sum(1 for line in lines if line.why_lost)
        said = sum(map(len, talk.said.values()))
        print(f"{len(lines)} rounds, deaths of hops {deaths}, {lost} rounds lost, {said} texts all there")
        assert said >= ROUNDS
        assert lost <= 2 * len(deaths), "a death costs the round it falls into, and no more"
        for person in (talk.alice, talk.bob):
            assert not any(isinstance(event, Notice) and event.alarm for event in person.drain())
            waits = [e for e in person.log if isinstance(e, ConnectionChanged)]
            assert sum(e.state is ConnectionState.ONLINE for e in waits) <= 1 + 2 * deaths.count(0)
            assert ConnectionState.CLOSED not in {e.state for e in waits}
