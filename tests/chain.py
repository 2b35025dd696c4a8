"""A chain of several hops as real processes on loopback, and what can happen to a process.

The people who use it are clients in the test's own process, as in ``tests.harness``. What the hops did is
read from their logs, which hold aggregates only.
"""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from iirs.chain import Chain, JoinLink, parse_chain
from iirs.client.events import RoundClosed, TextReceived
from iirs.server.hops import setup_main as chain_main
from tests.harness import Person, Place, wait_until
from tests.hop_process import HopProcess

HOST = "127.0.0.1"
E = TypeVar("E")
PATIENT = 60.0
"""Seconds after which what should happen within two or three has not happened, on a busy machine too."""
_ROUND = re.compile(
    r"^\S+ \S+ iirs\.server round (\d+): uploads (\d+), late (\d+), invitations (?:no|yes)(?:, LOST: (.*))?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Shape:
    """How a chain for a test is made."""

    hops: int = 3
    suite: str = "X25519"
    slots: int = 1
    round_seconds: float = 0.3
    invite_every: int = 3
    epoch_rounds: int = 6
    noise_mu: int = 4
    noise_b: int = 1


@dataclass(frozen=True)
class RoundLine:
    """What the entry wrote about one round."""

    number: int
    uploads: int
    late: int
    why_lost: str
    """Empty if the round was done."""


@dataclass
class RunningChain(Place):
    """Every hop of a chain, as a process of its own; hop 0 is the entry."""

    folder: Path
    chain: Chain
    ports: Sequence[int]
    people: dict[str, Person] = field(default_factory=dict)
    _processes: dict[int, HopProcess] = field(default_factory=dict)
    _rogues: set[int] = field(default_factory=set)

    @property
    def link(self) -> JoinLink:
        return JoinLink(HOST, self.ports[0], self.chain.chain_id)

    def data(self, hop: int) -> Path:
        return self.folder / "chain" / f"hop{hop}"

    # -- processes ------------------------------------------------------------------------------------

    def start(self, hop: int, *rogue: str) -> None:
        """Start a hop and wait until it is ready; ``rogue``: how it is to misbehave (``tests.rogue_mix``)."""
        self.launch(hop, *rogue)
        if rogue:
            self._rogues.add(hop)
        process = self._processes[hop]
        wait_until(lambda: "ready: " in self.said(hop) or not process.is_alive, PATIENT)
        assert process.is_alive, f"hop {hop} did not start: {self.log(hop)[-2000:]}"

    def launch(self, hop: int, *rogue: str) -> None:
        """Start a hop; it may refuse."""
        assert hop not in self._processes, "a hop runs once"
        program = "iirs.server.hops.main" if hop else "iirs.server.main"
        module, arguments = ("tests.rogue_mix", [*rogue, "--"]) if rogue else (program, [])
        arguments += ["--data-dir", str(self.data(hop)), "--host", HOST]
        arguments += ["--port", str(self.ports[hop]), "--log-level", "info"]
        files = self._path(hop, "out"), self._path(hop, "log")
        self._processes[hop] = HopProcess(module, arguments, *files)

    def kill(self, hop: int) -> None:
        """End a hop as a power failure does."""
        process = self._processes.pop(hop)
        self._rogues.discard(hop)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENT)

    def stop(self, hop: int) -> int:
        """Ask a hop to end, and return what it says to the operating system."""
        self._processes[hop].send_signal(signal.SIGTERM)
        return self.wait_end(hop)

    def wait_end(self, hop: int) -> int:
        """Wait until a hop ends by itself, and return what it says to the operating system."""
        self._rogues.discard(hop)
        return self._processes.pop(hop).wait(PATIENT)

    def refuses_to_start(self, hop: int) -> str:
        """Start a hop that must not come up; return what it has to say about that."""
        before = len(self.log(hop))
        self.launch(hop)
        assert self.wait_end(hop) == 2
        assert self.said(hop) == ""
        return self.log(hop)[before:]

    def restart(self, hop: int, *rogue: str) -> None:
        self.kill(hop)
        self.start(hop, *rogue)

    def mend(self) -> None:
        """Run an honest hop wherever a test that failed has left none."""
        for hop in range(len(self.ports)):
            if hop not in self._processes:
                self.start(hop)
            elif hop in self._rogues:
                self.restart(hop)
            self.thaw(hop)

    def freeze(self, hop: int) -> None:
        """Have a hop hang: it keeps its connections and does nothing."""
        self._processes[hop].send_signal(signal.SIGSTOP)

    def thaw(self, hop: int) -> None:
        self._processes[hop].send_signal(signal.SIGCONT)

    def end(self) -> None:
        """End every process that is still there, frozen ones too."""
        while self._processes:
            self.kill(next(iter(self._processes)))

    # -- what they say --------------------------------------------------------------------------------

    def _path(self, hop: int, kind: str) -> Path:
        return self.folder / f"hop{hop}.{kind}"

    def said(self, hop: int) -> str:
        """What a hop has printed since it was started last."""
        return self._path(hop, "out").read_text()

    def log(self, hop: int) -> str:
        """All that a hop has logged, over all its starts."""
        with suppress(FileNotFoundError):
            return self._path(hop, "log").read_text()
        return ""

    def wait_log(self, hop: int, sentence: str, since: int = 0) -> None:
        """Wait until a hop has logged a sentence after the first ``since`` characters."""
        try:
            wait_until(lambda: sentence in self.log(hop)[since:], PATIENT)
        except AssertionError as error:
            raise AssertionError(
                f"hop {hop} never logged {sentence!r}: {self.log(hop)[since:][-2000:]}"
            ) from error

    def rounds(self) -> list[RoundLine]:
        """Every round the entry has run."""
        return [
            RoundLine(int(number), int(uploads), int(late), why)
            for number, uploads, late, why in _ROUND.findall(self.log(0))
        ]

    def wait_rounds(
        self, count: int, condition: Callable[[RoundLine], bool] = lambda line: not line.why_lost
    ) -> None:
        """Wait for so many more rounds that meet a condition: by default, that are done."""
        before = len(self.rounds())
        try:
            wait_until(lambda: sum(map(condition, self.rounds()[before:])) >= count, PATIENT)
        except AssertionError as error:
            raise AssertionError(f"there were no {count} such rounds: {self.log(0)[-2000:]}") from error

    def wait_online(self, people: int) -> None:
        """Wait for a round that is done and holds so many uploads."""
        self.wait_rounds(1, lambda line: not line.why_lost and line.uploads == people)


