"""``program``: what is around every program's ``main``, so that its input and output never end it.

A character that an output's encoding lacks is written as one that it has. A stream that was closed before
the start is like ``/dev/null``. Once nobody reads an output any more, what is written there is dropped.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, TextIO

CLOSED_PIPE = 141
"""What a program ends with if nobody read its output to the end: 128 and the number of SIGPIPE."""

_ERRORS = "iirs.plain"
_PLAIN = {
    "→": "->", "↑": "^", "↓": "v", "…": "...", "·": "-", "“": '"', "”": '"',
}  # fmt: skip
"""How our own sentences look where there are no such characters; all others become "?"."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(item, "?") for item in error.object[error.start : error.end]), error.end


codecs.register_error(_ERRORS, _plain)


def as_written(text: str, stream: TextIO) -> str:
    """Return what will stand on a stream: whoever counts columns must count those."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, _ERRORS).decode(encoding)


def can_be_written(text: str, stream: TextIO) -> bool:
    """Say whether a stream's encoding has all characters of a text."""
    return as_written(text, stream) == text


class Outlet(io.RawIOBase):
    """What is below an output: it takes everything, also when it cannot be written any more."""

    def __init__(self, raw: Any, *, was_closed: bool = False) -> None:
        super().__init__()
        self._raw = raw
        self.was_closed = was_closed
        """It was closed before the program began."""
        self.error: OSError | None = None
        """Why nothing can be written any more."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the number of what is below."""
        return int(self._raw.fileno())

    def isatty(self) -> bool:
        """Return whether what is below is a terminal."""
        return bool(self._raw.isatty())

    def write(self, data: Any, /) -> int:
        """Write what can be written, or drop it; return how many bytes were taken."""
        if self.error is None:
            try:
                while (
                    taken := self._raw.write(data)
                ) is None:  # somebody made it non-blocking, and it is full
                    select.select([], [self.fileno()], [])
                return int(taken)
            except OSError as error:
                self.error = error
        return len(data)

    def look(self) -> None:
        """Find out whether there is still a reader, without writing anything."""
        if self.error is not None or not hasattr(select, "poll"):
            return
        with suppress(OSError):
            poll = select.poll()
            poll.register(self.fileno(), 0)
            if any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0)):
                self.error = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def outlet_of(stream: TextIO | None) -> Outlet | None:
    """Return what is below a stream; ``None`` if it is none that ``program`` has set up."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Outlet) else None


def is_gone(stream: TextIO) -> bool:
    """Say whether nobody reads an output any more. One that was closed from the start had no reader to go."""
    outlet = outlet_of(stream)
    if outlet is None:
        return False
    outlet.look()
    return outlet.error is not None


def why_gone(stream: TextIO) -> str:
    """Return why an output cannot be written; "" if it can, or if only its reader is gone."""
    outlet = outlet_of(stream)
    error = None if outlet is None else outlet.error
    if error is None or error.errno in {errno.EPIPE, errno.EINVAL}:  # the second is Windows' word for it
        return ""
    return f"the output cannot be written: {error.strerror or 'no reason given'}"


def program(
    name: str, *, goes_on: bool = False
) -> Callable[[Callable[[list[str] | None], int]], Callable[..., int]]:
    """Set up the standard streams around a ``main`` of command-line arguments that returns an exit code.

    A code of 0 becomes 141 if somebody stopped reading, and 1, with a sentence, if the output could not be
    written. With ``goes_on`` it stays: what the program prints is not what it is for.
    """

    def around(main: Callable[[list[str] | None], int]) -> Callable[..., int]:
        @wraps(main)
        def run(arguments: list[str] | None = None) -> int:
            with _streams():
                try:
                    code = main(arguments)
                except SystemExit as ended:  # what was asked for by --help is what it is for
                    if ended.code in {0, None} and (lost := _what_was_lost(name)):
                        raise SystemExit(lost) from None
                    raise
                return code if code or goes_on else _what_was_lost(name)

        return run

    return around


def _what_was_lost(name: str) -> int:
    """Return the exit code of a program whose output did not arrive, and say why; 0 if it did."""
    with suppress(ValueError):
        sys.stdout.flush()
    why = why_gone(sys.stdout)
    if why:
        print(f"{name}: {why}", file=sys.stderr)
        return 1
    return CLOSED_PIPE if is_gone(sys.stdout) else 0


@contextmanager
def _streams() -> Iterator[None]:
    before = sys.stdin, sys.stdout, sys.stderr
    _fill_descriptors()
    sys.stdin, sys.stdout, sys.stderr = _input(sys.stdin), _output(sys.stdout), _output(sys.stderr)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _fill_descriptors() -> None:
    """Open those of 0 to 2 that are closed: else the next file or socket would be what others write to."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _input(stream: TextIO | None) -> TextIO:
    if stream is None or stream.closed:
        return open(os.devnull, encoding="utf-8")  # it stays open as long as the program
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="surrogateescape")  # whoever reads a line finds out what it was
    return stream


def _output(stream: TextIO | None) -> TextIO:
    if stream is None or stream.closed:
        nowhere = open(os.devnull, "wb", buffering=0)  # noqa: SIM115  # as above
        outlet = Outlet(nowhere, was_closed=True)
        return io.TextIOWrapper(io.BufferedWriter(outlet), "utf-8", _ERRORS, line_buffering=True)
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    with suppress(OSError):
        stream.flush()
    outlet = Outlet(getattr(stream.buffer, "raw", stream.buffer))
    line_buffering = stream.line_buffering or stream.write_through
    return io.TextIOWrapper(
        io.BufferedWriter(outlet), stream.encoding, _ERRORS, line_buffering=line_buffering
    )
