"""``run_window``: the window, or one clear sentence about why there is none."""

from __future__ import annotations

import sys

from iirs.client.account.entry_calls import Home

_INSTEAD = "`iirs-client LINK --terminal` works without a window."


def run_window(
    home: Home,
    link: str | None,
    *,
    username: str | None = None,
    password: str | None = None,
    peer: str | None = None,
    say: str | None = None,
    new: bool | None = None,
    keys_stay_here: bool = False,
) -> int:
    """Show the window until it is closed. Returns 0, or 2 with a sentence on stderr if there can be none.

    After a signal it returns 128 and its number.

    With a name and a password it begins at once: registers if ``new``, logs in if not, and if that is
    ``None`` registers, or logs in where the name is taken. It asks for ``peer`` as soon as the server knows
    them, and sends them ``say`` once the two are in sync. Whatever is not given is asked in the form.
    """
    try:
        import tkinter as tk  # noqa: PLC0415  # not there on every machine: everything else works without
    except ImportError:
        print(
            "iirs-client: the window needs tkinter, which this Python lacks (on Debian and Ubuntu: "
            f"apt install python3-tk); {_INSTEAD}",
            file=sys.stderr,
        )
        return 2
    from iirs.client.window.application import run_application  # noqa: PLC0415  # needs tkinter
    from iirs.client.window.start import Start  # noqa: PLC0415  # needs tkinter

    try:
        root = tk.Tk(className="Iirs")
    except tk.TclError:
        print(
            "iirs-client: the window needs a screen and there is none (is DISPLAY set? xvfb-run makes a "
            f"virtual one); {_INSTEAD}",
            file=sys.stderr,
        )
        return 2
    start = Start(link or "", username or "", password or "", new, keys_stay_here, peer or "", say or "")
    return run_application(root, home, start)
