"""``Navigator``: which page a window shows, and what may replace it."""

from __future__ import annotations

import gc
import tkinter as tk
from collections.abc import Callable, Mapping
from enum import Enum
from tkinter import ttk
from typing import TypeVar

from iirs.client.window.pages.settings_page import SettingsPage, SettingsPosition
from iirs.client.window.window_state import WindowState

_Page = TypeVar("_Page", bound=ttk.Frame)


class Page(Enum):
    """The pages of a window."""

    LOGIN = "login"
    MAIN = "main"
    SETTINGS = "settings"
    ACCOUNT = "account"
    SHORTCUTS = "shortcuts"
    LOCK = "lock"
    LEAVING = "leaving"


class Navigator:
    """Shows one page at a time, each made anew from what is known: nothing lives in widgets alone.

    ``makers`` make the pages; ``put_away`` is called before the one that is shown is destroyed.
    """

    def __init__(
        self,
        window: tk.Tk | tk.Toplevel,
        state: WindowState,
        makers: Mapping[Page, Callable[[], ttk.Frame]],
        put_away: Callable[[], None],
    ) -> None:
        self.shown: ttk.Frame | None = None
        self._window = window
        self._state = state
        self._makers = makers
        self._put_away = put_away
        self._base = Page.LOGIN
        self._opened: tuple[Page, ...] = ()
        """Pages over the base, each opened from the one before."""
        self._position = SettingsPosition()

    @property
    def page(self) -> Page:
        """Which page belongs here now. Leaving goes before the lock, the lock before all that says a name."""
        if self._base is Page.LEAVING:
            return Page.LEAVING
        if self._state.locked:
            return Page.LOCK
        return self._opened[-1] if self._opened else self._base

    def shows(self, kind: type[_Page]) -> _Page | None:
        """Return the page that is shown if it is of this kind."""
        return self.shown if isinstance(self.shown, kind) else None

    def go_to(self, base: Page) -> None:
        """Change what is under a page that was opened: the talks, leaving, or the form, which closes it."""
        self._base = base
        if base is Page.LOGIN:
            self._opened = ()
        self.show()

    def open(self, page: Page) -> None:
        """Show settings, account or shortcuts in place of what is there; not while locked or leaving."""
        if self._state.locked or self._base is Page.LEAVING:
            return
        if page is not self.page:
            if page is Page.SETTINGS:
                self._position = SettingsPosition()
            below = self._opened[: self._opened.index(page)] if page in self._opened else self._opened
            self._opened = (*below, page)
            self.show()
        if page is Page.SETTINGS:
            self._state.ask_desktop()

    def close(self, *, everything: bool = False) -> bool:
        """Go back from a page that was opened, or from all of them; return whether there was one."""
        if not self._opened:
            return False
        self._opened = () if everything else self._opened[:-1]
        self.show()
        return True

    def lock(self) -> bool:
        """Show the lock alone; return False if it is there already or the window is being left."""
        if self._state.locked or self._base is not Page.MAIN:
            return False
        self._state.locked = True
        self._opened = ()
        self.show()
        return True

    def show(self) -> None:
        """Make the page that belongs here now."""
        settings = self.shows(SettingsPage)
        if settings is not None:
            self._position = settings.position
        self._put_away()
        for child in self._window.winfo_children():
            child.destroy()  # dialogs too
        # Tk's variables and pictures must end in Tk's thread; the collector may run in any other.
        self._window.after_idle(gc.collect)
        self.shown = None  # while the page is made there is none
        self.shown = self._makers[self.page]()
        self.shown.pack(fill="both", expand=True)
        if isinstance(self.shown, SettingsPage):
            self.shown.take_position(self._position)
