"""``WindowPages``: which page a window shows, made from what is known; nothing lives in widgets alone."""

from __future__ import annotations

import gc
import queue
import tkinter as tk
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from tkinter import ttk

from iirs.chain import JoinLink
from iirs.client.account.entry_calls import Home
from iirs.client.account_tasks import (
    Credentials,
    LoggedIn,
    NotLoggedIn,
    PasswordTold,
    Remembered,
    change_password,
)
from iirs.client.model.actions import WindowActions, requests_for
from iirs.client.model.background import Librarian, Reading
from iirs.client.model.chat_model import ChatModel
from iirs.client.server_connection import ConnectionOptions, ServerConnection
from iirs.client.window.main_page import MainPage
from iirs.client.window.pages.account_page import AccountActions, AccountPage
from iirs.client.window.pages.leaving_page import LeavingPage
from iirs.client.window.pages.lock_page import LockPage
from iirs.client.window.pages.login_page import LoginPage
from iirs.client.window.pages.settings_page import (
    AccountFacts,
    SettingsActions,
    SettingsPage,
    SettingsPosition,
)
from iirs.client.window.pages.shortcuts_page import ShortcutsPage
from iirs.client.window.theme.theme import Theme
from iirs.client.window.window_state import DesktopScheme, UnlockTried, WindowState

Told = LoggedIn | NotLoggedIn | Reading | DesktopScheme | UnlockTried | PasswordTold


class Cover(Enum):
    """What is shown in place of the form or the conversations."""

    NONE = "none"
    SETTINGS = "settings"
    SHORTCUTS = "keys"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Start:
    """What a window begins with, if not with an empty form."""

    link: str = ""
    name: str = ""
    credentials: Credentials | None = None
    """Log in with these at once."""
    peer: str = ""
    """Ask for this person as soon as the server knows them."""
    say: str = ""
    """Send them this once the two are in sync."""
    options: ConnectionOptions | None = None


