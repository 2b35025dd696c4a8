"""Which chain was shown at which address."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from iirs.errors import StoreError
from iirs.geometry import HASH_SIZE

_SQLITE_HEADER_SIZE = 100


class Pins:
    """Which chain was shown at which address, in a small SQLite file that several programs may share."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, host: str, port: int) -> bytes | None:
        """Return the chain id pinned for an address. Raises ``StoreError`` if the file is damaged."""
        if not self._path.exists():
            return self._earlier(host, port)
        with self._open() as database:
            query = "SELECT chain_id FROM pin WHERE address = ?"
            row = database.execute(query, (f"{host}:{port}",)).fetchone()
        if row is not None and not (isinstance(row[0], bytes) and len(row[0]) == HASH_SIZE):
            raise self._damaged(self._path)
        return self._earlier(host, port) if row is None else row[0]

    def _earlier(self, host: str, port: int) -> bytes | None:
        """Return what an earlier program pinned, in a JSON file beside: no address is taken on trust anew."""
        path = self._path.with_suffix(".json")
        try:
            pins = {str(address).lower(): value for address, value in json.loads(path.read_bytes()).items()}
            kept = pins.get(f"{host}:{port}".lower())
            chain_id = None if kept is None else bytes.fromhex(kept)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise self._damaged(path) from error
        if chain_id is not None and len(chain_id) != HASH_SIZE:
            raise self._damaged(path)
        return chain_id

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
            raise self._damaged(self._path)  # SQLite would take such a file for an empty one
        try:
            with closing(sqlite3.connect(self._path, timeout=5)) as database, database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS pin (address TEXT PRIMARY KEY, chain_id BLOB NOT NULL)"
                )
                yield database
        except sqlite3.Error as error:
            raise self._damaged(self._path) from error

    def _damaged(self, path: Path) -> StoreError:
        return StoreError(
            "The file with the servers you have used ({name}) is damaged or cannot be used: "
            "ask for a join link with a # in it, then delete the file.",
            name=path.name,
        )
