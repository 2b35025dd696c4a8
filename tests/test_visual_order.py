"""Right-to-left lines as they are handed to a screen that neither turns them nor joins their letters."""

from __future__ import annotations

import unicodedata

import pytest
from bidi import get_display
from hypothesis import given
from hypothesis import strategies as st

from iirs.client.text.visual_order import visual

PEACE = "\u0633\u0644\u0627\u0645"
JOINED = "\ufeb3\ufefc\u0645"
"""The same: seen at a beginning, lam and alef as one, meem by itself."""
LINES = (
    f"{PEACE} \u0639\u0644\u064a\u0643\u0645",
    f"bob: {PEACE} 12",
    "\u0641\u0627\u0631\u0633\u06cc \u067e\u0686\u0698\u06af",
    "\u0627\u0631\u062f\u0648 \u06c1\u06d2",
)


def letters(text: str) -> str:
    """Return the letters that are joined, or not, in a text: one of them for each of its forms."""
    return unicodedata.normalize("NFKC", text)


def test_arabic_letters_are_joined_and_turned() -> None:
    assert visual(PEACE) == JOINED[::-1]
    assert visual(f"bob: {PEACE}!") != f"bob: {PEACE}!"


@pytest.mark.parametrize("line", LINES)
def test_joined_letters_are_the_letters_that_were_written(line: str) -> None:
    shown = visual(line)
    assert shown != get_display(line)
    assert sorted(letters(shown)) == sorted(letters(line))


def test_marks_over_letters_stay() -> None:
    assert "\u064e" in visual("\u0633\u064e\u0644\u064e\u0645")


@given(st.text(st.characters(exclude_categories=("Cs",), max_codepoint=0x5FF), max_size=60))
def test_a_line_without_arabic_is_turned_and_nothing_else(line: str) -> None:
    assert visual(line) == (line if line.isascii() else get_display(line))
