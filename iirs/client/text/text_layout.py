"""Lines, times and days as they are shown. Knows nothing of windows; widths come from a function."""

from __future__ import annotations

import datetime
from collections.abc import Callable

from iirs.client.text.translate import N_, _, n_

SHOWN_CHARACTERS = 6_000
SHOWN_NEWLINES = 120
_SHORTENED = N_("… (shortened here; copying takes all of it)")
_WEEKDAYS = (
    N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"), N_("Saturday"), N_("Sunday"),
)  # fmt: skip
_MONTHS = (
    N_("January"), N_("February"), N_("March"), N_("April"), N_("May"), N_("June"), N_("July"), N_("August"),
    N_("September"), N_("October"), N_("November"), N_("December"),
)  # fmt: skip
"""Not the system's own names: the window may speak another language."""


def shorten(text: str) -> str:
    """Return ``text`` cut to what a log shows of one text, saying so if it was cut.

    Without a limit one peer could fill the log with a single text of newlines.
    """
    lines = text.split("\n", SHOWN_NEWLINES)
    shown = "\n".join(lines[:SHOWN_NEWLINES])[:SHOWN_CHARACTERS]
    return text if shown == text else shown + "\n" + _(_SHORTENED)


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
            return _("Today")
        case 1:
            return _("Yesterday")
    return _("{weekday}, {day} {month} {year}").format(
        weekday=_(_WEEKDAYS[day.weekday()]), day=day.day, month=_(_MONTHS[day.month - 1]), year=day.year
    )


def short_day(day: datetime.date) -> str:
    """Return the day of a year in a few letters."""
    return _("{day} {month}").format(day=day.day, month=_(_MONTHS[day.month - 1])[:3])


def _local(at_ms: int) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromtimestamp(at_ms / 1000).astimezone()
    except (OSError, OverflowError, ValueError):
        return None


def duration(seconds: float) -> str:
    """Return a length of time as people say it, short."""
    whole = max(0, round(seconds))
    if whole < 60:
        return _("{count} s").format(count=whole)
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        short = _("{count} min").format(count=minutes)
        return short + (" " + _("{count} s").format(count=rest) if rest and minutes < 10 else "")
    if whole < 48 * 3600:
        return _("{count} h").format(count=round(whole / 3600))
    days = round(whole / 86400)
    return n_("{count} day", "{count} days", days).format(count=days)


def size_words(size: int) -> str:
    """Return a number of bytes as people say it."""
    if size < 1024:
        return n_("{count} byte", "{count} bytes", size).format(count=size)
    return _("{count} KiB").format(count=f"{size / 1024:.0f}" if size >= 10240 else f"{size / 1024:.1f}")
