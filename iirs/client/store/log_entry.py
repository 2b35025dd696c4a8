"""What a log is made of, and what waits to go: the values that the chat, the store and the windows share.

A *talk* is a conversation as the person sees it: with one person, under their name, or with a group, under
its key (``#`` and 32 hexadecimal digits; no name has a ``#``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum


class ItemKind(IntEnum):
    """What an item of a conversation's stream is; the numbers travel (``message.ContentKind``)."""

    TEXT = 1
    """What a person typed: UTF-8."""
    NOTE = 3
    """What one program has to tell the other, as JSON: never anything a person typed as a command."""
    PART = 4
    """One piece of a file; the item's id is the file's."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a conversation's stream: one that waits to be delivered, or one that has arrived whole."""

    item_id: bytes
    """16 random bytes; for a ``PART`` the file's id."""
    kind: ItemKind
    data: bytes = field(repr=False)
    sent_at_ms: int
    part: int = 0
    """Which piece of its file this is; 0 for other kinds."""
    parts: int = 1
    """How many pieces the file has; 1 for other kinds."""

    @property
    def text(self) -> str:
        """The text of a ``TEXT``."""
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Fragment:
    """One numbered piece of an item's way: what a peer message carries of it."""

    item_id: bytes
    index: int
    count: int
    """Fragments of the item; of a ``PART``, pieces of its file."""
    kind: ItemKind
    sent_at_ms: int
    payload: bytes = field(repr=False)


class TextState(Enum):
    """What the writer of an entry sees."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up: a file that was cancelled, or that the other side does not want."""


class EntryKind(IntEnum):
    """What one entry of a log is."""

    TEXT = 0
    FILE = 1


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file as its sender describes it; nothing here is believed beyond its length."""

    file_id: bytes
    name: str = field(repr=False)
    """A plain name, already made safe: no folder, no control characters, no leading dot."""
    size: int
    """Bytes."""
    digest: bytes = field(repr=False)
    """SHA-256 of the whole."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of a log, as the store keeps it and a window shows it."""

    talk: str
    item_id: bytes
    kind: EntryKind
    outgoing: bool
    author: str
    """Who wrote it: a person's name."""
    text: str = field(repr=False)
    """The text or remark; for a file, its name."""
    sent_at_ms: int
    """When its author says it was written."""
    state: TextState | None = None
    """For what we sent."""
    expires_at_ms: int = 0
    """When it disappears; 0: never."""
    file: FileInfo | None = None


HISTORY_LIMIT = 500
"""How many entries are read from the store at a time."""


GROUP_MARK = "#"


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """Where a file stands, as the store knows it."""

    file_id: bytes
    state: TransferState
    done: int


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A piece of what the store holds about one talk, read in the network's thread."""

    peer: str
    entries: list[LogEntry] = field(repr=False)
    transfers: tuple[TransferProgress, ...] = ()
    is_older: bool = False
    """It goes before what was read already."""
    has_more: bool = False
    """There is still older."""


class TransferState(Enum):
    """Where a file stands."""

    MOVING = "moving"
    """Its pieces go in the rounds in which nothing else is to be said; or they arrive."""
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"
    """One of the two does not want it any more; no piece of it is kept by the one who was to get it."""
    DAMAGED = "damaged"
    """All of it came, and it is not what was announced; it is not kept."""
