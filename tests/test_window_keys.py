"""What a keyboard alone could not do in a window, or did elsewhere than people expect."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

import tkinter as tk
from tkinter import ttk

from iirs.client.events import PeerAsks, PeerChanged, PeerState, TextReceived
from iirs.client.store.log_entry import EntryKind, LogEntry
from iirs.client.window.pages.group_page import NewGroupPage
from iirs.client.window.pages.settings_page import SettingsActions
from iirs.client.window.theme.focus import focus_of
from tests.hands import settings_of
from tests.offline_page import NOW, OfflinePage, button, questions
from tests.screen import Screen, press, write
from tests.window_walk import nothing, settle, stops

pytestmark = pytest.mark.window
pytest_plugins = ["tests.window_fixtures"]


# -- keys -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["<Return>", "<KP_Enter>", "<space>"])
def test_enter_presses_what_has_the_focus_as_space_does(screen: Screen, top: tk.Toplevel, key: str) -> None:
    pressed: list[str] = []
    for kind in (ttk.Button, ttk.Checkbutton, ttk.Radiobutton):
        widget = kind(top, command=lambda name=kind.__name__: pressed.append(name))  # type: ignore[misc]
        widget.pack()
        settle(screen)
        press(widget, key)
        settle(screen)
    assert pressed == ["Button", "Checkbutton", "Radiobutton"]


def test_arrows_lead_from_one_choice_to_the_next(screen: Screen, top: tk.Toplevel) -> None:
    page = settings_of(screen, top, SettingsActions(*[nothing] * 6))
    for key, name in (("<Right>", "theme dark"), ("<Left>", "theme light")):
        focus = focus_of(top) if name == "theme light" else page.controls["theme light"]
        assert focus is not None
        press(focus, key)
        settle(screen)
        assert focus_of(top) is page.controls[name]


def test_what_tab_goes_to_is_in_view_after_a_page_was_scrolled(screen: Screen, top: tk.Toplevel) -> None:
    """Fixed: scrolled back while it moved its widgets, the page left them where nobody could see them."""
    page = settings_of(screen, top, SettingsActions(*[nothing] * 6))
    page.controls["theme dark"].focus_force()
    settle(screen)
    page.controls["theme dark"].event_generate("<Next>")
    settle(screen)
    assert page.canvas.canvasy(0) > 300, "a person may look elsewhere than where the keys go"
    for _ in range(3):
        focus = focus_of(top)
        assert focus is not None
        press(focus, "<Tab>")
        settle(screen)
        focus = focus_of(top)
        assert focus is not None
        assert page.canvas.winfo_rooty() <= focus.winfo_rooty() < page.canvas.winfo_rooty() + 650


def test_keys_scroll_a_page_from_its_buttons(screen: Screen, top: tk.Toplevel) -> None:
    page = settings_of(screen, top, SettingsActions(*[nothing] * 6))
    close = page.controls["close"]
    close.focus_force()
    settle(screen)
    for key, goes_down in (("<Down>", True), ("<Up>", False), ("<End>", True), ("<Home>", False)):
        before = page.canvas.canvasy(0)
        close.event_generate(key)
        settle(screen)
        assert (page.canvas.canvasy(0) > before) is goes_down, key


def test_keys_go_through_the_people_a_page_at_a_time_and_to_the_ends(screen: Screen) -> None:
    page = OfflinePage(screen, *(f"person{number:02d}" for number in range(40)))
    people = page.page.side.people
    seen = []
    for key in ("<End>", "<Prior>", "<Home>", "<Next>"):
        press(people.canvas, key)
        settle(screen)
        seen.append(people._marked)
    assert seen[0] == 39
    assert 0 < seen[1] < 39
    assert seen[2] == 0
    assert seen[3] == 39 - seen[1]
    page.top.destroy()


def test_the_line_that_keys_act_on_is_seen_and_stays_with_its_person(offline: OfflinePage) -> None:
    """Fixed: the last line was it at first, and which one it was could not be seen after each choice."""
    offline.page.new_group()
    page = offline.page.page
    assert isinstance(page, NewGroupPage)
    offline.screen.pump(lambda: page.list.bbox(2) is not None)
    page.list.focus_force()
    settle(offline.screen)
    for name, key in (("bob", "<space>"), ("carol", "<Down>"), ("carol", "<space>"), ("dave", "<Down>")):
        page.list.event_generate(key)
        settle(offline.screen)
        assert [page._shown[index] for index in page.list.curselection()] == [name]
    assert page.chosen == ("bob", "carol")


def test_the_found_lines_are_gone_through_from_the_first(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    finder = offline.page.chat.finder
    offline.page.chat.find()
    entries = [
        LogEntry("bob", bytes([number]) * 16, EntryKind.TEXT, False, "bob", f"word {number}", NOW)
        for number in range(3)
    ]
    finder.show_found(entries)
    settle(offline.screen)
    chosen: list[LogEntry] = []
    finder._choose = chosen.append
    press(finder.entry, "<Down>")
    settle(offline.screen)
    finder.list.event_generate("<Down>")
    settle(offline.screen)
    finder.list.event_generate("<Return>")
    assert chosen == [entries[1]]
    area = finder.list.bbox(2)
    assert area is not None
    finder.list.event_generate("<Button-1>", x=area[0] + 5, y=area[1] + 5)
    finder.list.event_generate("<ButtonRelease-1>", x=area[0] + 5, y=area[1] + 5)
    assert chosen == [entries[1], entries[2]], "one click is enough, as in every other list"


def test_a_chosen_row_stays_chosen_while_its_menu_is_open(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    offline.take(TextReceived("bob", b"1" * 16, "see https://example.org/a https://example.net/b", NOW))
    log, menu = offline.page.chat.log, offline.page.chat.row_menu
    press(log.canvas, "<Up>")
    settle(offline.screen)
    press(log.canvas, "<Shift-F10>")
    offline.screen.pump(lambda: bool(menu.winfo_viewable()))
    labels = [menu.entrycget(index, "label") for index in range(2)]
    assert labels == ["Open example.org …", "Open example.net …"], "every link can be opened by keys"
    menu.event_generate("<Escape>")
    offline.screen.pump(lambda: not menu.winfo_viewable())
    settle(offline.screen)
    assert log.chosen is not None
    menu.invoke(1)
    (question,) = questions(offline.page)
    assert question.detail.cget("text") == "https://example.net/b"
    question.destroy()
    press(offline.page.chat.entry, "<Key-x>")
    offline.screen.pump(lambda: log.chosen is None)


def test_enter_on_a_row_without_a_link_shows_what_can_be_done_with_it(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    offline.take(TextReceived("bob", b"1" * 16, "no link at all", NOW))
    press(offline.page.chat.log.canvas, "<Up>")
    settle(offline.screen)
    press(offline.page.chat.log.canvas, "<Return>")
    offline.screen.pump(lambda: bool(offline.page.chat.row_menu.winfo_viewable()))
    offline.page.chat.row_menu.unpost()


# -- where keys go ----------------------------------------------------------------------------------


def test_keys_go_to_writing_when_what_had_them_is_put_away_or_gone(offline: OfflinePage) -> None:
    """Fixed: Space on "Ask to talk" asked again and again, as the button kept the keys when it was hidden."""
    page = offline.page
    page.open("bob")
    offline.screen.pump(lambda: bool(page.chat.ask_button.winfo_viewable()))
    page.chat.ask_button.focus_force()
    offline.take(PeerChanged("bob", PeerState.ASKING))
    offline.screen.pump(lambda: focus_of(page) is page.chat.entry)
    offline.take(PeerAsks("carol"))
    decline = button(page.banners, "Decline")
    offline.screen.pump(lambda: bool(decline.winfo_viewable()))
    decline.focus_force()
    offline.model.talk("carol").asks = False
    offline.take()
    page.tick()
    offline.screen.pump(lambda: focus_of(page) is page.chat.entry)
    page.show_safety("bob")
    page.chat.more_button.focus_force()  # as Tk does when its menu closes
    page.tick()
    offline.screen.pump(lambda: focus_of(page) is page.page.first)  # type: ignore[union-attr]


def test_a_talk_that_begins_neither_closes_what_is_open_nor_takes_the_keys(offline: OfflinePage) -> None:
    offline.page.open("bob")
    offline.page.show_safety("bob")
    settle(offline.screen)
    offline.page.page.close_button.focus_force()  # type: ignore[union-attr]
    offline.take(PeerChanged("bob", PeerState.CONNECTED, established=True))
    settle(offline.screen)
    assert focus_of(offline.page) is offline.page.page.close_button  # type: ignore[union-attr]


def test_something_may_happen_while_tks_own_dialog_is_open(offline: OfflinePage) -> None:
    """Fixed: each message that arrived while a file was chosen brought up "Something went wrong"."""
    offline.talk_to("bob")
    call = offline.top.tk.call
    call("toplevel", f"{offline.top}.__tk_filedialog")
    call("entry", f"{offline.top}.__tk_filedialog.entry")
    call("pack", f"{offline.top}.__tk_filedialog.entry")
    settle(offline.screen)
    call("focus", "-force", f"{offline.top}.__tk_filedialog.entry")
    offline.take(TextReceived("bob", b"2" * 16, "in the middle of it", NOW))
    offline.page.tick()
    settle(offline.screen)
    assert str(call("focus")).endswith("__tk_filedialog.entry"), "typing is not stolen"
    call("destroy", f"{offline.top}.__tk_filedialog")
    assert offline.screen.faults == []


def test_tab_goes_from_top_to_bottom(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    offline.take(TextReceived("bob", b"1" * 16, "hello", NOW))
    chat = offline.page.chat
    there = stops(offline.top)
    order = [chat.more_button, chat.log.canvas, chat.composer.clip_button, chat.entry, chat.send_button]
    first = there.index(chat.more_button)
    there = there[first:] + there[:first]
    assert [there.index(widget) for widget in order] == sorted(there.index(widget) for widget in order)
    assert there.index(offline.page.side.search) < len(there)
    assert there.index(offline.page.status.privacy) > there.index(chat.send_button)


def test_what_was_searched_for_is_over_once_somebody_was_chosen(offline: OfflinePage) -> None:
    write(offline.page.side.search, "bo")
    offline.screen.pump(lambda: offline.page.side.people.names == ["bob"])
    press(offline.page.side.people.canvas, "<Return>")
    offline.screen.pump(lambda: offline.model.open_peer == "bob")
    assert offline.page.side.search.get() == ""
    assert len(offline.page.side.people.names) == 3
