"""A crowd in one process chats for twenty rounds, and nothing is lost: two hundred people in CI."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import iirs.client.net.upload_clock
import iirs.epoch
from iirs.client.account.account import Account
from iirs.client.connection_options import ConnectionOptions
from iirs.client.events import ConnectionChanged, ConnectionState, PeerChanged
from iirs.identity import VerifyKey
from iirs.server.connectionThread import ConnectionSettings
from iirs.server.settings import ServiceSettings
from tests.effort import CI, SOAK
from tests.harness import Person, Town, town, wait_until

PEOPLE = 200 if CI or SOAK else 48
CHAT_ROUNDS = 20
PATIENT = ConnectionOptions(silent_seconds=3000)
LONG = 300.0
"""Seconds: one of a crowd waits while the others have their turn."""
SETTINGS = ServiceSettings(
    registrations_burst=10_000,
    bundle_bytes_per_second=10**9,
    connection=ConnectionSettings(greeting_seconds=LONG, idle_seconds=10 * LONG),
)


@pytest.fixture
def _verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All clients check the same entries and prekeys; here each signature is checked by the first."""
    honest, good = VerifyKey.verify, set[tuple[bytes, bytes, bytes]]()

    def verify(key: VerifyKey, signature: bytes, data: bytes) -> None:
        if (key.raw, signature, data) not in good:
            honest(key, signature, data)
            good.add((key.raw, signature, data))

    monkeypatch.setattr(VerifyKey, "verify", verify)


@pytest.fixture
def _lasting_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No round runs while the crowd comes, so nothing renews the entry's key: it must not die meanwhile."""
    monkeypatch.setattr(iirs.epoch, "_LIFETIME_MIN", 10 * LONG)


@pytest.fixture
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program is one client. Where hundreds are one, taking turns as fast costs more than what they do."""
    before, usual = sys.getswitchinterval(), 0.005
    monkeypatch.setattr(iirs.client.net.upload_clock, "SWITCH_SECONDS", usual)
    sys.setswitchinterval(usual)
    yield
    sys.setswitchinterval(before)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("_verified_once", "_lasting_key", "_unhurried")
def test_a_crowd_chats_for_twenty_rounds_and_loses_nothing(tmp_path: Path) -> None:
    world = {"round_seconds": 0.5, "slots": 1, "invite_every": 12}
    with town(tmp_path, **world, settings=SETTINGS, paced=False) as place:
        accounts = [place.register(f"person{number}") for number in range(PEOPLE)]
        # Two prekeys are announced a round; whoever comes back finds everybody's at login.
        come(place, accounts)
        place.service.run_round()
        place.step(seconds=LONG)
        go(place)
        people = come(place, accounts)
        place.service.run_round()
        meet(place, people)
        before = len(place.histograms)
        expected: dict[str, list[str]] = {person.name: [] for person in people}
        for number in range(CHAT_ROUNDS):
            for person, peer in pairs(people):
                text = f"{number} from {person.name}"
                person.connection.send(peer.name, text)
                expected[peer.name].append(text)
            place.step(seconds=LONG)
        for _ in range(3):  # what was typed last is on its way
            place.step(seconds=LONG)
        wait_until(lambda: all(person.texts() == expected[person.name] for person in people), LONG)
        assert sum(len(texts) for texts in expected.values()) == PEOPLE * CHAT_ROUNDS
        assert set(sum(place.histograms[before:], Counter())) == {2}


def come(place: Town, accounts: list[Account]) -> list[Person]:
    """Log everybody in, one after the other: each checks a directory of all."""
    people: list[Person] = []
    for account in accounts:
        people.append(place.connect(account, PATIENT))
        people[-1].wait_for(ConnectionChanged, lambda e: e.state is ConnectionState.ONLINE, LONG)
        wait_until(lambda: len(place.service.channels()) == len(people), LONG)
    return people


def go(place: Town) -> None:
    """Have everybody leave at once, as when a lesson is over."""
    for person in place.people.values():
        person.connection.quit(at_once=True)
    for person in place.people.values():
        assert person.connection.join(LONG)
    wait_until(lambda: not place.service.channels(), LONG)


def pairs(people: list[Person]) -> list[tuple[Person, Person]]:
    """Return (person, peer) for everybody: neighbours talk to each other."""
    return [(person, people[number ^ 1]) for number, person in enumerate(people)]


def meet(place: Town, people: list[Person]) -> None:
    """Have all pairs ask for each other; return when all are in sync."""
    for person, peer in pairs(people):
        person.connection.ask(peer.name)
    for _ in range(16):
        place.step(seconds=LONG)
        if all(any(isinstance(e, PeerChanged) and e.established for e in p.drain()) for p in people):
            return
    raise AssertionError("some pairs did not come into sync")
