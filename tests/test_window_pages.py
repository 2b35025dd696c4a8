"""Every page on small screens and at twice the size: all can be read, and reached by keys and the wheel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tkinter")

import tkinter as tk
from tkinter import ttk

from PIL import Image, ImageChops, ImageGrab

from iirs.client.account.entry_calls import Home
from iirs.client.text.translate import set_language
from iirs.client.window.pages.shortcuts_page import ShortcutsPage
from iirs.client.window.parts.flow import Flow, wrapping
from iirs.client.window.parts.question import Question
from iirs.client.window.start import Start
from iirs.client.window.theme.palette import DARK, LIGHT
from tests.harness import CHEAP
from tests.offline_page import OfflinePage, all_in
from tests.screen import Screen, press
from tests.window_walk import (
    acts,
    box,
    cut,
    nothing,
    pages_inside,
    pages_outside,
    settle,
    stops,
    unseen,
    wrong_stops,
)

pytestmark = pytest.mark.window
pytest_plugins = ["tests.window_fixtures"]

HALF, WHOLE, LOW = "683x768", "1366x900", "1366x768"
SIZES = ((HALF, 1.0), (WHOLE, 1.0), (HALF, 2.0), (LOW, 2.0))


@pytest.fixture
def top(screen: Screen) -> Iterator[tk.Toplevel]:
    made = tk.Toplevel(screen.root)
    made.geometry("683x768+0+0")
    yield made
    made.destroy()


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(("size", "zoom"), SIZES)
def test_on_every_page_all_can_be_read_and_reached(
    screen: Screen, top: tk.Toplevel, tmp_path: Path, size: str, zoom: float, language: str
) -> None:
    set_language(language)
    screen.theme.restyle(LIGHT, zoom)
    top.geometry(f"{size}+0+0")
    wrong = []
    names = []
    for pages in (pages_outside(screen, top, tmp_path), pages_inside(screen, f"{size}+0+0", tmp_path)):
        for name, page in pages:
            names.append(name)
            found = [*wrong_stops(page), *cut(page), *unseen(screen, page)]
            wrong += [f"{name}: {sentence}" for sentence in found]
    assert len(names) == 15
    assert not wrong, "\n".join(wrong)


def test_a_label_that_takes_the_focus_is_cut_or_out_of_view_is_noticed(
    screen: Screen, top: tk.Toplevel
) -> None:
    button = ttk.Button(top, text="OK")
    button.pack()
    label = ttk.Label(top, text="a sentence")
    label.pack()
    settle(screen)
    assert [*wrong_stops(label), *cut(label), *unseen(screen, label)] == []
    label.bind("<FocusIn>", nothing)
    assert "Tab goes to TLabel" in wrong_stops(label)[0]
    label.configure(text="a sentence that is far longer than it should be " * 4)
    settle(screen)
    assert cut(label)
    label.configure(text="short")
    left_out = ttk.Button(top, text="never", takefocus=False)
    left_out.pack()
    settle(screen)
    assert any("leaves out TButton 'never'" in sentence for sentence in wrong_stops(label))
    left_out.configure(takefocus=True)
    left_out.place(x=600, y=760)
    settle(screen)
    assert unseen(screen, label)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_the_focus_is_seen_wherever_it_is(
    screen: Screen, top: tk.Toplevel, tmp_path: Path, colours: object
) -> None:
    screen.theme.restyle(DARK if colours is DARK else LIGHT, 1.0)
    wrong = []
    looked_at = set()
    for pages in (pages_outside(screen, top, tmp_path), pages_inside(screen, f"{HALF}+0+0", tmp_path)):
        for name, page in pages:
            window = page.winfo_toplevel()
            window.lift()
            for widget in stops(window):
                kind = look_of(widget)
                if kind in looked_at:
                    continue
                looked_at.add(kind)
                widget.focus_force()
                settle(screen)
                with_focus, area = _picture(window), box(widget)
                window.focus_force()
                settle(screen)
                left, above = window.winfo_rootx(), window.winfo_rooty()
                place = (area[0] - left, area[1] - above, area[2] - left, area[3] - above)
                if (
                    ImageChops.difference(with_focus.crop(place), _picture(window).crop(place)).getbbox()
                    is None
                ):
                    wrong.append(f"{name}: {widget.winfo_class()}")
    assert not wrong
    assert len(looked_at) > 12


def look_of(widget: tk.Misc) -> tuple[str, str, str]:
    """Return what decides how a widget shows the focus."""
    style = str(widget.cget("style")) if isinstance(widget, ttk.Widget) else ""
    chosen = isinstance(widget, ttk.Radiobutton | ttk.Checkbutton) and widget.instate(["selected"])
    return widget.winfo_class(), style, f"{type(widget.master).__name__} {chosen}"


def _picture(window: tk.Misc) -> Image.Image:
    return ImageGrab.grab(bbox=box(window), xdisplay="").convert("RGB")


def test_wheel_and_keys_scroll_a_page_wherever_the_mouse_is(screen: Screen, top: tk.Toplevel) -> None:
    screen.theme.restyle(LIGHT, 2.0)
    page = ShortcutsPage(top, screen.theme, nothing)
    page.pack(fill="both", expand=True)
    settle(screen)
    page.button.focus_force()
    settle(screen)
    page.canvas.yview_moveto(0)
    settle(screen)
    label = next(widget for widget in all_in(page.body) if isinstance(widget, ttk.Label))
    for event, goes_down in (("<Button-5>", True), ("<Button-4>", False)):
        before = page.canvas.canvasy(0)
        label.event_generate(event)
        settle(screen)
        assert (page.canvas.canvasy(0) > before) is goes_down
    page.canvas.yview_moveto(1)
    settle(screen)
    before = page.canvas.canvasy(0)
    page.button.event_generate("<Prior>")
    settle(screen)
    assert page.canvas.canvasy(0) < before


def test_what_is_being_written_stays_in_view_whatever_comes_above_it(screen: Screen) -> None:
    screen.theme.restyle(LIGHT, 2.0)
    offline = OfflinePage(screen, "bob", "carol")
    offline.top.geometry("683x768+0+0")
    offline.talk_to("bob")
    offline.page.chat.entry.focus_force()
    for sentence in ("one thing happened", "another thing happened", "and a third one"):
        offline.page.warn(sentence * 3, alarm=True)
        settle(screen)
        assert unseen(screen, offline.page.chat.entry) == []
        offline.page.chat.entry.focus_force()
        settle(screen)
        assert box(offline.page.chat.entry)[3] <= box(offline.page.status)[1]
    offline.top.destroy()


def test_in_a_narrow_window_people_and_talk_take_turns(screen: Screen) -> None:
    offline = OfflinePage(screen, "bob", "carol")
    page = offline.page
    offline.talk_to("bob")
    assert page.side.winfo_viewable()
    assert page.chat.winfo_viewable()
    offline.top.geometry("400x680")
    screen.pump(lambda: not page.side.winfo_viewable())
    press(page.chat.entry, "<Key-x>")
    page.find_people()
    screen.pump(lambda: bool(page.side.winfo_viewable()) and not page.chat.winfo_viewable())
    press(page.side.search, "<Down>")
    screen.pump(lambda: page.side.people.canvas.focus_get() is page.side.people.canvas)
    press(page.side.people.canvas, "<Return>")
    screen.pump(lambda: bool(page.chat.winfo_viewable()) and not page.side.winfo_viewable())
    page.find_people()
    page.focus_writing()
    screen.pump(lambda: bool(page.chat.winfo_viewable()))
    offline.top.geometry("960x680")
    screen.pump(lambda: bool(page.side.winfo_viewable()) and bool(page.chat.winfo_viewable()))
    offline.top.destroy()


@pytest.mark.parametrize("zoom", [0.8, 1.0, 2.0])
def test_a_window_may_be_as_small_as_half_a_small_screen(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoom: float
) -> None:
    monkeypatch.setattr(tk.Wm, "winfo_screenwidth", lambda _: 1366, raising=False)
    monkeypatch.setattr(tk.Toplevel, "winfo_screenwidth", lambda _: 1366)
    monkeypatch.setattr(tk.Toplevel, "winfo_screenheight", lambda _: 768)
    screen.theme.restyle(LIGHT, zoom)
    window = screen.open(Home(tmp_path, CHEAP), Start())
    least = window.window.minsize()
    assert least is not None
    assert least[0] <= 683
    assert least[1] <= 768 * 9 // 10


@pytest.mark.parametrize("zoom", [1.0, 2.0])
def test_a_question_is_no_larger_than_the_screen_and_all_of_it_can_be_reached(
    screen: Screen, top: tk.Toplevel, monkeypatch: pytest.MonkeyPatch, zoom: float
) -> None:
    monkeypatch.setattr(tk.Toplevel, "winfo_screenwidth", lambda _: 683)
    monkeypatch.setattr(tk.Toplevel, "winfo_screenheight", lambda _: 768)
    screen.theme.restyle(LIGHT, zoom)
    answers = [("Open this address now", nothing), ("Copy the whole of it", nothing)]
    question = Question(top, screen.theme, "A long question. " * 20, answers, detail="https://" + "x" * 1500)
    screen.pump(lambda: question.winfo_viewable() and question.winfo_height() > 200)
    settle(screen)
    assert question.winfo_width() <= 683
    assert question.winfo_height() <= 768
    assert [*wrong_stops(question), *cut(question), *unseen(screen, question)] == []
    assert [widget for widget in stops(question) if acts(widget)][-1] is question.cancel_button


def test_widgets_lie_beside_each_other_only_where_there_is_room(screen: Screen, top: tk.Toplevel) -> None:
    flow = Flow(top, 10)
    flow.pack(fill="x")
    label = wrapping(ttk.Label(flow, text="some words " * 12))
    buttons = [ttk.Button(flow, text=text) for text in ("One", "Two")]
    flow.show(label, *buttons, growing=label, least=200)
    settle(screen)
    assert all(
        abs(button.winfo_y() + button.winfo_height() // 2 - flow.winfo_height() // 2) < 2
        for button in buttons
    )
    assert buttons[1].winfo_x() + buttons[1].winfo_width() == flow.winfo_width()
    top.geometry("240x400")
    screen.pump(lambda: flow.winfo_width() == 240)
    settle(screen)
    assert all(button.winfo_y() >= label.winfo_height() for button in buttons)
    assert label.winfo_width() == 240
    flow.show(buttons[0])
    settle(screen)
    assert not label.winfo_viewable()
    assert flow.winfo_height() == buttons[0].winfo_height()
