"""What comes from outside, made safe to show: the one rule, for the window and for the terminal.

From outside is whatever a peer, a server or a link chooses. ``displayable`` is for what may have several
lines, ``one_line`` for what stands in a row, a title or a sentence. ``iirs.client.text.columns`` puts marks
before the lines of a terminal, ``iirs.client.text.group_title`` says what a group is called.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MARKS_MAX = 4
"""Combining marks that one character carries: no language needs more, and a tower covers other lines."""
AGE_MAX_MS = 366 * 24 * 3600 * 1000
"""A text that says it was written longer before it arrived is shown as this old."""
_LINE_MAX = 120
PLAIN = re.compile(
    r"[ -~\n\u00a1-\u00ac\u00ae-\u02ff\u0391-\u03a1\u03a3-\u0482\u048a-\u052f\u05d0-\u05ea\u0620-\u064a"
    r"\u2010-\u2027\u2030-\u205e\u2190-\u23ff\u2460-\u25ff\u3001-\u3029\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3]*"
)
"""Texts of which nothing has to be looked at: most are such, and looking at each character is slow."""
_BIDI_CONTROLS = frozenset(
    "\N{ARABIC LETTER MARK}\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}"
    "\N{LEFT-TO-RIGHT EMBEDDING}\N{RIGHT-TO-LEFT EMBEDDING}\N{POP DIRECTIONAL FORMATTING}"
    "\N{LEFT-TO-RIGHT OVERRIDE}\N{RIGHT-TO-LEFT OVERRIDE}"
    "\N{LEFT-TO-RIGHT ISOLATE}\N{RIGHT-TO-LEFT ISOLATE}\N{FIRST STRONG ISOLATE}\N{POP DIRECTIONAL ISOLATE}"
)
JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_VISIBLE_FORMATS = frozenset("\u06dd\u070f\u08e2\U000110bd\U000110cd") | {
    chr(code) for code in (*range(0x600, 0x606), 0x890, 0x891)
}
"""Characters of category Cf that are seen: signs around Arabic, Syriac and Kaithi numbers."""
_INVISIBLE_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | {
    chr(code) for code in (*range(0x180B, 0x1810), *range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0))
}
"""Fillers and variation selectors that no category tells from what is seen; those of emoji stay."""
_BRAILLE_BLANK = "\N{BRAILLE PATTERN BLANK}"
_NO_BASE = "\N{DOTTED CIRCLE}"
_NEW_EMOJI = range(0x1F000, 0x1FB00)
"""What is not assigned here may be an emoji newer than this Python's tables."""


def displayable(text: str) -> str:
    """Return ``text`` without what could deceive or break a display.

    Controls other than newline, directional controls, private use, lone surrogates and unassigned characters
    become U+FFFD, tabs four spaces, line separators newlines. What nobody sees is left out, except for
    joiners between two characters; no character carries more than four combining marks, and marks without
    a character stand on a dotted circle.
    """
    if PLAIN.fullmatch(text):
        return text
    shown: list[str] = []
    marks = 0
    before = "\n"
    for character in map(_shown, text.replace("\r\n", "\n").replace("\t", "    ")):
        if not character or (character in JOINERS and (before.isspace() or before in JOINERS)):
            continue
        if is_mark(character):
            marks += 1
            if marks > MARKS_MAX:
                continue
            if before.isspace():
                shown.append(_NO_BASE)
        elif character not in JOINERS:
            marks = 0
            if character.isspace() and before in JOINERS:
                shown.pop()
        shown.append(character)
        before = character
    if before in JOINERS:
        shown.pop()
    return "".join(shown)


@lru_cache(4096)
def _shown(character: str) -> str:
    """Return what stands for one character; "" for what nobody sees."""
    category = unicodedata.category(character)
    if character == "\n" or category in {"Zl", "Zp"}:
        return "\n"
    if category in {"Cc", "Cs", "Co"} or character in _BIDI_CONTROLS:
        return REPLACEMENT
    if category == "Cn":
        return character if ord(character) in _NEW_EMOJI else REPLACEMENT
    if character in JOINERS or character in _VISIBLE_FORMATS:
        return character
    if category == "Cf" or character in _INVISIBLE_LETTERS:
        return ""
    return " " if character == _BRAILLE_BLANK else character


@lru_cache(4096)
def is_mark(character: str) -> bool:
    """Whether a character is drawn onto the one before it: a combining mark, or the end of a syllable."""
    return (
        unicodedata.category(character) in {"Mn", "Me"}
        or "\u1160" <= character <= "\u11ff"
        or "\ud7b0" <= character <= "\ud7fb"
    )


def one_line(text: str, most: int = _LINE_MAX) -> str:
    """Return ``text`` made safe, on one line, without padding, cut with … to ``most`` characters."""
    shown = " ".join(displayable(text[: 8 * most]).split())
    return shown if len(shown) <= most else _whole_end(shown[: most - 1]) + "…"


def cut_middle(text: str, most: int) -> str:
    """Return ``text``, which was made safe, cut in its middle with … to ``most`` characters."""
    if len(text) <= most:
        return text
    tail = most // 2
    return _whole_end(text[: most - 1 - tail]) + "…" + text[len(text) - tail :].lstrip(JOINERS)


def _whole_end(text: str) -> str:
    return text.rstrip(JOINERS + " ")


def believed_time(sent_ms: int, previous_ms: int, arrival_ms: int) -> int:
    """Return the time to show for what arrived now: its author's word, within what can be.

    Never after it arrived, nor before what the talk had before it (0: nothing), so that nobody makes days
    that have not come or are long gone. Unix time in milliseconds, by our clock.
    """
    return min(max(sent_ms, previous_ms, arrival_ms - AGE_MAX_MS), arrival_ms)
