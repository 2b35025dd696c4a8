"""The words of the window: all of them translated, with the same places for values."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from iirs.client.text.translate import _, languages, n_, set_language
from iirs.errors import AccountError

ROOT = Path(__file__).parent.parent


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("words_tool", ROOT / "packaging" / "words.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = load()


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    set_language("en")


def test_english_is_there_and_one_more_language() -> None:
    assert languages() == ("en", "de")


@pytest.mark.parametrize("source", TOOL.sources(), ids=lambda path: path.parent.parent.name)
def test_a_translation_is_complete_and_compiled(source: Path) -> None:
    catalog = TOOL.updated(source, TOOL.collected())
    assert TOOL.missing(catalog) == []
    assert source.with_suffix(".mo").read_bytes() == TOOL.compiled(catalog), "run packaging/words.py"


@pytest.mark.parametrize("source", TOOL.sources(), ids=lambda path: path.parent.parent.name)
def test_a_translation_has_the_same_places_for_values(source: Path) -> None:
    for message in TOOL.updated(source, TOOL.collected()):
        ids = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
        for one, other in zip(ids, strings, strict=True) if message.id else ():
            assert sorted(re.findall(r"\{\w*\}", one)) == sorted(re.findall(r"\{\w*\}", other)), one


def test_a_missing_word_is_found() -> None:
    words = TOOL.collected()
    words.add("Nobody has translated this.")
    assert TOOL.missing(TOOL.updated(TOOL.sources()[0], words)) == ["Nobody has translated this."]


def test_words_change_with_the_language_and_fall_back_to_english() -> None:
    assert set_language("de") == "de"
    assert _("Settings") == "Einstellungen"
    assert n_("{count} found", "{count} found", 2) == "{count} gefunden"
    assert _("no such sentence") == "no such sentence"
    assert _("") == ""
    assert set_language("xx") == "en"
    assert _("Settings") == "Settings"


def test_an_error_is_said_in_the_language_with_its_values() -> None:
    set_language("de")
    error = AccountError("A group has at most {count} members.", count=16)
    assert str(error) == "A group has at most 16 members."
    assert error.said(_) == "Eine Gruppe hat höchstens 16 Mitglieder."
    assert AccountError("a {brace} stays").said(_) == "a {brace} stays"
