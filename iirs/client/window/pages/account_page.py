"""``AccountPage``: a new password, and the two ways to end: everything here, or the account itself."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from tkinter import ttk

from iirs.client.account.password_keys import check_password
from iirs.client.text.translate import N_, _
from iirs.client.window.parts.flow import wrapping
from iirs.client.window.parts.scroll_page import ScrollPage
from iirs.client.window.theme.theme import Theme
from iirs.errors import AccountError

_PASSWORD_ABOUT = N_(
    "Your keys are encrypted anew; contacts and messages stay. The change travels inside "
    "a round like any other, so the network does not see it; the server, which keeps your"
    " account, does."
)
_WIPE_ABOUT = N_(
    "Logs out, and deletes all that this machine has of the account: messages, files, "
    "contacts, and keys that were kept here only. The account stays on the server."
)
_DELETE_ABOUT = N_(
    "Deletes the account on the server and everything here. Nobody can ever log in with it again. What "
    "stays: your name is taken for good, and what others have received is theirs."
)


@dataclass(frozen=True, slots=True)
class AccountActions:
    """What the page asks for. ``change_password`` gets the old and the new one."""

    change_password: Callable[[str, str], None]
    wipe: Callable[[], None]
    delete: Callable[[], None]
    close: Callable[[], None]


class AccountPage(ScrollPage):
    """Shows one account's ends; ``tell`` says how a change of password went."""

    def __init__(self, parent: tk.Misc, theme: Theme, name: str, actions: AccountActions) -> None:
        super().__init__(parent, theme, 480)
        self._name = name
        self._actions = actions
        dp = theme.dp
        self.close_button = self.heading(_("Account {name}").format(name=name), _("Back"), actions.close)
        self.section(_("New password"), _(_PASSWORD_ABOUT))
        self.old = self.field(_("Current password"), secret=True)
        self.new = self.field(_("The new password"), secret=True)
        self.again = self.field(_("The new password once more"), secret=True)
        for entry in (self.old, self.new, self.again):
            entry.bind("<Return>", lambda _: self.change())
        self.message = wrapping(ttk.Label(self.body, style="Error.TLabel", font=theme.small))
        self.message.pack(fill="x", pady=dp(6))
        self.mends(self.message, self.old, self.new, self.again)
        self.change_button = ttk.Button(
            self.body, text=_("Change the password"), style="Accent.TButton", command=self.change
        )
        self.change_button.pack(anchor="w")
        self.progress = ttk.Progressbar(self.body, mode="indeterminate")
        self.section(_("Delete everything here"), _(_WIPE_ABOUT))
        self.wipe_name = self.field(_("To confirm, write your name"))
        self.wipe_button = self._ending(_("Log out and delete everything here"), self.wipe_name, actions.wipe)
        self.section(_("Delete the account"), _(_DELETE_ABOUT))
        self.delete_name = self.field(_("To confirm, write your name"))
        self.delete_button = self._ending(_("Delete the account for good"), self.delete_name, actions.delete)
        self.old.focus_set()

    def _ending(self, words: str, name: ttk.Entry, act: Callable[[], None]) -> ttk.Button:
        button = ttk.Button(self.body, text=words, style="Danger.TButton")
        button.pack(anchor="w", pady=(self._theme.dp(8), 0))
        button.state(["disabled"])

        def check(*_: object) -> None:
            right = name.get().strip().lower() == self._name
            button.state(["!disabled" if right else "disabled"])

        typed = self.kept(tk.StringVar(self))
        typed.trace_add("write", check)
        name.configure(textvariable=typed)
        button.configure(command=act)
        name.bind("<Return>", lambda _: button.invoke())
        return button

    def change(self) -> None:
        """Hand over the passwords, unless something is missing or weak."""
        if self.change_button.instate(["disabled"]):
            return
        old, new, again = self.old.get(), self.new.get(), self.again.get()
        try:
            check_password(self._name, new)
        except AccountError as error:
            self.tell(error.said(_), good=False)
            return
        if new != again:
            self.tell(_("The two new passwords are not the same."), good=False)
            return
        self.change_button.state(["disabled"])
        self.message.configure(text="")
        self.progress.pack(fill="x", pady=(self._theme.dp(8), 0), after=self.change_button)
        self.progress.start(15)
        self._actions.change_password(old, new)

    def tell(self, sentence: str, *, good: bool) -> None:
        """Show how it went, and let the person try again."""
        self.progress.stop()
        self.progress.pack_forget()
        self.change_button.state(["!disabled"])
        if good:
            for entry in (self.old, self.new, self.again):
                entry.delete(0, "end")
        colours = self._theme.colours
        self.message.configure(text=sentence, foreground=colours.good if good else colours.bad)
