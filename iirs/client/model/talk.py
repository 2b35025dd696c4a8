"""One talk as a window knows it: rows of its log, and where it stands. Values only; no Tk here."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from iirs.client.events import GroupState, PeerState
from iirs.client.messenger.limits import text_limit, text_size
from iirs.client.store.log_entry import GROUP_MARK, FileInfo, HistoryPage, LogEntry, TextState, TransferState
from iirs.client.text.display import displayable
from iirs.client.text.group_title import group_title
from iirs.client.text.text_layout import shorten

HISTORY_CHARACTERS = 200_000
_ORDER = list(TextState)
BUSY_STATES = frozenset(
    {
        PeerState.WAITING,
        PeerState.ASKING,
        PeerState.AGREED,
        PeerState.CONNECTED,
        PeerState.QUIET,
        PeerState.RESUMING,
    }
)
"""States of a conversation that can be ended."""


@dataclass(slots=True, eq=False)
class Row:
    """One entry of a log: a text, a file, or (without an id) a remark. ``state`` is for what is ours.

    ``text`` is as it came; only ``shown`` and ``whole`` are fit for a screen or a clipboard.
    """

    text: str = field(repr=False)
    at_ms: int
    text_id: bytes = b""
    outgoing: bool = False
    state: TextState | None = None
    author: str = ""
    """Who wrote it, where a log has several authors."""
    expires_at_ms: int = 0
    file: FileInfo | None = None
    transfer: TransferState | None = None
    """For a file: where it stands."""
    done: int = 0
    """For a file: how many of its bytes have come or gone."""
    shown: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make what is shown safe, and not too long; shorten first, as looking at each character is slow."""
        self.shown = displayable(shorten(self.text))

    @classmethod
    def of(cls, entry: LogEntry, latest_ms: int = sys.maxsize) -> Row:
        """Return the row of a stored entry. A remark of the store has an id, and no author or state."""
        return cls(
            entry.text,
            min(entry.sent_at_ms, latest_ms),
            entry.item_id,
            entry.outgoing,
            entry.state,
            "" if entry.outgoing else entry.author,
            entry.expires_at_ms,
            entry.file,
        )

    @property
    def whole(self) -> str:
        """All of the text, made safe."""
        return displayable(self.text)

    def advance(self, state: TextState) -> None:
        """Take a newer delivery state; an older one that comes late changes nothing."""
        if self.state is None or _ORDER.index(state) > _ORDER.index(self.state):
            self.state = state


