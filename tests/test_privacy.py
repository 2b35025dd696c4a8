"""The promise, measured: one world idle, chatting, inviting and parting looks the same on the wire.

Rounds are stepped by hand, so that round i of one world can be compared with round i of another.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest

from iirs.client.account.account import Environment
from iirs.client.conversation import Conversation
from iirs.client.conversation_values import Posted
from iirs.client.departure import ticks_to_leave
from iirs.client.engine import Engine
from iirs.client.events import (
    EntriesRemoved,
    ErrandDone,
    Event,
    GroupChanged,
    GroupState,
    KeepingChanged,
    PeerAsks,
    PeerChanged,
    PeerState,
    RoundClosed,
    RoundFate,
    RoundOpened,
    TextReceived,
    TimerAsked,
    TransferChanged,
)
from iirs.client.model.background import exported
from iirs.client.open_round import OpenRound
from iirs.client.store.log_entry import TransferState
from iirs.demo.wiretap import Burst, TrafficDirection, Wiretap
from iirs.geometry import PREKEY_SIZE, VAULT_SIZE, Geometry
from iirs.message import HEADER_SIZE, Limits, Message, MessageKind
from iirs.server.settings import ServiceSettings
from iirs.suite import HYBRID
from iirs.tls import on_the_wire
from iirs.wire.limits import upload_limits
from iirs.wire.rounds import Announcement, Upload
from tests.harness import FAST_BACKOFF, Person, Town, town, wait_until
from tests.test_full_disk import under

ROUNDS = 45
LEAVE_ROUNDS = ticks_to_leave(1)
ROUND_SECONDS = 0.04
PREKEY_ROUNDS = 7
"""Rounds of a prekey's period in the worlds with short ones."""
ENVIRONMENT = Environment(clock=lambda: 1_700_000_000.0)
SETTINGS = ServiceSettings(clock=ENVIRONMENT.clock, bundle_bytes_per_second=10**9)
NAMES = ("alice", "bob")

Action = Callable[..., None]
T = TypeVar("T")
Script = dict[int, Action]
"""What happens before which round, counted from the first upload of both."""


@dataclass
class Seen:
    """What the network and the last hop saw of one world, and what the people did."""

    wire: dict[str, list[tuple[int, TrafficDirection, int]]]
    histograms: list[Counter[int]]
    drop_ids: list[bytes]
    people: dict[str, Person]

    def texts(self, name: str) -> list[str]:
        return [event.text for event in self.people[name].log if isinstance(event, TextReceived)]

    def events(self, name: str, kind: type[T]) -> list[T]:
        return [event for event in self.people[name].log if isinstance(event, kind)]

    def transfers(self, name: str) -> list[TransferState]:
        return [event.state for event in self.events(name, TransferChanged)]

    def states(self, name: str) -> list[PeerState]:
        return [event.state for event in self.people[name].log if isinstance(event, PeerChanged)]


def both_ask(alice: Person, bob: Person) -> None:
    alice.connection.ask("bob")
    bob.connection.ask("alice")


def only_alice_asks(alice: Person, bob: Person) -> None:
    alice.connection.ask("bob")


def talk(alice: Person, bob: Person) -> None:
    alice.connection.send("bob", "hello bob")
    bob.connection.send("alice", "hello alice, " + "this takes many fragments " * 500)


def talk_more(alice: Person, bob: Person) -> None:
    for number in range(5):
        alice.connection.send("bob", f"text {number}")


def bob_hangs_up(alice: Person, bob: Person) -> None:
    bob.connection.hang_up("alice")


def bob_leaves(alice: Person, bob: Person) -> None:
    bob.connection.quit(at_once=True)
    bob.connection.join(60)


def alice_quits(alice: Person, bob: Person) -> None:
    alice.connection.quit()


def alice_sends_a_file(alice: Person, bob: Person) -> None:
    alice.connection.call(lambda engine: engine.messenger.send_file("bob", "holiday.png", FILE))


def alice_pauses(alice: Person, bob: Person) -> None:
    alice.connection.call(
        lambda engine: engine.messenger.pause(next(iter(engine.messenger.files._transfers)))
    )


