"""``FindStrip``: words to look for, and where they were found."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from iirs.client.store.log_entry import LogEntry
from iirs.client.text.display import one_line
from iirs.client.text.text_layout import clock_time, day_of, short_day
from iirs.client.text.translate import _, n_
from iirs.client.window.parts.flow import Flow
from iirs.client.window.theme.theme import Theme, window_keys_first

_SHOWN = 100
_LINE = 80


class FindStrip(ttk.Frame):
    """``search`` gets words, ``choose`` an entry; results come by ``show_found``."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        search: Callable[[str], None],
        choose: Callable[[LogEntry], None],
        close: Callable[[], None],
    ) -> None:
        dp = theme.dp
        super().__init__(parent, style="Side.TFrame", padding=(dp(16), dp(8)))
        self._theme = theme
        self._choose = choose
        self._search = search
        self._entries: list[LogEntry] = []
        self._waiting = ""
        top = Flow(self, dp(8), "Side.TFrame")
        top.pack(fill="x")
        self.entry = ttk.Entry(top, style="Side.TEntry", font=theme.text)
        window_keys_first(self.entry)
        self.count = ttk.Label(top, style="SideMuted.TLabel", text="", width=-10, anchor="e")
        close_button = ttk.Button(top, text=_("Close"), style="SideQuiet.TButton", command=close)
        top.show(self.entry, self.count, close_button, growing=self.entry, least=dp(110))
        self.list = theme.list_box(self, theme.small, theme.colours.side, 0)
        self.entry.bind("<KeyRelease>", lambda _: self._typed())
        self.entry.bind("<Return>", lambda _: self._take(0))
        self.entry.bind("<Down>", lambda _: self._into_list())
        self.entry.bind("<Escape>", lambda _: close())
        self.list.bind("<Escape>", lambda _: close())
        self.list.bind("<Return>", lambda _: self._take_selected())
        self.list.bind("<ButtonRelease-1>", lambda _: self._take_selected())

    def _typed(self) -> None:
        if self._waiting:
            self.after_cancel(self._waiting)
        self._waiting = self.after(150, self._ask)

    def _ask(self) -> None:
        self._waiting = ""
        words = self.entry.get().strip()
        if words:
            self._search(words)
        else:
            self.show_found([])
            self.count.configure(text="")

    def show_found(self, entries: list[LogEntry]) -> None:
        """Show what was found, newest first."""
        self._entries = entries[:_SHOWN]
        self.list.delete(0, "end")
        for entry in self._entries:
            line = self._theme.visual(one_line(entry.text, _LINE))
            day = day_of(entry.sent_at_ms)
            when = f"{short_day(day)} {day.year} " if day is not None else ""
            self.list.insert("end", f"{when}{clock_time(entry.sent_at_ms)}  {entry.author}: {line}")
        self.list.activate(0)
        count = len(entries)
        self.count.configure(text=n_("{count} found", "{count} found", count).format(count=count))
        if entries:
            self.list.configure(height=min(6, len(self._entries)))
            self.list.pack(fill="x", pady=(6, 0))
        else:
            self.list.pack_forget()

    def _into_list(self) -> None:
        if self._entries:
            self.list.focus_set()

    def _take_selected(self) -> None:
        chosen = self.list.curselection()  # type: ignore[no-untyped-call]
        if chosen:
            self._take(chosen[0])

    def _take(self, index: int) -> None:
        if index < len(self._entries):
            self._choose(self._entries[index])
