"""Both asked to connected: how long two people wait for each other, many pairs at once.

    python benchmarks/connect.py [--hops 1] [--pairs 20] [--round-seconds 2] [--json]

Real servers in processes of their own, every client in this one, over loopback. Each pair asks for each
other at a moment of its own, within the time of one epoch and one bundle, as people come when they like;
the time runs from the second of the two asking until both have heard each other. Prints median and worst in
seconds. Targets with rounds of 2 s: 6 and 12 s with one server, 16 and 30 s with three. Exit code 1 if one
is missed.
"""

from __future__ import annotations

import argparse
import json
import queue
import secrets
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from latency import connected

from iirs.client.events import PeerChanged, PeopleChanged
from iirs.client.server_connection import ServerConnection
from iirs.demo.local_chain import local_chain
from iirs.server.keystore import DEFAULT_EPOCH_ROUNDS, DEFAULT_INVITE_EVERY

TARGETS = {1: (6.0, 12.0), 3: (16.0, 30.0)}
_PATIENCE_SECONDS = 180
_Pair = tuple[ServerConnection, ServerConnection]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hops", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--round-seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    names = [f"{name}{pair}" for pair in range(options.pairs) for name in ("alice", "bob")]
    epoch_rounds = DEFAULT_EPOCH_ROUNDS if options.hops > 1 else 1
    spread = options.round_seconds * (epoch_rounds + DEFAULT_INVITE_EVERY)
    with (
        tempfile.TemporaryDirectory() as folder,
        local_chain(options.hops, options.round_seconds) as servers,
        connected(names, servers.link, Path(folder)) as people,
    ):
        for person in people:
            _wait_for_everybody(person, len(people))
        times = _meet(list(zip(people[::2], people[1::2], strict=True)), spread)
    summary = {
        "hops": options.hops,
        "pairs": len(times),
        "round_s": options.round_seconds,
        "median_s": round(statistics.median(times), 2),
        "worst_s": round(max(times), 2),
    }
    if options.json:
        print(json.dumps(summary, indent=1))
    else:
        print(f"both asked to connected, {len(times)} pairs, {options.hops} hops: "
              f"median {summary['median_s']} s, worst {summary['worst_s']} s")  # fmt: skip
    median, worst = TARGETS.get(options.hops, (float("inf"), float("inf")))
    return 0 if summary["median_s"] <= median and summary["worst_s"] <= worst else 1


def _wait_for_everybody(person: ServerConnection, count: int) -> None:
    """Return when a person's client knows so many people."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    known: set[str] = set()
    while len(known) < count - 1:
        if time.monotonic() > deadline:
            raise SystemExit("somebody does not hear of all others")
        try:
            event = person.events.get(timeout=1)
        except queue.Empty:
            continue
        if isinstance(event, PeopleChanged):
            known |= set(event.names) - {person.account.name}


def _meet(pairs: list[_Pair], spread: float) -> list[float]:
    """Have each pair ask at a moment within ``spread`` seconds; return what each waited."""
    times: list[float] = []
    threads = [
        threading.Thread(target=lambda pair=pair: times.append(_meet_one(pair, spread))) for pair in pairs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(times) != len(pairs):
        raise SystemExit("somebody did not come into touch")
    return times


def _meet_one(pair: _Pair, spread: float) -> float:
    time.sleep(spread * secrets.randbelow(10_000) / 10_000)
    alice, bob = pair
    alice.ask(bob.account.name)
    bob.ask(alice.account.name)
    asked = time.monotonic()
    return max(_established(person) for person in pair) - asked


def _established(person: ServerConnection) -> float:
    """Return when a person's client has heard the other one."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            event = person.events.get(timeout=1)
        except queue.Empty:
            continue
        if isinstance(event, PeerChanged) and event.established:
            return time.monotonic()
    raise SystemExit("two people who asked for each other did not meet")


if __name__ == "__main__":
    sys.exit(main())
