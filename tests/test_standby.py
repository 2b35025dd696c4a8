"""While a hop does not answer, rounds pause: nobody uploads, nothing is lost, and everybody does the same."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

import iirs.client.server_connection
from iirs.client.departure import ticks_to_leave
from iirs.client.engine import Engine
from iirs.client.events import (
    ConnectionChanged,
    ConnectionState,
    PeerChanged,
    PeerState,
    RoundClosed,
    RoundOpened,
    StandingBy,
    TextReceived,
)
from iirs.client.server_connection import ServerConnection
from iirs.client.sync import patience_for
from iirs.message import Message, MessageKind
from iirs.wire.rounds import Announcement
from tests.harness import Person, Town, town, wait_until
from tests.standby import Pause

ROUND_SECONDS = 0.06


def is_quiet(engine: Engine) -> bool:
    """Whether no conversation posts to shared drops or is about to: leaving would leave nobody alone."""
    return all(conversation.is_settled for conversation in engine.slots.conversations.values())


def first_round(place: Town) -> None:
    wait_until(lambda: len(place.service.channels()) == len(place.people))
    place.service.run_round()


def introduce(place: Town, one: Person, other: Person) -> None:
    """Step rounds until two people are in sync."""
    for person, peer in ((one, other), (other, one)):
        person.connection.ask(peer.name)
    for _ in range(30):
        place.step()
        if all(any(isinstance(e, PeerChanged) and e.established for e in p.drain()) for p in (one, other)):
            return
    raise AssertionError("the two did not come into sync")


def seen(person: Person, kind: type) -> int:
    return sum(isinstance(event, kind) for event in person.drain())


def states(person: Person) -> list[ConnectionState]:
    return [event.state for event in person.drain() if isinstance(event, ConnectionChanged)]


def pause_for(pause: Pause, ticks: int, *people: Person) -> None:
    """Let ticks go by, each once everybody has taken in the one before."""
    for _ in range(ticks):
        before = [seen(person, StandingBy) for person in people]
        pause.tick()
        for person, count in zip(people, before, strict=True):
            wait_until(lambda who=person, more=count + 1: seen(who, StandingBy) >= more)


def test_a_conversation_outlasts_any_pause_and_what_was_typed_meanwhile_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads: list[float] = []

    def tap(way: str, _: Message) -> None:
        if way == "up":
            uploads.append(time.monotonic())

    with town(tmp_path, round_seconds=ROUND_SECONDS, paced=False) as place:
        pause = Pause(place.service, monkeypatch)
        alice, bob = place.person("alice", tap=tap), place.person("bob")
        first_round(place)
        for _ in range(2):
            place.step()
        introduce(place, alice, bob)
        wait_until(lambda: place.service.mix_net.collected == 2)
        last = max(e.round_number for e in alice.drain() if isinstance(e, RoundOpened))
        pause.begin()
        wait_until(lambda: seen(alice, StandingBy) == seen(bob, StandingBy) == 1)
        before, known = len(uploads), len(alice.drain())
        alice.connection.send("bob", "typed during the pause")
        pause_for(pause, 3 * patience_for(1), alice, bob)
        assert len(uploads) == before
        assert not [e for e in alice.drain()[known:] if isinstance(e, PeerChanged | RoundClosed)]
        pause.end()
        alice.wait_for(RoundOpened, lambda e: e.round_number == last + 1)
        for _ in range(3):
            place.step()
        bob.wait_for(TextReceived, lambda e: e.text == "typed during the pause")
        for person in (alice, bob):
            assert states(person) == [ConnectionState.CONNECTING, ConnectionState.ONLINE]
            assert all(e.clean for e in person.drain() if isinstance(e, RoundClosed))
            assert [e for e in person.drain() if isinstance(e, PeerChanged)][-1].state is PeerState.CONNECTED


def test_a_server_that_stands_by_is_alive_and_one_that_is_silent_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with town(tmp_path, round_seconds=ROUND_SECONDS, paced=False) as place:
        pause = Pause(place.service, monkeypatch)
        alice = place.person("alice", silent_seconds=1.5)  # and five rounds: 1.8 s
        first_round(place)
        wait_until(lambda: place.service.mix_net.collected == 1)
        pause.begin()
        until = time.monotonic() + 4.0
        while time.monotonic() < until:
            pause.tick()
            time.sleep(ROUND_SECONDS)
        assert states(alice) == [ConnectionState.CONNECTING, ConnectionState.ONLINE]
        waiting = alice.wait_for(ConnectionChanged, lambda e: e.state is ConnectionState.WAITING)
        assert "fallen silent" in waiting.sentence


@pytest.mark.parametrize("built", [False, True])
def test_an_upload_that_has_not_left_when_the_rounds_pause_never_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: bool
) -> None:
    if built:
        monkeypatch.setattr(iirs.client.server_connection, "BUILD_AHEAD", 0.6)
    sent: list[MessageKind] = []

    def tap(way: str, message: Message) -> None:
        sent.extend([message.kind] if way == "up" else [])

    with town(tmp_path, round_seconds=4.0, paced=False) as place:
        pause = Pause(place.service, monkeypatch)
        alice = place.person("alice", tap=tap)
        first_round(place)
        alice.wait_for(RoundOpened)
        if built:
            wait_until(lambda: alice.connection._upload_clock.is_busy)
        pause.tick()  # long before the upload is due
        alice.wait_for(StandingBy)
        lost = alice.wait_for(RoundClosed)
        assert not lost.clean
        time.sleep(4.0)  # past the time at which it would have left
        assert sent == []


# -- leaving -------------------------------------------------------------------------------------------


def quits_during_a_pause(folder: Path, patch: pytest.MonkeyPatch, *, talking: bool, rounds_first: int) -> int:
    """Have alice quit, then rounds, then a pause; return after how many ticks she is gone."""
    with town(folder, round_seconds=ROUND_SECONDS, paced=False) as place:
        pause = Pause(place.service, patch)
        alice, bob = place.person("alice"), place.person("bob")
        first_round(place)
        for _ in range(2):
            place.step()
        if talking:
            introduce(place, alice, bob)
        wait_until(lambda: place.service.mix_net.collected == 2)
        alice.connection.quit()
        settled: list[bool] = []
        alice.connection.call(lambda engine: settled.append(is_quiet(engine)))
        wait_until(lambda: bool(settled))
        assert settled == [not talking]
        for _ in range(rounds_first):
            place.step()
        wait_until(lambda: place.service.mix_net.collected == 2)
        pause.begin()
        for pauses, tick in enumerate(range(rounds_first + 1, 20), 1):
            if has_left_after(alice, pauses):
                return tick
            pause.tick()
    raise AssertionError("alice never left")


def has_left_after(person: Person, pauses: int) -> bool:
    """Return whether a person leaves on the last of so many STANDBY, or goes on to do what comes next."""
    wait_until(lambda: seen(person, StandingBy) >= pauses)
    went_on = threading.Event()
    person.connection.call(lambda engine: went_on.set())
    wait_until(lambda: went_on.is_set() or person.connection.join(0))
    # What was asked for before is done on leaving, too.
    return person.connection._is_over()


@pytest.mark.parametrize("rounds_first", [0, 2])
@pytest.mark.parametrize("talking", [False, True])
def test_whoever_quits_around_a_pause_leaves_at_the_same_tick_whatever_she_was_doing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, talking: bool, rounds_first: int
) -> None:
    left = quits_during_a_pause(tmp_path, monkeypatch, talking=talking, rounds_first=rounds_first)
    assert left == ticks_to_leave(1)


def test_a_client_that_waits_for_its_conversations_in_a_pause_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait_for_quiet(connection: ServerConnection, announcement: Announcement | None) -> None:
        leaving = connection._departure
        if leaving is not None and (leaving._ticks_left > 1 or is_quiet(connection._engine)):
            leaving.tick(announcement)

    monkeypatch.setattr(ServerConnection, "_tick", wait_for_quiet)
    with pytest.raises(AssertionError, match="never left"):
        quits_during_a_pause(tmp_path, monkeypatch, talking=True, rounds_first=0)
