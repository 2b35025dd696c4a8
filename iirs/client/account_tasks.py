"""What a window does with an account: logging in, a new password, forgetting it; workers do what blocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from iirs.chain import JoinLink
from iirs.client.account.account import Account
from iirs.client.account.entry_calls import (
    Home,
    forget_account,
    keep_new_vault,
    login,
    new_password,
    new_vault,
    register,
)
from iirs.client.account.password_keys import storage_key
from iirs.client.connection_options import ConnectionOptions
from iirs.client.server_connection import ServerConnection
from iirs.client.store.opening import PutAside, Reason, open_store
from iirs.client.store.preferences import Preferences
from iirs.client.text.translate import _, n_
from iirs.errors import AccountError, IirsError
from iirs.wire.accounts import RefusedError, Result


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a person typed to get in."""

    link: str
    name: str
    password: str = field(repr=False)
    new: bool
    """Create the account."""
    keys_stay_here: bool = False
    or_log_in: bool = False
    """If the name is taken, try to log in with it instead."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A connection ready to be started, and what the person should be told."""

    connection: ServerConnection
    link: str
    on_trust: bool
    """Whether the server was seen for the first time, with nothing to check it against."""
    put_aside: PutAside | None = None
    """What has become of another file in the place of the account's."""

    def remarks(self, *, on_trust: bool) -> list[str]:
        """What to tell the person; ``on_trust``: an earlier try had seen the server for the first time."""
        remarks = []
        if on_trust or self.on_trust:
            plain = JoinLink.parse(self.link)
            whole = JoinLink(plain.host, plain.port, self.connection.account.chain.chain_id)
            remarks.append(
                _(
                    "This server was taken on trust, as your join link has no fingerprint. From now on it"
                    " must stay the same. Compare the whole join link with that of whoever runs the "
                    "server: {link}"
                ).format(link=whole)
            )
        return [*remarks, *self.put_aside_remarks()]

    def put_aside_remarks(self) -> list[str]:
        """Say what has become of a file that was put aside, if one was."""
        aside = self.put_aside
        if aside is None:
            return []
        name = aside.path.name
        if aside.reason is Reason.UNREADABLE:
            return [
                _(
                    "What this machine had stored for your account does not open: it is damaged, or under "
                    "other keys. It was put aside as {name}, and a new file begun."
                ).format(name=name)
            ]
        if aside.reason is Reason.OTHER_KEYS:
            return [
                _(
                    "What this machine had stored under your name belongs to other keys. It was put aside as "
                    "{name}, and a new file begun."
                ).format(name=name)
            ]
        remarks = [
            _("Your history was brought over from an earlier iirs. Its file is kept as {name}.").format(
                name=name
            )
        ]
        if aside.undelivered:
            remarks.append(
                n_(
                    "One message had not been delivered and is marked so. Send it again if it still matters.",
                    "{count} messages had not been delivered and are marked so. Send them again if they "
                    "still matter.",
                    aside.undelivered,
                ).format(count=aside.undelivered)
            )
        if aside.left_out:
            remarks.append(
                n_(
                    "One message is in the earlier file only: it does not open, or its talk is not known.",
                    "{count} messages are in the earlier file only: they do not open, or their talks are not "
                    "known.",
                    aside.left_out,
                ).format(count=aside.left_out)
            )
        return remarks


@dataclass(frozen=True, slots=True)
class NotLoggedIn:
    """Why it did not work."""

    sentence: str
    on_trust: bool = False
    """As in ``LoggedIn``: the server may have been seen, for the first time, all the same."""
    error: IirsError | None = field(default=None, compare=False)
    """What refused it, if it was foreseen."""


def log_in(
    home: Home, credentials: Credentials, options: ConnectionOptions | None = None
) -> LoggedIn | NotLoggedIn:
    """Do everything from a password to a connection that can be started. Blocks for a second or more."""
    on_trust = False
    try:
        link = JoinLink.parse(credentials.link)
        on_trust = link.fingerprint is None and home.pins.get(link.host, link.port) is None
        account = _account(link, home, credentials)
        ended = time.monotonic()
        path = home.account_file(account.chain, account.name, "store")
        store, aside = open_store(path, storage_key(account.identity), account.name)
        connection = ServerConnection(link, account, store, options, login_ended=ended)
    except IirsError as error:
        return NotLoggedIn(error.said(_), on_trust, error)
    except OSError as error:
        why = error.strerror or _("no reason given")
        return NotLoggedIn(_("A file on this machine could not be used: {why}.").format(why=why), on_trust)
    except Exception as error:  # a thread that dies silently would leave the window waiting for ever
        kind = type(error).__name__
        return NotLoggedIn(
            _("Something unexpected went wrong ({kind}). Please try again.").format(kind=kind), on_trust
        )
    Remembered(str(link), account.name).write(home.folder)
    return LoggedIn(connection, str(link), on_trust, aside)


def _account(link: JoinLink, home: Home, credentials: Credentials) -> Account:
    name, password = credentials.name, credentials.password
    if not credentials.new:
        return login(link, home, name, password)
    try:
        return register(link, home, name, password, keys_stay_here=credentials.keys_stay_here)
    except RefusedError as error:
        if not credentials.or_log_in or error.result is not Result.NAME_TAKEN:
            raise
        return login(link, home, name, password)


@dataclass(frozen=True, slots=True)
class Remembered:
    """The server and name of the last time, kept with the other preferences."""

    link: str = ""
    name: str = ""

    @classmethod
    def read(cls, folder: Path) -> Remembered:
        """Return what is remembered; nothing if the file is missing or damaged."""
        kept = Preferences.read(folder)
        return cls(kept.link, kept.name)

    def write(self, folder: Path) -> None:
        """Remember, if the disk lets us: it is a convenience."""
        replace(Preferences.read(folder), link=self.link, name=self.name).write(folder)


@dataclass(frozen=True, slots=True)
class PasswordTold:
    """How a change of password goes: refused here, or on its way."""

    sentence: str
    good: bool


def change_password(
    connection: ServerConnection, home: Home, old: str, new: str, tell: Callable[[PasswordTold], None]
) -> None:
    """Stretch both passwords in a worker; if all is right, the next uploads carry the new one."""

    def work() -> None:
        account = connection.account
        try:
            keys = new_password(account, home, old, new)
        except AccountError as error:
            tell(PasswordTold(error.said(_), good=False))
            return
        connection.change_password(keys.login_secret, lambda public: new_vault(account, home, keys, public))

    threading.Thread(target=work, name="iirs-password", daemon=True).start()


def password_changed(connection: ServerConnection, home: Home) -> PasswordTold:
    """Keep what is kept here under the new password; the server knows it now."""
    keep_new_vault(connection.account, home)
    words = _("The password is changed. From now on only the new one opens the account.")
    return PasswordTold(words, good=True)


def password_refused() -> PasswordTold:
    """Say that the server did not take a new password."""
    return PasswordTold(_("The server did not take the new password. The old one stays."), good=False)


def forget(connection: ServerConnection, home: Home) -> None:
    """Remove all that this machine has of the account; its connection has ended."""
    forget_account(connection.account, home)
