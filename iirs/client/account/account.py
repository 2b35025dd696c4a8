"""Who is logged in, and what a session with the entry begins with: the values an ``Engine`` is given."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from iirs.chain import Chain
from iirs.directory import Directory, Entry, Head
from iirs.errors import DirectoryError
from iirs.geometry import RandomBytes
from iirs.identity import Identity
from iirs.onion import EntryChannel
from iirs.wire.accounts import NO_TICKET, AccountRecord, login_ticket


@dataclass(frozen=True, slots=True)
class Account:
    """A person as this machine knows them after logging in."""

    name: str
    chain: Chain
    identity: Identity = field(repr=False)
    login_secret: bytes = field(repr=False)
    ticket: bytes = field(default=NO_TICKET, repr=False)
    """What this machine shows at a login to be told from whoever guesses; see ``login_ticket``."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What the engine takes from outside, so that a test can own it."""

    clock: Callable[[], float] = time.time
    random_bytes: RandomBytes = os.urandom
    monotonic: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class SessionStart:
    """What login gives: the account's record, the entry channel, the directory, epoch keys, prekeys."""

    record: AccountRecord
    channel: EntryChannel
    head: Head
    entries: list[bytes] = field(repr=False)
    epoch_keys: bytes = field(repr=False)
    prekeys: list[bytes] = field(repr=False)

    def checked_directory(self, chain: Chain, name: str) -> Directory:
        """Return the directory, verified, with ``name`` where the server said.

        Raises ``DirectoryError``, ``ChainError``.
        """
        directory = Directory(chain.chain_id)
        directory.extend(0, self.entries, self.head, chain)
        self.own_entry(directory, name)
        return directory

    def ticket(self, chain: Chain) -> bytes:
        """Return the ticket for the next login."""
        return login_ticket(chain.chain_id, self.record.vault)

    def own_entry(self, directory: Directory, name: str) -> Entry:
        """Return the entry at the account's position. Raises ``DirectoryError`` if it is not ``name``'s."""
        position = self.record.position
        if position >= len(directory) or directory.entries[position].name != name:
            raise DirectoryError("The server's list of people does not have this account where it said.")
        return directory.entries[position]
