"""Menus that look like the rest of the window, and the one that every field has."""

from __future__ import annotations

import tkinter as tk
from contextlib import suppress

from iirs.client.text.translate import N_, _
from iirs.client.window.theme.theme import Theme

MENU_KEYS = ("<Menu>", "<App>", "<Shift-F10>")
"""The key that opens a menu; each system knows its own name of it."""
_FIELDS = ("Text", "Entry", "TEntry")
_EDITING = (
    (N_("Cut"), "<<Cut>>"),
    (N_("Copy"), "<<Copy>>"),
    (N_("Paste"), "<<Paste>>"),
    (N_("Select all"), "<<SelectAll>>"),
)


def menu(parent: tk.Misc, theme: Theme) -> tk.Menu:
    """Return an empty menu."""
    colours = theme.colours
    return tk.Menu(
        parent,
        tearoff=False,
        font=theme.text,
        background=colours.background,
        foreground=colours.ink,
        activebackground=colours.accent,
        activeforeground=colours.on_accent,
        borderwidth=1,
    )


def give_fields_a_menu(window: tk.Tk | tk.Toplevel, theme: Theme) -> None:
    """Have the right button and the menu key offer in every field what can be done with its text."""

    def show(event: tk.Event[tk.Misc]) -> str:
        field = event.widget
        field.focus_set()
        shown = menu(field, theme)
        for words, what in _EDITING:
            shown.add_command(label=_(words), command=lambda event=what: field.event_generate(event))  # type: ignore[misc]
        shown.bind("<Unmap>", lambda _: shown.after_idle(shown.destroy))
        x, y = event.x_root, event.y_root
        if event.type is not tk.EventType.ButtonPress:
            x, y = field.winfo_rootx() + theme.dp(20), field.winfo_rooty() + field.winfo_height()
        shown.tk_popup(x, y)
        return "break"

    for kind in _FIELDS:
        for sequence in ("<Button-3>", *MENU_KEYS):
            with suppress(tk.TclError):
                window.bind_class(kind, sequence, show)
