"""Text typed to text seen: one machine, real processes' code, real TLS, rounds of 2 s.

    python benchmarks/latency.py [--texts 100] [--round-seconds 2] [--hops 3 [--noise-share 0.1]]

Two clients in this process talk over loopback with servers in processes of their own; each text is typed at
a random moment of a round, as people type. Prints median, 95th percentile and worst in seconds, and in
rounds, which is the figure that carries over to other settings. Targets with rounds of 2 s: with one server
a median of at most 2.0 s and a worst of 100 of at most 4.5 s, with three hops a median of at most 2.3 s. The
noise is what iirs-chain sizes for this machine; *noise_a_round* are the cells of it that each hop adds.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from iirs.chain import JoinLink
from iirs.client.account.entry_calls import Home, register
from iirs.client.account.password_keys import StretchCost, storage_key
from iirs.client.events import Event, PeerChanged, PeopleChanged, TextReceived
from iirs.client.server_connection import ServerConnection
from iirs.client.store.store import ClientStore
from iirs.demo.local_chain import local_chain

_NAMES = ("alice", "bob")
_PATIENCE_SECONDS = 120


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--round-seconds", type=float, default=2.0)
    parser.add_argument("--hops", type=int, default=1)
    parser.add_argument("--noise-share", type=float, help="share of a core for noise (default: iirs-chain's)")
    options = parser.parse_args()
    noise = [] if options.noise_share is None else ["--noise-share", str(options.noise_share)]
    with (
        tempfile.TemporaryDirectory() as folder,
        local_chain(options.hops, options.round_seconds, noise) as servers,
    ):
        with connected(_NAMES, servers.link, Path(folder)) as people:
            meet(people)
            latencies = measure_texts(people, options.texts, options.round_seconds)
        views = servers.views()
    noise_a_round = [round(view["noise_added"] / max(1, view["rounds"])) for view in views]
    summary = _summary(latencies, options.round_seconds)
    print(json.dumps({**summary, "hops": options.hops, "noise_a_round": noise_a_round}, indent=1))
    return 0


@contextmanager
def connected(names: Iterable[str], link: JoinLink, folder: Path) -> Iterator[list[ServerConnection]]:
    """Have people registered and connected; at the end they leave at once."""
    people = [connect(name, link, folder) for name in names]
    try:
        yield people
    finally:
        for person in people:
            person.quit(at_once=True)
        for person in people:
            person.join(10)


def connect(name: str, link: JoinLink, folder: Path) -> ServerConnection:
    home = Home(folder / name, StretchCost(64, 1, 1))
    account = register(link, home, name, "correct horse battery")
    connection = ServerConnection(
        link, account, ClientStore(folder / f"{name}.store", storage_key(account.identity))
    )
    connection.start()
    return connection


def meet(people: list[ServerConnection]) -> None:
    """Have alice and bob come into sync."""
    alice, bob = people
    for person, peer in ((alice, "bob"), (bob, "alice")):
        _wait(person, lambda event, name=peer: isinstance(event, PeopleChanged) and name in event.names)
        person.ask(peer)
    for person in people:
        _wait(person, lambda event: isinstance(event, PeerChanged) and event.established)


def measure_texts(people: list[ServerConnection], texts: int, round_seconds: float) -> list[float]:
    """Return how long each of so many texts took from being typed to being seen."""
    alice, bob = people
    latencies = []
    for number in range(texts):
        sender, receiver = (alice, bob) if number % 2 else (bob, alice)
        time.sleep(round_seconds * secrets.randbelow(10_000) / 10_000)
        text = f"text {number} {os.urandom(8).hex()}"
        typed = time.monotonic()
        sender.send(receiver.account.name, text)
        _wait(receiver, lambda event, want=text: isinstance(event, TextReceived) and event.text == want)
        latencies.append(time.monotonic() - typed)
        print(f"{number + 1}/{texts}: {latencies[-1]:.2f} s", file=sys.stderr)
    return latencies


def _wait(person: ServerConnection, condition: Callable[[Event], bool]) -> Event:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            event = person.events.get(timeout=1)
        except queue.Empty:
            continue
        if condition(event):
            return event
    raise SystemExit("an event that should come did not")


def percentile(values: list[float], share: float) -> float:
    """Return what that share of the values does not exceed."""
    return sorted(values)[int(share * (len(values) - 1))]


def _summary(latencies: list[float], round_seconds: float) -> dict[str, float]:
    ordered = sorted(latencies)
    figures = {
        "median": statistics.median(ordered),
        "p95": percentile(ordered, 0.95),
        "worst": ordered[-1],
    }
    seconds = {f"{name}_s": round(value, 3) for name, value in figures.items()}
    rounds = {f"{name}_rounds": round(value / round_seconds, 3) for name, value in figures.items()}
    return {"texts": len(ordered), "round_s": round_seconds, **seconds, **rounds}


if __name__ == "__main__":
    sys.exit(main())
