"""What a demo started and wrote is gone after it, also if the demo itself is killed.

A killed program clears nothing up. So a second process is told of each program and folder, and reads from a
pipe that only the demo holds open: the pipe's end is the demo's, whatever ended it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

_PROGRAM, _FOLDER, _DONE = "program", "folder", "done"


class Leftovers:
    """Where a demo says what there will be to clear up."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe

    def program(self, process: subprocess.Popen[str]) -> None:
        """Have this program ended after the demo."""
        self._say(_PROGRAM, str(process.pid))

    def folder(self, path: str | os.PathLike[str]) -> None:
        """Have this folder removed after the demo."""
        self._say(_FOLDER, os.fspath(path))

    def done(self) -> None:
        """Say that the demo has cleared up by itself."""
        self._say(_DONE, "")

    def _say(self, what: str, value: str) -> None:
        with contextlib.suppress(OSError):  # the process is gone: then nobody clears up after a kill
            self._pipe.write(f"{what} {value.encode(errors='surrogateescape').hex()}\n")
            self._pipe.flush()


@contextmanager
def leftovers() -> Iterator[Leftovers]:
    """Run the process that clears up, for as long as the block runs."""
    command = [sys.executable, "-m", __name__]
    # A session of its own: Ctrl-C and a closed terminal end the demo, not this.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
    with process:
        told = Leftovers(cast(IO[str], process.stdin))
        yield told
        told.done()


def main() -> int:
    """Read what there is until the demo has ended; then end and remove it, unless the demo did."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    programs: list[tuple[int, int | None]] = []
    folders: list[str] = []
    for line in sys.stdin:
        what, _, coded = line.rstrip("\n").partition(" ")
        value = bytes.fromhex(coded).decode(errors="surrogateescape")
        if what == _DONE:
            return 0
        if what == _PROGRAM:
            programs.append((int(value), _handle(int(value))))
        else:
            folders.append(value)
    for pid, handle in programs:
        _end(pid, handle)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _handle(pid: int) -> int | None:
    """Return what names this very process, even if its number is given to another one later."""
    if not hasattr(os, "pidfd_open"):
        return None
    with contextlib.suppress(OSError):
        return os.pidfd_open(pid)
    return None


def _end(pid: int, handle: int | None) -> None:
    kill = getattr(signal, "SIGKILL", signal.SIGTERM)
    with contextlib.suppress(OSError):
        if handle is not None:
            signal.pidfd_send_signal(handle, kill)
        elif not hasattr(os, "pidfd_open"):
            os.kill(pid, kill)


if __name__ == "__main__":
    sys.exit(main())
