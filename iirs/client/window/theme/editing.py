"""Keys that change a text, as people know them from everywhere else: Tk on X11 keeps habits of its own."""

from __future__ import annotations

import tkinter as tk
from contextlib import suppress

_SELECT_ALL = ("<Control-a>", "<Control-A>")
"""On X11 these go to the beginning of a line, which Home does too."""


def edit_as_elsewhere(root: tk.Misc) -> None:
    """Have Ctrl+A take everything, and what is pasted take the place of what is marked, in all windows."""
    if root.tk.call("tk", "windowingsystem") != "x11":
        return
    for sequence in _SELECT_ALL:
        root.event_delete("<<LineStart>>", sequence)
        root.event_add("<<SelectAll>>", sequence)
    root.bind_class("Text", "<<Paste>>", _paste)


def _paste(event: tk.Event[tk.Misc]) -> str:
    text = event.widget
    assert isinstance(text, tk.Text)  # noqa: S101  # bound to that class
    try:
        text.clipboard_get()
    except tk.TclError:
        return "break"  # nothing to paste: what is marked stays
    with suppress(tk.TclError):  # nothing is marked
        text.delete("sel.first", "sel.last")
    text.tk.call("tk_textPaste", str(text))
    return "break"
