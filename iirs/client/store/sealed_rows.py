"""``SealedRows``: an account's file as it was before SQLCipher, read and never written.

A plain SQLite file. Every value is sealed by itself with ChaCha20-Poly1305 under the account's storage key,
bound to its place; the names of the rows, also people's, are keyed hashes: a name that is known can be found.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from iirs.client.store.encrypted_file import StoreDamagedError
from iirs.client.store.log_entry import EntryKind, LogEntry, TextState
from iirs.errors import StoreError

_HEADER = b"SQLite format 3\0"
_NONCE_SIZE = 12
_OWNER = b"owner"
_TABLES = {"value", "outbox", "history"}


class StoreKeysError(StoreError):
    """The file is whole and under other keys."""


class SealedRows:
    """An open file of the earlier form. Until ``close`` nobody else can open it."""

    def __init__(self, path: Path, key: bytes, me: str) -> None:
        """``me`` is the account's name, under which its texts are logged.

        Raises ``StoreKeysError`` if the file is not under ``key``, ``StoreDamagedError`` if it is damaged,
        ``StoreError`` if it is in use.
        """
        self._me = me
        self._cipher = ChaCha20Poly1305(key)
        self._name_key = hashlib.sha256(b"iirs/1 row names" + key).digest()
        with _naming_failures():
            self._db = sqlite3.connect(path, timeout=2)
        try:
            with _naming_failures():
                self._db.execute("BEGIN EXCLUSIVE")  # what writes this form must not have it open, too
            self._check_owner()
        except BaseException:
            self._db.close()  # some systems do not let an open file be set aside
            raise

    def _check_owner(self) -> None:
        row = self._row("SELECT sealed FROM value WHERE name = ?", (_OWNER,))
        if row is None or self._open(row[0], (_OWNER,)) is not None:
            return
        # A row of the right name shows the right key, whatever happened to the owner's.
        if all(self.get(name) is None for name in ("head", "last_round", "conversations")):
            raise StoreKeysError("This account's file on this machine belongs to other keys.")

    def get(self, name: str) -> Any:
        """Return a JSON value, or ``None`` if it is not there or does not open."""
        row_name = self._row_name(name)
        row = self._row("SELECT sealed FROM value WHERE name = ?", (row_name,))
        return None if row is None else self._open(row[0], (b"value", row_name))

    def entries(self) -> Iterator[LogEntry | None]:
        """Give what was said, oldest first; ``None`` stands for what does not open or cannot be named."""
        kept = self.get("conversations")
        names = {self._row_name(name): name for name in kept or [] if isinstance(name, str)}
        with _naming_failures():
            waiting = {row[0] for row in self._db.execute("SELECT text_id FROM outbox")}
            for row_name, text_id, sealed in self._db.execute(
                "SELECT peer, text_id, sealed FROM history ORDER BY place"
            ):
                value = self._open(sealed, (b"history", row_name, text_id))
                peer = names.get(row_name)
                yield None if value is None or peer is None else self._entry(peer, text_id, value, waiting)

    def _entry(self, peer: str, text_id: bytes, value: list[Any], waiting: set[bytes]) -> LogEntry:
        outgoing, text, sent_at_ms = value
        state = TextState.FAILED if text_id in waiting else TextState.DELIVERED
        return LogEntry(
            peer,
            text_id,
            EntryKind.TEXT,
            outgoing,
            self._me if outgoing else peer,
            text,
            sent_at_ms,
            state if outgoing else None,
        )

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _row(self, sql: str, values: tuple[bytes, ...]) -> Any:
        with _naming_failures():
            return self._db.execute(sql, values).fetchone()

    def _row_name(self, name: str) -> bytes:
        return hmac.digest(self._name_key, name.encode(), "sha256")

    def _open(self, sealed: bytes, place: tuple[bytes, ...]) -> Any:
        try:
            nonce, rest = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
            return json.loads(self._cipher.decrypt(nonce, rest, b"".join(place)))
        except (InvalidTag, ValueError, TypeError):  # a damaged row may hold anything
            return None


def has_sealed_rows(path: Path) -> bool:
    """Return whether this file is of the earlier form, whole or not: SQLCipher's have no plain header."""
    try:
        with path.open("rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                return False
        with closing(sqlite3.connect(path, timeout=2)) as database:
            found = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
    except sqlite3.OperationalError:
        return True  # in use: whoever opens it says so
    except (OSError, sqlite3.Error):
        return False
    return found >= _TABLES


@contextmanager
def _naming_failures() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StoreError(
            "This account's file on this machine cannot be opened: is it in use by another iirs?"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreDamagedError(
            "This account's file on this machine is damaged or another account's."
        ) from error
