"""Every page of a window, one after the other, and what a person could not see of one or not reach on it."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Iterator
from pathlib import Path
from tkinter import font as tkfont
from tkinter import ttk

from iirs.client.events import ContactChanged, PeerAsks, TextReceived
from iirs.client.store.preferences import Preferences
from iirs.client.window.pages.account_page import AccountActions, AccountPage
from iirs.client.window.pages.leaving_page import LeavingPage
from iirs.client.window.pages.lock_page import LockPage
from iirs.client.window.pages.login_page import LoginPage, Written
from iirs.client.window.pages.settings_page import AccountFacts, SettingsActions, SettingsPage
from iirs.client.window.pages.shortcuts_page import ShortcutsPage
from iirs.client.window.parts.people_list import PeopleList
from iirs.client.window.talk.log_view import LogView
from tests.offline_page import OfflinePage, all_in
from tests.screen import Screen, write

NUMBER = "0123456789" * 6
LINK = "iirs://chat.example.org:7747/" + "abcdefghij" * 5
ACTS = (tk.Entry, tk.Text, tk.Listbox, ttk.Entry, ttk.Button, ttk.Checkbutton, ttk.Radiobutton)
SHOWS = (ttk.Label, ttk.Button, ttk.Checkbutton, ttk.Radiobutton)
LISTS = (PeopleList, LogView)


def nothing(*_: object) -> None:
    """What a page asks for where nobody listens."""


def pages_outside(screen: Screen, top: tk.Toplevel, folder: Path) -> Iterator[tuple[str, tk.Misc]]:
    """Show the pages that are not the main one, in turn, in ``top``; each with its name."""
    theme = screen.theme
    settings = SettingsActions(*[nothing] * 6)
    account = AccountActions(nothing, nothing, nothing, nothing)
    facts = AccountFacts("alice", LINK, NUMBER, 3)
    makers = {
        "log in": lambda: LoginPage(
            top, theme, Written(LINK, "alice", new=False, keys_stay_here=False), nothing, nothing
        ),
        "register": lambda: LoginPage(
            top, theme, Written(LINK, "", new=True, keys_stay_here=False), nothing, nothing
        ),
        "settings": lambda: SettingsPage(top, theme, Preferences.read(folder), settings, facts),
        "account": lambda: AccountPage(top, theme, "alice", account),
        "shortcuts": lambda: ShortcutsPage(top, theme, nothing),
        "lock": lambda: LockPage(top, theme, nothing),
        "leaving": lambda: LeavingPage(top, theme, "Then this window closes by itself.", nothing),
    }
    for name, make in makers.items():
        top.focus_force()  # as a window manager would have it
        settle(screen)
        page = make()
        page.pack(fill="both", expand=True)
        if isinstance(page, LoginPage) and name == "register":
            write(page.password_entry, "short")
            page.fail("A name has at most 32 letters and digits, and begins with a letter.")
        settle(screen)
        yield name, page
        page.destroy()


def pages_inside(screen: Screen, size: str, folder: Path) -> Iterator[tuple[str, tk.Misc]]:
    """Show the states of the main page, in turn, in a window of their own."""
    made = OfflinePage(screen, "bob", "carol", "dave", "a-person-with-a-name-that-is-long")
    made.top.geometry(size)
    made.top.focus_force()
    made.take(PeerAsks("carol"))
    made.page.new_talk_page.say("Nobody with that name is registered on this server.")
    settle(screen)
    yield "new talk", made.top
    for name in ("bob", "a-person-with-a-name-that-is-long"):
        made.talk_to(name)
        text = "Have a look at https://example.org/a/long/way/to/go and say what you think of it. " * 2
        made.take(TextReceived(name, name[0].encode() * 16, text, 0))
        settle(screen)
        yield f"talk with {name}", made.top
    made.page.open("carol")
    settle(screen)
    yield "somebody asks", made.top
    made.page.open("bob")
    made.page.warn(
        "The last machine of the chain was taken on trust, since your link names none.", alarm=True
    )
    made.page.chat.find()
    (folder / "a picture with a rather long name.png").write_bytes(bytes(200_000))
    made.page.chat.composer.offer_file(folder / "a picture with a rather long name.png")
    settle(screen)
    yield "a file, a search and banners", made.top
    made.page.new_group()
    settle(screen)
    yield "new group", made.top
    made.take(ContactChanged("bob", NUMBER, verified=False, blocked="bob has other keys than before."))
    made.page.show_safety("bob")
    settle(screen)
    write(made.page.page.pasted, "1" * 60)  # type: ignore[union-attr]
    settle(screen)
    yield "safety number", made.top
    made.page.find_people()
    settle(screen)
    yield "people", made.top
    made.top.destroy()


def settle(screen: Screen) -> None:
    """Let widgets find their places."""
    for _ in range(4):
        screen.root.update()


def stops(top: tk.Misc) -> list[tk.Misc]:
    """Return what Tab goes to, and demand that Shift-Tab goes the same way back."""
    first = top.tk_focusNext()
    assert first is not None
    found, here = [first], first.tk_focusNext()
    while here is not None and here is not first:
        found.append(here)
        here = here.tk_focusNext()
        assert len(found) < 200
    back, here = [first], first.tk_focusPrev()
    while here is not None and here is not first:
        back.append(here)
        here = here.tk_focusPrev()
        assert len(back) < 200
    assert back[1:] == found[:0:-1]
    return found


def wrong_stops(page: tk.Misc) -> list[str]:
    """Return what is a stop and cannot be acted on, or can be acted on and is none."""
    there = stops(page.winfo_toplevel())
    wrong = [f"Tab goes to {describe(widget)}" for widget in there if not acts(widget)]
    for widget in all_in(page.winfo_toplevel()):
        if acts(widget) and is_meant(widget) and widget not in there:
            wrong.append(f"Tab leaves out {describe(widget)}")
    return wrong


def acts(widget: tk.Misc) -> bool:
    """Return whether keys do something in a widget now."""
    if isinstance(widget, ttk.Entry | ttk.Button | ttk.Checkbutton | ttk.Radiobutton):
        return widget.instate(["!disabled"])
    if isinstance(widget, tk.Canvas) and isinstance(widget.master, LISTS):
        return bool(widget.find_all())
    return isinstance(widget, ACTS)


def is_meant(widget: tk.Misc) -> bool:
    """Return whether a widget is to be seen: it and all it lies in were given a place."""
    return all(place.winfo_manager() for place in (widget, *holders(widget)))


def describe(widget: tk.Misc) -> str:
    words = str(widget.cget("text"))[:40] if isinstance(widget, SHOWS) else ""
    return f"{widget.winfo_class()} {words!r} in {type(widget.master).__name__}"


Box = tuple[int, int, int, int]


def box(widget: tk.Misc) -> Box:
    """Return where a widget is on the screen: left, top, right, bottom."""
    left, top = widget.winfo_rootx(), widget.winfo_rooty()
    return left, top, left + widget.winfo_width(), top + widget.winfo_height()


def holders(widget: tk.Misc) -> list[tk.Misc]:
    """Return what a widget lies in, up to its window."""
    found, top = [], widget.winfo_toplevel()
    while widget is not top:
        assert widget.master is not None
        widget = widget.master
        found.append(widget)
    return found


def unseen(screen: Screen, page: tk.Misc) -> list[str]:
    """Give each stop the focus, and return those of which a part is out of view then."""
    wrong = []
    window = page.winfo_toplevel()
    focus = window.focus_get()
    there = stops(window)
    for widget in there if focus not in there else (focus, *there):  # the one that has it already, as it is
        if widget is not window.focus_get():
            widget.focus_force()
            settle(screen)
        left, top, right, bottom = box(widget)
        for holder in holders(widget):
            inside = box(holder)
            tall = bottom - top > inside[3] - inside[1]
            if left < inside[0] or right > inside[2] or top < inside[1] or (bottom > inside[3] and not tall):
                wrong.append(f"{describe(widget)} is out of view: {box(widget)} in {inside}")
                break
        if isinstance(widget, tk.Canvas | tk.Listbox) and bottom - top < 40:
            wrong.append(f"{describe(widget)} is {bottom - top} pixels high")
        if isinstance(widget, tk.Text | ttk.Entry) and right - left < screen.theme.dp(100):
            wrong.append(f"{describe(widget)} is {right - left} pixels wide")
    return wrong


def cut(page: tk.Misc) -> list[str]:
    """Return the widgets whose words do not fit into them, or that do not fit into what they lie in."""
    wrong = []
    for widget in all_in(page.winfo_toplevel()):
        if not is_meant(widget):
            continue
        if not widget.winfo_viewable() and isinstance(widget, ACTS + SHOWS):
            wrong.append(f"{describe(widget)} has no room")
        elif isinstance(widget, SHOWS) and str(widget.cget("text")):
            wrong += [*_too_small(widget), *_outside(widget)]
        elif isinstance(widget, tk.Canvas) and isinstance(widget.master, LISTS):
            boxes = [widget.bbox(item) for item in widget.find_all()]
            if any(left < 0 or right > widget.winfo_width() for left, _, right, _ in boxes):
                wrong.append(f"an item of {describe(widget)} is cut")
    return wrong


def _too_small(widget: ttk.Label | ttk.Button | ttk.Checkbutton | ttk.Radiobutton) -> list[str]:
    wrong = []
    if widget.winfo_reqwidth() > widget.winfo_width() + 1:
        wrong.append(f"{describe(widget)} needs {widget.winfo_reqwidth()}, has {widget.winfo_width()}")
    if widget.winfo_reqheight() > widget.winfo_height() + 1:
        wrong.append(f"{describe(widget)} is too low: {widget.winfo_reqheight()}")
    asked = int(widget.cget("width") or 0)
    if asked > 0:  # so many characters and no more
        font = tkfont.Font(widget, ttk.Style(widget).lookup(str(widget.cget("style")), "font"))
        if font.measure(str(widget.cget("text"))) > font.measure("0") * asked:
            wrong.append(f"{describe(widget)} has a width that is too small")
    return wrong


def _outside(widget: tk.Misc) -> list[str]:
    left, top, right, bottom = box(widget)
    scrolled = False
    for holder in holders(widget):
        scrolled = scrolled or isinstance(holder, tk.Canvas)
        inside = box(holder)
        if left < inside[0] or right > inside[2]:
            return [f"{describe(widget)} is cut at a side of {type(holder).__name__}"]
        if not scrolled and (top < inside[1] or bottom > inside[3]):
            return [f"{describe(widget)} is cut above or below by {type(holder).__name__}"]
    return []
