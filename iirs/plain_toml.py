"""The plainest kind of TOML, in which chain files are written, read at a cost that grows with its length.

Whoever is visited for the first time may send any bytes as its chain file. A parser for all of TOML spends
20 s on 64 KiB of long dotted keys; what is not plain is refused before it gets that far.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

_KEY = "[A-Za-z0-9_-]{1,64}"
_VALUE = r'"(?:[^"\\]|\\.)*+"' + r"|'[^']*+'|[0-9A-Za-z+_.:-]{1,64}"
_LINE = re.compile(rf"(?:\[\[{_KEY}\]\]|{_KEY}[ \t]*+=[ \t]*+(?:{_VALUE}))?[ \t]*+(?:#.*)?")
"""Nothing, a table of an array, or a key and a value; and a comment. Nothing is tried twice: ``*+``."""


def parse_plain_toml(text: str, tables: int) -> dict[str, Any]:
    """Return the table that ``text`` is, with at most so many ``[[...]]``.

    Raises ``ValueError`` if it is not TOML, or has more than bare keys with numbers, truths and strings.
    """
    lines = [line.strip(" \t\r") for line in text.split("\n")]
    if sum(line.startswith("[") for line in lines) > tables or not all(map(_LINE.fullmatch, lines)):
        raise ValueError("not plain TOML")
    return tomllib.loads(text)
