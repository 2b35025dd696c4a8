"""``LeavingPage``: leaving takes a few rounds, and why."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from iirs.client.text.translate import N_, _
from iirs.client.window.parts.scroll_page import ScrollPage
from iirs.client.window.theme.theme import Theme

_WHY = N_(
    "Everybody who logs out stays for a few more rounds, so that nobody can tell whether you were talking."
)


class LeavingPage(ScrollPage):
    """Shown until the connection is over; ``hurry`` is called if the person cannot wait."""

    def __init__(self, parent: tk.Misc, theme: Theme, what_then: str, hurry: Callable[[], None]) -> None:
        super().__init__(parent, theme, 400)
        dp, card = theme.dp, self.body
        self.centred(_("Logging out …"), f"{_(_WHY)} {what_then}")
        progress = ttk.Progressbar(card, mode="indeterminate")
        progress.pack(fill="x", pady=(0, dp(20)))
        progress.start(15)
        self.button = ttk.Button(card, text=_("Log out at once"), style="Danger.TButton", command=hurry)
        self.button.pack()
        self.button.focus_set()
