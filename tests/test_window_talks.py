"""The window's talks, driven as a person would: files, groups, safety, search, links, hostile text."""

from __future__ import annotations

import io
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tkinter")

import tkinter as tk
import webbrowser
from tkinter import ttk

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from iirs.client.events import (
    ConnectionChanged,
    ConnectionState,
    ContactChanged,
    GroupChanged,
    GroupState,
    PeerAsks,
    PeerChanged,
    PeerState,
    PeopleChanged,
    RoundOpened,
    TextQueued,
    TextReceived,
)
from iirs.client.messenger.contacts import KEYS_CHANGED
from iirs.client.model.actions import Requests
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.talk import Row
from iirs.client.pictures import decoder_process
from iirs.client.pictures.thumbnails import thumbnail
from iirs.client.store.log_entry import Entry, EntryKind, FileInfo, History, TextState, TransferState
from iirs.client.text.links import host_of, links_in, whole_link
from iirs.client.window.main_page import MainPage
from iirs.client.window.pages.group_page import NewGroupPage
from iirs.client.window.pages.safety_page import SafetyPage
from iirs.client.window.parts.question import Question
from tests.harness import Town, town
from tests.screen import (
    Screen,
    ask,
    can_send,
    enter,
    main_page,
    press,
    rows,
    say,
    the_screen,
    words,
    write,
)

pytestmark = pytest.mark.window
NOW = 1_700_000_000_000
NUMBER = "0123456789" * 6


@pytest.fixture(scope="module", name="screen")
def _screen() -> Iterator[Screen]:
    yield from the_screen()


@pytest.fixture
def place(tmp_path: Path, screen: Screen) -> Iterator[Town]:
    with town(tmp_path, round_seconds=0.2) as running:
        yield running
        screen.close_all()


class Desk:
    """A main page over a model, and what its widgets asked for."""

    def __init__(self, screen: Screen, *people: str) -> None:
        self.screen = screen
        self.asked: list[tuple[Any, ...]] = []
        self.model = ChatModel("alice", servers=3)
        self.top = tk.Toplevel(screen.root)
        self.top.geometry("960x680")
        made = {name: self._recorder(name) for name in Requests.__slots__}
        made["open"] = lambda peer: self.page.open(peer)  # noqa: PLW0108  # there is no page yet
        made["show_safety"] = lambda peer: self.page.show_safety(peer)  # noqa: PLW0108
        self.page = MainPage(self.top, screen.look, self.model, Requests(**made))
        self.page.pack(fill="both", expand=True)
        numbers = tuple(f"{index:060d}" for index in range(len(people) + 1))
        self.take(ConnectionChanged(ConnectionState.ONLINE), PeopleChanged(("alice", *people), numbers))
        screen.pump(lambda: bool(self.page.chat.winfo_width() > 1 or self.page.welcome.winfo_viewable()))

    def _recorder(self, name: str) -> Any:
        def record(*values: Any) -> bool:
            self.asked.append((name, *values))
            return True

        return record

    def take(self, *events: Any) -> None:
        for event in events:
            self.model.take(event)
        self.page.refresh()
        self.screen.root.update()

    def talk_to(self, peer: str) -> None:
        self.take(PeerChanged(peer, PeerState.CONNECTED), RoundOpened(7, 2.0, 24, 5, 2.0))
        self.page.open(peer)
        self.screen.pump(lambda: self.page.chat.log.canvas.winfo_width() > 1)

    def shown(self) -> str:
        self.screen.root.update()
        return "\n".join(self.page.chat.log.shown_texts)


@pytest.fixture
def desk(screen: Screen) -> Iterator[Desk]:
    made = Desk(screen, "bob", "carol", "dave")
    yield made
    made.top.destroy()
    assert screen.faults == []


def button(widget: tk.Misc, label: str) -> ttk.Button:
    """Return the one button with this label."""
    found = [
        child
        for child in all_in(widget)
        if isinstance(child, ttk.Button) and child.cget("text") == label and child.winfo_manager()
    ]
    assert len(found) == 1, (label, len(found))
    return found[0]


def all_in(widget: tk.Misc) -> list[tk.Misc]:
    return [widget, *(inner for child in widget.winfo_children() for inner in all_in(child))]


def questions(widget: tk.Misc) -> list[Question]:
    return [child for child in all_in(widget) if isinstance(child, Question)]


# -- real clients ---------------------------------------------------------------------------------------


def png(colour: str, size: tuple[int, int] = (60, 40)) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", size, colour).save(written, "PNG")
    return written.getvalue()


