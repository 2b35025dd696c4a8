"""Hexadecimal digits from outside: one value has one encoding."""

from __future__ import annotations

import re

_DIGITS = re.compile("[0-9a-f]*")


def hex_bytes(value: object, size: int, *, either_case: bool = False) -> bytes:
    """Return the ``size`` bytes that ``value`` writes in lower-case digits, two a byte and nothing else.

    With ``either_case`` capital letters are digits too. Raises ``ValueError`` for anything else.
    """
    if not isinstance(value, str) or len(value) != 2 * size:
        raise ValueError("not this many hexadecimal digits")
    # ``bytes.fromhex`` by itself skips white space, so a value could be written in several ways.
    if not _DIGITS.fullmatch(value.lower() if either_case and value.isascii() else value):
        raise ValueError("no hexadecimal digits")
    return bytes.fromhex(value)
