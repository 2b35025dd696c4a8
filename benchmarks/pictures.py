"""How late uploads leave while hostile pictures wait, against a quiet moment of the same run.

    python benchmarks/pictures.py [--pictures 10] [--moments 300] [--repeats 3]

An upload clock sends at planned moments: while nothing else is done; while ten pictures of 1 MB wait, each
of which keeps a decoder busy until it is ended; and, to see that this measures anything, while ten decoders
work on them at once and give way to nobody. Milliseconds from the planned moment to the write. Target: at
the median the pictures that wait make less than 1 ms of difference. Exit code 1 if it is missed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import PIL

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it uses helpers of the tests

from iirs.client.model.picture_queue import PictureQueue
from iirs.client.net.upload_clock import UploadClock
from iirs.client.pictures import decoder_process
from tests.pictures import many_scans

SIDE, TARGET_MS, EVERY_SECONDS = 4400, 1.0, 0.03


class Watch:
    """A transport that notes when something was sent."""

    def __init__(self) -> None:
        self.sent = threading.Event()
        self.at = 0.0

    def send(self, *_: object) -> None:
        self.at = time.monotonic()
        self.sent.set()


class Files:
    """A store of hostile pictures, in place of an engine."""

    def __init__(self, data: bytes) -> None:
        self.messenger = self
        self._data = data

    def read_file(self, _: bytes) -> bytes:
        return self._data

    def call(self, function: Callable[[Any], None]) -> None:
        function(self)


def lateness(moments: int) -> list[float]:
    """Return by how many milliseconds writes were late."""
    clock, late = UploadClock(lambda _: None, lambda: None), []
    clock.start()
    for _ in range(moments):
        watch, due = Watch(), time.monotonic() + EVERY_SECONDS
        clock.schedule(due, watch, [])  # type: ignore[arg-type]
        watch.sent.wait()
        late.append(1000 * (watch.at - due))
    clock.stop()
    return late


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def waiting(data: bytes, count: int) -> Iterator[None]:
    """A window looks at hostile pictures."""
    files, begun = Files(data), time.monotonic()
    pictures = PictureQueue(files.call, lambda _: None)
    pictures.want([b"%d" % number for number in range(count)], 320)
    yield
    pictures.stop()
    print(f"    for {time.monotonic() - begun:.0f} s")


@contextmanager
def all_at_once(data: bytes, count: int) -> Iterator[None]:
    """Each picture has a decoder of its own at once, and none gives way."""
    folder = str(Path(str(PIL.__file__)).parents[1])
    command = [sys.executable, "-I", "-S", str(decoder_process.__file__), "small", "320", "600", folder]
    decoders = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(count)
    ]
    for decoder in decoders:
        assert decoder.stdin is not None
        decoder.stdin.write(len(data).to_bytes(8, "big") + data)
        decoder.stdin.flush()
    yield
    for decoder in decoders:
        decoder.kill()
        decoder.communicate()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in (("pictures", 10), ("moments", 300), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N")
    options = parser.parse_args()
    data = many_scans(SIDE, 1_000_000)
    late: dict[str, list[float]] = {"nothing": [], "pictures wait": [], "all at once, without giving way": []}
    for number in range(options.repeats):
        print(f"{number + 1} of {options.repeats}")
        kinds = nothing(), waiting(data, options.pictures), all_at_once(data, options.pictures)
        for name, kind in zip(late, kinds, strict=True):
            with kind:
                late[name] += lateness(options.moments)
    quiet = statistics.median(late["nothing"])
    for name, values in late.items():
        median, ordered = statistics.median(values), sorted(values)
        p99 = ordered[int(0.99 * len(ordered))]
        print(
            f"{name:34} median {median:8.3f} ms   p99 {p99:8.3f} ms   worst {ordered[-1]:8.3f} ms   "
            f"{median / quiet:6.1f} times"
        )
    return int(statistics.median(late["pictures wait"]) - quiet >= TARGET_MS)


if __name__ == "__main__":
    sys.exit(main())
