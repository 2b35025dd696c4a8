"""What a client keeps on its machine: one encrypted SQLite file per account, and the pinned chains.

Every value is sealed with ChaCha20-Poly1305 under the account's storage key and bound to its place; row
names are keyed hashes, so the file names nobody. One owner thread.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from iirs.client.chat_session import OutgoingText
from iirs.errors import StoreError
from iirs.geometry import HASH_SIZE

_NONCE_SIZE = 12
_SQLITE_HEADER_SIZE = 100
_OWNER = b"owner"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS value (name BLOB PRIMARY KEY, sealed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT, peer BLOB NOT NULL, text_id BLOB UNIQUE NOT NULL,
    sealed BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS history (
    place INTEGER PRIMARY KEY AUTOINCREMENT, peer BLOB NOT NULL, text_id BLOB NOT NULL, sealed BLOB NOT NULL,
    UNIQUE (peer, text_id)
);
"""


class ClientStore:
    """Values by name, texts waiting to go, and texts that came or went. Changes last after ``commit``."""

    def __init__(self, path: Path | str, key: bytes) -> None:
        """Open or create the file. Raises ``StoreError`` if it is damaged or another account's."""
        self._cipher = ChaCha20Poly1305(key)
        self._name_key = hashlib.sha256(b"iirs/1 row names" + key).digest()
        try:
            if isinstance(path, Path):
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(path, check_same_thread=False, timeout=2)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                "This account's file on this machine cannot be opened: check its folder."
            ) from error
        try:
            self._prepare()
        except BaseException:
            self._db.close()  # some systems do not let an open file be set aside
            raise

    def _prepare(self) -> None:
        try:
            # One window an account and machine: two would step the same keys apart.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA secure_delete = ON")
            # An exclusive lock would leave the journal as it is, with what the last commit erased in it.
            self._db.execute("PRAGMA journal_mode = TRUNCATE")
            self._db.executescript(_SCHEMA)
            self._check_owner()
            self._db.commit()
        except sqlite3.OperationalError as error:
            raise StoreError(
                "This account's file on this machine cannot be opened: is it in use by another window?"
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreError("This account's file on this machine is damaged.") from error

    def _check_owner(self) -> None:
        # The one row whose name does not depend on the key: with another key it is there and does not open.
        row = self._execute("SELECT sealed FROM value WHERE name = ?", (_OWNER,)).fetchone()
        if row is not None:
            self._open(row[0], b"owner")
        # Written every time: only a write takes the lock that keeps a second window out.
        self._execute("INSERT OR REPLACE INTO value VALUES (?, ?)", (_OWNER, self._seal(1, b"owner")))

    def get(self, name: str, default: Any = None) -> Any:
        """Return a JSON value, or ``default``. Raises ``StoreError`` if it does not open."""
        row_name = self._row_name(name)
        row = self._execute("SELECT sealed FROM value WHERE name = ?", (row_name,)).fetchone()
        return default if row is None else self._open(row[0], b"value" + row_name)

    def set(self, name: str, value: Any) -> None:
        """Keep a JSON value."""
        row_name = self._row_name(name)
        sealed = self._seal(value, b"value" + row_name)
        self._execute("INSERT OR REPLACE INTO value VALUES (?, ?)", (row_name, sealed))

    def remove(self, name: str) -> None:
        """Forget a value."""
        self._execute("DELETE FROM value WHERE name = ?", (self._row_name(name),))

    def queue(self, peer: str, text: OutgoingText) -> None:
        """Keep a text until it is delivered, and in the history for good."""
        row_name = self._row_name(peer)
        value = [text.text, text.sent_at_ms]
        sealed = self._seal(value, b"outbox" + row_name + text.text_id)
        self._execute(
            "INSERT INTO outbox (peer, text_id, sealed) VALUES (?, ?, ?)", (row_name, text.text_id, sealed)
        )
        self._remember(row_name, text.text_id, [True, *value])

    def dequeue(self, text_id: bytes) -> None:
        """Forget a text that was delivered; the history keeps it."""
        self._execute("DELETE FROM outbox WHERE text_id = ?", (text_id,))

    def outbox(self, peer: str) -> Iterator[OutgoingText]:
        """Give the texts for ``peer`` that have not been delivered, oldest first."""
        row_name = self._row_name(peer)
        rows = self._execute("SELECT text_id, sealed FROM outbox WHERE peer = ? ORDER BY place", (row_name,))
        for text_id, sealed in rows.fetchall():
            text, sent_at_ms = self._open(sealed, b"outbox" + row_name + text_id)
            yield OutgoingText(text_id, text, sent_at_ms)

    def add_received(self, peer: str, text_id: bytes, text: str, sent_at_ms: int) -> None:
        """Keep a text that arrived."""
        self._remember(self._row_name(peer), text_id, [False, text, sent_at_ms])

    def has_text(self, peer: str, text_id: bytes) -> bool:
        """Return whether a text with this id has come from, or gone to, ``peer`` before."""
        query = "SELECT 1 FROM history WHERE peer = ? AND text_id = ?"
        return self._execute(query, (self._row_name(peer), text_id)).fetchone() is not None

    def history(self, peer: str, limit: int = 500) -> list[tuple[bytes, bool, str, int]]:
        """Return the last texts with ``peer``, oldest first: (id, outgoing, text, sent at in ms)."""
        row_name = self._row_name(peer)
        rows = self._execute(
            "SELECT text_id, sealed FROM history WHERE peer = ? ORDER BY place DESC LIMIT ?",
            (row_name, limit),
        ).fetchall()
        texts = [(text_id, *self._open(sealed, b"history" + row_name + text_id)) for text_id, sealed in rows]
        return texts[::-1]

    def commit(self) -> None:
        """Make all changes last. On return they are on disk. Raises ``StoreError``."""
        try:
            self._db.commit()
        except sqlite3.Error as error:
            raise StoreError(
                "This machine's disk does not take any more; nothing is sent until it does."
            ) from error

    def close(self) -> None:
        """Commit and let go of the file."""
        with suppress(sqlite3.Error):
            self._db.commit()
            self._db.close()

    def _execute(self, sql: str, values: tuple[bytes | int, ...]) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except sqlite3.Error as error:
            raise StoreError(
                "This account's file on this machine cannot be read or written: is the disk full?"
            ) from error

    def _remember(self, row_name: bytes, text_id: bytes, value: list[Any]) -> None:
        sealed = self._seal(value, b"history" + row_name + text_id)
        self._execute(
            "INSERT INTO history (peer, text_id, sealed) VALUES (?, ?, ?)", (row_name, text_id, sealed)
        )

    def _row_name(self, name: str) -> bytes:
        return hmac.digest(self._name_key, name.encode(), "sha256")

    def _seal(self, value: Any, place: bytes) -> bytes:
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, json.dumps(value).encode(), place)

    def _open(self, sealed: bytes, place: bytes) -> Any:
        try:
            return json.loads(self._cipher.decrypt(sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], place))
        except (InvalidTag, ValueError) as error:
            raise StoreError(
                "This account's file on this machine is damaged or another account's."
            ) from error


