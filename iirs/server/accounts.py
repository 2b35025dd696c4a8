"""Registration, login and the server's side of the directory."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from iirs.chain import Chain
from iirs.directory import Directory, Entry, Head, head_content
from iirs.errors import AccountError, ConfigError, DirectoryError
from iirs.geometry import DIRECTORY_INCREMENT, RandomBytes
from iirs.server.storage import Storage, StoredAccount
from iirs.wire import MAX_ENTRIES, AccountRecord, Login, Registration, Result

_SALT_SIZE = 16


class RateLimit:
    """At most ``burst`` attempts a key, refilled at ``per_second``. Remembers a bounded number of keys."""

    def __init__(
        self, burst: float, per_second: float, clock: Callable[[], float] = time.monotonic, keys: int = 10_000
    ) -> None:
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._keys = keys
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, key: str, cost: int = 1) -> bool:
        """Count ``cost`` attempts (0: only ask); False if there have been too many."""
        now = self._clock()
        left, since = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        allowed = left >= 1
        self._left[key] = (left - cost if allowed else left, now)
        while len(self._left) > self._keys:
            self._left.popitem(last=False)
        return allowed


class Accounts:
    """Who is registered. Safe from any thread; one lock, never held while anything is sent."""

    def __init__(
        self,
        chain: Chain,
        storage: Storage,
        sign: Callable[[bytes], bytes],
        random_bytes: RandomBytes,
        *,
        registrations: RateLimit,
        logins: RateLimit,
    ) -> None:
        """Load the directory. ``sign`` is the hop identity's signature over a head.

        Raises ``ConfigError`` if the database is not this chain's.
        """
        self._chain = chain
        self._storage = storage
        self._sign = sign
        self._random_bytes = random_bytes
        self._registrations = registrations
        self._logins = logins
        self._lock = threading.Lock()
        self._directory = Directory(chain.chain_id)
        self._accounts: dict[str, StoredAccount] = {}
        for account in storage.accounts():
            try:
                self._directory.append(Entry.parse(chain.chain_id, account.entry))
            except DirectoryError as error:
                raise ConfigError(
                    "The database is damaged or another chain's: check --database-url and --data-dir."
                ) from error
            self._accounts[account.name] = account
        self._published = len(self._directory)

    def register(self, registration: Registration, address: str) -> Result:
        """Take in a new account, or say why not."""
        with self._lock:
            # A longer directory would be refused by every client: nobody could log in any more.
            if len(self._directory) >= MAX_ENTRIES or not self._registrations.allow(address):
                return Result.TOO_MANY
            try:
                entry = Entry.parse(self._chain.chain_id, registration.entry)
            except DirectoryError:
                return Result.INVALID
            if entry.name in self._accounts:
                return Result.NAME_TAKEN
            salt = self._random_bytes(_SALT_SIZE)
            account = StoredAccount(
                len(self._directory),
                entry.name,
                entry.raw,
                salt,
                _secret_hash(salt, registration.login_secret),
                registration.vault,
            )
            try:
                self._storage.add(account)
            except AccountError:
                return Result.NAME_TAKEN
            self._directory.append(entry)
            self._accounts[entry.name] = account
            return Result.OK

    def login(self, login: Login, address: str) -> tuple[Result, AccountRecord | None]:
        """Check a login secret; return the account's record if it is right."""
        with self._lock:
            account = self._accounts.get(login.name)
            if account is None:
                return Result.UNKNOWN_NAME, None
            # Failures count, by name and address: whoever guesses is stopped, a right guess included, and
            # nobody can lock a person out from elsewhere.
            key = f"{login.name} {address}"
            if not self._logins.allow(key, 0):
                return Result.TOO_MANY, None
            given = _secret_hash(account.salt, login.login_secret)
            if not hmac.compare_digest(account.secret_hash, given):
                self._logins.allow(key)
                return Result.WRONG_PASSWORD, None
        last_round = self._storage.last_round(account.position)
        return Result.OK, AccountRecord(account.position, last_round, account.vault)

    def entry(self, position: int) -> Entry:
        """Return the entry at a position. Raises ``IndexError`` if there is none."""
        with self._lock:
            return self._directory.entries[position]

    def snapshot(self) -> tuple[Head, list[bytes]]:
        """Return the whole directory with its signed head, entries not yet announced included."""
        with self._lock:
            return self._head(len(self._directory)), [entry.raw for entry in self._directory.entries]

    def publish(self) -> tuple[Head, int, tuple[bytes, ...]]:
        """Move the announced length on by at most eight; return head, start of the new entries, and them."""
        with self._lock:
            start = self._published
            entries = tuple(
                entry.raw for entry in self._directory.entries[start : start + DIRECTORY_INCREMENT]
            )
            self._published += len(entries)
            return self._head(self._published), start, entries

    def _head(self, length: int) -> Head:
        digest = self._directory.digests[length]
        return Head(length, digest, self._sign(head_content(self._chain.chain_id, length, digest)))


def _secret_hash(salt: bytes, secret: bytes) -> bytes:
    # The secret is already the output of Argon2id and HKDF on the client: 256 bits, so one hash is enough.
    return hashlib.sha256(salt + secret).digest()