@contextmanager
def running_chain(folder: Path, shape: Shape | None = None, *, start: bool = True) -> Iterator[RunningChain]:
    """Make a chain and run its hops, the last one first; every process ends with the block."""
    shape = shape or Shape()
    with ExitStack() as stack:
        ports = [_reserve_port(stack), *_reserve_row(stack, shape.hops - 1)]
        chain = _make(folder / "chain", shape, ports[1])
        place = RunningChain(folder, chain, ports)
        stack.callback(place.end)
        stack.callback(place.send_everybody_home)
        if start:
            for hop in reversed(range(shape.hops)):
                place.start(hop)
        yield place


def _make(folder: Path, shape: Shape, first_port: int) -> Chain:
    values = {
        "hops": shape.hops, "first-port": first_port, "suite": shape.suite, "slots": shape.slots,
        "round-seconds": shape.round_seconds, "invite-every": shape.invite_every,
        "epoch-rounds": shape.epoch_rounds, "noise-mu": shape.noise_mu, "noise-b": shape.noise_b,
    }  # fmt: skip
    options = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    assert chain_main.main(["init", str(folder), "--force", *options]) == 0
    return parse_chain((folder / "chain.toml").read_bytes())


def _reserve_port(stack: ExitStack, port: int = 0) -> int:
    """Hold a free port until the stack unwinds: only who asks for this very number can listen on it.

    A socket that is bound and does not listen keeps the port from being given to anybody as "any free one",
    for a connection going out too, so a hop that restarts finds its port free.
    """
    holder = stack.enter_context(socket.socket())
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((HOST, port))
    return int(holder.getsockname()[1])


def _reserve_row(stack: ExitStack, count: int) -> list[int]:
    """Hold ports that follow one another, as ``iirs-chain init`` gives them."""
    for _ in range(100):
        with ExitStack() as attempt:
            first = _reserve_port(attempt)
            try:
                ports = [first, *(_reserve_port(attempt, first + place) for place in range(1, count))]
            except (OSError, OverflowError):
                continue
            stack.push(attempt.pop_all())
            return ports
    raise AssertionError("no free ports in a row")


@dataclass
class Talk:
    """Two people of a chain who talk, and all that each has said so far."""

    place: RunningChain
    alice: Person
    bob: Person
    said: dict[str, list[str]] = field(default_factory=lambda: {"alice": [], "bob": []})

    def say(self) -> None:
        """Have each type one more text."""
        for person, peer in ((self.alice, self.bob), (self.bob, self.alice)):
            text = f"text {len(self.said[person.name])} from {person.name}"
            self.said[person.name].append(text)
            person.connection.send(peer.name, text)

    def settle(self, seconds: float = 2 * PATIENT) -> None:
        """Wait until all that was said has arrived: each text once, and in order."""
        try:
            wait_until(self._all_there, seconds)
        except AssertionError as error:
            missing = {name: len(self.said[name]) - len(self._heard_from(name)) for name in self.said}
            raise AssertionError(
                f"texts still missing from {missing}; alice saw {self.alice.log[-5:]}; "
                f"rounds: {self.place.rounds()[-5:]}"
            ) from error

    def check_exactly_once(self) -> None:
        """Demand that what has arrived so far is a beginning of what was said."""
        for name, said in self.said.items():
            heard = self._heard_from(name)
            assert heard == said[: len(heard)]

    def mark(self) -> dict[str, int]:
        """Remember how much each has seen."""
        return {person.name: len(person.drain()) for person in (self.alice, self.bob)}

    def since(self, mark: dict[str, int], kind: type[E]) -> list[E]:
        """What happened to either of them since a mark, alice first."""
        return [
            event
            for person in (self.alice, self.bob)
            for event in person.drain()[mark[person.name] :]
            if isinstance(event, kind)
        ]

    def fates(self, mark: dict[str, int]) -> list[RoundClosed]:
        """What became of the rounds that ended for either of them since a mark."""
        return self.since(mark, RoundClosed)

    def _heard_from(self, name: str) -> list[str]:
        hearer = self.bob if name == "alice" else self.alice
        return [event.text for event in hearer.drain() if isinstance(event, TextReceived)]

    def _all_there(self) -> bool:
        time.sleep(0.02)
        self.check_exactly_once()
        return all(len(self._heard_from(name)) == len(said) for name, said in self.said.items())


def begin_talk(place: RunningChain) -> Talk:
    """Register alice and bob, and return when the two are in sync."""
    talk = Talk(place, place.person("alice"), place.person("bob"))
    place.introduce(talk.alice, talk.bob)
    return talk
