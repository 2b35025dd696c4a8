"""A disk that takes nothing, at any moment: session and uploads go on, nothing is lost or used twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlcipher3 import dbapi2 as sqlcipher

from iirs.client.engine import Engine
from iirs.client.events import (
    ConnectionChanged,
    Event,
    KeepingChanged,
    RoundClosed,
    TextChanged,
    TextQueued,
    TextReceived,
)
from iirs.client.store.encrypted_file import StoreFullError
from iirs.client.store.log_entry import TextState
from iirs.client.store.store import ClientStore
from iirs.message import Message
from tests.harness import FAST_BACKOFF, Person, Town, pair, town, wait_until

FULL, READ_ONLY, IO_ERROR = 13, 8, 10 | 3 << 8
_CHANGES = ("INSERT", "UPDATE", "DELETE")


class Disk:
    """Stands where a store's database would: takes so many changes more, and none after them."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.takes: int | None = None
        self.code = FULL
        self.refused = threading.Event()

    def _take(self) -> None:
        if self.takes is None:
            return
        if self.takes <= 0:
            self.refused.set()
            error = sqlcipher.OperationalError("the disk takes nothing")
            error.sqlite_errorcode = self.code
            raise error
        self.takes -= 1

    def execute(self, sql: str, *values: Any) -> Any:
        if sql.startswith(_CHANGES):
            self._take()
        return self._database.execute(sql, *values)

    def commit(self) -> None:
        if self._database.in_transaction:
            self._take()
        self._database.commit()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)


def under(person: Person) -> Disk:
    """Put a disk of the test's under a person's store; their thread does it, between two steps."""
    made: list[Disk] = []

    def put(engine: Engine) -> None:
        file = engine._store._file
        file._db = Disk(file._db)
        made.append(file._db)

    person.connection.call(put)
    wait_until(lambda: bool(made))
    return made[0]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path, round_seconds=0.1) as running:
        yield running


def sentences(person: Person) -> list[str]:
    return [event.sentence for event in person.drain() if isinstance(event, KeepingChanged)]


def of(person: Person, kind: type[Event]) -> list[Any]:
    return [event for event in person.drain() if isinstance(event, kind)]


@pytest.mark.parametrize("code", [FULL, READ_ONLY, IO_ERROR])
def test_a_full_disk_pauses_sending_and_no_byte_on_the_wire_and_all_goes_on_with_room(
    place: Town, code: int
) -> None:
    """Fixed: the session ended, and with it the uploads."""
    sizes: list[tuple[str, int]] = []

    def tap(way: str, message: Message) -> None:
        if way == "up":
            sizes.append((message.kind.name, len(message.body)))

    alice, bob = place.person("alice", tap=tap), place.person("bob")
    place.introduce(alice, bob)
    changes = len(of(alice, ConnectionChanged))
    disk = under(alice)
    disk.code, disk.takes = code, 0
    assert disk.refused.wait(60)
    wait_until(lambda: len(sentences(alice)) == 1)
    assert "disk takes no more" in sentences(alice)[0]
    alice.connection.send("bob", "refused")
    bob.connection.send("alice", "while you had no room")
    before, rounds = len(sizes), len(of(alice, RoundClosed))
    wait_until(lambda: len(sizes) >= before + 5 and len(of(alice, RoundClosed)) >= rounds + 5)
    assert len({size for name, size in sizes if name == "UPLOAD"}) == 1
    assert len(of(alice, ConnectionChanged)) == changes, "the session stays"
    assert not of(alice, TextQueued)
    assert not of(alice, TextReceived)
    assert len(sentences(alice)) == 1
    assert len(of(bob, TextReceived)) == 0
    disk.takes = None
    wait_until(lambda: sentences(alice)[1:] == [""])
    alice.connection.send("bob", "there is room")
    bob.wait_for(TextReceived, lambda event: event.text == "there is room")
    alice.wait_for(TextReceived, lambda event: event.text == "while you had no room")
    assert bob.texts() == ["there is room"]
    assert len(of(alice, ConnectionChanged)) == changes
    assert len(set(place.drop_ids)) == len(place.drop_ids), "a drop was used in two rounds"


