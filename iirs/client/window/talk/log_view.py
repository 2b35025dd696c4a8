"""``LogView``: the log of a talk, drawn on a Canvas. Only what is in view has canvas items.

A frame per message would let a peer end the process: X runs out of windows at some hundreds. Rows are laid
out from the end upwards, some milliseconds at a time (``LogLayout``); reading on goes on meanwhile.
"""

from __future__ import annotations

import datetime
import time
import tkinter as tk
from collections.abc import Callable
from tkinter import ttk

from iirs.client.model.picture_queue import Picture
from iirs.client.model.talk import Row, Talk
from iirs.client.text.emoji import spelled_out
from iirs.client.text.translate import n_
from iirs.client.window.talk.bubbles import Bubbles
from iirs.client.window.talk.log_layout import PICTURE_MAX, LogLayout, Metrics
from iirs.client.window.talk.log_pictures import LogPictures
from iirs.client.window.theme.focus import focus_of
from iirs.client.window.theme.theme import Theme

_SLICE_SECONDS = 0.008
_SLICE_ROWS = 4
_NEAR_TOP = 600


class LogView(ttk.Frame):
    """Shows a ``Talk``: call ``show`` for another one and ``refresh`` when it may have changed.

    ``ask_older`` is called when the reader comes near the top and the store has more, ``pictures.ask`` with
    files that may be pictures, ``open_link`` with a link, ``open_menu`` with a row and a place on the screen.
    """

    def __init__(self, parent: tk.Misc, theme: Theme) -> None:
        super().__init__(parent)
        self._theme = theme
        self._talk = Talk("")
        self._version = -1
        self._offset = 0
        self._at_end = True
        self._unseen = 0
        self._chosen: Row | None = None
        self._width = 0
        self._with_emoji = False
        self._next_slice = ""
        self._asked_from: bytes | None = None
        self.pictures = LogPictures(self)
        self.ask_older: Callable[[str], None] = lambda talk: None
        self.open_link: Callable[[str], None] = lambda link: None
        self.open_menu: Callable[[Row, int, int], None] = lambda row, x, y: None
        self.canvas = tk.Canvas(
            self,
            background=theme.colours.background,
            height=theme.dp(110),
            highlightthickness=theme.dp(2),
            highlightbackground=theme.colours.background,
            highlightcolor=theme.colours.accent,
        )
        self.bubbles = Bubbles(self.canvas, theme)
        self._bar = ttk.Scrollbar(self, command=self._scroll_by_bar)
        self._bar.pack(side="right", fill="y", padx=(0, theme.dp(2)))
        self.canvas.pack(side="left", fill="both", expand=True)
        self._pill = ttk.Button(self, style="Accent.TButton", command=self.go_to_end)
        self._layout = self._fresh_layout()
        self._bind_input()
        self.bind("<Destroy>", lambda _: self._stop_work())

    def _bind_input(self) -> None:
        canvas, step = self.canvas, self._theme.dp(60)
        canvas.bind("<Configure>", lambda event: self._resize(event.width))
        for sequence, pixels in (("<Button-4>", -step), ("<Button-5>", step)):
            canvas.bind(sequence, lambda _, by=pixels: self._scroll(by))  # type: ignore[misc]
        canvas.bind("<MouseWheel>", lambda event: self._scroll(-step if event.delta > 0 else step))
        canvas.bind("<Prior>", lambda _: self._scroll(-canvas.winfo_height() * 9 // 10))
        canvas.bind("<Next>", lambda _: self._scroll(canvas.winfo_height() * 9 // 10))
        canvas.bind("<Home>", lambda _: self._scroll(-(10**9)))
        canvas.bind("<End>", lambda _: self.go_to_end())
        canvas.bind("<Up>", lambda _: self._choose_next(-1))
        canvas.bind("<Down>", lambda _: self._choose_next(1))
        canvas.bind("<Return>", lambda _: self._open_chosen())
        canvas.bind("<Control-c>", lambda _: self.copy_chosen())
        canvas.bind("<Button-1>", self._click)
        canvas.bind("<FocusOut>", lambda _: self.after_idle(self._leave))
        for sequence in ("<Button-3>", "<Button-2>"):
            canvas.bind(sequence, lambda event: self._menu_at(event.y, event.x_root, event.y_root))
        for sequence in ("<Menu>", "<App>", "<Shift-F10>"):
            try:
                canvas.bind(sequence, lambda _: self._menu_for_chosen())
            except tk.TclError:
                continue  # each system knows its own name of this key

    # -- what is shown ------------------------------------------------------------------------------

    @property
    def chosen(self) -> Row | None:
        """The row that is marked, for the keyboard and the menu."""
        return self._chosen

    @property
    def in_view(self) -> tuple[float, float]:
        """Where what is in view begins and ends in all there is, from 0 to 1."""
        first, last = self._bar.get()[:2]
        return first, last

    def show(self, talk: Talk) -> None:
        """Show another talk, from its end."""
        self._talk, self._version, self._chosen, self._unseen = talk, -1, None, 0
        self._at_end, self._asked_from = True, None
        self.pictures.look_for(())
        self.pictures.clear()
        self._start_over()

    def refresh(self) -> None:
        """Take in what has changed in the talk."""
        if self._width == 0:
            return  # not on the screen yet; the first resize shows it all
        rows = self._talk.rows
        other_emoji = self._theme.emoji.safe != self._with_emoji
        grown = len(rows) - len(self._layout.rows)
        if grown == 0 and self._version == self._talk.version and not other_emoji:
            return
        if grown > 0 and rows[-1] is not self._last_row() and not self._at_end:
            self._unseen += grown
        self._version = self._talk.version
        if other_emoji or not self._layout.catch_up(rows):
            self._start_over()
            return
        self._schedule()
        self._redraw()

    def _last_row(self) -> Row | None:
        return self._layout.rows[-1] if self._layout.rows else None

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

    def jump_to(self, item_id: bytes) -> bool:
        """Mark an entry and bring it into view; False if it is not among the talk's rows."""
        row = self._talk.row(item_id)
        if row is None or row not in self._layout.rows:
            return False
        index = self._layout.rows.index(row)
        if index < self._layout.first:
            self._layout.add_above(self._layout.first - index)
        place = self._layout.place(index)
        self._chosen, self._at_end = row, False
        self._offset = place.top - (self.canvas.winfo_height() - place.height) // 2
        self._redraw()
        return True

    def take_picture(self, picture: Picture) -> None:
        """Show a small picture in place of its file; or that there is none, if there should be."""
        if self.pictures.take(picture):
            for row in self._layout.rows:
                if row.file is not None and row.file.file_id == picture.file_id:
                    self._layout.lay_out_again(row)
            self._redraw()

    # -- layout -------------------------------------------------------------------------------------

    def _fresh_layout(self) -> LogLayout:
        theme = self._theme
        metrics = Metrics(
            theme.dp,
            theme.measure,
            theme.text.metrics("linespace"),
            theme.small.metrics("linespace"),
            self._width,
            (lambda text: text) if self._with_emoji else spelled_out,
            self.pictures.size_of,
        )
        return LogLayout(self._talk, metrics, datetime.datetime.now().astimezone().date())

    def _start_over(self) -> None:
        if self._width == 0:
            return
        kept = None if self._at_end else self._row_at_top()
        self._with_emoji = self._theme.emoji.safe
        self._version = self._talk.version
        self._layout = self._fresh_layout()
        self._fill_view()
        if kept is not None and kept[0] in self._layout.rows:
            index = self._layout.rows.index(kept[0])
            self._layout.add_above(max(0, self._layout.first - index))
            self._offset = self._layout.place(index).top + kept[1]
        self._schedule()
        self._redraw()

    def _fill_view(self) -> None:
        """Lay out what is in view and no more: of the longest texts, one takes milliseconds."""
        layout, tall = self._layout, 2 * self.canvas.winfo_height()
        while layout.bottom - layout.top < tall and layout.add_above(1):
            pass

    def _row_at_top(self) -> tuple[Row, int] | None:
        """Return the first row in view, and how far it is scrolled out."""
        if not self._layout.places:
            return None
        index = self._layout.index_at(self._offset)
        return self._layout.rows[index], self._offset - self._layout.place(index).top

    def _schedule(self) -> None:
        if self._layout.first > 0 and not self._next_slice:
            self._next_slice = self.after(1, self._work_on)

    def _work_on(self) -> None:
        self._next_slice = ""
        until = time.perf_counter() + _SLICE_SECONDS
        while time.perf_counter() < until and self._layout.add_above(_SLICE_ROWS):
            pass
        self._show_bar()
        if self._layout.first > 0:
            self._next_slice = self.after(10, self._work_on)

    def _stop_work(self) -> None:
        self.pictures.look_for(())
        if self._next_slice:
            self.after_cancel(self._next_slice)
            self._next_slice = ""

    def _resize(self, width: int) -> None:
        if width == self._width:
            self._redraw()
            return
        self._width = width
        self._start_over()

    # -- drawing ------------------------------------------------------------------------------------

    @property
    def _ends(self) -> tuple[int, int]:
        """The smallest and the largest offset."""
        dp, layout = self._theme.dp, self._layout
        top = layout.top - dp(10)
        return top, max(top, layout.bottom + dp(14) - self.canvas.winfo_height())

    def _redraw(self) -> None:
        canvas, height, layout = self.canvas, self.canvas.winfo_height(), self._layout
        first, last = self._ends
        self._offset = last if self._at_end else min(max(first, self._offset), last)
        self._at_end = self._offset >= last
        canvas.delete("all")
        canvas.configure(takefocus=bool(layout.rows))
        in_view = []
        if layout.places:
            for index in range(layout.index_at(self._offset), len(layout.rows)):
                if layout.place(index).top - self._offset > height:
                    break
                self._draw(index)
                in_view.append(layout.rows[index])
        self.pictures.look_for(in_view)
        self._show_bar()
        self._show_pill()
        self._want_older()

    def _draw(self, index: int) -> None:
        row, place = self._layout.rows[index], self._layout.place(index)
        before = self._layout.rows[index - 1] if index else None
        top = place.top - self._offset
        if place.heading:
            self.bubbles.heading(place.heading, top, self._width)
        top += self.bubbles.above(place) + self._layout.gap(before, row)
        if not row.text_id:
            self.bubbles.remark(row, top, self._width)
            return
        space = top, place.bottom - self._offset, self._width
        self.bubbles.bubble(row, place, space, self.pictures, chosen=row is self._chosen)

    def _want_older(self) -> None:
        near = self._offset - self._layout.top < self._theme.dp(_NEAR_TOP)
        if self._layout.first == 0 and near and self._talk.has_more and self._layout.rows:
            first = next((row.text_id for row in self._layout.rows if row.text_id), b"")
            if first != self._asked_from:
                self._asked_from = first
                self.ask_older(self._talk.peer)

    def _show_bar(self) -> None:
        first, _ = self._ends
        height = self.canvas.winfo_height()
        total = max(1, self._layout.bottom + self._theme.dp(14) - first)
        start = self._offset - first
        self._bar.set(start / total, min(1.0, (start + height) / total))

    def _show_pill(self) -> None:
        if self._at_end:
            self._unseen = 0
        if self._unseen:
            words = n_("{count} new ↓", "{count} new ↓", self._unseen).format(count=self._unseen)
            self._pill.configure(text=words)
            self._pill.place(relx=0.5, rely=1.0, y=-self._theme.dp(12), anchor="s")
        else:
            self._pill.place_forget()

    # -- scrolling and choosing -----------------------------------------------------------------------

    def _scroll(self, pixels: int) -> None:
        self._offset += pixels
        self._at_end = False
        self._redraw()

    def _scroll_by_bar(self, action: str, amount: str, unit: str = "") -> None:
        if action == "moveto":
            first, _ = self._ends
            total = self._layout.bottom + self._theme.dp(14) - first
            self._scroll(first + int(float(amount) * total) - self._offset)
        else:
            step = self.canvas.winfo_height() if unit == "pages" else self._theme.dp(60)
            self._scroll(int(amount) * step)

    def _choose(self, row: Row | None) -> None:
        if row is not self._chosen:
            self._chosen = row
            self._redraw()

    def _row_at(self, y: int) -> Row | None:
        if not self._layout.places or y + self._offset >= self._layout.bottom:
            return None
        row = self._layout.rows[self._layout.index_at(y + self._offset)]
        return row if row.text_id else None

    def _click(self, event: tk.Event[tk.Misc]) -> None:
        self.canvas.focus_set()
        tags = self.canvas.gettags("current")
        row = self._row_at(event.y)
        self._choose(row)
        if row is not None and "link" in tags:
            number = int(next(tag for tag in tags if tag.startswith("link ")).split()[1])
            self.open_link(self._layout.place(self._layout.rows.index(row)).links[number])

    def links_of(self, row: Row) -> tuple[str, ...]:
        """Return the links in a row of this log."""
        rows = self._layout.rows
        return tuple(self._layout.place(rows.index(row)).links) if row in rows else ()

    def _open_chosen(self) -> None:
        """Open the chosen row's first link; where it has none, show what else can be done with it."""
        links = () if self._chosen is None else self.links_of(self._chosen)
        if links:
            self.open_link(links[0])
        else:
            self._menu_for_chosen()

    def _leave(self) -> None:
        """Mark no row once keys go elsewhere in this window; a menu or a question is about the one marked."""
        focus = focus_of(self) if self.winfo_exists() else None
        if focus is not None and focus is not self.canvas and focus.winfo_toplevel() is self.winfo_toplevel():
            self._choose(None)

    def _choose_next(self, step: int) -> None:
        rows, first = self._layout.rows, self._layout.first
        current = rows.index(self._chosen) if self._chosen in rows else len(rows)
        index = current + step
        while first <= index < len(rows) and not rows[index].text_id:
            index += step
        if not first <= index < len(rows):
            return
        self._chosen = rows[index]
        place, height, gap = self._layout.place(index), self.canvas.winfo_height(), self._theme.dp(10)
        self._offset = max(min(self._offset, place.top - gap), place.bottom + gap - height)
        self._at_end = False
        self._redraw()

    def _menu_at(self, y: int, x_root: int, y_root: int) -> None:
        self.canvas.focus_set()
        self._choose(self._row_at(y))
        if self._chosen is not None:
            self.open_menu(self._chosen, x_root, y_root)

    def _menu_for_chosen(self) -> None:
        if self._chosen is not None and self._chosen in self._layout.rows:
            place = self._layout.place(self._layout.rows.index(self._chosen))
            x, y = self.canvas.winfo_rootx(), self.canvas.winfo_rooty()
            self.open_menu(self._chosen, x + self._theme.dp(60), y + max(0, place.top - self._offset))

    def copy_chosen(self) -> None:
        """Put the chosen row's whole text on the clipboard."""
        if self._chosen is not None:
            self.clipboard_clear()
            self.clipboard_append(self._chosen.whole)

    @property
    def picture_side(self) -> int:
        """The longest side of a picture, in pixels."""
        return self._theme.dp(PICTURE_MAX)
