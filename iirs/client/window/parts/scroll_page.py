"""``ScrollPage``: a column of widgets in the middle of the window, scrolled where it does not fit."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from tkinter import ttk
from typing import Literal, TypeVar

from iirs.client.window.parts.flow import wrapping
from iirs.client.window.theme.focus import focus_of
from iirs.client.window.theme.theme import Theme

_FAR = 10_000
_Variable = TypeVar("_Variable", bound=tk.Variable)


class ScrollPage(ttk.Frame):
    """Put widgets into ``body``: wheel and keys scroll it, and whatever gets the focus comes into view."""

    def __init__(self, parent: tk.Misc, theme: Theme, width: int) -> None:
        """``width`` is the column's, in dp; it is narrower in a narrow window."""
        super().__init__(parent)
        self._theme = theme
        self._kept: list[tk.Variable] = []
        self._sizes = (0, 0, 0, 0)
        self._focus_at = 0
        self._width = width
        ground = theme.colours.background
        self.canvas = tk.Canvas(
            self, background=ground, highlightthickness=0, takefocus=False, width=1, height=theme.dp(220)
        )
        bar = ttk.Scrollbar(self, command=self.canvas.yview)
        bar.pack(side="right", fill="y")
        self.canvas.pack(fill="both", expand=True)
        self.canvas.configure(yscrollcommand=bar.set)
        self.body = ttk.Frame(self.canvas, padding=(0, theme.dp(24)))
        self._item = self.canvas.create_window(0, 0, window=self.body, anchor="n")
        self.canvas.bind("<Configure>", lambda _: self._settle())
        self.body.bind("<Configure>", lambda _: self._settle())
        window = self.winfo_toplevel()
        if not window.bind("<Prior>"):
            _bind_scrolling(window)

    def heading(self, title: str, way_back: str, close: Callable[[], None]) -> ttk.Button:
        """Begin the page with its title, and return the button beside it that goes back."""
        row = ttk.Frame(self.body)
        row.pack(fill="x")
        button = ttk.Button(row, text=way_back, style="Accent.TButton", command=close)
        button.pack(side="right")
        label = wrapping(ttk.Label(row, text=title, style="Title.TLabel"))
        label.pack(side="left", fill="x", expand=True)
        return button

    def centred(self, title: str, about: str) -> None:
        """Begin a page that says one thing: its title and what it is about, in the middle."""
        dp = self._theme.dp
        ttk.Label(self.body, text=title, style="Title.TLabel").pack()
        label = wrapping(
            ttk.Label(self.body, text=about, style="Muted.TLabel", justify="center", anchor="center")
        )
        label.pack(fill="x", pady=(dp(8), dp(16)))

    def section(self, title: str, about: str = "") -> None:
        """Begin a section under a heading, with what it is about."""
        label = wrapping(ttk.Label(self.body, text=title, style="Heading.TLabel"))
        label.pack(fill="x", pady=(self._theme.dp(26), self._theme.dp(6)))
        if about:
            self.muted(about)

    def muted(self, text: str, *, above: int = 2) -> None:
        """Explain something, in as many lines as the column is wide for; ``above`` is in dp."""
        dp = self._theme.dp
        label = wrapping(ttk.Label(self.body, text=text, style="Muted.TLabel"))
        label.pack(fill="x", pady=(dp(above), dp(2)))

    def field(self, label: str, *, secret: bool = False) -> ttk.Entry:
        """Return a field to write in, under its label."""
        dp = self._theme.dp
        wrapping(ttk.Label(self.body, text=label, style="Bold.TLabel")).pack(fill="x", pady=(dp(8), dp(3)))
        entry = ttk.Entry(self.body, font=self._theme.text, show="•" if secret else "")
        entry.pack(fill="x")
        return entry

    def mends(self, message: ttk.Label, *fields: ttk.Entry) -> None:
        """Put a complaint away as soon as something is written in one of these fields."""

        def forget() -> bool:
            message.configure(text="")
            return True

        for entry in fields:
            entry.configure(validate="key", validatecommand=self.register(forget))

    def kept(self, variable: _Variable) -> _Variable:
        """Return a variable that lasts as long as the page: Tk's end with the last reference to them."""
        self._kept.append(variable)
        return variable

    def see(self, widget: tk.Misc) -> None:
        """Scroll so that a widget of the body is in view, and something around it if there is room."""
        whole, seen = self.body.winfo_height(), self.canvas.winfo_height()
        top, height = widget.winfo_rooty() - self.body.winfo_rooty(), widget.winfo_height()
        self._focus_at = top
        if whole <= seen:
            return
        first = self.canvas.canvasy(0)
        room = max(0, min(self._theme.dp(24), (seen - height) // 2))
        if top < first + room or height > seen:
            self.canvas.yview_moveto(max(0, top - room) / whole)
        elif top + height > first + seen - room:
            self.canvas.yview_moveto((top + height + room - seen) / whole)
        self.update_idletasks()

    def follow(self, widget: tk.Misc) -> None:
        """Keep what has the focus in view, if it is elsewhere in the body than it was."""
        if widget.winfo_rooty() - self.body.winfo_rooty() != self._focus_at:
            self.see(widget)

    def scroll(self, step: int, what: Literal["units", "pages"]) -> bool:
        """Move what is seen down or up by so many steps; False if all of it is seen already."""
        has_more = self.body.winfo_height() > self.canvas.winfo_height()
        if has_more:
            self.canvas.yview_scroll(step, what)
        return has_more

    def _settle(self) -> None:
        """Find out what there is room for, and keep in view what has the focus."""
        width, height = self.canvas.winfo_width(), self.canvas.winfo_height()
        sizes = (width, height, self.body.winfo_reqheight(), self.body.winfo_height())
        if width <= 1 or sizes == self._sizes:
            return  # no room has been given yet: lines would be one letter wide; or it was but scrolled
        self._sizes = sizes
        self._fit(width, height)
        self.after_idle(_see_focus, self)

    def _fit(self, width: int, height: int) -> None:
        dp = self._theme.dp
        column = min(dp(self._width), width - dp(32))
        needed = self.body.winfo_reqheight()
        spare = max(0, (height - needed) * 2 // 5)
        self.canvas.itemconfigure(self._item, width=max(1, column))
        self.canvas.coords(self._item, width // 2, spare)
        self.canvas.configure(scrollregion=(0, 0, width, max(height, needed)), yscrollincrement=dp(20))


class FillingPage(ScrollPage):
    """As wide and high as there is room, and higher where what is in ``inside`` needs more."""

    def __init__(self, parent: tk.Misc, theme: Theme) -> None:
        super().__init__(parent, theme, 0)
        self.body.configure(padding=0)
        self.canvas.itemconfigure(self._item, anchor="nw")
        # A post as high as what is seen: a height given to the body would hide from Tk that it needs more.
        self._post = ttk.Frame(self.body, width=1)
        self._post.pack(side="left")
        self.inside = ttk.Frame(self.body)
        self.inside.pack(side="left", fill="both", expand=True)

    def _fit(self, width: int, height: int) -> None:
        self._post.configure(height=height)
        self.canvas.itemconfigure(self._item, width=width)
        tall = max(height, self.inside.winfo_reqheight())
        self.canvas.configure(scrollregion=(0, 0, width, tall), yscrollincrement=self._theme.dp(20))


def _bind_scrolling(window: tk.Misc) -> None:
    """Have keys, the wheel and the focus scroll the pages of a window.

    They are bound to the window, as Tk takes a label with key bindings of its own for a stop of Tab.
    """
    for sequence, step in (("<Button-4>", -2), ("<Button-5>", 2)):
        window.bind(sequence, lambda event, by=step: _scroll(event.widget, by, "units"), add=True)  # type: ignore[misc]
    window.bind(
        "<MouseWheel>",
        lambda event: _scroll(event.widget, -2 if event.delta > 0 else 2, "units"),
        add=True,
    )
    window.bind("<Prior>", lambda event: _scroll(event.widget, -1, "pages"), add=True)
    window.bind("<Next>", lambda event: _scroll(event.widget, 1, "pages"), add=True)
    for key, steps in (("Up", -2), ("Down", 2), ("Home", -_FAR), ("End", _FAR)):
        window.bind(f"<{key}>", lambda event, by=steps: _scroll_from(event.widget, by), add=True)  # type: ignore[misc]
    waiting: list[str] = []

    def follow() -> None:
        waiting.clear()
        _follow(window)

    def follow_soon(_: tk.Event[tk.Misc]) -> None:
        """Not at once: a canvas that is scrolled while it moves its widgets leaves them where they were."""
        if not waiting:
            waiting.append(window.after_idle(follow))

    for sequence in ("<Configure>", "<Map>"):
        window.bind(sequence, follow_soon, add=True)
    # What the focus came through on its way is told of it as well: only where it is now counts.
    window.bind("<FocusIn>", lambda _: window.after_idle(_see_focus, window), add=True)


def _pages_of(widget: tk.Misc) -> list[ScrollPage]:
    """Return the pages a widget is on, the innermost first."""
    found = []
    above: tk.Misc | None = widget
    while above is not None:
        if isinstance(above, ScrollPage) and above is not widget:
            found.append(above)
        above = above.master
    return found


def _scroll(widget: tk.Misc, step: int, what: Literal["units", "pages"]) -> None:
    if not _scrolls_itself(widget, step):
        any(page.scroll(step, what) for page in _pages_of(widget))


def _scroll_from(widget: tk.Misc, step: int) -> None:
    """Scroll by a key that elsewhere moves the cursor in a field, or the choice in a list."""
    between_choices = isinstance(widget, ttk.Radiobutton) and abs(step) < _FAR
    if isinstance(widget, ttk.Button | ttk.Checkbutton | ttk.Radiobutton) and not between_choices:
        _scroll(widget, step, "units")


def _scrolls_itself(widget: tk.Misc, step: int) -> bool:
    """Return whether a widget has more in this direction than it shows, and moves that itself."""
    if isinstance(widget, tk.Listbox | tk.Text):
        view = widget.yview()
    else:
        view = getattr(widget.master, "in_view", (0.0, 1.0))  # of lists that are drawn on a canvas
    return bool(view[0] > 0 if step < 0 else view[1] < 1)


def _follow(window: tk.Misc) -> None:
    focus = focus_of(window) if window.winfo_exists() else None
    if focus is not None and focus.winfo_ismapped():
        for page in _pages_of(focus):
            page.follow(focus)


def _see_focus(window: tk.Misc) -> None:
    if window.winfo_exists():
        focus = focus_of(window)
        if focus is not None:
            for page in _pages_of(focus):
                page.see(focus)
