"""What one message costs each hop, in units of one X25519 exchange measured in the same run.

    python benchmarks/cost.py [--onions 4000] [--repeats 7]

A message is one onion on its way in and its reply on the way out: opening, dropping duplicates, shuffling,
handing on and sealing, without noise and without the network. CPU time of this process; the unit and the
hops take turns, and each figure is the smallest of the repeats, because other programs only ever add to it.
Targets: hop 0 at most 0.2; later hops at most 1.6 with X25519 and 3.0 with the hybrid suite. Exit code 1 if
one is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from iirs.chain import Chain, Hop, parse_chain, render_chain
from iirs.geometry import DROP_ID_SIZE, PEER_MESSAGE_SIZE, BatchKind
from iirs.noise import Noise
from iirs.onion import EntryChannel, RoundContext, wrap
from iirs.server.deaddrop import DeadDropManager, DeadDrops
from iirs.server.hops.mix_hop import MixHop
from iirs.server.mix_net import MixNet
from iirs.server.mix_stage import Batch, MixStage
from iirs.suite import SUITES
from iirs.wire.rounds import Bundle, Upload

HOPS = 3
ROUND = 60
TARGETS = {"entry": 0.2, "X25519": 1.6, "MLKEM768_X25519": 3.0}


class Echo:
    """A next hop that costs nothing: hands back replies made beforehand."""

    def __init__(self, reply_size: int) -> None:
        self._reply = bytes(reply_size)

    def exchange(self, batch: Batch) -> list[bytes]:
        return [self._reply] * len(batch.onions)

    def collect_invitations(self, batch: Batch) -> Bundle:
        raise AssertionError("only conversation batches are measured here")


def make_chain(suite: str) -> Chain:
    hops = tuple(Hop(f"hop{n}", f"127.0.0.1:{9000 + n}" if n else "", bytes([n]) * 32) for n in range(HOPS))
    return parse_chain(
        render_chain(
            suite=suite, slots=2, round_ms=2000, invite_every=5, epoch_rounds=30,
            entry_certificate=bytes(32), hops=hops, noise=Noise(0, 0, forced=True),
        )
    )  # fmt: skip


def unit(exchanges: int) -> Callable[[], None]:
    """Return work of ``exchanges`` X25519 exchanges."""
    private = X25519PrivateKey.generate()
    publics = [X25519PrivateKey.generate().public_key() for _ in range(50)]

    def work() -> None:
        for number in range(exchanges):
            private.exchange(publics[number % 50])

    return work


def entry(chain: Chain, onions: int) -> Callable[[], None]:
    """Return a round of the entry: its own layer, mixing, replies."""
    geometry = chain.geometry
    context = RoundContext(chain.chain_id, ROUND, bytes(32))
    stage = MixStage(geometry, 0, Echo(geometry.reply_size(HOPS - 1)), os.urandom)
    net = MixNet(chain, stage, os.urandom)
    channels, uploads = {}, {}
    size = geometry.onion_size(HOPS - 1, BatchKind.CONVERSATION)
    for client in range(onions // geometry.onions_per_client):
        channels[client] = EntryChannel(os.urandom(32), b"", ROUND // chain.epoch_rounds)
        sealed = tuple(
            channels[client].seal_up(context, BatchKind.CONVERSATION, index, os.urandom(size))
            for index in range(geometry.onions_per_client)
        )
        uploads[client] = Upload(ROUND, sealed)

    def work() -> None:
        net.open_round(context, invites=False)
        for client, upload in uploads.items():
            net.submit(client, upload)
        outcome = net.close_round(dict(channels))
        assert outcome is not None
        assert not outcome.lost

    return work


def later(chain: Chain, hop: int, onions: int) -> Callable[[], None]:
    """Return a round of a later hop: opening, mixing, sealing; of the last one with the dead drops."""
    geometry = chain.geometry
    suite = geometry.suite
    pair = suite.generate()
    public = suite.load_public(pair.public_bytes)
    context = RoundContext(chain.chain_id, ROUND, bytes(32))
    is_last = hop == HOPS - 1
    behind = (
        DeadDrops(DeadDropManager(os.urandom), chain.chain_id, lambda _: bytes(64))
        if is_last
        else Echo(geometry.reply_size(HOPS - 1 - hop))
    )
    batch = Batch(context, BatchKind.CONVERSATION, _onions(chain, hop, [public], context, onions))

    def work() -> None:
        stage = MixStage(geometry, hop, behind, os.urandom)
        replies = MixHop(geometry, hop, lambda _: pair, stage, os.urandom).exchange(batch)
        assert len(replies) == onions

    return work


def _onions(chain: Chain, hop: int, keys: Sequence[object], context: RoundContext, count: int) -> list[bytes]:
    inner = chain.geometry.onion_size(HOPS - 1 - hop, BatchKind.CONVERSATION)
    suite, kind = chain.geometry.suite, BatchKind.CONVERSATION
    onions = []
    for _ in range(count // 2):
        drop_id = os.urandom(DROP_ID_SIZE)
        for _ in range(2):
            payload = drop_id + os.urandom(inner - DROP_ID_SIZE)
            onions.append(wrap(payload, keys, suite, context, kind, os.urandom, hop)[0])  # type: ignore[arg-type]
    assert inner >= PEER_MESSAGE_SIZE + DROP_ID_SIZE
    return onions


def smallest(works: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Return each work's smallest CPU time in seconds; they take turns."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(repeats):
        for name, work in works.items():
            started = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - started)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--onions", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    works: dict[str, Callable[[], None]] = {"unit": unit(options.onions)}
    for suite in SUITES:
        chain = make_chain(suite)
        works[f"entry {suite}"] = entry(chain, options.onions)
        for hop in range(1, HOPS):
            works[f"hop {hop} {suite}"] = later(chain, hop, options.onions)
    times = smallest(works, options.repeats)
    one = times.pop("unit")
    figures = {name: round(seconds / one, 3) for name, seconds in times.items()}
    print(json.dumps({"x25519_us": round(one / options.onions * 1e6, 1), **figures}, indent=1))
    missed = [
        name
        for name, figure in figures.items()
        if figure > TARGETS["entry" if name.startswith("entry") else name.split()[-1]]
    ]
    if missed:
        print(f"more than the target: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
