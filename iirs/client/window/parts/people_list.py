"""``PeopleList``: the talks and people one can look at, drawn on a Canvas; only rows in view have items."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass
from tkinter import ttk

from iirs.client.window.theme.focus import focus_of
from iirs.client.window.theme.theme import Theme

_ROW = 62


@dataclass(frozen=True, slots=True)
class PersonRow:
    """One row of the list. Words are as they are shown: safe, and one line."""

    key: str
    title: str
    number: str
    """What the picture is made from."""
    line: str
    """The last thing said, or where the talk stands."""
    when: str
    unread: int
    lively: bool
    """In sync just now."""
    asks: bool
    verified: bool = False


class PeopleList(ttk.Frame):
    """A list of talks; ``choose`` gets a key by click or by Return, ``open_menu`` a key and a point."""

    def __init__(self, parent: tk.Misc, theme: Theme) -> None:
        super().__init__(parent, style="Side.TFrame")
        self._theme = theme
        self.choose: Callable[[str], None] = lambda key: None
        self._rows: list[PersonRow] = []
        self._open = ""
        self._marked = -1
        self._offset = 0
        self._drawn: dict[int, tuple[object, ...]] = {}
        self.open_menu: Callable[[str, int, int], None] = lambda key, x, y: None
        self.canvas = tk.Canvas(
            self, background=theme.colours.side, highlightthickness=0, takefocus=True, width=1
        )
        self._bar = ttk.Scrollbar(self, style="Side.Vertical.TScrollbar", command=self._scroll_by_bar)
        self._bar.pack(side="right", fill="y", padx=(0, theme.dp(2)))
        self.canvas.pack(side="left", fill="both", expand=True)
        self._bind_input()

    def _bind_input(self) -> None:
        step, canvas = self._theme.dp(_ROW), self.canvas
        canvas.bind("<Configure>", lambda _: self._redraw(everything=True))
        canvas.bind("<Button-1>", self._click)
        canvas.bind("<Button-4>", lambda _: self._scroll(-step))
        canvas.bind("<Button-5>", lambda _: self._scroll(step))
        canvas.bind("<MouseWheel>", lambda event: self._scroll(-step if event.delta > 0 else step))
        for key, go_to in self._ways().items():
            canvas.bind(f"<{key}>", lambda _, go=go_to: self._mark(go()))  # type: ignore[misc]
        canvas.bind("<Return>", lambda _: self._choose_marked())
        canvas.bind("<space>", lambda _: self._choose_marked())
        canvas.bind("<FocusIn>", lambda _: self._mark(max(0, self._marked)))
        canvas.bind("<FocusOut>", lambda _: self._redraw())
        for sequence in ("<Button-3>", "<Button-2>"):
            canvas.bind(sequence, self._menu_at)
        for sequence in ("<Menu>", "<App>", "<Shift-F10>"):
            try:
                canvas.bind(sequence, lambda _: self._menu_for_marked())
            except tk.TclError:
                continue  # each system knows its own name of this key

    def _ways(self) -> dict[str, Callable[[], int]]:
        """Return the keys that move the mark, and the row each moves it to."""
        return {
            "Up": lambda: self._marked - 1,
            "Down": lambda: self._marked + 1,
            "Prior": lambda: self._marked - self._in_view,
            "Next": lambda: self._marked + self._in_view,
            "Home": lambda: 0,
            "End": lambda: len(self._rows) - 1,
        }

    @property
    def _in_view(self) -> int:
        return max(1, self.canvas.winfo_height() // self._theme.dp(_ROW))

    def show(self, rows: list[PersonRow], open_key: str) -> None:
        """Show these rows; ``open_key`` is the talk being looked at."""
        if rows != self._rows or open_key != self._open:
            self._rows, self._open = rows, open_key
            self._marked = min(self._marked, len(rows) - 1)
            self.canvas.configure(takefocus=bool(rows))
            self._redraw()

    @property
    def in_view(self) -> tuple[float, float]:
        """Where what is in view begins and ends in all there is, from 0 to 1."""
        first, last = self._bar.get()[:2]
        return first, last

    @property
    def names(self) -> list[str]:
        """The keys in the list, from top to bottom."""
        return [row.key for row in self._rows]

    # -- drawing ------------------------------------------------------------------------------------

    def _redraw(self, *, everything: bool = False) -> None:
        """Draw what is in view; a row that is as it was is only moved."""
        canvas, height_of_row = self.canvas, self._theme.dp(_ROW)
        height, total = canvas.winfo_height(), max(1, len(self._rows) * height_of_row)
        self._offset = min(max(0, self._offset), max(0, total - height))
        if everything:
            canvas.delete("all")
            self._drawn.clear()
        first = self._offset // height_of_row
        wanted: dict[int, tuple[object, ...]] = {}
        has_focus = focus_of(canvas) is canvas
        for index in range(first, min(len(self._rows), first + height // height_of_row + 2)):
            row = self._rows[index]
            wanted[index] = (row, row.key == self._open, index == self._marked and has_focus)
        for index in [index for index, drawn in self._drawn.items() if wanted.get(index) != drawn]:
            canvas.delete(f"row {index}")
            del self._drawn[index]
        for index, state in wanted.items():
            if index not in self._drawn:
                self._draw(index, marked=bool(state[2]))
                self._drawn[index] = state
        canvas.configure(scrollregion=(0, 0, canvas.winfo_width(), max(total, height)))
        canvas.yview_moveto(self._offset / max(total, height))
        self._bar.set(self._offset / total, min(1.0, (self._offset + height) / total))

    def _draw(self, index: int, *, marked: bool) -> None:
        dp, theme, canvas, row = self._theme.dp, self._theme, self.canvas, self._rows[index]
        before = set(canvas.find_all())
        colours, top = theme.colours, index * dp(_ROW)
        width, middle = canvas.winfo_width(), top + dp(_ROW) // 2
        area = (dp(8), top + dp(2), width - dp(4), top + dp(_ROW) - dp(2))
        if row.key == self._open:
            theme.box(canvas, area, 10, colours.chosen)
        if marked:
            canvas.create_rectangle(*area, outline=colours.accent, width=dp(2))
        theme.draw_avatar(canvas, row.number, row.title, (dp(35), middle), 38)
        if row.lively:
            canvas.create_image(dp(49), middle + dp(13), image=theme.disc(14, colours.side))
            canvas.create_image(dp(49), middle + dp(13), image=theme.disc(10, colours.good))
        self._draw_words(row, middle, width)
        if row.unread:
            self._draw_badge(row.unread, width, middle + dp(11))
        for item in set(canvas.find_all()) - before:
            canvas.addtag_withtag(f"row {index}", item)

    def _draw_words(self, row: PersonRow, middle: int, width: int) -> None:
        dp, theme, canvas = self._theme.dp, self._theme, self.canvas
        colours, left = theme.colours, dp(64)
        font = theme.bold if row.unread or row.asks else theme.text
        name_y = middle - dp(10) if row.line else middle
        when_width = theme.small.measure(row.when) + dp(8) if row.when else 0
        mark = " ✓" if row.verified else ""
        room = width - left - dp(14) - when_width - font.measure(mark)
        title = theme.visual(theme.fit(row.title, room, font)) + mark
        canvas.create_text(left, name_y, text=title, anchor="w", fill=colours.ink, font=font)
        if row.when:
            ink = colours.accent if row.unread else colours.muted
            canvas.create_text(width - dp(14), name_y, text=row.when, anchor="e", fill=ink, font=theme.small)
        if row.line:
            ink = colours.accent if row.asks else colours.muted
            small = theme.small_bold if row.asks else theme.small
            room = width - left - dp(14) - (dp(36) if row.unread else 0)
            line = theme.visual(theme.fit(row.line, room, small))
            canvas.create_text(left, middle + dp(11), text=line, anchor="w", fill=ink, font=small)

    def _draw_badge(self, unread: int, width: int, y: int) -> None:
        dp, theme, canvas = self._theme.dp, self._theme, self.canvas
        text = "99+" if unread > 99 else str(unread)
        half = max(dp(10), theme.small_bold.measure(text) // 2 + dp(6))
        centre = width - dp(14) - half
        theme.box(canvas, (centre - half, y - dp(9), centre + half, y + dp(9)), 9, theme.colours.accent)
        canvas.create_text(centre, y, text=text, fill=theme.colours.on_accent, font=theme.small_bold)

    # -- moving and choosing --------------------------------------------------------------------------

    def _scroll(self, pixels: int) -> None:
        self._offset += pixels
        self._redraw()

    def _scroll_by_bar(self, action: str, amount: str, unit: str = "") -> None:
        row_height = self._theme.dp(_ROW)
        if action == "moveto":
            self._offset = int(float(amount) * len(self._rows) * row_height)
        else:
            self._offset += int(amount) * (self.canvas.winfo_height() if unit == "pages" else row_height)
        self._redraw()

    def _mark(self, index: int) -> None:
        self._marked = min(max(0, index), len(self._rows) - 1)
        top, height = self._marked * self._theme.dp(_ROW), self.canvas.winfo_height()
        self._offset = max(min(self._offset, top), top + self._theme.dp(_ROW) - height)
        self._redraw()

    def _choose_marked(self) -> None:
        if self._rows:
            self.choose(self._rows[max(0, self._marked)].key)

    def _index_at(self, y: int) -> int:
        return (y + self._offset) // self._theme.dp(_ROW)

    def _click(self, event: tk.Event[tk.Misc]) -> None:
        index = self._index_at(event.y)
        if 0 <= index < len(self._rows):
            self._marked = index
            self.choose(self._rows[index].key)

    def _menu_at(self, event: tk.Event[tk.Misc]) -> None:
        index = self._index_at(event.y)
        if 0 <= index < len(self._rows):
            self._mark(index)
            self.open_menu(self._rows[index].key, event.x_root, event.y_root)

    def _menu_for_marked(self) -> None:
        if 0 <= self._marked < len(self._rows):
            y = self._marked * self._theme.dp(_ROW) - self._offset
            canvas = self.canvas
            x_root, y_root = canvas.winfo_rootx() + self._theme.dp(64), canvas.winfo_rooty() + y
            self.open_menu(self._rows[self._marked].key, x_root, y_root)
