"""What a test waited for, in words: for the sentence with which a wait in vain ends."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def awaited(condition: Callable[..., Any]) -> str:
    """Return the lines that state a condition, and what the names in it stand for now."""
    try:
        stated = " ".join(inspect.getsource(condition).split())
    except (OSError, TypeError):  # made from no file, or no function
        return repr(condition)
    names = inspect.getclosurevars(condition).nonlocals
    known = (f"{name} = {_short(value)}" for name, value in names.items())
    return f"`{stated}` where {', '.join(known)}" if names else f"`{stated}`"


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 300 else f"{shown[:150]} ... {shown[-150:]}"
