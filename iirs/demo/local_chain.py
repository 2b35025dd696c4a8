"""A chain on this machine, each server a process of its own, with the glass box on: for the demo."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from iirs.chain import JoinLink
from iirs.demo.leftovers import Leftovers, leftovers
from iirs.errors import ConfigError

HOST = "127.0.0.1"
_STOP_SECONDS = 20
SHOWN_NOISE = ("--noise-mu", "20", "--noise-b", "4", "--force")
"""Enough to be seen at work, and far too little to protect anybody."""


class LocalChain:
    """A running chain: ``link`` to its entry, and what each hop has seen so far."""

    def __init__(self, link: JoinLink, hops: int, glass_boxes: list[Path], left: Leftovers) -> None:
        self.link = link
        self.left = left
        """Where to say what else there will be to clear up."""
        self.hops = hops
        self._glass_boxes = glass_boxes

    def views(self) -> list[dict[str, Any]]:
        """Return for each hop, in chain order, what it saw of all rounds together."""
        return [self._view(hop, path) for hop, path in enumerate(self._glass_boxes)]

    def _view(self, hop: int, path: Path) -> dict[str, Any]:
        records = [json.loads(line) for line in path.read_text("ascii").splitlines()]
        rounds = [record for record in records if record.get("batch") == "cell"]
        setups = [record for record in records if record.get("batch") == "setup"]
        view: dict[str, Any] = {
            "hop": hop,
            "setups": len(setups),
            "rounds": len(rounds),
            "cells_arrived": sum(record["arrived"] for record in rounds),
            "noise_added": sum(record["noise"] for record in rounds),
            "knows": _knows(hop, self.hops),
        }
        if hop == self.hops - 1:
            counts: Counter[str] = Counter()
            for record in records:
                counts.update(record.get("accesses", {}))
            view["drops_by_accesses"] = dict(sorted(counts.items()))
        return view


def _knows(hop: int, hops: int) -> str:
    if hops == 1:
        return "everything: which connection accessed which dead drop"
    if hop == 0:
        return "which connection each cell came from, not where it went"
    if hop == hops - 1:
        return "which dead drop was accessed how often, not by whom"
    return "neither where a cell came from nor where it went"


@contextmanager
def local_chain(hops: int, round_seconds: float, noise: Sequence[str] = SHOWN_NOISE) -> Iterator[LocalChain]:
    """Start a chain that keeps nothing, and end it with the block; ``noise`` are options of ``iirs-chain``.

    Raises ``ConfigError`` if it does not start.
    """
    with leftovers() as left, ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        left.folder(folder)
        glass_boxes = [folder / f"hop{hop}.json" for hop in range(hops)]
        entry = ["--ephemeral", "--round-seconds", str(round_seconds)]
        if hops > 1:
            _make(folder / "chain", hops, round_seconds, noise)
            for hop in range(hops - 1, 0, -1):
                data = ["--data-dir", str(folder / "chain" / f"hop{hop}")]
                _start(stack, left, "iirs.server.hops.main", [*data, "--host", HOST], glass_boxes[hop])
            entry = ["--data-dir", str(folder / "chain" / "hop0")]
        entry += ["--host", HOST, "--port", "0"]
        line = _start(stack, left, "iirs.server.main", entry, glass_boxes[0])
        yield LocalChain(JoinLink.parse(line), hops, glass_boxes, left)


def _make(folder: Path, hops: int, round_seconds: float, noise: Sequence[str]) -> None:
    command = [
        *_python("iirs.server.hops.setup_main"), "init", str(folder), "--hops", str(hops),
        "--first-port", str(_free_ports(hops - 1)), "--round-seconds", str(round_seconds), *noise,
    ]  # fmt: skip
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise ConfigError(f"The chain could not be made. {made.stderr.strip()}")


def _start(stack: ExitStack, left: Leftovers, module: str, arguments: list[str], glass_box: Path) -> str:
    """Start a server; return what stands behind "ready: " in its first line."""
    command = [*_python(module), *arguments, "--glass-box", str(glass_box)]
    errors = glass_box.with_suffix(".err")
    with errors.open("wb") as sink:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sink, text=True)
    left.program(process)
    stack.callback(_stop, process)
    line = process.stdout.readline() if process.stdout is not None else ""
    if "ready: " not in line:
        process.wait(_STOP_SECONDS)
        raise ConfigError(f"A server of the chain did not start. {errors.read_text('utf-8').strip()}")
    return line.split("ready: ")[1].strip()


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> int:
    """Return the first of ``count`` ports in a row that nobody holds just now."""
    for _ in range(100):
        first = 20_000 + secrets.randbelow(30_000)
        with ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + count):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    raise ConfigError("This machine has no free ports for a chain.")


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]
