"""The client in a terminal: for scripts, for screen readers, and where there is no window.

Texts go to standard output as ``PEER> text``, those of a group as ``#KEY AUTHOR> text``; everything else goes
to standard error. What comes from outside never begins a line (``iirs.client.text.columns``).
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TextIO

from iirs.client.engine import Engine
from iirs.client.events import (
    ROUNDS_GO_ON,
    ConnectionChanged,
    ConnectionState,
    Event,
    FileAdded,
    GroupChanged,
    GroupState,
    KeepingChanged,
    Notice,
    PeerAsks,
    PeerChanged,
    PeerState,
    PeopleChanged,
    RoundClosed,
    RoundFate,
    RoundOpened,
    StandingBy,
    TextChanged,
    TextQueued,
    TextReceived,
    TimerAsked,
)
from iirs.client.leave_signals import INTERRUPTED, LeaveSignals
from iirs.client.messenger.limits import check_text
from iirs.client.model.round_health import RoundHealth
from iirs.client.server_connection import ServerConnection
from iirs.client.store.encrypted_file import StoreFullError
from iirs.client.store.log_entry import GROUP_MARK, ItemKind, TextState
from iirs.client.terminal_commands import HELP, STATE_SENTENCES, Command, Standing, read_line
from iirs.client.text.columns import USUAL_COLUMNS, marked
from iirs.client.text.display import cut_middle, one_line
from iirs.client.text.group_title import group_title, short_key
from iirs.client.text.text_layout import duration
from iirs.errors import AccountError
from iirs.standard_streams import CLOSED_PIPE, as_written, is_gone, outlet_of, why_gone

ESTABLISHED = "Connection established successfully"

_MARK = "iirs: "
"""What all begins with that is no text: no name has a colon."""
_SENTENCE_MAX = 1_000
_NAME_SHOWN = 60
_NOT_SHOWN = "texts that arrive are kept in the history, and not shown"


@dataclass(frozen=True, slots=True)
class Streams:
    """Where a terminal session reads and writes."""

    input: TextIO
    output: TextIO
    status: TextIO

    @classmethod
    def standard(cls) -> Streams:
        """Return this process's own, as ``iirs.standard_streams`` has set them up."""
        return cls(sys.stdin, sys.stdout, sys.stderr)

    def ask(self, question: str) -> str:
        """Ask on the status stream and return the answer, empty at the end of input."""
        print(question, end="", file=self.status, flush=True)
        return self.input.readline()


