"""Where the keyboard is, and whether what has it can still be seen."""

from __future__ import annotations

import tkinter as tk
from contextlib import suppress


def focus_of(widget: tk.Misc) -> tk.Misc | None:
    """Return what has the keyboard in this program; ``None`` if nothing has, or one of Tk's own dialogs."""
    with suppress(KeyError, tk.TclError):  # Tk's own dialogs and popdowns have no Python object
        return widget.focus_get()
    return None


def is_lost(window: tk.Misc) -> bool:
    """Return whether keys go to a window and to nothing in it: what had them is gone, or was put away."""
    here = focus_of(window)
    if here is None or here.winfo_toplevel() is not window:
        return False  # another window has it, a menu, or another program
    if here is window:
        return True
    while here is not None and here is not window:
        if not here.winfo_manager():
            return True
        here = here.master
    return False