def test_a_picture_is_sent_with_a_word_beforehand_and_is_shown_at_the_other_end(
    screen: Screen, place: Town, tmp_path: Path
) -> None:
    alice, bob = enter(screen, place, "alice"), enter(screen, place, "bob")
    ask(screen, alice, "bob")
    screen.pump(lambda: "alice" in bob.model.asking)
    button(main_page(bob).welcome, "Accept").invoke()
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
        screen.pump(lambda log=log: any(log._pictures.values()))  # type: ignore[misc]
    bob_row = next(row for row in rows(bob, "alice") if row.file is not None)
    assert bob_row.file is not None
    target = tmp_path / "kept.png"
    assert bob.librarian is not None
    bob.librarian.save(bob_row.file.file_id, target)
    screen.pump(target.exists)
    assert target.read_bytes() == png("red")


def test_a_group_of_three_is_founded_joined_and_talked_in_by_keys_and_clicks(
    screen: Screen, place: Town
) -> None:
    windows = {name: enter(screen, place, name) for name in ("alice", "bob", "carol")}
    screen.pump(lambda: all(len(window.model.people) == 3 for window in windows.values()))
    page = main_page(windows["alice"])
    page.group_button.invoke()
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
    write(main_page(alice).search, "else")
    screen.pump(lambda: "1 found" in words(main_page(alice).found))


# -- people and asking ----------------------------------------------------------------------------------


def test_a_row_shows_the_last_line_and_what_is_unread(desk: Desk) -> None:
    desk.take(TextReceived("bob", b"1", "see you\ntomorrow", NOW), TextQueued("carol", b"2", "yes", NOW))
    texts = words(desk.page.people)
    assert "see you tomorrow" in texts
    assert "You: yes" in texts
    assert desk.page.people._rows[[row.key for row in desk.page.people._rows].index("bob")].unread == 1


def test_who_asks_is_accepted_or_declined_from_a_banner(desk: Desk) -> None:
    desk.talk_to("bob")
    desk.take(PeerAsks("carol"), PeerAsks("dave"))
    assert "carol wants to talk to you. Declining is not told to anybody." in words(desk.page.banners)
    banners = [desk.page.banners._shown[f"ask {name}"] for name in ("carol", "dave")]
    button(banners[0], "Accept").invoke()
    button(banners[1], "Decline").invoke()
    assert ("ask", "carol") in desk.asked
    assert ("decline", "dave") in desk.asked
    desk.take(PeerAsks("dave", asks=False), PeerChanged("carol", PeerState.ASKING))
    assert "wants to talk" not in words(desk.page.banners)


def test_when_all_places_are_in_use_that_is_said_and_the_wish_can_be_taken_back(desk: Desk) -> None:
    desk.take(
        PeerChanged("bob", PeerState.CONNECTED),
        PeerChanged("carol", PeerState.CONNECTED),
        PeerChanged("dave", PeerState.WAITING),
    )
    assert "2 of 2 conversations in use · 1 waiting for a place" in words(desk.page)
    desk.page.open("dave")
    assert "All 2 conversations you can have at once are in use." in words(desk.page.chat)
    button(desk.page.chat, "Stop asking").invoke()
    assert ("hang_up", "dave") in desk.asked
    assert desk.page.chat.send_button.instate(["disabled"])


# -- safety ---------------------------------------------------------------------------------------------


def test_safety_numbers_are_compared_and_marked(desk: Desk) -> None:
    desk.take(ContactChanged("bob", NUMBER, verified=False))
    desk.page.show_safety("bob")
    page = desk.page.page
    assert isinstance(page, SafetyPage)
    assert "01234  56789" in page.digits
    write(page.pasted, " ".join(NUMBER))
    assert "The same." in words(page)
    write(page.pasted, NUMBER[:-1] + "1")
    assert "They differ." in words(page)
    page.same_button.invoke()
    assert ("verify", "bob", True) in desk.asked
    desk.take(ContactChanged("bob", NUMBER, verified=True))
    assert "Not verified after all" in words(page)
    press(page.pasted, "<Escape>")
    page.close_button.invoke()
    desk.page.open("bob")
    assert "bob ✓" in words(desk.page.chat)


