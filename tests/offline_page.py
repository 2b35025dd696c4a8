"""``OfflinePage``: a window's main page over a model, without a server, and what its widgets asked for."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk
from typing import Any

from iirs.client.events import (
    ConnectionChanged,
    ConnectionState,
    PeerChanged,
    PeerState,
    PeopleChanged,
    RoundOpened,
)
from iirs.client.model.actions import Actions
from iirs.client.model.chat_model import ChatModel
from iirs.client.window.main_page import MainPage
from iirs.client.window.parts.question import Question
from tests.screen import Screen

NOW = 1_700_000_000_000


class OfflinePage:
    """A main page over a model, and what its widgets asked for."""

    def __init__(self, screen: Screen, *people: str) -> None:
        self.screen = screen
        self.asked: list[tuple[Any, ...]] = []
        self.model = ChatModel("alice", servers=3)
        self.top = tk.Toplevel(screen.root)
        self.top.geometry("960x680")
        made = {name: self._recorder(name) for name in Actions.__slots__}
        self.page = MainPage(self.top, screen.theme, self.model, Actions(**made))
        self.page.pack(fill="both", expand=True)
        numbers = tuple(f"{index:060d}" for index in range(len(people) + 1))
        self.take(ConnectionChanged(ConnectionState.ONLINE), PeopleChanged(("alice", *people), numbers))
        screen.pump(
            lambda: bool(self.page.chat.winfo_width() > 1 or self.page.new_talk_page.winfo_viewable())
        )

    def _recorder(self, name: str) -> Any:
        def record(*values: Any) -> bool:
            self.asked.append((name, *values))
            return True

        return record

    def take(self, *events: Any) -> None:
        for event in events:
            self.model.take(event)
        self.page.refresh()
        self.screen.root.update()

    def talk_to(self, peer: str) -> None:
        self.take(PeerChanged(peer, PeerState.CONNECTED), RoundOpened(7, 2.0, 24, 5, 2.0))
        self.page.open(peer)
        self.screen.pump(lambda: self.page.chat.log.canvas.winfo_width() > 1)

    def shown(self) -> str:
        self.screen.root.update()
        return "\n".join(self.page.chat.log.shown_texts)


def button(widget: tk.Misc, label: str) -> ttk.Button:
    """Return the one button with this label."""
    found = [
        child
        for child in all_in(widget)
        if isinstance(child, ttk.Button) and child.cget("text") == label and child.winfo_manager()
    ]
    assert len(found) == 1, (label, len(found))
    return found[0]


def all_in(widget: tk.Misc) -> list[tk.Misc]:
    return [widget, *(inner for child in widget.winfo_children() for inner in all_in(child))]


def questions(widget: tk.Misc) -> list[Question]:
    return [child for child in all_in(widget) if isinstance(child, Question)]
