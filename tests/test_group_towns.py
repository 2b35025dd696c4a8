"""Groups over a real service: on two slots, with people who are away, start anew or leave.

Rounds run when everybody online has uploaded, so what is awaited is awaited for rounds, not for seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iirs.client.events import (
    GroupChanged,
    GroupState,
    PeerAsks,
    PeerChanged,
    PeerState,
    TextChanged,
    TextReceived,
)
from iirs.client.store.log_entry import TextState
from tests.awaited import awaited
from tests.harness import PATIENT_SECONDS, E, Person, Town, town, wait_until

ROUNDS_MAX = 1000
"""What takes longer never comes."""
NAMES = ("alice", "bob", "carol", "dave", "erin")


class Circle:
    """People of one town who accept whatever comes, as if they sat next to each other."""

    def __init__(self, place: Town, names: tuple[str, ...]) -> None:
        self.place = place
        self.people = {name: place.person(name) for name in names}
        self._away: set[str] = set()
        self._seen: dict[str, int] = {}
        """How much of each log has been looked at."""
        self._online()
        self.until(
            lambda: all(len(who.connection._engine.chain_view.directory) == len(names) for who in self)
        )
        keys: list[str] = []
        first, *others = names
        self.people[first].connection.call(
            lambda engine: keys.append(engine.messenger.create_group("Chess", tuple(others)))
        )
        self.until(lambda: all(self.joined(who) == set(names) for who in self))
        self.key = keys[0]

    def __iter__(self) -> Iterator[Person]:
        return iter(self.people.values())

    def until(self, condition: Callable[[], bool]) -> None:
        """Run rounds, and accept every wish to talk and every group, until a condition holds."""
        for _ in range(ROUNDS_MAX):
            for who in self:
                self._accept(who)
            if condition():
                return
            self.place.step(online=len(self.place.service.channels()))
        raise AssertionError(f"in {ROUNDS_MAX} rounds there never was {awaited(condition)}")

    def _online(self) -> None:
        """Return when all are logged in and in the next round."""
        present = self.people.keys() - self._away
        wait_until(lambda: len(self.place.service.channels()) == len(present))
        self.place.service.run_round()

    def _accept(self, who: Person) -> None:
        log = who.drain()
        seen, self._seen[who.name] = self._seen.get(who.name, 0), len(log)
        for event in log[seen:]:
            if isinstance(event, PeerAsks) and event.asks:
                who.connection.ask(event.peer)
            elif isinstance(event, GroupChanged) and event.state is GroupState.INVITED:
                who.connection.call(lambda engine, key=event.key: engine.messenger.join_group(key))

    def joined(self, who: Person) -> set[str]:
        """Who takes part, as this person knows it."""
        changes = [event for event in who.drain() if isinstance(event, GroupChanged)]
        return set(changes[-1].joined) if changes else set()

    def of(self, who: Person, kind: type[E]) -> list[E]:
        """Give all events of one kind that a person was told."""
        return [event for event in who.drain() if isinstance(event, kind)]

    def say(self, name: str, text: str) -> None:
        """Have somebody say something to the group."""
        self.people[name].connection.send(self.key, text)

    def heard(self, name: str) -> list[str]:
        """Everything a person was shown in the group, in order."""
        log = self.people[name].drain()
        return [event.text for event in log if isinstance(event, TextReceived) and event.peer == self.key]

    def all_heard(self, text: str, *names: str) -> bool:
        """Whether all of these have heard a text, and exactly once."""
        return all(self.heard(name).count(text) == 1 for name in names)

    def go(self, name: str) -> None:
        """Have a person's program end in the middle of it all, and not for good."""
        self.people[name].connection.quit(at_once=True, coming_back=True)
        assert self.people[name].connection.join(PATIENT_SECONDS)
        self._away.add(name)
        self._online()

    def come_back(self, name: str) -> None:
        """Start a person's program anew; what it was shown before counts on."""
        gone = self.people[name]
        back = self.place.connect(gone.account)
        back.log = [event for event in gone.drain() if isinstance(event, TextReceived)]
        self.people[name] = back
        self._seen[name] = 0
        self._away.remove(name)
        self._online()


