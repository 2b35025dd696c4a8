"""When uploads leave, idle against busy, as somebody on the line sees it.

    python benchmarks/send_times.py [--rounds 30] [--round-seconds 1] [--json]

A server, a peer, the client and a wiretap between them have a process each, all on this machine. The
client is a real window (on a virtual screen, if Xvfb is there) whose worlds take turns within one
session: doing nothing, sending, receiving, searching, typing, scrolling and so on (``send_worlds.py``).
An upload is late by as much as the time between announcement and upload, on the wire, is longer than
planned. Each world's rounds are compared with the idle ones between them: Mann and Whitney's test, the
difference of the medians with a 95 % interval by bootstrap, the shift by Hodges and Lehmann. *Idle again*
is the control, which must not be told from idle; *leaky* is a client that sends ``--leak`` seconds later
when it has something to send, and must be told.

Targets: less than 1 ms between the medians; no upload missed, none a step later than planned; the control
not told, the leak told. Exit code 1 if one is not met. With the defaults it takes 10 minutes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it uses helpers of the tests

from scipy.stats import mannwhitneyu
from send_worlds import AGAIN, BLOCK, IDLE, LEAKY, run_peer, run_subject

from iirs.chain import JoinLink
from iirs.demo.local_chain import local_chain
from iirs.demo.wiretap import Wiretap
from tests.upload_times import Upload, seen_by_the_line
from tests.virtual_screen import VirtualScreen

EFFECT_MS = 1.0
TOLD = 0.001
"""Two worlds are told apart if chance alone would differ so rarely."""
RESAMPLES = 5000
COLUMNS = (
    "rounds",
    "missed",
    "stepped",
    "median_ms",
    "p99_ms",
    "effect_ms",
    "low_ms",
    "high_ms",
    "shift_ms",
    "p",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30, help="counted rounds of each world")
    parser.add_argument("--round-seconds", type=float, default=1.0)
    parser.add_argument("--leak", type=float, default=0.005, help="seconds")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    uploads = measure(options.rounds, options.round_seconds, options.leak)
    idle = milliseconds(uploads, IDLE)
    names = dict.fromkeys(upload.world for upload in uploads if upload.world)
    ordered = [IDLE, AGAIN, LEAKY, *sorted(names.keys() - {IDLE, AGAIN, LEAKY})]
    rows = {name: row(uploads, name, idle) for name in ordered}
    faults = [fault for name in ordered for fault in faults_of(name, rows[name])]
    if options.json:
        print(json.dumps({"worlds": rows, "faults": faults}, indent=1))
    else:
        show(rows, faults)
    return 1 if faults else 0


def measure(rounds: int, round_seconds: float, leak: float) -> list[Upload]:
    """Run everything; return what the line saw of all rounds."""
    processes = multiprocessing.get_context("spawn")
    screen = VirtualScreen()
    screen.start()
    try:
        with (
            tempfile.TemporaryDirectory() as name,
            local_chain(1, round_seconds) as servers,
            closing(Wiretap(servers.link.port)) as tap,
        ):
            folder = Path(name)
            through_tap = JoinLink(servers.link.host, tap.port, servers.link.fingerprint)
            here, there = processes.Pipe()
            for_alice, for_bob = processes.Pipe()
            cycles = -(-rounds // (BLOCK - 1))
            peer = processes.Process(target=run_peer, args=(for_bob, str(servers.link), folder))
            subject = processes.Process(
                target=run_subject, args=(there, for_alice, str(through_tap), folder, cycles, leak)
            )
            for process in (peer, subject):
                process.start()
            for ours in (there, for_alice, for_bob):
                ours.close()
            try:
                plans = last_word(here)
                return seen_by_the_line(plans, tap.bursts())
            finally:
                for process in (subject, peer):
                    process.join(20)
                    process.terminate()
    finally:
        screen.stop()


def last_word(subject: Connection) -> Any:
    """Return what the subject says when it is done, and pass on what it says until then."""
    try:
        while isinstance(said := subject.recv(), str):
            print(said, file=sys.stderr)
    except EOFError:
        raise SystemExit("the client that was measured did not come to an end") from None
    return said


def milliseconds(uploads: Sequence[Upload], world: str) -> list[float]:
    """Return how late the uploads of a world were, but for those that were missed or left a step later."""
    return [
        1000 * upload.late
        for upload in uploads
        if upload.world == world and upload.late is not None and not upload.stepped
    ]


def row(uploads: Sequence[Upload], world: str, idle: Sequence[float]) -> dict[str, float]:
    """Return one world's figures beside idle's."""
    here = [upload for upload in uploads if upload.world == world]
    late = milliseconds(here, world)
    if not (late and idle):
        raise SystemExit(
            f"{world}: not one upload left at its moment; this machine is too busy to tell anything"
        )
    low, high = bootstrap(idle, late)
    return {
        "rounds": len(here),
        "missed": sum(upload.late is None for upload in here),
        "stepped": sum(upload.stepped for upload in here),
        "median_ms": round(float(numpy.median(late)), 3),
        "p99_ms": round(float(numpy.quantile(late, 0.99)), 3),
        "effect_ms": round(float(numpy.median(late) - numpy.median(idle)), 3),
        "low_ms": round(low, 3),
        "high_ms": round(high, 3),
        "shift_ms": round(float(numpy.median(numpy.subtract.outer(late, idle))), 3),
        "p": float(f"{mannwhitneyu(late, idle).pvalue:.2g}"),
    }


def bootstrap(idle: Sequence[float], busy: Sequence[float]) -> tuple[float, float]:
    """Return the middle 95 % of the differences of medians when both samples are drawn anew."""
    draws = numpy.random.default_rng(1)
    medians = [
        numpy.median(draws.choice(sample, (RESAMPLES, len(sample))), axis=1) for sample in (busy, idle)
    ]
    low, high = numpy.quantile(medians[0] - medians[1], (0.025, 0.975))
    return float(low), float(high)


def faults_of(world: str, figures: dict[str, float]) -> list[str]:
    """Return which targets a world does not meet."""
    told, effect = figures["p"] < TOLD, figures["effect_ms"]
    faults = []
    if figures["missed"] or figures["stepped"]:
        faults.append(f"{world}: {figures['missed']} uploads missed, {figures['stepped']} a step later")
    if world == AGAIN and told:
        faults.append("doing nothing is told from doing nothing: the machine was not quiet")
    if world == LEAKY and not (told and effect > EFFECT_MS):
        faults.append("the leaky client is not told")
    if world != LEAKY and abs(effect) >= EFFECT_MS:
        faults.append(f"{world}: uploads leave {effect:.2f} ms later than idle ones")
    return faults


def show(rows: dict[str, dict[str, float]], faults: Sequence[str]) -> None:
    """Print a table, and what is wrong."""
    print(f"{'':26}" + "".join(f"{name:>11}" for name in COLUMNS))
    for name, figures in rows.items():
        print(f"{name:26}" + "".join(f"{figures[column]:>11g}" for column in COLUMNS))
    print(*(faults or ["all targets are met"]), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
