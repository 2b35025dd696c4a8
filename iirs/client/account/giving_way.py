"""``giving_way``: has long work done where little else wants to run, for an upload must not wait for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

NICENESS = 10
P = ParamSpec("P")
T = TypeVar("T")


def giving_way(function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Return what ``function`` does, in a thread that gives way where the system has such. Blocks.

    Only for work that a library does outside of Python's lock: while a thread with that lock gives way to
    another program, everybody waits. The thread is its own, for none gets back the priority it has given up.
    """
    with ThreadPoolExecutor(1, initializer=_give_way) as worker:
        return worker.submit(function, *arguments, **named).result()


def _give_way() -> None:
    if sys.platform == "linux":  # elsewhere it would be the whole process
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
