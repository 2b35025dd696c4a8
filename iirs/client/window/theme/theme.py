"""How the windows look, in one place: colours, fonts, pixels, ttk styles."""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable
from functools import partial
from tkinter import font as tkfont
from tkinter import ttk
from typing import Any

from iirs.client.messenger.safety_number import identicon
from iirs.client.text.display import cut_middle
from iirs.client.text.emoji import EmojiProbe, spelled_out
from iirs.client.text.visual_order import visual
from iirs.client.window.theme.avatars import paint
from iirs.client.window.theme.editing import edit_as_elsewhere
from iirs.client.window.theme.palette import LIGHT, Palette
from iirs.client.window.theme.shapes import RoundedBox

_FAMILIES = ("Inter", "Noto Sans", "Cantarell", "Ubuntu", "Open Sans", "DejaVu Sans")

WIDEST_BUTTON = 270
"""Words on buttons take a second line beyond this, in dp: half a small screen has 340 at twice the size."""


_OF_TK = ("TkDefaultFont", "TkTextFont", "TkIconFont", "TkCaptionFont")
"""What Tk's own dialogs are written in, which on X11 it draws itself."""

_MEASURED_MAX = 400
"""Characters of a line that are measured: no screen is wider."""


def window_keys_first(widget: tk.Misc) -> None:
    """Let the window's keys go before those of an entry, where Control+K would delete what is written."""
    own, kind, window, everything = widget.bindtags()
    widget.bindtags((own, window, kind, everything))


class _Widths(dict[str, float]):
    """The widths of characters in a font, each asked of Tk once: a dict's own lookup is what is quick."""

    def __init__(self, font: tkfont.Font) -> None:
        super().__init__()
        self._font = font

    def __missing__(self, character: str) -> float:
        width = self[character] = float(self._font.measure(character))
        return width


