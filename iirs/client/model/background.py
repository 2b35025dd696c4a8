"""``BackgroundWork``: what takes the disk or a decoder is done for a window, never in its thread.

The store belongs to the network's thread, files of the person's own to a worker; what comes of it is handed
to ``tell`` as a ``Reading``. Nothing here changes what is sent, or when.
"""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from iirs.client.chat_session import FILE_MAX
from iirs.client.engine import Engine
from iirs.client.model.picture_queue import Picture, PictureQueue
from iirs.client.pictures.thumbnails import without_metadata
from iirs.client.server_connection import ServerConnection
from iirs.client.store.encrypted_file import StoreFullError
from iirs.client.store.log_entry import HISTORY_LIMIT, EntryKind, HistoryPage, LogEntry
from iirs.client.store.whole_files import read_at_most, write_whole
from iirs.client.text.columns import marked
from iirs.client.text.translate import _
from iirs.errors import AccountError, IirsError, StoreError

FOUND_MAX = 100
"""Entries that one search finds, at most: the newest."""
SEARCHED_MAX = 100
"""More words than anybody types; of some thousands the store could not make one question."""
_LATEST = 253_402_300_799
"""The last second that a calendar has: a peer may claim any."""


@dataclass(frozen=True, slots=True)
class LastEntries:
    """The newest entry of every talk."""

    entries: tuple[LogEntry, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to, newest first."""

    talk: str
    words: str = field(repr=False)
    entries: tuple[LogEntry, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence about how something went."""

    sentence: str
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class NotSent:
    """A text that was not taken, and why: the person has it back."""

    talk: str
    text: str = field(repr=False)
    sentence: str


@dataclass(frozen=True, slots=True)
class KeptDrafts:
    """What was written and not sent in the sessions before, by talk."""

    texts: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class DraftNotKept:
    """The disk did not take a talk's draft: it is to be kept later."""

    talk: str


Reading = HistoryPage | LastEntries | Found | Picture | Said | NotSent | KeptDrafts | DraftNotKept


class BackgroundWork:
    """All methods return at once; ``tell`` is called from other threads."""

    def __init__(self, connection: ServerConnection, tell: Callable[[Reading], None]) -> None:
        self._connection = connection
        self._tell = tell
        self.pictures = PictureQueue(self._in_store, tell)

    def send(self, talk: str, text: str) -> None:
        """Send a text; if it is refused after all, ``NotSent`` has it and says why."""

        def work(engine: Engine) -> None:
            try:
                self._connection.check_in_session()
                engine.messenger.send(talk, text)
            except (AccountError, StoreFullError) as error:
                self._tell(NotSent(talk, text, error.said(_)))
                if isinstance(error, StoreFullError):
                    raise

        self._connection.call(work)

    def keep_draft(self, talk: str, text: str) -> None:
        """Keep what is being written in a talk."""

        def work(engine: Engine) -> None:
            try:
                engine.messenger.keep_draft(talk, text)
            except StoreError:
                self._tell(DraftNotKept(talk))
                raise

        self._in_store(work)

    def read_drafts(self) -> None:
        """Read what was written and not sent in the sessions before."""
        self._in_store(lambda engine: self._tell(KeptDrafts(engine.messenger.drafts.all())))

    def read(self, talk: str, before: bytes | None = None) -> None:
        """Read the newest entries of a talk, or older ones than ``before``."""

        def work(engine: Engine) -> None:
            entries = engine.messenger.history(talk, HISTORY_LIMIT, before)
            transfers = engine.messenger.transfers(entries)
            has_more = bool(entries) and engine.messenger.has_older(talk, entries[0])
            self._tell(HistoryPage(talk, entries, transfers, before is not None, has_more))

        self._in_store(work)

    def read_last_entries(self) -> None:
        """Read the newest entry of every talk."""
        self._in_store(lambda engine: self._tell(LastEntries(tuple(engine.messenger.last_entries()))))

    def search(self, talk: str, words: str) -> None:
        """Look for words in a talk, or in all (""). Too many are said and not looked for."""
        if len(words.split()) > SEARCHED_MAX:
            sentence = _("At most {count} words can be looked for at once.").format(count=SEARCHED_MAX)
            self._tell(Said(sentence))
            return
        found: list[LogEntry] = []

        def look(engine: Engine, before: int | None = None) -> None:
            more, place = engine.messenger.search(words, talk, FOUND_MAX - len(found), before)
            found.extend(more)
            if place is None or len(found) >= FOUND_MAX:
                self._tell(Found(talk, words, tuple(found)))
            else:
                self._in_store(lambda engine: look(engine, place))

        self._in_store(look)

    def read_back_to(self, talk: str, first: bytes, item_id: bytes) -> None:
        """Read entries before ``first``, as many as it takes to have ``item_id`` among them."""

        def enough(page: list[LogEntry]) -> bool:
            return any(entry.item_id == item_id for entry in page)

        def tell(engine: Engine, entries: list[LogEntry]) -> None:
            self._tell(HistoryPage(talk, entries, engine.messenger.transfers(entries), True, True))

        self._read_pages(talk, first, enough, tell)

    def _read_pages(
        self,
        talk: str,
        before: bytes | None,
        enough: Callable[[list[LogEntry]], bool],
        then: Callable[[Engine, list[LogEntry]], None],
    ) -> None:
        """Read a talk backwards until a page is ``enough`` or nothing is left, and hand over all of it.

        As with a search, each page is a command of its own, so that what the server says, and an upload,
        never wait for all.
        """
        pages: list[list[LogEntry]] = []

        def read(engine: Engine) -> None:
            page = engine.messenger.history(talk, HISTORY_LIMIT, pages[-1][0].item_id if pages else before)
            if page:
                pages.append(page)
            if not page or enough(page):
                then(engine, [entry for page in reversed(pages) for entry in page])
            else:
                self._in_store(read)

        self._in_store(read)

    def clear(self, talk: str) -> None:
        """Delete a talk's entries here, a few at a time."""

        def work(engine: Engine) -> None:
            if engine.messenger.clear(talk):
                self._in_store(work)

        self._in_store(work)

    # -- the person's own files ---------------------------------------------------------------------

    def send_file(self, talk: str, path: Path) -> None:
        """Read a file and send it. One that is too large, or cannot be read, is said and not sent."""
        self._in_worker(lambda: self._send_file(talk, path.name, _read(path)))

    def send_pasted(self, talk: str, name: str, data: bytes) -> None:
        """Send a file that is on no disk."""
        self._in_worker(lambda: self._send_file(talk, name, data))

    def _send_file(self, talk: str, name: str, data: bytes) -> None:
        """Send a file: of a picture neither where nor when it was taken."""
        bare = without_metadata(data)
        self._connection.act(lambda engine: engine.messenger.send_file(talk, name, bare))

    def save(self, file_id: bytes, path: Path) -> None:
        """Write a file that is here to ``path``."""

        def work(engine: Engine) -> None:
            data = engine.messenger.read_file(file_id)
            self._in_worker(lambda: write_whole(path, data))

        self._in_store(work)

    def export(self, talk: str, path: Path) -> None:
        """Write all that is stored of a talk to ``path``, as text a person can read."""

        def write(_engine: Engine, entries: list[LogEntry]) -> None:
            self._in_worker(lambda: write_whole(path, exported(entries).encode("utf-8", "replace")))

        self._read_pages(talk, None, lambda page: False, write)

    # -- threads ------------------------------------------------------------------------------------

    def _in_store(self, function: Callable[[Engine], None]) -> None:
        def work(engine: Engine) -> None:
            try:
                function(engine)
            except StoreFullError:
                raise  # the engine pauses, and says so
            except StoreError as error:
                self._tell(Said(error.said(_), alarm=True))

        self._connection.call(work)

    def _in_worker(self, function: Callable[[], None]) -> None:
        def work() -> None:
            try:
                function()
            except IirsError as error:
                self._tell(Said(error.said(_)))
            except OSError as error:
                why = error.strerror or _("no reason given")
                self._tell(Said(_("The file could not be read or written: {why}.").format(why=why)))

        threading.Thread(target=work, name="iirs-background", daemon=True).start()


def _read(path: Path) -> bytes:
    data = read_at_most(path, FILE_MAX + 1)
    if len(data) > FILE_MAX:
        raise AccountError(
            "A file can have at most {limit} KiB: a larger one would take hours.", limit=FILE_MAX // 1024
        )
    return data


def exported(entries: Iterable[LogEntry]) -> str:
    """Return entries as lines: time, author, text; later lines of a text are indented, so none can pose.

    That a line is of a file is said before the colon, where no text comes to stand.
    """
    lines = []
    for entry in entries:
        at = datetime.datetime.fromtimestamp(min(entry.sent_at_ms / 1000, _LATEST), datetime.UTC)
        author = entry.author
        if entry.kind is EntryKind.FILE:
            author = _("{author} sends a file").format(author=author)
        lines.append(marked(f"{at:%Y-%m-%d %H:%M:%S} UTC  {author}: ", entry.text, None, 4) + "\n")
    return "".join(lines)