@contextmanager
def circle(folder: Path, *names: str) -> Iterator[Circle]:
    """A group of these people, all of whom have joined, on two slots."""
    with town(folder, round_seconds=0.15, paced=False) as place:
        yield Circle(place, names)


@pytest.mark.parametrize("count", [3, 5])
def test_what_everybody_says_reaches_everybody_on_two_slots(tmp_path: Path, count: int) -> None:
    names = NAMES[:count]
    with circle(tmp_path, *names) as group:
        for name in names:
            group.say(name, f"from {name}")
        for name in names:
            others = [other for other in names if other != name]
            group.until(lambda name=name, others=others: group.all_heard(f"from {name}", *others))
        alice = group.people["alice"]
        group.until(lambda: any(event.state is TextState.DELIVERED for event in group.of(alice, TextChanged)))
        histograms = group.place.histograms[5:]
        assert {size for histogram in histograms for size in histogram} <= {1, 2}


def test_with_one_away_the_others_are_reached_and_the_one_when_back(tmp_path: Path) -> None:
    with circle(tmp_path, *NAMES) as group:
        group.go("bob")
        group.say("alice", "where is bob?")
        group.until(lambda: group.all_heard("where is bob?", "carol", "dave", "erin"))
        group.say("dave", "asleep")
        group.until(lambda: group.all_heard("asleep", "alice", "carol", "erin"))
        group.come_back("bob")
        group.until(lambda: group.all_heard("where is bob?", "bob") and group.all_heard("asleep", "bob"))
        group.say("bob", "back again")
        group.until(lambda: group.all_heard("back again", "alice", "carol", "dave", "erin"))


def test_a_text_said_just_before_a_crash_arrives_after_it(tmp_path: Path) -> None:
    with circle(tmp_path, "alice", "bob", "carol") as group:
        group.say("alice", "hello")
        group.until(lambda: bool(group.of(group.people["alice"], TextChanged)))
        group.go("alice")
        group.come_back("alice")
        group.until(lambda: group.all_heard("hello", "bob", "carol"))
        group.say("carol", "hello alice")
        group.until(lambda: group.all_heard("hello alice", "alice", "bob"))
        assert group.heard("bob") == ["hello", "hello alice"]


def connected(who: Person, peer: str) -> bool:
    """Whether two are in sync now, as one of them knows it."""
    states = [event.state for event in who.drain() if isinstance(event, PeerChanged) and event.peer == peer]
    return bool(states) and states[-1] is PeerState.CONNECTED


def test_when_somebody_leaves_their_slot_is_freed_and_the_ring_closes(tmp_path: Path) -> None:
    with circle(tmp_path, "alice", "bob", "carol", "dave") as group:
        alice, bob, carol = (group.people[name] for name in ("alice", "bob", "carol"))
        assert not connected(alice, "carol")
        bob.connection.call(lambda engine: engine.messenger.leave_group(group.key))
        group.until(lambda: connected(alice, "carol") and connected(carol, "alice"))
        assert not connected(alice, "bob")
        group.say("alice", "just the three of us")
        group.until(lambda: group.all_heard("just the three of us", "carol", "dave"))
        assert group.heard("bob") == []


def test_a_conversation_in_which_something_was_said_goes_on_when_a_member_leaves(tmp_path: Path) -> None:
    with circle(tmp_path, "alice", "bob", "carol") as group:
        alice, bob = group.people["alice"], group.people["bob"]
        alice.connection.send("bob", "between us")
        group.until(lambda: any(event.peer == "alice" for event in group.of(bob, TextReceived)))
        bob.connection.call(lambda engine: engine.messenger.leave_group(group.key))
        group.until(lambda: group.joined(alice) == {"alice", "carol"})
        bob.connection.send("alice", "still here")
        group.until(lambda: any(event.text == "still here" for event in group.of(alice, TextReceived)))
