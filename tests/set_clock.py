"""A program whose wall clock a test sets while it runs: ``python -m tests.set_clock FILE MODULE ARGUMENTS``.

FILE holds by how many seconds the wall clock is to be ahead. The monotonic clock is left alone.
"""

from __future__ import annotations

import datetime
import runpy
import sys
import time
from pathlib import Path

_file = Path(sys.argv[1])
_honest_time, _honest_datetime = time.time, datetime.datetime


def _ahead() -> float:
    return float(_file.read_text() or 0)


class _Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return _honest_datetime.now(tz) + datetime.timedelta(seconds=_ahead())


if __name__ == "__main__":
    time.time = lambda: _honest_time() + _ahead()
    datetime.datetime = _Datetime  # type: ignore[misc]  # before anything takes the name from there
    sys.argv[:] = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
