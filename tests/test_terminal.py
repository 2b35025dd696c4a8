"""What a terminal says, without a server: events in, lines out."""

from __future__ import annotations

import io
import os
import queue
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from iirs.chain import JoinLink
from iirs.client.account.account import Account
from iirs.client.events import (
    ROUNDS_GO_ON,
    ContactChanged,
    FileAdded,
    GroupChanged,
    GroupState,
    PeerChanged,
    PeerState,
    PeopleChanged,
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
from iirs.standard_streams import CLOSED_PIPE, Outlet
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
    line = "iirs: 1 of the last 100 rounds did not arrive intact"
    assert terminal.lines_after(*closed(RoundFate.TAMPERED)) == [line]
    assert terminal.lines_after(*closed(RoundFate.CLEAN, 150)) == []
    assert terminal.lines_after(*closed(RoundFate.LOST)) == [line]
    assert terminal.streams.output.getvalue() == ""


def test_what_many_of_them_mean_is_told_when_it_becomes_serious(terminal: Terminal) -> None:
    lines = terminal.lines_after(*closed(RoundFate.TAMPERED, 5))
    meaning = [line for line in lines if "somebody on the way drops or changes" in line]
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


ACCOUNT = Account("alice", make_chain().chain, person("alice"), b"")


class LeavesSlowly:
    """A connection that takes three looks to be gone, and lets a test press Ctrl-C meanwhile."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.events: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.ticks_to_leave = 7
        self.looks = 0
        self.account = ACCOUNT
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
    connection = LeavesSlowly(chat._signals.note if meanwhile else lambda: None)
    chat._connection = connection  # type: ignore[assignment]
    if before:
        chat._signals.note()
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


def encoded(encoding: str, columns_of: int | None = None) -> tuple[io.BytesIO, io.TextIOWrapper]:
    """Return an output as ``program`` sets it up, and what is below."""
    written = io.BytesIO()
    outlet = Outlet(written)
    if columns_of is not None:
        outlet.isatty = lambda: True  # type: ignore[method-assign]
        outlet.fileno = lambda: columns_of  # type: ignore[method-assign]
    return written, io.TextIOWrapper(io.BufferedWriter(outlet), encoding, "iirs.plain")


@pytest.mark.parametrize(
    ("encoding", "line"),
    [
        ("latin-1", "bob> Gr\xfc\xdfe ?...".encode("latin-1")),
        ("ascii", b"bob> Gr??e ?..."),
        ("cp1252", "bob> Gr\xfc\xdfe ?…".encode("cp1252")),
        ("utf-8", "bob> Grüße 😀…".encode()),
    ],
)
def test_a_text_that_the_terminals_encoding_has_no_letters_for_ends_nothing(
    terminal: Terminal, encoding: str, line: bytes
) -> None:
    """Fixed: in a Latin-1 terminal one emoji of a peer's ended the program."""
    written, stream = encoded(encoding)
    terminal._chat._streams = Streams(io.StringIO(), stream, stream)
    terminal.lines_after(TextReceived("bob", b"", "Grüße 😀…", 0), named(GROUP, "“→😀"))
    first, second = written.getvalue().splitlines()
    assert first == line
    assert second.startswith(b"iirs: the group #abababab by mallory is called ")


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


@pytest.mark.parametrize("filler", ["…", "x\N{COMBINING ACUTE ACCENT}", "→"])
def test_letters_that_stand_for_others_begin_no_row_either(terminal: Terminal, pty: int, filler: str) -> None:
    """Fixed: a mark of no width is written as "?", so a line was wider than had been counted."""
    written, stream = encoded("ascii", pty)
    terminal._chat._streams = Streams(io.StringIO(), stream, io.StringIO())
    for count in range(20, 90):
        terminal.lines_after(TextReceived("bob", b"", "hi" + filler * count + FAKES[0], 0))
    lines = written.getvalue().decode().splitlines()
    assert max(map(len, lines)) <= 79
    assert all(line.startswith(("bob> ", "     ")) for line in lines)


# -- what is typed ------------------------------------------------------------------------------------------


class Connection:
    """A connection that notes what it is asked for, and has as many events as a test gives it."""

    def __init__(self, *events: object) -> None:
        self.events: queue.SimpleQueue[object] = queue.SimpleQueue()
        for event in events:
            self.events.put(event)
        self.account = ACCOUNT
        self.sent: list[str] = []
        self.ticks_to_leave = 7
        self.has_quit = False
        self.later: list[object] = []

    def start(self) -> None:
        """Nothing to connect."""

    def ask(self, peer: str) -> None:
        """Nobody to ask."""

    def call(self, _: object) -> None:
        """The outbox of earlier runs is not read: nothing is ever done."""

    def act(self, function: Callable[[Any], object]) -> None:
        function(SimpleNamespace(messenger=SimpleNamespace(send=self.send)))

    def send(self, peer: str, text: str) -> None:
        assert peer == "bob"
        self.sent.append(text)

    def quit(self) -> None:
        self.has_quit = True

    def join(self, _: float) -> bool:
        for event in self.later:
            self.events.put(event)
        return True


PEOPLE = PeopleChanged(("alice", "bob", "carol"), ("1" * 60, "12345" * 12, "3" * 60))


def typing(terminal: Terminal, typed: str | bytes, *events: object, encoding: str = "utf-8") -> Connection:
    """Let a person type, after some events."""
    connection = Connection()
    chat = terminal._chat
    chat._connection = connection  # type: ignore[assignment]
    raw = typed if isinstance(typed, bytes) else typed.encode(encoding)
    source = io.TextIOWrapper(io.BytesIO(raw), encoding, "surrogateescape")
    chat._streams = Streams(source, terminal.streams.output, terminal.streams.status)
    terminal.lines_after(*events)
    chat._read_lines()
    chat._send_lines()
    return connection


def said(terminal: Terminal) -> str:
    return terminal.streams.status.getvalue()


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/help", "iirs: /who: who is registered"),
        ("/?", "iirs: /quit"),
        ("/HELP  ", "iirs: what you type goes to bob"),
        ("/who", "iirs: registered on this server: alice, bob, carol"),
        ("/who", "iirs: online now, you included: 3 (clients are told how many, and never who)"),
        ("/status", "iirs: asking bob to talk; both sides have to ask"),
        ("/peer", f"iirs: your safety number, not yet marked as compared: {'12345 ' * 11}12345"),
        ("/status", "iirs: texts not delivered yet: 0"),
        ("/nonsense", "iirs: there is no command /nonsense, and nothing was sent"),
        ("/etc/passwd is a file", "iirs: there is no command /etc/passwd, and nothing was sent"),
        ("/quit smoking", "iirs: /quit takes nothing after it, and nothing was done or sent"),
        ("/", "iirs: there is no command /, and nothing was sent"),
        ("/ me", "iirs: there is no command /, and nothing was sent"),
    ],
)
def test_a_command_is_answered_and_never_sent(terminal: Terminal, line: str, answer: str) -> None:
    """Fixed: the peer got it."""
    opened = RoundOpened(1, 2.0, 3, 5, 2.0)
    connection = typing(terminal, f"{line}\nhello\n", PEOPLE, PeerChanged("bob", PeerState.ASKING), opened)
    assert answer in said(terminal)
    assert connection.sent == ["hello"]