class WindowPages(ABC):
    """The pages of one window; what is done in them is ``ClientWindow``'s."""

    def __init__(
        self,
        window: tk.Tk | tk.Toplevel,
        theme: Theme,
        home: Home,
        start: Start,
    ) -> None:
        self.window = window
        self.theme = theme
        self.login_page: LoginPage | None = None
        self.main_page: MainPage | None = None
        self.leaving_page: LeavingPage | None = None
        self.cover_page: SettingsPage | ShortcutsPage | LockPage | AccountPage | None = None
        self.connection: ServerConnection | None = None
        self.librarian: Librarian | None = None
        self.model = ChatModel("")
        self.is_open = True
        self.conceal: Callable[[], None] = lambda: None
        """Called when the window locks: what waits to be told must name nobody."""
        self._home = home
        self._start = start
        self._inbox: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._cover = Cover.NONE
        self._sentence = ""
        self._what_then = ""
        self._logging_in = False
        self._position = SettingsPosition()
        self._warnings: list[tuple[str, bool]] = []
        self._then: Callable[[], None] | None = None
        self.state = WindowState(window, theme, home, self._inbox.put, self._show)

    # -- pages --------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Make the page that belongs here now, from what is known: nothing lives in widgets alone."""
        written = self._put_away()
        if self._then is not None:
            self.leaving_page = LeavingPage(self.window, self.theme, self._what_then, self._hurry)
        elif self.state.locked:
            self.cover_page = LockPage(self.window, self.theme, self._unlock, self.state.failures)
        elif self._cover is Cover.SETTINGS:
            self.cover_page = self._settings_page()
        elif self._cover is Cover.ACCOUNT and self.connection is not None:
            self.cover_page = self._account_page(self.connection)
        elif self._cover is Cover.SHORTCUTS:
            self.cover_page = ShortcutsPage(self.window, self.theme, self._uncover)
        elif self.connection is None or self.librarian is None:
            self._show_form(written)
        else:
            self._show_main(self.connection, self.librarian)
        for page in self._pages():
            page.pack(fill="both", expand=True)
        if isinstance(self.cover_page, SettingsPage):
            self.cover_page.take_position(self._position)
        self._entitle()

    def _pages(self) -> list[ttk.Frame]:
        pages = (self.login_page, self.main_page, self.leaving_page, self.cover_page)
        return [page for page in pages if page is not None]

    def _put_away(self) -> Remembered | None:
        """Destroy all widgets; what was written in a form or to a peer is kept."""
        written = None if self.login_page is None else self.login_page.written
        if self.main_page is not None and self.model.open_peer:
            entry = self.main_page.chat.entry
            self.model.talk(self.model.open_peer).draft = entry.get("1.0", "end-1c")
        if isinstance(self.cover_page, SettingsPage):
            self._position = self.cover_page.position
        for child in self.window.winfo_children():
            child.destroy()  # dialogs too
        self.login_page = self.main_page = self.leaving_page = self.cover_page = None
        # Tk's variables and pictures must end in Tk's thread; the collector may run in any other.
        self.window.after_idle(gc.collect)
        return written

    def _show_form(self, written: Remembered | None) -> None:
        kept = self.state.preferences
        known = Remembered(self._start.link or kept.link, self._start.name or kept.name)
        page = self.login_page = LoginPage(self.window, self.theme, known, self._log_in, written)
        page.focus_first()
        if self._logging_in:
            page.wait()
        elif self._sentence:
            page.fail(self._sentence)

    def _show_main(self, connection: ServerConnection, librarian: Librarian) -> None:
        actions = WindowActions(
            open=self._open,
            send=self._send,
            older=self._read_older,
            around=self._read_back_to,
            show_safety=self._show_safety,
            show_settings=lambda: self.cover(Cover.SETTINGS),
            lock=self.lock,
            log_out=self.log_out,
        )
        requests = requests_for(connection, librarian, actions)
        peer = self.model.open_peer
        self.main_page = MainPage(self.window, self.theme, self.model, requests)
        for sentence, alarm in self._warnings:
            self.main_page.warn(sentence, alarm=alarm)
        if peer:
            self.main_page.open(peer)
            draft, entry = self.model.talk(peer).draft, self.main_page.chat.entry
            if draft and not entry.get("1.0", "end-1c"):
                entry.insert("1.0", draft)

    def _settings_page(self) -> SettingsPage:
        actions = SettingsActions(
            change=self.state.change,
            close=self._uncover,
            sign_out=self.log_out,
            show_shortcuts=lambda: self.cover(Cover.SHORTCUTS),
            show_account=lambda: self.cover(Cover.ACCOUNT),
        )
        account = None
        if self.connection is not None:
            model, chain = self.model, self.connection.account.chain
            plain = JoinLink.parse(self.state.preferences.link)
            link = str(JoinLink(plain.host, plain.port, chain.chain_id))
            account = AccountFacts(model.me, link, model.numbers.get(model.me, ""), model.servers)
        return SettingsPage(self.window, self.theme, self.state.preferences, actions, account)

    def _account_page(self, connection: ServerConnection) -> AccountPage:
        def change(old: str, new: str) -> None:
            change_password(connection, self._home, old, new, self._inbox.put)

        actions = AccountActions(change, self.wipe, connection.delete_account, self._uncover)
        return AccountPage(self.window, self.theme, self.model.me, actions)

    def cover(self, cover: Cover) -> None:
        """Show the settings or the keys in place of what is there; not while locked or leaving."""
        if self.state.locked or self._then is not None:
            return
        if cover is not self._cover:
            self._position = SettingsPosition()
            self._cover = cover
            self._show()
        if cover is Cover.SETTINGS:
            self.state.ask_desktop()

    def _uncover(self) -> None:
        if self._cover is not Cover.NONE:
            self._cover = Cover.NONE
            self._show()
            self._back()

    # -- the lock -----------------------------------------------------------------------------------

    def lock(self) -> None:
        """Show nothing until the password is entered; the connection goes on exactly as before."""
        if self.connection is None or self.state.locked or self._then is not None:
            return
        self.state.locked = True
        self.conceal()
        self._cover = Cover.NONE
        self._show()

    def _unlock(self, password: str) -> None:
        if self.connection is not None:
            self.state.try_password(self.connection.account, password)

    def _take_unlock(self, tried: UnlockTried) -> None:
        if not self.state.locked:
            return
        if self.state.take_unlock(tried):
            self._show()
            self._take_focus()
            self._back()
        elif isinstance(self.cover_page, LockPage):
            self.cover_page.refuse(self.state.failures)

    # -- what the window does ------------------------------------------------------------------------

    @abstractmethod
    def _log_in(self, credentials: Credentials) -> None: ...

    @abstractmethod
    def log_out(self) -> None:
        """Leave the server properly."""

    @abstractmethod
    def wipe(self) -> None:
        """Leave the server properly, then delete all that is here of the account."""

    @abstractmethod
    def _hurry(self) -> None: ...

    @abstractmethod
    def _open(self, peer: str) -> None: ...

    @abstractmethod
    def _send(self, peer: str, text: str) -> bool: ...

    @abstractmethod
    def _read_older(self, peer: str) -> None: ...

    @abstractmethod
    def _read_back_to(self, peer: str, item_id: bytes) -> None: ...

    @abstractmethod
    def _show_safety(self, peer: str) -> None: ...

    @abstractmethod
    def _entitle(self) -> None: ...

    @abstractmethod
    def _back(self) -> None: ...

    @abstractmethod
    def _take_focus(self) -> None: ...
