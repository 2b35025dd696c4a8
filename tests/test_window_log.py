"""The log of a talk: its place, keys, links and files in it, and text that means harm."""

from __future__ import annotations

import pytest

pytest.importorskip("tkinter")

import tkinter as tk
import unicodedata
import webbrowser

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iirs.client.events import FileAdded, GroupChanged, GroupState, PeerAsks, TextReceived
from iirs.client.model.picture_queue import Picture
from iirs.client.model.talk import Row, Talk
from iirs.client.store.log_entry import EntryKind, FileInfo, HistoryPage, LogEntry, TextState, TransferState
from iirs.client.window.parts.question import Question
from iirs.client.window.talk.log_pictures import KEPT_MAX
from iirs.client.window.talk.log_view import LogView
from tests.harness import Town
from tests.offline_page import NOW, OfflinePage, questions
from tests.pictures import png
from tests.screen import Screen, ask, can_send, enter, main_page, press, rows, words

pytestmark = [pytest.mark.window, pytest.mark.slow]
pytest_plugins = ["tests.window_fixtures"]


def log_of(screen: Screen, texts: int) -> tuple[LogView, Talk]:
    top = tk.Toplevel(screen.root)
    top.geometry("600x400")
    log, talk = LogView(top, screen.theme), Talk("bob")
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


def test_a_text_counts_as_new_even_if_emoji_become_drawable_with_it(screen: Screen) -> None:
    log, talk = log_of(screen, 200)
    press(log.canvas, "<Home>")
    log._with_emoji = not log._with_emoji  # as if the probe had ended just now
    talk.add(Row("late", 0, b"late"))
    log.refresh()
    assert "1 new" in words(log)
    log.winfo_toplevel().destroy()


def test_arabic_is_joined_where_it_is_shown_and_copied_as_it_was_written(offline: OfflinePage) -> None:
    written = "\u0633\u0644\u0627\u0645"
    offline.talk_to("bob")
    offline.take(TextReceived("bob", b"1" * 16, written, NOW))
    assert "\ufeb3\ufefc\u0645"[::-1] in offline.shown()
    log = offline.page.chat.log
    press(log.canvas, "<Up>")
    press(log.canvas, "<Control-c>")
    assert offline.top.clipboard_get() == written
    font = offline.screen.theme.text
    assert font.measure(offline.screen.theme.visual(written)) < font.measure(written)


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


def test_new_messages_begin_below_a_line_and_older_ones_are_asked_for(offline: OfflinePage) -> None:
    offline.talk_to("carol")
    old = [
        LogEntry("bob", number.to_bytes(16), EntryKind.TEXT, False, "bob", f"text {number}", NOW + number)
        for number in range(60)
    ]
    offline.model.take_history(HistoryPage("bob", old, has_more=True))
    offline.take(TextReceived("bob", b"new", "this is new", NOW + 100))
    offline.talk_to("bob")
    assert "New messages" in offline.shown()
    press(offline.page.chat.log.canvas, "<Home>")
    offline.screen.pump(lambda: ("read", "bob", old[0].item_id) in offline.asked)
    older = [
        LogEntry(
            "bob", b"old%13d" % number, EntryKind.TEXT, False, "bob", f"older {number}", NOW - 100 + number
        )
        for number in range(50)
    ]
    before = offline.page.chat.log._layout.rows[0]
    offline.model.take_history(HistoryPage("bob", older, is_older=True))
    offline.take()
    assert offline.page.chat.log._layout.rows[50] is before
    press(offline.page.chat.log.canvas, "<Home>")
    offline.screen.pump(lambda: "older 0" in offline.shown())


