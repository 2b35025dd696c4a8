"""The ration of setups: three at once, and one in 15/16 of an epoch, whatever crashes and clocks do."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iirs.server.hops.hop_state import HopState
from iirs.server.ration import (
    SETUPS_AT_ONCE,
    Ration,
    left_at_start,
    setup_seconds,
)
from tests.builders import make_chain
from tests.effort import examples

SECONDS = 18.75
CHAIN_ID = bytes(32)


class Machine:
    """A later hop's machine and what is on its disk: its clocks go, it crashes, its wall clock is set."""

    at_start = staticmethod(left_at_start)

    def __init__(self, folder: Path | None = None, wall: float = 1e9) -> None:
        self.uptime = 0.0
        self.wall = wall
        self.setups: list[float] = []
        """When there was a setup, in seconds that truly passed."""
        self._passed = 0.0
        self._folder = folder
        self._state = HopState(folder, CHAIN_ID)
        self.start()

    def start(self) -> None:
        """Start the program, on a machine that may have been off for no time at all."""
        if self._folder is not None:
            self._state = HopState(self._folder, CHAIN_ID)
        kept = self._state.setups
        left = self.at_start(kept.left, kept.stored_at, self.wall, SECONDS)
        self.ration = Ration(SECONDS, lambda: self.uptime, left)

    def wait(self, seconds: float) -> None:
        self.uptime += seconds
        self.wall += seconds
        self._passed += seconds

    def set_clock(self, by: float) -> None:
        self.wall += by

    def set_up(self) -> bool:
        """Ask for a setup, as a hop's batch does; say whether there is one."""
        if not self.ration.allows():
            return False
        self._state.note_setup(len(self.setups), self.ration.after_one, self.wall)
        self.ration.take()
        self.setups.append(self._passed)
        return True

    def check(self, extra: int = 0) -> None:
        """No span of time holds more setups than three and one in so many seconds, and ``extra``."""
        for first, begin in enumerate(self.setups):
            for last in range(first, len(self.setups)):
                most = SETUPS_AT_ONCE + (self.setups[last] - begin) / SECONDS + extra
                assert last - first + 1 <= most + 1e-6, (self.setups, first, last)


def greedy(machine: Machine, seconds: float) -> int:
    """Ask as often as anybody could; return how many setups that gave."""
    before = len(machine.setups)
    for _ in range(int(seconds * 4)):
        machine.set_up()
        machine.wait(0.25)
    return len(machine.setups) - before


def test_there_are_three_at_once_and_then_one_in_fifteen_sixteenths_of_an_epochs_time() -> None:
    assert setup_seconds(make_chain(2, epoch_rounds=10, round_ms=2000).chain) == SECONDS
    machine = Machine()
    assert [machine.set_up() for _ in range(4)] == [True, True, True, False]
    for _ in range(3):
        machine.wait(SECONDS - 0.01)
        assert not machine.set_up()
        machine.wait(0.01)
        assert machine.set_up()
    machine.wait(1e6)
    assert [machine.set_up() for _ in range(4)] == [True, True, True, False]
    machine.check()


def test_epochs_at_their_usual_pace_never_wait() -> None:
    machine = Machine()
    for _ in range(1000):
        assert machine.set_up()
        machine.wait(20.0)
    assert machine.ration.left() == SETUPS_AT_ONCE


def test_one_that_is_due_soon_can_be_asked_for_ahead_and_not_be_had_before() -> None:
    machine = Machine()
    for _ in range(3):
        machine.set_up()
    machine.wait(SECONDS - 1)
    assert machine.ration.allows(ahead=1.0)
    assert not machine.ration.allows(ahead=0.9)
    assert not machine.set_up()
    machine.wait(1)
    assert machine.set_up()


@pytest.mark.parametrize("pause", [0.1, SECONDS / 10, SECONDS * 0.7])
def test_a_crash_loop_gives_no_more_than_running_through(tmp_path: Path, pause: float) -> None:
    machine = Machine(tmp_path)
    while machine.uptime < 20 * SECONDS:
        machine.set_up()
        machine.wait(pause)
        machine.start()
    machine.check()
    assert len(machine.setups) >= 20 - 20 * pause / SECONDS


