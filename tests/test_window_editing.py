"""Keys and clicks that did something else than people expect, in a window without a server."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

import tkinter as tk

from iirs.client.events import FileAdded, TransferChanged
from iirs.client.model.picture_queue import Picture
from iirs.client.store.log_entry import EntryKind, FileInfo, LogEntry, TransferState
from iirs.client.window.pages.group_page import NewGroupPage
from iirs.client.window.theme.palette import LIGHT
from tests.harness import Town
from tests.offline_page import NOW, OfflinePage, button, questions
from tests.pictures import png
from tests.screen import Screen, enter, main_page, press, write

pytestmark = pytest.mark.window
pytest_plugins = ["tests.window_fixtures"]


def click(widget: tk.Misc, x: int, y: int) -> None:
    widget.event_generate("<Button-1>", x=x, y=y)
    widget.event_generate("<ButtonRelease-1>", x=x, y=y)
    widget.update()


@pytest.mark.parametrize("name", ["bob", "carol", "dave"])
def test_a_click_in_the_list_of_a_new_group_takes_the_person_under_it(
    offline: OfflinePage, name: str
) -> None:
    """Fixed: a click took the row that was clicked before, the last one at first."""
    offline.page.new_group()
    page = offline.page.page
    assert isinstance(page, NewGroupPage)
    offline.screen.pump(lambda: page.list.bbox(2) is not None)
    for chosen in ((name,), ()):  # a second click takes the person out again, wherever the row is by now
        index = page._shown.index(name)
        box = page.list.bbox(index)
        assert box is not None
        click(page.list, box[0] + 5, box[1] + 5)
        assert page.chosen == chosen
    click(page.list, 5, page.list.winfo_height() - 3)
    assert page.chosen == (), "below the last row there is nobody"


def test_control_a_takes_everything_and_pasting_takes_its_place(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    for widget in (offline.page.chat.entry, offline.page.side.search):
        write(widget, "what was there")
        offline.top.clipboard_clear()
        offline.top.clipboard_append("what is pasted")
        press(widget, "<Control-a>")
        press(widget, "<<Paste>>")
        offline.screen.root.update()
        shown = widget.get("1.0", "end-1c") if isinstance(widget, tk.Text) else widget.get()
        assert shown == "what is pasted"


def test_pasting_nothing_leaves_what_is_marked(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    entry = offline.page.chat.entry
    write(entry, "still there")
    offline.top.clipboard_clear()
    offline.top.selection_clear(selection="CLIPBOARD")
    press(entry, "<Control-a>")
    press(entry, "<<Paste>>")
    assert offline.page.chat.composer.text == "still there"


def test_what_is_being_written_has_as_many_lines_after_a_change_of_size(screen: Screen) -> None:
    """Fixed: the field was measured before it had its width, and stayed six lines high."""
    screen.theme.restyle(LIGHT, 1.25)
    page = OfflinePage(screen, "bob")
    try:
        page.model.talk("bob").draft = "words that do not fit into one line of the field " * 3
        page.talk_to("bob")
        screen.pump(lambda: 1 < int(page.page.chat.entry.cget("height")) < 6)
        page.page.chat.composer.text = "short"
        screen.pump(lambda: int(page.page.chat.entry.cget("height")) == 1)
    finally:
        page.top.destroy()


def test_enter_that_sends_nothing_says_why(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    composer = offline.page.chat.composer
    press(composer.entry, "<Return>")
    assert composer.reason.cget("text") == "Nothing is written yet."
    assert composer.reason.cget("style") == "Error.TLabel"
    write(composer.entry, "hello")
    offline.screen.root.update()
    assert composer.reason.cget("style") == "Muted.TLabel"
    offline.page.open("carol")
    write(composer.entry, "hello")
    offline.screen.root.update()
    press(composer.entry, "<Return>")
    assert composer.reason.cget("text") == "Not sent. Ask carol to talk first."
    assert composer.reason.cget("style") == "Error.TLabel"
    assert composer.text == "hello"
    offline.page.refresh()
    assert composer.reason.cget("text") == "Not sent. Ask carol to talk first."
    offline.page.open("")
    offline.screen.pump(lambda: bool(offline.page.new_talk_page.entry.winfo_viewable()))
    press(offline.page.new_talk_page.entry, "<Return>")
    assert offline.page.new_talk_page.message.cget("text") == "Type a name first."


def test_escape_leads_back_to_writing_from_searching_and_from_a_new_group(
    screen: Screen, place: Town
) -> None:
    """Fixed: what had been searched for stayed, and behind a new group one wrote into a field not shown."""
    place.register("bob")
    window = enter(screen, place, "alice")
    screen.pump(lambda: "bob" in window.model.people)
    page = main_page(window)
    page.open("bob")
    screen.pump(lambda: bool(page.chat.entry.winfo_viewable()))
    press(page.chat.entry, "<Control-k>")
    screen.pump(lambda: window.window.focus_get() is page.side.search)
    write(page.side.search, "nobody of that name")
    press(page.side.search, "<Escape>")
    screen.pump(lambda: window.window.focus_get() is page.chat.entry)
    assert page.side.search.get() == ""
    assert page.side.people.names == ["bob"]
    press(page.chat.entry, "<Control-g>")
    group = page.page
    assert isinstance(group, NewGroupPage)
    press(group.name_entry, "<Escape>")
    screen.pump(lambda: window.window.focus_get() is page.chat.entry and page.page is None)
    screen.pump(lambda: bool(page.chat.entry.winfo_viewable()))


def test_ending_a_conversation_asks_while_a_file_is_on_its_way(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    end = offline.page.chat.end_button
    file = FileInfo(b"f" * 16, "plan.txt", 900, bytes(32))
    entry = LogEntry("bob", b"f" * 16, EntryKind.FILE, True, "alice", "plan.txt", NOW, file=file)
    offline.take(FileAdded(entry), TransferChanged("bob", file.file_id, TransferState.MOVING, 100, 900))
    end.invoke()
    assert ("hang_up", "bob") not in offline.asked
    [question] = questions(offline.top)
    button(question, "End conversation").invoke()
    assert offline.asked.count(("hang_up", "bob")) == 1
    offline.take(TransferChanged("bob", file.file_id, TransferState.DONE, 900, 900))
    end.invoke()
    assert offline.asked.count(("hang_up", "bob")) == 2


def test_a_picture_of_ours_shows_how_far_it_is_until_it_has_arrived(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    file = FileInfo(b"p" * 16, "red.png", 1000, bytes(32))
    entry = LogEntry("bob", b"p" * 16, EntryKind.FILE, True, "alice", "red.png", NOW, file=file)
    offline.take(FileAdded(entry), TransferChanged("bob", file.file_id, TransferState.MOVING, 250, 1000))
    offline.page.chat.log.take_picture(Picture(file.file_id, png("red", (200, 120))))
    offline.screen.pump(lambda: "25 % of" in offline.shown())
    offline.take(TransferChanged("bob", file.file_id, TransferState.DONE, 1000, 1000))
    offline.screen.pump(lambda: "% of" not in offline.shown())
