"""``SideColumn``: who is logged in, a field to search with, the talks, and how many are in use."""

from __future__ import annotations

import datetime
import tkinter as tk
from tkinter import ttk

from iirs.client.events import GroupState, PeerState
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.talk import Talk
from iirs.client.model.talk_sentences import brief, is_lively
from iirs.client.text.display import one_line
from iirs.client.text.text_layout import clock_time, day_of, short_day
from iirs.client.text.translate import _, n_
from iirs.client.window.parts.flow import Flow, wrapping
from iirs.client.window.parts.people_list import PeopleList, PersonRow
from iirs.client.window.theme.avatars import number_of
from iirs.client.window.theme.theme import Theme, window_keys_first

_LINE_MAX = 120


class SideColumn(ttk.Frame):
    """Shows a ``ChatModel``'s talks; whoever makes it gives the buttons and the list their commands."""

    def __init__(self, parent: tk.Misc, theme: Theme, model: ChatModel, wanted: tk.StringVar) -> None:
        """``wanted`` is what is searched for."""
        dp = theme.dp
        super().__init__(parent, style="Side.TFrame", width=dp(286))
        self.pack_propagate(False)
        self._theme = theme
        self._model = model
        self._wanted = wanted
        self._make_top()
        self._make_search()
        self.slots = wrapping(ttk.Label(self, style="SideMuted.TLabel"))
        self.slots.pack(fill="x", padx=(dp(14), dp(8)), pady=(0, dp(4)))
        self.people = PeopleList(self, theme)
        self.people.pack(fill="both", expand=True)

    def _make_top(self) -> None:
        dp, theme = self._theme.dp, self._theme
        top = ttk.Frame(self, style="Side.TFrame", padding=(dp(14), dp(12), dp(8), dp(6)))
        top.pack(fill="x")
        self._face = tk.Canvas(
            top, width=dp(32), height=dp(32), background=theme.colours.side, highlightthickness=0
        )
        self._face.pack(side="left", padx=(0, dp(10)))
        name = theme.fit(self._model.me, dp(110), theme.heading)
        self.log_out_button = ttk.Button(top, text=_("Log out"), style="SideQuiet.TButton")
        self.settings_button = ttk.Button(top, text="⚙", width=2, style="SideQuiet.TButton")
        self.settings_button.pack(side="right")
        self.log_out_button.pack(side="right")
        ttk.Label(top, text=name, style="SideHeading.TLabel").pack(side="left", fill="x")

    def _make_search(self) -> None:
        dp = self._theme.dp
        search = ttk.Frame(self, style="Side.TFrame", padding=(dp(12), dp(4), dp(12), dp(6)))
        search.pack(fill="x")
        row = Flow(search, dp(4), "Side.TFrame")
        row.pack(fill="x")
        self.new_button = ttk.Button(row, text=_("New talk"), style="SideQuiet.TButton")
        self.group_button = ttk.Button(row, text=_("New group"), style="SideQuiet.TButton")
        row.show(self.new_button, self.group_button)
        find = wrapping(ttk.Label(search, text=_("Find people and messages"), style="SideMuted.TLabel"))
        find.pack(fill="x", pady=(dp(4), dp(2)))
        self.search = ttk.Entry(search, textvariable=self._wanted, style="Side.TEntry", font=self._theme.text)
        self.search.pack(fill="x")
        window_keys_first(self.search)
        self.search.bind("<Down>", lambda _: self.people.canvas.focus_set())

    def refresh(self, open_key: str) -> None:
        """Take in what has changed; ``open_key`` is the talk being looked at."""
        model = self._model
        if model.numbers:
            self._face.delete("all")
            middle = self._theme.dp(16)
            number = model.numbers.get(model.me, "")
            self._theme.draw_avatar(self._face, number, model.me, (middle, middle), 32)
        today = datetime.datetime.now().astimezone().date()
        self.people.show([self._row(name, today) for name in model.order(self._wanted.get())], open_key)
        waiting = sum(talk.state is PeerState.WAITING for talk in model.talks.values())
        words = n_(
            "{used} of {all} conversation in use", "{used} of {all} conversations in use", model.slots
        ).format(used=model.in_use, all=model.slots)
        if waiting:
            waits = n_("{count} waiting for a place", "{count} waiting for a place", waiting)
            words += " · " + waits.format(count=waiting)
        self.slots.configure(text=words)

    def _row(self, name: str, today: datetime.date) -> PersonRow:
        talk = self._model.talks.get(name)
        if talk is None:
            number = self._model.numbers.get(name, "")
            return PersonRow(name, name, number, "", "", 0, lively=False, asks=False)
        asks = talk.asks or talk.group is GroupState.INVITED
        when = ""
        if talk.last is not None:
            day = day_of(talk.last.at_ms)
            if day is not None:
                when = clock_time(talk.last.at_ms) if day == today else short_day(day)
        lively = is_lively(self._model, talk)
        line = _line(talk) or brief(self._model, talk)
        return PersonRow(
            name, talk.title, number_of(talk), line, when, talk.unread, lively, asks, talk.verified
        )


def _line(talk: Talk) -> str:
    """Return the last thing said, on one line; "" while something else matters more.

    It begins with who said it, so that nobody's words can pass for ours, and a file is said before the colon.
    """
    row = talk.last
    if row is None or talk.asks or talk.group is GroupState.INVITED:
        return ""
    text = one_line(row.shown, _LINE_MAX)
    if row.outgoing:
        return (_("You: {text}") if row.file is None else _("You send a file: {text}")).format(text=text)
    author = row.author or talk.peer
    if row.file is not None:
        author = _("{author} sends a file").format(author=author)
    return f"{author}: {text}"