def test_commands_are_answered_before_anything_is_known(terminal: Terminal) -> None:
    connection = typing(terminal, "/who\n/status\n/help\nhello\n")
    assert "who is registered is not known" in said(terminal)
    assert "iirs: not connected yet\n" in said(terminal)
    assert connection.sent == []
    assert terminal._chat._waiting() == 1


def test_a_peer_whose_number_was_compared_is_said_to_be(terminal: Terminal) -> None:
    contact = ContactChanged("bob", "12345" * 12, verified=True, blocked="Nothing is sent.")
    typing(terminal, "/status\n", PEOPLE, contact, ContactChanged("carol", "3", verified=False))
    assert "your safety number, marked as compared: 12345" in said(terminal)
    assert "iirs: Nothing is sent." in said(terminal)
    other = Terminal()
    typing(other, "/status\n", PeopleChanged(("alice",)))
    assert "iirs: bob is not registered yet\niirs: texts" in said(other)


@pytest.mark.parametrize(
    ("line", "sent"), [("//help", "/help"), ("///", "//"), ("//etc/hosts", "/etc/hosts"), (" /who", " /who")]
)
def test_two_slashes_send_one(terminal: Terminal, line: str, sent: str) -> None:
    assert typing(terminal, line + "\n", PEOPLE).sent == [sent]
    assert "command" not in said(terminal)


@pytest.mark.parametrize("quitting", ["/quit", "/exit", "/Quit "])
def test_quitting_is_like_the_end_of_the_input(terminal: Terminal, quitting: str) -> None:
    connection = typing(terminal, f"hello\n{quitting}\nnot any more\n", PEOPLE)
    assert connection.sent == ["hello"]
    assert terminal._chat._input_over
    assert not terminal._chat._is_done(), "hello has not been delivered"


