"""``Question``: something to be decided before it is done, in a small window of its own."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from functools import partial
from tkinter import ttk

from iirs.client.text.display import cut_middle, displayable, one_line
from iirs.client.text.translate import _
from iirs.client.window.parts.flow import Flow, wrapping
from iirs.client.window.parts.scroll_page import ScrollPage
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
        self._width = min(dp(460), self.winfo_screenwidth())
        foot = self._foot = ttk.Frame(self, padding=(dp(20), dp(8), dp(20), dp(20)))
        foot.pack(side="bottom", fill="x")
        row = Flow(foot, dp(8))
        row.pack(fill="x")
        page = self._page = ScrollPage(self, theme, 420)
        page.pack(fill="both", expand=True)
        if head:
            shown = theme.visual(one_line(head, _LINE_MAX))
            wrapping(ttk.Label(page.body, text=shown, style="Bold.TLabel")).pack(fill="x", pady=(0, dp(10)))
        wrapping(ttk.Label(page.body, text=words)).pack(fill="x")
        if detail:
            lines = displayable(detail).split("\n")[:_LINES_MAX]
            text = "\n".join(theme.visual(cut_middle(line, _LINE_MAX)) for line in lines)
            self.detail = wrapping(ttk.Label(page.body, text=text, style="Bold.TLabel"))
            self.detail.pack(fill="x", pady=(dp(10), 0))
        self.buttons: dict[str, ttk.Button] = {}
        for label, then in answers:
            button = ttk.Button(row, text=label, style="Accent.TButton")
            button.configure(command=partial(self._answer, then))
            self.buttons[label] = button
        self.cancel_button = ttk.Button(
            row, text=_("Cancel") if answers else _("Close"), command=self.destroy
        )
        row.show(*self.buttons.values(), self.cancel_button)
        self.bind("<Escape>", lambda _: self.destroy())
        for part in (page.body, foot):
            part.bind("<Configure>", lambda _: self._fit(), add=True)
        self._fit()
        self.cancel_button.focus_set()

    def _fit(self) -> None:
        """Be as high as what is asked, and no higher than the screen."""
        needed = self._page.body.winfo_reqheight() + self._foot.winfo_reqheight()
        height = min(needed, self.winfo_screenheight() * 9 // 10)
        self.geometry(f"{self._width}x{height}")

    def _answer(self, act: Callable[[], None]) -> None:
        self.destroy()
        act()
