"""Outputs without a reader, without our letters, or closed from the start: no program ends of them."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from iirs.demo import main as demo_main
from iirs.server import main as server_main
from iirs.standard_streams import CLOSED_PIPE, Outlet, as_written, is_gone, outlet_of, program

ROOT = Path(__file__).parent.parent
PATIENT = 170
SCRIPTS = re.findall(r'^(iirs-\w+) = "([\w.]+):main"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)
ASCII = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


class Failing(io.BytesIO):
    """An output that takes some bytes, and fails from then on."""

    def __init__(self, takes: int, number: int = errno.EPIPE) -> None:
        super().__init__()
        self._takes = takes
        self._number = number

    def write(self, data: object) -> int:
        if self.tell() >= self._takes:
            raise OSError(self._number, os.strerror(self._number))
        return super().write(bytes(data))  # type: ignore[call-overload]


Streams = Callable[..., tuple[io.BytesIO, io.BytesIO]]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Streams:
    """Put others in the standard streams' places; give what is below stdout and stderr."""

    def put(output: io.BytesIO, encoding: str = "utf-8", typed: bytes = b"") -> tuple[io.BytesIO, io.BytesIO]:
        status = io.BytesIO()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed), encoding))
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding))
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(status, encoding))
        return output, status

    return put


def talkative(code: int = 0) -> Callable[[list[str] | None], int]:
    def main(_: list[str] | None) -> int:
        for _number in range(3):
            print("round 1  alice 10↑ 20↓ … 😀", flush=True)
        print("“done” → Grüße", file=sys.stderr)
        return code

    return main


@pytest.mark.parametrize(("name", "module"), SCRIPTS)
def test_every_program_has_it(name: str, module: str) -> None:
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text("utf-8")
    assert f'program("{name}"' in source
    assert len(SCRIPTS) == 6


@pytest.mark.parametrize(
    ("encoding", "line", "done"),
    [
        ("utf-8", "round 1  alice 10↑ 20↓ … 😀", "“done” → Grüße"),
        ("latin-1", "round 1  alice 10^ 20v ... ?", '"done" -> Grüße'),
        ("cp1252", "round 1  alice 10^ 20v … ?", "“done” -> Grüße"),
        ("ascii", "round 1  alice 10^ 20v ... ?", '"done" -> Gr??e'),
    ],
)
def test_what_an_encoding_lacks_is_written_in_its_letters(
    streams: Streams, encoding: str, line: str, done: str
) -> None:
    output, status = streams(io.BytesIO(), encoding)
    assert program("iirs-x")(talkative())() == 0
    assert output.getvalue().decode(encoding).splitlines() == [line] * 3
    assert status.getvalue().decode(encoding).splitlines() == [done]


@pytest.mark.parametrize(
    ("number", "code", "goes_on", "ends_with", "said"),
    [
        (errno.EPIPE, 0, False, CLOSED_PIPE, ""),
        (errno.EPIPE, 0, True, 0, ""),
        (errno.EPIPE, 2, False, 2, ""),
        (errno.ENOSPC, 0, False, 1, "iirs-x: the output cannot be written: No space left on device\n"),
        (errno.ENOSPC, 0, True, 0, ""),
    ],
)
def test_an_output_that_fails_stops_nothing_and_is_told_by_the_exit_code(
    streams: Streams, number: int, code: int, goes_on: bool, ends_with: int, said: str
) -> None:
    output, status = streams(Failing(40, number))
    assert program("iirs-x", goes_on=goes_on)(talkative(code))() == ends_with
    assert output.getvalue().decode().count("round") == 2, "what could be written was"
    assert status.getvalue().decode() == "“done” → Grüße\n" + said


def test_without_the_outlet_the_same_program_dies(streams: Streams) -> None:
    streams(Failing(40))
    with pytest.raises(BrokenPipeError):
        talkative()(None)
    sys.stdout = io.StringIO()
    streams(io.BytesIO(), "ascii")
    with pytest.raises(UnicodeEncodeError):
        talkative()(None)


