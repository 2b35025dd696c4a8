"""Whether this screen survives emoji, and names for them where it does not.

X11's libXft before 2.3.5 ends the whole program when it draws some glyphs of a colour font: anybody could
end it with one text. So another process tries it first, and until that has gone well emoji are spelled out.
"""

from __future__ import annotations

import subprocess
import sys
import unicodedata

_TRY = """
import tkinter
root = tkinter.Tk()
root.overrideredirect(True)
root.geometry("200x60+-3000+-3000")
canvas = tkinter.Canvas(root)
canvas.pack()
text = "\\U0001f600\\U0001f44d\\U0001f3fd\\u2764\\ufe0f\\u26ce\\U0001f1e9"
canvas.create_text(5, 5, anchor="nw", text=text)
root.update()
root.update()
"""
_JOINERS = frozenset("\N{ZERO WIDTH JOINER}\N{VARIATION SELECTOR-15}\N{VARIATION SELECTOR-16}")
_KEYCAP = "\N{COMBINING ENCLOSING KEYCAP}"


class EmojiProbe:
    """Has another process draw emoji; ``safe`` is True once that has gone well."""

    def __init__(self, *, needed: bool) -> None:
        """Not ``needed`` on Windows and macOS, which draw them with something else."""
        self._process: subprocess.Popen[bytes] | None = None
        self._safe = not needed
        if needed and sys.executable:
            quiet = subprocess.DEVNULL
            command = [sys.executable, "-c", _TRY]
            self._process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)  # noqa: S603  # our own text

    @property
    def safe(self) -> bool:
        """Whether emoji can be drawn, as far as is known by now."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self._process, self._safe = None, code == 0
        return self._safe


def spelled_out(text: str) -> str:
    """Return ``text`` with emoji as ``:name:``."""
    return "".join(map(_spelled_out, text))


def _spelled_out(character: str) -> str:
    if character in _JOINERS:
        return ""
    is_picture = ord(character) >= 0x1F000 or (
        character >= "\u2300" and unicodedata.category(character) == "So"
    )
    if not is_picture and character != _KEYCAP:
        return character
    return f":{unicodedata.name(character, 'picture').lower().replace(' ', '-')}:"
