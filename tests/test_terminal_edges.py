"""Outputs, passwords and lines at the edge of what they can be: nothing is lost, cut or said falsely."""

from __future__ import annotations

import io
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iirs.client.account.password_keys import prepared
from iirs.client.main import main as client_main
from iirs.client.messenger.limits import TEXT_MAX
from iirs.client.terminal_login import read_password
from iirs.errors import ConfigError
from iirs.meter.main import main as meter_main
from iirs.meter.noise_budget import TightAccountant
from iirs.noise import Noise
from iirs.server.main import main as server_main
from iirs.standard_streams import CLOSED_PIPE, Outlet
from tests.reference.accounts import prepared_password
from tests.test_terminal import Terminal

FULL = Path("/dev/full")


@contextmanager
def printing_to(descriptor: int) -> Iterator[io.StringIO]:
    """Have this process's output go elsewhere; give what is said beside it."""
    before, said = (sys.stdout, sys.stderr), io.StringIO()
    sys.stdout, sys.stderr = open(descriptor, "w", encoding="utf-8"), said  # noqa: SIM115  # closed below
    try:
        yield said
    finally:
        sys.stdout.close()
        sys.stdout, sys.stderr = before


@pytest.mark.parametrize("main", [client_main, server_main, meter_main])
def test_help_that_cannot_be_written_ends_with_1_and_why(main: Callable[[list[str]], int]) -> None:
    with printing_to(os.open(FULL, os.O_WRONLY)) as said, pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 1
    assert "the output cannot be written: No space left on device" in said.getvalue()


def test_help_that_nobody_reads_ends_as_all_that_nobody_reads() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with printing_to(writing), pytest.raises(SystemExit) as ended:
        client_main(["--help"])
    assert ended.value.code == CLOSED_PIPE


def test_help_that_arrives_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        client_main(["--help"])
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out


def test_a_full_disk_under_the_output_is_not_called_a_reader_that_is_gone() -> None:
    chat, status = Terminal()._chat, io.StringIO()
    with FULL.open("wb", buffering=0) as full:
        output = io.TextIOWrapper(io.BufferedWriter(Outlet(full)), "utf-8")
        output.write("bob> hello\n")
        output.flush()
        chat._streams = SimpleNamespace(output=output, status=status, input=io.StringIO())  # type: ignore[assignment]
        assert not chat._has_nobody_to_tell()
        assert "the output cannot be written: No space left on device: texts that arrive" in status.getvalue()
        assert chat._code() == 1


@pytest.mark.parametrize(("size", "refused"), [(TEXT_MAX, 0), (TEXT_MAX + 1, 1)])
def test_a_line_that_is_too_long_is_refused_as_it_is_read(size: int, refused: int) -> None:
    terminal = Terminal()
    terminal._chat._take_line("x" * size)
    assert terminal._chat._refused == refused
    assert len(terminal._chat._typed) == 1 - refused
    assert ("at most" in terminal.streams.status.getvalue()) == bool(refused)


PASSWORD = "correct horse battery"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", ""])
def test_a_password_is_the_same_with_the_line_break_that_was_pasted_along(end: str) -> None:
    assert prepared(PASSWORD + end) == prepared_password(PASSWORD + end) == PASSWORD
    assert prepared(f" {PASSWORD} {end}") == f" {PASSWORD} "
    assert prepared("one\ntwo") == "one\ntwo"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"x" * 10_000 + b"\n", "too long"),
        (b"x" * 100_000, "too long"),
        ("correct horse".encode("utf-16"), "UTF-8 text"),
        (b"\n" + PASSWORD.encode(), "is empty"),
        (None, "No such file or directory"),
        ("folder", "Is a directory"),
    ],
)
def test_a_password_file_that_does_not_do_says_why(content: Any, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "password"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        read_password(path)


def test_a_password_file_of_the_longest_line_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes(b"\xef\xbb\xbf" + b"x" * 9_997 + b"\r\nsecond")
    assert read_password(tmp_path / "password") == "x" * 9_997


class Overflows:
    """Stands for the library's distribution, which warns on a program's output of numbers that overflow."""

    def self_compose(self, _: int) -> Overflows:
        return self

    def get_epsilon_for_delta(self, _: float) -> float:
        warnings.warn("overflow encountered in scalar divide", RuntimeWarning, stacklevel=1)
        return math.inf


def test_the_meter_says_no_bound_without_a_librarys_warning(recwarn: pytest.WarningsRecorder) -> None:
    accountant = TightAccountant(Noise(200, 10))
    accountant._setup = Overflows()
    assert accountant.epsilon(100, 1e-4) == math.inf
    assert not recwarn.list
