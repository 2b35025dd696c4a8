"""``Question``: something to be decided before it is done, in a small window of its own."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from functools import partial
from tkinter import ttk

from iirs.client.text.display import displayable
from iirs.client.text.translate import _
from iirs.client.window.theme.theme import Theme


class Question(tk.Toplevel):
    """Asks; ``answers`` are words and what follows. Cancel, Escape and closing do nothing."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        words: str,
        answers: Sequence[tuple[str, Callable[[], None]]],
        detail: str = "",
    ) -> None:
        super().__init__(parent, background=theme.colours.background)
        dp = theme.dp
        self.title("iirs")
        self.transient(parent.winfo_toplevel())
        self.resizable(False, False)
        frame = ttk.Frame(self, padding=dp(20))
        frame.pack(fill="both", expand=True)
        ttk.Label(frame, text=words, wraplength=dp(400)).pack(anchor="w")
        if detail:
            text = theme.visual(displayable(detail)[:2000])
            self.detail = ttk.Label(
                frame, text=text, wraplength=dp(400), style="Bold.TLabel", padding=(0, dp(10), 0, 0)
            )
            self.detail.pack(anchor="w")
        row = ttk.Frame(frame, padding=(0, dp(16), 0, 0))
        row.pack(fill="x")
        self.cancel_button = ttk.Button(
            row, text=_("Cancel") if answers else _("Close"), command=self.destroy
        )
        self.cancel_button.pack(side="right", padx=(dp(8), 0))
        self.buttons: dict[str, ttk.Button] = {}
        for label, then in answers:
            button = ttk.Button(row, text=label, style="Accent.TButton")
            button.configure(command=partial(self._answer, then))
            button.pack(side="right", padx=(dp(8), 0))
            button.bind("<Return>", partial(_press, button))
            self.buttons[label] = button
        self.cancel_button.bind("<Return>", lambda _: self.destroy())
        self.bind("<Escape>", lambda _: self.destroy())
        self.cancel_button.focus_set()

    def _answer(self, act: Callable[[], None]) -> None:
        self.destroy()
        act()


def _press(button: ttk.Button, _event: tk.Event[tk.Misc]) -> None:
    button.invoke()
