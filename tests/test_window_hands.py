"""What a mouse alone could not do in a window, and what was not said or shown to whoever did it."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

import tkinter as tk
from pathlib import Path
from tkinter import ttk

from iirs.client.account.entry_calls import Home
from iirs.client.events import FileAdded, TextReceived, TransferChanged
from iirs.client.store.log_entry import EntryKind, FileInfo, LogEntry, TextState, TransferState
from iirs.client.window.navigation import Page
from iirs.client.window.pages.account_page import AccountPage
from iirs.client.window.pages.group_page import NewGroupPage
from iirs.client.window.pages.lock_page import LockPage
from iirs.client.window.pages.login_page import LoginPage, Written
from iirs.client.window.pages.settings_page import SettingsActions, SettingsPage
from iirs.client.window.start import Start
from iirs.client.window.talk.bubbles import note_of
from iirs.client.window.theme.palette import DARK, LIGHT
from tests.hands import settings_of
from tests.harness import CHEAP
from tests.offline_page import NOW, OfflinePage
from tests.screen import Screen, login_page, press, write
from tests.window_walk import LINK, nothing, settle

pytestmark = pytest.mark.window
pytest_plugins = ["tests.window_fixtures"]


# -- the mouse --------------------------------------------------------------------------------------


def test_the_wheel_scrolls_a_page_from_its_margins_pictures_and_short_lists(
    screen: Screen, top: tk.Toplevel, offline: OfflinePage
) -> None:
    page = settings_of(screen, top, SettingsActions(*[nothing] * 6))
    short = tk.Listbox(page.body, height=4)
    short.insert("end", "one line")
    short.pack()
    drawn = tk.Canvas(page.body, height=10)
    drawn.pack()
    settle(screen)
    for widget in (page.canvas, short, drawn):
        before = page.canvas.canvasy(0)
        widget.event_generate("<Button-5>")
        settle(screen)
        assert page.canvas.canvasy(0) > before, widget.winfo_class()
    long = tk.Listbox(page.body, height=2)
    long.insert("end", *range(20))
    long.pack()
    settle(screen)
    before = page.canvas.canvasy(0)
    long.event_generate("<Button-5>")
    settle(screen)
    assert page.canvas.canvasy(0) == before, "a list with more than it shows scrolls itself"


def test_settings_and_the_lock_have_buttons(screen: Screen, tmp_path: Path, top: tk.Toplevel) -> None:
    window = screen.open(Home(tmp_path, CHEAP), Start())
    login_page(window).settings_button.invoke()
    assert isinstance(window.navigator.shown, SettingsPage)
    window.uncover()
    assert window.login_page is not None
    locked: list[bool] = []
    actions = SettingsActions(nothing, nothing, lambda: locked.append(True), nothing, nothing, nothing)
    lock = settings_of(screen, top, actions).controls["lock"]
    assert isinstance(lock, ttk.Button)
    lock.invoke()
    assert locked == [True]


@pytest.mark.parametrize("opened_by", ["<Button-3>", "<Shift-F10>"])
def test_every_field_has_a_menu_to_paste_from(screen: Screen, tmp_path: Path, opened_by: str) -> None:
    window = screen.open(Home(tmp_path, CHEAP), Start())
    entry = login_page(window).link_entry
    window.window.clipboard_clear()
    window.window.clipboard_append(LINK)
    entry.focus_force()
    settle(screen)
    entry.event_generate(opened_by, x=5, y=5) if "Button" in opened_by else press(entry, opened_by)
    menus = [child for child in entry.winfo_children() if isinstance(child, tk.Menu)]
    assert len(menus) == 1
    screen.pump(lambda: bool(menus[0].winfo_viewable()))
    last = menus[0].index("end")
    assert last is not None
    labels = [menus[0].entrycget(index, "label") for index in range(last + 1)]
    menus[0].invoke(labels.index("Paste"))
    screen.pump(lambda: entry.get() == LINK)
    menus[0].unpost()
    screen.pump(lambda: not entry.winfo_children())


# -- what is said and shown -------------------------------------------------------------------------


def test_enter_on_an_empty_lock_says_what_is_missing_until_something_is_written(
    screen: Screen, top: tk.Toplevel
) -> None:
    tried: list[str] = []
    page = LockPage(top, screen.theme, tried.append)
    page.pack()
    settle(screen)
    press(page.entry, "<Return>")
    assert page.message.cget("text") == "Please fill in your password."
    assert tried == []
    write(page.entry, "x")
    assert page.message.cget("text") == ""
    press(page.entry, "<Return>")
    settle(screen)
    assert tried == ["x"]


def test_a_complaint_is_gone_once_it_is_mended(
    screen: Screen, top: tk.Toplevel, offline: OfflinePage
) -> None:
    page = LoginPage(top, screen.theme, Written(LINK, "", new=True, keys_stay_here=False), nothing, nothing)
    page.pack()
    page.submit()
    assert page.message.cget("text")
    write(page.name_entry, "alice")
    assert page.message.cget("text") == ""
    offline.page.new_group()
    group = offline.page.page
    assert isinstance(group, NewGroupPage)
    group.create()
    assert group.message.cget("text")
    write(group.name_entry, "Chess")
    assert group.message.cget("text") == ""


def test_what_is_said_of_a_new_password_stays_though_its_fields_are_emptied(
    screen: Screen, top: tk.Toplevel
) -> None:
    from tests.window_walk import AccountActions

    page = AccountPage(top, screen.theme, "alice", AccountActions(nothing, nothing, nothing, nothing))
    write(page.new, "something")
    page.tell("The password is changed.", good=True)
    assert page.message.cget("text") == "The password is changed."


def test_back_leads_to_where_a_page_was_opened_from(screen: Screen, tmp_path: Path) -> None:
    window = screen.open(Home(tmp_path, CHEAP), Start())
    window.navigator.open(Page.SETTINGS)
    window.navigator.open(Page.SHORTCUTS)
    window.uncover()
    assert isinstance(window.navigator.shown, SettingsPage)
    window.navigator.open(Page.SHORTCUTS)
    window.navigator.open(Page.SETTINGS)  # asked for from above: what is below is shown, not opened twice
    window.uncover()
    assert window.login_page is not None


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_the_cursor_is_seen_in_fields_and_what_is_marked_only_where_keys_go(
    screen: Screen, colours: object
) -> None:
    """Fixed: the cursor was black on black in dark colours."""
    screen.theme.restyle(DARK if colours is DARK else LIGHT, 1.0)
    style = ttk.Style(screen.root)
    for kind in ("TEntry", "Side.TEntry"):
        assert style.lookup(kind, "insertcolor") == screen.theme.colours.accent
        assert style.lookup(kind, "selectbackground", ["!focus"]) == screen.theme.colours.line


def test_tks_own_dialogs_speak_the_language_and_have_the_size_of_the_window(
    screen: Screen, tmp_path: Path
) -> None:
    window = screen.open(Home(tmp_path, CHEAP), Start())
    call = window.window.tk.call
    before = abs(int(call("font", "configure", "TkIconFont", "-size")))
    window.state.change("language", "de")
    assert (
        call("::tk::msgcat::mc" if False else "::msgcat::mc", "&Open") != "&Open"
        or str(call("namespace", "eval", "::tk", "::msgcat::mc &Open")) == "Ö&ffnen"
    )
    window.state.change("zoom", 2.0)
    assert abs(int(call("font", "configure", "TkIconFont", "-size"))) == 2 * before
    window.state.change("language", "en")


def test_a_file_that_has_arrived_is_not_called_queued(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    file = FileInfo(b"p" * 16, "plan.txt", 1000, bytes(32))
    entry = LogEntry(
        "bob", b"p" * 16, EntryKind.FILE, True, "alice", "plan.txt", NOW, TextState.QUEUED, file=file
    )
    offline.take(FileAdded(entry), TransferChanged("bob", file.file_id, TransferState.MOVING, 250, 1000))
    (row,) = [row for row in offline.model.talk("bob").rows if row.file]
    assert "queued" not in note_of(row)
    offline.take(TransferChanged("bob", file.file_id, TransferState.DONE, 1000, 1000))
    assert "delivered" in note_of(row)


def test_no_button_for_files_is_shown_where_none_can_be_sent(offline: OfflinePage) -> None:
    composer = offline.page.chat.composer
    for files in (False, True, False):
        composer.show("", blocked=False, files=files)
        assert bool(composer.clip_button.winfo_manager()) is files


def test_the_wheel_scrolls_the_page_where_the_log_has_no_more(screen: Screen) -> None:
    """Fixed: at 200 % on half a screen the field lay below the window, and the log took every turn."""
    screen.theme.restyle(LIGHT, 2.0)
    offline = OfflinePage(screen, "bob")
    offline.top.geometry("683x768+0+0")
    offline.talk_to("bob")
    for sentence in ("one thing happened", "another thing happened", "and a third one"):
        offline.page.warn(sentence * 3, alarm=True)
    offline.take(*(TextReceived("bob", bytes([n]) * 16, f"line {n}", NOW) for n in range(30)))
    offline.page.chat.composer.entry.focus_force()
    settle(screen)
    log, page = offline.page.chat.log, offline.page._beside
    page.canvas.yview_moveto(0)
    settle(screen)
    log.canvas.event_generate("<Button-4>")
    settle(screen)
    assert page.canvas.canvasy(0) == 0
    assert log.in_view[1] < 1
    for _ in range(60):
        log.canvas.event_generate("<Button-5>")
    settle(screen)
    assert log.in_view[1] == 1
    assert page.canvas.canvasy(0) > 0
    offline.top.destroy()
