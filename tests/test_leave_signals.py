"""SIGTERM and SIGHUP have a client leave as everybody does: one that was gone at once could be told apart."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iirs.client.leave_signals import INTERRUPTED, LeaveSignals
from iirs.client.window.application import _until_closed
from iirs.server.stop_signal import StopSignal
from tests.test_programs import client, server
from tests.test_terminal import LeavesSlowly, Terminal

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def usual_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def listening() -> LeaveSignals:
    signals = LeaveSignals()
    signals.listen()
    return signals


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_noted_and_ends_nothing_by_itself(number: int) -> None:
    signals = listening()
    assert signals.take() == 0
    send(number)
    assert (signals.take(), signals.take()) == (128 + number, 0)


def test_ctrl_c_that_nobody_sees_to_is_raised_and_a_second_sigterm_is_not() -> None:
    signals = listening()
    send(signal.SIGTERM)
    send(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)
    assert signals.take() == signals.take() == 128 + signal.SIGTERM


def test_who_asked_that_a_closed_terminal_is_ignored_is_heard() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    listening()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.parametrize(
    ("number", "meanwhile", "code", "looks"),
    [
        (signal.SIGTERM, signal.SIGTERM, 143, 3),
        (signal.SIGHUP, signal.SIGHUP, 129, 3),
        (signal.SIGHUP, signal.SIGINT, 130, 1),
    ],
)
def test_a_terminal_that_leaves_is_hurried_by_ctrl_c_alone(
    number: int, meanwhile: int, code: int, looks: int
) -> None:
    chat = Terminal()._chat
    connection = LeavesSlowly(lambda: chat._signals.note(meanwhile))
    chat._connection = connection  # type: ignore[assignment]
    chat._signals.note(number)
    assert chat._leave(0) == code
    assert connection.looks == looks


def test_sigterm_has_a_terminal_leave_as_everybody_does(tmp_path: Path) -> None:
    with server("--ephemeral", "--round-seconds", "0.3") as (_, link):
        alice = client(link, tmp_path, "alice", peer="bob", action="--register")
        assert alice.stderr is not None
        assert any("bob is not registered yet" in line for line in alice.stderr)
        alice.send_signal(signal.SIGTERM)
        _, status = alice.communicate(timeout=170)
    assert "leaving: everybody who leaves stays for up to 7 more rounds" in status
    assert alice.returncode == 143


@pytest.mark.parametrize("number", NUMBERS)
def test_a_server_waits_for_all_of_them(number: int) -> None:
    stop = StopSignal()
    assert not stop.wait(0)
    send(number)
    assert stop.wait(0)


def test_a_server_that_was_asked_to_outlive_its_terminal_does() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopSignal()
    send(signal.SIGHUP)
    assert not stop.wait(0)


class Root:
    """Stands for Tk: its main loop does what was asked for later, one by one."""

    def __init__(self, *between: Callable[[], None]) -> None:
        self._later: list[Callable[[], None]] = []
        self._between = list(between)

    def after(self, _: int, function: Callable[[], None]) -> None:
        self._later.append(function)

    def mainloop(self) -> None:
        while self._later:
            if self._between:
                self._between.pop(0)()
            self._later.pop(0)()


@pytest.mark.parametrize(
    ("sent", "code", "closes"),
    [
        ((), 0, 0),
        ((signal.SIGTERM,), 143, 1),
        ((signal.SIGHUP, signal.SIGHUP), 129, 1),
        ((signal.SIGINT, signal.SIGINT), INTERRUPTED, 2),
    ],
)
def test_a_signal_closes_a_window_as_a_person_does(sent: tuple[int, ...], code: int, closes: int) -> None:
    closed: list[None] = []
    window: Any = SimpleNamespace(is_open=True, close=lambda: closed.append(None))

    def end() -> None:
        window.is_open = False

    root: Any = Root(*(lambda number=number: send(number) for number in sent), end)
    assert _until_closed(root, window) == code
    assert len(closed) == closes
