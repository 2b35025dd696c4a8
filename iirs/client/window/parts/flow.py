"""Widgets beside each other where there is room for them, and below each other where there is none."""

from __future__ import annotations

import tkinter as tk
from tkinter import ttk


def wrapping(label: ttk.Label, inset: int = 0) -> ttk.Label:
    """Let a label's words take as many lines as its width asks for; ``inset`` is its padding, in pixels."""
    label.bind("<Configure>", lambda event: label.configure(wraplength=max(1, event.width - inset)), add=True)
    return label


class Flow(ttk.Frame):
    """Its children in lines, from left to right; its own height follows. Lengths are in pixels."""

    def __init__(self, parent: tk.Misc, gap: int, style: str = "TFrame") -> None:
        super().__init__(parent, style=style, width=1, height=1)
        self._gap = gap
        self._shown: tuple[tk.Widget, ...] = ()
        self._growing: tk.Widget | None = None
        self._least = 0
        self._known: set[tk.Widget] = set()
        self.bind("<Configure>", lambda _: self._arrange())

    def show(self, *children: tk.Widget, growing: tk.Widget | None = None, least: int = 0) -> None:
        """Show these children and no others; ``growing`` gets what its line has left, ``least`` or more."""
        for child in self._shown:
            if child not in children:
                child.place_forget()
        for child in set(children) - self._known:
            child.bind("<Configure>", lambda _: self._arrange(), add=True)
        self._known.update(children)
        for child in children:
            if not child.winfo_manager():
                child.place(x=0, y=0)  # where it lies is decided once there is room
        self._shown, self._growing, self._least = children, growing, least
        self._arrange()

    def _needed(self, child: tk.Widget) -> int:
        return self._least if child is self._growing else child.winfo_reqwidth()

    def _lines(self, width: int) -> list[list[tuple[tk.Widget, int]]]:
        """Return the lines: each a list of children and their widths."""
        lines: list[list[tuple[tk.Widget, int]]] = [[]]
        left = width
        for child in self._shown:
            needed = min(width, self._needed(child))
            if lines[-1] and needed > left:
                lines.append([])
                left = width
            lines[-1].append((child, needed))
            left -= needed + self._gap
        return [self._grown(line, width) for line in lines]

    def _grown(self, line: list[tuple[tk.Widget, int]], width: int) -> list[tuple[tk.Widget, int]]:
        spare = width - sum(needed for _, needed in line) - self._gap * (len(line) - 1)
        return [(child, needed + spare if child is self._growing else needed) for child, needed in line]

    def _arrange(self) -> None:
        width = self.winfo_width()
        if width <= 1:
            return  # no room has been given yet
        top = 0
        for line in self._lines(width):
            height = max((child.winfo_reqheight() for child, _ in line), default=0)
            left = 0
            for child, wide in line:
                child.place(x=left, y=top + (height - child.winfo_reqheight()) // 2, width=wide)
                left += wide + self._gap
            top += height + self._gap
        self.configure(height=max(1, top - self._gap))


class Columns(Flow):
    """Its children in columns of the same width, as many as there is room for."""

    def _lines(self, width: int) -> list[list[tuple[tk.Widget, int]]]:
        widest = max((child.winfo_reqwidth() for child in self._shown), default=1)
        most = max(1, min(len(self._shown), (width + self._gap) // (widest + self._gap)))
        count = -(-len(self._shown) // -(-len(self._shown) // most))
        wide = (width - self._gap * (count - 1)) // count
        cells = [(child, wide) for child in self._shown]
        return [cells[start : start + count] for start in range(0, len(cells), count)]
