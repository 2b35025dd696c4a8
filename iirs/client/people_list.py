"""``PeopleList``: the people one can talk to, drawn on a Canvas; only the rows in view have items."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from tkinter import ttk

from iirs.client.look import Look

_ROW = 58


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One row of the list."""

    name: str
    brief: str
    unread: int
    lively: bool
    """In sync just now."""
    asks: bool


class PeopleList(ttk.Frame):
    """A list of people; ``choose`` is called with a name by click or by Return."""

    def __init__(self, parent: tk.Misc, look: Look, choose: Callable[[str], None]) -> None:
        super().__init__(parent, style="Side.TFrame")
        self._look = look
        self._choose = choose
        self._rows: list[PersonRow] = []
        self._open = ""
        self._marked = -1
        self._offset = 0
        self.canvas = tk.Canvas(
            self, background=self._look.colours.side, highlightthickness=0, takefocus=True, width=1
        )
        self._bar = ttk.Scrollbar(self, style="Side.Vertical.TScrollbar", command=self._scroll_by_bar)
        self._bar.pack(side="right", fill="y", padx=(0, look.dp(2)))
        self.canvas.pack(side="left", fill="both", expand=True)
        step = look.dp(_ROW)
        canvas = self.canvas
        canvas.bind("<Configure>", lambda _: self._redraw())
        canvas.bind("<Button-1>", self._click)
        canvas.bind("<Button-4>", lambda _: self._scroll(-step))
        canvas.bind("<Button-5>", lambda _: self._scroll(step))
        canvas.bind("<MouseWheel>", lambda event: self._scroll(-step if event.delta > 0 else step))
        canvas.bind("<Up>", lambda _: self._mark(self._marked - 1))
        canvas.bind("<Down>", lambda _: self._mark(self._marked + 1))
        canvas.bind("<Return>", lambda _: self._choose_marked())
        canvas.bind("<space>", lambda _: self._choose_marked())
        canvas.bind("<FocusIn>", lambda _: self._mark(max(0, self._marked)))
        canvas.bind("<FocusOut>", lambda _: self._redraw())

    def show(self, rows: list[PersonRow], open_name: str) -> None:
        """Show these rows; ``open_name`` is the conversation being looked at."""
        if rows != self._rows or open_name != self._open:
            self._rows, self._open = rows, open_name
            self._marked = min(self._marked, len(rows) - 1)
            self._redraw()

    @property
    def names(self) -> list[str]:
        """The names in the list, from top to bottom."""
        return [row.name for row in self._rows]

    def _redraw(self) -> None:
        canvas, row_height = self.canvas, self._look.dp(_ROW)
        height, total = canvas.winfo_height(), max(1, len(self._rows) * row_height)
        self._offset = min(max(0, self._offset), max(0, total - height))
        canvas.delete("all")
        first = self._offset // row_height
        for index in range(first, min(len(self._rows), first + height // row_height + 2)):
            self._draw(index, index * row_height - self._offset)
        self._bar.set(self._offset / total, min(1.0, (self._offset + height) / total))

    def _draw(self, index: int, top: int) -> None:
        dp, look, canvas, row = self._look.dp, self._look, self.canvas, self._rows[index]
        width, middle = canvas.winfo_width(), top + dp(_ROW) // 2
        area = (dp(8), top + dp(2), width - dp(4), top + dp(_ROW) - dp(2))
        if row.name == self._open:
            look.box(canvas, area, 10, self._look.colours.chosen)
        if index == self._marked and canvas.focus_get() is canvas:
            canvas.create_rectangle(*area, outline=self._look.colours.accent, width=dp(2))
        look.draw_avatar(canvas, row.name, dp(34), middle, 36)
        if row.lively:
            canvas.create_image(dp(47), middle + dp(13), image=look.disc(14, self._look.colours.side))
            canvas.create_image(dp(47), middle + dp(13), image=look.disc(10, self._look.colours.good))
        room = width - dp(62) - dp(40)
        font = look.bold if row.unread or row.asks else look.text
        name_y = middle - dp(9) if row.brief else middle
        canvas.create_text(
            dp(62),
            name_y,
            text=_fit(row.name, room, font.measure),
            anchor="w",
            fill=self._look.colours.ink,
            font=font,
        )
        if row.brief:
            ink = self._look.colours.accent if row.asks else self._look.colours.muted
            small = look.small_bold if row.asks else look.small
            canvas.create_text(dp(62), middle + dp(10), text=row.brief, anchor="w", fill=ink, font=small)
        if row.unread:
            text = "99+" if row.unread > 99 else str(row.unread)
            half = max(dp(10), look.small_bold.measure(text) // 2 + dp(6))
            centre = width - dp(16) - half
            look.box(
                canvas,
                (centre - half, middle - dp(10), centre + half, middle + dp(10)),
                10,
                self._look.colours.accent,
            )
            canvas.create_text(
                centre, middle, text=text, fill=self._look.colours.on_accent, font=look.small_bold
            )

    def _scroll(self, pixels: int) -> None:
        self._offset += pixels
        self._redraw()

    def _scroll_by_bar(self, action: str, amount: str, unit: str = "") -> None:
        row_height = self._look.dp(_ROW)
        if action == "moveto":
            self._offset = int(float(amount) * len(self._rows) * row_height)
        else:
            self._offset += int(amount) * (self.canvas.winfo_height() if unit == "pages" else row_height)
        self._redraw()

    def _mark(self, index: int) -> None:
        self._marked = min(max(0, index), len(self._rows) - 1)
        top, height = self._marked * self._look.dp(_ROW), self.canvas.winfo_height()
        self._offset = max(min(self._offset, top), top + self._look.dp(_ROW) - height)
        self._redraw()

    def _choose_marked(self) -> None:
        if self._rows:
            self._choose(self._rows[max(0, self._marked)].name)

    def _click(self, event: tk.Event[tk.Misc]) -> None:
        index = (event.y + self._offset) // self._look.dp(_ROW)
        if 0 <= index < len(self._rows):
            self._marked = index
            self._choose(self._rows[index].name)


def _fit(text: str, room: int, measure: Callable[[str], int]) -> str:
    if measure(text) <= room:
        return text
    while text and measure(text + "…") > room:
        text = text[:-1]
    return text + "…"