class Theme:
    """The theme of one Tk interpreter. ``dp`` turns a length at 96 dots per inch into pixels."""

    def __init__(self, root: tk.Misc, colours: Palette = LIGHT, zoom: float = 1.0) -> None:
        """Restyle ttk's clam for every window of ``root``."""
        self.root = root
        self.colours = colours
        self.zoom = zoom
        self._scale = min(4.0, max(1.0, round(root.winfo_fpixels("1i") / 96 * 4) / 4))
        self._images: dict[object, tk.PhotoImage] = {}
        make = partial(tkfont.Font, root=root, family=self._family())
        self.text, self.small, self.heading, self.title = make(), make(), make(), make()
        self.bold, self.small_bold = make(), make()
        on_x11 = root.tk.call("tk", "windowingsystem") == "x11"
        self._turns = on_x11
        edit_as_elsewhere(root)
        self.emoji = EmojiProbe(needed=on_x11)
        self.restyle(colours, zoom)

    def restyle(self, colours: Palette, zoom: float) -> None:
        """Change colours and the size of words (1.0 is usual); widgets made before must be made anew."""
        self.colours, self.zoom = colours, zoom
        plain = ((self.text, 14), (self.small, 12))
        strong = ((self.bold, 14), (self.small_bold, 12), (self.heading, 17), (self.title, 26))
        for font, size in (*plain, *strong):
            font.configure(size=-self.dp(size))
        for font, _ in strong:
            font.configure(weight="bold")
        for name in _OF_TK:
            tkfont.nametofont(name, root=self.root).configure(size=-self.dp(13))
        self.measure: Callable[[str], float] = _Widths(self.text).__getitem__
        """Return a character's width in the text font, in pixels."""
        self._style(ttk.Style(self.root))

    def drawable(self, text: str) -> str:
        """Return a text that this screen survives: with emoji spelled out where they cannot be drawn."""
        return text if self.emoji.safe else spelled_out(text)

    def visual(self, line: str) -> str:
        """Return a line as it has to be handed to this screen: Tk on X11 turns nothing by itself."""
        line = self.drawable(line)
        return visual(line) if self._turns else line

    def dp(self, length: float) -> int:
        """Return a length at 96 dots per inch in this screen's pixels."""
        return round(length * self._scale * self.zoom)

    def picture(self, box: RoundedBox, crop: tuple[int, int, int, int] | None = None) -> tk.PhotoImage:
        """Return a smooth shape, drawn once."""
        key = (box, crop)
        if key not in self._images:
            self._images[key] = tk.PhotoImage(master=self.root, data=box.png(crop), format="png")
        return self._images[key]

    def disc(self, diameter: int, colour: str) -> tk.PhotoImage:
        """Return a smooth disc; the diameter is in dp."""
        size = self.dp(diameter)
        return self.picture(RoundedBox(size, size, size / 2, colour))

    def draw_avatar(
        self, canvas: tk.Canvas, number: str, title: str, place: tuple[int, int], diameter: int
    ) -> None:
        """Draw around a point the picture of a person's or group's number, and the title's first letter."""
        canvas.create_image(*place, image=self._avatar(number or title, diameter))
        font = self.heading if diameter > 48 else self.bold if diameter > 28 else self.small_bold
        letter = self.visual(title[:1].upper())
        canvas.create_text(*place, text=letter, fill=self.colours.on_own_bubble, font=font)

    def _avatar(self, number: str, diameter: int) -> tk.PhotoImage:
        size = self.dp(diameter)
        key = ("avatar", number, size)
        if key not in self._images:
            data = paint(identicon(number), size)
            self._images[key] = tk.PhotoImage(master=self.root, data=data, format="png")
        return self._images[key]

    def box(self, canvas: tk.Canvas, area: tuple[int, int, int, int], radius: int, colour: str) -> None:
        """Draw a box with smooth round corners; ``area`` in pixels, ``radius`` in dp."""
        left, top, right, bottom = area
        if right - left < 2 or bottom - top < 2:
            return  # the canvas has not got its size yet
        edge = min(self.dp(radius), (right - left) // 2, (bottom - top) // 2)
        whole = RoundedBox(2 * edge, 2 * edge, edge, colour)
        for x, y, column, row in (
            (left, top, 0, 0),
            (right - edge, top, edge, 0),
            (left, bottom - edge, 0, edge),
            (right - edge, bottom - edge, edge, edge),
        ):
            image = self.picture(whole, (column, row, column + edge, row + edge))
            canvas.create_image(x, y, image=image, anchor="nw")
        canvas.create_rectangle(left + edge, top, right - edge, bottom, fill=colour, width=0)
        canvas.create_rectangle(left, top + edge, left + edge, bottom - edge, fill=colour, width=0)
        canvas.create_rectangle(right - edge, top + edge, right, bottom - edge, fill=colour, width=0)

    def list_box(self, parent: tk.Misc, font: tkfont.Font, ground: str, height: int) -> tk.Listbox:
        """Return a list of lines, one of which can be chosen by keys or mouse."""
        colours = self.colours
        box = tk.Listbox(
            parent,
            height=height,
            font=font,
            background=ground,
            foreground=colours.ink,
            selectbackground=colours.accent,
            selectforeground=colours.on_accent,
            borderwidth=0,
            highlightthickness=self.dp(2),
            highlightcolor=colours.accent,
            highlightbackground=ground,
            activestyle="none",
            exportselection=False,
        )
        # The line that keys act on is the one that is seen to be chosen.
        box.bind("<FocusIn>", lambda _: box.selection_set("active"))
        return box

    def name_colour(self, name: str) -> str:
        """Return the colour a person's name has in a group, always the same for the same name."""
        return self.colours.names[sum(name.encode()) % len(self.colours.names)]

    def fit(self, text: str, room: int, font: tkfont.Font) -> str:
        """Return a text cut with … at its end to at most ``room`` pixels."""
        return self._fit(text, lambda length: text[:length] + "…", room, font)

    def fit_middle(self, text: str, room: int, font: tkfont.Font) -> str:
        """Return a text cut with … in its middle: of a file's name the end matters too."""
        return self._fit(text, lambda length: cut_middle(text, length + 1), room, font)

    def fit_start(self, text: str, room: int, font: tkfont.Font) -> str:
        """Return a text cut with … at its start: of a host the end says whose it is."""
        return self._fit(text, lambda length: "…" + text[len(text) - length :], room, font)

    def _fit(self, text: str, cut: Callable[[int], str], room: int, font: tkfont.Font) -> str:
        whole = self.drawable(text)
        if len(text) <= _MEASURED_MAX and font.measure(whole) <= room:
            return whole
        low, high = 0, min(len(text), _MEASURED_MAX)
        while low < high:
            middle = (low + high + 1) // 2
            fits = font.measure(self.drawable(cut(middle))) <= room
            low, high = (middle, high) if fits else (low, middle - 1)
        return self.drawable(cut(low))

    def _family(self) -> str:
        usual = str(tkfont.nametofont("TkDefaultFont", root=self.root).actual("family"))
        if self.root.tk.call("tk", "windowingsystem") != "x11":
            return usual  # Windows and macOS name a good one
        there = set(tkfont.families(self.root))
        return next((family for family in _FAMILIES if family in there), usual)

    # -- ttk ------------------------------------------------------------------------------------------

    def _style(self, style: ttk.Style) -> None:
        colours = self.colours
        # Image elements can be made once a theme: every palette and size gets a theme of its own.
        theme = f"iirs-{colours.name}-{self._scale}-{self.zoom}"
        if theme not in style.theme_names():
            style.theme_create(theme, parent="clam")
        style.theme_use(theme)
        style.configure(
            ".", background=colours.background, foreground=colours.ink, font=self.text, borderwidth=0
        )
        style.configure(
            ".", focuscolor=colours.accent, troughcolor=colours.side, selectbackground=colours.accent
        )
        style.configure(".", insertcolor=colours.accent, insertwidth=self.dp(2))
        for name, background in (
            ("Side", colours.side),
            ("Warn", colours.warn_pale),
            ("Bad", colours.bad_pale),
            ("Line", colours.line),
        ):
            style.configure(f"{name}.TFrame", background=background)
            style.configure(f"{name}.TLabel", background=background)
        style.configure("Muted.TLabel", foreground=colours.muted, font=self.small)
        style.configure(
            "SideMuted.TLabel", background=colours.side, foreground=colours.muted, font=self.small
        )
        style.configure("Bold.TLabel", font=self.small_bold)
        style.configure("Heading.TLabel", font=self.heading)
        style.configure("SideHeading.TLabel", font=self.heading, background=colours.side)
        style.configure("Title.TLabel", font=self.title)
        style.configure("Error.TLabel", foreground=colours.bad)
        style.configure("Warn.TLabel", foreground=colours.warn)
        style.configure("Bad.TLabel", foreground=colours.bad)
        self._style_buttons(style)
        self._style_fields(style)
        self._style_bars(style)

    def _piece(self, style: ttk.Style, element: str, radius: int, states: list[tuple[str, str, str]]) -> None:
        """Make a stretchable image element; ``states`` are (state, fill, border), the usual one first."""
        if element in style.element_names():
            return
        least = 2 * self.dp(radius) + 2
        # Tk fills a middle with copies of the picture's middle, each blended at great cost: few, large ones.
        wide, high = least + 62, least + 14
        pictures = [
            self.picture(RoundedBox(wide, high, self.dp(radius), fill, border, self.dp(1.5) if border else 0))
            for _, fill, border in states
        ]
        chosen: Any = [
            (*state.split(), picture) for (state, _, _), picture in zip(states, pictures, strict=True)
        ]
        style.element_create(
            element,
            "image",
            pictures[0],
            *chosen[1:],
            border=self.dp(radius),
            sticky="nsew",
            padding=0,
            width=least,
            height=least,
        )

    def _style_buttons(self, style: ttk.Style) -> None:
        colours = self.colours
        kinds = {
            "TButton": (colours.field, colours.line, colours.ink, colours.accent),
            "Accent.TButton": (colours.accent, colours.accent_dark, colours.on_accent, colours.ink),
            "Quiet.TButton": (colours.background, colours.field, colours.accent, colours.accent),
            "SideQuiet.TButton": (colours.side, colours.line, colours.accent, colours.accent),
            "Danger.TButton": (colours.background, colours.bad_pale, colours.bad, colours.bad),
            "Segment.Toolbutton": (colours.field, colours.line, colours.muted, colours.accent),
        }
        for kind, (fill, hover, ink, focus) in kinds.items():
            element = kind.replace("T", "", 1) + ".piece"
            states = [
                ("", fill, ""),
                ("disabled", colours.field, ""),
                ("selected", colours.accent_pale, colours.accent_pale),
                ("pressed", hover, ""),
                ("focus", fill, focus),
                ("active", hover, ""),
            ]
            if kind == "Segment.Toolbutton":
                states.insert(1, ("selected focus", colours.accent_pale, colours.accent))
            self._piece(style, element, 8, states)
            label = ("Button.label", {"sticky": "nswe"})
            padding = ("Button.padding", {"sticky": "nswe", "children": [label]})
            ground = colours.side if kind.startswith("Side") else colours.background
            _lay_out(style, kind, [(element, {"sticky": "nswe", "children": [padding]})])
            style.configure(kind, foreground=ink, font=self.bold, anchor="center")
            style.configure(kind, padding=(self.dp(14), self.dp(7)), width=-6, background=ground)
            style.configure(kind, wraplength=self.dp(WIDEST_BUTTON), justify="center")
            style.map(kind, background=[("disabled", ground), ("active", ground)])
            style.map(kind, foreground=[("disabled", colours.faint), ("selected", colours.accent)])
        for ground, colour in (("Warn", colours.warn_pale), ("Bad", colours.bad_pale)):
            for kind in ("TButton", "Accent.TButton"):
                style.configure(f"{ground}.{kind}", background=colour)
                style.map(f"{ground}.{kind}", background=[("disabled", colour), ("active", colour)])
        style.configure("SideQuiet.TButton", padding=(self.dp(8), self.dp(5)))
        style.configure("Link.SideQuiet.TButton", padding=(self.dp(6), self.dp(1)), font=self.small)
        style.configure("Link.SideQuiet.TButton", wraplength=self.dp(300), justify="left")
        style.configure("Quiet.TButton", padding=(self.dp(10), self.dp(6)))

    def _style_fields(self, style: ttk.Style) -> None:
        colours = self.colours
        self._piece(
            style,
            "Field.piece",
            8,
            [("", colours.field, colours.field), ("focus", colours.background, colours.accent)],
        )
        area = ("Entry.textarea", {"sticky": "nswe"})
        inside = ("Entry.padding", {"sticky": "nswe", "children": [area]})
        _lay_out(style, "TEntry", [("Field.piece", {"sticky": "nswe", "children": [inside]})])
        style.configure("TEntry", padding=(self.dp(12), self.dp(8)), fieldbackground=colours.field)
        # What is marked in a field that keys do not go to must not look like the one they go to.
        style.map("TEntry", selectbackground=[("!focus", colours.line)])
        style.map("TEntry", selectforeground=[("!focus", colours.ink), ("focus", colours.on_accent)])
        self._piece(
            style,
            "White.piece",
            8,
            [("", colours.background, colours.line), ("focus", colours.background, colours.accent)],
        )
        _lay_out(style, "Side.TEntry", [("White.piece", {"sticky": "nswe", "children": [inside]})])
        for kind in ("TMenubutton", "TCombobox"):  # in Tk's own dialogs
            style.configure(kind, arrowcolor=colours.ink, fieldbackground=colours.field)
        style.configure("Side.TEntry", padding=(self.dp(12), self.dp(6)), background=colours.side)
        self._piece(
            style,
            "Composer.piece",
            18,
            [("", colours.field, colours.field), ("focus", colours.background, colours.accent)],
        )
        _lay_out(style, "Composer.TFrame", [("Composer.piece", {"sticky": "nswe"})])
        states = [
            ("", colours.background, colours.muted),
            ("selected focus", colours.accent, colours.ink),
            ("selected", colours.accent, colours.accent),
            ("focus", colours.background, colours.accent),
        ]
        size = self.dp(18)
        pictures = [
            self.picture(RoundedBox(size, size, self.dp(4), fill, edge, self.dp(1.5), "selected" in state))
            for state, fill, edge in states
        ]
        chosen: Any = [
            (*state.split(), picture) for (state, _, _), picture in zip(states, pictures, strict=True)
        ]
        if "Check.piece" not in style.element_names():
            style.element_create(
                "Check.piece", "image", pictures[0], *chosen[1:], sticky="w", width=size + self.dp(8)
            )
        label = ("Checkbutton.label", {"side": "left", "sticky": "nswe"})
        _lay_out(style, "TCheckbutton", [("Check.piece", {"side": "left", "sticky": "w"}), label])
        style.configure("TCheckbutton", font=self.small, padding=(self.dp(8), self.dp(4)))
        style.configure("TCheckbutton", wraplength=self.dp(WIDEST_BUTTON))
        style.map("TCheckbutton", background=[], foreground=[("disabled", colours.muted)])

    def _style_bars(self, style: ttk.Style) -> None:
        colours = self.colours
        size = (self.dp(8), self.dp(24))
        thumb, active = (
            self.picture(RoundedBox(*size, self.dp(4), fill)) for fill in (colours.disabled, colours.muted)
        )
        # A blank picture: when everything fits there is nothing to scroll, and nothing to see.
        blank = self._images["blank", size] = tk.PhotoImage(master=self.root, width=size[0], height=size[1])
        if "Thin.thumb" not in style.element_names():
            style.element_create(
                "Thin.thumb", "image", thumb, ("disabled", blank), ("active", active), border=self.dp(4)
            )
        piece = ("Thin.thumb", {"expand": "1", "sticky": "nswe"})
        trough = ("Vertical.Scrollbar.trough", {"sticky": "ns", "children": [piece]})
        for kind, ground in (
            ("Vertical.TScrollbar", colours.background),
            ("Side.Vertical.TScrollbar", colours.side),
        ):
            _lay_out(style, kind, [trough])
            style.configure(kind, troughcolor=ground, background=ground, bordercolor=ground, relief="flat")
        bar = "Horizontal.TProgressbar"
        style.configure(
            bar, background=colours.accent, troughcolor=colours.line, thickness=self.dp(5), borderwidth=0
        )
        style.configure(bar, bordercolor=colours.line, lightcolor=colours.accent, darkcolor=colours.accent)


def _lay_out(style: ttk.Style, kind: str, elements: list[tuple[str, dict[str, Any]]]) -> None:
    """Give a widget style its elements; typeshed's own type for them refuses nesting."""
    layout: Any = elements
    style.layout(kind, layout)