def test_a_ration_that_was_not_on_disk_would_give_a_crash_loop_all_it_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HopState, "note_setup", lambda *values: None)
    machine = Machine(tmp_path)
    for _ in range(50):
        assert machine.set_up()
        machine.start()
    with pytest.raises(AssertionError):
        machine.check()


@pytest.mark.parametrize("by", [1e-3, SECONDS, 3600.0, 1e9])
def test_a_clock_set_forward_gives_one_more_at_a_start_and_none_while_it_runs(
    tmp_path: Path, by: float
) -> None:
    machine = Machine(tmp_path)
    for _ in range(3):
        machine.set_up()
    machine.set_clock(by)
    assert not machine.set_up(), "a program that runs does not look at the wall clock"
    machine.start()
    assert machine.set_up() is (by >= SECONDS)
    assert not machine.set_up()
    machine.check(extra=1)


@pytest.mark.parametrize("by", [1.0, 3600.0, 9e8, 1e9])
def test_a_clock_set_back_stops_setups_for_one_time_at_most(tmp_path: Path, by: float) -> None:
    machine = Machine(tmp_path)
    for _ in range(3):
        machine.set_up()
    machine.set_clock(-by)
    machine.start()
    assert not machine.set_up()
    machine.wait(SECONDS)
    assert machine.set_up()
    machine.check()


def a_clock_set_forward_again_and_again(machine: Machine) -> None:
    for _ in range(5):
        machine.set_clock(1e6)
        machine.start()
        while machine.set_up():
            pass
    machine.check(extra=5)


def test_a_start_that_took_the_clocks_word_would_be_seen() -> None:
    class Credulous(Machine):
        @staticmethod
        def at_start(left: float, stored_at: float, now: float, seconds: float) -> float:
            return min(SETUPS_AT_ONCE, left + (now - stored_at) / seconds)

    a_clock_set_forward_again_and_again(Machine())
    with pytest.raises(AssertionError):
        a_clock_set_forward_again_and_again(Credulous())


def test_what_is_left_is_never_less_than_none_and_a_hop_starts_with_it(tmp_path: Path) -> None:
    """Fixed: a setup that was due to the last billionth left less than none, and no start took that."""
    machine = Machine(tmp_path)
    for _ in range(3):
        machine.set_up()
    machine.wait(math.nextafter(SECONDS, 0.0))
    assert machine.ration.left() < 1
    assert machine.set_up()
    machine.start()
    assert machine.ration.left() == 0.0


events = st.lists(
    st.one_of(
        st.tuples(st.just("set up"), st.just(0.0)),
        st.tuples(st.just("wait"), st.floats(0, 3 * SECONDS)),
        st.tuples(st.just("start"), st.just(0.0)),
    ),
    max_size=60,
)


@settings(max_examples=examples(100))
@given(events)
def test_in_no_time_are_there_more_than_three_and_one_in_so_many_seconds(
    happenings: list[tuple[str, float]],
) -> None:
    machine = Machine()
    for what, seconds in happenings:
        match what:
            case "wait":
                machine.wait(seconds)
            case "start":
                machine.start()
            case _:
                machine.set_up()
    machine.check()


@settings(max_examples=examples(100))
@given(events, st.lists(st.floats(-1e8, 1e8), max_size=8))
def test_each_time_that_the_clock_is_set_and_the_hop_started_gives_one_more_at_most(
    happenings: list[tuple[str, float]], steps: list[float]
) -> None:
    machine = Machine()
    left = list(steps)
    for what, seconds in happenings:
        if what == "wait":
            machine.wait(seconds)
        elif what == "start":
            if left:
                machine.set_clock(left.pop())
            machine.start()
        else:
            machine.set_up()
    machine.check(extra=len(steps) - len(left))


def test_asking_all_the_time_is_served_as_often_as_it_may_be() -> None:
    machine = Machine()
    assert greedy(machine, 20 * SECONDS) in (22, 23)
    machine.check()
