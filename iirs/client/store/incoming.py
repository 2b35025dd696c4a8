"""``Incoming``: what has come from others and is not taken in yet: fragments, and items that wait their turn.

An item that is here whole is acknowledged; what it says happens later, in its peer's order, and in the same
commit it is forgotten here. So nothing is lost or done twice, whenever the program stops.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from iirs.client.store.encrypted_file import EncryptedFile
from iirs.client.store.log_entry import Fragment, Item, ItemKind

INCOMING_SCHEMA = """
CREATE TABLE IF NOT EXISTS fragment (
    peer TEXT NOT NULL, sequence INTEGER NOT NULL, item_id BLOB NOT NULL, number INTEGER NOT NULL,
    count INTEGER NOT NULL, kind INTEGER NOT NULL, sent_at_ms INTEGER NOT NULL, payload BLOB NOT NULL,
    PRIMARY KEY (peer, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT, peer TEXT NOT NULL, item_id BLOB NOT NULL, part INTEGER NOT NULL,
    parts INTEGER NOT NULL, kind INTEGER NOT NULL, sent_at_ms INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS inbox_by_peer ON inbox (peer, place);
"""
WAITING_MAX = 256
"""Items of one person that wait; while there are so many, no fragment of theirs is taken in."""


class Incoming:
    """``ClientStore`` has one, and commits what is done here."""

    def __init__(self, file: EncryptedFile) -> None:
        """``file`` has the tables of ``INCOMING_SCHEMA``."""
        self._file = file
        self._waiting: dict[str, int] = {}
        self._turns: deque[str] = deque()
        """Whose turn it is: those of whom something waits, each once."""
        self._is_read = False

    def forget(self) -> None:
        """Look into the file again before anything is done: what was not committed is not there any more."""
        self._is_read = False

    def _read(self) -> None:
        if not self._is_read:
            rows = self._file.execute("SELECT peer, count(*) FROM inbox GROUP BY peer ORDER BY min(place)")
            self._waiting = dict(rows.fetchall())
            self._turns = deque(self._waiting)
            self._is_read = True

    # -- fragments ------------------------------------------------------------------------------------

    def fragments(self, peer: str) -> dict[int, Fragment]:
        """Return what has come of items that are not whole, by the fragments' numbers."""
        rows = self._file.execute(
            "SELECT sequence, item_id, number, count, kind, sent_at_ms, payload FROM fragment WHERE peer = ?",
            (peer,),
        )
        return {
            sequence: Fragment(item_id, number, count, ItemKind(kind), sent_at_ms, payload)
            for sequence, item_id, number, count, kind, sent_at_ms, payload in rows.fetchall()
        }

    def keep_fragments(self, peer: str, known: Mapping[int, Fragment], now: Mapping[int, Fragment]) -> None:
        """Keep the fragments there are ``now``; ``known`` are those that are kept already."""
        for sequence in known.keys() - now.keys():
            self._file.execute("DELETE FROM fragment WHERE peer = ? AND sequence = ?", (peer, sequence))
        for sequence, item in now.items():
            if known.get(sequence) is not item:
                self._file.execute(
                    "INSERT OR REPLACE INTO fragment VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        peer,
                        sequence,
                        item.item_id,
                        item.index,
                        item.count,
                        int(item.kind),
                        item.sent_at_ms,
                        item.payload,
                    ),
                )

    # -- items ----------------------------------------------------------------------------------------

    def put(self, peer: str, item: Item) -> None:
        """Have an item wait behind those of the same person."""
        self._read()
        self._file.execute(
            "INSERT INTO inbox (peer, item_id, part, parts, kind, sent_at_ms, data) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (peer, item.item_id, item.part, item.parts, int(item.kind), item.sent_at_ms, item.data),
        )
        if peer not in self._waiting:
            self._turns.append(peer)
        self._waiting[peer] = self._waiting.get(peer, 0) + 1

    def has_room(self, peer: str) -> bool:
        """Return whether more of a person's may wait."""
        self._read()
        return self._waiting.get(peer, 0) < WAITING_MAX

    def take(self) -> tuple[str, Item] | None:
        """Take out the oldest item of the person whose turn it is; each has theirs, one item a turn."""
        self._read()
        if not self._turns:
            return None
        peer = self._turns.popleft()
        place, item_id, kind, *rest = self._file.execute(
            "SELECT place, item_id, kind, data, sent_at_ms, part, parts FROM inbox "
            "WHERE peer = ? ORDER BY place LIMIT 1",
            (peer,),
        ).fetchone()
        self._file.execute("DELETE FROM inbox WHERE place = ?", (place,))
        self._waiting[peer] -= 1
        if self._waiting[peer]:
            self._turns.append(peer)
        else:
            del self._waiting[peer]
        return peer, Item(item_id, ItemKind(kind), *rest)
