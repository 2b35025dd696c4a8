"""Groups over a real service: on two slots, with people who are away, start anew or leave."""

from __future__ import annotations

from collections.abc import Iterator
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
from tests.harness import Person, Town, town, wait_until

NAMES = ("alice", "bob", "carol", "dave", "erin")


class Circle:
    """People of one town who accept whatever comes, as if they sat next to each other."""

    def __init__(self, place: Town, names: tuple[str, ...]) -> None:
        self.place = place
        self.people = {name: place.person(name) for name in names}
        self._seen: dict[str, int] = {}
        """How much of each log has been looked at."""
        wait_until(
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

    def until(self, condition: object, seconds: float = 90) -> None:
        """Accept every wish to talk and every group until a condition holds."""

        def holds() -> bool:
            for who in self:
                self._accept(who)
            return bool(condition())  # type: ignore[operator]

        wait_until(holds, seconds)

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
        """Have a person's program end as if it had crashed."""
        self.people[name].connection.quit(at_once=True)
        assert self.people[name].connection.join(60)

    def come_back(self, name: str) -> None:
        """Start a person's program anew; what it was shown before counts on."""
        gone = self.people[name]
        back = self.place.connect(gone.account)
        back.log = [event for event in gone.drain() if isinstance(event, TextReceived)]
        self.people[name] = back
        self._seen[name] = 0


@contextmanager
def circle(folder: Path, *names: str) -> Iterator[Circle]:
    """A group of these people, all of whom have joined, on two slots."""
    with town(folder, round_seconds=0.15) as place:
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
        group.people["alice"].wait_for(TextChanged, lambda event: event.state is TextState.DELIVERED)
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
        group.people["alice"].wait_for(TextChanged)
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
        bob.wait_for(TextReceived, lambda event: event.peer == "alice")
        bob.connection.call(lambda engine: engine.messenger.leave_group(group.key))
        group.until(lambda: group.joined(alice) == {"alice", "carol"})
        bob.connection.send("alice", "still here")
        alice.wait_for(TextReceived, lambda event: event.text == "still here")
