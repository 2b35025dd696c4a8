"""``Decoder``: has pictures decoded, one at a time in the whole program, by processes that give way to all.

A decoder that is fed bytes of somebody else's choosing may be kept busy, or led astray. So it runs in a
process that holds nothing of ours and runs only where nothing else wants to: what a sender puts into a
picture must not move an upload. The process ends after some seconds of work, when it says more than an
answer can be, and when nobody waits for it any more.
"""

from __future__ import annotations

import enum
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO

_ENDING = {getattr(signal, name, None) for name in ("SIGKILL", "SIGXCPU")}
_ONE_AT_A_TIME = threading.Lock()
_PROGRAM = Path(__file__).with_name("decoder_process.py")
"""Run by its path: by its name, Python would import the packages it lies in."""
_ENVIRONMENT = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Without these there are systems on which no Python starts; it is given no other variables."""


class Why(enum.Enum):
    """Why there is no answer; with numbers above 0 those of ``decoder_process``."""

    TOO_LARGE = 3
    NO_CODE = 4
    UNREADABLE = -1
    ENDED = -2
    """It took too long, or was stopped."""


class UndecodedError(Exception):
    """A picture was not decoded: show it as the file it is, or say ``why``."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long one picture may take, and the program that decodes it: for tests to own."""

    cpu_seconds: int = 5
    """Where the system can limit it. Photographs take less than one."""
    seconds: float = 60.0
    """By the clock: on a busy machine what gives way to all else waits long."""
    program: Path = _PROGRAM


@dataclass(frozen=True, slots=True)
class Task:
    """What ``decoder_process`` is asked for."""

    name: str
    side: int
    """The most pixels a side."""
    answer_max: int
    """The most bytes an answer has."""
    libraries: tuple[ModuleType, ...]
    """What it takes to do it, wherever that is installed."""


class Decoder:
    """Has one picture after another decoded. ``stop`` may be called from any thread."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()
        self._changing = threading.Lock()
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, task: Task, data: bytes) -> bytes:
        """Return the answer of a process of its own. Blocks. Raises ``UndecodedError``."""
        with _ONE_AT_A_TIME:
            process = self._start(task)
            try:
                answer = _ask(process, data, task.answer_max, self._bounds.seconds)
            finally:
                _end(process)
        if len(answer) > task.answer_max:
            raise UndecodedError(Why.UNREADABLE)
        if process.returncode != 0:
            raise UndecodedError(_why(process.returncode))
        return answer

    def stop(self) -> None:
        """End the process, if there is one; from now on there is none."""
        with self._changing:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _start(self, task: Task) -> subprocess.Popen[bytes]:
        folders = {_folder_of(library) for library in task.libraries}
        numbers = str(task.side), str(self._bounds.cpu_seconds)
        command = [
            sys.executable,
            "-I",
            "-S",
            str(self._bounds.program),
            task.name,
            *numbers,
            *sorted(folders),
        ]
        with self._changing:
            if self._stopped:
                raise UndecodedError(Why.ENDED)
            try:
                # In our session: one of its own could count as much as ours, and would not give way.
                self._process = subprocess.Popen(  # noqa: S603  # our own program
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                    creationflags=_flag("IDLE_PRIORITY_CLASS") | _flag("CREATE_NO_WINDOW"),
                )
            except OSError:
                raise UndecodedError(Why.UNREADABLE) from None
            give_way(self._process.pid)
            return self._process


def give_way(pid: int) -> None:
    """Have a process run only where nothing else wants to; its reading and writing then waits, too."""
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, pid, 19)
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


def _flag(name: str) -> int:
    return int(getattr(subprocess, name, 0))  # only Windows has them


def _folder_of(library: ModuleType) -> str:
    """Return the folder in which a Python finds it."""
    is_package = hasattr(library, "__path__")
    return str(Path(str(library.__file__)).parents[1 if is_package else 0])


def _ask(process: subprocess.Popen[bytes], data: bytes, answer_max: int, seconds: float) -> bytes:
    """Return what it says, and at most one byte more than it may. Its input stays open: it ends with that."""
    assert process.stdin is not None  # noqa: S101  # both are pipes
    assert process.stdout is not None  # noqa: S101
    timer = threading.Timer(seconds, process.kill)
    writer = threading.Thread(target=_write, args=(process.stdin, data), name="iirs-picture-writer")
    timer.daemon = writer.daemon = True
    try:
        timer.start()
        writer.start()  # while it is listened to: it may say something before it has read all
        answer = process.stdout.read(answer_max + 1)
        if len(answer) <= answer_max:
            process.wait()
    finally:
        timer.cancel()
    return answer


def _write(pipe: IO[bytes], data: bytes) -> None:
    with suppress(OSError, ValueError):  # it has ended, and its pipe is closed
        pipe.write(len(data).to_bytes(8, "big") + data)
        pipe.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of it: no process, no pipe."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # what it did not read is not sent
            pipe.close()  # type: ignore[union-attr]


def _why(status: int) -> Why:
    if status in {Why.TOO_LARGE.value, Why.NO_CODE.value}:
        return Why(status)
    return Why.ENDED if -status in _ENDING else Why.UNREADABLE
