"""How long a text may be, typed in real windows: what is not taken stays where it was typed."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

from iirs.client.account.password_keys import PASSWORD_MIN
from iirs.client.events import PeerAsks, TextReceived
from iirs.client.messenger.group_item import NAME_MAX
from iirs.client.messenger.limits import text_limit
from iirs.client.model.background import SEARCHED_MAX
from iirs.client.window.pages.group_page import NewGroupPage
from iirs.client.window.start import Start
from iirs.client.window.window import ClientWindow
from tests.harness import Person, Town
from tests.screen import Screen, ask, can_send, enter, login_page, main_page, press, rows, words, write

pytestmark = pytest.mark.window
pytest_plugins = ["tests.window_fixtures"]


def type_and_send(screen: Screen, window: ClientWindow, text: str) -> None:
    """Write a text, let the window take notice, and press Return."""
    entry = main_page(window).chat.entry
    entry.delete("1.0", "end")
    write(entry, text)
    screen.pump(lambda: can_send(window))
    press(entry, "<Return>")
    screen.root.update()


def written(window: ClientWindow) -> str:
    return main_page(window).chat.composer.text


def sent(window: ClientWindow, talk: str) -> list[str]:
    return [row.text for row in rows(window, talk) if row.outgoing]


def told(window: ClientWindow) -> str:
    return str(main_page(window).chat.reason.cget("text"))


def talk_to_bob(screen: Screen, place: Town) -> tuple[ClientWindow, Person]:
    """Open alice's window, in sync with bob."""
    alice, bob = enter(screen, place, "alice"), place.person("bob")
    ask(screen, alice, "bob")
    bob.wait_for(PeerAsks)
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(alice))
    return alice, bob


def group_with_bob(screen: Screen, place: Town) -> tuple[ClientWindow, ClientWindow, str]:
    """Open the windows of alice and bob, who look at a group of the two; return its key, too."""
    alice, bob = enter(screen, place, "alice"), enter(screen, place, "bob")
    screen.pump(lambda: "bob" in alice.model.people and "alice" in bob.model.people)
    main_page(alice).new_group()
    page = main_page(alice).page
    assert isinstance(page, NewGroupPage)
    write(page.name_entry, "Chess")
    page.toggle("bob")
    page.create_button.invoke()
    ask(screen, bob, "alice")
    screen.pump(lambda: any(talk.is_group for talk in bob.model.talks.values()))
    key = next(talk.peer for talk in bob.model.talks.values() if talk.is_group)
    main_page(bob).open(key)
    main_page(bob).chat.ask_button.invoke()
    main_page(alice).open(key)
    screen.pump(lambda: can_send(alice) and can_send(bob) and len(alice.model.talk(key).joined) == 2)
    return alice, bob, key