@pytest.mark.parametrize(
    ("typed", "encoding", "sent"),
    [
        ("Grüße\n".encode(), "ascii", ["Grüße"]),
        ("Grüße\n".encode(), "utf-8", ["Grüße"]),
        ("Grüße\n".encode("latin-1"), "latin-1", ["Grüße"]),
        ("Grüße Á\n".encode(), "cp1252", ["Grüße Á"]),
        ("ok\nGrüße\n".encode("latin-1"), "utf-8", ["ok"]),
        ("Grüße\nok\n".encode("latin-1"), "ascii", ["ok"]),
    ],
)
def test_a_line_is_sent_as_it_was_typed_or_not_at_all(
    terminal: Terminal, typed: bytes, encoding: str, sent: list[str]
) -> None:
    """Fixed: what the locale could not decode was sent as replacement characters."""
    assert typing(terminal, typed, PEOPLE, encoding=encoding).sent == sent
    refused = b"ok" in typed
    assert ("it is neither" in said(terminal)) is refused
    assert terminal._chat._code() == (1 if refused else 0)


def test_a_stream_that_is_closed_ends_the_input(terminal: Terminal) -> None:
    source = io.StringIO("hello\n")
    source.close()
    terminal._chat._streams = Streams(source, io.StringIO(), io.StringIO())
    terminal._chat._read_lines()
    assert terminal._chat._lines.get_nowait() is None


# -- outputs that are gone ----------------------------------------------------------------------------------


class Pipe:
    """The writing end of a pipe, as ``program`` sets it up, and its reader, who can go."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self._raw = os.fdopen(writer, "wb", buffering=0)
        self.stream = io.TextIOWrapper(io.BufferedWriter(Outlet(self._raw)), "utf-8")

    def read(self) -> str:
        return os.read(self.reader, 10_000).decode()

    def close_reader(self) -> None:
        os.close(self.reader)


def chat_until_gone(terminal: Terminal, status: object, *events: object, later: object = None) -> int:
    connection = Connection(*events)
    connection.later = [later] if later is not None else []
    chat = terminal._chat
    chat._connection = connection  # type: ignore[assignment]
    pipe = Pipe()
    chat._streams = Streams(io.StringIO(), pipe.stream, status or terminal.streams.status)  # type: ignore[arg-type]
    pipe.close_reader()
    code = chat._chat()
    assert connection.has_quit, "it left as everybody leaves"
    return code


def test_when_the_reader_goes_away_it_leaves_as_everybody_does(terminal: Terminal) -> None:
    """Fixed: a broken pipe ended the program in the middle, with a traceback."""
    missing = PeopleChanged(("alice",))
    text = TextReceived("bob", b"", "hello", 0)
    terminal._chat._linger = 1e9
    assert chat_until_gone(terminal, None, missing, text, later=text) == CLOSED_PIPE
    lines = said(terminal)
    assert "nobody reads the output any more: texts that arrive are kept in the history" in lines
    assert "texts received and not shown: 2; the history has them" in lines


def test_when_nobody_is_left_to_tell_it_waits_for_nothing(terminal: Terminal) -> None:
    status = Pipe()
    status.close_reader()
    terminal._chat._typed.append("not delivered")
    assert chat_until_gone(terminal, status.stream) == CLOSED_PIPE


def test_as_long_as_somebody_reads_all_is_as_ever(terminal: Terminal) -> None:
    pipe = Pipe()
    chat = terminal._chat
    chat._streams = Streams(io.StringIO(), pipe.stream, io.StringIO())
    terminal.lines_after(TextReceived("bob", b"", "hello", 0))
    assert pipe.read() == "bob> hello\n"
    assert not chat._has_nobody_to_tell()
    assert (chat._input_over, chat._unshown, chat._code()) == (False, 0, 0)


def test_an_output_that_was_closed_from_the_start_is_said_to_show_nothing(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = terminal._chat
    outlet = Outlet(io.BytesIO(), was_closed=True)
    closed_output = io.TextIOWrapper(io.BufferedWriter(outlet), "utf-8")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(chat, "_chat", lambda: 0)
    chat._streams = Streams(io.StringIO(), closed_output, terminal.streams.status)
    assert chat.run() == 0
    assert said(terminal).startswith("iirs: the output is closed: texts that arrive are kept in the history")
