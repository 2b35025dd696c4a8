"""Makes a stranger's text safe to show, in a terminal or a window. The one place that does."""

from __future__ import annotations

import unicodedata

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MARKS_MAX = 4
_BIDI_CONTROLS = frozenset(
    "\N{ARABIC LETTER MARK}\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}"
    "\N{LEFT-TO-RIGHT EMBEDDING}\N{RIGHT-TO-LEFT EMBEDDING}\N{POP DIRECTIONAL FORMATTING}"
    "\N{LEFT-TO-RIGHT OVERRIDE}\N{RIGHT-TO-LEFT OVERRIDE}"
    "\N{LEFT-TO-RIGHT ISOLATE}\N{RIGHT-TO-LEFT ISOLATE}\N{FIRST STRONG ISOLATE}\N{POP DIRECTIONAL ISOLATE}"
)


def displayable(text: str) -> str:
    """Return ``text`` without what could deceive or break a display.

    Controls other than newline, lone surrogates and bidirectional controls become U+FFFD, tabs four spaces,
    line separators newlines, and no character carries more than four combining marks.
    """
    shown: list[str] = []
    marks = 0
    for character in text.replace("\r\n", "\n"):
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks > _MARKS_MAX:
            continue
        if character == "\n" or category in {"Zl", "Zp"}:
            shown.append("\n")
        elif character == "\t":
            shown.append("    ")
        elif category in {"Cc", "Cs"} or character in _BIDI_CONTROLS:
            shown.append(_REPLACEMENT)
        else:
            shown.append(character)
    return "".join(shown)
