"""``LogView``: the log of a conversation, drawn on a Canvas. Only what is in view has canvas items.

A frame per message would let a peer end the process: X runs out of windows at some hundreds.
"""

from __future__ import annotations

import datetime
import tkinter as tk
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from tkinter import ttk

from iirs.client.emoji import spelled_out
from iirs.client.entries import TextState
from iirs.client.look import Look
from iirs.client.talk import Row, Talk
from iirs.client.text_layout import clock_time, day_name, day_of, wrap

_GROUP_MS = 5 * 60 * 1000
_STATE_WORDS = {TextState.QUEUED: "queued", TextState.SENT: "sent", TextState.DELIVERED: "delivered ✓"}
_NARROWEST = 120


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row is in the log, in pixels from its top; ``day`` is written above it."""

    top: int
    height: int
    lines: list[str]
    text_width: int
    day: str


class LogView(ttk.Frame):
    """Shows a ``Talk``: call ``show`` for another one and ``refresh`` when it may have changed."""

    def __init__(self, parent: tk.Misc, look: Look) -> None:
        super().__init__(parent)
        self._look = look
        self._rows: list[Row] = []
        self._places: list[_Place] = []
        self._talk = Talk("")
        self._version = -1
        self._offset = 0
        self._at_end = True
        self._unseen = 0
        self._chosen: Row | None = None
        self._width = 0
        self._with_emoji = False
        self.canvas = tk.Canvas(
            self, background=self._look.colours.background, highlightthickness=0, takefocus=True
        )
        self._bar = ttk.Scrollbar(self, command=self._scroll_by_bar)
        self._bar.pack(side="right", fill="y", padx=(0, look.dp(2)))
        self.canvas.pack(side="left", fill="both", expand=True)
        self._pill = ttk.Button(self, style="Accent.TButton", command=self.go_to_end, takefocus=False)
        self._menu = tk.Menu(self, tearoff=False, font=look.text)
        self._menu.add_command(label="Copy text", command=self.copy_chosen)
        self._bind_input()

    def _bind_input(self) -> None:
        canvas, step = self.canvas, self._look.dp(60)
        canvas.bind("<Configure>", lambda event: self._resize(event.width))
        for sequence, pixels in (("<Button-4>", -step), ("<Button-5>", step)):
            canvas.bind(sequence, lambda _, by=pixels: self._scroll(by))  # type: ignore[misc]
        canvas.bind("<MouseWheel>", lambda event: self._scroll(-step if event.delta > 0 else step))
        canvas.bind("<Prior>", lambda _: self._scroll(-canvas.winfo_height() * 9 // 10))
        canvas.bind("<Next>", lambda _: self._scroll(canvas.winfo_height() * 9 // 10))
        canvas.bind("<Home>", lambda _: self._scroll(-self._total))
        canvas.bind("<End>", lambda _: self.go_to_end())
        canvas.bind("<Up>", lambda _: self._choose_next(-1))
        canvas.bind("<Down>", lambda _: self._choose_next(1))
        canvas.bind("<Control-c>", lambda _: self.copy_chosen())
        canvas.bind("<Button-1>", lambda event: self._choose_at(event.y))
        canvas.bind("<FocusOut>", lambda _: self._choose(None))
        for sequence in ("<Button-3>", "<Button-2>"):
            canvas.bind(sequence, self._open_menu)

    # -- what is shown ------------------------------------------------------------------------------

    def show(self, talk: Talk) -> None:
        """Show another conversation, from its end."""
        self._talk, self._rows, self._places = talk, [], []
        self._version, self._chosen, self._unseen = -1, None, 0
        self._at_end = True
        self.refresh()

    def refresh(self) -> None:
        """Take in what has changed in the conversation."""
        if self._width == 0:
            return  # not on the screen yet; the first resize shows it all
        rows = self._talk.rows
        grown = len(rows) - len(self._rows)
        emoji = self._look.emoji.safe
        if (self._version, grown, self._with_emoji) == (self._talk.version, 0, emoji):
            return
        # Rows are only ever appended, unless history was put before them.
        appended = self._rows == rows[: len(self._rows)]
        if appended and not self._at_end:
            self._unseen += max(0, grown)
        if not appended or emoji != self._with_emoji:
            self._rows, self._places, self._with_emoji = [], [], emoji
        self._version = self._talk.version
        self._lay_out(rows)
        self._redraw()

    @property
    def shown_texts(self) -> list[str]:
        """The texts drawn just now, from top to bottom."""
        canvas = self.canvas
        return [
            str(canvas.itemcget(item, "text"))  # type: ignore[no-untyped-call]
            for item in canvas.find_withtag("text")
        ]

    def go_to_end(self) -> None:
        """Show the newest row."""
        self._at_end, self._unseen = True, 0
        self._redraw()

    # -- layout -------------------------------------------------------------------------------------

    @property
    def _total(self) -> int:
        end = self._places[-1].top + self._places[-1].height if self._places else 0
        return end + self._look.dp(14)

    def _resize(self, width: int) -> None:
        if width == self._width:
            self._redraw()
            return
        index, self._width = self._first_visible(), width
        self._with_emoji = self._look.emoji.safe
        before = self._places[index].top if self._places else 0
        self._rows, self._places = [], []
        self._lay_out(self._talk.rows)
        self._version = self._talk.version
        if self._places and not self._at_end:
            self._offset += self._places[index].top - before
        self._redraw()

    def _lay_out(self, rows: list[Row]) -> None:
        dp, today = self._look.dp, datetime.datetime.now().astimezone().date()
        widest = max(dp(_NARROWEST), min(dp(520), self._width * 7 // 10)) - 2 * dp(12)
        line_height = self._look.text.metrics("linespace")
        done = len(self._places)
        top = self._places[-1].top + self._places[-1].height if self._places else dp(10)
        for before, row in pairwise([rows[done - 1] if done else None, *rows[done:]]):
            if row is None:
                continue
            day = day_of(row.at_ms)
            new_day = day is not None and (before is None or day_of(before.at_ms) != day)
            top += dp(3) if _same_group(before, row) else dp(12)
            if row.text_id:
                shown = row.shown if self._with_emoji else spelled_out(row.shown)
                lines = wrap(shown, widest, self._look.measure)
                width = max(int(sum(map(self._look.measure, line))) for line in lines)
                height = len(lines) * line_height + dp(16) + dp(17)
            else:
                lines, width = [row.shown], 0
                height = dp(24)
            heading = day_name(day, today) if new_day and day is not None else ""
            height += dp(34) if heading else 0
            self._places.append(_Place(top, height, lines, width, heading))
            top += height
        self._rows = list(rows)

    def _first_visible(self) -> int:
        return max(0, bisect_right(self._places, self._offset, key=lambda place: place.top) - 1)

    # -- drawing ------------------------------------------------------------------------------------

    def _redraw(self) -> None:
        canvas, height = self.canvas, self.canvas.winfo_height()
        last = max(0, self._total - height)
        self._offset = last if self._at_end else min(max(0, self._offset), last)
        self._at_end = self._offset >= last
        canvas.delete("all")
        for index in range(self._first_visible(), len(self._places)):
            place = self._places[index]
            if place.top - self._offset > height:
                break
            self._draw(self._rows[index], place)
        total = max(self._total, 1)
        self._bar.set(self._offset / total, min(1.0, (self._offset + height) / total))
        self._show_pill()

    def _draw(self, row: Row, place: _Place) -> None:
        dp, canvas = self._look.dp, self.canvas
        top = place.top - self._offset
        if place.day:
            y = top + dp(14)
            canvas.create_text(
                self._width // 2, y, text=place.day, fill=self._look.colours.muted, font=self._look.small_bold
            )
            top += dp(34)
        if row.text_id:
            self._draw_bubble(row, place, top)
        else:
            self._draw_remark(row, top)

    def _draw_remark(self, row: Row, top: int) -> None:
        dp, canvas = self._look.dp, self.canvas
        text = f"{row.shown}  ·  {clock_time(row.at_ms)}"
        half = self._look.small.measure(text) // 2 + dp(12)
        middle = self._width // 2
        self._look.box(
            canvas, (middle - half, top, middle + half, top + dp(24)), 12, self._look.colours.accent_pale
        )
        canvas.create_text(
            middle,
            top + dp(12),
            text=text,
            fill=self._look.colours.accent_dark,
            font=self._look.small,
            tags="text",
        )

    def _draw_bubble(self, row: Row, place: _Place, top: int) -> None:
        dp, look, canvas = self._look.dp, self._look, self.canvas
        note = clock_time(row.at_ms) + (f"  {_STATE_WORDS[row.state]}" if row.state else "")
        width = max(place.text_width, look.small.measure(note)) + 2 * dp(12) + 2
        left = self._width - dp(14) - width if row.outgoing else dp(18)
        bottom = place.top + place.height - self._offset
        fill = self._look.colours.own_bubble if row.outgoing else self._look.colours.bubble
        if row is self._chosen:
            edge = dp(3)
            around = (left - edge, top - edge, left + width + edge, bottom + edge)
            look.box(
                canvas,
                around,
                17,
                self._look.colours.accent_dark if row.outgoing else self._look.colours.accent,
            )
            if row.outgoing:
                inner = (left - edge + dp(1), top - edge + dp(1), around[2] - dp(1), around[3] - dp(1))
                look.box(canvas, inner, 16, self._look.colours.accent_pale)
        look.box(canvas, (left, top, left + width, bottom), 14, fill)
        line_height = look.text.metrics("linespace")
        # A text may be far taller than the window: draw its lines that are in view.
        first = max(0, -top // line_height - 1)
        lines = place.lines[first : first + canvas.winfo_height() // line_height + 4]
        canvas.create_text(
            left + dp(12),
            top + dp(8) + first * line_height,
            text="\n".join(lines),
            anchor="nw",
            font=look.text,
            fill=self._look.colours.on_own_bubble if row.outgoing else self._look.colours.ink,
            tags="text",
        )
        canvas.create_text(
            left + width - dp(12),
            bottom - dp(7),
            text=note,
            anchor="se",
            font=look.small,
            fill=self._look.colours.on_own_bubble_muted if row.outgoing else self._look.colours.muted,
            tags="text",
        )

    def _show_pill(self) -> None:
        if self._at_end:
            self._unseen = 0
        if self._unseen:
            self._pill.configure(text=f"{self._unseen} new ↓")
            self._pill.place(relx=0.5, rely=1.0, y=-self._look.dp(12), anchor="s")
        else:
            self._pill.place_forget()

    # -- scrolling and choosing -----------------------------------------------------------------------

    def _scroll(self, pixels: int) -> None:
        self._offset += pixels
        self._at_end = False
        self._redraw()

    def _scroll_by_bar(self, action: str, amount: str, unit: str = "") -> None:
        if action == "moveto":
            self._scroll(int(float(amount) * self._total) - self._offset)
        else:
            step = self.canvas.winfo_height() if unit == "pages" else self._look.dp(60)
            self._scroll(int(amount) * step)

    def _choose(self, row: Row | None) -> None:
        if row is not self._chosen:
            self._chosen = row
            self._redraw()

    def _choose_at(self, y: int) -> None:
        self.canvas.focus_set()
        index = bisect_right(self._places, y + self._offset, key=lambda place: place.top) - 1
        self._choose(self._rows[index] if index >= 0 and self._rows[index].text_id else None)

    def _choose_next(self, step: int) -> None:
        texts = [index for index, row in enumerate(self._rows) if row.text_id]
        if not texts:
            return
        current = self._rows.index(self._chosen) if self._chosen in self._rows else len(self._rows)
        ahead = [index for index in texts if (index - current) * step > 0]
        chosen = (ahead[0] if step > 0 else ahead[-1]) if ahead else current
        if chosen < len(self._rows):
            self._chosen = self._rows[chosen]
            place, height = self._places[chosen], self.canvas.winfo_height()
            lowest = place.top + place.height + self._look.dp(10) - height
            self._offset = max(min(self._offset, place.top - self._look.dp(10)), lowest)
            self._at_end = False
            self._redraw()

    def _open_menu(self, event: tk.Event[tk.Misc]) -> None:
        self._choose_at(event.y)
        if self._chosen is not None:
            self._menu.tk_popup(event.x_root, event.y_root)

    def copy_chosen(self) -> None:
        """Put the chosen row's whole text on the clipboard."""
        if self._chosen is not None:
            self.clipboard_clear()
            self.clipboard_append(self._chosen.whole)


def _same_group(before: Row | None, row: Row) -> bool:
    if before is None or not before.text_id or not row.text_id or before.outgoing != row.outgoing:
        return False
    return abs(row.at_ms - before.at_ms) < _GROUP_MS
