"""The window's main loop, and what happens if one of its callbacks fails."""

from __future__ import annotations

import tkinter as tk
import traceback
from types import TracebackType

from iirs.client.account.entry_calls import Home
from iirs.client.desktop.notifications import Notifications
from iirs.client.leave_signals import INTERRUPTED, LeaveSignals
from iirs.client.text.translate import _
from iirs.client.window.parts.question import Question
from iirs.client.window.start import Start
from iirs.client.window.theme.theme import Theme
from iirs.client.window.window import ClientWindow

_LOOK_MS = 200


def run_application(root: tk.Tk, home: Home, start: Start) -> int:
    """Show one person's window in ``root`` until it is closed. Returns 0, or 128 and a signal's number."""
    theme = Theme(root)
    faults = FaultDialog(root, theme)
    root.report_callback_exception = faults.show
    notifications = Notifications()
    window = ClientWindow(root, theme, home, start)
    window.alerts.notify, window.alerts.conceal = notifications.show, notifications.conceal
    code = _until_closed(root, window)
    notifications.close()
    return code


def _until_closed(root: tk.Tk, window: ClientWindow) -> int:
    """Run the main loop; a signal closes the window as a person does, and Ctrl-C again does at once."""
    signals, codes = LeaveSignals(), [0]
    signals.listen()

    def look() -> None:
        if code := signals.take():
            if codes[0] == 0 or code == INTERRUPTED:
                window.close()
            codes[0] = codes[0] or code
        if window.is_open:
            root.after(_LOOK_MS, look)

    look()
    root.mainloop()
    return codes[0]


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
