"""What a person has to do with others, over a real service: places, leaving, declining, keys, deleting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from iirs.client.account.account import Account, Environment
from iirs.client.engine import Engine
from iirs.client.events import (
    ConnectionChanged,
    ConnectionState,
    ContactChanged,
    EntriesRemoved,
    Event,
    PeerAsks,
    PeerState,
    TextQueued,
    TextReceived,
    TimerAsked,
)
from iirs.client.messenger.budget import ROUND_STEPS
from iirs.client.messenger.contacts import KEYS_CHANGED, TWO_DIRECTORIES
from iirs.client.messenger.slots import PAUSE_IN_ASKING
from iirs.client.model.background import BackgroundWork, Reading
from iirs.client.store.history import ENTRIES_AT_ONCE
from iirs.client.store.log_entry import EntryKind, HistoryPage, LogEntry
from iirs.client.store.store import ClientStore
from iirs.errors import AccountError
from tests.builders import person
from tests.harness import Person, Town, knows, pair, town, wait_until
from tests.test_engine import KEYS, log_in


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path, round_seconds=0.1) as running:
        yield running


def asked(person: Person, name: str) -> list[bool]:
    return [event.asks for event in person.drain() if isinstance(event, PeerAsks) and event.peer == name]


def history(person: Person, talk: str) -> list[LogEntry]:
    found: list[list[LogEntry]] = []
    person.connection.call(lambda engine: found.append(engine.messenger.history(talk)))
    wait_until(lambda: bool(found))
    return found[0]


def test_entries_disappear_on_both_sides_after_a_time_that_both_have_agreed_on(place: Town) -> None:
    alice, bob = pair(place)
    alice.connection.call(lambda engine: engine.messenger.set_timer("bob", 3600))
    bob.wait_for(TimerAsked, lambda event: (event.author, event.seconds) == ("alice", 3600))
    bob.connection.send("alice", "for an hour")
    text = alice.wait_for(TextReceived)
    assert 0 < text.expires_at_ms - text.sent_at_ms < 3_700_000
    assert bob.wait_for(TextQueued).expires_at_ms == 0
    bob.connection.call(lambda engine: engine.messenger.set_timer("alice", 3600))
    bob.connection.send("alice", "here, too")
    queued = bob.wait_for(TextQueued, lambda event: event.text == "here, too")
    assert queued.expires_at_ms - queued.sent_at_ms == 3_600_000
    alice.connection.call(lambda engine: engine.messenger.set_timer("bob", 0))
    bob.wait_for(TimerAsked, lambda event: (event.author, event.seconds) == ("alice", 0))


def test_a_third_conversation_waits_for_a_place_and_gets_the_first_that_is_free(place: Town) -> None:
    alice, bob = pair(place)
    carol, dave = place.person("carol"), place.person("dave")
    place.introduce(alice, carol)
    for one, other in ((alice, "dave"), (dave, "alice")):
        one.connection.ask(other)
    alice.wait_state("dave", PeerState.WAITING)
    alice.connection.hang_up("bob")
    alice.wait_state("dave", PeerState.ASKING)
    alice.wait_established("dave")
    assert bob.drain()


def test_two_who_talked_go_on_without_a_word_when_one_comes_back(place: Town) -> None:
    alice, bob = pair(place)
    alice.connection.quit(coming_back=True)
    assert alice.connection.join(60)
    bob.wait_state("alice", PeerState.ASKING)
    assert not any(getattr(event, "state", None) is PeerState.ENDED for event in bob.drain())
    bob.connection.send("alice", "are you there?")
    alice = place.connect(alice.account)
    alice.wait_established("bob")
    assert alice.wait_for(TextReceived).text == "are you there?"
    assert asked(alice, "bob") == []


def test_a_conversation_that_was_ended_does_not_go_on_by_itself(place: Town) -> None:
    alice, bob = pair(place)
    alice.connection.quit()
    assert alice.connection.join(60)
    bob.wait_state("alice", PeerState.ENDED)
    alice = place.connect(alice.account)
    bob.connection.ask("alice")
    alice.wait_for(PeerAsks)


def test_who_declines_is_not_asked_again_until_the_other_has_paused(place: Town) -> None:
    alice, bob = place.person("alice"), place.person("bob")
    bob.connection.ask("alice")
    alice.wait_for(PeerAsks)
    alice.connection.call(lambda engine: engine.slots.decline("bob"))
    alice.wait_for(PeerAsks, lambda event: not event.asks)
    rounds = len(place.histograms)
    wait_until(lambda: len(place.histograms) > rounds + 10)
    assert asked(alice, "bob") == [True, False]
    assert PeerState.ASKING in {getattr(event, "state", None) for event in bob.drain()}
    bob.connection.hang_up("alice")
    rounds = len(place.histograms)
    wait_until(lambda: len(place.histograms) > rounds + 3 * (PAUSE_IN_ASKING + 2))
    bob.connection.ask("alice")
    wait_until(lambda: asked(alice, "bob") == [True, False, True])


def test_who_stops_asking_does_not_ask_any_more(place: Town) -> None:
    alice, bob = place.person("alice"), place.person("bob")
    bob.connection.ask("alice")
    alice.wait_for(PeerAsks)
    bob.connection.hang_up("alice")
    alice.wait_for(PeerAsks, lambda event: not event.asks)


def test_deleting_an_entry_deletes_it_here_and_a_repeat_does_not_bring_it_back(place: Town) -> None:
    alice, bob = pair(place)
    alice.connection.send("bob", "one")
    alice.connection.send("bob", "two")
    bob.wait_for(TextReceived, lambda event: event.text == "two")
    first = history(bob, "alice")[0]
    bob.connection.call(lambda engine: engine.messenger.delete("alice", first.item_id))
    assert bob.wait_for(EntriesRemoved).item_ids == (first.item_id,)
    assert [entry.text for entry in history(bob, "alice")] == ["two"]
    bob.connection.call(lambda engine: engine.messenger.clear("alice"))
    assert history(bob, "alice") == []
    assert [entry.text for entry in history(alice, "bob")] == ["one", "two"]


def test_a_verified_number_stays_verified_over_a_restart(place: Town) -> None:
    alice, bob = pair(place)
    alice.connection.call(lambda engine: engine.messenger.verify("bob", True))
    mine = alice.wait_for(ContactChanged, lambda event: event.verified)
    theirs = bob.wait_for(ContactChanged)
    assert (mine.number, len(mine.number), theirs.verified) == (theirs.number, 60, False)
    alice.connection.quit(at_once=True)
    assert alice.connection.join(60)
    again = place.connect(alice.account)
    assert again.wait_for(ContactChanged).verified
    again.connection.call(lambda engine: engine.messenger.verify("bob", False))
    again.wait_for(ContactChanged, lambda event: not event.verified)


def test_very_many_entries_that_end_at_once_are_deleted_a_few_a_round() -> None:
    """Fixed: a peer could have tens of thousands end at one moment, and so make an upload late."""
    engine = alice_alone(ClientStore(":memory:", bytes(32)))
    at_once = ROUND_STEPS * ENTRIES_AT_ONCE
    for number in range(3 * at_once):
        engine.messenger._store.history.add_entry(
            LogEntry("bob", number.to_bytes(16), EntryKind.TEXT, False, "bob", "x", 1, expires_at_ms=2)
        )
    for left in (2, 1, 0, 0):
        engine.messenger.work()
        assert len(engine.messenger.history("bob", 10_000)) == left * at_once
    removed = [event for event in engine.take_events() if isinstance(event, EntriesRemoved)]
    assert [len(event.item_ids) for event in removed] == [ENTRIES_AT_ONCE] * 3 * ROUND_STEPS


def test_a_long_talk_is_deleted_and_read_in_steps_between_which_others_come(place: Town) -> None:
    alice = place.person("alice")
    told: list[Reading] = []
    background = BackgroundWork(alice.connection, told.append)

    def fill(engine: Engine) -> None:
        for number in range(1200):
            engine.messenger._store.history.add_entry(
                LogEntry("bob", number.to_bytes(16), EntryKind.TEXT, False, "bob", f"text {number}", number)
            )

    alice.connection.call(fill)
    background.read_back_to("bob", (1199).to_bytes(16), (3).to_bytes(16))
    wait_until(lambda: bool(told))
    (history_read,) = told
    assert isinstance(history_read, HistoryPage)
    assert [entry.sent_at_ms for entry in history_read.entries] == list(range(1199))
    target = place.folder / "bob.txt"
    background.export("bob", target)
    wait_until(target.exists)
    assert target.read_text().count("\n") == 1200
    background.clear("bob")
    wait_until(lambda: history(alice, "bob") == [])


def test_a_wish_and_a_talk_are_kept_when_somebody_leaves_a_group_and_an_unused_conversation_is_not(
    place: Town,
) -> None:
    """Fixed: a talk whose log had been deleted, or a wish not answered yet, ended with the group."""
    alice, bob = pair(place)
    alice.connection.send("bob", "hello")
    bob.wait_for(TextReceived)
    alice.connection.call(lambda engine: engine.messenger.clear("bob"))
    carol = place.person("carol")
    wait_until(lambda: knows(alice, "carol"))
    alice.connection.ask("carol")
    for name in ("bob", "carol"):
        alice.connection.call(lambda engine, n=name: engine.slots.let_go(n))
    assert history(alice, "bob") == []
    states = [getattr(event, "state", None) for event in alice.drain()]
    assert PeerState.ENDING not in states
    carol.connection.ask("alice")
    alice.wait_established("carol")
    alice.connection.call(lambda engine: engine.slots.let_go("carol"))
    alice.wait_state("carol", PeerState.ENDING)


def test_what_nobody_expected_closes_the_connection_and_says_so(place: Town) -> None:
    """Fixed: the thread died in silence, and the window said online."""
    alice = place.person("alice")

    def fail(engine: Engine) -> None:
        engine.messenger._store.set("half", True)
        raise ZeroDivisionError("a secret word")

    alice.connection.call(fail)
    closed = alice.wait_for(ConnectionChanged, lambda event: event.state is ConnectionState.CLOSED)
    assert "ZeroDivisionError" in closed.sentence
    assert "secret" not in closed.sentence
    assert alice.connection.join(60)
    again = place.connect(alice.account)
    kept: list[object] = []
    again.connection.call(lambda engine: kept.append(engine.messenger._store.get("half", "nothing")))
    wait_until(lambda: kept == ["nothing"])


# -- when something is wrong with keys ----------------------------------------------------------------


def alice_alone(store: ClientStore) -> Engine:
    account = Account("alice", KEYS.chain, person("alice"), b"")
    engine = Engine(account, store, Environment(monotonic=lambda: 0.0))
    log_in(engine, 0)
    return engine


def contacts(events: list[Event], name: str) -> list[ContactChanged]:
    return [event for event in events if isinstance(event, ContactChanged) and event.name == name]


def test_nothing_is_sent_to_a_name_with_other_keys_than_before_until_they_are_accepted() -> None:
    store = ClientStore(":memory:", bytes(32))
    engine = alice_alone(store)
    engine.slots.ask("bob")
    engine.messenger.verify("bob", True)
    kept = store.get("contact:bob")
    store.set("contact:bob", {**kept, "key": "00" * 32, "verified": "00" * 32})
    engine = alice_alone(store)
    told = contacts(engine.take_events(), "bob")[-1]
    assert (told.blocked, told.verified) == (KEYS_CHANGED, False)
    with pytest.raises(AccountError, match="compared safety numbers"):
        engine.messenger.send("bob", "hello")
    with pytest.raises(AccountError, match="compared safety numbers"):
        engine.messenger.send_file("bob", "a.txt", b"hello")
    engine.slots.conversation("bob")
    assert engine.slots.conversations["bob"].chat.held
    engine.messenger.accept_keys("bob")
    assert contacts(engine.take_events(), "bob")[-1].blocked == ""
    engine.messenger.send("bob", "hello")
    assert not engine.slots.conversations["bob"].chat.held


def test_what_was_queued_before_an_alarm_waits_and_what_is_said_is_the_same_size() -> None:
    engine = alice_alone(ClientStore(":memory:", bytes(32)))
    engine.slots.ask("bob")
    engine.messenger.send("bob", "hello")
    chat = engine.slots.conversations["bob"].chat
    chat.begin(b"c" * 16)
    engine.messenger.raise_alarm()
    assert [message.kind.name for message in chat.compose(1)] == ["IDLE", "IDLE"]
    assert contacts(engine.take_events(), "bob")[-1].blocked == TWO_DIRECTORIES
    engine.messenger.accept_keys("bob")
    assert [message.kind.name for message in chat.compose(2)] == ["TEXT", "IDLE"]


def test_an_alarm_stays_over_a_restart() -> None:
    store = ClientStore(":memory:", bytes(32))
    engine = alice_alone(store)
    engine.slots.ask("bob")
    engine.messenger.raise_alarm()
    again = alice_alone(store)
    with pytest.raises(AccountError, match="asked the people who run them"):
        again.messenger.send("bob", "hello")
