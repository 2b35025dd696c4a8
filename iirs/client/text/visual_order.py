"""Right-to-left text on screens that do not turn it. Apart, as a terminal needs none of this library."""

from __future__ import annotations

from bidi import get_display


def visual(text: str) -> str:
    """Return a line in the order in which it is drawn, for screens that do not turn right-to-left text."""
    if text.isascii():
        return text
    turned = get_display(text)
    return turned if isinstance(turned, str) else text
