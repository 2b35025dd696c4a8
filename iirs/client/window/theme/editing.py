"""Keys and the mouse as people know them from everywhere else: Tk keeps habits of its own."""

from __future__ import annotations

import tkinter as tk
from contextlib import suppress

_SELECT_ALL = ("<Control-a>", "<Control-A>")
"""On X11 these go to the beginning of a line, which Home does too."""
_PRESSED = ("TButton", "TCheckbutton", "TRadiobutton")


def edit_as_elsewhere(root: tk.Misc) -> None:
    """Have Enter press what has the focus, and on X11 texts be changed as on other systems."""
    call = root.tk.call
    for kind in _PRESSED:  # Tk knows Space alone
        call("bind", kind, "<Return>", "ttk::button::activate %W; break")
    for key, step in (("<Left>", -1), ("<Right>", +1)):  # choices lie beside each other
        call("bind", "TRadiobutton", key, f"ttk::button::RadioTraverse %W {step}")
    call("bind", "all", "<KP_Enter>", "event generate %W <Return>")
    if call("tk", "windowingsystem") != "x11":
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
