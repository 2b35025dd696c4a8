"""What a client keeps on its machine of one account, in one file under the account's storage key.

Values and items waiting to go are here; ``history`` holds what was said, ``incoming`` what has come and is
not taken in yet, ``groups`` what groups keep. One owner thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from iirs.client.store.encrypted_file import EncryptedFile
from iirs.client.store.formats import FORMAT, convert
from iirs.client.store.group_tables import GROUP_SCHEMA, GroupTables
from iirs.client.store.history import HISTORY_SCHEMA, History
from iirs.client.store.incoming import INCOMING_SCHEMA, Incoming
from iirs.client.store.log_entry import Item, ItemKind
from iirs.errors import StoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS value (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT, peer TEXT NOT NULL, item_id BLOB NOT NULL, part INTEGER NOT NULL,
    parts INTEGER NOT NULL, kind INTEGER NOT NULL, sent_at_ms INTEGER NOT NULL, data BLOB NOT NULL,
    UNIQUE (peer, item_id, part)
);
CREATE INDEX IF NOT EXISTS outbox_by_peer ON outbox (peer, place);
"""
_ROOM_WANTED = 64 * 1024
"""So many bytes must fit before a disk that was full counts as having room again."""
_LOCK = "INSERT OR REPLACE INTO value VALUES ('', '1');"


class ClientStore:
    """Values by name, items waiting to go, and what was said. Changes last after ``commit``."""

    def __init__(self, path: Path | str, key: bytes) -> None:
        """Open or create the file.

        Raises ``StoreDamagedError`` if it is damaged or another account's, ``StoreError`` if it is in use or
        a newer program's, and then it stays as it is.
        """
        schema = _SCHEMA + HISTORY_SCHEMA + INCOMING_SCHEMA + GROUP_SCHEMA + _LOCK
        self._file = EncryptedFile(path, key, schema, FORMAT)
        try:
            convert(self._file)
        except BaseException:
            self._file.undo()
            self._file.close()
            raise
        self.history = History(self._file)
        """Entries of all logs, and the files; ``commit`` makes its changes last too, as those below."""
        self.incoming = Incoming(self._file)
        self.groups = GroupTables(self._file)

    # -- values ---------------------------------------------------------------------------------------

    def get(self, name: str, default: Any = None) -> Any:
        """Return a JSON value, or ``default``. Raises ``StoreError``."""
        row = self._file.execute("SELECT value FROM value WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def values(self, prefix: str) -> dict[str, Any]:
        """Return the values whose names begin with ``prefix``, by name."""
        rows = self._file.execute("SELECT name, value FROM value WHERE name >= ? ORDER BY name", (prefix,))
        found = {}
        for name, value in rows:
            if not name.startswith(prefix):
                break
            found[name] = json.loads(value)
        return found

    def set(self, name: str, value: Any) -> None:
        """Keep a JSON value."""
        self._file.execute("INSERT OR REPLACE INTO value VALUES (?, ?)", (name, json.dumps(value)))

    def remove(self, name: str) -> None:
        """Forget a value."""
        self._file.execute("DELETE FROM value WHERE name = ?", (name,))

    # -- outbox ---------------------------------------------------------------------------------------

    def queue(self, peer: str, item: Item) -> None:
        """Keep an item for ``peer`` until it is delivered."""
        self._file.execute(
            "INSERT INTO outbox (peer, item_id, part, parts, kind, sent_at_ms, data) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (peer, item.item_id, item.part, item.parts, int(item.kind), item.sent_at_ms, item.data),
        )

    def dequeue(self, peer: str, item_id: bytes, part: int = 0) -> None:
        """Forget an item that was delivered."""
        self._file.execute(
            "DELETE FROM outbox WHERE peer = ? AND item_id = ? AND part = ?", (peer, item_id, part)
        )

    def has_outbox(self, peer: str) -> bool:
        """Return whether anything for ``peer`` has not been delivered."""
        query = "SELECT 1 FROM outbox WHERE peer = ? LIMIT 1"
        return self._file.execute(query, (peer,)).fetchone() is not None

    def outbox(self, peer: str) -> Iterator[Item]:
        """Give the items for ``peer`` that have not been delivered, oldest first."""
        rows = self._file.execute(
            "SELECT item_id, kind, data, sent_at_ms, part, parts FROM outbox WHERE peer = ? ORDER BY place",
            (peer,),
        )
        for item_id, kind, *rest in rows.fetchall():
            yield Item(item_id, ItemKind(kind), *rest)

    # -- the file -------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Make all changes last. On return they are on disk. Raises ``StoreError``."""
        self._file.commit()

    def undo(self) -> None:
        """Take back what was not committed."""
        self._file.undo()
        self.incoming.forget()

    def pause(self) -> None:
        """Take back what was not committed, and refuse any change with ``StoreFullError`` from now on."""
        self._file.pause()
        self.incoming.forget()

    def resume(self) -> None:
        """Take changes again. Raises ``StoreFullError`` if there is no room yet for a fair number of them."""
        self._file.resume()
        for filling in ("." * _ROOM_WANTED, "1"):
            self.set("", filling)
            self.commit()

    def close(self) -> None:
        """Commit, erase what is still to be erased, and let go of the file."""
        with suppress(StoreError):
            while self.history.erase() is not None:
                pass
        self._file.close()
