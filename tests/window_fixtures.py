"""What tests of the window begin with, for modules with ``pytest_plugins = ["tests.window_fixtures"]``."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Iterator
from pathlib import Path

import pytest

from iirs.client.text.translate import set_language
from iirs.client.window.theme.palette import LIGHT
from tests.harness import Town, town
from tests.offline_page import OfflinePage
from tests.screen import Screen, the_screen

pytest_plugins = ["tests.decoder_fixtures"]
root_screen = pytest.fixture(scope="session")(the_screen)


@pytest.fixture
def screen(root_screen: Screen, usual_priority: None) -> Iterator[Screen]:
    """The session's screen: nothing open, light, of the usual size, in English."""
    yield root_screen
    root_screen.close_all()
    set_language("en")
    root_screen.theme.restyle(LIGHT, 1.0)
    faults, root_screen.faults = root_screen.faults, []
    assert not faults


@pytest.fixture
def top(screen: Screen) -> Iterator[tk.Toplevel]:
    """An empty window of its own."""
    made = tk.Toplevel(screen.root)
    yield made
    made.destroy()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Town]:
    """A running service with rounds of a fifth of a second."""
    with town(tmp_path, round_seconds=0.2) as running:
        yield running


@pytest.fixture
def offline(screen: Screen) -> Iterator[OfflinePage]:
    """A main page with three people on it, and no server."""
    made = OfflinePage(screen, "bob", "carol", "dave")
    yield made
    made.top.destroy()
