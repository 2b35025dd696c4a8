"""``iirs-demo``: the main job in one command.

With a display: a server and two chat windows. Without one, or with ``--headless``: a real server process
and two real client processes hold a short conversation through wiretaps, and each round is printed as the
network saw it, next to what the people said.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, NoReturn

from iirs.chain import MAX_HOPS, JoinLink
from iirs.client.net.transport import Transport
from iirs.client.terminal import ESTABLISHED
from iirs.demo.local_chain import LocalChain, local_chain
from iirs.demo.rounds_seen import RoundSeen, Sizes
from iirs.demo.wiretap import Wiretap
from iirs.errors import ConfigError, ConnectionLostError, IirsError
from iirs.standard_streams import CLOSED_PIPE, is_gone, program

_PEOPLE = ("alice", "bob")
_SCRIPT = (
    ("alice", "Hello bob, can anyone see that we talk?"),
    ("bob", "They see that we are online. Not that we talk."),
    ("alice", "And now that I am silent?"),
    ("bob", "The same bytes, at the same times."),
    ("alice", "Even for something long? " + "word " * 300),
    ("bob", "Even then: it only takes more rounds."),
)
_LIMIT_SECONDS = 180
_ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""SIGHUP: the terminal was closed."""


Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class _Options:
    round_seconds: float
    say: Say


