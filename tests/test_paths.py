"""Where programs keep their files: where the system says, and what an earlier version made is found again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from iirs.paths import data_directory


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_word_from_the_person_data_lies_in_the_usual_folder(
    value: str | None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv("XDG_DATA_HOME", value)
    assert data_directory("iirs-server") == home / ".local" / "share" / "iirs-server"


def test_data_lies_where_the_person_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    assert data_directory("iirs") == home / "data" / "iirs"


def test_asking_for_the_folder_does_not_make_it(home: Path) -> None:
    assert not data_directory("iirs").exists()


def test_what_an_earlier_version_kept_beside_a_relative_path_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "here")
    (home / "here" / "iirs").mkdir(parents=True)
    assert data_directory("iirs").resolve() == home / "here" / "iirs"


def test_what_an_earlier_version_kept_on_macos_is_used_until_there_is_anything_new(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    fresh, former = home / "data" / "iirs", home / "Library" / "Application Support" / "iirs"
    assert data_directory("iirs") == fresh
    former.mkdir(parents=True)
    assert data_directory("iirs") == former
    fresh.mkdir(parents=True)
    assert data_directory("iirs") == fresh
