"""Preferences: what is kept between starts, and what becomes of a file that is damaged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.client.store.preferences import FILE, ZOOMS, ColourScheme, Notify, Preferences, WindowPlace

SOME = Preferences(
    ColourScheme.DARK,
    1.5,
    "de",
    Notify.WITH_TEXT,
    sound=False,
    lock_minutes=5,
    place=WindowPlace(900, 700, 20, 30),
    link="iirs://192.0.2.2:12345",
    name="alice",
)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    SOME.write(tmp_path / "new")
    assert Preferences.read(tmp_path / "new") == SOME
    assert [path.name for path in (tmp_path / "new").iterdir()] == [FILE]


def test_a_missing_file_gives_the_usual(tmp_path: Path) -> None:
    assert Preferences.read(tmp_path) == Preferences()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"3"])
def test_a_damaged_file_gives_the_usual(data: bytes) -> None:
    assert Preferences.decode(data) == Preferences()


@given(st.binary(max_size=200))
def test_any_bytes_give_preferences(data: bytes) -> None:
    assert isinstance(Preferences.decode(data), Preferences)


def test_the_file_of_former_versions_keeps_server_and_name() -> None:
    old = json.dumps({"link": SOME.link, "name": SOME.name}).encode()
    assert Preferences.decode(old) == Preferences(link=SOME.link, name=SOME.name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theme", "pink"),
        ("theme", []),
        ("zoom", 40),
        ("zoom", "1.0"),
        ("notifications", "loud"),
        ("sound", 1),
        ("lock_minutes", -5),
        ("place", {"width": 10, "height": 10, "x": 0, "y": 0}),
        ("place", {"width": 900}),
        ("place", {"width": 900, "height": 700, "x": 0.5, "y": 0}),
        ("name", 7),
    ],
)
def test_one_unknown_value_is_as_usual_and_the_others_stay(name: str, value: Any) -> None:
    values = {**json.loads(SOME.encode()), name: value}
    usual = getattr(Preferences(), name)
    assert Preferences.decode(json.dumps(values).encode()) == replace(SOME, **{name: usual})


def test_a_disk_that_is_full_or_forbidden_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    SOME.write(tmp_path / "file")


def test_a_place_on_the_screen_stays_and_one_off_it_is_corrected() -> None:
    assert WindowPlace(900, 700, 20, 30).fitted(1600, 1000) == WindowPlace(900, 700, 20, 30)
    assert WindowPlace(900, 700, 5000, -900).fitted(1600, 1000) == WindowPlace(900, 700, 700, 0)
    assert WindowPlace(4000, 3000, 100, 100).fitted(1600, 1000) == WindowPlace(1600, 1000, 0, 0)


def test_zooming_goes_in_steps_and_ends() -> None:
    assert replace(SOME, zoom=1.0).zoomed(1) == 1.1
    assert replace(SOME, zoom=ZOOMS[-1]).zoomed(1) == ZOOMS[-1]
    assert replace(SOME, zoom=ZOOMS[0]).zoomed(-1) == ZOOMS[0]
    assert SOME.zoomed(0) == 1.0
