"""When uploads leave: at moments that do not know what a client does; a client whose moments do is caught.

Three views of it. In a time that the test steps, the planned moment and the write are one. In real
worlds, what the thread that sends does between waking and writing is the same list of calls, whatever
else goes on. And on the wire idle and busy rounds take turns and are compared; how far apart is noise is
measured in the same run.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import iirs.client.net.upload_clock
import iirs.client.server_connection
from iirs.chain import JoinLink
from iirs.client.account.account import Account
from iirs.client.engine import Engine
from iirs.client.net.transport import Arrival, Transport
from iirs.client.net.upload_clock import BUILD_AHEAD, QUIET_AHEAD, SWITCH_SECONDS, UploadClock
from iirs.client.server_connection import ConnectionOptions, ServerConnection
from iirs.client.store.store import ClientStore
from iirs.demo.wiretap import Burst, TrafficDirection, Wiretap
from iirs.message import Message, MessageKind
from iirs.wire.rounds import Announcement
from tests.builders import make_chain, person
from tests.harness import FAST_BACKOFF, PATIENT_SECONDS, Person, Town, town, wait_until
from tests.upload_times import Planned, Upload, seen_by_the_line, sign_test, spread, watch_plans

UPLOAD = Message(MessageKind.UPLOAD, b"")
FILE = os.urandom(40 * 772)

# -- in a time that the test steps ----------------------------------------------------------------------


@dataclass
class Clock:
    """Monotonic seconds that go on only when told."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class SteppedInbox:
    """Stands where the queue of the connection's thread would: waiting moves the clock, and takes no time."""

    clock: Clock
    coming: list[tuple[float, Any]] = field(default_factory=list)

    def put(self, item: Any) -> None:
        self.coming.append((self.clock.now, item))

    def get(self, timeout: float) -> Any:
        self.coming.sort(key=lambda pair: pair[0])
        until = self.clock.now + timeout
        if not self.coming or self.coming[0][0] > until:
            self.clock.now = until
            raise queue.Empty
        at, item = self.coming.pop(0)
        self.clock.now = max(self.clock.now, at)
        return item


@dataclass
class SteppedUploadClock:
    """Stands where ``UploadClock`` would: notes for when an upload was scheduled."""

    clock: Clock
    moments: list[float] = field(default_factory=list)

    @property
    def is_busy(self) -> bool:
        return bool(self.moments) and self.clock.now < self.moments[-1]

    def schedule(self, at: float, transport: object, messages: list[Message]) -> None:
        assert at >= self.clock.now, "an upload is scheduled for when it is ready, not for a moment planned"
        self.moments.append(at)

    def cancel(self) -> None:
        raise AssertionError("nothing was to be cancelled")


COLLECT, MARGIN, ROUNDS = 2.0, 0.4, 3
Commands = list[tuple[float, float]]
"""When each is given, in seconds from the start, and how long it takes."""


def moments_of(commands: Commands, building_takes: float) -> tuple[list[float], list[float]]:
    """Run a connection's thread for some rounds; return the moments planned and those scheduled."""
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch, closing(ClientStore(":memory:", bytes(32))) as store:
        owned = SimpleNamespace(monotonic=clock.monotonic)
        patch.setattr(iirs.client.server_connection, "time", owned)
        account = Account("alice", make_chain().chain, person("alice"), b"")
        connection = ServerConnection(JoinLink("host", 1), account, store, ConnectionOptions())
        inbox, uploads = SteppedInbox(clock), SteppedUploadClock(clock)
        wire = SimpleNamespace(hang_up=lambda: None)
        announcement = SimpleNamespace(collect_ms=int(1000 * COLLECT))

        def build() -> list[Message]:
            clock.now += building_takes
            return [UPLOAD]

        def work(seconds: float) -> Callable[[], None]:
            def command() -> None:
                clock.now += seconds

            return command

        patch.setattr(connection, "_inbox", inbox)
        patch.setattr(connection, "_upload_clock", uploads)
        patch.setattr(connection, "_transport", wire)
        patch.setattr(connection, "_margin", MARGIN, raising=False)
        patch.setattr(connection._engine, "build_upload", build)
        patch.setattr(connection._engine, "open_round", lambda *_: announcement)
        arrivals = [clock.now + COLLECT * number for number in range(ROUNDS)]
        message = Message(MessageKind.ANNOUNCE, b"\0")
        inbox.coming = [(at, (wire, Arrival(message, at))) for at in arrivals]
        inbox.coming += [(clock.now + at, work(seconds)) for at, seconds in commands]
        over = arrivals[-1] + COLLECT
        patch.setattr(connection, "_is_over", lambda: clock.now >= over)
        connection._session()
    return [at + COLLECT - MARGIN for at in arrivals], uploads.moments


