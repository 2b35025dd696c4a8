"""What makes a server itself: identity, TLS certificate and chain file, made once and kept."""

from __future__ import annotations

import math
import os
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from iirs.chain import DEFAULT_PREKEY_ROUNDS, Chain, Hop, parse_chain, render_chain
from iirs.errors import ChainError, ConfigError
from iirs.tls import certificate_hash, make_certificate, server_context

CHAIN_FILE = "chain.toml"
IDENTITY_FILE = "identity.key"
CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"
_LOCK_FILE = "lock"
FIRST_START_FILE = "first-start"
"""Beside a chain that no server has run yet: only then may there be no database with it."""
CLOCK_FILE = "clock-is-right"
"""In a data directory: from the next start on rounds are numbered by the clock, even if that is back."""
DEFAULT_SLOTS = 2
DEFAULT_ROUND_SECONDS = 2.0
DEFAULT_INVITE_EVERY = 2
DEFAULT_EPOCH_ROUNDS = 10
DEFAULT_SUITE = "MLKEM768_X25519"


@dataclass(frozen=True, slots=True)
class ChainOptions:
    """What may be chosen when a chain is made; ``None`` takes the chain's own value, or the default."""

    slots: int | None = None
    round_seconds: float | None = None
    invite_every: int | None = None
    suite: str | None = None
    prekey_rounds: int | None = None


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """A server's identity, certificate and chain."""

    chain: Chain
    chain_file: bytes = field(repr=False)
    identity: Ed25519PrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)
    certificate_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HopKeys:
    """A later hop's identity, and its place in the chain."""

    chain: Chain
    hop: int
    identity: Ed25519PrivateKey = field(repr=False)


def make_keys(options: ChainOptions) -> ServerKeys:
    """Return a fresh one-server chain. Raises ``ConfigError`` if an option is out of range."""
    identity = Ed25519PrivateKey.generate()
    certificate, certificate_key = make_certificate()
    chain_file = render_chain(
        suite=options.suite or DEFAULT_SUITE,
        slots=DEFAULT_SLOTS if options.slots is None else options.slots,
        round_ms=milliseconds(
            DEFAULT_ROUND_SECONDS if options.round_seconds is None else options.round_seconds
        ),
        invite_every=options.invite_every or DEFAULT_INVITE_EVERY,
        epoch_rounds=DEFAULT_EPOCH_ROUNDS,
        prekey_rounds=options.prekey_rounds or DEFAULT_PREKEY_ROUNDS,
        entry_certificate=certificate_hash(certificate),
        hops=(Hop("entry", "", identity.public_key().public_bytes_raw()),),
    )
    try:
        chain = parse_chain(chain_file)
    except ChainError as error:
        raise ConfigError(
            "--slots must be 1 to 16 and --round-seconds 0.01 to 600: these values do not make a chain."
        ) from error
    return ServerKeys(chain, chain_file, identity, certificate, certificate_key)


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Hold a data directory for one server. Raises ``ConfigError`` if another one has it.

    SQLite's lock, because it works alike on every system and ends with the process, however it ends.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = sqlite3.connect(folder / _LOCK_FILE, timeout=0.5)
        lock.execute("BEGIN EXCLUSIVE")
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(
            "The data directory is in use by another server, or cannot be written: check --data-dir."
        ) from error
    with closing(lock):
        yield


