"""The shortcuts of the window: what each key is called, what it does, and the page that shows them all."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from tkinter import ttk

from iirs.client.text.key_names import key_name
from iirs.client.text.translate import N_, _
from iirs.client.window.parts.flow import wrapping
from iirs.client.window.parts.scroll_page import ScrollPage
from iirs.client.window.theme.theme import Theme


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A key: its action, what it does in words, how it is written, and Tk's sequences for it."""

    action: str
    about: str
    shown: str
    sequences: tuple[str, ...]


SHORTCUTS = (
    Shortcut("find_people", N_("Find people"), "Ctrl+K", ("Control-k",)),
    Shortcut("find_text", N_("Find in this talk"), "Ctrl+F", ("Control-f",)),
    Shortcut("new_talk", N_("New talk"), "Ctrl+N", ("Control-n",)),
    Shortcut("new_group", N_("New group"), "Ctrl+G", ("Control-g",)),
    Shortcut("previous", N_("Talk above"), "Alt+↑", ("Alt-Up",)),
    Shortcut("next", N_("Talk below"), "Alt+↓", ("Alt-Down",)),
    Shortcut("back", N_("Back to writing"), "Esc", ("Escape",)),
    Shortcut("settings", N_("Settings"), "Ctrl+,", ("Control-comma",)),
    Shortcut("larger", N_("Larger"), "Ctrl++", ("Control-plus", "Control-equal", "Control-KP_Add")),
    Shortcut("smaller", N_("Smaller"), "Ctrl+-", ("Control-minus", "Control-KP_Subtract")),
    Shortcut("usual", N_("Normal size"), "Ctrl+0", ("Control-0", "Control-KP_0")),
    Shortcut("lock", N_("Lock the window"), "Ctrl+L", ("Control-l",)),
    Shortcut("help", N_("Keyboard shortcuts"), "F1", ("F1",)),
    Shortcut("quit", N_("Log out and close"), "Ctrl+Q", ("Control-q",)),
)
_WITHOUT_ACTION = (
    (N_("Send what is written"), "Enter"),
    (N_("New line"), "Shift+Enter"),
    (N_("Go to the next part of the window"), "Tab"),
    (N_("Menu of a message, a person or a field"), "Shift+F10"),
)


def is_mac(widget: tk.Misc) -> bool:
    """Return whether Command takes Control's place here."""
    return str(widget.tk.call("tk", "windowingsystem")) == "aqua"


def bind_shortcuts(window: tk.Tk | tk.Toplevel, actions: dict[str, Callable[[], None]]) -> None:
    """Have each key do its action, whatever in the window has the focus."""
    command = is_mac(window)
    for key in SHORTCUTS:
        for sequence in key.sequences:
            name = sequence.replace("Control", "Command") if command else sequence
            window.bind(f"<{name}>", _acting(actions[key.action]))


def _acting(action: Callable[[], None]) -> Callable[[tk.Event[tk.Misc]], str]:
    def act(_: tk.Event[tk.Misc]) -> str:
        action()
        return "break"

    return act


class ShortcutsPage(ScrollPage):
    """All keys, in two columns; ``close`` goes back."""

    def __init__(self, parent: tk.Misc, theme: Theme, close: Callable[[], None]) -> None:
        super().__init__(parent, theme, 460)
        dp = theme.dp
        body = self.body
        self.button = self.heading(_("Keyboard shortcuts"), _("Back"), close)
        command = is_mac(self)
        lines = [(_(key.about), key.shown) for key in SHORTCUTS]
        for about, shown in [*lines, *((_(about), shown) for about, shown in _WITHOUT_ACTION)]:
            row = ttk.Frame(body)
            row.pack(fill="x")
            keys = key_name(shown, command=command)
            ttk.Label(row, text=keys, style="Bold.TLabel").pack(side="right", padx=(dp(12), 0))
            wrapping(ttk.Label(row, text=about)).pack(side="left", fill="x", expand=True, pady=dp(5))
            ttk.Frame(body, style="Line.TFrame", height=1).pack(fill="x")
        self.button.focus_set()
