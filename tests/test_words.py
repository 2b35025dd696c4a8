"""The words of the window: all of them translated, with the same places for values."""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from babel.messages import Catalog
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

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
    check_files(source, catalog, TOOL.read(source), TOOL.read_compiled(source))


def check_files(source: Path, wanted: Catalog, written: Catalog, compiled: Catalog) -> None:
    """A translation's two files say what they should, whichever version of Babel has written them."""
    assert TOOL.meaning(written) == TOOL.meaning(wanted), f"{source}: run packaging/words.py"
    assert TOOL.meaning(compiled) == TOOL.compiled_meaning(wanted), f"{source}: run packaging/words.py"


def test_what_translators_begin_with_has_all_words() -> None:
    with (TOOL.LOCALE / "iirs.pot").open("rb") as file:
        template = read_po(file)
    assert TOOL.meaning(template).keys() == TOOL.meaning(TOOL.collected()).keys(), "run packaging/words.py"


def test_files_by_another_version_of_babel_mean_the_same_and_another_word_does_not() -> None:
    source = TOOL.sources()[0]
    wanted = TOOL.updated(source, TOOL.collected())
    data = io.BytesIO()
    write_mo(data, wanted)
    newer = data.getvalue().replace(b"Generated-By: Babel", b"Generated-By: Label")
    assert newer != data.getvalue()
    check_files(source, wanted, TOOL.read(source), read_mo(io.BytesIO(newer)))
    other = read_mo(io.BytesIO(data.getvalue().replace(b"Einstellungen", b"Einstellungem")))
    with pytest.raises(AssertionError, match=r"run packaging/words\.py"):
        check_files(source, wanted, TOOL.read(source), other)
    written = TOOL.read(source)
    written["Settings"].flags.add("fuzzy")
    with pytest.raises(AssertionError, match=r"run packaging/words\.py"):
        check_files(source, wanted, written, TOOL.read_compiled(source))


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


USUAL_WORDS = {
    "in sync": "Connected. Enter sends, Shift+Enter begins a new line.",
    "these keys": "Keyboard shortcuts",
    "show all keys": "Show all keyboard shortcuts",
    "size of words": "Text size",
    "as the system": "Same as system",
    "comes unseen": "When a new message arrives",
    "password of now": "Current password",
}
"""Words that only we used, and a sentence with those that other programs have."""


def test_the_window_says_it_in_the_words_of_other_programs() -> None:
    shown = [text for message in TOOL.collected() for text in (message.id or "",)]
    sentences = [part for text in shown for part in ((text,) if isinstance(text, str) else text)]
    assert [s for s in sentences if any(word in s.lower() for word in USUAL_WORDS)] == []
    assert set(USUAL_WORDS.values()) <= set(sentences)
