"""``GroupTables``: what groups keep, item by item: nothing is written anew because something else came."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from iirs.client.store.encrypted_file import EncryptedFile

GROUP_SCHEMA = """
CREATE TABLE IF NOT EXISTS held (
    place INTEGER PRIMARY KEY AUTOINCREMENT, talk TEXT NOT NULL, author INTEGER NOT NULL, word TEXT NOT NULL,
    peer TEXT NOT NULL, size INTEGER NOT NULL, value TEXT NOT NULL, UNIQUE (talk, author, word)
);
CREATE INDEX IF NOT EXISTS held_by_talk ON held (talk, place, size);
CREATE INDEX IF NOT EXISTS held_foundings ON held (peer) WHERE word = 'found';
CREATE TABLE IF NOT EXISTS recent (
    place INTEGER PRIMARY KEY AUTOINCREMENT, talk TEXT NOT NULL, entry_id BLOB NOT NULL, value TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS recent_by_talk ON recent (talk, place);
CREATE TABLE IF NOT EXISTS way (
    note_id BLOB PRIMARY KEY, talk TEXT NOT NULL, entry_id BLOB NOT NULL, peer TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS way_by_entry ON way (talk, entry_id);
CREATE INDEX IF NOT EXISTS way_by_peer ON way (talk, peer);
CREATE TABLE IF NOT EXISTS gone (
    talk TEXT NOT NULL, peer TEXT NOT NULL, delivers INTEGER NOT NULL, PRIMARY KEY (talk, peer)
) WITHOUT ROWID;
"""
Value = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One of our texts, on its way to one neighbour."""

    key: str
    entry_id: bytes
    peer: str


class GroupTables:
    """``ClientStore`` has one, and commits what is done here. A *word* is what counts once of an author."""

    def __init__(self, file: EncryptedFile) -> None:
        """``file`` has the tables of ``GROUP_SCHEMA``, and those of the history."""
        self._file = file

    # -- held: what came for a group that we have not joined, or are just joining ------------------------

    def hold(self, talk: str, peer: str, author: int, word: str, size: int, value: Value) -> None:
        """Keep an item behind the others of its group, unless its author's word is there already."""
        self._file.execute(
            "INSERT OR IGNORE INTO held (talk, peer, author, word, size, value) VALUES (?, ?, ?, ?, ?, ?)",
            (talk, peer, author, word, size, json.dumps(value)),
        )

    def held(self, talk: str) -> tuple[int, int]:
        """Return how many items are held for a group, and their sizes together."""
        query = "SELECT count(*), total(size) FROM held WHERE talk = ?"
        count, size = self._file.execute(query, (talk,)).fetchone()
        return int(count), int(size)

    def holds(self, talk: str, author: int, word: str) -> bool:
        """Return whether an author's word is held for a group."""
        query = "SELECT 1 FROM held WHERE talk = ? AND author = ? AND word = ?"
        return self._file.execute(query, (talk, author, word)).fetchone() is not None

    def take_held(self, talk: str) -> tuple[Value, str, int] | None:
        """Take out a group's oldest item, with who brought it, and its length as JSON."""
        row = self._file.execute(
            "SELECT place, value, peer FROM held WHERE talk = ? ORDER BY place LIMIT 1", (talk,)
        ).fetchone()
        if row is None:
            return None
        place, value, peer = row
        self._file.execute("DELETE FROM held WHERE place = ?", (place,))
        return json.loads(value), peer, len(value)

    def foundings_by(self, peer: str) -> int:
        """Return for how many groups the founding is held that a person brought."""
        query = "SELECT count(*) FROM held WHERE peer = ? AND word = 'found'"
        return int(self._file.execute(query, (peer,)).fetchone()[0])

    def forget_held(self, talk: str) -> None:
        """Hold nothing for a group."""
        self._file.execute("DELETE FROM held WHERE talk = ?", (talk,))

    # -- recent: texts for new neighbours, without their words -------------------------------------------

    def note_recent(self, talk: str, entry_id: bytes, value: Value, most: int) -> None:
        """Keep a text's item; of each group the newest ``most``."""
        self._file.execute(
            "INSERT INTO recent (talk, entry_id, value) VALUES (?, ?, ?)", (talk, entry_id, json.dumps(value))
        )
        self._file.execute(
            "DELETE FROM recent WHERE talk = ? AND place <= "
            "(SELECT place FROM recent WHERE talk = ? ORDER BY place DESC LIMIT 1 OFFSET ?)",
            (talk, talk, most),
        )

    def recent(self, talk: str, size_max: int) -> list[tuple[Value, str]]:
        """Return the items that are still in the log and no longer than ``size_max``, newest first."""
        rows = self._file.execute(
            "SELECT recent.value, entry.text FROM recent JOIN entry "
            "ON entry.talk = recent.talk AND entry.item_id = recent.entry_id "
            "WHERE recent.talk = ? AND octet_length(entry.text) <= ? ORDER BY recent.place DESC",
            (talk, size_max),
        )
        return [(json.loads(value), text) for value, text in rows.fetchall()]

    def forget_recent(self, talk: str) -> None:
        """Keep no texts of a group for new neighbours."""
        self._file.execute("DELETE FROM recent WHERE talk = ?", (talk,))

    # -- ways: which of our texts go to whom --------------------------------------------------------------

    def begin_way(self, note_id: bytes, delivery: Delivery) -> None:
        """Keep that a text goes to a neighbour in a note."""
        self._file.execute(
            "INSERT INTO way VALUES (?, ?, ?, ?)", (note_id, delivery.key, delivery.entry_id, delivery.peer)
        )

    def way(self, note_id: bytes) -> Delivery | None:
        """Return which text is on its way in a note."""
        query = "SELECT talk, entry_id, peer FROM way WHERE note_id = ?"
        row = self._file.execute(query, (note_id,)).fetchone()
        return None if row is None else Delivery(*row)

    def end_way(self, note_id: bytes, delivery: Delivery) -> bool:
        """Forget a way; return whether it was its text's last."""
        self._file.execute("DELETE FROM way WHERE note_id = ?", (note_id,))
        query = "SELECT 1 FROM way WHERE talk = ? AND entry_id = ? LIMIT 1"
        return self._file.execute(query, (delivery.key, delivery.entry_id)).fetchone() is None

    def note_gone(self, talk: str, peer: str, *, delivers: bool) -> None:
        """Have all ways to somebody end, a few at a time; a text's last one ``delivers`` it, or does not."""
        self._file.execute("INSERT OR REPLACE INTO gone VALUES (?, ?, ?)", (talk, peer, int(delivers)))

    def end_gone(self, most: int) -> list[Delivery] | None:
        """End up to ``most`` ways of those, and return the texts now delivered; ``None``: there are none."""
        row = self._file.execute("SELECT talk, peer, delivers FROM gone LIMIT 1").fetchone()
        if row is None:
            return None
        talk, peer, delivers = row
        query = "SELECT note_id, entry_id FROM way WHERE talk = ? AND peer = ? LIMIT ?"
        ways = self._file.execute(query, (talk, peer, most)).fetchall()
        if not ways:
            self._file.execute("DELETE FROM gone WHERE talk = ? AND peer = ?", (talk, peer))
        ended = [(note_id, Delivery(talk, entry_id, peer)) for note_id, entry_id in ways]
        last = [delivery for note_id, delivery in ended if self.end_way(note_id, delivery)]
        return last if delivers else []