def test_other_keys_than_before_block_sending_until_the_numbers_were_looked_at(desk: Desk) -> None:
    desk.talk_to("bob")
    desk.take(ContactChanged("bob", NUMBER, verified=False, blocked=KEYS_CHANGED))
    assert KEYS_CHANGED in words(desk.page.banners)
    assert desk.page.chat.send_button.instate(["disabled"])
    write(desk.page.chat.entry, "hello")
    press(desk.page.chat.entry, "<Return>")
    assert not any(asked[0] == "send" for asked in desk.asked)
    button(desk.page.banners, "Compare safety numbers").invoke()
    page = desk.page.page
    assert isinstance(page, SafetyPage)
    button(page, "Go on all the same").invoke()
    assert ("accept_keys", "bob") in desk.asked
    desk.take(ContactChanged("bob", NUMBER, verified=False))
    desk.page.open("bob")
    assert KEYS_CHANGED not in words(desk.page.banners)
    assert desk.page.chat.send_button.instate(["!disabled"])


# -- the log --------------------------------------------------------------------------------------------


def test_new_messages_begin_below_a_line_and_older_ones_are_asked_for(desk: Desk) -> None:
    desk.talk_to("carol")
    old = [
        Entry("bob", number.to_bytes(16), EntryKind.TEXT, False, "bob", f"text {number}", NOW + number)
        for number in range(60)
    ]
    desk.model.take_history(History("bob", old, has_more=True))
    desk.take(TextReceived("bob", b"new", "this is new", NOW + 100))
    desk.talk_to("bob")
    assert "New messages" in desk.shown()
    press(desk.page.chat.log.canvas, "<Home>")
    desk.screen.pump(lambda: ("older", "bob") in desk.asked)
    older = [
        Entry("bob", b"old%13d" % number, EntryKind.TEXT, False, "bob", f"older {number}", NOW - 100 + number)
        for number in range(50)
    ]
    before = desk.page.chat.log._layout.rows[0]
    desk.model.take_history(History("bob", older, is_older=True))
    desk.take()
    assert desk.page.chat.log._layout.rows[50] is before
    press(desk.page.chat.log.canvas, "<Home>")
    desk.screen.pump(lambda: "older 0" in desk.shown())


def test_a_link_opens_only_after_a_warning_that_names_where_it_goes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    desk.talk_to("bob")
    link = "https://www.example.org@evil.example/\u0430?q=1"
    desk.take(TextReceived("bob", b"1", f"look: {link}.", NOW))
    desk.screen.pump(lambda: "Open evil.example …" in desk.shown())
    press(desk.page.chat.log.canvas, "<Up>")
    press(desk.page.chat.log.canvas, "<Return>")
    (question,) = questions(desk.page)
    assert "evil.example" in words(question)
    assert opened == []
    question.cancel_button.invoke()
    press(desk.page.chat.log.canvas, "<Return>")
    (question,) = questions(desk.page)
    question.buttons["Open"].invoke()
    assert opened == [link]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        (
            "see https://example.org/a, or http://example.com.",
            ["https://example.org/a", "http://example.com"],
        ),
        ("javascript:alert(1) file:///etc/passwd www.example.org", []),
        ("https://", []),
        ("HTTPS://EXAMPLE.org", ["HTTPS://EXAMPLE.org"]),
        (" ".join(f"https://{n}.example" for n in range(9)), [f"https://{n}.example" for n in range(3)]),
        ("https://[::1", []),
        ("https://[::1]:80/a", ["https://[::1]:80/a"]),
        ("https://a.example:99999/ https://a.example:x/", []),
        ("https://evil.example\\@good.example/", ["https://evil.example"]),
        ("https://ex%61mple.org/", []),
    ],
)
def test_only_web_addresses_are_links(text: str, links: list[str]) -> None:
    assert links_in(text) == links


def test_a_host_in_other_letters_is_shown_in_punycode() -> None:
    assert host_of("https://\u0430pple.com/x") == "xn--pple-43d.com"
    assert whole_link("https://\u0430pple.com:8/x") == "https://xn--pple-43d.com:8/x"


@pytest.mark.parametrize("link", ["http://[::1]:80/a", "http://a.example:0/", "http://a@b.example/?q#f"])
def test_a_link_in_plain_letters_is_opened_as_it_was_written(link: str) -> None:
    assert whole_link(link) == link


