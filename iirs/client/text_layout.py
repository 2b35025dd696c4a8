"""Lines, times and days as they are shown. Knows nothing of windows; widths come from a function."""

from __future__ import annotations

import datetime
from collections.abc import Callable

SHOWN_CHARACTERS = 6_000
SHOWN_NEWLINES = 120
_SHORTENED = "\n… (shortened here; copying takes all of it)"


def shorten(text: str) -> str:
    """Return ``text`` cut to what a log shows of one text, saying so if it was cut.

    Without a limit one peer could fill the log with a single text of newlines.
    """
    lines = text.split("\n", SHOWN_NEWLINES)
    shown = "\n".join(lines[:SHOWN_NEWLINES])[:SHOWN_CHARACTERS]
    return text if shown == text else shown + _SHORTENED


def wrap(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """Cut ``text`` into lines of at most ``width``, at spaces where there are any.

    ``measure`` gives one character's width; sums of it are exact enough, as Tk does not kern.
    """
    return [line for paragraph in text.split("\n") for line in _wrap_paragraph(paragraph, width, measure)]


def _wrap_paragraph(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    lines: list[str] = []
    start, space, used = 0, -1, 0.0
    for place, character in enumerate(text):
        used += measure(character)
        if character == " ":
            space = place  # a space may hang over the edge: nobody sees it
        elif used > width and place > start:
            cut = space + 1 if space >= start else place
            lines.append(text[start:cut].rstrip(" "))
            start, used = cut, sum(measure(kept) for kept in text[cut : place + 1])
    lines.append(text[start:])
    return lines


def clock_time(at_ms: int) -> str:
    """Return the local time of day; a dash for a time that no calendar has (a peer may claim any)."""
    moment = _local(at_ms)
    return "-" if moment is None else moment.strftime("%H:%M")


def day_of(at_ms: int) -> datetime.date | None:
    """Return the local day, or ``None`` for a time that no calendar has."""
    moment = _local(at_ms)
    return None if moment is None else moment.date()


def day_name(day: datetime.date, today: datetime.date) -> str:
    """Return a day as people say it."""
    match (today - day).days:
        case 0:
            return "Today"
        case 1:
            return "Yesterday"
    return day.strftime("%A, %d %B %Y")


def _local(at_ms: int) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromtimestamp(at_ms / 1000).astimezone()
    except (OSError, OverflowError, ValueError):
        return None
