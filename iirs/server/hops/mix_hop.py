"""A later hop's part in a round: a layer off, shuffle and pass on (``MixStage``), a layer on the answers.

States of an epoch here: none -> set up (a setup came, and all behind are set up too) -> none, when another
setup comes. No socket and no clock in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from iirs.circuit import Layer, Way, initial_block
from iirs.errors import OnionError
from iirs.geometry import BatchKind, Geometry, RandomBytes
from iirs.onion import peel
from iirs.server.mix_stage import Batch, MixStage, SeenOnions
from iirs.suite import KeyPair
from iirs.wire.rounds import Bundle


class MixHop:
    """A later hop (1 .. n-1): peels its layer off every onion and cell, mixes, and puts it on the answers.

    Accepts one batch a round and kind, rounds strictly increasing: a repeat is refused unprocessed. A
    round's cells are used up before they are looked at, and so are the answers to them.
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

        ``last_rounds`` are those stored before a restart. Cells' need not be stored: their keys are never on
        disk.
        """
        self._geometry = geometry
        self._hop = hop
        self._key = key
        self._stage = stage
        self._random_bytes = random_bytes
        self._store_round = store_round
        self._last = {**dict.fromkeys(BatchKind, -1), **(last_rounds or {})}
        self._layers: Sequence[Layer | None] = ()

    @property
    def setup_round(self) -> int | None:
        """The setup round of the circuits there are, if there are any."""
        return self._last[BatchKind.SETUP] if self._stage.is_set_up else None

    def forget(self) -> None:
        """Forget the circuits, if there are any."""
        self._layers = ()
        self._stage.forget()

    def set_up(self, batch: Batch) -> None:
        """Make the circuits of an epoch. Raises ``OnionError`` on a repeat."""
        self.forget()
        secrets, opened = self._open(batch)
        layers = [None if secret is None else Layer(secret) for secret in secrets]
        self._stage.set_up(batch.context, opened, batch.give_up_at)
        self._layers = layers

    def exchange(self, batch: Batch) -> list[bytes]:
        """Return what comes back for each cell, in the same order.

        Raises ``OnionError`` for a round that is over, without circuits, or with other cells than places.
        """
        number = batch.context.round_number
        if self.setup_round is None or number < self.setup_round:
            raise OnionError("cells without circuits")
        self._burn(number, BatchKind.CELL)
        if len(batch.items) != len(self._layers):
            raise OnionError("a round with other cells than circuits")
        inner = self._stage.exchange(
            batch.context, self._apply(number, Way.FORWARD, batch.items), batch.give_up_at
        )
        return self._apply(number, Way.BACK, inner)

    def collect_invitations(self, batch: Batch) -> Bundle:
        """Peel and pass on a batch of invitations."""
        return self._stage.collect_invitations(batch.context, self._open(batch)[1], batch.give_up_at)

    def _apply(self, round_number: int, way: Way, cells: Sequence[bytes]) -> list[bytes]:
        # Those of dead places are as random as they come: forward nobody looks at them.
        block = initial_block(round_number, way)
        return [
            cell if layer is None else layer.apply(block, cell)
            for layer, cell in zip(self._layers, cells, strict=True)
        ]

    def _burn(self, round_number: int, kind: BatchKind) -> None:
        if round_number <= self._last[kind]:
            raise OnionError("a batch for a round that is over")
        self._last[kind] = round_number

    def _open(self, batch: Batch) -> tuple[list[bytes | None], list[bytes | None]]:
        self._burn(batch.context.round_number, batch.kind)
        self._store_round(batch.context.round_number, batch.kind)
        key = self._key(batch.context.round_number)
        size = self._geometry.item_size(self._geometry.hops - self._hop, batch.kind)
        seen = SeenOnions()
        suite, context, hop, kind = self._geometry.suite, batch.context, self._hop, batch.kind
        secrets: list[bytes | None] = []
        opened: list[bytes | None] = []
        for onion in batch.items:
            secret, inner = None, None
            if len(onion) == size and seen.is_new(onion):
                try:
                    secret, inner = peel(onion, key, suite, context, hop, kind)
                except OnionError:
                    secret, inner = None, None  # it ends here; the others go on
            secrets.append(secret)
            opened.append(inner)
        return secrets, opened