def bob_stops_the_file(alice: Person, bob: Person) -> None:
    bob.connection.call(lambda engine: engine.messenger.cancel(next(iter(engine.messenger.files._transfers))))


def bob_declines(alice: Person, bob: Person) -> None:
    bob.connection.call(lambda engine: engine.slots.decline("alice"))


def alice_changes_her_password(alice: Person, bob: Person) -> None:
    alice.connection.change_password(os.urandom(32), lambda public: os.urandom(VAULT_SIZE))


def everybody_reads_and_deletes(*people: Person) -> None:
    for person in people:
        person.connection.call(_read_and_delete)


def _read_and_delete(engine: Engine) -> None:
    for peer in NAMES:
        engine.messenger.search("text", peer)
        assert isinstance(exported(engine.messenger.history(peer)), str)
        for entry in engine.messenger.history(peer):
            engine.messenger.delete(peer, entry.item_id)
        engine.messenger.clear(peer)


def alice_sets_a_timer(alice: Person, bob: Person) -> None:
    alice.connection.call(lambda engine: engine.messenger.set_timer("bob", 3600))


def bob_agrees_to_the_timer(alice: Person, bob: Person) -> None:
    bob.connection.call(lambda engine: engine.messenger.set_timer("alice", 3600))


def alice_founds_a_group(alice: Person, *others: Person) -> None:
    names = tuple(person.name for person in others)
    alice.connection.call(lambda engine: engine.messenger.create_group("Chess", names))


def everybody_accepts(*people: Person) -> None:
    for person in people:
        for event in person.drain():
            if isinstance(event, PeerAsks) and event.asks:
                person.connection.ask(event.peer)
            elif isinstance(event, GroupChanged) and event.state is GroupState.INVITED:
                person.connection.call(lambda engine, key=event.key: engine.messenger.join_group(key))


def everybody_writes_to_the_group(*people: Person) -> None:
    for person in people:
        keys = {event.key for event in person.drain() if isinstance(event, GroupChanged)}
        for key in keys:
            person.connection.send(key, f"{person.name} is here")


def one_leaves_the_group(*people: Person) -> None:
    keys = {event.key for event in people[-1].drain() if isinstance(event, GroupChanged)}
    for key in keys:
        people[-1].connection.call(lambda engine, key=key: engine.messenger.leave_group(key))


def alices_disk_is_full(alice: Person, bob: Person) -> None:
    under(alice).takes = 0


def alice_has_room(alice: Person, bob: Person) -> None:
    alice.connection.call(lambda engine: setattr(engine._store._file._db, "takes", None))


FILE = os.urandom(20 * 772)
THREE = ("alice", "bob", "carol")
FOUR = (*THREE, "dave")
IDLE: Script = {}
CHATTING: Script = {2: both_ask, 3: talk, 20: talk_more}
INVITING: Script = {2: only_alice_asks, 3: talk}
HANGING_UP: Script = {**CHATTING, 25: bob_hangs_up}
IDLE_BOB_LEAVES: Script = {25: bob_leaves}
SENDING_A_FILE: Script = {
    2: both_ask,
    9: alice_sends_a_file,
    14: alice_pauses,
    18: alice_pauses,
    20: talk_more,
}
STOPPING_A_FILE: Script = {2: both_ask, 9: alice_sends_a_file, 17: bob_stops_the_file}
DECLINING: Script = {2: only_alice_asks, 12: bob_declines}
FULL_DISK: Script = {**CHATTING, 11: alices_disk_is_full, 13: talk_more, 16: alice_has_room}
NEW_PASSWORD: Script = {**CHATTING, 12: alice_changes_her_password}
READING: Script = {
    **CHATTING,
    22: alice_sets_a_timer,
    24: talk_more,
    26: bob_agrees_to_the_timer,
    28: everybody_reads_and_deletes,
}
GROUP: Script = {
    2: alice_founds_a_group,
    **dict.fromkeys((6, 9, 12, 15, 18, 21, 24), everybody_accepts),
    28: everybody_writes_to_the_group,
    36: one_leaves_the_group,
}
RING: Script = {
    2: alice_founds_a_group,
    **dict.fromkeys((6, 9, 12, 15, 18, 21, 24), everybody_accepts),
    26: everybody_writes_to_the_group,
    31: one_leaves_the_group,
    **dict.fromkeys((34, 37, 40), everybody_accepts),
}
"""The one who leaves is a neighbour of two: a slot is freed, and the ring closes."""
CHATTING_BOB_LEAVES: Script = {**CHATTING, 25: bob_leaves}
IDLE_ALICE_QUITS: Script = {25: alice_quits}
CHATTING_ALICE_QUITS: Script = {**CHATTING, 25: alice_quits}
INVITING_ALICE_QUITS: Script = {**INVITING, 25: alice_quits}


