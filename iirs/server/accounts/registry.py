"""Registration, login and the server's side of the directory."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from dataclasses import replace

from iirs.chain import Chain
from iirs.directory import Directory, Entry, Head
from iirs.errors import AccountError, ConfigError, DirectoryError, HopError, StorageError
from iirs.geometry import DIRECTORY_INCREMENT_MAX, VAULT_SIZE, RandomBytes
from iirs.server.accounts.database import Storage, StoredAccount
from iirs.server.accounts.database_thread import DatabaseThread
from iirs.server.accounts.guesses import Attempt, Guesses
from iirs.server.accounts.rate_limit import RateLimit
from iirs.server.hops.preparer import Increment
from iirs.wire.accounts import AccountRecord, Errand, ErrandKind, Login, Registration, Result, login_ticket
from iirs.wire.limits import MAX_ENTRIES

_SALT_SIZE = 16


class _FullError(AccountError):
    """No more names can be registered."""


class Accounts:
    """Who is registered. Safe from any thread; one lock, never held while anything is sent or stored.

    Changes are made in the database's thread, one after the other: stored first, then so in memory.
    """

    def __init__(
        self,
        chain: Chain,
        storage: Storage,
        database: DatabaseThread,
        sign_alone: Callable[[int, bytes], Head] | None,
        random_bytes: RandomBytes,
        *,
        registrations: RateLimit,
        guesses: Guesses,
        changes: RateLimit,
    ) -> None:
        """Load the directory. ``sign_alone`` signs a head in a chain of one; it is ``None`` in a longer one.

        ``registrations`` is by place, ``changes`` by account.

        Raises ``ConfigError`` if the database is not this chain's.
        """
        self._chain = chain
        self._storage = storage
        self._database = database
        self._sign_alone = sign_alone
        self._random_bytes = random_bytes
        self._registrations = registrations
        self._guesses = guesses
        self._changes = changes
        self._lock = threading.Lock()
        self._directory = Directory(chain.chain_id)
        self._accounts: dict[str, StoredAccount] = {}
        self._last_rounds: dict[int, int] = {}
        for account in storage.accounts():
            self._append(account)
        # What was announced before a restart is not known any more: a client that holds less logs in anew.
        self._published = len(self._directory)
        self._head: Head | None = None

    def _append(self, account: StoredAccount) -> None:
        """Take a stored account into memory. Raises ``ConfigError`` if it is not this chain's next one."""
        try:
            if account.position != len(self._directory):
                raise DirectoryError("an account is missing")
            self._directory.append(Entry.parse(self._chain.chain_id, account.entry))
        except DirectoryError as error:
            raise ConfigError(
                "The database is damaged or another chain's: check --database-url and --data-dir."
            ) from error
        self._accounts[account.name] = account
        self._last_rounds[account.position] = account.last_round

    @property
    def is_full(self) -> bool:
        """Whether nobody can register any more: a longer directory would be refused by every client."""
        return len(self._directory) >= MAX_ENTRIES

    def register(self, registration: Registration, place: str) -> Result:
        """Take in a new account, or say why not. ``place`` is what the client's address counts as."""
        with self._lock:
            if self.is_full or not self._registrations.allow(place):
                return Result.TOO_MANY
            try:
                entry = Entry.parse(self._chain.chain_id, registration.entry)
            except DirectoryError:
                return Result.INVALID
            if entry.name in self._accounts:
                return Result.NAME_TAKEN
        try:
            self._database.ask(
                lambda: self._store(entry, registration),
                then=self._take_in,
                undo=lambda account: self._storage.remove_from(account.position),
            )
        except StorageError:
            return Result.NOT_NOW
        except _FullError:
            return Result.TOO_MANY
        except AccountError:
            return Result.NAME_TAKEN
        return Result.OK

    def _store(self, entry: Entry, registration: Registration) -> StoredAccount:
        """Store a new account. Raises ``AccountError`` if its name is taken, or all are."""
        with self._lock:  # again: while this one waited, others were stored
            position, is_taken = len(self._directory), entry.name in self._accounts
            if self.is_full:
                raise _FullError
        if is_taken:
            raise AccountError("That name is taken.")
        salt = self._random_bytes(_SALT_SIZE)
        hashed = _secret_hash(salt, registration.login_secret)
        account = StoredAccount(position, entry.name, entry.raw, salt, hashed, registration.vault)
        try:
            self._storage.add(account)
        except AccountError:
            # There is one that was stored although the database seemed to fail: whose it is was told "not
            # now", may have thrown the keys away since, and has to be able to try again.
            self._storage.remove_from(position)
            self._storage.add(account)
        return account

    def _take_in(self, account: StoredAccount) -> None:
        with self._lock:
            self._append(account)

    def login(self, login: Login, place: str) -> tuple[Result, AccountRecord | None]:
        """Check a login secret; return the account's record if it is right.

        ``place`` is what the client's address counts as: the address, or a network that is one line's.
        """
        with self._lock:
            account = self._accounts.get(login.name)
            attempt = Attempt(login.name, place, self._has_ticket(account, login), account is not None)
            if not self._guesses.may_try(attempt):
                return Result.TOO_MANY, None
            if account is None:
                self._guesses.note_wrong(attempt)
                return Result.UNKNOWN_NAME, None
            if not account.secret_hash:
                return Result.DELETED, None
            given = _secret_hash(account.salt, login.login_secret)
            if not hmac.compare_digest(account.secret_hash, given):
                self._guesses.note_wrong(attempt)
                return Result.WRONG_PASSWORD, None
            self._guesses.note_right(attempt)
            last_round = self._last_rounds[account.position]
        return Result.OK, AccountRecord(account.position, last_round, account.vault)

    def _has_ticket(self, account: StoredAccount | None, login: Login) -> bool:
        # Of a deleted account the vault is known to everybody: its ticket is worth nothing.
        if account is None or not account.secret_hash:
            return False
        return hmac.compare_digest(login_ticket(self._chain.chain_id, account.vault), login.ticket)

    def took_part(self, position: int, round_number: int) -> None:
        """Remember the last round in which an account took part; an earlier one changes nothing."""
        # A replaced connection may end after the newer one, with less to say.
        with self._lock:
            if round_number <= self._last_rounds[position]:
                return
            self._last_rounds[position] = round_number
        self._database.keep_taken_part(position, round_number)

    def do_errand(self, position: int, errand: Errand) -> bool:
        """Give an account a new password, or delete it: only its name and public keys stay.

        Repeated, it changes nothing and writes nothing. Returns False if the account is deleted already, and
        a password was to be set. Raises ``StorageError`` if it cannot be stored now, and ``AccountError`` if
        passwords of this account were set too often just now.
        """
        return self._database.ask(lambda: self._change(position, errand))

    def _change(self, position: int, errand: Errand) -> bool:
        with self._lock:
            account = self._accounts[self._directory.entries[position].name]
        if errand.kind is ErrandKind.DELETE:
            changed = replace(account, salt=b"", secret_hash=b"", vault=bytes(VAULT_SIZE))
        elif not account.secret_hash:
            return False
        elif account.vault == errand.vault and hmac.compare_digest(
            account.secret_hash, _secret_hash(account.salt, errand.login_secret)
        ):
            return True
        else:
            with self._lock:
                if not self._changes.allow(account.name):
                    raise AccountError("This account was changed too often. Try again in a few minutes.")
            salt = self._random_bytes(_SALT_SIZE)
            fresh = _secret_hash(salt, errand.login_secret)
            changed = replace(account, salt=salt, secret_hash=fresh, vault=errand.vault)
        if changed != account:
            self._storage.change(changed)
            with self._lock:
                self._accounts[account.name] = changed
        return True

    def entry(self, position: int) -> Entry:
        """Return the entry at a position. Raises ``IndexError`` if there is none."""
        with self._lock:
            return self._directory.entries[position]

    def current_head(self) -> Head:
        """Return the signed head up to which a new session is to be told the directory.

        A chain of one signs all that is registered on the spot. In a longer one it is what was announced
        last, because every hop must have signed the head. Raises ``HopError`` if nothing was announced yet.
        """
        with self._lock:
            if self._sign_alone is not None:
                length = len(self._directory)
                return self._sign_alone(length, self._directory.digests[length])
            if self._head is None:
                raise HopError(0, "has not announced a round yet")
            return self._head

    def is_announced(self, position: int) -> bool:
        """Whether an account is among those that ``current_head`` covers."""
        with self._lock:
            return self._sign_alone is not None or (self._head is not None and position < self._head.length)

    def next_increment(self) -> Increment:
        """Return what the next round is to announce: the next entries, as many as an announcement holds."""
        with self._lock:
            start = self._published
            entries = self._directory.entries[start : start + DIRECTORY_INCREMENT_MAX]
            digest = self._directory.digests[start + len(entries)]
            return Increment(start, tuple(entry.raw for entry in entries), digest)

    def raw_entries(self, start: int = 0, stop: int | None = None) -> list[bytes]:
        """Return the entries at these positions, or every one, in order of registration."""
        with self._lock:
            return [entry.raw for entry in self._directory.entries[start:stop]]

    def publish(self, head: Head) -> None:
        """Take the directory up to ``head`` as announced: every hop has signed it."""
        with self._lock:
            self._published = head.length
            self._head = head


def _secret_hash(salt: bytes, secret: bytes) -> bytes:
    # The secret is already the output of Argon2id and HKDF on the client: 256 bits, so one hash is enough.
    return hashlib.sha256(salt + secret).digest()
