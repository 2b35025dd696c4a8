"""The processes in which pictures are decoded: one at a time, bounded in all they do, and none stays."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import PIL
import pytest

from iirs.client.model.picture_queue import Picture, PictureQueue
from iirs.client.pictures import decoder, decoder_process
from iirs.client.pictures.decoder import Bounds, Decoder, Task, UndecodedError, Why
from tests.harness import PATIENT_SECONDS, wait_until
from tests.pictures import many_scans, png

pytest_plugins = ["tests.decoder_fixtures"]
SMALL = Task("small", 100, 4 + 4 * 100 * 100, (PIL,))
BUSY = many_scans(1500, 400_000)
HANG = "import time; time.sleep(1000)"
POSIX = os.name == "posix"
LINUX = sys.platform == "linux"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """All processes that were started; none may have been at work when another one was."""
    made: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **options: object) -> None:
            assert all(process.poll() is not None for process in made), "two at once"
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            made.append(self)

    monkeypatch.setattr(decoder.subprocess, "Popen", Noted)
    yield made
    for process in made:
        assert process.returncode is not None, "it was left to itself"
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdin.closed
        assert process.stdout.closed


def program(folder: Path, text: str) -> Path:
    path = folder / "program.py"
    path.write_text(text)
    return path


def refusal(made: Decoder, data: bytes = b"picture", task: Task = SMALL) -> Why:
    with pytest.raises(UndecodedError) as caught:
        made.decode(task, data)
    return caught.value.why


class Running:
    """A decoder at work in a thread, and what came of it."""

    def __init__(self, bounds: Bounds, data: bytes, started: list[subprocess.Popen[bytes]]) -> None:
        self.decoder = Decoder(bounds)
        self.why: list[Why] = []
        self._thread = threading.Thread(target=lambda: self.why.append(refusal(self.decoder, data)))
        self._thread.start()
        wait_until(lambda: bool(started), PATIENT_SECONDS)
        self.process = started[0]

    def end(self) -> None:
        self.decoder.stop()
        self._thread.join(PATIENT_SECONDS)
        assert not self._thread.is_alive()


@pytest.mark.usefixtures("usual_priority")
def test_pictures_are_decoded_one_after_another_whoever_asks(started: list[subprocess.Popen[bytes]]) -> None:
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(Decoder().decode(SMALL, png("red")))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 4
    assert answers == [decoder_process.small(png("red"), 100)] * 4


def test_two_decoders_at_once_would_be_noticed(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "_ONE_AT_A_TIME", contextlib.nullcontext())
    running = Running(Bounds(program=program(tmp_path, HANG)), b"", started)
    with pytest.raises(AssertionError, match="two at once"):
        Decoder().decode(SMALL, png("red"))
    running.end()


@pytest.mark.usefixtures("usual_priority")
def test_ten_hostile_pictures_in_a_window_are_one_process_and_its_end_is_theirs(
    started: list[subprocess.Popen[bytes]],
) -> None:
    told: queue.Queue[Picture] = queue.Queue()
    messenger = SimpleNamespace(read_file=lambda file_id: BUSY)
    engine: Any = SimpleNamespace(messenger=messenger)
    files = [b"%d" % number for number in range(10)]
    pictures = PictureQueue(lambda work: work(engine), told.put, Decoder(Bounds(cpu_seconds=1)))
    pictures.want(files, 100)
    first = told.get(timeout=PATIENT_SECONDS) if POSIX else Picture(b"0", b"", refused=True)
    assert first == Picture(b"0", b"", refused=True)
    wait_until(lambda: len(started) == 2 or not POSIX, PATIENT_SECONDS)
    pictures.stop()
    told.get(timeout=PATIENT_SECONDS)
    assert len(started) <= 2
    assert told.empty()


def test_a_decoder_gives_way_to_everything_else(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    running = Running(Bounds(program=program(tmp_path, HANG)), b"", started)
    if POSIX:
        wait_until(lambda: os.getpriority(os.PRIO_PROCESS, running.process.pid) == 19, PATIENT_SECONDS)
    if LINUX:
        wait_until(lambda: os.sched_getscheduler(running.process.pid) == os.SCHED_IDLE, PATIENT_SECONDS)
        assert os.sched_getscheduler(0) != os.SCHED_IDLE
    running.end()
    assert running.why == [Why.ENDED]


@pytest.mark.usefixtures("usual_priority")
def test_a_decoder_has_given_away_what_decoding_does_not_need(
    started: list[subprocess.Popen[bytes]],
) -> None:
    running = Running(Bounds(cpu_seconds=77), BUSY, started)
    try:
        if not LINUX:
            return

        def limits() -> dict[str, list[str]]:
            lines = Path(f"/proc/{running.process.pid}/limits").read_text().splitlines()
            return {line[:26].strip(): line[26:].split()[:2] for line in lines}

        wait_until(lambda: limits()["Max core file size"] == ["0", "0"], PATIENT_SECONDS)  # it comes last
        assert os.sched_getscheduler(running.process.pid) != os.SCHED_IDLE, "these tests do not wait for it"
        assert limits()["Max cpu time"] == ["77", "77"]
        assert limits()["Max address space"] == [str(512 * 1024 * 1024)] * 2
        for name in ("open files", "file size", "processes"):
            assert limits()[f"Max {name}"] == ["0", "0"], name
    finally:
        running.end()
    assert running.why == [Why.ENDED]


@pytest.mark.usefixtures("usual_priority")
def test_a_picture_that_takes_too_long_is_given_up(started: list[subprocess.Popen[bytes]]) -> None:
    if POSIX:
        assert refusal(Decoder(Bounds(cpu_seconds=1)), BUSY) is Why.ENDED
        assert len(started) == 1


@pytest.mark.usefixtures("usual_priority")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HANG, Why.ENDED),
        (f"import os; os.close(1); {HANG}", Why.ENDED),
        ("while True: print('x' * 1_000_000)", Why.UNREADABLE),
        ("print('x' * 40_005)", Why.UNREADABLE),
        ("raise SystemExit(1)", Why.UNREADABLE),
        ("import os; os.abort()", Why.UNREADABLE),
        ("print('a part of an answer', flush=True); raise SystemExit(120)", Why.UNREADABLE),
        ("raise SystemExit(3)", Why.TOO_LARGE),
        ("raise SystemExit(4)", Why.NO_CODE),
    ],
    ids=["hangs", "says nothing", "talks on", "a byte more", "fails", "dies", "half", "large", "none"],
)
def test_whatever_becomes_of_a_decoder_it_ends(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], text: str, why: Why
) -> None:
    seconds = 1.0 if "sleep" in text else PATIENT_SECONDS
    made = Decoder(Bounds(seconds=seconds, program=program(tmp_path, text)))
    assert refusal(made, bytes(1_000_000)) is why  # more than a pipe holds: it may never be read
    assert len(started) == 1


def test_what_cannot_be_started_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python/here")
    assert refusal(Decoder()) is Why.UNREADABLE


def test_a_decoder_that_was_stopped_starts_nothing_any_more(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    made = Decoder(Bounds(program=program(tmp_path, HANG)))
    made.stop()
    assert refusal(made) is Why.ENDED
    assert not started


@pytest.mark.usefixtures("usual_priority")
def test_a_decoder_is_given_no_file_no_variable_and_no_module_of_ours(
    tmp_path: Path, started: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IIRS_SECRET", "correct horse")
    tell = (
        "import os, sys; own = os.path.isdir('/proc/self/fd');"
        "files = sorted(os.listdir('/proc/self/fd'))[:-1] if own else ['0', '1', '2'];"
        "print(sorted(os.environ), files, sys.flags.isolated, sys.flags.no_site, sys.argv[1:4],"
        "      [name for name in sys.modules if name.startswith('iirs')])"
    )
    inherited = os.open(tmp_path, os.O_RDONLY) if POSIX else None
    if inherited is not None:
        os.set_inheritable(inherited, True)
    try:
        said = Decoder(Bounds(program=program(tmp_path, tell))).decode(SMALL, b"").decode()
    finally:
        if inherited is not None:
            os.close(inherited)
    assert "IIRS_SECRET" not in said
    assert "HOME" not in said
    assert "PYTHONPATH" not in said
    assert said.rstrip().endswith("['0', '1', '2'] 1 1 ['small', '100', '5'] []")


def test_a_decoder_whose_program_was_killed_ends_by_itself() -> None:
    command = [sys.executable, "-I", decoder_process.__file__, "small", "100", "600"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(len(BUSY).to_bytes(8, "big") + BUSY)
        process.stdin.flush()
        time.sleep(0.1)
        assert process.poll() is None
        process.stdin.close()  # as the system does it for a program that is no more
        try:
            assert process.wait(PATIENT_SECONDS) == decoder_process.NOBODY_WAITS
        finally:
            process.kill()


def test_the_decoder_process_has_nothing_else_of_this_program_in_it() -> None:
    code = (
        "import runpy, sys; runpy.run_path(sys.argv[1]);"
        "print([name for name in sys.modules if name.startswith('iirs')])"
    )
    command = [sys.executable, "-I", "-c", code, decoder_process.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_both_sides_number_refusals_alike() -> None:
    assert (Why.TOO_LARGE.value, Why.NO_CODE.value) == (decoder_process.TOO_LARGE, decoder_process.NO_CODE)


def test_nothing_else_of_this_program_decodes_pictures() -> None:
    sources = Path(decoder.__file__).parents[2].rglob("*.py")
    words = re.compile(r"Image\.open\(|read_barcodes\(|ImageFile")
    assert [path.name for path in sources if words.search(path.read_text())] == ["decoder_process.py"]
