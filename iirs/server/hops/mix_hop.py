"""A later hop's part in a round: peel a layer, shuffle and pass on (``MixStage``), seal the replies.

No socket and no clock in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from iirs.errors import OnionError
from iirs.geometry import BatchKind, Geometry, RandomBytes
from iirs.onion import peel, seal_reply
from iirs.server.mix_stage import Batch, MixStage, SeenOnions
from iirs.suite import KeyPair
from iirs.wire.rounds import Bundle


class MixHop:
    """A later hop (1 .. n-1): peels its layer off every onion, mixes, and seals the replies.

    Accepts one batch a round and kind, rounds strictly increasing: a repeat is refused unprocessed.
    """

    def __init__(
        self,
        geometry: Geometry,
        hop: int,
        key: Callable[[int], KeyPair],
        stage: MixStage,
        random_bytes: RandomBytes,
        store_round: Callable[[int, BatchKind], None] = lambda round_number, kind: None,
        last_rounds: Mapping[BatchKind, int] | None = None,
    ) -> None:
        """``key`` gives the private key for a round number; ``store_round`` makes a round final on disk.

        ``last_rounds`` are those stored before a restart.
        """
        self._geometry = geometry
        self._hop = hop
        self._key = key
        self._stage = stage
        self._random_bytes = random_bytes
        self._store_round = store_round
        self._last = {**dict.fromkeys(BatchKind, -1), **(last_rounds or {})}

    def exchange(self, batch: Batch) -> list[bytes]:
        """Return a sealed reply for each onion, in the same order. Raises ``OnionError`` on a repeat."""
        reply_keys, opened = self._open(batch)
        inner = self._stage.exchange(batch.context, opened, batch.give_up_at)
        reply_size = self._geometry.reply_size(self._geometry.hops - self._hop)
        return [
            self._random_bytes(reply_size) if key is None else seal_reply(key, reply)
            for key, reply in zip(reply_keys, inner, strict=True)
        ]

    def collect_invitations(self, batch: Batch) -> Bundle:
        """Peel and pass on a batch of invitations."""
        return self._stage.collect_invitations(batch.context, self._open(batch)[1], batch.give_up_at)

    def _open(self, batch: Batch) -> tuple[list[bytes | None], list[bytes | None]]:
        if batch.context.round_number <= self._last[batch.kind]:
            raise OnionError("a batch for a round that is over")
        self._last[batch.kind] = batch.context.round_number
        self._store_round(batch.context.round_number, batch.kind)
        key = self._key(batch.context.round_number)
        size = self._geometry.onion_size(self._geometry.hops - self._hop, batch.kind)
        seen = SeenOnions()
        suite, context, hop, kind = self._geometry.suite, batch.context, self._hop, batch.kind
        reply_keys: list[bytes | None] = []
        opened: list[bytes | None] = []
        for onion in batch.onions:
            reply_key, inner = None, None
            if len(onion) == size and seen.is_new(onion):
                try:
                    reply_key, inner = peel(onion, key, suite, context, hop, kind)
                except OnionError:
                    reply_key, inner = None, None  # it gets random bytes; the others go on
            reply_keys.append(reply_key)
            opened.append(inner)
        return reply_keys, opened