def open_store(path: Path, key: bytes) -> tuple[ClientStore, Path | None]:
    """Open an account's store; a damaged one is set aside under a new name, which is returned too.

    Raises ``StoreError`` if it is in use, or if it cannot be set aside.
    """
    try:
        return ClientStore(path, key), None
    except StoreError as error:
        if isinstance(error.__cause__, sqlite3.OperationalError | OSError):
            raise
    aside = path.with_suffix(f".damaged-{os.urandom(4).hex()}")
    try:
        path.rename(aside)
    except OSError as error:
        raise StoreError(
            "This account's file on this machine is damaged and cannot be moved away."
        ) from error
    return ClientStore(path, key), aside


class Pins:
    """Which chain was shown at which address, in a small SQLite file that several programs may share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, host: str, port: int) -> bytes | None:
        """Return the chain id pinned for an address. Raises ``StoreError`` if the file is damaged."""
        if not self._path.exists():
            return None
        with self._open() as database:
            query = "SELECT chain_id FROM pin WHERE address = ?"
            row = database.execute(query, (f"{host}:{port}",)).fetchone()
        if row is not None and not (isinstance(row[0], bytes) and len(row[0]) == HASH_SIZE):
            raise self._damaged()
        return None if row is None else row[0]

    def set(self, host: str, port: int, chain_id: bytes) -> None:
        """Pin a chain for an address. Raises ``StoreError`` if the file is damaged."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError("The folder for this program's files cannot be made.") from error
        with self._open() as database:
            database.execute("INSERT OR REPLACE INTO pin VALUES (?, ?)", (f"{host}:{port}", chain_id))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if self._path.exists() and 0 < self._path.stat().st_size < _SQLITE_HEADER_SIZE:
            raise self._damaged()  # SQLite would take such a file for an empty one
        try:
            with closing(sqlite3.connect(self._path, timeout=5)) as database, database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS pin (address TEXT PRIMARY KEY, chain_id BLOB NOT NULL)"
                )
                yield database
        except sqlite3.Error as error:
            raise self._damaged() from error

    def _damaged(self) -> StoreError:
        return StoreError(
            f"The file with the servers you have used ({self._path.name}) is damaged or cannot be used: "
            "ask for a join link with a # in it, then delete the file."
        )
