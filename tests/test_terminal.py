"""What a terminal says, without a server: events in, lines out."""

from __future__ import annotations

import io
import queue
from collections.abc import Callable

import pytest

from iirs.chain import JoinLink
from iirs.client.account.account import Account
from iirs.client.events import ROUNDS_GO_ON, RoundClosed, RoundFate, RoundOpened, StandingBy
from iirs.client.server_connection import ServerConnection
from iirs.client.store.store import ClientStore
from iirs.client.terminal import Streams, TerminalChat
from tests.builders import make_chain, person

CHAIN = make_chain().chain


class Terminal:
    """A session that is never connected: a test tells it what happens."""

    def __init__(self) -> None:
        account = Account("alice", CHAIN, person("alice"), bytes(32))
        connection = ServerConnection(JoinLink("127.0.0.1", 1), account, ClientStore(":memory:", bytes(32)))
        self.streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
        self._chat = TerminalChat(connection, "bob", self.streams, 0.0)

    def lines_after(self, *events: object) -> list[str]:
        """Return what is said on the status stream about these events."""
        before = len(self.streams.status.getvalue())
        for event in events:
            assert self._chat._handle(event, queue.SimpleQueue())
        return self.streams.status.getvalue()[before:].splitlines()


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def closed(fate: RoundFate, rounds: int = 1) -> list[RoundClosed]:
    return [RoundClosed(number, fate) for number in range(rounds)]


def test_a_round_that_was_tampered_with_is_told_once_and_clean_ones_never(terminal: Terminal) -> None:
    assert terminal.lines_after(*closed(RoundFate.CLEAN, 99)) == []
    line = "iirs: 1 of the last 100 rounds was tampered with or lost"
    assert terminal.lines_after(*closed(RoundFate.TAMPERED)) == [line]
    assert terminal.lines_after(*closed(RoundFate.CLEAN, 150)) == []
    assert terminal.lines_after(*closed(RoundFate.LOST)) == [line]
    assert terminal.streams.output.getvalue() == ""


def test_what_many_of_them_mean_is_told_when_it_becomes_serious(terminal: Terminal) -> None:
    lines = terminal.lines_after(*closed(RoundFate.TAMPERED, 5))
    meaning = [line for line in lines if "Somebody between you and your peers" in line]
    assert len(meaning) == 1
    assert lines.index(meaning[0]) == 3
    assert len(lines) == 6


def test_a_pause_is_told_once_and_its_end_once(terminal: Terminal) -> None:
    opened = RoundOpened(1, 2.0, 3, 5, 2.0)
    for hop, which in ((1, " (the 2nd of 3)"), (None, "")):
        pause = StandingBy(hop, 3)
        sentence = (
            f"A server of the chain is not answering{which}. Rounds pause until it is back; nothing is lost."
        )
        assert terminal.lines_after(opened, opened) == []
        assert terminal.lines_after(*[pause] * 5) == [f"iirs: {sentence}"]
        assert terminal.lines_after(opened) == [f"iirs: {ROUNDS_GO_ON}"]


class LeavesSlowly:
    """A connection that takes three looks to be gone, and lets a test press Ctrl-C meanwhile."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.events: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.looks = 0
        self._meanwhile = meanwhile

    def quit(self) -> None:
        """Nothing to hang up."""

    def join(self, _: float) -> bool:
        self.looks += 1
        self._meanwhile()
        return self.looks == 3


@pytest.mark.parametrize(("before", "meanwhile", "looks"), [(True, False, 3), (False, True, 1)])
def test_ctrl_c_means_at_once_only_when_that_has_been_said(
    terminal: Terminal, *, before: bool, meanwhile: bool, looks: int
) -> None:
    chat = terminal._chat
    connection = LeavesSlowly(chat._note_interrupt if meanwhile else lambda: None)
    chat._connection = connection  # type: ignore[assignment]
    if before:
        chat._note_interrupt()
    assert chat._leave(0) == 130
    assert connection.looks == looks


def test_leaving_without_ctrl_c_keeps_the_exit_code(terminal: Terminal) -> None:
    terminal._chat._connection = LeavesSlowly(lambda: None)  # type: ignore[assignment]
    assert terminal._chat._leave(0) == 0
