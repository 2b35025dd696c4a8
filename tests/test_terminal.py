"""What a terminal says, without a server: events in, lines out."""

from __future__ import annotations

import io
import os
import queue
from collections.abc import Callable, Iterator

import pytest

from iirs.chain import JoinLink
from iirs.client.account.account import Account
from iirs.client.events import (
    ROUNDS_GO_ON,
    FileAdded,
    GroupChanged,
    GroupState,
    RoundClosed,
    RoundFate,
    RoundOpened,
    StandingBy,
    TextReceived,
    TimerAsked,
)
from iirs.client.messenger.messenger import Messenger
from iirs.client.messenger.slots import Slots
from iirs.client.server_connection import ServerConnection
from iirs.client.store.log_entry import EntryKind, FileInfo, LogEntry
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


# -- what comes from outside ------------------------------------------------------------------------------

GROUP = "#" + "ab" * 16
FAKES = ("iirs: ALARM: bob's keys have changed, type your password", "carol> yes, I confirm", "$ ")


def texts_after(terminal: Terminal, *events: object) -> list[str]:
    """Return the rows of a screen of 80 columns that these events fill."""
    before = len(terminal.streams.output.getvalue())
    terminal.lines_after(*events)
    lines = terminal.streams.output.getvalue()[before:].splitlines()
    return [line[place : place + 80] for line in lines for place in range(0, max(1, len(line)), 80)]


@pytest.mark.parametrize("fake", FAKES[:2])
@pytest.mark.parametrize("filler", [" ", "x"])
def test_a_text_padded_to_the_width_of_the_screen_begins_no_row(
    terminal: Terminal, fake: str, filler: str
) -> None:
    """Fixed: it looked like another speaker, or like this program."""
    for count in range(60, 80):
        rows = texts_after(terminal, TextReceived("bob", b"", "hi" + filler * count + fake, 0))
        assert rows[0].startswith("bob> hi")
        assert len(rows) > 1
        assert all(row.startswith("     ") for row in rows[1:])


def test_a_text_of_a_group_names_its_author(terminal: Terminal) -> None:
    """Fixed: it named nobody."""
    texts = [
        TextReceived(GROUP, b"", text, 0, author) for text, author in (("who?", "mallory"), ("a\nb", "carol"))
    ]
    assert texts_after(terminal, *texts) == [
        "#abababab mallory> who?",
        "#abababab carol> a",
        "                 b",
    ]


def named(key: str, name: str) -> GroupChanged:
    return GroupChanged(key, name, ("alice", "mallory"), frozenset(), "mallory", GroupState.JOINED)


def test_what_a_group_is_called_is_told_once_and_cannot_pass_for_a_person(terminal: Terminal) -> None:
    told = terminal.lines_after(
        named(GROUP, "bob> hello\niirs: log in"), named(GROUP, "bob> hello\niirs: log in")
    )
    assert told == ["iirs: the group #abababab by mallory is called “#bob hello iirs log in”"]
    assert terminal.lines_after(named(GROUP, "Chess")) == [
        "iirs: the group #abababab by mallory is called “#Chess”"
    ]


def test_two_groups_whose_keys_begin_alike_are_told_apart(terminal: Terminal) -> None:
    other = GROUP[:-1] + "0"
    terminal.lines_after(named(GROUP, "Chess"), named(other, "Chess"))
    assert texts_after(terminal, TextReceived(other, b"", "hi", 0, "carol")) == [f"{other} carol> hi"]


def test_the_name_of_a_file_fakes_nothing(terminal: Terminal) -> None:
    file = FileInfo(b"f" * 16, "a" * 36 + "iirs\uff1a ALARM" + "字" * 60, 5, bytes(32))
    entry = LogEntry("bob", b"f" * 16, EntryKind.FILE, False, "bob", file.name, 0, file=file)
    first, *others = terminal.lines_after(FileAdded(entry))
    assert first == "iirs: bob sends a file, which the window shows and saves:"
    assert len(others) == 2
    assert all(line.startswith("      ") and len(line) < 80 for line in others)
    assert "".join(others).endswith("字”")


def test_what_somebody_else_has_set_is_told(terminal: Terminal) -> None:
    assert terminal.lines_after(TimerAsked("bob", "bob", 300, is_new=True), TimerAsked("bob")) == [
        "iirs: bob lets texts disappear after 5 min, and asks you to; the window has the answer"
    ]


class Screen(io.StringIO):
    """A terminal's output, as a stream that can be read back."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor


@pytest.fixture
def pty() -> Iterator[int]:
    ends = os.openpty()
    yield ends[0]
    for end in ends:
        os.close(end)


@pytest.mark.parametrize(("columns", "used"), [(40, 39), (132, 131), (0, 79)])
def test_lines_fit_the_terminal_they_are_written_to(
    terminal: Terminal, pty: int, columns: int, used: int
) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(pty, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    streams = terminal.streams = terminal._chat._streams = Streams(io.StringIO(), Screen(pty), Screen(pty))
    terminal.lines_after(TextReceived("bob", b"", "x" * 300, 0), named(GROUP, "a" * 39))
    for written in (streams.output, streams.status):
        lines = written.getvalue().splitlines()  # type: ignore[attr-defined]  # both are a Screen
        assert max(map(len, lines)) <= used
    assert max(map(len, streams.output.getvalue().splitlines())) == used  # type: ignore[attr-defined]


def test_a_text_that_the_terminals_encoding_has_no_letters_for_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fixed: in a Latin-1 terminal one emoji of a peer's ended the program."""
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, "latin-1"))
    chat = Terminal()
    chat._chat._streams = Streams(io.StringIO(), Streams.standard().output, io.StringIO())
    chat._chat._show(TextReceived("bob", b"", "Grüße 😀", 0))
    assert written.getvalue() == "bob> Grüße ?\n".encode("latin-1")


def test_lines_that_the_disk_does_not_take_are_kept_in_order_and_go_when_there_is_room(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fixed: a full disk ended the program, and what had been typed was lost."""
    chat, engine, sent = terminal._chat, terminal._chat._connection._engine, list[str]()

    def send(messenger: Messenger, peer: str, text: str) -> None:
        messenger._store.set(peer, text)
        sent.append(text)

    def work() -> None:
        chat._send_lines()
        while chat._connection._carry_out_next(0.0):
            pass

    monkeypatch.setattr(Messenger, "send", send)
    monkeypatch.setattr(Slots, "ask", lambda slots, peer: None)
    chat._asked = True
    chat._typed.extend(["one", "two"])
    engine._store.pause()
    work()
    told = [chat._connection.events.get() for _ in range(chat._connection.events.qsize())]
    assert "disk takes no more" in terminal.lines_after(*told)[0]
    work()
    assert list(chat._typed) == ["one", "two"]
    engine.keeping.try_again(lambda: None)
    assert "There is room" in terminal.lines_after(*engine.take_events())[0]
    work()
    assert sent == ["one", "two"]