STEP = BUILD_AHEAD * COLLECT
short = st.tuples(st.floats(0, ROUNDS * COLLECT), st.floats(0, QUIET_AHEAD * COLLECT))
"""Commands that end before an upload is built, if they begin before commands have to wait."""


@given(st.lists(short, max_size=60), st.floats(0, 0.99 * STEP))
def test_whatever_is_asked_for_uploads_are_planned_for_the_same_moments(
    commands: Commands, building_takes: float
) -> None:
    planned, scheduled = moments_of(commands, building_takes)
    assert scheduled == planned


@given(
    st.lists(st.tuples(st.floats(0, ROUNDS * COLLECT), st.floats(0, 0.3)), max_size=20), st.floats(0, 0.35)
)
def test_what_takes_too_long_moves_an_upload_by_whole_steps(
    commands: Commands, building_takes: float
) -> None:
    planned, scheduled = moments_of(commands, building_takes)
    assert len(scheduled) == len(planned)
    for moment, at in zip(planned, scheduled, strict=True):
        steps = (at - moment) / STEP
        assert steps > -1e-6
        assert abs(steps - round(steps)) < 1e-6


def test_a_connection_whose_plan_counts_from_when_it_is_made_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = ServerConnection._plan

    def late(connection: ServerConnection, announcement: Announcement, arrived_at: float) -> None:
        honest(connection, announcement, iirs.client.server_connection.time.monotonic())

    monkeypatch.setattr(ServerConnection, "_plan", late)
    planned, scheduled = moments_of([(COLLECT - 0.01, 0.09)], 0.0)  # the next announcement comes meanwhile
    assert scheduled != planned


def test_a_connection_that_carries_out_commands_close_to_an_upload_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ServerConnection, "_upload_is_close", lambda _: False)
    planned, scheduled = moments_of([(COLLECT - MARGIN - STEP - 0.01, 0.09)], 0.05)
    assert scheduled != planned


@dataclass
class SteppedCondition:
    """Stands where a condition would: waiting for so long moves the clock by so much."""

    clock: Clock
    woken_early: list[float]
    """By how much waits are shorter than asked for; those after them are not."""

    def notify(self) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, seconds: float) -> None:
        early = self.woken_early.pop() if self.woken_early else 0.0
        self.clock.now += max(0.0, seconds - early)