def play(
    folder: Path, script: Script, prekey_rounds: int | None = None, names: tuple[str, ...] = NAMES
) -> Seen:
    """Run people for ``ROUNDS`` rounds behind wiretaps and return what was seen."""
    with town(
        folder,
        round_seconds=ROUND_SECONDS,
        settings=SETTINGS,
        paced=False,
        prekey_rounds=prekey_rounds,
    ) as place:
        taps = {name: Wiretap(place.port) for name in names}
        people = {name: tapped(place, name, taps[name]) for name in names}
        wait_until(lambda: len(place.service.channels()) == len(people))
        place.service.run_round()
        online, going = list(people.values()), None
        for number in range(ROUNDS):
            if number in script:
                for person in online:
                    wait_until(lambda who=person, opened=number + 1: count(who, RoundOpened) >= opened)
                script[number](*people.values())
                online = [person for person in online if not person.connection.join(0)]
                settle(online)
                going = people["alice"] if script[number] is alice_quits else going
            if going is not None and number == max(script) + LEAVE_ROUNDS:
                assert going.connection.join(60), "alice did not leave when everybody leaves"
                online.remove(going)
            wait_until(lambda here=online: have_uploaded(place, len(here)))
            place.service.run_round()
        for person in online:
            wait_until(lambda who=person: count(who, RoundClosed) >= ROUNDS)
        wire = {name: on_wire(place, tap.bursts()) for name, tap in taps.items()}
        for tap in taps.values():
            tap.close()
        return Seen(wire, list(place.histograms), list(place.drop_ids), people)


def have_uploaded(place: Town, online: int) -> bool:
    """Whether so many people are here and each has uploaded: what one who left has sent counts for nobody."""
    here = place.service.channels().keys()
    return len(here) == online and here <= place.service.mix_net._queue.keys()


def tapped(place: Town, name: str, tap: Wiretap) -> Person:
    link = type(place.link)("127.0.0.1", tap.port, place.link.fingerprint)
    return place.connect(place.register(name), replace(FAST_BACKOFF, environment=ENVIRONMENT), link)


def settle(people: list[Person]) -> None:
    """Wait until everything asked of these people has been taken up."""
    for person in people:
        taken = threading.Event()
        person.connection.call(lambda engine, event=taken: event.set())
        assert taken.wait(60)


def count(person: Person, kind: type[Event]) -> int:
    return sum(isinstance(event, kind) for event in person.drain())


