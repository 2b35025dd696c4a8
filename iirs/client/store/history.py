"""``History``: the part of the store that people would miss: what was said, and the files.

An entry that was deleted leaves its id behind, so that a repetition of the same item never brings it back.
"""

from __future__ import annotations

import json
from typing import Any

from iirs.client.store.encrypted_file import EncryptedFile
from iirs.client.store.log_entry import EntryKind, FileInfo, LogEntry, TextState
from iirs.errors import StoreError

FILE_TABLE = (
    "CREATE TABLE IF NOT EXISTS file (file_id BLOB PRIMARY KEY, size INTEGER NOT NULL) WITHOUT ROWID;"
)
HISTORY_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS seen (
    talk TEXT NOT NULL, item_id BLOB NOT NULL, PRIMARY KEY (talk, item_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
    place INTEGER PRIMARY KEY AUTOINCREMENT, talk TEXT NOT NULL, item_id BLOB NOT NULL, kind INTEGER NOT NULL,
    outgoing INTEGER NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL, sent_at_ms INTEGER NOT NULL,
    state TEXT, expires_at_ms INTEGER NOT NULL, file_id BLOB, file TEXT, searchable TEXT NOT NULL,
    UNIQUE (talk, item_id)
);
CREATE INDEX IF NOT EXISTS entry_by_talk ON entry (talk, place);
CREATE INDEX IF NOT EXISTS entry_by_expiry ON entry (expires_at_ms) WHERE expires_at_ms > 0;
CREATE INDEX IF NOT EXISTS entry_by_file ON entry (file_id) WHERE file_id IS NOT NULL;
{FILE_TABLE}
CREATE TABLE IF NOT EXISTS piece (
    file_id BLOB NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (file_id, number)
);
CREATE TABLE IF NOT EXISTS erasing (file_id BLOB PRIMARY KEY) WITHOUT ROWID;
"""
STEP_BYTES = 64 * 1024
"""What one step deletes, about: of very much a little at a time."""
ENTRIES_AT_ONCE = 16
"""Entries that one step deletes, at most."""
PAGE_BYTES = 1024 * 1024
"""How long the texts of one page may be together."""
SEARCHED_AT_ONCE = 500
"""Entries that one step of a search looks at."""
SEARCHED_BYTES = 256 * 1024
"""And how long their texts may be together."""
_PIECES_AT_ONCE = 64
"""Pieces of a file that one step erases."""
_PIECE_SIZE = 1024
"""What a piece takes in the file, about."""
_COLUMNS = "talk, item_id, kind, outgoing, author, text, sent_at_ms, state, expires_at_ms, file"


class History:
    """Entries and files, by talk and id. ``ClientStore`` has one, and commits what is done here."""

    def __init__(self, file: EncryptedFile) -> None:
        """``file`` has the tables of ``HISTORY_SCHEMA``."""
        self._file = file

    # -- entries --------------------------------------------------------------------------------------

    def add_entry(self, entry: LogEntry) -> bool:
        """Keep an entry; False, and nothing changes, if its id was there before in this talk."""
        if not self.mark_seen(entry.talk, entry.item_id):
            return False
        self._file.execute(
            f"INSERT INTO entry ({_COLUMNS}, file_id, searchable) "  # noqa: S608  # a constant
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.talk,
                entry.item_id,
                int(entry.kind),
                int(entry.outgoing),
                entry.author,
                entry.text,
                entry.sent_at_ms,
                None if entry.state is None else entry.state.value,
                entry.expires_at_ms,
                None if entry.file is None else _pack_file(entry.file),
                None if entry.file is None else entry.file.file_id,
                entry.text.casefold(),
            ),
        )
        return True

    def has_item(self, talk: str, item_id: bytes) -> bool:
        """Return whether an item of this id was ever in this talk."""
        query = "SELECT 1 FROM seen WHERE talk = ? AND item_id = ?"
        return self._file.execute(query, (talk, item_id)).fetchone() is not None

    def mark_seen(self, talk: str, item_id: bytes) -> bool:
        """Remember an item that leaves no entry; False if it was there before."""
        cursor = self._file.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (talk, item_id))
        return bool(cursor.rowcount)

    def set_state(self, talk: str, item_id: bytes, state: TextState) -> None:
        """Change an entry's delivery state, if the entry is there."""
        self._file.execute(
            "UPDATE entry SET state = ? WHERE talk = ? AND item_id = ?", (state.value, talk, item_id)
        )

    def page(self, talk: str, limit: int = 500, before: bytes | None = None) -> list[LogEntry]:
        """Return the newest entries of a talk, or the newest before the entry ``before``; oldest first.

        Fewer than ``limit`` if their texts are long; none only if there are none.
        """
        places = self._places(talk, limit, before, PAGE_BYTES)
        rows = self._file.execute(
            f"SELECT {_COLUMNS} FROM entry WHERE talk = ? AND place >= ? AND place <= ? "  # noqa: S608
            "ORDER BY place",
            (talk, places[-1], places[0]) if places else (talk, 1, 0),
        )
        return [_entry(row) for row in rows.fetchall()]

    def _places(self, talk: str, limit: int, before: bytes | None, size: int) -> list[int]:
        """Return the newest places of a talk whose texts are ``size`` long together, one at least."""
        place = "9223372036854775807"
        if before is not None:
            place = "coalesce((SELECT place FROM entry WHERE talk = :talk AND item_id = :before), 0)"
        rows = self._file.execute(
            f"SELECT place, octet_length(text) FROM entry WHERE talk = :talk AND place < {place} "  # noqa: S608
            "ORDER BY place DESC LIMIT :limit",
            {"talk": talk, "before": before, "limit": limit},  # type: ignore[arg-type]
        )
        return _within(rows.fetchall(), size)

    def has_older(self, talk: str, item_id: bytes) -> bool:
        """Return whether a talk has entries before one."""
        return bool(self._places(talk, 1, item_id, 0))

    def newest_ms(self, talk: str) -> int:
        """Return the time of a talk's newest entry, in unix milliseconds; 0 if there is none."""
        query = "SELECT sent_at_ms FROM entry WHERE talk = ? ORDER BY place DESC LIMIT 1"
        row = self._file.execute(query, (talk,)).fetchone()
        return 0 if row is None else int(row[0])

    def last_entries(self) -> dict[str, LogEntry]:
        """Return the newest entry of every talk; what it costs grows with the talks, not with the entries."""
        rows = self._file.execute(  # a constant is put in
            "WITH RECURSIVE each(talk) AS (SELECT min(talk) FROM entry UNION ALL "  # noqa: S608
            "SELECT (SELECT min(talk) FROM entry WHERE talk > each.talk) FROM each WHERE talk IS NOT NULL) "
            f"SELECT {_COLUMNS} FROM entry WHERE place IN "
            "(SELECT (SELECT max(place) FROM entry WHERE talk = each.talk) FROM each)"
        )
        return {entry.talk: entry for entry in map(_entry, rows.fetchall())}

    def search(
        self, words: str, talk: str | None = None, limit: int = 100, before: int | None = None
    ) -> tuple[list[LogEntry], int | None]:
        """Return the newest entries in which all the words occur, whatever their case; newest first.

        One step, of the entries before the place ``before``. The place at which the next one goes on is
        returned too; ``None``: there is no more.
        """
        wanted = words.casefold().split()
        among = "place < ?" + " AND talk = ?" * (talk is not None)
        values = (2**63 - 1 if before is None else before, *([talk] if talk is not None else []))
        rows = self._file.execute(
            f"SELECT place, octet_length(text) FROM entry WHERE {among} "  # noqa: S608  # placeholders
            "ORDER BY place DESC LIMIT ?",
            (*values, SEARCHED_AT_ONCE),
        )
        places = _within(rows.fetchall(), SEARCHED_BYTES)
        if not wanted or not places:
            return [], None
        holds = " AND instr(searchable, ?) > 0" * len(wanted)
        found = self._file.execute(
            f"SELECT place, {_COLUMNS} FROM entry WHERE {among} AND place >= ?{holds} "  # noqa: S608  # as above
            "ORDER BY place DESC LIMIT ?",
            (*values, places[-1], *wanted, limit),
        ).fetchall()
        return [_entry(row[1:]) for row in found], found[-1][0] if len(found) == limit else places[-1]

    def delete_entry(self, talk: str, item_id: bytes) -> None:
        """Delete an entry; its id stays, its file goes if no other entry holds it."""
        file_id = self._file.execute(
            "SELECT file_id FROM entry WHERE talk = ? AND item_id = ?", (talk, item_id)
        ).fetchone()
        self._file.execute("DELETE FROM entry WHERE talk = ? AND item_id = ?", (talk, item_id))
        if file_id is not None and file_id[0] is not None:
            held = self._file.execute("SELECT 1 FROM entry WHERE file_id = ?", file_id).fetchone()
            if held is None:
                self.remove_file(file_id[0])

    def expire(self, now_ms: int) -> list[tuple[str, bytes, int]]:
        """Delete some of the entries whose time is over, one at least; return talk, id and size of each."""
        rows = self._file.execute(
            "SELECT octet_length(text), talk, item_id FROM entry "
            "WHERE expires_at_ms > 0 AND expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?",
            (now_ms, ENTRIES_AT_ONCE),
        ).fetchall()
        return self._delete(rows)

    def clear(self, talk: str) -> list[tuple[str, bytes, int]]:
        """Delete some of a talk's newest entries, one at least if there are any, as ``expire``."""
        rows = self._file.execute(
            "SELECT octet_length(text), talk, item_id FROM entry WHERE talk = ? ORDER BY place DESC LIMIT ?",
            (talk, ENTRIES_AT_ONCE),
        ).fetchall()
        return self._delete(rows)

    def _delete(self, rows: list[tuple[int, str, bytes]]) -> list[tuple[str, bytes, int]]:
        count = len(_within([(0, size) for size, *_ in rows], STEP_BYTES))
        for _size, talk, item_id in rows[:count]:
            self.delete_entry(talk, item_id)
        return [(talk, item_id, size) for size, talk, item_id in rows[:count]]

    # -- files ----------------------------------------------------------------------------------------

    def add_file(self, file_id: bytes, size: int) -> None:
        """Remember a file of ``size`` bytes; it takes room only as its pieces come."""
        self._file.execute("INSERT INTO file VALUES (?, ?)", (file_id, size))

    def file_size(self, file_id: bytes) -> int | None:
        """Return a file's size, or ``None`` if it is not here."""
        row = self._file.execute("SELECT size FROM file WHERE file_id = ?", (file_id,)).fetchone()
        return None if row is None else int(row[0])

    def write_piece(self, file_id: bytes, number: int, data: bytes) -> None:
        """Keep one piece of a file. Raises ``StoreError`` if the piece is here already."""
        self._file.execute("INSERT INTO piece VALUES (?, ?, ?)", (file_id, number, data))

    def read_piece(self, file_id: bytes, number: int) -> bytes:
        """Return one piece of a file. Raises ``StoreError`` if it is not here."""
        query = "SELECT data FROM piece WHERE file_id = ? AND number = ?"
        row = self._file.execute(query, (file_id, number)).fetchone()
        if row is None:
            raise StoreError("A file that should be on this machine is not.")
        return bytes(row[0])

    def read_file(self, file_id: bytes) -> bytes:
        """Return all pieces of a file that are here, one after the other."""
        rows = self._file.execute("SELECT data FROM piece WHERE file_id = ? ORDER BY number", (file_id,))
        return b"".join(row[0] for row in rows)

    def remove_file(self, file_id: bytes) -> None:
        """Forget a file; its pieces are erased by and by, as ``erase`` is called."""
        self._file.execute("DELETE FROM file WHERE file_id = ?", (file_id,))
        self._file.execute("INSERT OR IGNORE INTO erasing VALUES (?)", (file_id,))

    def is_erasing(self, file_id: bytes) -> bool:
        """Return whether pieces of a file that was forgotten may still be here."""
        query = "SELECT 1 FROM erasing WHERE file_id = ?"
        return self._file.execute(query, (file_id,)).fetchone() is not None

    def erase(self) -> int | None:
        """Erase a little of a file that was forgotten; return its bytes, about, ``None``: none is left."""
        row = self._file.execute("SELECT file_id FROM erasing LIMIT 1").fetchone()
        if row is None:
            return None
        count = self._file.execute(
            "DELETE FROM piece WHERE rowid IN (SELECT rowid FROM piece WHERE file_id = ? LIMIT ?)",
            (row[0], _PIECES_AT_ONCE),
        ).rowcount
        if count < _PIECES_AT_ONCE:
            self._file.execute("DELETE FROM erasing WHERE file_id = ?", row)
        return count * _PIECE_SIZE


def _within(rows: list[tuple[int, int]], size: int) -> list[int]:
    """Return the places of the first (place, size) that are ``size`` long together, one at least."""
    taken: list[int] = []
    for place, length in rows:
        size -= length
        if taken and size < 0:
            break
        taken.append(place)
    return taken


def _pack_file(file: FileInfo) -> str:
    return json.dumps([file.file_id.hex(), file.name, file.size, file.digest.hex()])


def _entry(row: tuple[Any, ...]) -> LogEntry:
    talk, item_id, kind, outgoing, author, text, sent_at_ms, state, expires_at_ms, packed = row
    file = None
    if packed is not None:
        file_id, name, size, digest = json.loads(packed)
        file = FileInfo(bytes.fromhex(file_id), name, size, bytes.fromhex(digest))
    return LogEntry(
        talk,
        item_id,
        EntryKind(kind),
        bool(outgoing),
        author,
        text,
        sent_at_ms,
        None if state is None else TextState(state),
        expires_at_ms,
        file,
    )
