"""``Question``: something to be decided before it is done, in a small window of its own."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from functools import partial
from tkinter import ttk

from iirs.client.text.display import cut_middle, displayable, one_line
from iirs.client.text.translate import _
from iirs.client.window.theme.theme import Theme

_LINES_MAX = 24
_LINE_MAX = 400


class Question(tk.Toplevel):
    """Asks; ``answers`` are words and what follows. Cancel, Escape and closing do nothing.

    ``head`` is what it is about, ``detail`` what else there is to see; both may come from outside. However
    long they are, the answers stay on the screen.
    """

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        words: str,
        answers: Sequence[tuple[str, Callable[[], None]]],
        detail: str = "",
        head: str = "",
    ) -> None:
        super().__init__(parent, background=theme.colours.background)
        dp = theme.dp
        self.title("iirs")
        self.transient(parent.winfo_toplevel())
        self.resizable(False, False)
        self.maxsize(parent.winfo_screenwidth() * 9 // 10, parent.winfo_screenheight() * 8 // 10)
        frame = ttk.Frame(self, padding=dp(20))
        frame.pack(fill="both", expand=True)
        row = ttk.Frame(frame, padding=(0, dp(16), 0, 0))
        row.pack(side="bottom", fill="x")
        if head:
            shown = theme.visual(one_line(head, _LINE_MAX))
            ttk.Label(frame, text=shown, wraplength=dp(400), style="Bold.TLabel").pack(
                anchor="w", pady=(0, dp(10))
            )
        ttk.Label(frame, text=words, wraplength=dp(400)).pack(anchor="w")
        if detail:
            lines = displayable(detail).split("\n")[:_LINES_MAX]
            text = "\n".join(theme.visual(cut_middle(line, _LINE_MAX)) for line in lines)
            self.detail = ttk.Label(
                frame, text=text, wraplength=dp(400), style="Bold.TLabel", padding=(0, dp(10), 0, 0)
            )
            self.detail.pack(anchor="w")
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
