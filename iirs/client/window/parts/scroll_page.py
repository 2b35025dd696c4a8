"""``ScrollPage``: a column of widgets in the middle of the window, scrolled where it does not fit."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk
from typing import TypeVar

from iirs.client.window.theme.theme import Theme

_Variable = TypeVar("_Variable", bound=tk.Variable)


class ScrollPage(ttk.Frame):
    """Put widgets into ``body``, then call ``settle``."""

    def __init__(self, parent: tk.Misc, theme: Theme, width: int) -> None:
        """``width`` is the column's, in dp; it is narrower in a narrow window."""
        super().__init__(parent)
        self._theme = theme
        self._kept: list[tk.Variable] = []
        self._width = width
        ground = theme.colours.background
        self.canvas = tk.Canvas(self, background=ground, highlightthickness=0, takefocus=False)
        bar = ttk.Scrollbar(self, command=self.canvas.yview)
        bar.pack(side="right", fill="y")
        self.canvas.pack(fill="both", expand=True)
        self.canvas.configure(yscrollcommand=bar.set)
        self.body = ttk.Frame(self.canvas, padding=(0, theme.dp(24)))
        self._item = self.canvas.create_window(0, 0, window=self.body, anchor="n")
        self.canvas.bind("<Configure>", lambda _: self._fit())
        self.body.bind("<Configure>", lambda _: self._fit())

    def heading(self, title: str, way_back: str, close: Callable[[], None]) -> ttk.Button:
        """Begin the page with its title, and return the button beside it that goes back."""
        theme = self._theme
        row = ttk.Frame(self.body)
        row.pack(fill="x")
        button = ttk.Button(row, text=way_back, style="Accent.TButton", command=close)
        button.pack(side="right")
        shown = theme.fit(title, theme.dp(self._width - 110), theme.title)
        ttk.Label(row, text=shown, style="Title.TLabel").pack(side="left")
        return button

    def section(self, title: str, about: str = "") -> None:
        """Begin a section under a heading, with what it is about."""
        label = ttk.Label(self.body, text=title, style="Heading.TLabel")
        label.pack(anchor="w", pady=(self._theme.dp(26), self._theme.dp(6)))
        if about:
            self.muted(about)

    def muted(self, text: str, *, above: int = 2) -> None:
        """Explain something, in as many lines as the column is wide for; ``above`` is in dp."""
        dp = self._theme.dp
        label = ttk.Label(self.body, text=text, style="Muted.TLabel", wraplength=dp(self._width))
        label.pack(anchor="w", fill="x", pady=(dp(above), dp(2)))
        label.bind("<Configure>", lambda event: label.configure(wraplength=event.width))

    def field(self, label: str, *, secret: bool = False) -> ttk.Entry:
        """Return a field to write in, under its label."""
        dp = self._theme.dp
        ttk.Label(self.body, text=label, style="Bold.TLabel").pack(anchor="w", pady=(dp(8), dp(3)))
        entry = ttk.Entry(self.body, font=self._theme.text, show="•" if secret else "")
        entry.pack(fill="x")
        return entry

    def kept(self, variable: _Variable) -> _Variable:
        """Return a variable that lasts as long as the page: Tk's end with the last reference to them."""
        self._kept.append(variable)
        return variable

    def settle(self) -> None:
        """Let the wheel scroll over all widgets, and scroll to the one that gets the focus."""
        for widget in (self.canvas, *_all_in(self.body)):
            widget.bind("<Button-4>", lambda _: self._scroll(-1), add=True)
            widget.bind("<Button-5>", lambda _: self._scroll(1), add=True)
            widget.bind("<MouseWheel>", lambda event: self._scroll(-1 if event.delta > 0 else 1), add=True)
            widget.bind("<FocusIn>", lambda event: self.see(event.widget), add=True)
        for key, pages in (("<Prior>", -1), ("<Next>", 1)):
            for widget in _all_in(self.body):
                widget.bind(key, lambda _, n=pages: self.canvas.yview_scroll(n, "pages"), add=True)  # type: ignore[misc]

    def see(self, widget: tk.Misc) -> None:
        """Scroll so that a widget of the body is in view."""
        whole, seen = self.body.winfo_height(), self.canvas.winfo_height()
        if whole <= seen:
            return
        top = widget.winfo_rooty() - self.body.winfo_rooty()
        first = self.canvas.canvasy(0)
        room = self._theme.dp(24)
        if top < first + room:
            self.canvas.yview_moveto(max(0, top - room) / whole)
        elif top + widget.winfo_height() > first + seen - room:
            self.canvas.yview_moveto((top + widget.winfo_height() + room - seen) / whole)

    def _scroll(self, step: int) -> str:
        if self.body.winfo_height() > self.canvas.winfo_height():
            self.canvas.yview_scroll(step * 2, "units")
        return "break"

    def _fit(self) -> None:
        dp, width, height = self._theme.dp, self.canvas.winfo_width(), self.canvas.winfo_height()
        if width <= 1:
            return  # the window has not given it any room yet: lines would be one letter wide, and many
        column = min(dp(self._width), width - dp(32))
        needed = self.body.winfo_reqheight()
        spare = max(0, (height - needed) * 2 // 5)
        self.canvas.itemconfigure(self._item, width=max(1, column))
        self.canvas.coords(self._item, width // 2, spare)
        self.canvas.configure(scrollregion=(0, 0, width, max(height, needed)), yscrollincrement=dp(20))


def _all_in(widget: tk.Misc) -> list[tk.Misc]:
    found: list[tk.Misc] = [widget]
    for child in widget.winfo_children():
        found += _all_in(child)
    return found
