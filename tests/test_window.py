"""Real windows on a real (or virtual) screen against a real service, used as a person would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

tk = pytest.importorskip("tkinter") if not os.environ.get("IIRS_REQUIRE_WINDOW") else __import__("tkinter")
from tkinter import ttk  # noqa: E402  # after the check for tkinter

from iirs.chain import JoinLink  # noqa: E402
from iirs.client.account.entry_calls import Home  # noqa: E402
from iirs.client.account_tasks import Credentials  # noqa: E402
from iirs.client.events import ConnectionState, PeerAsks, PeerState, TextReceived  # noqa: E402
from iirs.client.model.chat_model import ESTABLISHED, Row, Talk  # noqa: E402
from iirs.client.store.log_entry import TextState  # noqa: E402
from iirs.client.window.application import FaultDialog  # noqa: E402
from iirs.client.window.navigation import Start  # noqa: E402
from iirs.client.window.talk.log_view import LogView  # noqa: E402
from iirs.server.accounts.database import Storage  # noqa: E402
from iirs.server.deaddrop import DeadDropManager, DeaddropMessage  # noqa: E402
from iirs.server.keystore import ChainOptions, make_keys  # noqa: E402
from iirs.server.service import Service  # noqa: E402
from iirs.server.settings import ServiceSettings  # noqa: E402
from tests.harness import CHEAP, FAST_BACKOFF, PASSWORD, Town, town, wait_until  # noqa: E402
from tests.screen import (  # noqa: E402
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
    the_screen,
    words,
    write,
)
from tests.standby import Pause  # noqa: E402

pytestmark = [pytest.mark.window, pytest.mark.slow]

root_screen = pytest.fixture(scope="session")(the_screen)


@pytest.fixture
def screen(root_screen: Screen) -> Iterator[Screen]:
    yield root_screen
    root_screen.close_all()
    faults, root_screen.faults = root_screen.faults, []
    assert not faults


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path) as place:
        yield place


def test_two_windows_come_into_sync_and_chat(screen: Screen, place: Town) -> None:
    alice, bob = enter(screen, place, "alice"), enter(screen, place, "bob")
    ask(screen, alice, "bob")
    ask(screen, bob, "alice")
    assert not can_send(alice)
    screen.pump(lambda: can_send(alice) and can_send(bob))
    for window, peer in ((alice, "bob"), (bob, "alice")):
        assert ESTABLISHED in [row.text for row in rows(window, peer)]
        screen.pump(lambda w=window: ESTABLISHED in words(main_page(w).chat.log))  # type: ignore[misc]
    say(alice, "hello bob")
    say(bob, "hello alice")
    screen.pump(lambda: [r.state for r in rows(alice, "bob") if r.outgoing] == [TextState.DELIVERED])
    screen.pump(lambda: "hello alice" in words(main_page(alice).chat.log))
    screen.pump(lambda: "hello bob" in words(main_page(bob).chat.log))
    screen.pump(lambda: "delivered" in words(main_page(alice).chat.log))
    assert main_page(alice).chat.entry.get("1.0", "end-1c") == ""


def test_a_wrong_password_is_said_clearly_and_can_be_tried_again(screen: Screen, place: Town) -> None:
    place.register("alice")
    window = screen.open(place.home("alice"), Start(str(place.link), options=FAST_BACKOFF))
    fill_in(window, "Log in", "alice", "not the password")
    assert "stretching your password" in words(login_page(window))
    screen.pump(lambda: "The password is wrong." in words(login_page(window)))
    fill_in(window, "Log in", "alice", PASSWORD)
    screen.pump(lambda: window.model.connection is ConnectionState.ONLINE)


@pytest.mark.parametrize(
    ("link", "name", "password", "sentence"),
    [
        ("", "alice", PASSWORD, "Please fill in the server link."),
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


def test_nothing_can_be_sent_until_connected_and_the_window_says_why(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    alice = enter(screen, place, "alice")
    ask(screen, alice, "bob")
    chat = main_page(alice).chat
    screen.pump(lambda: "Waiting until bob asks for you, too." in words(chat))
    say(alice, "too early")
    assert chat.entry.get("1.0", "end-1c") == "too early"
    assert not can_send(alice)
    bob.wait_for(PeerAsks)
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(alice))
    press(chat.entry, "<Return>")
    bob.wait_for(TextReceived, lambda event: event.text == "too early")
    screen.pump(lambda: chat.entry.get("1.0", "end-1c") == "")


def test_shift_enter_begins_a_new_line_and_the_button_sends(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    alice = enter(screen, place, "alice")
    ask(screen, alice, "bob")
    bob.wait_for(PeerAsks)
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(alice))
    chat = main_page(alice).chat
    write(chat.entry, "one")
    press(chat.entry, "<Shift-Return>")
    write(chat.entry, "two")
    screen.pump(lambda: int(str(chat.entry.cget("height"))) == 2)
    chat.send_button.invoke()
    bob.wait_for(TextReceived, lambda event: event.text == "one\ntwo")


def test_a_request_is_shown_and_accepted_with_one_click(screen: Screen, place: Town) -> None:
    alice = enter(screen, place, "alice")
    bob = place.person("bob")
    screen.pump(lambda: "bob" in alice.model.people)
    bob.connection.ask("alice")
    screen.pump(lambda: "bob wants to talk to you" in words(main_page(alice).welcome))
    main_page(alice).open("bob")
    assert "Accept to begin" in words(main_page(alice).chat)
    main_page(alice).chat.ask_button.invoke()
    bob.wait_established("alice")
    screen.pump(lambda: can_send(alice) and not alice.model.asking)


def test_a_request_during_another_conversation_comes_as_a_banner(screen: Screen, place: Town) -> None:
    alice = enter(screen, place, "alice")
    bob, carol = place.person("bob"), place.person("carol")
    screen.pump(lambda: {"bob", "carol"} <= set(alice.model.people))
    ask(screen, alice, "carol")
    bob.connection.ask("alice")
    page = main_page(alice)
    screen.pump(lambda: "bob wants to talk to you." in words(page.banners))
    main_page(alice).ask("bob")
    bob.wait_established("alice")
    assert carol.connection.join(0) is False
    screen.pump(lambda: "bob wants" not in words(page.banners))


def test_hostile_texts_are_shown_safely_and_do_not_freeze_the_window(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    alice = enter(screen, place, "alice")
    ask(screen, alice, "bob")
    bob.wait_for(PeerAsks)
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(alice))
    hostile = [
        "pay \u202e001\u2066 now",
        "bell \a escape \x1b[2J null \0",
        "a" + "\u0301" * 500,
        "\ud800 alone",
        "%s {} [exec ls] $tk \\",
        "x" * 20_000,
        "\n" * 5_000 + "below",
        "wide " * 3_000,
    ]
    for text in hostile:
        bob.connection.send("alice", text)
    heard = lambda: [row for row in rows(alice, "bob") if not row.outgoing and row.text_id]  # noqa: E731
    screen.pump(lambda: len(heard()) == len(hostile), seconds=300)
    assert not screen.faults
    shown = "".join(row.shown for row in rows(alice, "bob"))
    assert not set(shown) & set("\u202e\u2066\a\x1b\0\ud800")
    assert shown.count("\u0301") <= 4
    assert max(len(row.shown) for row in rows(alice, "bob")) < 9_000
    log = main_page(alice).chat.log
    for keys in ("<Home>", "<Next>", "<Next>", "<Up>", "<Control-c>", "<End>"):
        press(log.canvas, keys)
        screen.root.update()
    assert len(log.canvas.find_all()) < 400


def test_ending_a_conversation_and_going_on_to_another_person(screen: Screen, place: Town) -> None:
    bob, carol = place.person("bob"), place.person("carol")
    alice = enter(screen, place, "alice")
    for person in (bob, carol):
        ask(screen, alice, person.name) if person is bob else main_page(alice).ask(person.name)
        person.wait_for(PeerAsks)
        person.connection.ask("alice")
        screen.pump(lambda: can_send(alice))
        if person is bob:
            main_page(alice).chat.end_button.invoke()
            screen.pump(lambda: "Ending." in words(main_page(alice).chat))
            bob.wait_state("alice", PeerState.ENDED)
            screen.pump(lambda: "You ended the conversation" in words(main_page(alice).chat))
            assert not can_send(alice)
    carol.connection.send("alice", "hi")
    screen.pump(lambda: "hi" in [row.text for row in rows(alice, "carol")])
    carol.connection.hang_up("alice")
    screen.pump(lambda: "carol ended the conversation" in words(main_page(alice).chat))
    assert not can_send(alice)


def test_unread_texts_are_counted_in_the_list_and_the_title(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    alice = enter(screen, place, "alice")
    ask(screen, alice, "bob")
    bob.wait_for(PeerAsks)
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(alice))
    main_page(alice).new_button.invoke()
    bob.connection.send("alice", "are you there?")
    screen.pump(lambda: alice.window.title() == "(1) alice · iirs")
    press(main_page(alice).people.canvas, "<Return>")
    screen.pump(lambda: alice.window.title() == "alice · iirs")
    assert "are you there?" in words(main_page(alice).chat.log)


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
    write(main_page(again).search, "bo")
    press(main_page(again).search, "<Return>")
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
    screen.pump(lambda: there.main_page is not None and here.login_page is not None)
    assert login_page(here).message.cget("text")
    assert here.connection is None
    fill_in(here, "Log in", "alice", PASSWORD)
    screen.pump(lambda: here.main_page is not None)


def test_a_lost_server_is_said_and_the_window_comes_back_by_itself(screen: Screen, tmp_path: Path) -> None:
    keys = make_keys(ChainOptions(slots=1, round_seconds=0.25, invite_every=3))
    database = f"sqlite:///{tmp_path / 'server.db'}"
    service = Service(keys, Storage(database), ServiceSettings())
    port = service.start("127.0.0.1", 0)
    start = Start(str(JoinLink("127.0.0.1", port, keys.chain.chain_id)), options=FAST_BACKOFF)
    window = screen.open(Home(tmp_path / "alice", CHEAP), start)
    fill_in(window, "Register", "alice", PASSWORD)
    screen.pump(lambda: window.model.round is not None)
    service.stop()
    screen.pump(lambda: "No connection, trying again." in words(main_page(window).status))
    service = Service(keys, Storage(database), ServiceSettings())
    service.start("127.0.0.1", port)
    try:
        screen.pump(lambda: "Connected to the server" in words(main_page(window).status))
        screen.pump(lambda: "round closes in" in words(main_page(window).status))
        screen.close_all()
    finally:
        service.stop()


def test_a_tampered_round_is_said_and_many_of_them_are_explained(
    screen: Screen, place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, to_spoil = DeadDropManager.handle_messages, [0]

    def spoil(manager: DeadDropManager, messages: Sequence[DeaddropMessage]) -> list[bytes]:
        replies = honest(manager, messages)
        if to_spoil[0] and replies:
            to_spoil[0] -= 1
            replies[0] = os.urandom(len(replies[0]))
        return replies

    monkeypatch.setattr(DeadDropManager, "handle_messages", spoil)
    window = enter(screen, place, "alice")
    line = main_page(window).status.health

    def says(pattern: str) -> bool:
        return re.fullmatch(pattern, words(line).strip()) is not None

    screen.pump(lambda: says(r"0 of the last \d+ rounds were tampered with or lost"))
    calm = str(line.text.cget("foreground"))
    to_spoil[0] = 1
    screen.pump(lambda: says(r"1 of the last \d+ rounds was tampered with or lost"))
    assert str(line.text.cget("foreground")) != calm
    to_spoil[0] = 2
    somebody = "Somebody between you and your peers drops or changes messages"
    repeated = "Texts are repeated until they arrive"
    screen.pump(
        lambda: says(rf"3 of the last \d+ rounds were tampered with or lost\. {somebody}\. {repeated}\.")
    )


def test_a_pause_of_the_rounds_is_said_while_it_lasts(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with town(tmp_path, paced=False) as place:
        pause = Pause(place.service, monkeypatch)
        window = enter(screen, place, "alice")
        page = main_page(window)
        screen.pump(lambda: bool(place.service.channels()))
        place.service.run_round()
        screen.pump(lambda: place.service.mix_net.collected == 1)
        pause.begin()
        sentence = "A server of the chain is not answering. Rounds pause until it is back; nothing is lost."
        screen.pump(lambda: sentence in words(page.banners))
        assert "rounds pause" in words(page.status)
        assert "Connected to the server" in words(page.status)
        pause.tick()
        screen.pump(lambda: window.connection is not None and window.connection.events.empty())
        assert words(page.banners).count(sentence) == 1
        pause.end()
        screen.pump(lambda: "Rounds go on." in words(page.status))
        assert sentence not in words(page.banners)
        screen.pump(lambda: "round closes in" in words(page.status))
        screen.close_all()


def test_closing_hangs_up_first_and_a_second_close_does_not_wait(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    for properly in (True, False):
        name = "alice" if properly else "carol"
        window = enter(screen, place, name)
        ask(screen, window, "bob")
        bob.wait_for(PeerAsks, lambda event, n=name: event.peer == n)  # type: ignore[misc]
        bob.connection.ask(name)
        screen.pump(lambda w=window: can_send(w))  # type: ignore[misc]
        window.close()
        assert window.farewell is not None
        assert "Leaving" in words(window.farewell)
        assert window.is_open
        if properly:
            screen.pump(lambda w=window: not w.is_open)  # type: ignore[misc]
            bob.wait_state(name, PeerState.ASKING)  # she will be back; until then he waits for her
        else:
            window.close()
            screen.pump(lambda w=window: not w.is_open, 3)  # type: ignore[misc]


def test_logging_out_leads_back_to_the_form(screen: Screen, place: Town) -> None:
    window = enter(screen, place, "alice")
    main_page(window).log_out_button.invoke()
    screen.pump(lambda: window.login_page is not None)
    assert "logged out" in words(login_page(window))
    write(login_page(window).password_entry, PASSWORD)
    press(login_page(window).password_entry, "<Return>")
    screen.pump(lambda: window.model.connection is ConnectionState.ONLINE)


def test_given_credentials_register_or_log_in_and_ask_at_once(screen: Screen, place: Town) -> None:
    place.register("alice")
    credentials = Credentials(str(place.link), "alice", PASSWORD, new=True, or_log_in=True)
    start = Start(str(place.link), "alice", credentials, "bob", "hello bob", FAST_BACKOFF)
    window = screen.open(place.home("alice"), start)
    screen.pump(lambda: window.main_page is not None)
    bob = place.person("bob")  # the window waits until the server knows him
    screen.pump(lambda: window.model.open_peer == "bob")
    wait_until(lambda: bool(bob.wait_for(PeerAsks)))
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(window))
    bob.wait_for(TextReceived, lambda event: event.text == "hello bob")


def test_refusals_are_shown_where_a_name_is_typed(screen: Screen, place: Town) -> None:
    window = enter(screen, place, "alice")
    welcome = main_page(window).welcome
    for name, sentence in (("alice", "your own name"), ("nobody", "Nobody with that name")):
        write(welcome.entry, name)
        press(welcome.entry, "<Return>")
        assert sentence in words(welcome)


def test_keys_alone_are_enough(screen: Screen, place: Town) -> None:
    place.register("bob")
    window = enter(screen, place, "alice")
    screen.pump(lambda: "bob" in window.model.people)
    page = main_page(window)
    press(page.welcome.entry, "<Control-k>")
    screen.pump(lambda: window.window.focus_get() is page.search)
    press(page.search, "<Down>")
    press(page.people.canvas, "<Return>")
    screen.pump(
        lambda: window.window.focus_get() is page.chat.entry and bool(page.chat.entry.winfo_viewable())
    )
    write(page.chat.entry, "a draft")
    press(page.chat.entry, "<Control-k>")
    screen.pump(lambda: window.window.focus_get() is page.search)
    assert page.chat.entry.get("1.0", "end-1c") == "a draft"
    press(page.chat.entry, "<Control-n>")
    screen.pump(lambda: window.model.open_peer == "")
    press(page.welcome.entry, "<Control-q>")
    screen.pump(lambda: not window.is_open)


def log_of(screen: Screen, texts: int) -> tuple[LogView, Talk]:
    top = tk.Toplevel(screen.root)
    top.geometry("600x400")
    log, talk = LogView(top, screen.look), Talk("bob")
    log.pack(fill="both", expand=True)
    for number in range(texts):
        talk.add(Row(f"text {number} " + "and so on " * (number % 20), number * 60_000, b"%d" % number))
    log.show(talk)
    screen.pump(lambda: f"text {texts - 1} " in words(log))
    return log, talk


def test_a_log_keeps_its_place_while_new_texts_come_and_says_how_many(screen: Screen) -> None:
    log, talk = log_of(screen, 200)
    screen.pump(lambda: log._layout.first == 0)  # the oldest are laid out last
    press(log.canvas, "<Home>")
    screen.pump(lambda: "text 0 " in words(log))
    before = log.shown_texts
    for number in range(3):
        talk.add(Row("late", 0, b"late %d" % number))
        log.refresh()
    assert log.shown_texts == before
    assert "3 new" in words(log)
    press(log.canvas, "<End>")
    assert "late" in words(log)
    talk.add(Row("the very last", 0, b"last"))
    log.refresh()
    assert "the very last" in words(log)
    log.winfo_toplevel().destroy()


def test_a_text_is_chosen_and_copied_with_keys_alone(screen: Screen) -> None:
    log, _ = log_of(screen, 30)
    for keys in ("<Up>", "<Up>", "<Control-c>"):
        press(log.canvas, keys)
    assert log.clipboard_get().startswith("text 28 ")
    log.winfo_toplevel().destroy()


def test_a_long_history_takes_few_steps_and_has_few_items(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[object] = []
    draw = tk.Canvas._create  # type: ignore[attr-defined]
    monkeypatch.setattr(tk.Canvas, "_create", lambda *args: drawn.append(args) or draw(*args))
    log, talk = log_of(screen, 5_000)
    before = len(drawn)
    assert before < 2_000
    talk.add(Row("one more", 0, b"more"))
    log.refresh()
    assert "one more" in words(log)
    assert len(drawn) - before < 300
    assert len(log.canvas.find_all()) < 300
    log.winfo_toplevel().destroy()


def test_a_fault_in_the_program_is_told_without_what_anybody_wrote(screen: Screen) -> None:
    dialog = FaultDialog(screen.root, screen.look)
    written = "what bob " + "wrote"
    try:
        raise ValueError(written)
    except ValueError as error:
        dialog.show(ValueError, error, error.__traceback__)
    shown = next(child for child in screen.root.winfo_children() if "Something went wrong" in words(child))
    buttons = [child for child in shown.winfo_children()[0].winfo_children() if isinstance(child, ttk.Button)]
    buttons[0].invoke()
    assert "ValueError" in screen.root.clipboard_get()
    assert written not in screen.root.clipboard_get()
    buttons[1].invoke()


@pytest.mark.skipif(
    # A person may lack the program that types; where windows are required, its absence is an error.
    shutil.which("xdotool") is None and not os.environ.get("IIRS_REQUIRE_WINDOW"),
    reason="needs xdotool",
)
def test_the_program_itself_with_a_real_keyboard(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    program = (
        "import sys; from pathlib import Path; from iirs.client.gui import run_window;"
        "from iirs.client.account.entry_calls import Home;"
        "from iirs.client.account.password_keys import StretchCost;"
        "sys.exit(run_window(Home(Path(sys.argv[1]), StretchCost(64, 1, 1)), sys.argv[2],"
        " username='alice', password=sys.argv[3], peer='bob'))"
    )
    arguments = [sys.executable, "-c", program, str(place.folder / "alice"), str(place.link), PASSWORD]
    process = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    try:
        bob.wait_for(PeerAsks)
        bob.connection.ask("alice")
        bob.wait_established("alice")
        found = ["xdotool", "search", "--sync", "--name", "alice.*iirs"]
        subprocess.run([*found, "windowfocus", "--sync"], check=True, timeout=120)
        subprocess.run(["xdotool", "type", "--delay", "20", "typed by hand"], check=True, timeout=120)
        subprocess.run(["xdotool", "key", "Return"], check=True, timeout=120)
        bob.wait_for(TextReceived, lambda event: event.text == "typed by hand")
        subprocess.run(["xdotool", "key", "ctrl+q"], check=True, timeout=120)
        assert process.communicate(timeout=120)[1] == ""
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
