"""The way into a window and out of it: the form, what it remembers, other machines, damaged files."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

from dataclasses import replace
from pathlib import Path

from iirs.client import gui
from iirs.client.account.entry_calls import Home, login
from iirs.client.events import ConnectionState, PeerAsks, TextReceived
from iirs.client.main import main
from iirs.client.store.log_entry import TextState
from iirs.client.window.start import Start
from iirs.errors import AccountError
from tests.harness import CHEAP, FAST_BACKOFF, PASSWORD, Town, wait_until
from tests.offline_page import button
from tests.screen import (
    Screen,
    ask,
    can_send,
    enter,
    fill_in,
    login_page,
    main_page,
    press,
    rows,
    say,
    words,
    write,
)

pytestmark = [pytest.mark.window, pytest.mark.slow]
pytest_plugins = ["tests.window_fixtures"]


def test_a_wrong_password_is_said_clearly_and_can_be_tried_again(screen: Screen, place: Town) -> None:
    place.register("alice")
    window = screen.open(place.home("alice"), Start(str(place.link), options=FAST_BACKOFF))
    fill_in(window, "Log in", "alice", "not the password")
    assert "Asking the server" in words(login_page(window))
    screen.pump(lambda: "The password is wrong." in words(login_page(window)))
    fill_in(window, "Log in", "alice", PASSWORD)
    screen.pump(lambda: window.model.connection is ConnectionState.ONLINE)


@pytest.mark.parametrize(
    ("link", "name", "password", "sentence"),
    [
        ("", "alice", PASSWORD, "Please fill in the join link."),
        ("no link at all", "alice", PASSWORD, "That is not a join link."),
        ("127.0.0.1:1", "alice", PASSWORD, "No server answers"),
        ("127.0.0.1:1", "alice", "short", "at least 10 characters"),
        ("127.0.0.1:1", "two words", PASSWORD, "A name has 1 to 32 characters"),
    ],
)
def test_each_way_to_fill_in_the_form_wrongly_gets_a_sentence(
    screen: Screen, tmp_path: Path, link: str, name: str, password: str, sentence: str
) -> None:
    window = screen.open(Home(tmp_path, CHEAP), Start(link))
    fill_in(window, "Register", name, password)
    page = login_page(window)
    screen.pump(lambda: sentence in str(page.message.cget("text")))
    assert page.button.instate(["!disabled"])


def test_a_taken_name_is_refused_and_another_can_be_registered(screen: Screen, place: Town) -> None:
    place.register("alice")
    window = screen.open(place.home("other"), Start(str(place.link), options=FAST_BACKOFF))
    fill_in(window, "Register", "alice", PASSWORD)
    screen.pump(lambda: "That name is taken" in words(login_page(window)))
    fill_in(window, "Register", "carol", PASSWORD)
    screen.pump(lambda: window.model.connection is ConnectionState.ONLINE)


def test_history_server_and_name_are_there_at_the_next_start(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    alice = enter(screen, place, "alice")
    ask(screen, alice, "bob")
    bob.wait_for(PeerAsks)
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(alice))
    say(alice, "remember this")
    bob.wait_for(TextReceived)
    screen.pump(lambda: any(row.state is TextState.DELIVERED for row in rows(alice, "bob")))
    alice.close()
    screen.pump(lambda: not alice.is_open)
    again = screen.open(place.home("alice"), Start(options=FAST_BACKOFF))
    page = login_page(again)
    assert (page.link_entry.get(), page.name_entry.get()) == (str(place.link), "alice")
    write(page.password_entry, PASSWORD)
    press(page.password_entry, "<Return>")
    screen.pump(lambda: again.main_page is not None and "bob" in again.model.people)
    write(main_page(again).side.search, "bo")
    press(main_page(again).side.search, "<Return>")
    screen.pump(lambda: "remember this" in words(main_page(again).chat.log))
    texts = [row for row in rows(again, "bob") if row.text_id]
    assert [(row.text, row.state) for row in texts] == [("remember this", TextState.DELIVERED)]


def test_a_damaged_memory_and_a_damaged_store_are_survived(screen: Screen, place: Town) -> None:
    home = place.home("alice")
    account = place.register("alice")
    (home.folder / "window.json").write_text('{"link": [')
    home.account_file(account.chain, "alice", "store").write_bytes(b"not a database" * 500)
    window = screen.open(home, Start(str(place.link), options=FAST_BACKOFF))
    assert login_page(window).name_entry.get() == ""
    fill_in(window, "Log in", "alice", PASSWORD)
    screen.pump(lambda: window.main_page is not None)
    assert "damaged" in words(main_page(window).banners)
    screen.pump(lambda: window.model.connection is ConnectionState.ONLINE)


def test_a_server_taken_on_trust_is_said_so_even_after_a_failed_try(screen: Screen, place: Town) -> None:
    plain = f"127.0.0.1:{place.port}"
    window = screen.open(place.home("alice"), Start(plain, options=FAST_BACKOFF))
    fill_in(window, "Log in", "alice", PASSWORD)
    screen.pump(lambda: "Nobody with that name" in words(login_page(window)))
    fill_in(window, "Register", "alice", PASSWORD)
    screen.pump(lambda: window.main_page is not None)
    assert str(place.link) in words(main_page(window).banners)
    bob = enter(screen, place, "bob")
    assert "trust" not in words(main_page(bob).banners)


def test_keys_that_stay_here_never_reach_another_machine(screen: Screen, place: Town) -> None:
    window = screen.open(place.home("alice"), Start(str(place.link), options=FAST_BACKOFF))
    login_page(window).keys_check.invoke()
    fill_in(window, "Register", "alice", PASSWORD)
    screen.pump(lambda: window.model.connection is ConnectionState.ONLINE)
    other = screen.open(place.home("elsewhere"), Start(str(place.link), options=FAST_BACKOFF))
    fill_in(other, "Log in", "alice", PASSWORD)
    screen.pump(lambda: "kept on one machine only" in words(login_page(other)))


def test_a_newer_login_elsewhere_is_said_and_one_can_log_in_again(screen: Screen, place: Town) -> None:
    here = enter(screen, place, "alice")
    there = screen.open(place.home("elsewhere"), Start(str(place.link), options=FAST_BACKOFF))
    fill_in(there, "Log in", "alice", PASSWORD)
    said = "This account logged in somewhere else"
    screen.pump(lambda: there.main_page is not None and said in words(main_page(here).banners))
    button(main_page(here).banners, "Log in again").invoke()
    screen.pump(lambda: here.login_page is not None)
    assert here.session is None
    fill_in(here, "Log in", "alice", PASSWORD)
    screen.pump(lambda: here.main_page is not None)


def test_logging_out_leads_back_to_the_form(screen: Screen, place: Town) -> None:
    window = enter(screen, place, "alice")
    main_page(window).side.log_out_button.invoke()
    screen.pump(lambda: window.login_page is not None)
    assert "logged out" in words(login_page(window))
    write(login_page(window).password_entry, PASSWORD)
    press(login_page(window).password_entry, "<Return>")
    screen.pump(lambda: window.model.connection is ConnectionState.ONLINE)


def test_given_credentials_register_or_log_in_and_ask_at_once(screen: Screen, place: Town) -> None:
    place.register("alice")
    start = Start(str(place.link), "alice", PASSWORD, peer="bob", say="hello bob", options=FAST_BACKOFF)
    window = screen.open(place.home("alice"), start)
    screen.pump(lambda: window.main_page is not None)
    bob = place.person("bob")  # the window waits until the server knows him
    screen.pump(lambda: window.model.open_peer == "bob")
    wait_until(lambda: bool(bob.wait_for(PeerAsks)))
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(window))
    bob.wait_for(TextReceived, lambda event: event.text == "hello bob")


def test_what_the_command_line_says_stands_in_the_form(screen: Screen, place: Town) -> None:
    for new, kind in ((True, "Create account"), (False, "Log in"), (None, "Log in")):
        window = screen.open(
            place.home("alice"), Start(str(place.link), "alice", new=new, keys_stay_here=True)
        )
        page = login_page(window)
        assert page.name_entry.get() == "alice"
        assert page.button.cget("text") == kind
        assert page.written.keys_stay_here
        page.keys_check.invoke()
        page.kinds["Register"].invoke()
        window.state.zoom(1)  # makes the page anew
        assert login_page(window) is not page
        assert login_page(window).button.cget("text") == "Create account"
        assert not login_page(window).written.keys_stay_here


def test_who_asks_for_a_new_account_gets_no_old_one_and_the_other_way_round(
    screen: Screen, place: Town
) -> None:
    place.register("alice")
    here = Start(str(place.link), "alice", PASSWORD, options=FAST_BACKOFF)
    window = screen.open(place.home("other"), replace(here, new=True))
    screen.pump(lambda: "That name is taken" in words(login_page(window)))
    window = screen.open(place.home("other"), replace(here, name="bob", new=False))
    screen.pump(lambda: "Nobody with that name" in words(login_page(window)))
    for start in (replace(here, new=False), here, replace(here, name="bob", new=True)):
        entered = screen.open(place.home(start.name), start)
        screen.pump(lambda entered=entered: entered.main_page is not None)  # type: ignore[misc]
        screen.close_all()


def test_keys_that_shall_stay_here_are_not_given_to_the_server(screen: Screen, place: Town) -> None:
    start = Start(str(place.link), "alice", PASSWORD, new=True, keys_stay_here=True, options=FAST_BACKOFF)
    window = screen.open(place.home("alice"), start)
    screen.pump(lambda: window.main_page is not None)
    assert len(list((place.folder / "alice").rglob("*.vault"))) == 1
    with pytest.raises(AccountError, match="do not open here"):
        login(place.link, place.home("another machine"), "alice", PASSWORD)


@pytest.mark.parametrize(
    ("options", "new", "stay"),
    [((), None, False), (("--register", "--keys-stay-here"), True, True), (("--login",), False, False)],
)
def test_the_program_hands_its_options_to_the_window(
    options: tuple[str, ...],
    new: bool | None,
    stay: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[dict[str, object]] = []
    monkeypatch.setattr(gui, "run_window", lambda home, link, **values: seen.append(values) or 0)
    assert main(["host:1", "--username", "alice", "--data-dir", str(tmp_path), *options]) == 0
    assert [(values["username"], values["new"], values["keys_stay_here"]) for values in seen] == [
        ("alice", new, stay)
    ]