class TerminalChat:
    """One conversation in a terminal. ``run`` blocks until it is over."""

    def __init__(self, connection: ServerConnection, peer: str, streams: Streams, linger: float) -> None:
        self._connection = connection
        self._peer = peer
        self._streams = streams
        self._linger = linger
        self._signals = LeaveSignals()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._pending: set[bytes] | None = None
        """Ids of texts not delivered yet; ``None`` until the outbox of earlier runs has been read."""
        self._typed: deque[str] = deque()
        """Lines that wait until the peer is known."""
        self._unqueued = 0
        self._asked = False
        self._missing = False
        self._told = False
        self._state = PeerState.IDLE
        self._health = RoundHealth()
        self._paused = False
        self._is_full = False
        self._sent_back: queue.SimpleQueue[str] = queue.SimpleQueue()
        """Lines that the disk did not take: they go when it does."""
        self._input_over = False
        self._groups: dict[str, str] = {}
        """Titles of the groups we are in by their keys, as they were told."""
        self._standing = Standing(peer)
        self._refused = 0
        """Lines that were neither sent nor obeyed."""
        self._unshown = 0
        """Texts that came when nobody read the output any more."""
        self._is_gone = False

    def run(self) -> int:
        """Chat until the input ends and all is delivered. Returns 0, 1 if cut off, 130 on Ctrl-C.

        1 too if a line of a script was refused, 141 if somebody stopped reading the output, and 128 and its
        number after another signal. From the main thread.
        """
        self._signals.listen()
        outlet = outlet_of(self._streams.output)
        if outlet is not None and outlet.was_closed:
            self._say(f"the output is closed: {_NOT_SHOWN}")
        threading.Thread(target=self._read_lines, name="iirs-input", daemon=True).start()
        return self._chat()

    def _chat(self) -> int:
        outboxes: queue.SimpleQueue[set[bytes]] = queue.SimpleQueue()
        self._connection.start()
        done_since: float | None = None
        while not (signalled := self._signals.take()):
            try:
                if not self._handle(self._connection.events.get(timeout=0.1), outboxes):
                    return 1
            except queue.Empty:
                pass
            self._send_lines()
            if self._has_nobody_to_tell():
                return self._leave(CLOSED_PIPE)
            if self._pending is None and not outboxes.empty():
                self._pending = outboxes.get()
            if not self._is_done():
                done_since = None
                self._say_what_is_left()
            elif done_since is None:
                done_since = time.monotonic()
            elif self._is_gone or time.monotonic() - done_since >= self._linger:
                return self._leave(self._code())
        return self._leave(signalled)

    def _has_nobody_to_tell(self) -> bool:
        """Take the input as over once nobody reads the output; say whether nobody reads anything any more."""
        if not self._is_gone and is_gone(self._streams.output):
            self._is_gone = self._input_over = True
            why = why_gone(self._streams.output) or "nobody reads the output any more"
            self._say(f"{why}: {_NOT_SHOWN}")
        return self._is_gone and is_gone(self._streams.status)

    def _code(self) -> int:
        if self._is_gone:
            return 1 if why_gone(self._streams.output) else CLOSED_PIPE
        return 1 if self._refused and not self._streams.input.isatty() else 0

    def _is_done(self) -> bool:
        if not self._input_over or self._typed or self._unqueued:
            return False
        if not self._asked:
            return self._missing  # nothing was typed, and there cannot be anything from before
        return self._pending is not None and not self._pending

    def _say_what_is_left(self) -> None:
        waiting = self._waiting()
        if self._input_over and waiting and not self._told:
            self._told = True
            self._say(f"texts not delivered yet: {waiting}; waiting for {self._peer} (Ctrl-C gives up)")

    def _leave(self, code: int) -> int:
        code = self._signals.take() or code  # before anybody was told that Ctrl-C means at once
        ticks = self._connection.ticks_to_leave
        self._say(f"leaving: everybody who leaves stays for up to {ticks} more rounds (Ctrl-C: at once)")
        self._connection.quit()
        while not self._connection.join(0.1):
            if self._signals.take() == INTERRUPTED:
                return INTERRUPTED
            self._drain()
        self._drain()
        if self._unshown:
            self._say(f"texts received and not shown: {self._unshown}; the history has them")
        return code

    def _drain(self) -> None:
        while not self._connection.events.empty():
            event = self._connection.events.get()
            if isinstance(event, TextReceived):
                self._show(event)

    def _read_lines(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # of a stream that is gone, or closed
            for line in self._streams.input:
                self._lines.put(line.rstrip("\r\n"))
        self._lines.put(None)

    def _send_lines(self) -> None:
        while not self._lines.empty() and not self._input_over:
            line = self._lines.get()
            if line is None:
                self._input_over = True
            else:
                self._take_line(line)
        sent_back = [self._sent_back.get() for _ in range(self._sent_back.qsize())]
        self._unqueued -= len(sent_back)
        self._typed.extendleft(reversed(sent_back))
        while self._asked and self._typed and not self._is_full:
            line = self._typed.popleft()
            if line or not self._streams.input.isatty():  # Enter alone is no text for a person
                self._unqueued += 1
                self._connection.act(partial(self._send, line))
                if self._state in {PeerState.ENDED, PeerState.IDLE}:
                    self._connection.ask(self._peer)

    def _send(self, line: str, engine: Engine) -> None:
        try:
            engine.messenger.send(self._peer, line)
        except StoreFullError:
            self._sent_back.put(line)
            raise

    def _take_line(self, line: str) -> None:
        try:
            typed = read_line(line, self._streams.input.encoding or "utf-8")
            if isinstance(typed, str):
                check_text(self._peer, typed)
        except AccountError as error:
            self._refused += 1
            self._say(str(error))
            return
        match typed:
            case Command.QUIT:
                self._input_over = True
            case Command.HELP:
                for sentence in HELP:
                    self._say(sentence.format(peer=self._peer))
            case Command.WHO:
                for sentence in self._standing.who():
                    self._quote(sentence)
            case Command.STATUS:
                for sentence in self._standing.status():
                    self._say(sentence)
                self._say(f"texts not delivered yet: {self._waiting()}")
            case _:
                self._typed.append(typed)

    def _waiting(self) -> int:
        return len(self._typed) + self._unqueued + len(self._pending or ())

    def _handle(self, event: Event, outboxes: queue.SimpleQueue[set[bytes]]) -> bool:
        self._standing.take(event)
        match event:
            case ConnectionChanged(state, sentence):
                self._say(": ".join(part for part in (state.value, sentence) if part))
                return state is not ConnectionState.CLOSED
            case PeopleChanged(names) if not self._asked:
                self._ask_when_known(names, outboxes)
            case PeerChanged(peer, state, established) if peer == self._peer:
                self._peer_changed(state, established=established)
            case RoundOpened() | RoundClosed() | StandingBy() | KeepingChanged():
                self._take_round(event)
            case PeerAsks() | FileAdded() | TimerAsked() | GroupChanged():
                self._tell(event)
            case TextQueued(_, text_id):
                self._unqueued = max(0, self._unqueued - 1)
                self._pending = (self._pending or set()) | {text_id}
            case TextChanged(_, text_id, TextState.DELIVERED) if self._pending is not None:
                self._pending.discard(text_id)
            case TextReceived():
                self._show(event)
            case Notice(sentence, alarm):
                self._unqueued = max(0, self._unqueued - 1)
                self._say(f"{'ALARM: ' if alarm else ''}{sentence}")
        return True

    def _tell(self, event: PeerAsks | FileAdded | TimerAsked | GroupChanged) -> None:
        match event:
            case PeerAsks(peer, True):
                self._say(f"{peer} asks to talk to you")
            case FileAdded(entry) if not entry.outgoing:
                name = cut_middle(one_line(entry.text), _NAME_SHOWN)
                self._quote(f"{entry.author} sends a file, which the window shows and saves: “{name}”")
            case TimerAsked(talk, author, seconds) if author:
                where = f" in the group {self._short(talk)}" if talk.startswith(GROUP_MARK) else ""
                wish = f"disappear after {duration(seconds)}" if seconds else "stay"
                self._say(f"{author} lets texts{where} {wish}, and asks you to; the window has the answer")
            case GroupChanged(key, name, state=GroupState.JOINED):
                title = group_title(name, key)
                if self._groups.get(key) != title:
                    self._groups[key] = title
                    self._quote(f"the group {self._short(key)} by {event.founder} is called “{title}”")

    def _ask_when_known(self, names: tuple[str, ...], outboxes: queue.SimpleQueue[set[bytes]]) -> None:
        if self._peer not in names:
            self._missing = True
            self._say(f"{self._peer} is not registered yet; waiting")
            return
        self._asked = True
        peer = self._peer
        self._connection.call(
            lambda engine: outboxes.put(
                {item.item_id for item in engine.messenger.undelivered(peer) if item.kind is ItemKind.TEXT}
            )
        )
        self._connection.ask(peer)

    def _peer_changed(self, state: PeerState, *, established: bool) -> None:
        self._state = state
        if established:
            self._say(ESTABLISHED)
        elif state in STATE_SENTENCES:
            self._say(STATE_SENTENCES[state].format(peer=self._peer))
        if state is PeerState.ENDED and self._pending:
            self._connection.ask(self._peer)  # there is something left to say

    def _take_round(self, event: RoundOpened | RoundClosed | StandingBy | KeepingChanged) -> None:
        if isinstance(event, KeepingChanged):
            self._say(event.sentence or "There is room on the disk again. Sending goes on.")
            self._is_full = bool(event.sentence)
            return
        if isinstance(event, RoundClosed):
            self._round_closed(event.fate)
            return
        before, self._paused = self._paused, isinstance(event, StandingBy)
        if before != self._paused:
            self._say(event.sentence if isinstance(event, StandingBy) else ROUNDS_GO_ON)

    def _round_closed(self, fate: RoundFate) -> None:
        before, self._health = self._health, self._health.after(fate)
        if self._health.troubled > before.troubled:
            self._say(self._health.sentence)
        if self._health.meaning and not before.meaning:
            self._say(self._health.meaning)

    def _show(self, event: TextReceived) -> None:
        mark = f"{event.peer}> "
        if event.peer.startswith(GROUP_MARK):
            mark = f"{self._short(event.peer)} {event.author}> "
        output = self._streams.output
        print(marked(mark, as_written(event.text, output), _columns(output)), file=output, flush=True)
        if is_gone(output):
            self._unshown += 1

    def _short(self, key: str) -> str:
        """Return by which digits a group is known here: more where another one has the same."""
        short = short_key(key)
        return key if any(other != key and short_key(other) == short for other in self._groups) else short

    def _say(self, sentence: str) -> None:
        print(f"{_MARK}{one_line(sentence, _SENTENCE_MAX)}", file=self._streams.status, flush=True)

    def _quote(self, sentence: str) -> None:
        """Say a sentence in which there is something from outside."""
        columns = _columns(self._streams.status) or USUAL_COLUMNS
        sentence = as_written(sentence, self._streams.status)
        print(marked(_MARK, sentence, columns), file=self._streams.status, flush=True)


def _columns(stream: TextIO) -> int | None:
    """Return how many columns can be written on; ``None`` if the stream is no terminal."""
    if not stream.isatty():
        return None
    try:
        # The last column stays free: some terminals begin a line when it is written, others after it.
        return (os.get_terminal_size(stream.fileno()).columns or USUAL_COLUMNS) - 1
    except OSError:  # a terminal that does not say
        return USUAL_COLUMNS - 1
