"""What is pasted and is no text: Tk on X11 would write its bytes as numbers, ``0x89 0x50 0x4e``."""

from __future__ import annotations

import re
import tkinter as tk
from typing import Literal

from iirs.client.chat_session import FILE_MAX
from iirs.client.text.text_layout import size_words
from iirs.client.text.translate import _

_NUMBERS = re.compile(r"(?:0x[0-9a-f]{1,8} )+")
"""What Tk makes of a selection whose type is not text; people end no line of numbers with a space."""
_LOOKED_AT = 4000
_PNG = b"\x89PNG\r\n\x1a\n"
_READ = """
apply {{limit kinds} {
    foreach kind $kinds {
        if {![catch {selection get -selection CLIPBOARD -type $kind} numbers]} {
            return [expr {[string length $numbers] > $limit ? "long" : [binary format c* $numbers]}]
        }
    }
    error "nothing there"
}}
"""
Selection = Literal["CLIPBOARD", "PRIMARY"]


def is_text(widget: tk.Misc, selection: Selection = "CLIPBOARD") -> bool:
    """Return whether a selection holds text, or nothing at all."""
    texts = [_get(widget, selection, kind) for kind in ("UTF8_STRING", "STRING")]
    if texts == [None, None]:
        return not _get(widget, selection, "TARGETS")  # other kinds only; or nobody has anything
    return not any(_is_numbers(text) for text in texts if text is not None)


def _is_numbers(text: str) -> bool:
    head = text if len(text) <= _LOOKED_AT else text[: text.rfind(" ", 0, _LOOKED_AT) + 1]
    return _NUMBERS.fullmatch(head) is not None


def _get(widget: tk.Misc, selection: Selection, kind: str) -> str | None:
    """Return a selection as this kind, or ``None`` where there is none or the system knows no kinds."""
    try:
        return str(widget.tk.call("selection", "get", "-selection", selection, "-type", kind))
    except tk.TclError:
        return None


def pasted_picture(widget: tk.Misc) -> bytes | str:
    """Return the PNG on the clipboard, or a sentence: there is none, or one beyond the limit of files.

    Tcl turns the numbers into bytes: it lets other threads go on meanwhile.
    """
    try:
        data = widget.tk.call(*widget.tk.splitlist(_READ), 5 * FILE_MAX, "image/png UTF8_STRING STRING")
    except tk.TclError:
        data = b""
    if data == "long" or (isinstance(data, bytes) and len(data) > FILE_MAX):
        return _("This picture has more than {limit}: sending it would take hours.").format(
            limit=size_words(FILE_MAX)
        )
    if not isinstance(data, bytes) or not data.startswith(_PNG):
        return _("What you have copied is no text. Save it as a file, then send that.")
    return data


def refuse_what_is_no_text(widget: tk.Misc) -> None:
    """Have no field of this program write numbers where something else was pasted."""

    def guard(selection: Selection) -> str:
        if is_text(widget, selection):
            return ""
        widget.bell()
        return "break"

    for event, selection in (("<<Paste>>", "CLIPBOARD"), ("<<PasteSelection>>", "PRIMARY")):
        name = f"iirs_guard_{selection.lower()}"
        if not widget.tk.splitlist(widget.tk.call("info", "commands", name)):
            widget.tk.createcommand(name, lambda s=selection: guard(s))
            for kind in ("Text", "Entry", "TEntry"):
                usual = str(widget.tk.call("bind", kind, event))
                widget.tk.call("bind", kind, event, f'if {{[{name}] eq "break"}} break\n{usual}')
