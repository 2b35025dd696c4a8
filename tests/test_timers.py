"""What a dishonest peer gets done with times: nothing disappears here that our person did not agree to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from iirs.client.account.account import Account, Environment
from iirs.client.engine import Engine
from iirs.client.events import FileAdded, TextReceived, TimerAsked, TimerChanged
from iirs.client.messenger.notes import FileOffer, TimerNote, encode_note
from iirs.client.messenger.timers import OFFERED
from iirs.client.store.log_entry import FileInfo, Item, ItemKind
from iirs.client.store.store import ClientStore
from tests.builders import person
from tests.test_engine import KEYS, log_in

NOW = 1_700_000_000.0
YEAR_9999_MS = 253_402_300_799_000


class Alice:
    """Alice's engine, and bob, who says what he likes."""

    def __init__(self) -> None:
        self.now = NOW
        self.store = ClientStore(":memory:", bytes(32))
        self.engine = self.start()

    def start(self) -> Engine:
        account = Account("alice", KEYS.chain, person("alice"), b"")
        engine = Engine(account, self.store, Environment(clock=lambda: self.now))
        log_in(engine, 0)
        engine.slots.ask("bob")
        return engine

    def hears(self, kind: ItemKind, data: bytes, sent_at_ms: int = 0) -> None:
        item_id = len(self.engine.messenger.history("bob")).to_bytes(8) + data[-8:].rjust(8)
        self.engine.messenger._take_item("bob", Item(item_id, kind, data, sent_at_ms))

    def hears_timer(self, seconds: int) -> None:
        self.hears(ItemKind.NOTE, encode_note(TimerNote(seconds)))

    def texts_after(self, seconds: float) -> list[str]:
        self.now += seconds
        self.engine.messenger.expire()
        return [entry.text for entry in self.engine.messenger.history("bob")]

    def timers_told(self) -> list[TimerAsked | TimerChanged]:
        return [event for event in self.engine.take_events() if isinstance(event, TimerAsked | TimerChanged)]


@pytest.fixture
def alice() -> Iterator[Alice]:
    made = Alice()
    made.engine.take_events()
    yield made
    made.store.close()


def test_a_peers_timer_of_a_second_deletes_nothing(alice: Alice) -> None:
    """Fixed: what both wrote was gone from her own machine a round later, without a word."""
    alice.hears_timer(1)
    alice.engine.messenger.send("bob", "my own words")
    alice.hears(ItemKind.TEXT, b"a threat")
    alice.hears_timer(0)
    assert alice.texts_after(10**9) == ["my own words", "a threat"]
    asked = [TimerAsked("bob", "bob", 300, is_new=True), TimerAsked("bob")]
    assert alice.timers_told() == asked


@pytest.mark.parametrize(
    ("wished", "taken"), [(1, 300), (300, 300), (301, 3600), (86_401, 604_800), (31_622_400, 604_800)]
)
def test_a_peers_timer_is_one_that_can_be_chosen_here_and_counts_once_agreed_to(
    alice: Alice, wished: int, taken: int
) -> None:
    assert taken in OFFERED
    alice.hears_timer(wished)
    alice.hears(ItemKind.TEXT, b"before")
    assert alice.timers_told() == [TimerAsked("bob", "bob", taken, is_new=True)]
    alice.engine.messenger.set_timer("bob", taken)
    assert alice.timers_told() == [TimerAsked("bob"), TimerChanged("bob", taken, is_new=True)]
    alice.hears(ItemKind.TEXT, b"after")
    assert alice.texts_after(taken - 1) == ["before", "after"]
    assert alice.texts_after(2) == ["before"]


def test_who_leaves_it_is_asked_no_more_and_keeps_everything(alice: Alice) -> None:
    alice.hears_timer(300)
    alice.engine.messenger.leave_timer("bob")
    alice.hears(ItemKind.TEXT, b"kept")
    assert alice.texts_after(10**9) == ["kept"]
    assert alice.timers_told()[-1] == TimerAsked("bob")
    assert alice.engine.messenger.undelivered("bob") == []


def test_nobody_ends_our_own_timer_either(alice: Alice) -> None:
    alice.engine.messenger.set_timer("bob", 300)
    alice.hears_timer(0)
    alice.engine.messenger.send("bob", "for five minutes")
    assert alice.texts_after(301) == []
    assert alice.timers_told()[-1] == TimerAsked("bob", "bob", 0, is_new=True)


def test_a_wish_is_told_once_and_again_after_a_restart(alice: Alice) -> None:
    for _ in range(3):
        alice.hears_timer(300)
    assert alice.timers_told() == [TimerAsked("bob", "bob", 300, is_new=True)]
    alice.engine = alice.start()
    assert alice.timers_told() == [TimerAsked("bob", "bob", 300)]


def test_what_was_agreed_by_both_asks_nobody(alice: Alice) -> None:
    alice.engine.messenger.set_timer("bob", 300)
    alice.timers_told()
    alice.hears_timer(300)
    assert alice.timers_told() == []


def test_the_time_of_what_arrives_is_within_what_can_be(alice: Alice) -> None:
    """Fixed: a peer made days of the year 9999, and would have been first in the list for ever."""
    for sent_at_ms in (YEAR_9999_MS, 2**63 - 1, 0, int(NOW * 1000) - 5_000):
        alice.now += 10
        alice.hears(ItemKind.TEXT, b"hello %d" % sent_at_ms, sent_at_ms)
    told = [event.sent_at_ms for event in alice.engine.take_events() if isinstance(event, TextReceived)]
    assert told == [int(NOW * 1000) + after for after in (10_000, 20_000, 20_000, 20_000)]
    assert [entry.sent_at_ms for entry in alice.engine.messenger.history("bob")] == told


def test_the_time_of_a_file_is_within_what_can_be_too(alice: Alice) -> None:
    file = FileInfo(b"f" * 16, "a.txt", 5, bytes(32))
    alice.hears(ItemKind.NOTE, encode_note(FileOffer(file)), YEAR_9999_MS)
    (added,) = [event for event in alice.engine.take_events() if isinstance(event, FileAdded)]
    assert added.entry.sent_at_ms == int(NOW * 1000)


def test_an_honest_time_is_believed(alice: Alice) -> None:
    alice.hears(ItemKind.TEXT, b"typed an hour ago", int(NOW * 1000) - 3_600_000)
    (told,) = [event for event in alice.engine.take_events() if isinstance(event, TextReceived)]
    assert told.sent_at_ms == int(NOW * 1000) - 3_600_000
