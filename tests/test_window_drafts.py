"""What is being written in a window stays where it is, whatever becomes of session, disk or window."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

from iirs.client.account.entry_calls import Home, login
from iirs.client.account.password_keys import storage_key
from iirs.client.events import ConnectionState, PeerAsks
from iirs.client.store.store import ClientStore
from iirs.client.window.pages.lock_page import LockPage
from iirs.client.window.start import Start
from iirs.client.window.window import ClientWindow
from tests.harness import FAST_BACKOFF, PASSWORD, Person, Town
from tests.offline_page import button, questions
from tests.screen import (
    Screen,
    ask,
    can_send,
    enter,
    fill_in,
    main_page,
    press,
    rows,
    say,
    words,
    write,
)
from tests.test_full_disk import Disk

pytestmark = pytest.mark.window
pytest_plugins = ["tests.window_fixtures"]
DRAFT = "Meet me at noon, and bring the "


def written(window: ClientWindow) -> str:
    return main_page(window).chat.composer.text


def type_on(window: ClientWindow, text: str) -> None:
    """Type into whatever has the focus, as a person does who looks at the keys."""
    focused = window.window.focus_get()
    assert focused is not None
    for character in text:
        focused.event_generate("<Key>", keysym={" ": "space", "\n": "Return"}.get(character, character))


def drafts(place: Town, name: str, home: Home) -> dict[str, str]:
    """What a person's store has, opened after the window let go of it."""
    account = login(place.link, home, name, PASSWORD)
    [path] = list(home.folder.rglob("*.store"))
    store = ClientStore(path, storage_key(account.identity))
    try:
        return {key.removeprefix("draft:"): text for key, text in store.values("draft:").items()}
    finally:
        store.close()


def talking(screen: Screen, place: Town, bob: Person) -> ClientWindow:
    window = enter(screen, place, "alice")
    ask(screen, window, "bob")
    bob.wait_for(PeerAsks)
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(window))
    return window


def replace_session(screen: Screen, place: Town, window: ClientWindow) -> None:
    place.connect(login(place.link, place.home("elsewhere"), "alice", PASSWORD))
    screen.pump(lambda: window.model.connection is ConnectionState.CLOSED)
    screen.root.update()


def test_a_session_that_ends_leaves_the_talk_the_focus_and_what_is_typed(screen: Screen, place: Town) -> None:
    """Fixed: the window went to the form, and the rest of a message into its field for the password."""
    bob = place.person("bob")
    window = talking(screen, place, bob)
    entry = main_page(window).chat.entry
    write(entry, DRAFT)
    assert window.window.focus_get() is entry
    replace_session(screen, place, window)
    assert window.login_page is None
    assert window.window.focus_get() is entry
    type_on(window, "map\n")
    assert written(window) == f"{DRAFT}map"
    assert "so nothing can be sent" in words(main_page(window).chat.composer)
    assert rows(window, "bob")[-1].text_id == b"", "nothing is shown as sent"
    banner = main_page(window).banners
    assert "This account logged in somewhere else" in words(banner)
    button(banner, "Log in again").invoke()
    screen.pump(lambda: window.login_page is not None)
    fill_in(window, "Log in", "alice", PASSWORD)
    screen.pump(lambda: window.main_page is not None and "bob" in window.model.talks)
    screen.pump(lambda: window.model.talk("bob").draft == f"{DRAFT}map")
    main_page(window).open("bob")
    assert written(window) == f"{DRAFT}map"
    assert not bob.texts()


def test_a_session_that_ends_while_the_window_is_locked_leaves_it_locked(screen: Screen, place: Town) -> None:
    window = enter(screen, place, "alice")
    window.lock()
    replace_session(screen, place, window)
    page = window.navigator.shown
    assert isinstance(page, LockPage)
    write(page.entry, PASSWORD)
    press(page.entry, "<Return>")
    screen.pump(lambda: window.main_page is not None)
    assert window.model.sentence in words(main_page(window).banners)