def test_streams_that_are_not_there_are_like_dev_null(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed: ``sys.stderr`` of ``None`` made ``print`` write errors to stdout, and ``isatty`` raise."""
    output = io.BytesIO()
    for name, stream in (("stdin", None), ("stdout", io.TextIOWrapper(output)), ("stderr", None)):
        monkeypatch.setattr(sys, name, stream)
    seen: list[object] = []

    def main(_: list[str] | None) -> int:
        seen.append(sys.stdin.readline())
        seen.append(sys.stderr.isatty())
        found = outlet_of(sys.stderr)
        seen.append(found is not None and found.was_closed)
        return talkative()(None)

    assert program("iirs-x")(main)() == 0
    assert seen == ["", False, True]
    assert b"done" not in output.getvalue()
    assert sys.stdin is None


def test_typed_bytes_that_the_locale_cannot_decode_are_kept(streams: Streams) -> None:
    streams(io.BytesIO(), "ascii", "Grüße\n".encode())
    seen: list[str] = []
    program("iirs-x")(lambda _: len(seen.append(sys.stdin.readline()) or ""))()  # type: ignore[func-returns-value]
    assert seen[0].encode("ascii", "surrogateescape") == "Grüße\n".encode()


def test_a_reader_that_goes_away_is_noticed_without_writing() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as raw:
        stream = io.TextIOWrapper(io.BufferedWriter(Outlet(raw)))
        assert not is_gone(stream)
        os.close(reader)
        assert is_gone(stream)
        assert not is_gone(io.StringIO())


def test_a_pipe_that_was_made_non_blocking_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    child = subprocess.Popen(["wc", "-c"], stdin=reader, stdout=subprocess.PIPE)
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as raw:
        stream = io.TextIOWrapper(io.BufferedWriter(Outlet(raw)))
        stream.write("x" * 1_000_000)
        stream.flush()
    assert int(child.communicate(timeout=PATIENT)[0]) == 1_000_000


def test_as_written_is_as_long_as_what_is_written() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "latin-1")
    assert as_written("a…字\N{COMBINING ACUTE ACCENT}", stream) == "a...??"


def test_an_output_without_block_characters_gets_no_qr_code(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_main, "qr_lines", lambda _: "█▀█\n")
    for encoding, shown in (("ascii", b""), ("utf-8", "█▀█\n\n".encode())):
        output, status = streams(io.BytesIO(), encoding)
        program("iirs-x")(lambda _: len(server_main._draw("link") or ""))()  # type: ignore[arg-type, func-returns-value]
        assert output.getvalue() == shown
        assert (b"cannot show a QR code" in status.getvalue()) is (not shown)


def test_the_demo_ends_when_nobody_looks_on_any_more(streams: Streams) -> None:
    streams(Failing(10))

    def main(_: list[str] | None) -> int:
        for line in ("the first line", "the second", "never said"):
            demo_main._print(line)
        return 0

    with pytest.raises(SystemExit) as end:
        program("iirs-demo")(main)()
    assert end.value.code == CLOSED_PIPE


# -- as processes ------------------------------------------------------------------------------------------


def run(*arguments: str, closed: str = "", head: bool = False) -> subprocess.CompletedProcess[bytes]:
    """Run a program in a C locale: with streams closed by the shell, or for a reader that is gone already."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=writer if head else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ASCII,
            timeout=PATIENT,
            check=False,
        )
    finally:
        os.close(writer)


def test_a_report_is_printed_to_whatever_there_is() -> None:
    meter = ("iirs.meter.main", "--mu", "10", "--b", "1", "--setups", "1")
    whole = run(*meter)
    assert (whole.returncode, whole.stderr) == (0, b"")
    assert b"Noise: every hop" in whole.stdout
    gone = run(*meter, head=True)
    assert (gone.returncode, gone.stderr) == (CLOSED_PIPE, b"")
    assert run(*meter, closed=">&- 2>&- <&-").returncode == 0


def test_a_chain_is_made_whoever_reads_about_it(tmp_path: Path) -> None:
    made = run("iirs.server.hops.setup_main", "hop", str(tmp_path / "a"), "--entry", "--name", "a", head=True)
    assert (made.returncode, made.stderr) == (CLOSED_PIPE, b"")
    assert (tmp_path / "a" / "hop.toml").exists()


@pytest.mark.parametrize("module", ["iirs.client.main", "iirs.server.hops.main", "iirs.demo.main"])
def test_a_refusal_never_goes_to_standard_output_or_becomes_a_traceback(module: str, tmp_path: Path) -> None:
    """Fixed: with stderr closed, the sentence was printed to stdout."""
    arguments = {
        "iirs.client.main": ("--terminal", "not a link", "--data-dir", str(tmp_path)),
        "iirs.server.hops.main": ("--data-dir", str(tmp_path)),
        "iirs.demo.main": ("--hops", "0"),
    }[module]
    refused = run(module, *arguments, closed="2>&- <&-")
    assert refused.returncode in {1, 2}
    assert refused.stdout == b""


@pytest.mark.realtime
@pytest.mark.parametrize("closed", [">&- 2>&- <&-", ""])
def test_a_server_goes_on_when_nobody_reads_what_it_says(closed: str, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    reader, writer = os.pipe()
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "iirs.server.main",
         "--ephemeral", "--host", "127.0.0.1", "--port", "0", "--qr", "--round-seconds", "0.1",
         "--log-level", "info", "--glass-box", str(seen)],
        stdout=writer, stderr=writer, env=ASCII,
    )  # fmt: skip
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as output:
            ready = any(line.startswith(b"iirs-server ready") for line in output)
            assert ready is (not closed)
        for _ in range(2):
            before = rounds_in(seen)
            while rounds_in(seen) < before + 3:
                assert process.poll() is None
                time.sleep(0.05)
    finally:
        process.terminate()
    assert process.wait(PATIENT) == 0


def rounds_in(seen: Path) -> int:
    return seen.read_bytes().count(b"\n") if seen.exists() else 0
