"""``LockPage``: all a locked window shows."""

from __future__ import annotations

import time
import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from iirs.client.model.lock import wait_seconds
from iirs.client.text.translate import N_, _
from iirs.client.window.parts.flow import wrapping
from iirs.client.window.parts.scroll_page import ScrollPage
from iirs.client.window.theme.theme import Theme

_ABOUT = N_(
    "Your conversations go on, and what arrives is kept for you. The network sees no difference. "
    "Enter your password to look."
)


class LockPage(ScrollPage):
    """Calls ``submit`` with a password; ``refuse`` afterwards if it was wrong."""

    def __init__(
        self, parent: tk.Misc, theme: Theme, submit: Callable[[str], None], failures: int = 0
    ) -> None:
        """``failures``: wrong passwords before this page was made."""
        super().__init__(parent, theme, 360)
        dp, card = theme.dp, self.body
        self._submit = submit
        self._failures = failures
        self._tick = ""
        mark = tk.Canvas(
            card, width=dp(64), height=dp(64), background=theme.colours.background, highlightthickness=0
        )
        mark.pack(pady=(0, dp(12)))
        _draw_lock(mark, theme)
        self.centred(_("Locked"), _(_ABOUT))
        self.entry = self.field(_("Password"), secret=True)
        self.entry.bind("<Return>", lambda _: self.unlock())
        self.message = wrapping(ttk.Label(card, style="Error.TLabel", font=theme.small))
        self.message.pack(fill="x", pady=(dp(6), dp(8)))
        self.mends(self.message, self.entry)
        self.button = ttk.Button(card, text=_("Unlock"), style="Accent.TButton", command=self.unlock)
        self.button.pack(fill="x")
        self.progress = ttk.Progressbar(card, mode="indeterminate")
        self.bind("<Destroy>", lambda _: self._stop())
        self.entry.focus_set()
        self._until = time.monotonic() + wait_seconds(failures)
        self._count_down()

    def unlock(self) -> None:
        """Hand over the password, unless one is being tried or it is too early."""
        password = self.entry.get()
        if self.button.instate(["disabled"]):
            return
        if not password:
            self.message.configure(text=_("Please fill in {missing}.").format(missing=_("your password")))
            self.entry.focus_set()
            return
        self.entry.delete(0, "end")
        self.message.configure(text="")
        self._enable(on=False)
        self.progress.pack(fill="x", pady=(12, 0))
        self.progress.start(15)
        self._submit(password)

    def refuse(self, failures: int) -> None:
        """Say that the password was wrong; the button waits the longer the more were."""
        self.progress.stop()
        self.progress.pack_forget()
        self._failures = failures
        self._until = time.monotonic() + wait_seconds(failures)
        self._count_down()

    def _count_down(self) -> None:
        left = round(self._until - time.monotonic() + 0.49)
        wrong = _("The password is wrong.") if self._failures else ""
        if left <= 0:
            self._tick = ""
            self._enable(on=True)
            self.message.configure(text=wrong)
            self.entry.focus_set()
            return
        self._enable(on=False)
        self.message.configure(text=wrong + " " + _("Try again in {seconds} s.").format(seconds=left))
        self._tick = self.after(250, self._count_down)

    def _enable(self, *, on: bool) -> None:
        for widget in (self.entry, self.button):
            widget.state(["!disabled" if on else "disabled"])

    def _stop(self) -> None:
        if self._tick:
            self.after_cancel(self._tick)
            self._tick = ""


def _draw_lock(mark: tk.Canvas, theme: Theme) -> None:
    dp, colours = theme.dp, theme.colours
    theme.box(mark, (0, 0, dp(64), dp(64)), 18, colours.accent)
    theme.box(mark, (dp(22), dp(14), dp(42), dp(44)), 10, colours.on_accent)
    theme.box(mark, (dp(26), dp(18), dp(38), dp(44)), 6, colours.accent)
    theme.box(mark, (dp(17), dp(30), dp(47), dp(50)), 4, colours.on_accent)