@dataclass(slots=True)
class Talk:
    """One talk: with a person, ``peer`` being the name, or with a group, ``peer`` being its key."""

    peer: str
    state: PeerState = PeerState.IDLE
    rows: list[Row] = field(default_factory=list)
    version: int = 0
    """Grows when rows came anywhere but at the end, went, or changed."""
    unread: int = 0
    new_from: bytes = b""
    """The id of the first entry that had not been read when the talk was opened: the line is above it."""
    asks: bool = False
    has_history: bool = False
    has_more: bool = False
    """The store has older entries than the first row."""
    last_ms: int = 0
    last: Row | None = None
    """The newest text or file, for the list; also before the history has been read."""
    timer: int = 0
    """Seconds after which entries disappear; 0: never."""
    timer_asked: int = 0
    """Seconds that ``timer_by`` would like it to be."""
    timer_by: str = ""
    """Who waits for an answer about that; "": nobody."""
    draft: str = field(default="", repr=False)
    kept_draft: str | None = field(default="", repr=False)
    """What the store has, or is about to have, of the draft; ``None``: not known."""
    number: str = ""
    """The safety number with a person, 60 digits; "" where there is none."""
    verified: bool = False
    blocked: str = ""
    """Why nothing can be sent because of changed keys or lists, or ""."""
    group: GroupState | None = None
    """For a group: where we stand in it."""
    group_name: str = field(default="", repr=False)
    group_title: str = ""
    """What to call a group, told apart from others that look alike."""
    members: tuple[str, ...] = ()
    joined: frozenset[str] = frozenset()
    founder: str = ""
    _by_id: dict[bytes, Row] = field(default_factory=dict, repr=False)

    @property
    def is_group(self) -> bool:
        """Whether this is a group's talk."""
        return self.peer.startswith(GROUP_MARK)

    @property
    def title(self) -> str:
        """What to call it: a person's name, or a group's title, which never looks like one."""
        return self.group_title or group_title(self.group_name, self.peer) if self.is_group else self.peer

    def row(self, item_id: bytes) -> Row | None:
        """Return the row of an entry, if it is here."""
        return self._by_id.get(item_id)

    def add(self, row: Row) -> bool:
        """Append a row unless its entry is there already; return whether it was new."""
        if row.text_id and row.text_id in self._by_id:
            return False
        self.rows.append(row)
        if row.text_id:
            self._by_id[row.text_id] = row
            self.last = row
        return True

    def change(self, text_id: bytes, state: TextState) -> None:
        """Take in a text's delivery state."""
        row = self._by_id.get(text_id)
        if row is not None:
            row.advance(state)
            self.version += 1

    def move(self, file_id: bytes, state: TransferState, done: int) -> None:
        """Take in where a file stands."""
        for row in self._by_id.values():
            if row.file is not None and row.file.file_id == file_id:
                row.transfer, row.done = state, done
                if row.outgoing and state is TransferState.DONE:
                    row.advance(TextState.DELIVERED)
                self.version += 1

    def remove(self, item_ids: tuple[bytes, ...]) -> None:
        """Take rows out."""
        gone = {item_id for item_id in item_ids if self._by_id.pop(item_id, None) is not None}
        if gone:
            self.rows = [row for row in self.rows if row.text_id not in gone]
            self.version += 1
        if self.last is not None and self.last.text_id in item_ids:
            self.last = next((row for row in reversed(self.rows) if row.text_id), None)

    def take_history(self, history: HistoryPage, latest_ms: int = sys.maxsize) -> None:
        """Put what the store holds before what happened since, or older entries before all.

        None is shown to be of later than ``latest_ms``, now.
        """
        live, self.rows, known = self.rows, [], self._by_id
        self._by_id = {}
        entries = history.entries if history.is_older else _newest(history.entries)
        for entry in entries:
            self._put(known.get(entry.item_id) or Row.of(entry, latest_ms))
        for row in live:
            self._put(row)
        for transfer in history.transfers:
            self.move(transfer.file_id, transfer.state, transfer.done)
        self.has_history = True
        self.has_more = history.has_more or len(entries) < len(history.entries)
        self.version += 1
        self.last = next((row for row in reversed(self.rows) if row.text_id), self.last)

    def _put(self, row: Row) -> None:
        if row.text_id and row.text_id in self._by_id:
            return
        self.rows.append(row)
        if row.text_id:
            self._by_id[row.text_id] = row

    @property
    def has_transfer(self) -> bool:
        """Whether a file is on its way, as far as what is shown goes back."""
        return any(row.transfer in {TransferState.MOVING, TransferState.PAUSED} for row in self.rows)

    def room_for(self, text: str) -> int:
        """Return how many bytes more a text could have and be sent here; negative if it is too long."""
        return text_limit(self.peer) - text_size(text)

    def take_back(self, text: str) -> None:
        """Put a text that could not be sent before what is being written."""
        self.draft = f"{text}\n{self.draft}" if self.draft else text

    @property
    def first_id(self) -> bytes:
        """The id of the oldest entry that is here; b"" if there is none."""
        return next((row.text_id for row in self.rows if row.text_id), b"")

    @property
    def may_end(self) -> bool:
        """Whether there is something to end."""
        return self.group is GroupState.JOINED if self.is_group else self.state in BUSY_STATES


def _newest(entries: list[LogEntry]) -> list[LogEntry]:
    """Return the newest of ``entries`` that a window can take in at once without a pause."""
    room = HISTORY_CHARACTERS
    for index in range(len(entries) - 1, -1, -1):
        room -= len(shorten(entries[index].text))
        if room < 0:
            return entries[index + 1 :]
    return entries
