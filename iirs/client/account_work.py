"""What a window does with its account: passwords are stretched in a worker, endings follow the leaving."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from iirs.client.account.entry_calls import Home, forget_account, keep_new_vault, new_password, new_vault
from iirs.client.server_connection import ServerConnection
from iirs.client.text.translate import _
from iirs.errors import AccountError


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
