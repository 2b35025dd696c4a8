"""``EncryptedFile``: one SQLCipher database under a key: every page is encrypted and authenticated.

The journal too. What is seen from outside is the file's size, and when it was written. One owner thread.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sqlcipher3 import dbapi2 as sqlcipher

from iirs.errors import StoreError


class StoreDamagedError(StoreError):
    """The file is damaged or under another key: set it aside, and begin a new one."""


class EncryptedFile:
    """An open database file, for whoever keeps something in it. Changes last after ``commit``."""

    def __init__(self, path: Path | str, key: bytes, schema: str) -> None:
        """Open or create the file and run the statements of ``schema``, the last of which must write.

        Only a write takes the lock that keeps a second window out.
        Raises ``StoreDamagedError`` if it does not open with this key, ``StoreError`` if it is in use.
        """
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
            self._prepare(key, schema)
        except BaseException:
            self._db.close()  # some systems do not let an open file be set aside
            raise

    def _prepare(self, key: bytes, schema: str) -> None:
        try:
            self._db.execute("PRAGMA cipher_log_level = NONE")
            self._db.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
            # One window an account and machine: two would step the same keys apart.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA secure_delete = ON")
            # An exclusive lock would leave the journal as it is, with what the last commit erased in it.
            self._db.execute("PRAGMA journal_mode = TRUNCATE")
            self._db.executescript(schema)
            in_memory = not self._db.execute("PRAGMA database_list").fetchone()[2]
            if not in_memory and self._db.execute("PRAGMA cipher_integrity_check").fetchone() is not None:
                raise sqlcipher.DatabaseError("a page that is not as it was written")
        except sqlcipher.OperationalError as error:
            raise StoreError(
                "This account's file on this machine cannot be opened: is it in use by another window?"
            ) from error
        except sqlcipher.DatabaseError as error:
            raise StoreDamagedError(
                "This account's file on this machine is damaged or another account's."
            ) from error

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> sqlcipher.Cursor:
        """Run one statement. Raises ``StoreError`` if the file cannot be read or written."""
        try:
            return self._db.execute(sql, values)
        except (sqlcipher.Error, OverflowError, ValueError) as error:
            raise StoreError(
                "This account's file on this machine cannot be read or written: is the disk full?"
            ) from error

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
