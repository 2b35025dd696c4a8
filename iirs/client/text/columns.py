"""Lines for a terminal: a mark before each text that no text can fake, and nothing wider than the screen.

A terminal folds a long line where it likes: padded to its width, a text could put another speaker, or a
sentence of this program, at the beginning of a line. So texts are folded here, and go on indented.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from iirs.client.text.display import JOINERS, displayable, is_mark
from iirs.client.text.text_layout import wrap

USUAL_COLUMNS = 80
_NARROWEST = 16
"""Columns that a text needs beside its mark."""
_BELOW = 2
"""How far a text is indented that stands below its mark."""
_MAY_BE_WIDE = (
    *(range(0x2600, 0x2700), range(0x4DC0, 0x4E00), range(0x16FF0, 0x1B300)),
    *(range(0x1D300, 0x1D380), range(0x1F000, 0x1FB00)),
)
"""Signs and scripts that newer tables than Python's have as wide."""
_SELECTORS = str.maketrans(dict.fromkeys("\N{VARIATION SELECTOR-15}\N{VARIATION SELECTOR-16}"))
"""Terminals disagree how wide a character is that is followed by one."""
_LIKE_A_MARK = re.compile(r"[:>\u02d0\u05c3\u0703\u0704\u16ec\u1803\u1809\u203a\u2236\u226b\u276d-\u2771"
                          r"\u27e9\u27eb\u3009\u300b\ua4fd\ua789\ufe13\ufe30\ufe55\ufe65\uff1a\uff1e\u00bb](\s|$)",
                          re.MULTILINE)  # fmt: skip
"""What a speaker's mark, or "iirs:", ends with, and what looks like it."""


@lru_cache(4096)
def width_of(character: str) -> int:
    """Return how many columns a character takes; where terminals differ, the most."""
    if is_mark(character) or character in JOINERS:
        return 0
    is_wide = unicodedata.east_asian_width(character) in "WF" or any(
        ord(character) in r for r in _MAY_BE_WIDE
    )
    return 2 if is_wide else 1


def columns_of(text: str) -> int:
    """Return how many columns a line takes."""
    return sum(map(width_of, text))


def marked(mark: str, text: str, columns: int | None, indent: int | None = None) -> str:
    """Return a text from outside behind ``mark``: every line but the first is indented, by the mark's width.

    No line is wider than ``columns``; where that leaves no room beside the mark, it stands above the text.
    Without columns nobody knows what the lines will be read on: they stay whole, unless something in one
    reads like a mark.
    """
    text = displayable(text).translate(_SELECTORS)
    indent = columns_of(mark) if indent is None else indent
    beside = max(indent, columns_of(mark))
    lines: list[str] = []
    if columns is not None and columns - beside < _NARROWEST:
        lines, indent, beside = [""], _BELOW, _BELOW
    for paragraph in text.split("\n"):
        width = USUAL_COLUMNS if columns is None and _LIKE_A_MARK.search(paragraph) else columns
        if width is None:
            lines.append(paragraph)
        else:
            room = max(_BELOW, width - beside)
            lines += [_fitting(line, room) for line in wrap(paragraph, room, width_of)]
    return mark + ("\n" + " " * indent).join(lines)


def _fitting(line: str, room: int) -> str:
    return line if columns_of(line) <= room else line.rstrip(" ")