@pytest.mark.parametrize("character", ["a", "ü", "😀"])
def test_a_person_is_sent_a_text_of_exactly_the_limit_and_no_byte_more(
    screen: Screen, place: Town, character: str
) -> None:
    alice, bob = talk_to_bob(screen, place)
    longest = character * (text_limit("bob") // len(character.encode()))
    type_and_send(screen, alice, longest + "b")
    assert written(alice) == longest + "b"
    assert "This text is 1 byte too long. It stays here" in told(alice)
    press(main_page(alice).chat.entry, "<BackSpace>")
    screen.pump(lambda: "0 bytes left" in told(alice) and can_send(alice))
    press(main_page(alice).chat.entry, "<Return>")
    screen.pump(lambda: sent(alice, "bob") == [longest])
    assert written(alice) == ""
    assert not [word for word in ("too long", "bytes left") if word in told(alice)]
    if character == "a":
        bob.wait_for(TextReceived, lambda event: event.text == longest, 60)


def test_a_group_is_sent_a_text_of_exactly_its_limit_and_no_byte_more(screen: Screen, place: Town) -> None:
    alice, bob, key = group_with_bob(screen, place)
    limit = text_limit(key)
    assert limit < text_limit("bob")
    type_and_send(screen, alice, "a" * text_limit("bob"))
    assert written(alice) == "a" * text_limit("bob")
    assert f"This text is {text_limit('bob') - limit} bytes too long." in told(alice)
    type_and_send(screen, alice, "ü" * (limit // 2) + "b")
    assert "This text is 1 byte too long." in told(alice)
    type_and_send(screen, alice, "ü" * (limit // 2))
    screen.pump(lambda: sent(alice, key) == ["ü" * (limit // 2)])
    assert written(alice) == ""
    screen.pump(lambda: any(row.text == "ü" * (limit // 2) for row in rows(bob, key)), 90)


def test_a_text_that_fits_a_person_is_measured_again_where_it_is_not_a_persons(
    screen: Screen, place: Town
) -> None:
    alice, _, key = group_with_bob(screen, place)
    alice.model.talk("bob").draft = "a" * text_limit("bob")
    main_page(alice).open("bob")
    assert "0 bytes left" in told(alice)
    alice.model.talk(key).draft = "a" * text_limit("bob")
    main_page(alice).open(key)
    assert "too long" in told(alice)


def test_nothing_but_white_space_is_not_sent_and_stays(screen: Screen, place: Town) -> None:
    alice, bob = talk_to_bob(screen, place)
    blank = " \n\t\u00a0 "
    type_and_send(screen, alice, blank)
    assert written(alice) == blank
    type_and_send(screen, alice, f"{blank}word{blank}")
    bob.wait_for(TextReceived, lambda event: event.text == f"{blank}word{blank}")
    screen.pump(lambda: sent(alice, "bob") == [f"{blank}word{blank}"])


def test_how_much_too_long_is_said_in_german(screen: Screen, place: Town) -> None:
    alice, _ = talk_to_bob(screen, place)
    text = "a" * (text_limit("bob") + 2)
    write(main_page(alice).chat.entry, text)
    alice.state.change("language", "de")
    assert written(alice) == text
    assert "Dieser Text ist 2 Byte zu lang. Er bleibt hier stehen" in told(alice)


def test_a_text_that_is_refused_on_its_way_comes_back_before_what_was_begun_since(
    screen: Screen, place: Town
) -> None:
    alice, _, key = group_with_bob(screen, place)
    main_page(alice)._actions.leave_group(key)  # the window learns of it after the text has left the field
    type_and_send(screen, alice, "too late")
    write(main_page(alice).chat.entry, "what next?")
    screen.pump(lambda: written(alice) == "too late\nwhat next?")
    assert "Join this group first." in words(main_page(alice).status)
    assert sent(alice, key) == []


def test_a_text_that_is_refused_while_the_window_is_locked_is_there_afterwards(
    screen: Screen, place: Town
) -> None:
    alice, _, key = group_with_bob(screen, place)
    main_page(alice)._actions.leave_group(key)
    write(main_page(alice).chat.entry, "too late")
    press(main_page(alice).chat.entry, "<Return>")
    alice.lock()
    screen.pump(lambda: alice.model.talk(key).draft == "too late")


def test_a_groups_name_that_is_too_long_or_missing_stays_to_be_mended(screen: Screen, place: Town) -> None:
    alice = enter(screen, place, "alice")
    place.register("bob")
    screen.pump(lambda: "bob" in alice.model.people)
    main_page(alice).new_group()
    page = main_page(alice).page
    assert isinstance(page, NewGroupPage)
    page.toggle("bob")
    for name in ("", "   ", "ü" * (NAME_MAX + 1)):
        write(page.name_entry, name)
        page.create_button.invoke()
        assert main_page(alice).page is page
        assert f"a name of at most {NAME_MAX} characters" in words(page)
        assert page.name_entry.get() == name
    write(page.name_entry, "ü" * NAME_MAX)
    page.create_button.invoke()
    screen.pump(lambda: "ü" * NAME_MAX in [talk.group_name for talk in alice.model.talks.values()])


def test_a_group_that_this_server_cannot_carry_is_refused_while_its_name_is_there(
    screen: Screen, place: Town
) -> None:
    alice = enter(screen, place, "alice")
    alice.model.people, alice.model.slots = ("alice", "bob", "carol"), 1
    main_page(alice).new_group()
    page = main_page(alice).page
    assert isinstance(page, NewGroupPage)
    write(page.name_entry, "Chess")
    page.toggle("bob")
    page.toggle("carol")
    page.create_button.invoke()
    assert main_page(alice).page is page
    assert "a group needs two" in words(page)
    assert page.name_entry.get() == "Chess"


def test_a_whole_text_pasted_into_the_search_is_too_much_and_stays(screen: Screen, place: Town) -> None:
    alice = enter(screen, place, "alice")
    side = main_page(alice).side
    write(side.search, "word " * SEARCHED_MAX)
    screen.root.update()
    assert "At most" not in words(main_page(alice).status)
    write(side.search, "word " * 5_000)
    screen.pump(lambda: f"At most {SEARCHED_MAX} words" in words(main_page(alice).status))
    assert side.search.get() == "word " * 5_000
    assert main_page(alice).banners.shown == []


def test_a_name_or_password_that_cannot_be_stays_in_the_form_and_what_is_missing_is_said_in_german(
    screen: Screen, place: Town
) -> None:
    window = screen.open(place.home("alice"), Start(str(place.link)))
    window.state.change("language", "de")
    page = login_page(window)
    page.kinds["Register"].invoke()
    write(page.name_entry, "a" * 33)
    write(page.password_entry, "x" * (PASSWORD_MIN - 1))
    assert f"mindestens {PASSWORD_MIN} Zeichen" in words(page)
    write(page.password_entry, "correct horse battery staple " * 100)
    page.submit()
    screen.pump(lambda: "1 bis 32 Zeichen" in words(page))
    assert page.name_entry.get() == "a" * 33
    assert page.password_entry.get() == "correct horse battery staple " * 100


def test_what_is_written_in_the_form_outlives_a_look_at_the_settings(screen: Screen, place: Town) -> None:
    window = screen.open(place.home("alice"), Start(str(place.link)))
    write(login_page(window).name_entry, "alice")
    press(login_page(window).name_entry, "<Control-comma>")
    assert window.login_page is None
    window.uncover()
    assert (login_page(window).link_entry.get(), login_page(window).name_entry.get()) == (
        str(place.link),
        "alice",
    )
