"""How a row of a log is drawn: bubbles, file cards, remarks, headings."""

from __future__ import annotations

import time
import tkinter as tk

from iirs.client.messenger.file_transfer import seconds_for
from iirs.client.model.talk import Row
from iirs.client.store.log_entry import TextState, TransferState
from iirs.client.text.links import host_of
from iirs.client.text.text_layout import clock_time, duration, size_words
from iirs.client.text.translate import N_, _
from iirs.client.window.talk.log_layout import RowLayout, widest_inside
from iirs.client.window.talk.log_pictures import LogPictures
from iirs.client.window.theme.theme import Theme

_STATE_WORDS = {
    TextState.QUEUED: N_("queued"),
    TextState.SENT: N_("sent"),
    TextState.DELIVERED: N_("delivered ✓"),
    TextState.FAILED: N_("not delivered"),
}
_TRANSFER_WORDS = {
    TransferState.PAUSED: N_("paused"),
    TransferState.CANCELLED: N_("stopped"),
    TransferState.DAMAGED: N_("arrived damaged, not kept"),
}
_NOT_SHOWN = N_("no preview")
"""Of a picture that could not be read within the bounds; it can be saved like any file."""


_UNDER_WAY = frozenset({TransferState.MOVING, TransferState.PAUSED})


class Bubbles:
    """Draws rows on a canvas of some width."""

    def __init__(self, canvas: tk.Canvas, theme: Theme) -> None:
        self.canvas = canvas
        self.round_seconds = 2.0
        self._theme = theme

    def heading(self, text: str, top: int, width: int) -> None:
        """Draw a day, or where new messages begin."""
        y = top + self._theme.dp(14)
        colours, font = self._theme.colours, self._theme.small_bold
        self.canvas.create_text(width // 2, y, text=text, fill=colours.muted, font=font, tags="text")

    def remark(self, row: Row, top: int, width: int) -> None:
        """Draw a sentence of this program's own."""
        dp, theme, canvas = self._theme.dp, self._theme, self.canvas
        text = f"{row.shown}  ·  {clock_time(row.at_ms)}"
        half = theme.small.measure(text) // 2 + dp(12)
        middle = width // 2
        theme.box(canvas, (middle - half, top, middle + half, top + dp(24)), 12, theme.colours.accent_pale)
        ink = theme.colours.accent_dark
        canvas.create_text(middle, top + dp(12), text=text, fill=ink, font=theme.small, tags="text")

    def bubble(
        self,
        row: Row,
        place: RowLayout,
        space: tuple[int, int, int],
        pictures: LogPictures,
        *,
        chosen: bool,
    ) -> None:
        """Draw a text or a file; ``space`` is top, bottom and the whole width."""
        dp, theme = self._theme.dp, self._theme
        top, bottom, width = space
        note = note_of(row)
        picture = pictures.of(row)
        if picture is not None and row.transfer in _UNDER_WAY:
            note = f"{self.progress_words(row)} · {note}"
        inside = place.text_width if picture is None else picture.width()
        links = [self.link_words(link) for link in place.links]
        inside = max([inside, theme.small.measure(note), *map(theme.small.measure, links)])
        wide = inside + 2 * dp(12) + 2
        left = width - dp(14) - wide if row.outgoing else dp(18)
        if place.author:
            ink = theme.name_colour(place.author)
            self.canvas.create_text(
                left + dp(4),
                top,
                text=place.author,
                anchor="nw",
                font=theme.small_bold,
                fill=ink,
                tags="text",
            )
            top += theme.small.metrics("linespace") + dp(2)
        area = (left, top, left + wide, bottom)
        self._ground(row, area, chosen=chosen)
        if row.file is None:
            self._text(row, place, links, area)
        elif picture is not None:
            self.canvas.create_image(left + dp(12), top + dp(8), image=picture, anchor="nw")
            self._bar(row, left + dp(12), left + dp(12) + picture.width(), top + dp(3) + picture.height())
        else:
            self._card(row, area, refused=pictures.was_refused(row))
        self._note(row, note, area)

    def above(self, place: RowLayout) -> int:
        """Return how much of a place is heading."""
        return self._theme.dp(34) if place.heading else 0

    def _ground(self, row: Row, area: tuple[int, int, int, int], *, chosen: bool) -> None:
        dp, theme, canvas = self._theme.dp, self._theme, self.canvas
        colours, edge = theme.colours, dp(3)
        left, top, right, bottom = area
        if chosen:
            around = (left - edge, top - edge, right + edge, bottom + edge)
            theme.box(canvas, around, 17, colours.accent_dark if row.outgoing else colours.accent)
            if row.outgoing:
                inner = (around[0] + dp(1), around[1] + dp(1), around[2] - dp(1), around[3] - dp(1))
                theme.box(canvas, inner, 16, colours.accent_pale)
        theme.box(canvas, area, 14, colours.own_bubble if row.outgoing else colours.bubble)

    def link_words(self, link: str) -> str:
        """Return how a link is offered: by the host it goes to, whose end says whose it is."""
        font, words = self._theme.small_bold, _("Open {host} …")
        room = widest_inside(self._theme.dp, self.canvas.winfo_width()) - font.measure(words.format(host=""))
        return words.format(host=self._theme.fit_start(host_of(link), room, font))

    def _text(self, row: Row, place: RowLayout, links: list[str], area: tuple[int, int, int, int]) -> None:
        dp, theme, canvas = self._theme.dp, self._theme, self.canvas
        left, top = area[0] + dp(12), area[1] + dp(8)
        line_height = theme.text.metrics("linespace")
        # A text may be far taller than the window: draw its lines that are in view.
        first = max(0, -area[1] // line_height - 1)
        lines = place.lines[first : first + canvas.winfo_height() // line_height + 4]
        ink = theme.colours.on_own_bubble if row.outgoing else theme.colours.ink
        canvas.create_text(
            left,
            top + first * line_height,
            text="\n".join(map(theme.visual, lines)),
            anchor="nw",
            font=theme.text,
            fill=ink,
            tags="text",
        )
        y = top + len(place.lines) * line_height + dp(2)
        for number, words in enumerate(links):
            item = canvas.create_text(
                left,
                y,
                text=words,
                anchor="nw",
                font=theme.small_bold,
                fill=theme.colours.on_own_bubble if row.outgoing else theme.colours.accent,
                tags=("text", "link", f"link {number} of {row.text_id.hex()}"),
            )
            y = canvas.bbox(item)[3] + dp(2)

    def _card(self, row: Row, area: tuple[int, int, int, int], *, refused: bool) -> None:
        dp, theme, canvas, file = self._theme.dp, self._theme, self.canvas, row.file
        assert file is not None  # noqa: S101  # the caller looked
        colours = theme.colours
        left, top, right = area[0] + dp(12), area[1] + dp(8), area[2] - dp(12)
        ink = colours.on_own_bubble if row.outgoing else colours.ink
        muted = colours.on_own_bubble_muted if row.outgoing else colours.muted
        canvas.create_image(left + dp(16), top + dp(18), image=theme.disc(32, muted))
        ground = colours.own_bubble if row.outgoing else colours.bubble
        canvas.create_text(
            left + dp(16),
            top + dp(18),
            text=theme.visual(kind_word(row.shown)),
            font=theme.small_bold,
            fill=ground,
        )
        name = theme.visual(theme.fit_middle(row.shown, right - left - dp(42), theme.bold))
        canvas.create_text(
            left + dp(40), top + dp(8), text=name, anchor="w", font=theme.bold, fill=ink, tags="text"
        )
        canvas.create_text(
            left + dp(40),
            top + dp(27),
            text=self.progress_words(row, refused=refused),
            anchor="w",
            font=theme.small,
            fill=muted,
            tags="text",
        )
        self._bar(row, left, right, top + dp(42))

    def _bar(self, row: Row, left: int, right: int, top: int) -> None:
        """Draw how far a file is, while it is on its way."""
        dp, theme, colours = self._theme.dp, self._theme, self._theme.colours
        if row.file is None or row.transfer not in _UNDER_WAY:
            return
        theme.box(self.canvas, (left, top, right, top + dp(5)), 2, colours.line)
        if row.done > 0:
            done = left + max(dp(5), round((right - left) * row.done / row.file.size))
            ink = colours.on_own_bubble_muted if row.outgoing else colours.muted
            theme.box(self.canvas, (left, top, done, top + dp(5)), 2, ink)

    def progress_words(self, row: Row, *, refused: bool = False) -> str:
        """Return how far a file is, and how long it takes if nothing else is said; or that none is shown."""
        assert row.file is not None  # noqa: S101  # only files have progress
        size = size_words(row.file.size)
        if row.transfer is TransferState.MOVING:
            left = seconds_for(max(1, row.file.size - row.done), self.round_seconds)
            return _("{share} % of {size} · {time} left").format(
                share=100 * row.done // row.file.size, size=size, time=duration(left)
            )
        words = _TRANSFER_WORDS.get(row.transfer) if row.transfer is not None else None
        words = words or (_NOT_SHOWN if refused else None)
        return f"{size} · {_(words)}" if words else size

    def _note(self, row: Row, note: str, area: tuple[int, int, int, int]) -> None:
        dp, theme = self._theme.dp, self._theme
        colours = theme.colours
        self.canvas.create_text(
            area[2] - dp(12),
            area[3] - dp(7),
            text=note,
            anchor="se",
            font=theme.small,
            fill=colours.on_own_bubble_muted if row.outgoing else colours.muted,
            tags="text",
        )


def kind_word(name: str) -> str:
    """Return the end of a file's name, as the person would read it: it is shown, never believed."""
    _, dot, end = name.rpartition(".")
    return end[:3].upper() if dot and end.isalnum() else "···"


def note_of(row: Row) -> str:
    """Return what stands small below an entry: when, how far, and how long it stays."""
    parts = [clock_time(row.at_ms)]
    if row.expires_at_ms:
        left = max(0.0, row.expires_at_ms / 1000 - time.time())
        parts.append(_("gone in {time}").format(time=duration(left)))
    if row.state is not None and (row.file is None or row.state is TextState.DELIVERED):
        parts.append(_(_STATE_WORDS[row.state]))
    return "  ".join(parts)