def moments_left(woken_early: list[float]) -> list[float]:
    """Have a thread's work done here, for three uploads 2 s apart; return when each has left."""
    clock, left = Clock(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(iirs.client.net.upload_clock, "time", SimpleNamespace(monotonic=clock.monotonic))
        sender = UploadClock(lambda _: None, lambda: sender.stop() if len(left) == 3 else following())
        patch.setattr(sender, "_changed", SteppedCondition(clock, woken_early))
        wire = SimpleNamespace(send=lambda *_: left.append(clock.now))

        def following() -> None:
            sender.schedule(1002.0 + 2.0 * len(left), wire, [UPLOAD])  # type: ignore[arg-type]

        following()
        sender.run()
    return left


@given(st.lists(st.floats(0, 5), max_size=5))
def test_an_upload_leaves_at_its_moment_however_often_its_thread_is_woken(woken_early: list[float]) -> None:
    assert moments_left(woken_early) == pytest.approx([1002.0, 1004.0, 1006.0], abs=1e-9)


def test_a_thread_that_sends_when_it_is_woken_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait_once(clock: UploadClock) -> Any:
        if clock._over or clock._next is None:
            return None
        at, *due = clock._next
        clock._changed.wait(at - iirs.client.net.upload_clock.time.monotonic())
        return due

    monkeypatch.setattr(UploadClock, "_wait", wait_once)
    assert moments_left([]) == pytest.approx([1002.0, 1004.0, 1006.0])
    assert moments_left([0.5])[0] == pytest.approx(1001.5)


def test_a_thread_that_computes_soon_gives_way_to_the_one_that_sends() -> None:
    """Fixed: with a window at work an upload left 5 ms late, as long as Python lets a thread go on."""
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.005)
        sender = UploadClock(lambda _: None, lambda: None)
        sender.stop()
        sender.run()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    finally:
        sys.setswitchinterval(before)


# -- between waking and writing -------------------------------------------------------------------------


