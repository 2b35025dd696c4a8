"""What is around the conversations in a window: settings, size, the lock, the keys, the words on privacy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("tkinter")

from iirs.client.account.entry_calls import Home
from iirs.client.desktop.notification_text import notification, title
from iirs.client.events import TextReceived
from iirs.client.model.chat_model import ChatModel, Round
from iirs.client.model.lock import IdleClock, wait_seconds
from iirs.client.model.privacy_sentences import explained, hidden_among
from iirs.client.store.preferences import ColourScheme, Notify, Preferences, WindowPlace
from iirs.client.window.pages.lock_page import LockPage
from iirs.client.window.pages.settings_page import SettingsPage
from iirs.client.window.pages.shortcuts_page import SHORTCUTS, ShortcutsPage
from iirs.client.window.start import Start
from iirs.client.window.window import ClientWindow
from tests.harness import CHEAP, PASSWORD, Town
from tests.screen import Screen, enter, main_page, press, words, write

pytest_plugins = ["tests.window_fixtures"]


def settings(window: ClientWindow) -> SettingsPage:
    assert isinstance(window.navigator.shown, SettingsPage)
    return window.navigator.shown


def lock_page(window: ClientWindow) -> LockPage:
    assert isinstance(window.navigator.shown, LockPage)
    return window.navigator.shown


@pytest.mark.window
def test_a_locked_window_shows_no_name_and_opens_with_the_password_only(screen: Screen, place: Town) -> None:
    place.register("bob")
    alice = enter(screen, place, "alice")
    alice.model.take(TextReceived("bob", b"1" * 16, "a secret word", 0))
    press(main_page(alice).side.search, "<Control-l>")
    page = lock_page(alice)
    alice.model.take(TextReceived("bob", b"2" * 16, "another secret", 0))
    closed = alice.model.health
    screen.pump(lambda: alice.model.health != closed)  # the rounds go on
    shown = words(alice.window) + alice.window.title()
    assert not [word for word in ("alice", "bob", "secret") if word in shown]
    press(page.entry, "<Control-comma>")
    press(page.entry, "<Control-k>")
    assert alice.main_page is None
    write(page.entry, "not the password")
    press(page.entry, "<Return>")
    screen.pump(lambda: "The password is wrong." in words(page))
    assert alice.main_page is None
    write(page.entry, PASSWORD)
    press(page.entry, "<Return>")
    screen.pump(lambda: alice.main_page is not None)
    assert "alice" in alice.window.title()
    assert [row.text for row in alice.model.talk("bob").rows] == ["a secret word", "another secret"]


@pytest.mark.window
def test_a_window_locks_by_itself_when_nobody_touches_it(screen: Screen, place: Town) -> None:
    alice = enter(screen, place, "alice")
    alice.state.change("lock_minutes", 5)
    now = alice.state.clock()
    alice.state.clock = lambda: now + 290
    press(main_page(alice).side.search, "<Key-a>")
    alice.state.clock = lambda: now + 310
    assert not alice.state.is_time_to_lock
    alice.state.clock = lambda: now + 600
    screen.pump(lambda: isinstance(alice.navigator.shown, LockPage))


@pytest.mark.window
def test_colours_and_size_change_at_once_and_talk_and_draft_stay(screen: Screen, place: Town) -> None:
    place.register("bob")
    alice = enter(screen, place, "alice")
    screen.pump(lambda: "bob" in alice.model.people)
    main_page(alice).open("bob")
    write(main_page(alice).chat.entry, "half a sentence")
    press(main_page(alice).chat.entry, "<Control-comma>")
    settings(alice).controls["theme dark"].invoke()
    assert screen.theme.colours.name == "dark"
    press(settings(alice), "<Control-plus>")
    assert screen.theme.zoom == 1.1
    settings(alice).controls["close"].invoke()
    assert alice.model.open_peer == "bob"
    assert main_page(alice).chat.entry.get("1.0", "end-1c") == "half a sentence"
    kept = Preferences.read(place.home("alice").folder)
    assert (kept.theme, kept.zoom, kept.name) == (ColourScheme.DARK, 1.1, "alice")


@pytest.mark.window
def test_the_settings_have_the_whole_link_to_copy(screen: Screen, place: Town) -> None:
    alice = enter(screen, place, "alice")
    alice.window.focus_force()
    press(alice.window, "<Control-comma>")
    settings(alice).controls["copy link"].invoke()
    assert alice.window.clipboard_get() == str(place.link)


@pytest.mark.window
def test_every_key_is_on_the_page_that_f1_shows(screen: Screen, tmp_path: Path) -> None:
    window = screen.open(Home(tmp_path, CHEAP), Start())
    press(window.window, "<F1>")
    assert isinstance(window.navigator.shown, ShortcutsPage)
    shown = words(window.navigator.shown)
    assert not [key.shown for key in SHORTCUTS if key.shown not in shown or key.about not in shown]
    press(window.window, "<Escape>")
    assert window.login_page is not None
    press(window.window, "<Control-l>")  # nobody is logged in: there is nothing to lock
    assert window.login_page is not None


@pytest.mark.window
def test_a_window_that_was_off_the_screen_opens_on_it(screen: Screen, tmp_path: Path) -> None:
    Preferences(place=WindowPlace(800, 600, 9000, -4000)).write(tmp_path)
    window = screen.open(Home(tmp_path, CHEAP), Start())
    screen.pump(lambda: window.window.winfo_width() > 1)
    assert 0 <= window.window.winfo_rootx() < window.window.winfo_screenwidth()
    assert 0 <= window.window.winfo_rooty() < window.window.winfo_screenheight()


def test_wrong_passwords_wait_the_longer_the_more_they_are() -> None:
    assert [wait_seconds(n) for n in range(6)] == [0, 0, 0, 2, 4, 8]
    assert wait_seconds(10_000) == 60
    clock = IdleClock(0)
    assert clock.is_up(60, 1)
    assert not clock.is_up(59, 1)
    assert not clock.is_up(1e9, 0)


def test_the_privacy_words_name_the_crowd_and_who_must_be_trusted() -> None:
    for servers, online, expected in (
        (1, 24, "Hidden among 24 people online, 1 server that must be trusted"),
        (3, 24, "Hidden among 24 people online, 3 servers"),
        (3, 1, "Nobody else is online to hide among"),
    ):
        model = ChatModel("alice", servers)
        assert hidden_among(model) == ""
        model.round = Round(1, 0.0, 2.0, online, 10.0, 2.0)
        assert hidden_among(model) == expected
    assert "must be trusted" in explained(1)
    assert "must be trusted" not in explained(3)


def test_notifications_hold_no_more_than_was_chosen_and_nothing_while_locked() -> None:
    arrived = [("bob", "bob", "a secret word")]
    with_text = Preferences(notifications=Notify.WITH_TEXT)
    open_one = notification(arrived, with_text, locked=False)
    assert open_one is not None
    assert (open_one.title, open_one.text) == ("bob", "a secret word")
    without = replace(with_text, notifications=Notify.WITHOUT_TEXT)
    for preferences, locked in ((with_text, True), (without, False)):
        quiet = notification(arrived, preferences, locked=locked)
        assert quiet is not None
        assert "bob" not in quiet.title + quiet.text
        assert "secret" not in quiet.text
    assert notification(arrived, replace(with_text, notifications=Notify.OFF), locked=False) is None
    assert notification([], with_text, locked=False) is None


def test_the_title_counts_to_99_and_says_nothing_while_locked() -> None:
    model = ChatModel("alice")
    model.talk("bob").unread = 3
    assert title(model, locked=False, inside=True) == "(3) alice · iirs"
    model.talk("bob").unread = 100
    assert title(model, locked=False, inside=True) == "(99+) alice · iirs"
    assert title(model, locked=True, inside=True) == "iirs"
