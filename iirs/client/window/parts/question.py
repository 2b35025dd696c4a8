"""``Question``: something to be decided before it is done, in a small window of its own."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from functools import partial
from tkinter import ttk

from iirs.client.text.display import displayable
from iirs.client.text.translate import _
from iirs.client.window.parts.flow import Flow, wrapping
from iirs.client.window.parts.scroll_page import ScrollPage
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
        self._width = min(dp(460), self.winfo_screenwidth())
        page = self._page = ScrollPage(self, theme, 420)
        page.pack(fill="both", expand=True)
        wrapping(ttk.Label(page.body, text=words)).pack(fill="x")
        if detail:
            text = theme.visual(displayable(detail)[:2000])
            self.detail = wrapping(ttk.Label(page.body, text=text, style="Bold.TLabel"))
            self.detail.pack(fill="x", pady=(dp(10), 0))
        row = Flow(page.body, dp(8))
        row.pack(fill="x", pady=(dp(16), 0))
        self.buttons: dict[str, ttk.Button] = {}
        for label, then in answers:
            button = ttk.Button(row, text=label, style="Accent.TButton")
            button.configure(command=partial(self._answer, then))
            button.bind("<Return>", partial(_press, button))
            self.buttons[label] = button
        self.cancel_button = ttk.Button(
            row, text=_("Cancel") if answers else _("Close"), command=self.destroy
        )
        row.show(*self.buttons.values(), self.cancel_button)
        self.cancel_button.bind("<Return>", lambda _: self.destroy())
        self.bind("<Escape>", lambda _: self.destroy())
        page.body.bind("<Configure>", lambda _: self._fit(), add=True)
        self._fit()
        self.cancel_button.focus_set()

    def _fit(self) -> None:
        """Be as high as what is asked, and no higher than the screen."""
        height = min(self._page.body.winfo_reqheight(), self.winfo_screenheight() * 9 // 10)
        self.geometry(f"{self._width}x{height}")

    def _answer(self, act: Callable[[], None]) -> None:
        self.destroy()
        act()


def _press(button: ttk.Button, _event: tk.Event[tk.Misc]) -> None:
    button.invoke()
