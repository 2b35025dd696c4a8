"""How hard tests with chance in them try: a plain run a little, CI more, a soak (``IIRS_SOAK=1``) long."""

from __future__ import annotations

import os

SOAK = bool(os.environ.get("IIRS_SOAK"))
CI = bool(os.environ.get("CI"))


def examples(plain: int) -> int:
    """Return how many examples to draw where a plain run draws so many."""
    return plain * (50 if SOAK else 3 if CI else 1)
