"""``EncryptedFile``: one SQLCipher database under a key: every page is encrypted and authenticated.

The journal too. What is seen from outside is the file's size, and when it was written. One owner thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlcipher

from iirs.errors import StoreError

CHECKED_AT_ONCE = 32 * 1024 * 1024
"""A file of up to so many bytes is checked whole when it is opened, in a fraction of a second."""
SUSPECT = ".check"
"""Ends the name of a file that lies beside one of which a damaged page was read."""


class StoreDamagedError(StoreError):
    """The file is damaged or under another key: set it aside, and begin a new one."""


class StoreFullError(StoreError):
    """The disk takes nothing for now: send nothing that has to be kept, and try again later."""


_DISK_CODES = frozenset({8, 10, 13, 14})
"""SQLite's READONLY, IOERR, FULL and CANTOPEN: not the file is at fault, but what it lies on."""


def _is_of_the_disk(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK_CODES


def _full() -> StoreFullError:
    return StoreFullError(
        "This machine's disk takes no more, so nothing is sent for now. "
        "What you write stays here; sending goes on by itself once there is room."
    )


class Rows:
    """What a statement gives. Reading may find a damaged page too, and raises ``StoreError`` like running."""

    def __init__(self, cursor: sqlcipher.Cursor, naming: Callable[[], AbstractContextManager[None]]) -> None:
        self._cursor = cursor
        self._naming_failures = naming
        self.rowcount: int = cursor.rowcount
        """How many rows the statement changed."""

    def fetchone(self) -> Any:
        """Return the next row, or ``None``."""
        with self._naming_failures():
            return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        with self._naming_failures():
            return list(self._cursor.fetchall())

    def __iter__(self) -> Iterator[Any]:
        """Give the rows that are left, one by one."""
        while (row := self.fetchone()) is not None:
            yield row


class EncryptedFile:
    """An open database file, for whoever keeps something in it. Changes last after ``commit``."""

    def __init__(self, path: Path | str, key: bytes, schema: str, newest: int) -> None:
        """Open or create the file and run the statements of ``schema``, the last of which must write.

        Only a write takes the lock that keeps a second window out. Of a large file the pages are checked as
        they are read, unless one was found damaged before: opening must not take the longer the larger it is.
        ``newest`` is the highest number of a form (``user_version``) that is understood.
        Raises ``StoreDamagedError`` if it does not open with this key, ``StoreError`` if it is in use or of a
        newer form; then nothing is written.
        """
        self._path = path if isinstance(path, Path) else None
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
            self._prepare(key, schema, newest)
        except BaseException:
            self._db.close()  # some systems do not let an open file be set aside
            raise

    def _prepare(self, key: bytes, schema: str, newest: int) -> None:
        try:
            self._db.execute("PRAGMA cipher_log_level = NONE")
            self._db.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
            if self.form() > newest:
                raise StoreError(
                    "This account's file on this machine was written by a newer iirs: use that one."
                )
            # One window an account and machine: two would step the same keys apart.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA secure_delete = ON")
            # An exclusive lock would leave the journal as it is, with what the last commit erased in it.
            self._db.execute("PRAGMA journal_mode = TRUNCATE")
            self._db.executescript(schema)
            if (
                self._must_check()
                and self._db.execute("PRAGMA cipher_integrity_check").fetchone() is not None
            ):
                raise sqlcipher.DatabaseError("a page that is not as it was written")
        except sqlcipher.OperationalError as error:
            if _is_of_the_disk(error):
                raise StoreFullError(
                    "This account's file on this machine cannot be written: is the disk full?"
                ) from error
            raise StoreError(
                "This account's file on this machine cannot be opened: is it in use by another iirs?"
            ) from error
        except sqlcipher.DatabaseError as error:
            raise StoreDamagedError(
                "This account's file on this machine is damaged or another account's."
            ) from error

    def form(self) -> int:
        """Return the number of the form that the file says it has; 0 if it is new."""
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _must_check(self) -> bool:
        if self._path is None:
            return False
        mark = self._path.with_suffix(SUSPECT)
        is_suspect = mark.exists()
        mark.unlink(missing_ok=True)
        return is_suspect or self._path.stat().st_size <= CHECKED_AT_ONCE

    def _suspect(self, error: Exception) -> None:
        """Have the whole file checked when it is opened next, if a page of it was damaged."""
        if type(error) is sqlcipher.DatabaseError and self._path is not None:
            with suppress(OSError):
                self._path.with_suffix(SUSPECT).touch()

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> Rows:
        """Run one statement. Raises ``StoreError`` if the file cannot be read or written."""
        with self._naming_failures():
            return Rows(self._db.execute(sql, values), self._naming_failures)

    @contextmanager
    def _naming_failures(self) -> Iterator[None]:
        try:
            yield
        except (sqlcipher.Error, OverflowError, ValueError) as error:
            if _is_of_the_disk(error):
                raise _full() from error
            self._suspect(error)
            raise StoreError(
                "This account's file on this machine cannot be read or written: is the disk full?"
            ) from error

    def commit(self) -> None:
        """Make all changes last. On return they are on disk. Raises ``StoreError``."""
        with self._naming_failures():
            self._db.commit()

    def undo(self) -> None:
        """Take back what was not committed."""
        with suppress(sqlcipher.Error):
            self._db.rollback()

    def pause(self) -> None:
        """Take back what was not committed, and refuse any change with ``StoreFullError`` from now on."""
        self.undo()
        self._db.execute("PRAGMA query_only = ON")

    def resume(self) -> None:
        """Take changes again."""
        self.undo()
        self._db.execute("PRAGMA query_only = OFF")

    def close(self) -> None:
        """Commit and let go of the file."""
        with suppress(sqlcipher.Error):
            self._db.commit()
            self._db.close()