@dataclass(slots=True)
class Report:
    """What the demo measured."""

    hops: int = 1
    rounds: int = 0
    messages_sent: int = 0
    messages_delivered: int = 0
    latency_s: list[float] = field(default_factory=list)
    upload_sizes: dict[str, list[int]] = field(default_factory=dict)
    download_sizes: dict[str, list[int]] = field(default_factory=dict)
    hop_views: list[dict[str, object]] = field(default_factory=list)
    """What each hop saw, in chain order."""

    def as_json(self) -> str:
        """Return one JSON object."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})


class TerminalClient:
    """A real client process in a terminal, driven as a person would."""

    def __init__(self, name: str, peer: str, link: JoinLink, folder: Path, linger: float) -> None:
        self.name = name
        self.heard: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()
        self.ready = threading.Event()
        self.last_status = ""
        password = folder / f"{name}.password"
        password.write_text("correct horse battery staple\n")
        self.process = subprocess.Popen(
            [
                *_python("iirs.client.main"), str(link), "--terminal", "--register", "--username", name,
                "--password-file", str(password), "--peer", peer, "--data-dir", str(folder / name),
                "--linger", str(linger),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace",
        )  # fmt: skip
        for stream, listener in ((self.process.stdout, self._hear), (self.process.stderr, self._status)):
            threading.Thread(target=listener, args=(stream,), daemon=True).start()

    def say(self, text: str) -> None:
        """Type a line."""
        if self.process.stdin is not None:
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()

    def stop_typing(self) -> None:
        """End the input, as Ctrl-D does."""
        if self.process.stdin is not None:
            self.process.stdin.close()

    def _hear(self, stream: IO[str]) -> None:
        for line in stream:
            self.heard.put((time.monotonic(), line.rstrip("\n")))

    def _status(self, stream: IO[str]) -> None:
        for line in stream:
            self.last_status = line.strip()
            if ESTABLISHED in line:
                self.ready.set()


def main(arguments: list[str] | None = None) -> int:
    """Show the main job. Returns 0 only if everything was delivered, 128 + N if signal N ended it."""
    try:
        # SIGINT too: what a script starts in the background inherits that it is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in _ENDINGS:
            signal.signal(number, _end)
        return _run(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _end(number: int, _: object) -> NoReturn:
    raise SystemExit(128 + number)  # so that on the way out all that was started is ended


@program("iirs-demo")
def _run(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="iirs-demo", description="A server and two people, talking.")
    parser.add_argument("--headless", action="store_true", help="no windows, even with a display")
    parser.add_argument("--json", action="store_true", help="headless; print one JSON object at the end")
    parser.add_argument(
        "--round-seconds", type=float, default=2.0, help="seconds between rounds (default: 2)"
    )
    parser.add_argument("--hops", type=int, default=1, help="servers in the chain (default: 1)")
    options = parser.parse_args(arguments)
    try:
        if not 1 <= options.hops <= MAX_HOPS:
            raise ConfigError(f"--hops must be 1 to {MAX_HOPS}.")
        if options.headless or options.json or not _has_display():
            return _headless(options.hops, options.round_seconds, quiet=options.json)
        return _windows(options.hops, options.round_seconds)
    except IirsError as error:
        print(f"iirs-demo: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # no folder for what is thrown away at the end
        print(f"iirs-demo: {error.strerror or error}", file=sys.stderr)
        return 2


def _has_display() -> bool:
    if sys.platform.startswith(("win", "darwin")):
        return True
    if not os.environ.get("DISPLAY"):
        return False
    try:
        import tkinter  # noqa: PLC0415  # not there on every machine
    except ImportError:
        return False
    try:
        tkinter.Tk().destroy()
    except tkinter.TclError:
        return False
    return True


def _print(line: str) -> None:
    print(line, flush=True)
    if is_gone(sys.stdout):
        raise SystemExit(
            CLOSED_PIPE
        )  # nobody looks on any more; all that was started is ended on the way out


def _headless(hops: int, round_seconds: float, *, quiet: bool) -> int:
    say: Say = (lambda line: None) if quiet else _print
    with tempfile.TemporaryDirectory() as name, local_chain(hops, round_seconds) as servers:
        servers.left.folder(name)
        transport, chain, _ = Transport.connect(servers.link, None)
        transport.close()
        sizes = Sizes(chain, len(_PEOPLE))
        taps = {person: Wiretap(servers.link.port) for person in _PEOPLE}
        try:
            report = _converse(Path(name), servers, taps, sizes, _Options(round_seconds, say))
        finally:
            for tap in taps.values():
                tap.close()
        report.hops, report.hop_views = hops, servers.views()
    _conclude(report, say)
    if quiet:
        print(report.as_json())
    complete = report.messages_sent == report.messages_delivered == len(_SCRIPT)
    return 0 if complete else 1


def _converse(
    folder: Path, servers: LocalChain, taps: dict[str, Wiretap], sizes: Sizes, options: _Options
) -> Report:
    others = dict(zip(_PEOPLE, reversed(_PEOPLE), strict=True))
    linger = 3 * options.round_seconds
    clients = {}
    for name, tap in taps.items():
        tapped = replace(servers.link, port=tap.port)
        clients[name] = TerminalClient(name, others[name], tapped, folder, linger)
        servers.left.program(clients[name].process)
    printer = _RoundPrinter(taps, sizes, options)
    try:
        _wait_until_ready(list(clients.values()), printer)
        report = Report()
        for name, text in _SCRIPT:
            # People take a moment to type; without one, every text would start right after a round.
            printer.watch(options.round_seconds * (0.2 + secrets.randbelow(1000) / 1000))
            _exchange(clients[name], clients[others[name]], text, report, printer)
        printer.watch(2 * options.round_seconds)  # silence: the network sees no difference
        for client in clients.values():
            client.stop_typing()
        while any(client.process.poll() is None for client in clients.values()):
            printer.watch(0.1)
    finally:
        for client in clients.values():
            if client.process.poll() is None:
                client.process.kill()
            client.process.wait()
    printer.watch(0)
    _count(report, taps, sizes)
    if any(client.process.returncode for client in clients.values()):
        raise ConnectionLostError("A client ended with an error.")
    return report


def _wait_until_ready(clients: list[TerminalClient], printer: _RoundPrinter) -> None:
    deadline = time.monotonic() + _LIMIT_SECONDS
    printer.say("alice and bob register, and ask for each other through dead drop 0 ...")
    while not all(client.ready.is_set() for client in clients):
        if time.monotonic() > deadline or any(client.process.poll() is not None for client in clients):
            raise ConnectionLostError("The two did not come into sync: " + clients[0].last_status)
        printer.watch(0.05)


def _exchange(
    speaker: TerminalClient, hearer: TerminalClient, text: str, report: Report, printer: _RoundPrinter
) -> None:
    typed = time.monotonic()
    speaker.say(text)
    report.messages_sent += 1
    printer.said(speaker.name, text)
    while time.monotonic() < typed + _LIMIT_SECONDS and hearer.process.poll() is None:
        printer.watch(0.02)
        while not hearer.heard.empty():
            at, line = hearer.heard.get()
            if line == f"{speaker.name}> {text}":
                report.messages_delivered += 1
                report.latency_s.append(round(at - typed, 3))
                printer.heard(hearer.name, text, at - typed)
                return


def _count(report: Report, taps: dict[str, Wiretap], sizes: Sizes) -> None:
    for tap in taps.values():
        seen = sizes.rounds(tap.bursts())
        report.rounds = max(report.rounds, len(seen))
        for item in seen:
            for table, size in ((report.upload_sizes, item.up), (report.download_sizes, item.down)):
                table[item.kind] = sorted({*table.get(item.kind, []), size})


class _RoundPrinter:
    """Prints each round as it passes on the wire, with what was said and heard meanwhile."""

    def __init__(self, taps: dict[str, Wiretap], sizes: Sizes, options: _Options) -> None:
        self.say = options.say
        self._round_seconds = options.round_seconds
        self._taps = taps
        self._sizes = sizes
        self._printed = 0

    def said(self, name: str, text: str) -> None:
        """Tell what a person typed."""
        self.say(f"{'':40}{name} types: {_short(text)}")

    def heard(self, name: str, text: str, seconds: float) -> None:
        """Tell what a person read."""
        self.say(f"{'':40}{name} reads: {_short(text)}  ({seconds:.1f} s)")

    def watch(self, seconds: float) -> None:
        """Print what passes for a while."""
        until = time.monotonic() + seconds
        while True:
            seen = self._together()
            # The newest pair of bursts may still be growing: print it once the next has begun.
            complete = min(len(rounds) for rounds in seen.values()) - 1
            while self._printed < complete:
                self._print_round(seen)
            if time.monotonic() >= until:
                return
            time.sleep(0.02)

    def _together(self) -> dict[str, list[RoundSeen]]:
        """Return each person's rounds, from the first in which both took part."""
        seen = {name: self._sizes.rounds(tap.bursts()) for name, tap in self._taps.items()}
        if not all(seen.values()):
            return {name: [] for name in seen}
        both_since = max(rounds[0].started for rounds in seen.values()) - self._round_seconds / 2
        return {
            name: [item for item in rounds if item.started >= both_since] for name, rounds in seen.items()
        }

    def _print_round(self, seen: dict[str, list[RoundSeen]]) -> None:
        here = {name: rounds[self._printed] for name, rounds in seen.items()}
        self._printed += 1
        views = "  ".join(f"{name} {item.up}↑ {item.down}↓" for name, item in here.items())
        kinds = {item.kind for item in here.values()}
        kind = (
            "; ".join(f"{name}: {item.kind}" for name, item in here.items())
            if len(kinds) > 1
            else kinds.pop()
        )
        self.say(f"round {self._printed:3}  {views}  [{kind}]")


