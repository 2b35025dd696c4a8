"""``WindowState``: what a window has besides its conversations: preferences, colours, its place, the lock.

Its methods run in Tk's thread. What blocks is done in workers, which hand ``tell`` what came of it.
"""

from __future__ import annotations

import threading
import time
import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from iirs.client.account.account import Account
from iirs.client.account.entry_calls import Home
from iirs.client.account.password_keys import opens
from iirs.client.desktop.colour_scheme import is_dark
from iirs.client.model.lock import IdleClock
from iirs.client.store.preferences import ColourScheme, Preferences, WindowPlace
from iirs.client.text.translate import set_language
from iirs.client.window.parts.pasting import refuse_what_is_no_text
from iirs.client.window.theme.focus import focus_of
from iirs.client.window.theme.palette import DARK, LIGHT
from iirs.client.window.theme.theme import Theme


@dataclass(frozen=True, slots=True)
class DesktopScheme:
    """What the desktop says of its colours."""

    dark: bool


@dataclass(frozen=True, slots=True)
class UnlockTried:
    """Whether a password was the account's."""

    right: bool


WorkResult = DesktopScheme | UnlockTried


class WindowState:
    """``rebuild`` is called when all widgets must be made anew."""

    def __init__(
        self,
        window: tk.Tk | tk.Toplevel,
        theme: Theme,
        home: Home,
        tell: Callable[[WorkResult], None],
        rebuild: Callable[[], None],
    ) -> None:
        self.window = window
        self.theme = theme
        self.preferences = Preferences.read(home.folder)
        self.locked = False
        self.failures = 0
        self.clock: Callable[[], float] = time.monotonic
        self._home = home
        self._tell = tell
        self._rebuild = rebuild
        self._dark = False
        self._idle = IdleClock(self.clock())
        self._speak()
        self._restyle()
        self._place()
        for sequence in ("<Key>", "<Motion>", "<Button>", "<MouseWheel>"):
            window.bind(sequence, lambda _: self.touch(), add=True)
        refuse_what_is_no_text(window)
        self.ask_desktop()

    # -- preferences --------------------------------------------------------------------------------

    def change(self, name: str, value: Any) -> None:
        """Set one preference, keep it, and show what it changes."""
        self.preferences = replace(self.preferences, **{name: value})
        self.preferences.write(self._home.folder)
        if name == "language":
            self._speak()
        if self._restyle() or name == "language":
            self._rebuild()

    def _speak(self) -> None:
        """Use the chosen language, in Tk's own dialogs too."""
        code = set_language(self.preferences.language)
        self.window.tk.eval(f"::msgcat::mclocale {code}; ::msgcat::mcload [file join $::tk_library msgs]")

    def remember(self, link: str, name: str) -> None:
        """Keep the server and name for the next start."""
        self.preferences = replace(self.preferences, link=link, name=name)
        self.preferences.write(self._home.folder)

    def remember_place(self) -> None:
        """Keep where the window is."""
        window = self.window
        if window.state() == "normal" and window.winfo_width() > 1:
            place = WindowPlace(
                window.winfo_width(), window.winfo_height(), window.winfo_x(), window.winfo_y()
            )
            self.preferences = replace(self.preferences, place=place)
            self.preferences.write(self._home.folder)

    def zoom(self, steps: int) -> None:
        """Make everything larger or smaller by so many steps; 0 for the usual size."""
        self.change("zoom", self.preferences.zoomed(steps))

    def _place(self) -> None:
        theme, window = self.theme, self.window
        screen = (window.winfo_screenwidth(), window.winfo_screenheight())
        least = WindowPlace(theme.dp(340), theme.dp(360), 0, 0).fitted(screen[0] // 2, screen[1] * 9 // 10)
        window.minsize(least.width, least.height)
        place = self.preferences.place
        if place is not None:
            window.geometry(place.fitted(*screen).geometry)
        else:
            usual = WindowPlace(theme.dp(960), theme.dp(680), 0, 0).fitted(*screen)
            window.geometry(f"{usual.width}x{usual.height}")

    # -- colours ------------------------------------------------------------------------------------

    def ask_desktop(self) -> None:
        """Ask whether the desktop is dark, where that matters."""
        if self.preferences.theme is ColourScheme.SYSTEM:
            self._work(lambda: DesktopScheme(is_dark()))

    def take_scheme(self, scheme: DesktopScheme) -> None:
        """Take in what the desktop said."""
        self._dark = scheme.dark
        if self._restyle():
            self._rebuild()

    def _restyle(self) -> bool:
        dark = {ColourScheme.DARK: True, ColourScheme.LIGHT: False}.get(self.preferences.theme, self._dark)
        wanted = (DARK if dark else LIGHT, self.preferences.zoom)
        if (self.theme.colours, self.theme.zoom) == wanted:
            return False
        self.theme.restyle(*wanted)
        self.window.configure(background=self.theme.colours.background)
        return True

    # -- the lock -----------------------------------------------------------------------------------

    def touch(self) -> None:
        """Take note that the person is here."""
        self._idle.touch(self.clock())

    @property
    def is_time_to_lock(self) -> bool:
        """Whether nobody has touched the window for as long as was chosen."""
        return not self.locked and self._idle.is_up(self.clock(), self.preferences.lock_minutes)

    def try_password(self, account: Account, password: str) -> None:
        """Find out in a worker whether a password opens the lock."""
        self._work(lambda: UnlockTried(opens(account, password, self._home.cost)))

    def take_unlock(self, tried: UnlockTried) -> bool:
        """Take in whether a password was right; returns whether the lock is open now."""
        self.touch()
        self.failures = 0 if tried.right else self.failures + 1
        self.locked = self.locked and not tried.right
        return not self.locked

    def _work(self, function: Callable[[], WorkResult]) -> None:
        threading.Thread(target=lambda: self._tell(function()), name="iirs-window-state", daemon=True).start()


def has_focus(window: tk.Tk | tk.Toplevel) -> bool:
    """Return whether the keyboard is in this window."""
    focus = focus_of(window)
    return focus is not None and focus.winfo_toplevel() is window