def load_or_make_keys(folder: Path, options: ChainOptions) -> ServerKeys:
    """Return the chain kept in ``folder``, made now if there is none.

    Raises ``ConfigError`` if it is damaged, or if an option asks for a value other than the kept one:
    every client has pinned that chain.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (folder / CHAIN_FILE).exists():
            if (folder / IDENTITY_FILE).exists():
                raise ConfigError(
                    f"The data directory has an identity but no {CHAIN_FILE}: restore that file from a copy, "
                    "or, if no client has ever used this server, delete the directory."
                )
            keys = make_keys(options)
            private = keys.identity.private_bytes_raw()
            write_file(folder / IDENTITY_FILE, private, 0o600)
            write_file(folder / KEY_FILE, keys.certificate_key, 0o600)
            write_file(folder / CERTIFICATE_FILE, keys.certificate, 0o644)
            write_file(folder / FIRST_START_FILE, b"", 0o644)
            write_file(folder / CHAIN_FILE, keys.chain_file, 0o644)  # last: its presence means all is there
            return keys
        return _check(_load(folder), options)
    except OSError as error:
        raise ConfigError("The data directory cannot be read or written: check --data-dir.") from error


def _load(folder: Path) -> ServerKeys:
    chain_file = (folder / CHAIN_FILE).read_bytes()
    if _is_later_hops(folder):
        raise ConfigError("The identity in the data directory is a later hop's: run it with iirs-mix.")
    certificate = (folder / CERTIFICATE_FILE).read_bytes()
    certificate_key = (folder / KEY_FILE).read_bytes()
    try:
        server_context(certificate, certificate_key)
        identity = load_identity(folder)
        chain = parse_chain(chain_file)
        fits = (
            certificate_hash(certificate) == chain.entry_certificate
            and identity.public_key().public_bytes_raw() == chain.hops[0].identity
        )
    except ChainError as error:
        raise ConfigError(
            f"{error} Restore the data directory from a copy, or run the iirs that made it."
        ) from error
    except (ValueError, ssl.SSLError) as error:
        raise ConfigError("The data directory is damaged: restore it from a copy.") from error
    if not fits:
        raise ConfigError("The data directory mixes the files of two servers: restore it from a copy.")
    return ServerKeys(chain, chain_file, identity, certificate, certificate_key)


def _is_later_hops(folder: Path) -> bool:
    try:
        load_hop_keys(folder)
    except ConfigError:
        return False
    return True


def load_hop_keys(folder: Path) -> HopKeys:
    """Return the place of the identity kept in ``folder`` in the chain kept there.

    Raises ``ConfigError`` if something is missing or damaged, or if the place is the entry's.
    """
    try:
        chain = parse_chain((folder / CHAIN_FILE).read_bytes())
        identity = load_identity(folder)
    except OSError as error:
        raise ConfigError(
            f"The data directory has no {CHAIN_FILE} and {IDENTITY_FILE} that can be read: make them with "
            "iirs-chain, or check --data-dir."
        ) from error
    except ChainError as error:
        raise ConfigError(str(error)) from error
    public = identity.public_key().public_bytes_raw()
    places = [place for place, hop in enumerate(chain.hops) if hop.identity == public]
    if not places:
        raise ConfigError("The identity in the data directory belongs to no hop of the chain there.")
    if places[0] == 0:
        raise ConfigError("The identity in the data directory is the entry's: run it with iirs-server.")
    return HopKeys(chain, places[0], identity)


def load_identity(folder: Path) -> Ed25519PrivateKey:
    """Return the identity kept in ``folder``. Raises ``OSError``, or ``ConfigError`` if it is not one."""
    path = folder / IDENTITY_FILE
    data = path.read_bytes()
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise ConfigError(f"{IDENTITY_FILE} can be read by other users: make it private (chmod 600).")
    try:
        return Ed25519PrivateKey.from_private_bytes(data)
    except ValueError as error:
        raise ConfigError("The data directory is damaged: restore it from a copy.") from error


def _check(keys: ServerKeys, options: ChainOptions) -> ServerKeys:
    asked = {
        "--slots": (options.slots, keys.chain.slots),
        "--round-seconds": (
            None if options.round_seconds is None else milliseconds(options.round_seconds),
            keys.chain.round_ms,
        ),
    }
    for flag, (wanted, kept) in asked.items():
        if wanted is not None and wanted != kept:
            raise ConfigError(
                f"{flag} differs from the chain in this data directory, which clients have pinned. "
                "Start without it, or make a new chain in another --data-dir."
            )
    return keys


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds, or 0 for what is no length of time."""
    return round(seconds * 1000) if math.isfinite(seconds) else 0  # 0 is out of range, as "nan" and "inf" are


def write_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file whose mode is never wider than ``mode``; on return it is on disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
