"""A person's keyboard and mouse: X events, by xdotool, for what stands on a screen of the tests."""

from __future__ import annotations

import subprocess
import time
import tkinter as tk
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tkinter import ttk

from iirs.client.window.parts.scroll_page import ScrollPage
from iirs.client.window.theme.focus import focus_of
from tests.harness import PATIENT_SECONDS
from tests.screen import Screen
from tests.window_walk import box, describe, holders

STOPS_MAX = 60
_POLL_MS = 20


class Hands:
    """What a person does in front of a window; each deed is over when the window shows it."""

    def __init__(self, screen: Screen, top: tk.Toplevel, xdotool: subprocess.Popen[str]) -> None:
        self.screen = screen
        self.top = top
        self._xdotool = xdotool
        self.unseen: list[str] = []
        """What had the focus and could not be seen."""

    def _do(self, command: str) -> None:
        assert self._xdotool.stdin is not None
        self._xdotool.stdin.write(command + "\n")
        self._xdotool.stdin.flush()

    def settle(self) -> None:
        """Let the window do what it has been asked for."""
        for _ in range(3):
            self.screen.root.update()

    # -- keys ---------------------------------------------------------------------------------------

    def press(self, key: str, until: Callable[[], object]) -> None:
        """Press a key, and wait until a condition holds."""
        self._do(f"key {key}")
        self.screen.pump(lambda: bool(until()))
        self.settle()

    def type(self, text: str, into: ttk.Entry | tk.Text) -> None:
        """Type into the field that has the focus, and wait until it is there."""
        self.screen.pump(lambda: focus_of(self.top) is into)
        self._do(f"type --delay 0 '{text}'")
        self.screen.pump(lambda: written(into).endswith(text))

    def tab_to(self, wanted: tk.Misc, key: str = "Tab") -> None:
        """Press Tab until a widget has the focus; each that gets it must be in view."""
        for _ in range(STOPS_MAX):
            here = focus_of(self.top)
            if here is wanted:
                return
            self.press(key, lambda before=here: focus_of(self.top) not in {None, before})  # type: ignore[misc]
            self._look_at_focus()
        raise AssertionError(f"Tab never comes to {describe(wanted)}")

    def _look_at_focus(self) -> None:
        focus = focus_of(self.top)
        if focus is not None and not is_seen(focus):
            self.unseen.append(describe(focus))

    # -- the mouse ----------------------------------------------------------------------------------

    def click(
        self,
        what: tk.Misc,
        until: Callable[[], object],
        *,
        button: int = 1,
        at: tuple[int, int] | None = None,
    ) -> None:
        """Turn the wheel until a widget is in view, click on it (or a point in it), and wait."""
        self.screen.pump(lambda: bool(what.winfo_viewable()))
        self._bring(what)
        left, top, right, bottom = box(what)
        x, y = ((left + right) // 2, (top + bottom) // 2) if at is None else (left + at[0], top + at[1])
        self.click_at(x, y, until, button=button)

    def click_at(
        self, x: int, y: int, until: Callable[[], object], *, button: int = 1, times: int = 1
    ) -> None:
        """Click on a point of the screen, and wait until a condition holds."""
        self._do(f"mousemove {x} {y}")
        self._do(f"click --repeat {times} --delay 20 {button}")
        self.screen.pump(lambda: bool(until()))
        self.settle()

    def _bring(self, what: tk.Misc) -> None:
        """Turn the wheel, with the mouse at the edge of the page, where no widget is."""
        pages = [holder for holder in holders(what) if isinstance(holder, ScrollPage)]
        for _ in range(STOPS_MAX):
            self.settle()
            if is_seen(what):
                return
            before = box(what)
            left, top, _, bottom = box(pages[0])
            self._do(f"mousemove {left + 6} {(top + bottom) // 2}")
            self._do(f"click {5 if before[3] > bottom else 4}")
            self.screen.pump(lambda then=before: box(what) != then)  # type: ignore[misc]
        raise AssertionError(f"the wheel never brings {describe(what)} into view")

    # -- what Tk draws ------------------------------------------------------------------------------

    def entry_of(self, menu: tk.Menu, index: int) -> tuple[int, int]:
        """Return where an entry of a menu is on the screen, once that is open."""
        self.screen.pump(lambda: bool(menu.winfo_viewable()))
        self.settle()
        return menu.winfo_rootx() + 12, menu.winfo_rooty() + menu.yposition(index) + 6

    def choose_a_file(self, name: str, *, by_mouse: bool) -> None:
        """Choose a file once Tk's dialog for that is open; it has a loop of its own, so the test waits."""
        call = self.top.tk.call
        until = time.monotonic() + PATIENT_SECONDS
        done: list[str] = []

        def go_on() -> None:
            focus = str(call("focus"))
            if "__tk_filedialog" not in focus and done:
                return
            if time.monotonic() > until:
                call("set", "::tk::Priv(selectFilePath)", "")  # ends the dialog: the test goes on, and fails
                return
            if "__tk_filedialog" in focus:
                done.append(focus)
                self._double_click_on(name) if by_mouse else self._write_into(focus, name)
            self.top.after(_POLL_MS * (10 if done else 1), go_on)

        go_on()

    def _write_into(self, entry: str, name: str) -> None:
        """Write a name into the dialog's field, and Enter once it is there: letters may be too early."""
        there = str(self.top.tk.call("winfo", "class", entry)) == "TEntry" and self.top.tk.call(entry, "get")
        self._do("key Return" if there == name else f"key ctrl+a\ntype --delay 0 '{name}'")

    def _double_click_on(self, name: str) -> None:
        """Click twice on a file in Tk's dialog, if it is drawn by now."""
        call, split = self.top.tk.call, self.top.tk.splitlist
        for widget in _all_of(self.top, "."):
            if "__tk_filedialog" not in widget or str(call("winfo", "class", widget)) != "Canvas":
                continue
            for item in split(call(widget, "find", "all")):
                if (
                    str(call(widget, "type", item)) == "text"
                    and call(widget, "itemcget", item, "-text") == name
                ):
                    left, top, right, bottom = map(int, split(call(widget, "bbox", item)))
                    x = int(call("winfo", "rootx", widget)) + (left + right) // 2
                    y = int(call("winfo", "rooty", widget)) + (top + bottom) // 2
                    self._do(f"mousemove {x} {y}\nclick --repeat 2 --delay 20 1")


def _all_of(top: tk.Misc, widget: str) -> Iterator[str]:
    yield widget
    for child in top.tk.splitlist(top.tk.call("winfo", "children", widget)):
        yield from _all_of(top, str(child))


def written(field: ttk.Entry | tk.Text) -> str:
    return field.get("1.0", "end-1c") if isinstance(field, tk.Text) else field.get()


def is_seen(widget: tk.Misc) -> bool:
    """Return whether all of a widget is in view, or as much of it as there is room for."""
    if not widget.winfo_viewable():
        return False
    left, top, right, bottom = box(widget)
    for holder in holders(widget):
        inside = box(holder)
        tall = bottom - top > inside[3] - inside[1]
        if left < inside[0] or right > inside[2] or top < inside[1] or (bottom > inside[3] and not tall):
            return False
    return True


@contextmanager
def hands(screen: Screen, top: tk.Toplevel) -> Iterator[Hands]:
    """Give a person's hands, in a window that has the keyboard."""
    top.focus_force()
    with subprocess.Popen(["xdotool", "-"], stdin=subprocess.PIPE, text=True) as xdotool:
        yield Hands(screen, top, xdotool)
