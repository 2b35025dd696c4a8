"""The whole way through a window, by keyboard alone and by mouse alone, on small screens and at 200 %.

Everything is done by X events, as a person's hands send them; the mouse's person types letters into fields.
"""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

import os
import shutil
import tkinter as tk
from collections.abc import Callable
from pathlib import Path
from tkinter import ttk

from iirs.client.events import GroupChanged, GroupState, PeerAsks, PeerState, TextReceived
from iirs.client.model.talk import Talk
from iirs.client.store.log_entry import TransferState
from iirs.client.store.preferences import ColourScheme, Preferences
from iirs.client.window.main_page import MainPage
from iirs.client.window.pages.group_page import NewGroupPage
from iirs.client.window.pages.leaving_page import LeavingPage
from iirs.client.window.pages.lock_page import LockPage
from iirs.client.window.pages.settings_page import SettingsPage
from iirs.client.window.start import Start
from iirs.client.window.theme.focus import focus_of
from iirs.client.window.theme.palette import DARK
from iirs.client.window.window import ClientWindow
from tests.hands import Hands, hands
from tests.harness import FAST_BACKOFF, PASSWORD, Person, Town
from tests.offline_page import questions
from tests.pictures import png
from tests.screen import Screen, can_send, login_page, main_page, rows

pytestmark = [
    pytest.mark.window,
    pytest.mark.slow,
    pytest.mark.skipif(
        # A person may lack the program that types; where windows are required, its absence is an error.
        shutil.which("xdotool") is None and not os.environ.get("IIRS_REQUIRE_WINDOW"),
        reason="needs xdotool",
    ),
]
pytest_plugins = ["tests.window_fixtures"]

HALF, WHOLE = "683x768", "1366x900"
TEXT, LINKS = "Are you coming?", "See https://example.org/a or https://example.net/b"
PICTURE = "lake.png"
TIMERS_ENTRY, HOUR_ENTRY = 2, 2
"""Where they stand in the menu of a talk, and in the one that opens from it."""


class Keys:
    """Keyboard alone."""

    by_mouse = False

    def __init__(self, hand: Hands, window: ClientWindow) -> None:
        self.hand = hand
        self.window = window

    @property
    def page(self) -> MainPage:
        return main_page(self.window)

    def fill(self, field: ttk.Entry, text: str) -> None:
        self.hand.tab_to(field)
        self.hand.type(text, field)

    def use(self, button: ttk.Widget, until: Callable[[], object]) -> None:
        self.hand.tab_to(button)
        self.hand.press("Return", until)

    def ask(self, peer: str) -> None:
        self.hand.type(peer, self.page.new_talk_page.entry)
        self.hand.press("Return", lambda: self.window.model.talk(peer).state is PeerState.ASKING)

    def say(self, text: str) -> None:
        entry = self.page.chat.entry
        self.hand.type(text, entry)
        self.hand.press("Return", lambda: not self.page.chat.composer.text)

    def open_the_menu_of_the_last_row(self) -> None:
        log = self.page.chat.log
        self.hand.tab_to(log.canvas)
        self.hand.press("Up", lambda: log.chosen is not None)
        self.hand.press("shift+F10", self.page.chat.row_menu.winfo_viewable)

    def take_entry(self, index: int, until: Callable[[], object]) -> None:
        self._go_down(self.page.chat.row_menu, index)
        self.hand.press("Return", until)

    def put_away(self, until: Callable[[], object]) -> None:
        self.hand.press("Escape", until)

    def set_a_timer(self, until: Callable[[], object]) -> None:
        chat = self.page.chat
        self.use(chat.more_button, chat.talk_menu.winfo_viewable)
        self._go_down(chat.talk_menu, TIMERS_ENTRY)
        self.hand.press("Right", chat.timer_menu.winfo_viewable)
        self._go_down(chat.timer_menu, HOUR_ENTRY)
        self.hand.press("Return", until)

    def _go_down(self, menu: tk.Menu, index: int) -> None:
        while menu.index("active") != index:
            before = menu.index("active")
            self.hand.press("Down", lambda then=before: menu.index("active") != then)  # type: ignore[misc]

    def begin_a_group(self) -> None:
        self.hand.press("ctrl+g", lambda: isinstance(self.page.page, NewGroupPage))

    def choose_people(self, page: NewGroupPage, *names: str) -> None:
        self.hand.tab_to(page.list)
        for name in names:
            while page._marked() != name:
                before = page._marked()
                self.hand.press("Down", lambda then=before: page._marked() != then)  # type: ignore[misc]
            assert page.list.curselection() == (page._shown.index(name),), "the line keys act on is seen"
            self.hand.press("space", lambda who=name: who in page.chosen)  # type: ignore[misc]

    def look_at(self, key: str) -> None:
        while self.window.model.open_peer != key:
            here = self.window.model.open_peer
            self.hand.press("alt+Down", lambda before=here: self.window.model.open_peer != before)  # type: ignore[misc]

    def open_settings(self) -> None:
        self.hand.press("ctrl+comma", lambda: isinstance(self.window.navigator.shown, SettingsPage))

    def lock(self) -> None:
        self.hand.press("ctrl+l", lambda: isinstance(self.window.navigator.shown, LockPage))

    def leave(self) -> None:
        self.hand.press("ctrl+q", lambda: isinstance(self.window.navigator.shown, LeavingPage))
        self.hand.screen.pump(lambda: not self.window.is_open)


