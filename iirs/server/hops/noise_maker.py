"""Makes a hop's noise for a setup while its round still collects, so that mixing need not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from iirs.chain import Chain
from iirs.errors import HopError
from iirs.geometry import DROP_ID_SIZE, BatchKind, RandomBytes
from iirs.noise import NoiseCount
from iirs.onion import RoundContext, wrap
from iirs.suite import PublicKey


@dataclass(frozen=True, slots=True)
class HopNoise:
    """What a hop adds to one setup."""

    count: NoiseCount
    onions: Sequence[bytes]


class NoiseMaker:
    """Real onions for all hops behind ``hop``: singles and pairs, as many as the chain's noise draws.

    ``begin`` starts a thread that makes them; ``take`` waits for it. Called by one thread.
    """

    def __init__(self, chain: Chain, hop: int, random_bytes: RandomBytes) -> None:
        self._chain = chain
        self._hop = hop
        self._random_bytes = random_bytes
        self._work: _Work | None = None

    def begin(self, context: RoundContext, keys: Sequence[PublicKey]) -> None:
        """Start to make the noise of a setup; ``keys`` are the hops' behind this one, in order.

        Raises ``HopError`` if the system gives no thread.
        """
        self.close()
        work = _Work(self._chain, self._hop, context, keys, self._random_bytes)
        try:
            work.start()
        except RuntimeError as error:
            raise HopError(self._hop, "has no thread to make its noise with") from error
        self._work = work

    def take(self, context: RoundContext) -> HopNoise:
        """Return the noise begun for this setup, once. Raises ``HopError`` if there is none."""
        work, self._work = self._work, None
        if work is None or work.context != context:
            raise HopError(self._hop, "was asked for a round that it made no noise for")
        work.join()
        if not work.done:  # less noise than was drawn would protect less than the meter says
            raise HopError(self._hop, "could not make its noise")
        return HopNoise(work.count, work.onions)

    def close(self) -> None:
        """Give up what was begun and not taken; on return no thread is at work."""
        work, self._work = self._work, None
        if work is not None:
            work.cancelled = True
            work.join()


class _Work(threading.Thread):
    def __init__(
        self,
        chain: Chain,
        hop: int,
        context: RoundContext,
        keys: Sequence[PublicKey],
        random_bytes: RandomBytes,
    ) -> None:
        super().__init__(name="iirs-noise", daemon=True)
        self.context = context
        self.count = chain.noise.draw(random_bytes)
        self.onions: list[bytes] = []
        self.cancelled = False
        self.done = False
        self._suite = chain.geometry.suite
        self._first = hop + 1
        self._keys = keys
        self._random_bytes = random_bytes

    def run(self) -> None:
        for accesses, drops in ((1, self.count.singles), (2, self.count.pairs)):
            for _ in range(drops):
                drop_id = self._random_bytes(DROP_ID_SIZE)
                for _ in range(accesses):
                    if self.cancelled:
                        return
                    self.onions.append(self._wrap(drop_id))
        self.done = True

    def _wrap(self, drop_id: bytes) -> bytes:
        kind = BatchKind.SETUP
        onion, _ = wrap(drop_id, self._keys, self._suite, self.context, kind, self._random_bytes, self._first)
        return onion
