"""A whole iirs on loopback for tests: a real service, real TLS, real clients, short rounds."""

from __future__ import annotations

import queue
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from iirs.chain import JoinLink
from iirs.client.account.account import Account
from iirs.client.account.entry_calls import Home, register
from iirs.client.account.password_keys import StretchCost, storage_key
from iirs.client.connection_options import ConnectionOptions
from iirs.client.events import Event, PeerChanged, PeerState, PeopleChanged, TextReceived
from iirs.client.server_connection import ServerConnection
from iirs.client.store.store import ClientStore
from iirs.server.accounts.database import Storage
from iirs.server.keystore import ChainOptions, make_keys
from iirs.server.service import Service
from iirs.server.settings import ServiceSettings
from tests.awaited import awaited

CHEAP = StretchCost(memory_kib=64, passes=1, lanes=1)
PASSWORD = "correct horse battery"
ROUND_SECONDS = 0.25
FAST_BACKOFF = ConnectionOptions(backoff_seconds=(0.1, 0.2))
PATIENT_SECONDS = 60.0
"""How long what should happen within a few seconds is waited for: a busy machine is slow, not broken."""
E = TypeVar("E")


@dataclass
class Person:
    """One client with everything it ever reported."""

    name: str
    account: Account
    connection: ServerConnection
    store_path: Path
    log: list[Event] = field(default_factory=list)

    def wait_for(
        self,
        kind: type[E],
        condition: Callable[[E], bool] = lambda event: True,
        seconds: float = PATIENT_SECONDS,
    ) -> E:
        """Return the first event of a kind, past or future, that meets the condition; fail after a while."""
        deadline = time.monotonic() + seconds
        seen = 0
        while True:
            for event in self.log[seen:]:
                if isinstance(event, kind) and condition(event):
                    return event
            seen = len(self.log)
            left = deadline - time.monotonic()
            if left <= 0:
                sought = f"a {kind.__name__} with {awaited(condition)}"
                raise AssertionError(f"{self.name} never saw {sought}; last: {self.log[-5:]}")
            try:
                self.log.append(self.connection.events.get(timeout=min(left, 0.2)))
            except queue.Empty:
                continue

    def drain(self) -> list[Event]:
        """Take what is there now and return the whole log."""
        while True:
            try:
                self.log.append(self.connection.events.get_nowait())
            except queue.Empty:
                return self.log

    def texts(self) -> list[str]:
        """Every text received so far, in order."""
        return [event.text for event in self.drain() if isinstance(event, TextReceived)]

    def wait_established(self, peer: str, seconds: float = PATIENT_SECONDS) -> None:
        self.wait_for(PeerChanged, lambda e: e.peer == peer and e.established, seconds)

    def wait_state(self, peer: str, state: PeerState, seconds: float = PATIENT_SECONDS) -> None:
        self.wait_for(PeerChanged, lambda e: e.peer == peer and e.state is state, seconds)


class Place:
    """Somewhere to connect to, and the people who do, each with their files in ``folder``."""

    folder: Path
    people: dict[str, Person]

    @property
    def link(self) -> JoinLink:
        raise NotImplementedError  # each kind of place says where its entry is

    def home(self, name: str) -> Home:
        return Home(self.folder / name, CHEAP)

    def register(self, name: str) -> Account:
        return register(self.link, self.home(name), name, PASSWORD)

    def connect(
        self, account: Account, options: ConnectionOptions = FAST_BACKOFF, link: JoinLink | None = None
    ) -> Person:
        """Connect an account with its file in this place's folder; reconnecting finds the same file."""
        path = self.folder / f"{account.name}.store"
        store = ClientStore(path, storage_key(account.identity))
        connection = ServerConnection(link or self.link, account, store, options)
        person = Person(account.name, account, connection, path)
        self.people[account.name] = person
        connection.start()
        return person

    def person(self, name: str, **options: Any) -> Person:
        return self.connect(self.register(name), replace(FAST_BACKOFF, **options))

    def introduce(self, one: Person, other: Person) -> None:
        """Have two people ask for each other and wait until both are in sync."""
        for person, peer in ((one, other), (other, one)):
            wait_until(lambda p=person, n=peer: knows(p, n.name))
            person.connection.ask(peer.name)
        one.wait_established(other.name)
        other.wait_established(one.name)

    def send_everybody_home(self) -> None:
        """End every connection at once; the servers may be gone already."""
        for person in self.people.values():
            person.connection.quit(at_once=True)
        for person in self.people.values():
            person.connection.join(60)


@dataclass
class Town(Place):
    """A running service and the people connected to it."""

    service: Service
    port: int
    folder: Path
    histograms: list[Counter[int]]
    drop_ids: list[bytes]
    people: dict[str, Person] = field(default_factory=dict)

    @property
    def link(self) -> JoinLink:
        return JoinLink("127.0.0.1", self.port, self.service.chain.chain_id)

    def step(self, online: int | None = None, seconds: float = PATIENT_SECONDS) -> None:
        """Run one round of an unpaced town, once all who are online have uploaded."""
        expected = len(self.people) if online is None else online
        wait_until(lambda: self.service.mix_net.collected >= expected, seconds)
        self.service.run_round()


def pair(place: Place) -> tuple[Person, Person]:
    """Return alice and bob, who are in sync."""
    alice, bob = place.person("alice"), place.person("bob")
    place.introduce(alice, bob)
    return alice, bob


def knows(person: Person, name: str) -> bool:
    """Whether ``name`` is in this person's copy of the directory."""
    return any(isinstance(event, PeopleChanged) and name in event.names for event in person.drain())


def wait_until(condition: Callable[[], bool], seconds: float = PATIENT_SECONDS) -> None:
    """Wait for a condition; fail if it never holds, and say what was awaited.

    What is there soon is seen soon; what takes long is looked for ever more rarely: logs of many rounds are
    read each time, on cores that others need.
    """
    deadline = time.monotonic() + seconds
    pause = 0.002
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"in {seconds:.0f} s there never was {awaited(condition)}")
        time.sleep(pause)
        pause = min(1.1 * pause, 0.03)


@contextmanager
def town(
    folder: Path,
    *,
    round_seconds: float = ROUND_SECONDS,
    slots: int = 2,
    invite_every: int = 3,
    prekey_rounds: int | None = None,
    settings: ServiceSettings | None = None,
    storage: Storage | None = None,
    paced: bool = True,
) -> Iterator[Town]:
    """Run a service on a free loopback port; everything ends with the block."""
    histograms: list[Counter[int]] = []
    drop_ids: list[bytes] = []

    def observe(histogram: Counter[int], ids: Sequence[bytes]) -> None:
        histograms.append(histogram)
        drop_ids.extend(ids)

    options = ChainOptions(
        slots=slots, round_seconds=round_seconds, invite_every=invite_every, prekey_rounds=prekey_rounds
    )
    chosen = replace(settings or ServiceSettings(), observe=observe)
    service = Service(make_keys(options), storage or Storage("sqlite://"), chosen)
    port = service.start("127.0.0.1", 0, paced=paced)
    place = Town(service, port, folder, histograms, drop_ids)
    try:
        yield place
    finally:
        place.send_everybody_home()
        service.stop()