class Mouse(Keys):
    """Mouse alone, but for the letters of texts."""

    by_mouse = True

    def fill(self, field: ttk.Entry, text: str) -> None:
        self.hand.click(field, lambda: focus_of(self.window.window) is field)
        self.hand.type(text, field)

    def use(self, button: ttk.Widget, until: Callable[[], object]) -> None:
        self.hand.click(button, until)

    def ask(self, peer: str) -> None:
        self.look_at(peer)
        self.use(self.page.chat.ask_button, lambda: self.window.model.talk(peer).state is PeerState.ASKING)

    def say(self, text: str) -> None:
        entry = self.page.chat.entry
        self.hand.click(entry, lambda: focus_of(self.window.window) is entry)
        self.hand.type(text, entry)
        self.use(self.page.chat.send_button, lambda: not self.page.chat.composer.text)

    def open_the_menu_of_the_last_row(self) -> None:
        log = self.page.chat.log
        last = log._layout.place(len(log._layout.rows) - 1)
        at = (40, last.bottom - log._offset - 30)
        self.hand.click(log.canvas, self.page.chat.row_menu.winfo_viewable, button=3, at=at)

    def take_entry(self, index: int, until: Callable[[], object]) -> None:
        self.hand.click_at(*self.hand.entry_of(self.page.chat.row_menu, index), until)

    def set_a_timer(self, until: Callable[[], object]) -> None:
        chat = self.page.chat
        self.use(chat.more_button, chat.talk_menu.winfo_viewable)
        entry = self.hand.entry_of(chat.talk_menu, TIMERS_ENTRY)
        self.hand.click_at(*entry, chat.timer_menu.winfo_viewable)
        self.hand.click_at(*self.hand.entry_of(chat.timer_menu, HOUR_ENTRY), until)

    def put_away(self, until: Callable[[], object]) -> None:
        (question,) = questions(self.window.window)
        self.hand.screen.pump(lambda: bool(question.cancel_button.winfo_viewable()))
        self.hand.click(question.cancel_button, until)

    def begin_a_group(self) -> None:
        self.look_at_people()
        self.use(self.page.side.group_button, lambda: isinstance(self.page.page, NewGroupPage))

    def choose_people(self, page: NewGroupPage, *names: str) -> None:
        for name in names:
            place = page.list.bbox(page._shown.index(name))
            assert place is not None
            at = (place[0] + 10, place[1] + place[3] // 2)
            self.hand.click(page.list, lambda who=name: who in page.chosen, at=at)  # type: ignore[misc]

    def look_at_people(self) -> None:
        if not self.page.side.winfo_viewable():
            self.use(self.page._back_button, self.page.side.winfo_viewable)

    def look_at(self, key: str) -> None:
        self.look_at_people()
        people = self.page.side.people
        self.hand.screen.pump(lambda: key in people.names)
        row = people.canvas.winfo_height() if not people.names else self.hand.screen.theme.dp(62)
        at = (self.hand.screen.theme.dp(90), people.names.index(key) * row + row // 2)
        self.hand.click(people.canvas, lambda: self.window.model.open_peer == key, at=at)

    def open_settings(self) -> None:
        self.look_at_people()
        shown = lambda: isinstance(self.window.navigator.shown, SettingsPage)  # noqa: E731
        self.use(self.page.side.settings_button, shown)

    def lock(self) -> None:
        self.open_settings()
        lock = settings(self.window).controls["lock"]
        self.use(lock, lambda: isinstance(self.window.navigator.shown, LockPage))

    def leave(self) -> None:
        self.look_at_people()
        self.use(self.page.side.log_out_button, lambda: isinstance(self.window.navigator.shown, LeavingPage))
        self.hand.screen.pump(lambda: self.window.login_page is not None)


def settings(window: ClientWindow) -> SettingsPage:
    assert isinstance(window.navigator.shown, SettingsPage)
    return window.navigator.shown


def register(way: Keys, place: Town) -> None:
    page = login_page(way.window)
    way.fill(page.link_entry, str(place.link))
    way.fill(page.name_entry, "alice")
    way.fill(page.password_entry, PASSWORD)
    way.use(page.button, lambda: way.window.main_page is not None and len(way.window.model.people) == 3)


def talk(way: Keys, bob: Person) -> None:
    screen, window = way.hand.screen, way.window
    way.ask("bob")
    bob.wait_for(PeerAsks)
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(window))
    screen.pump(lambda: focus_of(window.window) is way.page.chat.entry)
    way.say(TEXT)
    bob.wait_for(TextReceived, lambda event: event.text == TEXT)
    bob.connection.send("alice", LINKS)
    screen.pump(lambda: LINKS in [row.text for row in rows(window, "bob")])
    way.open_the_menu_of_the_last_row()
    way.take_entry(1, lambda: questions(window.window))
    (question,) = questions(window.window)
    assert question.detail.cget("text") == "https://example.net/b"
    screen.pump(lambda: focus_of(question) is question.cancel_button)
    way.put_away(lambda: not questions(window.window))
    screen.pump(lambda: focus_of(window.window) is way.page.chat.log.canvas)


def have_messages_disappear(way: Keys) -> None:
    way.set_a_timer(lambda: way.window.model.talk("bob").timer == 3600)


def send_a_picture(way: Keys) -> None:
    composer = way.page.chat.composer
    way.hand.choose_a_file(PICTURE, by_mouse=way.by_mouse)
    way.use(composer.clip_button, composer.strip.winfo_viewable)
    way.use(composer.strip_send, lambda: any(row.file for row in rows(way.window, "bob")))
    done = TransferState.DONE
    way.hand.screen.pump(lambda: done in [row.transfer for row in rows(way.window, "bob")])


def meet_in_a_group(way: Keys, bob: Person, carol: Person) -> None:
    screen, window = way.hand.screen, way.window
    way.begin_a_group()
    page = way.page.page
    assert isinstance(page, NewGroupPage)
    way.fill(page.name_entry, "Chess")
    way.choose_people(page, "bob", "carol")
    way.use(page.create_button, lambda: groups(window))
    carol.wait_for(PeerAsks)
    carol.connection.ask("alice")
    for person in (bob, carol):
        asked = person.wait_for(GroupChanged, lambda event: event.state is GroupState.INVITED)
        person.connection.call(lambda engine, key=asked.key: engine.messenger.join_group(key))
    (group,) = groups(window)
    screen.pump(lambda: len(group.joined) == 3)
    way.look_at(group.peer)
    way.say("e2 e4")
    carol.wait_for(TextReceived, lambda event: event.text == "e2 e4")


def groups(window: ClientWindow) -> list[Talk]:
    return [talk for talk in window.model.talks.values() if talk.is_group]


def see_the_settings(way: Keys) -> None:
    window = way.window
    way.open_settings()
    dark = settings(window).controls["theme dark"]
    way.use(dark, lambda: window.theme.colours is DARK)
    assert focus_of(window.window) is settings(window).controls["theme dark"], "where it was"
    way.use(
        settings(window).controls["account"], lambda: not isinstance(window.navigator.shown, SettingsPage)
    )
    account = window.navigator.shown
    way.use(account.close_button, lambda: isinstance(window.navigator.shown, SettingsPage))  # type: ignore[union-attr]
    way.use(settings(window).controls["close"], lambda: window.main_page is not None)


def lock_and_unlock(way: Keys) -> None:
    way.lock()
    page = way.window.navigator.shown
    assert isinstance(page, LockPage)
    way.use(page.button, lambda: page.message.cget("text"))  # nothing is filled in, and that is said
    way.fill(page.entry, PASSWORD)
    way.use(page.button, lambda: way.window.main_page is not None)


@pytest.mark.parametrize("way_of", [Keys, Mouse])
@pytest.mark.parametrize(("size", "zoom"), [(HALF, 1.0), (WHOLE, 1.0), (WHOLE, 2.0)])
def test_the_whole_way_can_be_gone(
    screen: Screen,
    place: Town,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: str,
    zoom: float,
    way_of: type[Keys],
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / PICTURE).write_bytes(png("red"))
    monkeypatch.chdir(tmp_path / "files")
    home = place.home("alice")
    Preferences(theme=ColourScheme.LIGHT, zoom=zoom, language="en").write(home.folder)
    bob, carol = place.person("bob"), place.person("carol")
    window = screen.open(home, Start(options=FAST_BACKOFF))
    window.window.geometry(f"{size}+0+0")
    with hands(screen, window.window) as hand:
        way = way_of(hand, window)
        register(way, place)
        talk(way, bob)
        have_messages_disappear(way)
        send_a_picture(way)
        meet_in_a_group(way, bob, carol)
        see_the_settings(way)
        lock_and_unlock(way)
        way.leave()
        assert hand.unseen == []
