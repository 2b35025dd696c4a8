"""``Alerts``: what a window says to somebody who looks elsewhere: its title, notifications, the bell."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable

from iirs.client.desktop.notification_text import Notification, notification, title
from iirs.client.model.chat_model import ChatModel
from iirs.client.window.window_state import WindowState


class Alerts:
    """Tells no more than the person's preferences allow, and while locked neither names nor texts."""

    def __init__(self, window: tk.Tk | tk.Toplevel, state: WindowState) -> None:
        self.notify: Callable[[Notification], None] = lambda _: None
        self.conceal: Callable[[], None] = lambda: None
        """Called when the window locks: what waits to be told must name nobody."""
        self._window = window
        self._state = state

    def tell(self, model: ChatModel) -> None:
        """Tell of what came unseen since the last time."""
        arrived = model.arrived[:]
        model.arrived.clear()
        preferences = self._state.preferences
        news = notification(arrived, preferences, locked=self._state.locked)
        if news is not None:
            self.notify(news)
        if arrived and preferences.sound:
            self._window.bell()

    def entitle(self, model: ChatModel, *, inside: bool) -> None:
        """Write into the title whose window it is, if somebody is logged in, and how much is unread."""
        wanted = title(model, locked=self._state.locked, inside=inside)
        if self._window.title() != wanted:
            self._window.title(wanted)
