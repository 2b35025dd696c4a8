"""A window's account: a password changed, everything here deleted, the account deleted; a QR code; German."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tkinter")

from tkinter import ttk

from PIL import Image

from iirs.client.account.entry_calls import login
from iirs.client.pictures.qr import qr_png, read_qr
from iirs.client.window.navigation import Page
from iirs.client.window.pages.account_page import AccountPage
from iirs.client.window.pages.settings_page import SettingsPage
from iirs.client.window.start import Start
from iirs.client.window.window import ClientWindow
from iirs.errors import AccountError
from tests.harness import PASSWORD, Town
from tests.pictures import blank
from tests.screen import (
    Screen,
    ask,
    can_send,
    enter,
    login_page,
    main_page,
    press,
    say,
    words,
    write,
)

NEW = "another horse battery"
pytestmark = pytest.mark.window
pytest_plugins = ["tests.window_fixtures"]


def account_page(window: ClientWindow) -> AccountPage:
    window.navigator.open(Page.SETTINGS)
    assert isinstance(window.navigator.shown, SettingsPage)
    button = window.navigator.shown.controls["account"]
    assert isinstance(button, ttk.Button)
    button.invoke()
    assert isinstance(window.navigator.shown, AccountPage)
    return window.navigator.shown


def may_log_in(place: Town, name: str, password: str) -> bool:
    try:
        login(place.link, place.home(f"elsewhere {password}"), name, password)
    except AccountError:
        return False
    return True


def change(page: AccountPage, old: str, new: str, again: str) -> None:
    for entry, value in ((page.old, old), (page.new, new), (page.again, again)):
        write(entry, value)
    page.change_button.invoke()


def test_a_password_is_changed_and_what_is_wrong_is_said(screen: Screen, place: Town) -> None:
    alice = enter(screen, place, "alice")
    page = account_page(alice)
    change(page, PASSWORD, NEW, NEW + "x")
    assert "not the same" in words(page)
    change(page, PASSWORD, "short", "short")
    assert "at least 10 characters" in words(page)
    change(page, "wrong horse battery", NEW, NEW)
    screen.pump(lambda: "The password is wrong." in words(page))
    change(page, PASSWORD, NEW, NEW)
    screen.pump(lambda: "The password is changed." in words(page))
    assert page.old.get() == page.new.get() == ""
    page.close_button.invoke()
    assert isinstance(alice.navigator.shown, SettingsPage), "where the page was opened from"
    alice.uncover()
    press(main_page(alice).side.search, "<Control-l>")
    lock = alice.navigator.shown
    assert lock is not None
    screen.pump(lambda: bool(lock.winfo_viewable()))
    write(lock.entry, PASSWORD)  # type: ignore[union-attr]
    press(lock.entry, "<Return>")  # type: ignore[union-attr]
    screen.pump(lambda: "The password is wrong." in words(lock))
    screen.pump(lambda: lock.button.instate(["!disabled"]))  # type: ignore[union-attr]
    write(lock.entry, NEW)  # type: ignore[union-attr]
    press(lock.entry, "<Return>")  # type: ignore[union-attr]
    screen.pump(lambda: alice.main_page is not None)
    alice.close()
    alice.close()
    screen.pump(lambda: not alice.is_open)
    assert not may_log_in(place, "alice", PASSWORD)
    assert may_log_in(place, "alice", NEW)


def test_the_page_of_the_account_begins_at_its_top(screen: Screen, place: Town) -> None:
    alice = enter(screen, place, "alice")
    page = account_page(alice)
    screen.pump(lambda: bool(page.old.winfo_viewable()) and page.focus_get() is page.old)
    for _ in range(5):
        screen.root.update()
    assert page.canvas.canvasy(0) == 0
    assert page.old.winfo_rooty() < page.canvas.winfo_rooty() + page.canvas.winfo_height()


def test_deleting_everything_here_takes_the_name_to_confirm_and_leaves_no_file(
    screen: Screen, place: Town
) -> None:
    alice, bob = enter(screen, place, "alice"), place.person("bob")
    ask(screen, alice, "bob")
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(alice))
    say(alice, "a secret")
    store = next(place.home("alice").folder.glob("*.store"))
    page = account_page(alice)
    assert page.wipe_button.instate(["disabled"])
    write(page.wipe_name, "bob")
    assert page.wipe_button.instate(["disabled"])
    write(page.wipe_name, "alice")
    page.wipe_button.invoke()
    screen.pump(lambda: alice.login_page is not None)
    assert "nothing of the account is left here" in words(login_page(alice))
    assert not store.exists()
    assert may_log_in(place, "alice", PASSWORD)


def test_deleting_the_account_ends_it_everywhere(screen: Screen, place: Town) -> None:
    alice = enter(screen, place, "alice")
    page = account_page(alice)
    write(page.delete_name, "alice")
    page.delete_button.invoke()
    screen.pump(lambda: alice.login_page is not None)
    assert "The account is deleted." in words(login_page(alice))
    assert not list(place.home("alice").folder.glob("*.store"))
    assert not may_log_in(place, "alice", PASSWORD)


def test_a_join_link_is_taken_from_a_picture_of_its_qr_code(
    screen: Screen, place: Town, tmp_path: Path
) -> None:
    window = screen.open(place.home("alice"), Start())
    page = login_page(window)
    (tmp_path / "link.png").write_bytes(qr_png(str(place.link), 4))
    page.take_link_from(tmp_path / "link.png")
    screen.pump(lambda: page.link_entry.get() == str(place.link))
    (tmp_path / "other.png").write_bytes(qr_png("https://example.org", 4))
    Image.new("RGB", (200, 200), "white").save(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, sentence in (("empty", "no QR code"), ("text", "no picture"), ("gone", "no picture")):
        page.take_link_from(tmp_path / f"{name}.png")
        screen.pump(lambda words_to_see=sentence: words_to_see in words(page))  # type: ignore[misc]
    before = page.link_entry.get()
    page.take_link_from(tmp_path / "other.png")
    assert "Looking for a QR code" in words(page)
    screen.pump(lambda: "Looking for a QR code" not in words(page))
    assert page.link_entry.get() == before
    second = "iirs://192.0.2.2:12345/#" + "51" * 32
    (tmp_path / "second.png").write_bytes(qr_png(second, 4))
    page.take_link_from(tmp_path / "link.png")
    first = page._decoder
    page.take_link_from(tmp_path / "second.png")
    assert first._stopped, "the person has changed their mind"
    screen.pump(lambda: page.link_entry.get() == second)
    screen.pump(lambda: "Looking" not in words(page))
    page.take_link_from(tmp_path / "link.png")
    last = page._decoder
    window.close()
    assert last._stopped, "nobody waits for it any more"


def test_a_qr_code_comes_back_as_it_was_and_a_bomb_is_refused(tmp_path: Path) -> None:
    text = "iirs://192.0.2.2:12345/#" + "51" * 32
    (tmp_path / "code.png").write_bytes(qr_png(text, 3))
    assert read_qr(tmp_path / "code.png") == text
    (tmp_path / "bomb.png").write_bytes(blank(10_000, 10_000))
    with pytest.raises(AccountError, match="too large"):
        read_qr(tmp_path / "bomb.png")


def test_the_whole_window_speaks_german_at_once(screen: Screen, place: Town) -> None:
    alice = enter(screen, place, "alice")
    alice.navigator.open(Page.SETTINGS)
    assert isinstance(alice.navigator.shown, SettingsPage)
    german = alice.navigator.shown.controls["language de"]
    assert isinstance(german, ttk.Radiobutton)
    german.invoke()
    assert "Einstellungen" in words(alice.window)
    alice.uncover()
    screen.pump(lambda: "Mit wem möchtest du sprechen?" in words(main_page(alice)))
    english = [
        word for word in ("Find people", "conversations in use", "Log out") if word in words(alice.window)
    ]
    assert english == []
