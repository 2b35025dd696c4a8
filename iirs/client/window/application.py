"""The window's main loop, and what happens if one of its callbacks fails."""

from __future__ import annotations

import tkinter as tk
import traceback
from types import TracebackType

from iirs.client.account.entry_calls import Home
from iirs.client.desktop.notifications import Notifications
from iirs.client.text.translate import _
from iirs.client.window.parts.question import Question
from iirs.client.window.start import Start
from iirs.client.window.theme.theme import Theme
from iirs.client.window.window import ClientWindow


def run_application(root: tk.Tk, home: Home, start: Start) -> None:
    """Show one person's window in ``root`` and return when it is closed."""
    theme = Theme(root)
    faults = FaultDialog(root, theme)
    root.report_callback_exception = faults.show
    notifications = Notifications()
    window = ClientWindow(root, theme, home, start)
    window.alerts.notify, window.alerts.conceal = notifications.show, notifications.conceal
    root.mainloop()
    notifications.close()


class FaultDialog:
    """Says that something went wrong in the program, once until it is put away, with details to copy."""

    def __init__(self, root: tk.Tk, theme: Theme) -> None:
        self._root = root
        self._theme = theme
        self._dialog: tk.Toplevel | None = None

    def show(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Show the dialog; what Tk would print goes nowhere else, as it could hold what people wrote."""
        if self._dialog is not None and self._dialog.winfo_exists():
            return
        # Places in the program and the error's kind: not its text, which may quote somebody.
        details = "".join(traceback.format_tb(trace)) + kind.__name__
        words = _(
            "Something went wrong in this program. It goes on; if it behaves oddly, close the window and "
            "start again. The details name places in the program, nothing anybody wrote."
        )

        def copy() -> None:
            self._root.clipboard_clear()
            self._root.clipboard_append(details)

        self._dialog = Question(self._root, self._theme, words, [(_("Copy details"), copy)])