def _short(text: str) -> str:
    return text if len(text) < 60 else f"{text[:40]}... ({len(text)} characters)"


def _conclude(report: Report, say: Say) -> None:
    say(f"\n{report.messages_delivered} of {report.messages_sent} texts delivered in {report.rounds} rounds")
    if report.latency_s:
        median, worst = statistics.median(report.latency_s), max(report.latency_s)
        say(f"typed to read: median {median:.1f} s, worst {worst:.1f} s")
    for name, table in (("up", report.upload_sizes), ("down", report.download_sizes)):
        for kind, sizes in table.items():
            say(f"bytes {name} in rounds of kind {kind}: {', '.join(map(str, sizes))}")
    for view in report.hop_views:
        say(
            f"hop {view['hop']} saw {view['setups']} setups, and {view['cells_arrived']} cells in "
            f"{view['rounds']} rounds; it added {view['noise_added']} of its own; it knows {view['knows']}"
        )
    say("One size each way for each kind of round, whoever talks or is silent: the network sees no more.")


def _windows(hops: int, round_seconds: float) -> int:
    """Open a server and two windows that register, ask for each other and greet."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = stack.enter_context(local_chain(hops, round_seconds))
        servers.left.folder(folder)
        windows: list[subprocess.Popen[str]] = []
        for person, peer in zip(_PEOPLE, reversed(_PEOPLE), strict=True):
            password = folder / f"{person}.password"
            password.write_text("correct horse battery staple\n")
            command = [
                *_python("iirs.client.main"), str(servers.link), "--username", person, "--peer", peer,
                "--password-file", str(password), "--data-dir", str(folder / person),
                "--say", f"Hello {peer}!",
            ]  # fmt: skip
            windows.append(stack.enter_context(subprocess.Popen(command, text=True)))
            servers.left.program(windows[-1])
            stack.callback(windows[-1].kill)
        print("Two windows: alice and bob ask for each other, which takes a few rounds. Close both to end.")
        codes = [window.wait() for window in windows]
    return max(codes)


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


if __name__ == "__main__":
    sys.exit(main())