def test_a_draft_comes_back_after_a_restart_and_only_the_account_can_read_it(
    screen: Screen, place: Town
) -> None:
    place.register("bob")
    window = enter(screen, place, "alice")
    ask(screen, window, "bob")
    write(main_page(window).chat.entry, DRAFT)
    screen.close_all()
    files = [path for path in place.home("alice").folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"bring the" in path.read_bytes()]
    again = screen.open(place.home("alice"), Start(str(place.link), options=FAST_BACKOFF))
    fill_in(again, "Log in", "alice", PASSWORD)
    screen.pump(lambda: again.main_page is not None and again.model.talk("bob").draft == DRAFT)
    main_page(again).open("bob")
    assert written(again) == DRAFT


def test_a_draft_is_kept_while_it_is_written_and_gone_when_sent_cleared_or_deleted(
    screen: Screen, place: Town
) -> None:
    bob = place.person("bob")
    window = talking(screen, place, bob)
    assert window.session is not None

    def kept() -> dict[str, str]:
        found: list[dict[str, str]] = []
        assert window.session is not None
        window.session.connection.call(lambda engine: found.append(engine.messenger.drafts.all()))
        screen.pump(lambda: bool(found))
        return found[0]

    write(main_page(window).chat.entry, DRAFT)
    screen.pump(lambda: kept() == {"bob": DRAFT})
    press(main_page(window).chat.entry, "<Return>")
    screen.pump(lambda: kept() == {})
    write(main_page(window).chat.entry, DRAFT)
    screen.pump(lambda: kept() == {"bob": DRAFT})
    main_page(window).chat.entry.delete("1.0", "end")
    screen.pump(lambda: kept() == {})
    write(main_page(window).chat.entry, DRAFT)
    screen.pump(lambda: kept() == {"bob": DRAFT})
    main_page(window).chat._confirm_clear()
    [question] = questions(main_page(window).chat)
    button(question, "Delete").invoke()
    screen.pump(lambda: kept() == {} and written(window) == "")


def test_another_account_in_the_same_window_never_sees_what_was_being_written(
    screen: Screen, place: Town
) -> None:
    place.register("bob")
    place.register("carol")
    window = enter(screen, place, "alice")
    ask(screen, window, "bob")
    write(main_page(window).chat.entry, DRAFT)
    window.log_out()
    screen.pump(lambda: window.login_page is not None)
    fill_in(window, "Register", "dave", PASSWORD)
    screen.pump(lambda: window.main_page is not None and "bob" in window.model.people)
    main_page(window).open("bob")
    screen.root.update()
    assert written(window) == ""
    assert not [talk for talk in window.model.talks.values() if talk.draft]


def test_a_full_disk_is_said_over_the_talk_and_what_is_typed_stays_until_there_is_room(
    screen: Screen, place: Town
) -> None:
    bob = place.person("bob")
    window = talking(screen, place, bob)
    assert window.session is not None
    file = window.session.connection._store._file
    disk = file._db = Disk(file._db)
    disk.takes = 0
    screen.pump(lambda: "disk takes no more" in words(main_page(window).banners))
    write(main_page(window).chat.entry, DRAFT)
    type_on(window, "map\n")
    assert written(window) == f"{DRAFT}map"
    assert "while the disk takes no more" in words(main_page(window).chat.composer)
    disk.takes = None
    screen.pump(lambda: "disk takes no more" not in words(main_page(window).banners) and can_send(window))
    assert written(window) == f"{DRAFT}map"
    type_on(window, "\n")
    screen.pump(lambda: bob.texts() == [f"{DRAFT}map"])


def test_a_text_taken_in_the_moment_the_disk_fills_comes_back_to_be_sent(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    window = talking(screen, place, bob)
    assert window.session is not None
    file = window.session.connection._store._file
    write(main_page(window).chat.entry, DRAFT)
    disk = file._db = Disk(file._db)
    disk.takes = 0
    assert can_send(window)
    press(main_page(window).chat.entry, "<Return>")
    screen.pump(lambda: written(window) == DRAFT)
    disk.takes = None
    screen.pump(lambda: can_send(window))
    say(window, "")
    screen.pump(lambda: bob.texts() == [DRAFT])


def test_a_text_taken_in_the_moment_the_session_ends_comes_back(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    window = talking(screen, place, bob)
    replace_session(screen, place, window)
    assert window.session is not None
    window.session.background.send("bob", "too late")  # the window did not know yet
    screen.pump(lambda: written(window) == "too late")
    assert "You are logged out" in words(window.window)