def test_a_link_opens_only_after_a_warning_that_names_where_it_goes(
    offline: OfflinePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    offline.talk_to("bob")
    link = "https://www.example.org@evil.example/\u0430?q=1"
    offline.take(TextReceived("bob", b"1", f"look: {link}.", NOW))
    offline.screen.pump(lambda: "Open evil.example …" in offline.shown())
    press(offline.page.chat.log.canvas, "<Up>")
    press(offline.page.chat.log.canvas, "<Return>")
    (question,) = questions(offline.page)
    assert "evil.example" in words(question)
    assert opened == []
    question.cancel_button.invoke()
    press(offline.page.chat.log.canvas, "<Return>")
    (question,) = questions(offline.page)
    question.buttons["Open"].invoke()
    assert opened == [link]


LONG_HOST = "www.bank.example." + "a.paypal.example." * 13 + "evil.example"


def test_the_host_of_a_long_link_is_seen_and_its_answers_stay_on_the_screen(offline: OfflinePage) -> None:
    """Fixed: a long name hid whose site it is, and a long path pushed the buttons off the screen."""
    offline.talk_to("bob")
    link = f"https://login.bank.example@{LONG_HOST}/" + "W" * (1_990 - len(LONG_HOST))
    offline.take(TextReceived("bob", b"1", link, NOW))
    offline.screen.pump(lambda: "Open …" in offline.shown())
    canvas = offline.page.chat.log.canvas
    (offer,) = canvas.find_withtag("link")
    assert canvas.itemcget(offer, "text").endswith(".evil.example …")
    left, _top, right, _bottom = canvas.bbox(offer)
    assert 0 <= left < right <= canvas.winfo_width()
    offline.page.chat.warn_of_link(link)
    (question,) = questions(offline.page)
    offline.screen.root.update()
    assert f"\n{LONG_HOST}\n" in words(question)
    assert "https://login.bank.example@www.bank" in words(question)
    assert len(words(question)) < 1_200
    for shown in (*question.buttons.values(), question.cancel_button):
        assert shown.winfo_rooty() + shown.winfo_height() <= question.winfo_screenheight()
        assert shown.winfo_width() >= shown.winfo_reqwidth()
    question.buttons["Copy"].invoke()
    assert offline.page.clipboard_get() == link


def test_whatever_a_question_quotes_its_answers_stay_on_the_screen(offline: OfflinePage) -> None:
    for quoted in ("W" * 60_000, "\n" * 5_000, "字\n" * 400, "e" + "\u0301" * 5_000):
        question = Question(offline.page, offline.screen.theme, "?", [("Yes", lambda: None)], quoted, quoted)
        offline.screen.pump(lambda: bool(question.winfo_viewable()))  # noqa: B023  # pumped at once
        offline.screen.root.update()
        bottom = question.cancel_button.winfo_rooty() + question.cancel_button.winfo_height()
        assert bottom <= question.winfo_rooty() + question.winfo_height() <= question.winfo_screenheight()
        question.destroy()


def test_the_end_of_a_files_long_name_is_seen(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    file = FileInfo(b"f" * 16, "holiday.jpg" + "_" * 90 + ".exe", 100_000, bytes(32))
    entry = LogEntry("bob", b"f" * 16, EntryKind.FILE, False, "bob", file.name, NOW, file=file)
    offline.take(FileAdded(entry))
    offline.screen.pump(lambda: "holiday" in offline.shown())
    (card,) = [line for line in offline.shown().split("\n") if line.startswith("holiday.jpg")]
    assert card.endswith("_.exe")
    assert "…" in card


def test_a_file_card_says_how_far_it_is_and_its_menu_what_can_be_done(offline: OfflinePage) -> None:
    offline.talk_to("bob")
    file = FileInfo(b"f" * 16, "holiday.png", 100_000, bytes(32))
    talk = offline.model.talk("bob")
    talk.add(Row("holiday.png", NOW, b"f" * 16, True, TextState.QUEUED, file=file))
    talk.move(b"f" * 16, TransferState.MOVING, 50_000)
    offline.take()
    assert "50 % of 98 KiB" in offline.shown()
    assert "left" in offline.shown()
    menu = offline.page.chat.row_menu
    offline.page.chat._add_file_entries(menu, talk.rows[-1])
    labels = [menu.entrycget(index, "label") for index in range(int(menu.index("end") or 0) + 1)]
    assert {"Pause", "Stop this file", "Save as …"} <= set(labels)
    menu.invoke(labels.index("Pause"))
    menu.invoke(labels.index("Stop this file"))
    assert [asked for asked in offline.asked if asked[0] in {"pause", "cancel"}] == [
        ("pause", b"f" * 16),
        ("cancel", b"f" * 16),
    ]
    talk.move(b"f" * 16, TransferState.CANCELLED, 50_000)
    offline.take()
    assert "stopped" in offline.shown()


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
def test_hostile_text_is_shown_or_replaced_and_never_breaks_the_window(
    offline: OfflinePage, text: str
) -> None:
    offline.talk_to("bob")
    offline.take(TextReceived("bob", b"1", text, NOW), GroupChanged("#" + "0" * 32, text[:64] or "x",
              ("alice", "bob"), frozenset(), "bob", GroupState.INVITED))  # fmt: skip
    offline.take(TextReceived("bob", b"2", "after it", NOW))
    offline.screen.pump(lambda: "after it" in offline.shown())
    shown = offline.shown() + words(offline.page.side.people)
    assert not set(shown) & set("\u202e\u2066\u2069\u202c\0\x07\x1b")
    assert not any("\ud800" <= character <= "\udfff" for character in shown)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.text(st.characters(), max_size=300))
def test_any_text_at_all_is_drawn(offline: OfflinePage, text: str) -> None:
    if offline.model.open_peer != "bob":
        offline.talk_to("bob")
    before = len(offline.model.talk("bob").rows)
    offline.take(TextReceived("bob", before.to_bytes(16), text, NOW))
    assert len(offline.page.chat.log._layout.rows) == before + 1


def file_row(number: int) -> Row:
    file = FileInfo(b"file %d" % number, f"{number}.png", 5000, bytes(32))
    return Row(file.name, number * 60_000, file.file_id, False, None, "bob", 0, file, TransferState.DONE)


def test_only_pictures_in_view_are_asked_for_and_once_they_are_there_no_more(screen: Screen) -> None:
    log, talk = log_of(screen, 1)
    asked: list[list[bytes]] = []
    log.pictures.ask = lambda files: asked.append(list(files))
    for number in range(200):
        talk.add(file_row(number))
    log.refresh()
    assert asked
    in_view = asked[-1]
    assert in_view[-1] == b"file 199"
    assert len(in_view) < 20
    log._redraw()
    assert asked[-1] is in_view, "nothing has changed"
    assert log.pictures.of(file_row(199)) is None
    log.take_picture(Picture(b"file 199", png("red", (9, 9))))
    assert log.pictures.of(file_row(199)) is not None
    assert b"file 199" not in asked[-1]
    log.take_picture(Picture(b"file 198", b""))
    log.take_picture(Picture(b"file 197", b"", refused=True))
    assert words(log).count("no preview") == 1
    log._redraw()
    assert not {b"file 197", b"file 198"} & set(asked[-1])
    press(log.canvas, "<Home>")
    screen.pump(lambda: b"file 0" in asked[-1])
    assert not set(in_view) & set(asked[-1])
    log.show(Talk("carol"))
    assert asked[-1] == []
    log.show(talk)
    assert asked[-1]
    log.winfo_toplevel().destroy()
    assert asked[-1] == [], "nobody looks at them any more"


def test_of_pictures_out_of_view_only_so_many_are_kept_and_the_log_keeps_its_place(screen: Screen) -> None:
    log, talk = log_of(screen, 1)
    for number in range(KEPT_MAX + 50):
        talk.add(file_row(number))
    log.refresh()
    screen.pump(lambda: log._layout.first == 0)
    for number in range(KEPT_MAX + 50):
        log.take_picture(Picture(b"file %d" % number, png("red", (9, 200))))
    kept = [number for number in range(KEPT_MAX + 50) if log.pictures.of(file_row(number)) is not None]
    assert len(kept) == KEPT_MAX
    assert kept[-1] == KEPT_MAX + 49
    bottom = log._layout.bottom
    assert log.pictures.size_of(file_row(0)) == (9, 200)
    asked: list[list[bytes]] = []
    log.pictures.ask = lambda files: asked.append(list(files))
    press(log.canvas, "<Home>")
    screen.pump(lambda: bool(asked) and b"file 0" in asked[-1])
    log.take_picture(Picture(b"file 0", png("red", (9, 200))))
    assert log._layout.bottom == bottom
    log.winfo_toplevel().destroy()
