"""A virtual screen for tests of the window: one Tk root a session, pumped until a condition holds."""

from __future__ import annotations

import gc
import os
import subprocess
import time
import tkinter as tk
from collections.abc import Callable, Iterator
from pathlib import Path
from tkinter import ttk

import pytest

from iirs.client.account.entry_calls import Home
from iirs.client.model.chat_model import Row
from iirs.client.window.main_page import MainPage
from iirs.client.window.pages.login_page import LoginPage
from iirs.client.window.start import Start
from iirs.client.window.theme.theme import Theme
from iirs.client.window.window import ClientWindow
from tests.awaited import awaited
from tests.harness import FAST_BACKOFF, PASSWORD, PATIENT_SECONDS, Town


class Screen:
    """Opens client windows and acts as the person in front of them."""

    def __init__(self, root: tk.Tk) -> None:
        self.root = root
        self.theme = Theme(root)
        self.faults: list[BaseException] = []
        self.windows: list[ClientWindow] = []
        root.withdraw()
        root.report_callback_exception = lambda kind, error, trace: self.faults.append(error)

    def open(self, home: Home, start: Start) -> ClientWindow:
        top = tk.Toplevel(self.root)
        window = ClientWindow(top, self.theme, home, start)
        self.windows.append(window)
        self.pump(lambda: bool(top.winfo_viewable()))
        return window

    def pump(self, condition: Callable[[], bool], seconds: float = PATIENT_SECONDS) -> None:
        """Let Tk work until a condition holds; fail, with a picture if wanted, if it never does."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.root.update()
            if self.faults:
                raise AssertionError("a callback failed") from self.faults[0]
            if time.monotonic() > deadline:
                self._picture()
                seen = [words(window.window)[-1000:] for window in self.windows if window.is_open]
                raise AssertionError(
                    f"in {seconds:.0f} s there never was {awaited(condition)}; windows: {seen}"
                )
            time.sleep(0.005)

    def close_all(self) -> None:
        """Leave at once, everywhere."""
        for window in self.windows:
            for _ in range(2):
                if window.is_open:
                    window.close()
        self.pump(lambda: not any(window.is_open for window in self.windows))
        self.windows.clear()
        gc.collect()

    def _picture(self) -> None:
        folder = os.environ.get("IIRS_SCREENSHOTS")
        if folder:
            name = os.environ.get("PYTEST_CURRENT_TEST", "window").split("::")[-1].split(" ")[0]
            subprocess.run(["import", "-window", "root", str(Path(folder) / f"{name}.png")], check=False)


def the_screen() -> Iterator[Screen]:
    """Give the session's screen; skip without one, unless one was promised."""
    try:
        root = tk.Tk(className="Iirs")
    except tk.TclError as error:
        if os.environ.get("IIRS_REQUIRE_WINDOW"):
            raise AssertionError("IIRS_REQUIRE_WINDOW is set and there is no screen") from error
        pytest.skip("no screen")  # a person without one can still run the rest; CI sets the variable above
    yield Screen(root)
    root.destroy()


def write(widget: ttk.Entry | tk.Text, text: str) -> None:
    """Put text where the person would type it."""
    widget.focus_force()
    if isinstance(widget, tk.Text):
        widget.insert("insert", text)
    else:
        widget.delete(0, "end")
        widget.insert(0, text)


def press(widget: tk.Misc, keys: str) -> None:
    """Press keys in a widget."""
    widget.focus_force()
    widget.event_generate(keys)


def login_page(window: ClientWindow) -> LoginPage:
    assert window.login_page is not None
    return window.login_page


def main_page(window: ClientWindow) -> MainPage:
    assert window.main_page is not None
    return window.main_page


def fill_in(window: ClientWindow, kind: str, name: str, password: str) -> None:
    """Fill in the form and press Return."""
    page = login_page(window)
    page.kinds[kind].invoke()
    write(page.name_entry, name)
    write(page.password_entry, password)
    press(page.password_entry, "<Return>")


def enter(
    screen: Screen, place: Town, name: str, *, home: Home | None = None, link: str = ""
) -> ClientWindow:
    """Open a window, register in it, and wait until the person is asked whom to talk to."""
    start = Start(link or str(place.link), options=FAST_BACKOFF)
    window = screen.open(home or place.home(name), start)
    fill_in(window, "Register", name, PASSWORD)
    screen.pump(lambda: window.main_page is not None and bool(window.model.people))
    return window


def ask(screen: Screen, window: ClientWindow, peer: str) -> None:
    """Type a name into "Whom do you want to talk to?" and press Return."""
    screen.pump(lambda: peer in window.model.people)
    write(main_page(window).new_talk_page.entry, peer)
    press(main_page(window).new_talk_page.entry, "<Return>")


def say(window: ClientWindow, text: str) -> None:
    """Write a text and press Enter."""
    write(main_page(window).chat.entry, text)
    press(main_page(window).chat.entry, "<Return>")


def can_send(window: ClientWindow) -> bool:
    return main_page(window).chat.send_button.instate(["!disabled"])


def rows(window: ClientWindow, peer: str) -> list[Row]:
    return window.model.talk(peer).rows


def words(widget: tk.Misc) -> str:
    """Everything that is written in a widget and the widgets in it."""
    parts = []
    if isinstance(widget, (ttk.Label, ttk.Button)):
        parts.append(str(widget.cget("text")))
    if isinstance(widget, tk.Canvas):
        parts += [
            str(widget.itemcget(item, "text")) for item in widget.find_all() if widget.type(item) == "text"
        ]
    return "\n".join(parts + [words(child) for child in widget.winfo_children()])
