"""What one message costs each hop, in units of one X25519 exchange measured in the same run.

    python benchmarks/cost.py [--circuits 4000] [--repeats 7]

A *cell* is one on its way in and what comes back on the way out: taking a layer off, moving, handing on,
putting a layer on. A *setup* is one onion: opening, dropping copies, shuffling, handing on, and being ready
for its cells. A *message* is a cell and its share of a setup in epochs of the default length. All without
noise and without the network; of the two later hops of a chain of three the dearer is given. *entry* is a
cell at the entry, with its seals, and *entry_setup* one together with its setup. CPU time of this process;
the unit and the hops take turns, and each figure is the smallest of the repeats, because other programs
only ever add to it. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Hashable
from itertools import count

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from iirs.chain import Chain, Hop, parse_chain, render_chain
from iirs.circuit import set_up
from iirs.geometry import CELL_SIZE, DROP_ID_SIZE, BatchKind
from iirs.noise import Noise
from iirs.onion import EntryChannel, RoundContext, channel_period
from iirs.server.deaddrop import DeadDropManager, DeadDrops
from iirs.server.hops.mix_hop import MixHop
from iirs.server.keystore import DEFAULT_EPOCH_ROUNDS
from iirs.server.mix_net import MixNet
from iirs.server.mix_stage import Batch, MixStage, NextHop
from iirs.suite import SUITES
from iirs.wire.rounds import Bundle, Upload

HOPS = 3
FIRST_ROUND = 60
TARGETS = {
    "cell": 0.10,
    "entry": 0.2,
    "setup_X25519": 1.6,
    "setup_MLKEM768_X25519": 2.6,
    "message_X25519": 0.25,
    "message_MLKEM768_X25519": 0.35,
}


class Echo:
    """A next hop that costs nothing: hands back what it was given."""

    def set_up(self, batch: Batch) -> None:
        """Keep nothing."""

    def exchange(self, batch: Batch) -> list[bytes]:
        return list(batch.items)

    def collect_invitations(self, batch: Batch) -> Bundle:
        raise AssertionError("only setups and cells are measured here")


def make_chain(suite: str) -> Chain:
    hops = tuple(Hop(f"hop{n}", f"127.0.0.1:{9000 + n}" if n else "", bytes([n]) * 32) for n in range(HOPS))
    return parse_chain(
        render_chain(
            suite=suite, slots=2, round_ms=2000, invite_every=5, epoch_rounds=DEFAULT_EPOCH_ROUNDS,
            entry_certificate=bytes(32), hops=hops, noise=Noise(0, 0, forced=True),
        )
    )  # fmt: skip


def context_of(chain: Chain, number: int) -> RoundContext:
    return RoundContext(chain.chain_id, number, bytes(32))


def unit(exchanges: int) -> Callable[[], float]:
    """Return work of ``exchanges`` X25519 exchanges."""
    private = X25519PrivateKey.generate()
    publics = [X25519PrivateKey.generate().public_key() for _ in range(50)]

    def work() -> None:
        for number in range(exchanges):
            private.exchange(publics[number % 50])

    return timed(work)


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Return the work, to be run for its CPU seconds."""

    def run() -> float:
        # What this program keeps besides is not a hop's to look through while it works.
        gc.collect()
        gc.freeze()
        started = time.process_time()
        work()
        return time.process_time() - started

    return run


