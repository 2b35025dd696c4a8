"""Two people and more in real windows on a real (or virtual) screen, against a real service."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

import os
import shutil
import subprocess
import sys
from pathlib import Path

from iirs.client.events import (
    PeerAsks,
    PeerState,
    TextReceived,
)
from iirs.client.model.chat_model import ESTABLISHED
from iirs.client.store.log_entry import TextState, TransferState
from iirs.client.window.pages.group_page import NewGroupPage
from tests.harness import PASSWORD, PATIENT_SECONDS, Town, wait_until
from tests.offline_page import button
from tests.pictures import png
from tests.screen import (
    Screen,
    ask,
    can_send,
    enter,
    main_page,
    press,
    rows,
    say,
    words,
    write,
)

pytestmark = [pytest.mark.window, pytest.mark.slow]
pytest_plugins = ["tests.window_fixtures"]


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


def test_nothing_can_be_sent_until_connected_and_the_window_says_why(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    alice = enter(screen, place, "alice")
    ask(screen, alice, "bob")
    chat = main_page(alice).chat
    screen.pump(lambda: "Waiting until bob asks you to talk, too." in words(chat))
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
    screen.pump(lambda: "bob wants to talk to you" in words(main_page(alice).new_talk_page))
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
    main_page(alice).side.new_button.invoke()
    bob.connection.send("alice", "are you there?")
    screen.pump(lambda: alice.window.title() == "(1) alice · iirs")
    press(main_page(alice).side.people.canvas, "<Return>")
    screen.pump(lambda: alice.window.title() == "alice · iirs")
    assert "are you there?" in words(main_page(alice).chat.log)


def test_refusals_are_shown_where_a_name_is_typed(screen: Screen, place: Town) -> None:
    window = enter(screen, place, "alice")
    new_talk_page = main_page(window).new_talk_page
    for name, sentence in (("alice", "your own name"), ("nobody", "Nobody with that name")):
        write(new_talk_page.entry, name)
        press(new_talk_page.entry, "<Return>")
        assert sentence in words(new_talk_page)


def test_keys_alone_are_enough(screen: Screen, place: Town) -> None:
    place.register("bob")
    window = enter(screen, place, "alice")
    screen.pump(lambda: "bob" in window.model.people)
    page = main_page(window)
    press(page.new_talk_page.entry, "<Control-k>")
    screen.pump(lambda: window.window.focus_get() is page.side.search)
    press(page.side.search, "<Down>")
    press(page.side.people.canvas, "<Return>")
    screen.pump(
        lambda: window.window.focus_get() is page.chat.entry and bool(page.chat.entry.winfo_viewable())
    )
    write(page.chat.entry, "a draft")
    press(page.chat.entry, "<Control-k>")
    screen.pump(lambda: window.window.focus_get() is page.side.search)
    assert page.chat.entry.get("1.0", "end-1c") == "a draft"
    press(page.chat.entry, "<Control-n>")
    screen.pump(lambda: window.model.open_peer == "")
    press(page.new_talk_page.entry, "<Control-q>")
    screen.pump(lambda: not window.is_open)


def test_closing_hangs_up_first_and_a_second_close_does_not_wait(screen: Screen, place: Town) -> None:
    bob = place.person("bob")
    for properly in (True, False):
        name = "alice" if properly else "carol"
        window = enter(screen, place, name)
        ask(screen, window, "bob")
        bob.wait_for(PeerAsks, lambda event, n=name: event.peer == n)  # type: ignore[misc]
        bob.connection.ask(name)
        screen.pump(lambda w=window: can_send(w))  # type: ignore[misc]
        if not properly:
            place.service._scheduler.pause()  # whoever waits for rounds now waits for ever
        window.close()
        assert window.navigator.shown is not None
        assert "Logging out" in words(window.navigator.shown)
        assert window.is_open
        if properly:
            screen.pump(lambda w=window: not w.is_open)  # type: ignore[misc]
            bob.wait_state(name, PeerState.ASKING)  # she will be back; until then he waits for her
        else:
            window.close()
            screen.pump(lambda w=window: not w.is_open)  # type: ignore[misc]


def test_a_picture_is_sent_with_a_word_beforehand_and_is_shown_at_the_other_end(
    screen: Screen, place: Town, tmp_path: Path
) -> None:
    alice, bob = enter(screen, place, "alice"), enter(screen, place, "bob")
    ask(screen, alice, "bob")
    screen.pump(lambda: "alice" in bob.model.asking)
    button(main_page(bob).new_talk_page, "Accept").invoke()
    screen.pump(lambda: can_send(alice) and can_send(bob))
    (tmp_path / "holiday.png").write_bytes(png("red"))
    composer = main_page(alice).chat.composer
    composer.offer_file(tmp_path / "holiday.png")
    assert "holiday.png" in words(composer.strip)
    assert "about" in words(composer.strip)
    composer.strip_send.invoke()
    screen.pump(lambda: any(row.transfer is TransferState.DONE for row in rows(bob, "alice")))
    for window in (alice, bob):
        log = main_page(window).chat.log
        screen.pump(lambda log=log: any(map(log.pictures.of, log._layout.rows)))  # type: ignore[misc]
    bob_row = next(row for row in rows(bob, "alice") if row.file is not None)
    assert bob_row.file is not None
    target = tmp_path / "kept.png"
    assert bob.session is not None
    bob.session.background.save(bob_row.file.file_id, target)
    screen.pump(target.exists)
    assert target.read_bytes() == png("red")
    pictures = bob.session.background.pictures
    for _ in range(2):
        bob.close()
    screen.pump(lambda: not bob.is_open)
    assert pictures._over, "nobody looks at pictures any more"


def test_a_group_of_three_is_founded_joined_and_talked_in_by_keys_and_clicks(
    screen: Screen, place: Town
) -> None:
    windows = {name: enter(screen, place, name) for name in ("alice", "bob", "carol")}
    screen.pump(lambda: all(len(window.model.people) == 3 for window in windows.values()))
    page = main_page(windows["alice"])
    page.side.group_button.invoke()
    group = page.page
    assert isinstance(group, NewGroupPage)
    write(group.name_entry, "Chess")
    for name in ("bob", "carol"):
        write(group.filter_entry, name)
        screen.pump(lambda: group.filter_entry.focus_get() is group.filter_entry)
        press(group.filter_entry, "<Return>")
    assert group.chosen == ("bob", "carol")
    assert "2 of your 2 conversations" in words(group)
    group.create_button.invoke()

    def accept() -> bool:
        for window in windows.values():
            for peer in window.model.asking:
                talk = window.model.talks[peer]
                main_page(window).open(peer)
                main_page(window).chat.ask_button.invoke()
                assert talk.peer == peer
        talks = [talk for window in windows.values() for talk in window.model.talks.values()]
        groups = [talk for talk in talks if talk.is_group]
        return len(groups) == 3 and all(len(talk.joined) == 3 for talk in groups)

    screen.pump(accept, 60)
    key = next(talk.peer for talk in windows["bob"].model.talks.values() if talk.is_group)
    for window in windows.values():
        main_page(window).open(key)
    bob = main_page(windows["bob"]).chat
    screen.pump(lambda: bob.send_button.instate(["!disabled"]))
    write(bob.entry, "e2 e4")
    bob.send_button.invoke()
    for name in ("alice", "carol"):
        window = windows[name]
        screen.pump(lambda w=window: "e2 e4" in words(main_page(w).chat.log))  # type: ignore[misc]
        assert "bob" in words(main_page(window).chat.log)
    screen.pump(
        lambda: any(row.state is TextState.DELIVERED for row in windows["bob"].model.talk(key).rows), 30
    )


def test_words_are_found_in_all_talks_and_the_one_chosen_is_shown(screen: Screen, place: Town) -> None:
    alice, bob = enter(screen, place, "alice"), place.person("bob")
    ask(screen, alice, "bob")
    bob.wait_for(PeerAsks)
    bob.connection.ask("alice")
    screen.pump(lambda: can_send(alice))
    for text in ("the first thing", "something else", "the last thing"):
        say(alice, text)
    screen.pump(lambda: len([row for row in rows(alice, "bob") if row.text_id]) == 3)
    press(main_page(alice).chat.entry, "<Control-f>")
    finder = main_page(alice).chat.finder
    screen.pump(lambda: bool(finder.winfo_viewable()))
    write(finder.entry, "THING first")
    press(finder.entry, "<KeyRelease-t>")
    screen.pump(lambda: "1 found" in words(finder))
    press(finder.entry, "<Return>")
    chosen = main_page(alice).chat.log.chosen
    assert chosen is not None
    assert chosen.text == "the first thing"
    press(finder.entry, "<Escape>")
    assert not finder.winfo_manager()
    write(main_page(alice).side.search, "else")
    screen.pump(lambda: "1 found" in words(main_page(alice).found))


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
        xdotool("search", "--sync", "--name", "alice.*iirs", "windowfocus", "--sync")
        xdotool("type", "--delay", "20", "typed by hand")
        # Her window may learn after bob that the two are in sync: until then Return leaves the text there.
        wait_until(lambda: "typed by hand" in bob.texts() or xdotool("key", "Return"))
        xdotool("key", "ctrl+q")
        assert process.communicate(timeout=PATIENT_SECONDS)[1] == ""
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


def xdotool(*words: str) -> None:
    """Act with keyboard and mouse as the system knows them."""
    subprocess.run(["xdotool", *words], check=True, timeout=PATIENT_SECONDS)