def test_a_disk_that_refuses_at_any_moment_loses_nothing_and_has_nothing_used_twice(place: Town) -> None:
    """The state that would be found after a crash at that moment is what goes on."""
    alice, bob = pair(place)
    changes = len(of(alice, ConnectionChanged))
    disk = under(alice)
    for takes in range(0, 24, 2):
        disk.takes = takes
        alice.connection.send("bob", f"from alice {takes}")
        bob.connection.send("alice", f"from bob {takes}")
        assert disk.refused.wait(60)
        before = sentences(alice).count("")
        disk.takes = None
        wait_until(lambda n=before: sentences(alice).count("") > n)  # type: ignore[misc]
        disk.refused.clear()
    for _ in range(2):  # what was refused was not queued, and is sent again by who is told so
        queued = {event.text for event in of(alice, TextQueued)}
        for takes in range(0, 24, 2):
            if f"from alice {takes}" not in queued:
                alice.connection.send("bob", f"from alice {takes}")
        wait_until(lambda: len({event.text for event in of(alice, TextQueued)}) == 12)
    wait_until(lambda: len(set(bob.texts())) == 12 and len({e.text for e in of(alice, TextReceived)}) == 12)
    assert len(bob.texts()) == 12, "a text came twice"
    kept: list[str] = []
    alice.connection.call(lambda engine: kept.extend(entry.text for entry in engine.messenger.history("bob")))
    wait_until(lambda: len(kept) == 24)
    assert len(set(kept)) == 24
    assert len(of(alice, ConnectionChanged)) == changes
    assert len(set(place.drop_ids)) == len(place.drop_ids), "a drop was used in two rounds"


def test_a_text_is_not_said_to_be_queued_or_sent_unless_it_was_kept(place: Town) -> None:
    alice, bob = pair(place)
    disk = under(alice)
    disk.takes = 0
    alice.connection.send("bob", "hello")
    wait_until(lambda: len(sentences(alice)) == 1)
    rounds = len(of(alice, RoundClosed))
    wait_until(lambda: len(of(alice, RoundClosed)) >= rounds + 3)
    assert not of(alice, TextQueued)
    assert not [event for event in of(alice, TextChanged) if event.state is TextState.SENT]
    assert not bob.texts()


def test_the_client_leaves_and_comes_back_from_a_full_disk_as_from_a_crash(place: Town) -> None:
    """The rounds of cover are in no file here: so the entry's word on the last one has the keys discarded."""
    alice, bob = pair(place)
    alice.connection.send("bob", "before")
    bob.wait_for(TextReceived)
    disk = under(alice)
    disk.takes = 0
    wait_until(lambda: len(sentences(alice)) == 1)
    rounds = len(of(alice, RoundClosed))
    wait_until(lambda: len(of(alice, RoundClosed)) >= rounds + 2)
    alice.connection.quit()
    assert alice.connection.join(60)
    again = place.connect(alice.account, FAST_BACKOFF)
    again.connection.ask("bob")
    again.wait_established("bob")
    again.connection.send("bob", "after")
    bob.wait_for(TextReceived, lambda event: event.text == "after")
    assert len(set(place.drop_ids)) == len(place.drop_ids)


def test_a_store_that_refuses_says_which_fault_it_is(tmp_path: Path) -> None:
    store = ClientStore(tmp_path / "alice.store", bytes(32))
    store.set("kept", 1)
    store.commit()
    disk = store._file._db = Disk(store._file._db)
    store.set("half", 1)
    disk.takes = 0
    with pytest.raises(StoreFullError):
        store.commit()
    disk.takes = None
    store.pause()
    with pytest.raises(StoreFullError):
        store.set("half", 2)
    assert (store.get("kept"), store.get("half")) == (1, None)
    store.resume()
    store.set("half", 3)
    store.commit()
    disk.takes = 1
    with pytest.raises(StoreFullError):
        store.resume()
    store.close()
