"""File descriptors: as many as the system lets a server have, and what that allows."""

from __future__ import annotations

import contextlib
import sys

_ENOUGH = 65536
"""What is asked for where the hard limit is none."""
_RESERVED = 64
"""For files, the database, links, selectors, threads of others."""


def raise_limit() -> int | None:
    """Raise this process's limit to the hard one; return what holds then, ``None`` if there is none."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415  # not there on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a system may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def allowed(limit: int | None, connections: int, waiting: int) -> tuple[int, int]:
    """Return how many connections may be served, and how many may wait besides, with so many descriptors.

    Both as wanted, if there are enough; else a quarter of what there is waits.
    """
    if limit is None or connections + waiting + _RESERVED <= limit:
        return connections, waiting
    free = max(8, limit - _RESERVED)
    waiting = min(waiting, free // 4)
    return min(connections, free - waiting), waiting
