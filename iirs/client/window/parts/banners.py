"""``Banners``: sentences above everything, with what can be done about them."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from tkinter import ttk

from iirs.client.text.translate import _
from iirs.client.window.parts.flow import Flow, wrapping
from iirs.client.window.theme.theme import Theme

Answer = tuple[str, str, Callable[[], None]]
"""Words of a button, its style ("" or "Accent."), and what it does."""


class Banners(ttk.Frame):
    """One banner a key."""

    def __init__(self, parent: tk.Misc, theme: Theme) -> None:
        super().__init__(parent)
        self._theme = theme
        self._shown: dict[str, ttk.Frame] = {}
        ttk.Frame(self, height=1, width=1).pack()  # an empty frame keeps its last height

    @property
    def shown(self) -> list[str]:
        """The keys of what is shown."""
        return list(self._shown)

    def show(self, key: str, style: str, text: str, answers: Sequence[Answer] = ()) -> None:
        """Show a banner unless it is there; ``style`` is "Warn" or "Bad"."""
        if key in self._shown:
            return
        dp = self._theme.dp
        banner = ttk.Frame(self, style=f"{style}.TFrame", padding=(dp(16), dp(8)))
        banner.pack(fill="x")
        row = Flow(banner, dp(8), f"{style}.TFrame")
        row.pack(fill="x")
        label = wrapping(ttk.Label(row, text=text, style=f"{style}.TLabel", font=self._theme.small))
        buttons = [
            ttk.Button(row, text=words, style=f"{style}.{kind}TButton", command=act)
            for words, kind, act in answers
        ]
        row.show(label, *buttons, growing=label, least=dp(160))
        self._shown[key] = banner

    def warn(self, sentence: str, style: str) -> None:
        """Show a sentence until the person puts it away."""
        self.show(sentence, style, sentence, [(_("OK"), "", lambda: self.drop(sentence))])

    def keep_only(self, kind: str, *keys: str) -> None:
        """Put away all banners whose key begins with ``kind``, but these."""
        for key in self.shown:
            if key.startswith(kind) and key not in keys:
                self.drop(key)

    def drop(self, key: str) -> None:
        """Put a banner away, if it is there."""
        banner = self._shown.pop(key, None)
        if banner is not None:
            banner.destroy()