class Footsteps:
    """What the threads that send do between waking and writing: one list of calls an upload."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.uploads: list[tuple[str, ...]] = []
        honest = UploadClock.run

        def watched(clock: UploadClock) -> None:
            sys.setprofile(self._recorder())
            honest(clock)

        patch.setattr(UploadClock, "run", watched)

    def _recorder(self) -> Callable[[FrameType, str, Any], None]:
        steps: list[str] = []

        def record(frame: FrameType, event: str, what: Any) -> None:
            code = frame.f_code
            if event == "return" and code is threading.Condition.wait.__code__:
                steps.clear()
            elif event == "call":
                steps.append(f"{frame.f_globals.get('__name__')}.{code.co_name}")
            elif event == "c_call":
                steps.append(f"{what.__module__ or type(what.__self__).__module__}.{what.__name__}")
                if what.__name__ == "sendall":
                    self.uploads.append(tuple(steps))
                    steps.clear()

        return record


SENDING = {
    "threading",
    "_thread",
    "time",
    "builtins",
    "contextlib",
    "struct",
    "_struct",
    "ssl",
    "_ssl",
    "socket",
    "_socket",
}
SENDING |= {"iirs.client.net.upload_clock", "iirs.client.net.transport", "iirs.message", "iirs.tls"}
"""Where the thread that sends may be, between waking and writing."""
STEPS = 9


def keep_idle(*_: object) -> None:
    pass


def keep_busy(alice: Person, bob: Person) -> None:
    """Have alice write, search, send a file and clear a talk, and bob write to her."""
    alice.connection.send("bob", "hello bob")
    bob.connection.send("alice", "hello alice, " + "this takes some fragments " * 80)
    alice.connection.call(lambda engine: engine.messenger.search("hello"))
    alice.connection.call(lambda engine: engine.messenger.clear("bob"))
    alice.connection.call(lambda engine: engine.messenger.send_file("bob", "photo.bin", FILE))


PATIENT = replace(FAST_BACKOFF, silent_seconds=10 * PATIENT_SECONDS)


@contextmanager
def talking(folder: Path, round_seconds: float) -> Iterator[tuple[Town, Person, Person, Wiretap]]:
    """Two people in sync, alice behind a wiretap; a round is open, and the test steps to the next ones."""
    with town(folder, round_seconds=round_seconds, paced=False) as place, closing(Wiretap(place.port)) as tap:
        link = JoinLink("127.0.0.1", tap.port, place.link.fingerprint)
        alice = place.connect(place.register("alice"), PATIENT, link)
        bob = place.connect(place.register("bob"), PATIENT)
        wait_until(lambda: len(place.service.channels()) == 2)
        place.service.run_round()
        in_sync = threading.Event()

        def rounds() -> None:
            while not in_sync.wait(0.002):
                if place.service.mix_net.collected == 2:
                    place.service.run_round()

        stepper = threading.Thread(target=rounds)
        stepper.start()
        try:
            place.introduce(alice, bob)
        finally:
            in_sync.set()
            stepper.join()
        yield place, alice, bob, tap


def steps_taken(
    folder: Path, patch: pytest.MonkeyPatch, act: Callable[[Person, Person], None]
) -> list[tuple[str, ...]]:
    footsteps = Footsteps(patch)
    with talking(folder, round_seconds=0.05) as (place, alice, bob, _):
        place.step()
        footsteps.uploads.clear()
        for _ in range(STEPS):
            act(alice, bob)
            place.step()
        wait_until(lambda: place.service.mix_net.collected == 2)
    assert len(footsteps.uploads) >= 2 * STEPS
    return footsteps.uploads


KINDS_OF_ROUNDS = 2
"""With invitations, which are a message more in the same write, and without: everybody knows which."""


def modules(steps: tuple[str, ...]) -> set[str]:
    return {step.rpartition(".")[0] for step in steps}


def test_whoever_sends_does_the_same_between_waking_and_writing_whatever_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        idle = steps_taken(tmp_path / "idle", patch, keep_idle)
    with monkeypatch.context() as patch:
        busy = steps_taken(tmp_path / "busy", patch, keep_busy)
    assert set(busy) == set(idle)
    assert len(set(idle)) == KINDS_OF_ROUNDS
    assert {module for steps in idle for module in modules(steps)} <= SENDING


def test_a_client_that_looks_for_something_to_say_before_it_sends_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest_build, honest_send = Engine.build_upload, Transport.send
    has_something = [False]

    def build(engine: Engine) -> list[Message]:
        has_something[0] = bool(engine.messenger.undelivered("bob"))
        return honest_build(engine)

    def send(transport: Transport, *messages: Message) -> None:
        if has_something[0]:
            time.sleep(0)
        honest_send(transport, *messages)

    monkeypatch.setattr(Engine, "build_upload", build)
    monkeypatch.setattr(Transport, "send", send)
    assert len(set(steps_taken(tmp_path, monkeypatch, keep_busy))) > KINDS_OF_ROUNDS


# -- on the wire ----------------------------------------------------------------------------------------


def test_an_upload_that_is_missed_and_one_that_is_a_step_late_are_noticed() -> None:
    up, down = TrafficDirection.UP, TrafficDirection.DOWN
    plans = [Planned("idle", at, at + 1.6, 0.1) for at in (10.0, 12.0, 14.0, 16.0, 18.0)]
    bursts = [
        Burst(up, 900, 9.0, 1, 9.0),
        Burst(down, 9000, 9.9, 2, 10.0),
        Burst(up, 4000, 11.6, 2, 11.6),
        Burst(down, 9000, 12.0, 2, 14.0),  # with nothing between two announcements
        Burst(up, 4000, 15.7, 2, 15.7),
        Burst(down, 9000, 16.0, 2, 16.0),
        Burst(up, 4000, 17.61, 2, 17.61),
    ]
    uploads = seen_by_the_line(plans, bursts)
    assert [upload.late for upload in uploads] == [
        pytest.approx(0.0),
        None,
        pytest.approx(0.1),
        pytest.approx(0.01),
    ]
    assert [upload.stepped for upload in uploads] == [False, False, True, False]


GROUPS = 25
HONEST, LEAKING = ("busy", "", "idle", "idle again"), ("leaky", "", "idle")
"""Groups of rounds. Those without a name are not counted: what was begun before them ends in them."""
CHANCE = 1e-6
LONG_BEFORE = 0.4
"""Share of a round by which uploads are built before they leave: rounds are short here, building is not."""


class Line:
    """Alice and bob, and a wiretap between alice and the server; alice leaks if she is told to."""

    def __init__(self, place: Town, alice: Person, bob: Person, tap: Wiretap) -> None:
        self._place, self._alice, self._bob, self._tap = place, alice, bob, tap
        self._world = ""
        self._leak = 0.0
        self._plans = watch_plans(alice.connection, lambda: self._world)
        self._engine = alice.connection._engine
        clock = alice.connection._upload_clock
        self._honest_schedule = clock.schedule
        clock.schedule = self._schedule  # type: ignore[method-assign]

    def _schedule(self, at: float, transport: Transport, messages: list[Message]) -> None:
        # Whole steps, for what was not ready, are another matter: a slow machine may need them when busy.
        if self._plans:  # not for the round that was open when this began
            self._plans[-1] = replace(self._plans[-1], moment=at)
        has_something = bool(self._engine.messenger.undelivered("bob"))
        if self._world == "busy":  # too late for this upload: these have to wait until it has left
            for _ in range(5):
                self._alice.connection.call(lambda engine: engine.messenger.search("hello"))
        self._honest_schedule(at + self._leak * has_something, transport, messages)

    def play(self, turns: tuple[str, ...], leak: float = 0.0) -> list[Upload]:
        """Run ``GROUPS`` times such rounds; return what the wiretap saw of them."""
        begin = len(self._plans)
        for world in [*(turns * GROUPS), ""]:
            wait_until(lambda: self._place.service.mix_net.collected == 2)
            planned, self._world = len(self._plans), world
            if world in {"busy", "leaky"}:
                self._write()
            self._leak = leak if world == "leaky" else 0.0
            self._place.service.run_round()
            wait_until(lambda before=planned: len(self._plans) > before)
            if world == "busy":
                self._alice.connection.call(lambda engine: engine.messenger.clear("nobody"))
        wait_until(lambda: self._place.service.mix_net.collected == 2)
        return seen_by_the_line(self._plans[begin:], self._tap.bursts())

    def _write(self) -> None:
        """Have both write, and wait until the next uploads hold it."""
        taken = threading.Barrier(3)
        for writer, peer in ((self._alice, "bob"), (self._bob, "alice")):
            writer.connection.send(peer, f"hello {peer}")
            writer.connection.call(lambda _: taken.wait(PATIENT_SECONDS))
        taken.wait(PATIENT_SECONDS)


def lateness(uploads: list[Upload], world: str) -> list[float]:
    late = [upload.late for upload in uploads if upload.world == world]
    assert None not in late, "an upload was missed"
    return [seconds for seconds in late if seconds is not None]


def told_apart(idle: list[float], other: list[float], noise: float) -> bool:
    """Return whether of so many pairs far more than chance explains differ by more than noise, one way."""
    gaps = [there - here for here, there in zip(idle, other, strict=True)]
    ways = (sum(gap > noise for gap in gaps), sum(gap < -noise for gap in gaps))
    return sign_test(max(ways), len(gaps)) < CHANCE


def test_on_the_wire_busy_rounds_are_not_told_from_idle_ones_and_a_leaky_client_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine delays all uploads alike; the leak is made larger until it is beyond the noise."""
    monkeypatch.setattr(iirs.client.server_connection, "BUILD_AHEAD", LONG_BEFORE)
    with talking(tmp_path, round_seconds=0.06) as (place, alice, bob, tap):
        line = Line(place, alice, bob, tap)
        uploads = line.play(HONEST)
        idle, again = lateness(uploads, "idle"), lateness(uploads, "idle again")
        noise = spread([there - here for here, there in zip(idle, again, strict=True)])
        assert not told_apart(idle, again, noise)
        assert not told_apart(idle, lateness(uploads, "busy"), noise)
        for doubled in range(6):
            uploads = line.play(LEAKING, leak=max(0.005, 3 * noise) * 2**doubled)
            if told_apart(lateness(uploads, "idle"), lateness(uploads, "leaky"), noise):
                return
    raise AssertionError("a client that sends later when it has something to send was not caught")