def on_wire(place: Town, bursts: list[Burst]) -> list[tuple[int, TrafficDirection, int]]:
    """Return (round, direction, size) for everything from the first upload on."""
    first = with_prekey(place.service.chain.geometry, invites=False)
    start = next(
        i for i, burst in enumerate(bursts) if burst.size == first and burst.direction is TrafficDirection.UP
    )
    session = bursts[start : start + 2 * ROUNDS]
    return [(place_in_time // 2, burst.direction, burst.size) for place_in_time, burst in enumerate(session)]


def with_prekey(geometry: Geometry, *, invites: bool) -> int:
    """Return what the write of a setup round takes on the wire when a prekey goes before it."""
    bodies = [PREKEY_SIZE, geometry.setup_size, geometry.invite_size * invites, geometry.upload_size]
    return on_the_wire(sum(HEADER_SIZE + size for size in bodies if size))


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Seen]:
    scripts = {
        "idle": IDLE,
        "chatting": CHATTING,
        "inviting": INVITING,
        "hanging up": HANGING_UP,
        "idle, bob leaves": IDLE_BOB_LEAVES,
        "chatting, bob leaves": CHATTING_BOB_LEAVES,
        "idle, alice quits": IDLE_ALICE_QUITS,
        "chatting, alice quits": CHATTING_ALICE_QUITS,
        "inviting, alice quits": INVITING_ALICE_QUITS,
        "sending a file": SENDING_A_FILE,
        "stopping a file": STOPPING_A_FILE,
        "declining": DECLINING,
        "a new password": NEW_PASSWORD,
        "a full disk": FULL_DISK,
        "reading and deleting": READING,
        "idle, three": IDLE,
        "a group of three": GROUP,
        "idle, four": IDLE,
        "a ring of four": RING,
        "idle, short periods": IDLE,
        "chatting, short periods": CHATTING,
        "hanging up, short periods": HANGING_UP,
    }

    @cache
    def world(name: str) -> Seen:
        prekey_rounds = PREKEY_ROUNDS if name.endswith("short periods") else None
        names = THREE if name.endswith("three") else FOUR if name.endswith("four") else NAMES
        return play(tmp_path_factory.mktemp("world"), scripts[name], prekey_rounds, names)

    return world


def test_the_worlds_really_differ_for_the_people_in_them(worlds: Callable[[str], Seen]) -> None:
    assert worlds("idle").texts("bob") == []
    assert worlds("chatting").texts("bob") == ["hello bob", *(f"text {number}" for number in range(5))]
    assert len(worlds("chatting").texts("alice")) == 1
    assert PeerState.ASKING in worlds("inviting").states("alice")
    assert PeerState.CONNECTED not in worlds("inviting").states("alice")
    assert worlds("hanging up").states("alice")[-1] is PeerState.ENDED
    assert PeerState.RESUMING in worlds("chatting, bob leaves").states("alice")
    assert worlds("sending a file").transfers("bob")[-1] is TransferState.DONE
    assert TransferState.PAUSED in worlds("sending a file").transfers("alice")
    assert worlds("stopping a file").transfers("alice")[-1] is TransferState.CANCELLED
    assert [event.asks for event in worlds("declining").events("bob", PeerAsks)] == [True, False]
    assert [event.accepted for event in worlds("a new password").events("alice", ErrandDone)] == [True]
    full, room = worlds("a full disk").events("alice", KeepingChanged)
    assert full.sentence
    assert not room.sentence
    assert worlds("a full disk").texts("bob")[0] == "hello bob"
    assert worlds("reading and deleting").events("bob", EntriesRemoved)
    assert worlds("reading and deleting").events("bob", TimerAsked)[0].seconds == 3600
    for name in THREE:
        others = {f"{other} is here" for other in THREE if other != name}
        assert set(worlds("a group of three").texts(name)) == others
    left = worlds("a group of three").events("alice", GroupChanged)[-1]
    assert left.members == ("alice", "bob")
    for name in FOUR:
        assert set(worlds("a ring of four").texts(name)) == {
            f"{other} is here" for other in FOUR if other != name
        }
    left = worlds("a ring of four").events("alice", GroupChanged)[-1]
    assert left.members == THREE
    assert PeerState.ENDING in worlds("a ring of four").states("alice")


MORE = ["sending a file", "stopping a file", "declining", "a new password", "reading and deleting"]


@pytest.mark.parametrize("name", ["chatting", "inviting", "hanging up", "a full disk", *MORE])
def test_the_network_sees_the_same_rounds_directions_and_sizes(
    name: str, worlds: Callable[[str], Seen]
) -> None:
    assert len(worlds("idle").wire["alice"]) == 2 * ROUNDS
    assert worlds(name).wire == worlds("idle").wire


@pytest.mark.parametrize(
    ("name", "nothing"), [("a group of three", "idle, three"), ("a ring of four", "idle, four")]
)
def test_founding_a_group_talking_in_it_and_leaving_it_look_like_doing_nothing(
    name: str, nothing: str, worlds: Callable[[str], Seen]
) -> None:
    idle = worlds(nothing)
    assert all(len(wire) == 2 * ROUNDS for wire in idle.wire.values())
    assert worlds(name).wire == idle.wire


def test_a_client_that_sends_a_password_at_once_is_caught(
    tmp_path: Path, worlds: Callable[[str], Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a change of password is a frame of its own: the network sees it."""

    def eager(self: Engine, login_secret: bytes, make_vault: object) -> None:
        self._period_told = -1  # a prekey goes along with the next upload, as with a new session

    monkeypatch.setattr(Engine, "change_password", eager)
    assert play(tmp_path, NEW_PASSWORD).wire != worlds("idle").wire


@pytest.mark.parametrize("name", ["chatting, short periods", "hanging up, short periods"])
def test_renewing_prekeys_is_on_the_wire_by_the_calendar_whatever_people_do(
    name: str, worlds: Callable[[str], Seen]
) -> None:
    idle = worlds("idle, short periods")
    assert worlds(name).wire == idle.wire
    assert worlds(name).texts("bob")[-1:] == ["text 4"]
    for person in NAMES:
        numbers = [event.round_number for event in idle.people[person].log if isinstance(event, RoundOpened)]
        periods = [number // PREKEY_ROUNDS for number in numbers[:ROUNDS]]
        due = [place for place, period in enumerate(periods) if period not in periods[:place]]
        assert renewals(idle, person) == due
        assert len(due) == 1 + ROUNDS // PREKEY_ROUNDS
        assert renewals(worlds("idle"), person) == [0]


def test_a_client_that_tells_a_prekey_again_while_its_disk_is_full_is_caught(
    tmp_path: Path, worlds: Callable[[str], Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Engine.build_upload

    def eager(self: Engine) -> list[Message]:
        self._period_told = -1 if self.keeping.is_paused else self._period_told
        return honest(self)

    monkeypatch.setattr(Engine, "build_upload", eager)
    assert play(tmp_path, FULL_DISK).wire != worlds("idle").wire


def renewals(seen: Seen, person: str) -> list[int]:
    """The rounds in which the network saw a prekey go up, counted from the first upload."""
    geometry = Geometry(HYBRID, 1, 2)
    sizes = {with_prekey(geometry, invites=False), with_prekey(geometry, invites=True)}
    return [
        number
        for number, direction, size in seen.wire[person]
        if direction is TrafficDirection.UP and size in sizes
    ]


def test_a_client_that_does_not_renew_while_it_talks_is_caught(
    tmp_path: Path, worlds: Callable[[str], Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Engine._renew_prekey

    def busy(self: Engine, number: int) -> list[Message]:
        talking = any(conversation.sync is not None for conversation in self.slots.conversations.values())
        return [] if talking else honest(self, number)

    monkeypatch.setattr(Engine, "_renew_prekey", busy)
    assert play(tmp_path, CHATTING, PREKEY_ROUNDS).wire != worlds("idle, short periods").wire


def test_a_peer_who_disconnects_changes_nothing_on_the_wire_of_the_other(
    worlds: Callable[[str], Seen],
) -> None:
    talked, idle = worlds("chatting, bob leaves"), worlds("idle, bob leaves")
    assert talked.wire == idle.wire
    assert talked.wire["alice"] == worlds("idle").wire["alice"]


@pytest.mark.parametrize("name", ["chatting, alice quits", "inviting, alice quits"])
def test_whoever_quits_leaves_in_the_same_round_whatever_she_was_doing(
    name: str, worlds: Callable[[str], Seen]
) -> None:
    idle = worlds("idle, alice quits").wire
    assert len(idle["alice"]) == 2 * (25 + LEAVE_ROUNDS)
    assert worlds(name).wire == idle


def test_an_announcement_does_not_wait_for_the_commands_before_it(tmp_path: Path) -> None:
    """Fixed: with many lines pasted at once, the upload waited until each was on disk, and came too late."""
    happened: list[str] = []
    may_go_on = threading.Event()

    def tap(way: str, message: Message) -> None:
        if way == "down" and message.kind is MessageKind.ANNOUNCE:
            happened.append("announcement")

    def work(_: Engine) -> None:
        may_go_on.wait(60)
        time.sleep(0.02)
        happened.append("command")

    with town(tmp_path, paced=False) as place:
        alice = place.person("alice", tap=tap)
        wait_until(lambda: bool(place.service.channels()))
        place.service.run_round()
        place.step()
        wait_until(lambda: place.service.mix_net.collected == 1)
        happened.clear()
        for _ in range(100):
            alice.connection.call(work)
        place.service.run_round()
        may_go_on.set()
        wait_until(lambda: len(happened) == 101)
    assert happened.index("announcement") < 50


@pytest.mark.parametrize(
    "name",
    [
        *("idle", "chatting", "inviting", "hanging up", "idle, bob leaves", "chatting, alice quits"),
        *MORE,
        "a group of three",
        "a ring of four",
    ],
)
def test_without_loss_every_dead_drop_is_accessed_exactly_twice(
    name: str, worlds: Callable[[str], Seen]
) -> None:
    seen = worlds(name)
    assert len(seen.histograms) == ROUNDS + 1
    assert all(set(histogram) <= {2} for histogram in seen.histograms)
    assert sum(sum(histogram.values()) for histogram in seen.histograms) > ROUNDS


@pytest.mark.parametrize(
    "name", ["idle", "chatting", "inviting", "hanging up", "chatting, bob leaves", "chatting, alice quits"]
)
def test_nobody_is_told_of_tampering_where_there_is_none(name: str, worlds: Callable[[str], Seen]) -> None:
    for person in worlds(name).people.values():
        fates = Counter(event.fate for event in person.log if isinstance(event, RoundClosed))
        assert set(fates) == {RoundFate.CLEAN}, person.name
        assert fates[RoundFate.CLEAN] > 20


@pytest.mark.parametrize("name", ["idle", "chatting", "chatting, bob leaves"])
def test_no_dead_drop_is_ever_used_twice(name: str, worlds: Callable[[str], Seen]) -> None:
    drop_ids = worlds(name).drop_ids
    assert len(set(drop_ids)) == len(drop_ids) > 0


def test_a_client_whose_uploads_grow_when_it_talks_is_caught(
    tmp_path: Path, worlds: Callable[[str], Seen], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison has teeth: here one byte more is uploaded whenever somebody talks."""
    idle = worlds("idle")
    honest = Upload.encode

    def chatty(upload: Upload) -> list[Message]:
        *before, message = honest(upload)
        return [*before, Message(message.kind, message.body + talking[0])]

    def tolerant(body: bytes, before: Mapping[MessageKind, bytes], geometry: Geometry) -> Upload:
        return strict(body[: geometry.upload_size], before, geometry)

    strict = Upload.decode
    talking = [b""]
    real = Conversation.prepare

    def prepare(self: Conversation, shown: Announcement, has_circuits: bool) -> Posted | None:
        posted = real(self, shown, has_circuits)
        talking[0] = b"" if posted is None else b"!"
        return posted

    monkeypatch.setattr(Conversation, "prepare", prepare)
    monkeypatch.setattr(Upload, "encode", chatty)
    monkeypatch.setattr(Upload, "decode", tolerant)
    monkeypatch.setattr("iirs.server.connectionThread.upload_limits", _lenient_limits)
    assert play(tmp_path, CHATTING).wire != idle.wire


def _lenient_limits(geometry: Geometry) -> Limits:
    return {kind: (low, high + 1) for kind, (low, high) in upload_limits(geometry).items()}


def test_cover_that_does_not_pair_with_itself_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The histogram has teeth: here idle slots lead to two drops instead of one."""
    real = OpenRound.fill

    def careless(self: OpenRound, *arguments: Any) -> list[bytes]:
        return [os.urandom(len(drop_id)) for drop_id in real(self, *arguments)]

    monkeypatch.setattr(OpenRound, "fill", careless)
    assert not all(set(histogram) <= {2} for histogram in play(tmp_path, IDLE).histograms)


def test_the_most_verbose_log_names_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        seen = play(tmp_path, CHATTING)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("round" in line for line in lines) >= ROUNDS
    secrets = {drop_id.hex() for drop_id in seen.drop_ids} | {repr(drop_id) for drop_id in seen.drop_ids}
    for line in lines:
        assert not any(name in line for name in NAMES), line
        assert "127.0.0.1" not in line
        assert not any(secret in line for secret in secrets)
