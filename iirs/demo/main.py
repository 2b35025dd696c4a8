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
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO

from iirs.chain import MAX_HOPS, Chain, JoinLink
from iirs.client.net.transport import Transport
from iirs.demo.local_chain import local_chain
from iirs.demo.wiretap import Burst, Way, Wiretap
from iirs.errors import ConfigError, ConnectionLostError, IirsError
from iirs.geometry import PREKEY_SIZE, padded_invitations
from iirs.message import HEADER_SIZE
from iirs.tls import on_the_wire

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


Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class _Options:
    round_seconds: float
    say: Say


@dataclass(frozen=True, slots=True)
class RoundSeen:
    """One round as the network saw one person's connection."""

    kind: str
    up: int
    down: int
    started: float
    """When its upload began (monotonic seconds)."""


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


class Sizes:
    """Tells round kinds apart as any observer can: sizes are public, and follow from the chain."""

    def __init__(self, chain: Chain, people: int) -> None:
        geometry = chain.geometry
        bundle = geometry.bundle_size(padded_invitations(people * chain.slots))
        plain = HEADER_SIZE + geometry.replies_size + HEADER_SIZE + geometry.announce_size
        prekey = HEADER_SIZE + PREKEY_SIZE
        self.uploads = {
            on_the_wire(extra + HEADER_SIZE + size): kind + remark
            for size, kind in ((geometry.upload_size, "plain"), (geometry.upload_invite_size, "invite"))
            for extra, remark in ((0, ""), (prekey, ", new prekey"))
        }
        keys = HEADER_SIZE + geometry.keys_size
        self.with_keys = {
            on_the_wire(plain + keys),
            on_the_wire(plain + keys + HEADER_SIZE + bundle),
        }

    def rounds(self, bursts: list[Burst]) -> list[RoundSeen]:
        """Return the rounds in what a wiretap recorded of one connection."""
        seen = []
        first = next((i for i, burst in enumerate(bursts) if burst.size in self.uploads), len(bursts))
        for up, down in pairwise(bursts[first:]):
            if up.way is Way.UP:
                kind = self.uploads.get(up.size, "unexpected")
                kind += ", new epoch keys" if down.size in self.with_keys else ""
                seen.append(RoundSeen(kind, up.size, down.size, up.started))
        return seen


class Player:
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
            text=True, encoding="utf-8",
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
            if "Connection established successfully" in line:
                self.ready.set()


def main(arguments: list[str] | None = None) -> int:
    """Show the main job. Returns 0 only if everything was delivered."""
    parser = argparse.ArgumentParser(prog="iirs-demo", description="A server and two people, talking.")
    parser.add_argument("--headless", action="store_true", help="no windows, even with a display")
    parser.add_argument("--json", action="store_true", help="headless; print one JSON object at the end")
    parser.add_argument("--round-seconds", type=float, default=2.0, help="seconds between rounds")
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
    except KeyboardInterrupt:
        return 130


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


def _headless(hops: int, round_seconds: float, *, quiet: bool) -> int:
    say: Say = (lambda line: None) if quiet else (lambda line: print(line, flush=True))
    with tempfile.TemporaryDirectory() as name, local_chain(hops, round_seconds) as servers:
        transport, chain, _ = Transport.connect(servers.link, None)
        transport.close()
        sizes = Sizes(chain, len(_PEOPLE))
        taps = {person: Wiretap(servers.link.port) for person in _PEOPLE}
        try:
            report = _converse(Path(name), servers.link, taps, sizes, _Options(round_seconds, say))
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
    folder: Path, link: JoinLink, taps: dict[str, Wiretap], sizes: Sizes, options: _Options
) -> Report:
    others = dict(zip(_PEOPLE, reversed(_PEOPLE), strict=True))
    linger = 3 * options.round_seconds
    players = {}
    for name, tap in taps.items():
        tapped = JoinLink(link.host, tap.port, link.fingerprint)
        players[name] = Player(name, others[name], tapped, folder, linger)
    narrator = _Narrator(taps, sizes, options)
    try:
        _wait_until_ready(list(players.values()), narrator)
        report = Report()
        for name, text in _SCRIPT:
            # People take a moment to type; without one, every text would start right after a round.
            narrator.watch(options.round_seconds * (0.2 + secrets.randbelow(1000) / 1000))
            _exchange(players[name], players[others[name]], text, report, narrator)
        narrator.watch(2 * options.round_seconds)  # silence: the network sees no difference
        for player in players.values():
            player.stop_typing()
        while any(player.process.poll() is None for player in players.values()):
            narrator.watch(0.1)
    finally:
        for player in players.values():
            if player.process.poll() is None:
                player.process.kill()
            player.process.wait()
    narrator.watch(0)
    _count(report, taps, sizes)
    if any(player.process.returncode for player in players.values()):
        raise ConnectionLostError("A client ended with an error.")
    return report


def _wait_until_ready(players: list[Player], narrator: _Narrator) -> None:
    deadline = time.monotonic() + _LIMIT_SECONDS
    narrator.say("alice and bob register, and ask for each other through dead drop 0 ...")
    while not all(player.ready.is_set() for player in players):
        if time.monotonic() > deadline or any(player.process.poll() is not None for player in players):
            raise ConnectionLostError("The two did not come into sync: " + players[0].last_status)
        narrator.watch(0.05)


def _exchange(speaker: Player, hearer: Player, text: str, report: Report, narrator: _Narrator) -> None:
    typed = time.monotonic()
    speaker.say(text)
    report.messages_sent += 1
    narrator.said(speaker.name, text)
    while time.monotonic() < typed + _LIMIT_SECONDS and hearer.process.poll() is None:
        narrator.watch(0.02)
        while not hearer.heard.empty():
            at, line = hearer.heard.get()
            if line == f"{speaker.name}> {text}":
                report.messages_delivered += 1
                report.latency_s.append(round(at - typed, 3))
                narrator.heard(hearer.name, text, at - typed)
                return


def _count(report: Report, taps: dict[str, Wiretap], sizes: Sizes) -> None:
    for tap in taps.values():
        seen = sizes.rounds(tap.bursts())
        report.rounds = max(report.rounds, len(seen))
        for item in seen:
            for table, size in ((report.upload_sizes, item.up), (report.download_sizes, item.down)):
                table[item.kind] = sorted({*table.get(item.kind, []), size})


class _Narrator:
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
            f"hop {view['hop']} saw {view['onions_arrived']} onions in {view['rounds']} rounds and added "
            f"{view['noise_added']} of its own; it knows {view['knows']}"
        )
    say("One size each way for each kind of round, whoever talks or is silent: the network sees no more.")


def _windows(hops: int, round_seconds: float) -> int:
    """Open a server and two windows that register, ask for each other and greet."""
    with tempfile.TemporaryDirectory() as name, local_chain(hops, round_seconds) as servers:
        folder = Path(name)
        windows = []
        for person, peer in zip(_PEOPLE, reversed(_PEOPLE), strict=True):
            password = folder / f"{person}.password"
            password.write_text("correct horse battery staple\n")
            command = [
                *_python("iirs.client.main"), str(servers.link), "--username", person, "--peer", peer,
                "--password-file", str(password), "--data-dir", str(folder / person),
                "--say", f"Hello {peer}!",
            ]  # fmt: skip
            windows.append(subprocess.Popen(command))
        print("Two windows: alice and bob ask for each other, which takes a few rounds. Close both to end.")
        codes = [window.wait() for window in windows]
    return max(codes)


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


if __name__ == "__main__":
    sys.exit(main())
