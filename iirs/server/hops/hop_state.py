"""What a later hop must remember across restarts: which rounds are over, and which directory it signed."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iirs.directory import Directory
from iirs.errors import ConfigError, StoreError
from iirs.geometry import BatchKind
from iirs.noise import SETUPS_AT_ONCE

_STORED = (BatchKind.SETUP, BatchKind.INVITATION)
"""Of cells nothing is stored: without the keys in memory a restarted hop runs none."""
_FILE = "hop.json"
_FORMER = "CONVERSATION"
"""What the batch was called of which a setup takes the place."""
_FILE_SIZE = 512
"""Bytes, whatever it says: so it can be written anew in its place."""
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A directory head: how many entries, and the digest of all of them."""

    length: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Setups:
    """How many setups were left of the ration, and when (unix seconds)."""

    left: float
    stored_at: float


class HopState:
    """Kept in one small file, replaced as a whole; what a method sets is on disk when it returns.

    With ``folder`` None everything is in memory only, for tests and simulations.
    """

    def __init__(self, folder: Path | None, chain_id: bytes) -> None:
        """Raises ``ConfigError`` if the file is damaged: guessing would let a round be run twice."""
        self._path = None if folder is None else folder / _FILE
        self._chain_id = chain_id
        self.rounds = dict.fromkeys(_STORED, -1)
        self.setups = Setups(SETUPS_AT_ONCE, 0.0)
        self.announced = -1
        """The last round whose announcement was accepted."""
        self.witnessed = Witnessed(0, Directory(chain_id).digests[0])
        if self._path is not None and self._path.exists():
            try:
                self._take(json.loads(self._path.read_text("ascii")))
            except (OSError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
                raise ConfigError(
                    f"{_FILE} in the data directory is damaged or another chain's. Restore it from a copy, "
                    "or delete it while the chain is stopped: then the directory is signed from its start."
                ) from error

    def set_round(self, round_number: int, kind: BatchKind) -> None:
        """Remember that a batch of this round and kind has been accepted. Raises ``StoreError``."""
        self._set(rounds={**self.rounds, kind: round_number})

    def note_setup(self, round_number: int, left: float, now: float) -> None:
        """Remember that a setup was accepted, and how many are left at a time. Raises ``StoreError``."""
        self._set(rounds={**self.rounds, BatchKind.SETUP: round_number}, setups=Setups(left, now))

    def set_announced(self, round_number: int) -> None:
        """Remember that an announcement of this round has been accepted. Raises ``StoreError``."""
        self._set(announced=round_number)

    def forget_rounds(self) -> None:
        """Take every round for one that is still to come. Raises ``StoreError``.

        Nothing can be run twice for it: the keys of former rounds are gone with the process that had them.
        """
        self._set(rounds=dict.fromkeys(_STORED, -1), announced=-1)

    def extend(self, entries: Iterable[bytes]) -> None:
        """Go on to the head after ``entries``. Raises ``StoreError``, and then stays where it was."""
        length, digest = self.witnessed.length, self.witnessed.digest
        for entry in entries:
            length, digest = length + 1, Directory.next_digest(digest, entry)
        if length != self.witnessed.length:
            self._set(witnessed=Witnessed(length, digest))

    def _take(self, table: dict[str, Any]) -> None:
        if bytes.fromhex(table["chain"]) != self._chain_id:
            raise ValueError("another chain's state")
        rounds = table["rounds"]
        rounds.setdefault(BatchKind.SETUP.name, rounds.get(_FORMER))
        self.rounds = {kind: int(rounds[kind.name]) for kind in _STORED}
        self.setups = Setups(*map(float, table.get("setups", (SETUPS_AT_ONCE, 0.0))))
        if not (0 <= self.setups.left <= SETUPS_AT_ONCE and math.isfinite(self.setups.stored_at)):
            raise ValueError("no ration")
        self.announced = int(table["announced"])
        digest = bytes.fromhex(table["digest"])
        if len(digest) != hashlib.sha256().digest_size:
            raise ValueError("not a digest")
        self.witnessed = Witnessed(int(table["length"]), digest)

    def _set(
        self,
        rounds: dict[BatchKind, int] | None = None,
        announced: int | None = None,
        witnessed: Witnessed | None = None,
        setups: Setups | None = None,
    ) -> None:
        """Put on disk what is new, and then in memory: what is not on disk must be taken for not having been."""
        rounds = self.rounds if rounds is None else rounds
        announced = self.announced if announced is None else announced
        witnessed = self.witnessed if witnessed is None else witnessed
        setups = self.setups if setups is None else setups
        self._write(
            {
                "chain": self._chain_id.hex(),
                "rounds": {kind.name: number for kind, number in rounds.items()},
                "setups": [setups.left, setups.stored_at],
                "announced": announced,
                "length": witnessed.length,
                "digest": witnessed.digest.hex(),
            }
        )
        self.rounds, self.announced, self.witnessed, self.setups = rounds, announced, witnessed, setups

    def _write(self, table: dict[str, Any]) -> None:
        if self._path is None:
            return
        data = json.dumps(table).encode("ascii").ljust(_FILE_SIZE)
        try:
            try:
                _replace(self._path, data)
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                _overwrite(self._path, data)
        except OSError as error:
            raise StoreError(
                f"{_FILE} cannot be written, so no round is run: is the disk full, or the folder gone?"
            ) from error


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync_folder(path.parent)


def _overwrite(path: Path, data: bytes) -> None:
    """Write in place, which takes no room on a disk that is full; a power cut in the middle may damage it."""
    if path.stat().st_size != len(data):
        raise OSError(errno.ENOSPC, "another length would take room")
    before = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        try:
            file.write(data)
            os.fsync(file.fileno())
        except OSError:
            file.seek(0)
            file.write(before)
            raise


def _sync_folder(folder: Path) -> None:
    """Have a new name in ``folder`` outlive a power cut, where the system can be asked for that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
