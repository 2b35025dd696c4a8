"""A hop as a process of its own, forked from one that has imported everything.

To start Python, import all that an entry needs and judge its noise takes longer than most of what is tested.
That the programs start by themselves is for ``tests/test_programs.py`` and ``tests/test_signals.py``.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import iirs.server.hops.main
import iirs.server.main  # noqa: F401
import tests.rogue_mix  # noqa: F401

with suppress(ImportError):  # an extra
    import dp_accounting.pld.privacy_loss_distribution  # noqa: F401

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


class HopProcess:
    """Runs ``main`` of a module with arguments; what it says and logs goes to two files."""

    def __init__(self, module: str, arguments: list[str], said: Path, log: Path) -> None:
        said.write_bytes(b"")
        self._process = _FORKS.Process(target=_run, args=(module, arguments, said, log), daemon=True)
        self._process.start()

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self._process.is_alive():
            os.kill(self._process.pid or 0, number)

    def wait(self, seconds: float) -> int:
        """Wait until the process has ended, and return what it says to the operating system."""
        self._process.join(seconds)
        code = self._process.exitcode
        assert code is not None, f"the hop has not ended in {seconds:.0f} s"
        return code


def _run(module: str, arguments: list[str], said: Path, log: Path) -> None:
    for path, mode, stream in ((said, "wb", sys.stdout), (log, "ab", sys.stderr)):
        with path.open(mode) as file:
            os.dup2(file.fileno(), stream.fileno())
    sys.exit(importlib.import_module(module).main(arguments))
