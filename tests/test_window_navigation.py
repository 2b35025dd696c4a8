"""Which page a window shows, and what may replace it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tkinter")

import tkinter as tk
from functools import partial
from tkinter import ttk

from iirs.client.account.entry_calls import Home
from iirs.client.window.navigation import Navigator, Page
from iirs.client.window.window_state import WindowState
from tests.harness import CHEAP
from tests.screen import Screen

pytestmark = pytest.mark.window
pytest_plugins = ["tests.window_fixtures"]
OPENED = (Page.SETTINGS, Page.ACCOUNT, Page.SHORTCUTS)


class Shown:
    """A navigator over empty pages, and which of them it has made."""

    def __init__(self, screen: Screen, folder: Path) -> None:
        self.top = tk.Toplevel(screen.root)
        self.made: list[Page] = []
        self.put_away = 0
        state = WindowState(self.top, screen.theme, Home(folder, CHEAP), lambda _: None, lambda: None)
        self.state = state
        self.navigator = Navigator(
            self.top, state, {page: partial(self._make, page) for page in Page}, self._count
        )
        self.navigator.go_to(Page.MAIN)

    def _make(self, page: Page) -> ttk.Frame:
        self.made.append(page)
        return ttk.Frame(self.top)

    def _count(self) -> None:
        self.put_away += 1


@pytest.fixture
def shown(screen: Screen, tmp_path: Path) -> Iterator[Shown]:
    made = Shown(screen, tmp_path)
    yield made
    made.top.destroy()


@pytest.mark.parametrize("page", OPENED)
def test_a_page_that_is_opened_hides_the_talks_until_it_is_closed(shown: Shown, page: Page) -> None:
    shown.navigator.open(page)
    shown.navigator.open(page)  # asked for twice, it is made once
    assert shown.made == [Page.MAIN, page]
    assert shown.navigator.close()
    assert not shown.navigator.close()
    assert shown.made == [Page.MAIN, page, Page.MAIN]
    assert len(shown.top.winfo_children()) == 1
    assert shown.put_away == len(shown.made)


@pytest.mark.parametrize("page", OPENED)
def test_nothing_opens_over_the_lock_or_while_leaving(shown: Shown, page: Page) -> None:
    assert shown.navigator.lock()
    assert not shown.navigator.lock()
    shown.navigator.open(page)
    assert shown.navigator.page is Page.LOCK
    shown.navigator.go_to(Page.LEAVING)  # the person may leave without unlocking
    shown.navigator.open(page)
    assert shown.navigator.page is Page.LEAVING
    shown.state.locked = False
    assert not shown.navigator.lock()
    assert shown.made == [Page.MAIN, Page.LOCK, Page.LEAVING]


def test_a_lock_closes_what_was_opened_and_the_form_cannot_be_locked(shown: Shown) -> None:
    shown.navigator.open(Page.ACCOUNT)
    assert shown.navigator.lock()
    shown.state.locked = False
    assert shown.navigator.page is Page.MAIN
    shown.navigator.open(Page.SETTINGS)
    shown.navigator.go_to(Page.LOGIN)
    assert shown.navigator.page is Page.LOGIN
    assert not shown.navigator.lock()


def test_the_settings_stay_open_when_a_login_under_way_succeeds(shown: Shown) -> None:
    shown.navigator.go_to(Page.LOGIN)
    shown.navigator.open(Page.SETTINGS)
    shown.navigator.go_to(Page.MAIN)
    assert shown.navigator.page is Page.SETTINGS
    shown.navigator.close()
    assert shown.navigator.page is Page.MAIN
