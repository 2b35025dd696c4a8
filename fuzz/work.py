"""How much work an input may cause: counted in calls, not seconds, so that a busy machine changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CALLS = 20_000
"""Calls of Python functions that any input may cause."""
CALLS_A_BYTE = 50
"""And so many more for each of its bytes: what grows faster is found by inputs of some length."""


@contextmanager
def bounded_work(size: int) -> Iterator[None]:
    """Raise ``AssertionError`` when what is done inside takes too many calls for an input of this size."""
    left = CALLS + CALLS_A_BYTE * size

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        if event == "call":
            left -= 1
            if left < 0:
                raise AssertionError("an input that causes more work than its length allows")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)
