"""Where each row of a log is, and what is written in it. Knows no windows: widths come from a function.

Rows are laid out from the newest up, a slice at a time, so that ten thousand of them never stop a window.
Places count in pixels from an arbitrary point: what is put above has smaller ones, even negative.
"""

from __future__ import annotations

import datetime
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from iirs.client.model.talk import Row, Talk
from iirs.client.text.links import links_in
from iirs.client.text.text_layout import day_name, day_of, wrap
from iirs.client.text.translate import _

_GROUP_MS = 5 * 60 * 1000
_NARROWEST = 120
_WIDEST = 520
PICTURE_MAX = 320
"""The longest side of a picture in a log, in dp."""


@dataclass(slots=True)
class RowLayout:
    """Where a row is, in pixels; ``heading`` is written above it, and ``author`` at its top."""

    top: int
    height: int
    lines: list[str] = field(repr=False)
    text_width: int
    heading: str
    author: str
    links: list[str] = field(repr=False)

    @property
    def bottom(self) -> int:
        """The first pixel below."""
        return self.top + self.height


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a layout needs to know of the screen."""

    dp: Callable[[float], int]
    measure: Callable[[str], float]
    line_height: int
    small_height: int
    width: int
    prepare: Callable[[str], str]
    """What is done to a text before it is wrapped: emoji spelled out where they cannot be drawn."""
    picture_size: Callable[[Row], tuple[int, int] | None]
    """Width and height of a row's picture in pixels, once it is there."""

    @property
    def widest(self) -> int:
        """The widest a bubble's inside may be."""
        return widest_inside(self.dp, self.width)


def widest_inside(dp: Callable[[float], int], width: int) -> int:
    """Return how wide the inside of a bubble may be on a log of some width, in pixels."""
    return max(dp(_NARROWEST), min(dp(_WIDEST), width * 7 // 10)) - 2 * dp(12)


class LogLayout:
    """The places of a talk's rows from ``first`` on; the rows before have none yet."""

    def __init__(self, talk: Talk, metrics: Metrics, today: datetime.date) -> None:
        self.talk = talk
        self.metrics = metrics
        self.rows: list[Row] = list(talk.rows)
        self.places: list[RowLayout] = []
        self.first = len(self.rows)
        self._today = today

    @property
    def top(self) -> int:
        """Where the first row with a place begins."""
        return self.places[0].top if self.places else 0

    @property
    def bottom(self) -> int:
        """Where the last row ends."""
        return self.places[-1].bottom if self.places else 0

    def add_above(self, count: int) -> int:
        """Lay out ``count`` more rows above; return how many that were."""
        start = max(0, self.first - count)
        fresh = [self._place(index, 0) for index in range(start, self.first)]
        top = self.top
        for place in reversed(fresh):
            top -= place.height
            place.top = top
        self.places[:0] = fresh
        self.first = start
        return len(fresh)

    def catch_up(self, rows: list[Row]) -> bool:
        """Take in rows that were put after the last or before the first; False if it was anything else."""
        old, grown = self.rows, len(rows) - len(self.rows)
        if grown < 0 or not old:
            return False
        if rows[0] is old[0] and rows[len(old) - 1] is old[-1]:
            self.rows = list(rows)
            for index in range(len(old), len(rows)):
                self.places.append(self._place(index, self.bottom))
            return True
        if rows[grown] is old[0] and rows[-1] is old[-1]:
            self.rows, self.first = list(rows), self.first + grown
            return True
        return False

    def lay_out_again(self, row: Row) -> None:
        """Give a row the place it needs now, and move those below."""
        if row not in self.rows[self.first :]:
            return
        index = self.rows.index(row, self.first)
        place = self.places[index - self.first]
        fresh = self._place(index, place.top)
        moved = fresh.height - place.height
        self.places[index - self.first] = fresh
        for below in self.places[index - self.first + 1 :]:
            below.top += moved

    def index_at(self, y: int) -> int:
        """Return the index in ``rows`` of the row at a height, at least the first with a place."""
        found = bisect_right(self.places, y, key=lambda place: place.top) - 1
        return self.first + max(0, found)

    def place(self, index: int) -> RowLayout:
        """Return the place of a row by its index in ``rows``."""
        return self.places[index - self.first]

    def _place(self, index: int, top: int) -> RowLayout:
        row = self.rows[index]
        before = self.rows[index - 1] if index else None
        dp, metrics = self.metrics.dp, self.metrics
        heading = self._heading(row, before)
        follows = follows_on(before, row)
        author = row.author if self.talk.is_group and not row.outgoing and not follows else ""
        height = (dp(34) if heading else 0) + self.gap(before, row)
        if not row.text_id:
            return RowLayout(top, height + dp(24), [row.shown], 0, heading, "", [])
        height += metrics.small_height + dp(2) if author else 0
        if row.file is not None:
            size = metrics.picture_size(row)
            inside = dp(56) if size is None else size[1] + dp(8)
            return RowLayout(top, height + inside + dp(33), [], dp(240), heading, author, [])
        lines = wrap(metrics.prepare(row.shown), metrics.widest, metrics.measure)
        width = max(int(sum(map(metrics.measure, line))) for line in lines)
        links = links_in(row.shown)
        height += len(lines) * metrics.line_height + dp(33)
        height += len(links) * (metrics.small_height + dp(4))
        return RowLayout(top, height, lines, width, heading, author, links)

    def gap(self, before: Row | None, row: Row) -> int:
        """Return the empty pixels above a row."""
        return self.metrics.dp(3 if follows_on(before, row) else 12)

    def _heading(self, row: Row, before: Row | None) -> str:
        day = day_of(row.at_ms)
        new_day = day is not None and (before is None or day_of(before.at_ms) != day)
        parts = [day_name(day, self._today)] if day is not None and new_day else []
        if row.text_id and row.text_id == self.talk.new_from:
            parts.append(_("New messages"))
        return "  ·  ".join(parts)


def follows_on(before: Row | None, row: Row) -> bool:
    """Whether a row goes on where the one before it, of the same author, has just ended."""
    if before is None or not before.text_id or not row.text_id:
        return False
    if (before.outgoing, before.author) != (row.outgoing, row.author):
        return False
    return abs(row.at_ms - before.at_ms) < _GROUP_MS
