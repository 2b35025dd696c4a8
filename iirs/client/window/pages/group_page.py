"""``NewGroupPage``: a name, people, and what a group costs, before it is founded."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from iirs.client.messenger.group_item import MEMBERS_MAX, NAME_MAX, neighbours, rounds_around
from iirs.client.model.chat_model import ChatModel
from iirs.client.text.group_title import has_visible_name
from iirs.client.text.translate import N_, _, n_
from iirs.client.window.parts.flow import Flow, wrapping
from iirs.client.window.parts.scroll_page import ScrollPage
from iirs.client.window.theme.focus import focus_of
from iirs.client.window.theme.theme import Theme, window_keys_first
from iirs.errors import AccountError

_SEEN = N_("All members see who is in the group; the network does not.")


class NewGroupPage(ScrollPage):
    """``create`` gets the name and the people; ``close`` goes back."""

    def __init__(
        self,
        parent: tk.Misc,
        theme: Theme,
        model: ChatModel,
        create: Callable[[str, tuple[str, ...]], None],
        close: Callable[[], None],
    ) -> None:
        super().__init__(parent, theme, 440)
        self._model = model
        self._create = create
        self._close = close
        self._chosen: list[str] = []
        self._shown: list[str] = []
        dp, card = theme.dp, self.body
        ttk.Label(card, text=_("New group"), font=theme.heading).pack(anchor="w")
        self.name_entry = self.first = self.field(_("Name of the group"))
        self._wanted = tk.StringVar(self)
        self._wanted.trace_add("write", lambda *_: self._show_people())
        self.filter_entry = self.field(_("People"))
        self.filter_entry.configure(textvariable=self._wanted)
        self.list = theme.list_box(card, theme.text, theme.colours.field, 7)
        self.list.pack(fill="x", pady=(dp(6), 0))
        self.cost = wrapping(ttk.Label(card, style="Muted.TLabel"))
        self.cost.pack(fill="x", pady=(dp(10), 0))
        self.message = wrapping(ttk.Label(card, style="Error.TLabel", font=theme.small))
        self.message.pack(fill="x", pady=dp(6))
        self.mends(self.message, self.name_entry, self.filter_entry)
        row = Flow(card, dp(8))
        row.pack(fill="x")
        self.create_button = ttk.Button(
            row, text=_("Create group"), style="Accent.TButton", command=self.create
        )
        row.show(self.create_button, ttk.Button(row, text=_("Back"), command=close))
        for widget in (self.name_entry, self.filter_entry):
            window_keys_first(widget)
            widget.bind("<Return>", lambda _: self._take_first_or_create())
        self.filter_entry.bind("<Down>", lambda _: self.list.focus_set())
        for sequence in ("<Return>", "<space>"):
            self.list.bind(sequence, lambda _: self._toggle_at(self.list.index("active")))
        self.list.bind("<ButtonRelease-1>", self._toggle_clicked)
        self._show_people()

    @property
    def chosen(self) -> tuple[str, ...]:
        """Who is to be asked."""
        return tuple(self._chosen)

    def refresh(self) -> None:
        """Take in what has changed."""
        self._show_people()

    def _show_people(self) -> None:
        wanted = self._wanted.get().strip().lower()
        names = [name for name in sorted(self._model.people) if name != self._model.me and wanted in name]
        shown = [
            *[name for name in names if name in self._chosen],
            *[n for n in names if n not in self._chosen],
        ]
        lines = [f"{'☑' if name in self._chosen else '☐'}  {name}" for name in shown]
        if list(self.list.get(0, "end")) != lines:
            marked = self._marked()
            self._shown = shown
            self.list.delete(0, "end")
            self.list.insert("end", *lines)
            self._mark(marked if marked in shown or not shown else shown[0])
        count = len(self._chosen) + 1
        self.cost.configure(text=group_cost(count, self._model.slots))

    def _marked(self) -> str:
        """Return who is in the line that keys act on."""
        index = int(self.list.index("active"))
        return self._shown[index] if index < len(self._shown) else ""

    def _mark(self, name: str) -> None:
        """Have keys act on a person's line, wherever it is now."""
        if name in self._shown:
            index = self._shown.index(name)
            self.list.activate(index)
            self.list.see(index)
            if focus_of(self) is self.list:
                self.list.selection_set(index)

    def toggle(self, name: str) -> None:
        """Take a person in, or out."""
        if name in self._chosen:
            self._chosen.remove(name)
        elif len(self._chosen) + 1 < MEMBERS_MAX:
            self._chosen.append(name)
        else:
            self.message.configure(text=_("A group has at most {count} members.").format(count=MEMBERS_MAX))
        self._show_people()

    def _toggle_clicked(self, event: tk.Event[tk.Listbox]) -> str:
        index = int(self.list.nearest(event.y))  # type: ignore[no-untyped-call]
        box = self.list.bbox(index) if index >= 0 else None
        if box is not None and box[1] <= event.y < box[1] + box[3]:  # not the empty space below the last
            self._toggle_at(index)
        return "break"

    def _toggle_at(self, index: int) -> str:
        if 0 <= index < len(self._shown):
            name = self._shown[index]
            self.list.activate(index)
            self.toggle(name)
        return "break"

    def _take_first_or_create(self) -> None:
        if self._wanted.get().strip() and self._shown:
            self.toggle(self._shown[0])
            self._wanted.set("")
        else:
            self.create()

    def create(self) -> None:
        """Found the group, or say what is missing."""
        name = self.name_entry.get().strip()
        if not has_visible_name(name) or len(name) > NAME_MAX:
            words = _("Give the group a name of at most {count} characters.").format(count=NAME_MAX)
            self.message.configure(text=words)
            self.name_entry.focus_set()
        elif not self._chosen:
            self.message.configure(text=_("Choose at least one person."))
            self.filter_entry.focus_set()
        else:
            try:
                neighbours(tuple(range(len(self._chosen) + 1)), 0, self._model.slots)
            except AccountError as error:  # what is typed would be gone when the messenger says so
                self.message.configure(text=error.said(_))
                return
            self._create(name, self.chosen)
            self._close()


def group_cost(count: int, slots: int) -> str:
    """Return what a group of so many, ourselves included, takes and how long a message takes in it."""
    used, members = min(slots, max(1, count - 1)), max(2, count)
    rounds = rounds_around(members, slots)
    takes = n_(
        "What is said goes round through the members: each talks with their neighbours only, so a group "
        "takes your one conversation.",
        "What is said goes round through the members: each talks with their neighbours only, so a group "
        "takes up to {used} of your {all} conversations.",
        slots,
    ).format(used=used, all=slots)
    reaches = n_(
        "A message reaches all {count} members in about one round.",
        "A message reaches all {count} members in about {rounds} rounds.",
        rounds,
    ).format(count=members, rounds=rounds)
    return f"{takes} {reaches} {_(_SEEN)}"