def entry(chain: Chain, circuits: int, *, sets_up: bool) -> Callable[[], float]:
    """Return a round of the entry: its seals off and on, mixing; with a setup, or without."""
    geometry = chain.geometry
    numbers = count(FIRST_ROUND)
    net = MixNet(chain, MixStage(Echo(), os.urandom), os.urandom)
    clients = range(circuits // geometry.circuits)

    def run_round(*, is_setup: bool) -> float:
        context = context_of(chain, next(numbers))
        channels: dict[Hashable, EntryChannel] = {
            client: EntryChannel(os.urandom(32), b"", 0) for client in clients
        }
        for channel in channels.values():
            channel.advance(channel_period(context.round_number))

        def sealed(client: int, kind: BatchKind) -> tuple[bytes, ...]:
            size, first = geometry.item_size(HOPS - 1, kind), geometry.first_index(kind)
            return tuple(
                channels[client].seal_up(context, kind, index, os.urandom(size))
                for index in range(first, first + geometry.circuits)
            )

        uploads = {
            client: Upload(
                context.round_number,
                sealed(client, BatchKind.CELL),
                sealed(client, BatchKind.SETUP) if is_setup else (),
            )
            for client in clients
        }

        def work() -> None:
            net.open_round(context, sets_up=is_setup, invites=False)
            for client, upload in uploads.items():
                net.submit(client, upload)
            outcome = net.close_round(channels)
            assert outcome is not None
            assert not outcome.lost

        return timed(work)()

    run_round(is_setup=True)
    return lambda: run_round(is_setup=sets_up)


class LaterHop:
    """A later hop with the onions of one setup, which come again and again under other round numbers."""

    def __init__(self, chain: Chain, hop: int, circuits: int) -> None:
        self._chain, self._hop = chain, hop
        self._suite = chain.geometry.suite
        self._pair = self._suite.generate()
        self._numbers = count(FIRST_ROUND)
        self._mix = self._new()
        self._drop_ids = [os.urandom(DROP_ID_SIZE) for _ in range(circuits // 2)] * 2
        self._cells = [os.urandom(CELL_SIZE) for _ in self._drop_ids]
        self.set_up()

    def _new(self) -> MixHop:
        is_last = self._hop == HOPS - 1
        behind: NextHop = (
            DeadDrops(DeadDropManager(os.urandom), self._chain.chain_id, lambda _: bytes(64))
            if is_last
            else Echo()
        )
        stage = MixStage(behind, os.urandom)
        return MixHop(self._chain.geometry, self._hop, lambda _: self._pair, stage, os.urandom)

    def set_up(self) -> float:
        """Return the CPU seconds of one setup."""
        context = context_of(self._chain, next(self._numbers))
        keys = [self._suite.load_public(self._pair.public_bytes)] * (HOPS - self._hop)
        onions = [
            set_up(drop_id, keys, self._suite, context, os.urandom, self._hop)[0]
            for drop_id in self._drop_ids
        ]
        return timed(lambda: self._mix.set_up(Batch(context, BatchKind.SETUP, onions)))()

    def exchange(self) -> float:
        """Return the CPU seconds of one round's cells."""
        batch = Batch(context_of(self._chain, next(self._numbers)), BatchKind.CELL, self._cells)
        return timed(lambda: self._mix.exchange(batch))()


def smallest(works: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """Return each work's smallest CPU time in seconds; they take turns."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(repeats):
        for name, work in works.items():
            best[name] = min(best[name], work())
    return best


def figures(times: dict[str, float]) -> dict[str, float]:
    """Return what each thing costs in exchanges: of hops and suites the dearest."""
    one = times["unit"]

    def dearest(start: str) -> float:
        return max(seconds for name, seconds in times.items() if name.startswith(start)) / one

    values = {"cell": dearest("cell"), "entry": dearest("entry cell"), "entry_setup": dearest("entry setup")}
    for suite in SUITES:
        values[f"setup_{suite}"] = dearest(f"setup {suite}")
        values[f"message_{suite}"] = values[f"setup_{suite}"] / DEFAULT_EPOCH_ROUNDS + values["cell"]
    return {name: round(value, 3) for name, value in values.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--circuits", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    works = {"unit": unit(options.circuits)}
    for suite in SUITES:
        chain = make_chain(suite)
        works[f"entry cell {suite}"] = entry(chain, options.circuits, sets_up=False)
        works[f"entry setup {suite}"] = entry(chain, options.circuits, sets_up=True)
        for number in range(1, HOPS):
            hop = LaterHop(chain, number, options.circuits)
            works[f"setup {suite}, hop {number}"] = hop.set_up
            works[f"cell {suite}, hop {number}"] = hop.exchange
    times = smallest(works, options.repeats)
    values = figures(times)
    print(json.dumps({"x25519_us": round(times["unit"] / options.circuits * 1e6, 1), **values}, indent=1))
    missed = [name for name, target in TARGETS.items() if values[name] > target]
    if missed:
        print(f"more than the target: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
