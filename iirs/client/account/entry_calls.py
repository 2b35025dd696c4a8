"""Register, log in, look people up: the few things a client does before and beside the rounds.

Every function here blocks, and ``stretch`` takes a noticeable moment on purpose: call them from a worker
thread, never from a window's.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from iirs.chain import Chain, JoinLink
from iirs.client.account.account import Account, SessionStart
from iirs.client.account.giving_way import giving_way
from iirs.client.account.password_keys import (
    STANDARD_COST,
    PasswordKeys,
    StretchCost,
    check_password,
    open_vault,
    opens,
    seal_vault,
    stretch,
)
from iirs.client.net.transport import Transport
from iirs.client.store.pins import Pins
from iirs.client.store.whole_files import write_whole
from iirs.directory import Directory, Entry
from iirs.epoch import EpochKey
from iirs.errors import AccountError, IirsError, PeerError
from iirs.geometry import TICKET_SIZE, RandomBytes
from iirs.identity import Identity, checked_name
from iirs.message import MessageKind
from iirs.onion import EntryChannel, channel_period, entry_offer_info
from iirs.wire.accounts import (
    NO_TICKET,
    AccountRecord,
    Login,
    RefusedError,
    Registration,
    Result,
    decode_directory,
    login_ticket,
)


class TryLaterError(RefusedError):
    """The server refused for now only: the same login will work later."""


@dataclass(frozen=True, slots=True)
class Home:
    """This machine's folder for one person's accounts and pins."""

    folder: Path
    cost: StretchCost = STANDARD_COST
    random_bytes: RandomBytes = os.urandom

    @property
    def pins(self) -> Pins:
        """The chains that have been shown before."""
        return Pins(self.folder / "servers.sqlite")

    def account_file(self, chain: Chain, name: str, kind: str) -> Path:
        """Return where a file of this account is kept; the file name does not say whose it is."""
        digest = hashlib.sha256(b"iirs/1 account file" + chain.chain_id + name.encode()).hexdigest()
        return self.folder / f"{digest[:32]}.{kind}"

    def ticket(self, chain: Chain, name: str) -> bytes:
        """Return the ticket of a former login, or one that is none."""
        with suppress(OSError):
            kept = self.account_file(chain, name, "ticket").read_bytes()
            return kept if len(kept) == TICKET_SIZE else NO_TICKET
        return NO_TICKET

    def keep_ticket(self, chain: Chain, name: str, vault: bytes) -> bytes:
        """Return the ticket that goes with the server's vault, and keep it if the disk lets us."""
        ticket = login_ticket(chain.chain_id, vault)
        if ticket == self.ticket(chain, name):
            return ticket  # as a rule, so that a login does not wait for the disk
        with suppress(OSError, AccountError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(self.account_file(chain, name, "ticket"), ticket)
        return ticket


def open_transport(link: JoinLink, home: Home) -> tuple[Transport, Chain, bytes, bool]:
    """Connect to the entry; the last value says whether its chain was trusted at first sight.

    The chain is pinned from then on. Raises ``ConnectionLostError``, ``ChainError``, ``StoreError``.
    """
    pinned = home.pins.get(link.host, link.port)
    transport, chain, keys = Transport.connect(link, pinned if link.fingerprint is None else None)
    if pinned != chain.chain_id:
        home.pins.set(link.host, link.port, chain.chain_id)
    return transport, chain, keys, link.fingerprint is None and pinned is None


def register(
    link: JoinLink, home: Home, name: str, password: str, *, keys_stay_here: bool = False
) -> Account:
    """Create an account and return it. Raises ``AccountError`` with the sentence to show.

    With ``keys_stay_here`` the server gets an empty vault and the real one stays in ``home``: the account
    then works on this machine only, and guessing its password gains the server nothing but the login.
    """
    name = checked_name(name)
    check_password(name, password)
    transport, chain, _, _ = open_transport(link, home)
    try:
        keys = stretch(chain.chain_id, name, password, home.cost)
        identity = Identity.generate()
        entry = Entry.create(chain.chain_id, name, identity)
        vault = seal_vault(keys, name, identity, entry.raw, home.random_bytes)
        # Beside its final place: a refusal must not cost the keys of an account that is here already.
        fresh = home.account_file(chain, name, f"vault-{home.random_bytes(4).hex()}")
        if keys_stay_here:
            fresh.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(fresh, vault, durable=True)
            decoy = PasswordKeys(home.random_bytes(32), home.random_bytes(32))
            vault = seal_vault(decoy, name, Identity.generate(), entry.raw, home.random_bytes)
        try:
            transport.send(Registration(entry.raw, keys.login_secret, vault).encode())
            _check(transport.expect(MessageKind.RESULT).body)
        except AccountError:
            fresh.unlink(missing_ok=True)
            raise
        except IirsError:
            if keys_stay_here:  # whether the server took it in is not known: ``login`` will try these keys
                fresh.replace(home.account_file(chain, name, "new-vault"))
            raise
        if keys_stay_here:
            fresh.replace(home.account_file(chain, name, "vault"))
        ticket = home.keep_ticket(chain, name, vault)
        return Account(name, chain, identity, keys.login_secret, ticket)
    finally:
        transport.close()


def login(link: JoinLink, home: Home, name: str, password: str) -> Account:
    """Log in with a password on any machine and return the account. Raises ``AccountError``."""
    name = checked_name(name)
    transport, chain, epoch_keys, _ = open_transport(link, home)
    try:
        keys = stretch(chain.chain_id, name, password, home.cost)
        ticket = home.ticket(chain, name)
        start = enter(transport, chain, epoch_keys, name, keys.login_secret, home.random_bytes, ticket)
        ticket = home.keep_ticket(chain, name, start.record.vault)
        entry = start.checked_directory(chain, name).entries[start.record.position]
        identity = _open_any(keys, name, entry.raw, _vaults(home, chain, name) or [start.record.vault])
        if identity.verify_key_bytes != entry.verify_key.raw:
            raise AccountError("The keys of this account are not the ones the server lists under its name.")
        _keep_if_newer(keys, home, chain, name, entry.raw)
        return Account(name, chain, identity, keys.login_secret, ticket)
    finally:
        transport.close()


def _vaults(home: Home, chain: Chain, name: str) -> list[bytes]:
    """Return the vaults kept on this machine, if its keys stay here: two while a password is changed."""
    places = [home.account_file(chain, name, kind) for kind in ("vault", "new-vault")]
    return [place.read_bytes() for place in places if place.exists()]


def _open_any(keys: PasswordKeys, name: str, public: bytes, vaults: list[bytes]) -> Identity:
    for vault in vaults[:-1]:
        with suppress(AccountError):
            return open_vault(keys, name, public, vault)
    return open_vault(keys, name, public, vaults[-1])


def _keep_if_newer(keys: PasswordKeys, home: Home, chain: Chain, name: str, public: bytes) -> None:
    """Put a new vault in the old one's place if this password, which the server has taken, opens it."""
    fresh = home.account_file(chain, name, "new-vault")
    if fresh.exists():
        with suppress(AccountError):
            open_vault(keys, name, public, fresh.read_bytes())
            fresh.replace(home.account_file(chain, name, "vault"))


def new_password(account: Account, home: Home, old: str, new: str) -> PasswordKeys:
    """Return what a new password opens. Raises ``AccountError`` if the old one is wrong or the new one weak.

    Blocks: it stretches both.
    """
    check_password(account.name, new)
    if not opens(account, old, home.cost):
        raise AccountError("The password is wrong.")
    return giving_way(stretch, account.chain.chain_id, account.name, new, home.cost)


def new_vault(account: Account, home: Home, keys: PasswordKeys, public: bytes) -> bytes:
    """Return the vault for the server under a new password; ``public`` is the account's directory entry.

    Where keys stay on this machine, the real one is written beside the old one, and the server gets a decoy.
    The ticket that goes with the server's is written beside the one of now.
    """
    vault = seal_vault(keys, account.name, account.identity, public, home.random_bytes)
    if _vaults(home, account.chain, account.name):
        write_whole(home.account_file(account.chain, account.name, "new-vault"), vault, durable=True)
        decoy = PasswordKeys(home.random_bytes(32), home.random_bytes(32))
        vault = seal_vault(decoy, account.name, Identity.generate(), public, home.random_bytes)
    ticket = login_ticket(account.chain.chain_id, vault)
    write_whole(home.account_file(account.chain, account.name, "new-ticket"), ticket)
    return vault


def keep_new_vault(account: Account, home: Home) -> None:
    """Put the new vault, and its ticket, in the old one's place: the server knows the new password."""
    for kind in ("vault", "ticket"):
        fresh = home.account_file(account.chain, account.name, f"new-{kind}")
        if fresh.exists():
            fresh.replace(home.account_file(account.chain, account.name, kind))


def forget_account(account: Account, home: Home) -> None:
    """Remove everything this machine has of an account; nothing else may have its file open."""
    store = home.account_file(account.chain, account.name, "store")
    for file in store.parent.glob(f"{store.stem}.*"):  # those that were put aside, too
        file.unlink(missing_ok=True)


def lookup(directory: Directory, name: str) -> Entry:
    """Return a person's entry, from the copy held here. Raises ``AccountError`` if there is none."""
    return directory.lookup(name)


def enter(
    transport: Transport,
    chain: Chain,
    epoch_keys: bytes,
    name: str,
    login_secret: bytes,
    random_bytes: RandomBytes,
    ticket: bytes = NO_TICKET,
) -> SessionStart:
    """Log in on an open transport and return what the session begins with.

    Raises ``RefusedError`` if refused, ``ChainError`` or ``DirectoryError`` if not to be trusted.
    """
    entry_key = EpochKey.decode(epoch_keys[: chain.geometry.epoch_key_size])
    public = entry_key.verified(chain, 0)
    info = entry_offer_info(chain.chain_id, chain.entry_certificate, entry_key.key_id)
    secret = random_bytes(32)
    offer = chain.geometry.suite.seal(public, secret, info)
    transport.send(Login(name, login_secret, entry_key.key_id, offer, ticket).encode())
    _check(transport.expect(MessageKind.RESULT).body)
    record = AccountRecord.decode(transport.expect(MessageKind.ACCOUNT).body)
    head, entries, prekeys = decode_directory(transport.expect(MessageKind.DIRECTORY).body, chain.geometry)
    keys = transport.expect(MessageKind.KEYS).body
    channel = EntryChannel(secret, info, channel_period(entry_key.first_round))
    return SessionStart(record, channel, head, entries, keys, prekeys)


def _check(body: bytes) -> None:
    try:
        result = Result(body[0])
    except ValueError as error:
        raise PeerError("The server gave an answer this program does not know.") from error
    if result in {Result.STALE_KEY, Result.TOO_MANY, Result.NOT_YET, Result.NOT_NOW}:
        raise TryLaterError(result)
    if result is not Result.OK:
        raise RefusedError(result)
