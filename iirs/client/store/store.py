"""What a client keeps on its machine: one encrypted SQLite file per account, and the pinned chains.

The file is an SQLCipher database under the account's storage key: every page is encrypted and authenticated,
the journal too. What is seen from outside is its size, and when it was written. One owner thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlcipher

from iirs.client.store.history import SHELF_SCHEMA, Shelf
from iirs.client.store.log_entry import Item, ItemKind
from iirs.errors import StoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS value (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT, peer TEXT NOT NULL, item_id BLOB NOT NULL, part INTEGER NOT NULL,
    parts INTEGER NOT NULL, kind INTEGER NOT NULL, sent_at_ms INTEGER NOT NULL, data BLOB NOT NULL,
    UNIQUE (peer, item_id, part)
);
"""


class ClientStore(Shelf):
    """Values by name, items waiting to go, and (``Shelf``) what was said. Changes last after ``commit``."""

    def __init__(self, path: Path | str, key: bytes) -> None:
        """Open or create the file. Raises ``StoreError`` if it is damaged or another account's."""
        try:
            if isinstance(path, Path):
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlcipher.connect(path, check_same_thread=False, timeout=2)
        except (sqlcipher.Error, OSError) as error:
            raise StoreError(
                "This account's file on this machine cannot be opened: check its folder."
            ) from error
        try:
            self._prepare(key)
        except BaseException:
            self._db.close()  # some systems do not let an open file be set aside
            raise

    def _prepare(self, key: bytes) -> None:
        try:
            self._db.execute("PRAGMA cipher_log_level = NONE")
            self._db.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
            # One window an account and machine: two would step the same keys apart.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA secure_delete = ON")
            # An exclusive lock would leave the journal as it is, with what the last commit erased in it.
            self._db.execute("PRAGMA journal_mode = TRUNCATE")
            self._db.executescript(_SCHEMA + SHELF_SCHEMA)
            # Only a write takes the lock that keeps a second window out.
            self._db.execute("INSERT OR REPLACE INTO value VALUES ('', '1')")
            self._db.commit()
            in_memory = not self._db.execute("PRAGMA database_list").fetchone()[2]
            if not in_memory and self._db.execute("PRAGMA cipher_integrity_check").fetchone() is not None:
                raise StoreError("This account's file on this machine is damaged or another account's.")
        except sqlcipher.OperationalError as error:
            raise StoreError(
                "This account's file on this machine cannot be opened: is it in use by another window?"
            ) from error
        except sqlcipher.DatabaseError as error:
            raise StoreError(
                "This account's file on this machine is damaged or another account's."
            ) from error

    # -- values ---------------------------------------------------------------------------------------

    def get(self, name: str, default: Any = None) -> Any:
        """Return a JSON value, or ``default``. Raises ``StoreError``."""
        row = self._execute("SELECT value FROM value WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def values(self, prefix: str) -> dict[str, Any]:
        """Return the values whose names begin with ``prefix``, by name."""
        rows = self._execute("SELECT name, value FROM value WHERE name >= ? ORDER BY name", (prefix,))
        found = {}
        for name, value in rows:
            if not name.startswith(prefix):
                break
            found[name] = json.loads(value)
        return found

    def set(self, name: str, value: Any) -> None:
        """Keep a JSON value."""
        self._execute("INSERT OR REPLACE INTO value VALUES (?, ?)", (name, json.dumps(value)))

    def remove(self, name: str) -> None:
        """Forget a value."""
        self._execute("DELETE FROM value WHERE name = ?", (name,))

    # -- outbox ---------------------------------------------------------------------------------------

    def queue(self, peer: str, item: Item) -> None:
        """Keep an item for ``peer`` until it is delivered."""
        self._execute(
            "INSERT INTO outbox (peer, item_id, part, parts, kind, sent_at_ms, data) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (peer, item.item_id, item.part, item.parts, int(item.kind), item.sent_at_ms, item.data),
        )

    def dequeue(self, peer: str, item_id: bytes, part: int = 0) -> None:
        """Forget an item that was delivered."""
        self._execute("DELETE FROM outbox WHERE peer = ? AND item_id = ? AND part = ?", (peer, item_id, part))

    def outbox(self, peer: str) -> Iterator[Item]:
        """Give the items for ``peer`` that have not been delivered, oldest first."""
        rows = self._execute(
            "SELECT item_id, kind, data, sent_at_ms, part, parts FROM outbox WHERE peer = ? ORDER BY place",
            (peer,),
        )
        for item_id, kind, *rest in rows.fetchall():
            yield Item(item_id, ItemKind(kind), *rest)

    # -- the file -------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Make all changes last. On return they are on disk. Raises ``StoreError``."""
        try:
            self._db.commit()
        except sqlcipher.Error as error:
            raise StoreError(
                "This machine's disk does not take any more; nothing is sent until it does."
            ) from error

    def undo(self) -> None:
        """Take back what was not committed."""
        with suppress(sqlcipher.Error):
            self._db.rollback()

    def close(self) -> None:
        """Commit and let go of the file."""
        with suppress(sqlcipher.Error):
            self._db.commit()
            self._db.close()


def open_store(path: Path, key: bytes) -> tuple[ClientStore, Path | None]:
    """Open an account's store; a damaged one is set aside under a new name, which is returned too.

    Raises ``StoreError`` if it is in use, or if it cannot be set aside.
    """
    try:
        return ClientStore(path, key), None
    except StoreError as error:
        if isinstance(error.__cause__, sqlcipher.OperationalError | OSError):
            raise
    aside = path.with_suffix(f".damaged-{os.urandom(4).hex()}")
    try:
        path.rename(aside)
    except OSError as error:
        raise StoreError(
            "This account's file on this machine is damaged and cannot be moved away."
        ) from error
    return ClientStore(path, key), aside