def test_a_file_card_says_how_far_it_is_and_its_menu_what_can_be_done(desk: Desk) -> None:
    desk.talk_to("bob")
    file = FileInfo(b"f" * 16, "holiday.png", 100_000, bytes(32))
    talk = desk.model.talk("bob")
    talk.add(Row("holiday.png", NOW, b"f" * 16, True, TextState.QUEUED, file=file))
    talk.move(b"f" * 16, TransferState.MOVING, 50_000)
    desk.take()
    assert "50 % of 98 KiB" in desk.shown()
    assert "left" in desk.shown()
    menu = desk.page.chat.row_menu
    desk.page.chat._add_file_entries(menu, talk.rows[-1])
    labels = [menu.entrycget(index, "label") for index in range(int(menu.index("end") or 0) + 1)]
    assert {"Pause", "Stop this file", "Save as …"} <= set(labels)
    menu.invoke(labels.index("Pause"))
    menu.invoke(labels.index("Stop this file"))
    assert [asked for asked in desk.asked if asked[0] in {"pause", "cancel"}] == [
        ("pause", b"f" * 16),
        ("cancel", b"f" * 16),
    ]
    talk.move(b"f" * 16, TransferState.CANCELLED, 50_000)
    desk.take()
    assert "stopped" in desk.shown()


def test_a_file_that_is_too_long_or_empty_or_gone_is_refused_before_it_is_sent(
    desk: Desk, tmp_path: Path
) -> None:
    desk.talk_to("bob")
    composer = desk.page.chat.composer
    (tmp_path / "long").write_bytes(bytes(1024 * 1024 + 1))
    (tmp_path / "empty").touch()
    for name, sentence in (("long", "hours"), ("empty", "is empty"), ("gone", "cannot be read")):
        composer.offer_file(tmp_path / name)
        assert sentence in words(composer.strip)
        assert not composer.strip_send.winfo_manager()
    composer.strip_cancel.invoke()
    assert not any(asked[0] == "send_file" for asked in desk.asked)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG\r\n\x1a\nnothing", b"GIF89a" + bytes(50), b"\xff\xd8\xff" * 100, b"%PDF-1.4", b"<svg/>"],
    ids=["empty", "png", "gif", "jpeg", "pdf", "svg"],
)
def test_what_is_no_picture_is_not_shown_as_one(data: bytes) -> None:
    assert thumbnail(data, 100) == b""


def test_a_picture_with_too_many_pixels_is_not_decoded() -> None:
    assert thumbnail(png("red", (8000, 8000)), 100) == b""
    small = thumbnail(png("red", (3000, 1000)), 100)
    assert Image.open(io.BytesIO(small)).size == (100, 33)


def test_the_picture_process_has_nothing_else_of_this_program_in_it() -> None:
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]);"
        "print([name for name in sys.modules if name.startswith('iirs')])"
    )
    command = [sys.executable, "-I", "-c", code, decoder_process.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- hostile text ---------------------------------------------------------------------------------------

EVERY_PICTURE = "".join(
    chr(code) for code in range(0x2300, 0x1FAFF) if unicodedata.category(chr(code)) == "So"
)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 65_536,
        "😀" * 16_384,
        EVERY_PICTURE,
        "\u202e\u2066evil\u2069\u202c\u200f\u061c",
        "e" + "\u0301\u0330\u0489" * 5_000,
        "\ud800\udfff lone \udcff",
        "\0\x07\x1b[31m\x9b\r\n\x85\u2028\u2029",
        "\n" * 60_000,
        "שלום עולם " * 500 + "مرحبا بالعالم " * 500,
        "👨\u200d👩\u200d👧 👍🏽 🇩🇪 1\ufe0f\u20e3",
        "https://example.org/" + "a" * 60_000,
        "\U0010ffff\ue000\ufffe",
    ],
    ids=["line", "emoji", "every emoji", "bidi", "zalgo", "surrogates", "controls", "newlines", "rtl",
         "joined", "link", "unassigned"],
)  # fmt: skip
def test_hostile_text_is_shown_or_replaced_and_never_breaks_the_window(desk: Desk, text: str) -> None:
    desk.talk_to("bob")
    desk.take(TextReceived("bob", b"1", text, NOW), GroupChanged("#" + "0" * 32, text[:64] or "x",
              ("alice", "bob"), frozenset(), "bob", GroupState.INVITED))  # fmt: skip
    desk.take(TextReceived("bob", b"2", "after it", NOW))
    desk.screen.pump(lambda: "after it" in desk.shown())
    shown = desk.shown() + words(desk.page.people)
    assert not set(shown) & set("\u202e\u2066\u2069\u202c\0\x07\x1b")
    assert not any("\ud800" <= character <= "\udfff" for character in shown)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.text(st.characters(), max_size=300))
def test_any_text_at_all_is_drawn(desk: Desk, text: str) -> None:
    if desk.model.open_peer != "bob":
        desk.talk_to("bob")
    before = len(desk.model.talk("bob").rows)
    desk.take(TextReceived("bob", before.to_bytes(16), text, NOW))
    assert len(desk.page.chat.log._layout.rows) == before + 1
