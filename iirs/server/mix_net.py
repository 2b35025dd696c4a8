"""The mix net: collects a round's onions, runs it through the chain and back, hands out the replies.

``MixHop`` is one server's work on one batch, the same at every place in the chain; ``MixNet`` is the
entry: it keeps the clients' uploads, opens the entry's own layer and starts the chain.
No socket and no clock in here; the scheduler calls ``MixNet.run_round``.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import SystemRandom
from typing import Protocol

from iirs.chain import Chain
from iirs.errors import OnionError, PeerError
from iirs.geometry import BatchKind, Geometry, RandomBytes
from iirs.onion import EntryChannel, RoundContext, peel, seal_reply
from iirs.server.deaddrop import DeadDropManager, DeaddropMessage
from iirs.suite import KeyPair
from iirs.wire import Bundle, Replies, RoundStatus, Upload

_system_random = SystemRandom()


def random_permutation(count: int) -> list[int]:
    """Return a uniform permutation of ``range(count)`` from the operating system's randomness."""
    order = list(range(count))
    _system_random.shuffle(order)
    return order


@dataclass(frozen=True, slots=True)
class Batch:
    """All onions of one round and kind, as they enter one hop."""

    context: RoundContext
    kind: BatchKind
    onions: Sequence[bytes] = field(repr=False)


class NextHop(Protocol):
    """What follows a hop: another hop, or the dead drops."""

    def exchange(self, batch: Batch) -> list[bytes]:
        """Return one reply for each onion of a conversation batch, in the same order."""
        ...

    def collect_invitations(self, batch: Batch) -> Bundle:
        """Return the signed contents of dead drop 0 after this batch."""
        ...


class DeadDrops:
    """The end of the chain: hands the innermost payloads to the ``DeadDropManager``."""

    def __init__(
        self,
        manager: DeadDropManager,
        chain_id: bytes,
        sign: Callable[[bytes], bytes],
    ) -> None:
        self._manager = manager
        self._chain_id = chain_id
        self._sign = sign

    def exchange(self, batch: Batch) -> list[bytes]:
        """Swap the requests of a round."""
        return self._manager.handle_messages([DeaddropMessage.decode(request) for request in batch.onions])

    def collect_invitations(self, batch: Batch) -> Bundle:
        """Gather the invitations of a round and sign them."""
        gathered = tuple(self._manager.collect_invitations(batch.onions))
        bundle = Bundle(batch.context.round_number, gathered)
        signature = self._sign(bundle.signed_content(self._chain_id))
        return Bundle(bundle.round_number, gathered, signature)


class MixStage:
    """What every hop does with an opened batch: drop duplicates, shuffle, pass on, undo on the way back."""

    def __init__(
        self,
        geometry: Geometry,
        hop: int,
        next_hop: NextHop,
        random_bytes: RandomBytes,
        permute: Callable[[int], list[int]] = random_permutation,
    ) -> None:
        self._reply_size = geometry.reply_size(geometry.hops - 1 - hop)
        self._next = next_hop
        self._random_bytes = random_bytes
        self._permute = permute

    def exchange(self, context: RoundContext, opened: Sequence[bytes | None]) -> list[bytes]:
        """Return a reply for each place of ``opened``; ``None`` (did not open) gets random bytes."""
        places = self._distinct(opened)
        order = self._permute(len(places))
        onions = [opened[places[position]] or b"" for position in order]
        answers = self._next.exchange(Batch(context, BatchKind.CONVERSATION, onions))
        if len(answers) != len(onions) or any(len(answer) != self._reply_size for answer in answers):
            raise OnionError("the next hop gave back a batch of another shape")
        replies: dict[int, bytes] = {
            places[position]: answer for position, answer in zip(order, answers, strict=True)
        }
        return [
            replies[place] if place in replies else self._random_bytes(self._reply_size)
            for place in range(len(opened))
        ]

    def collect_invitations(self, context: RoundContext, opened: Sequence[bytes | None]) -> Bundle:
        """Pass a batch of invitations on; nothing comes back but the bundle for everybody."""
        places = self._distinct(opened)
        order = self._permute(len(places))
        onions = [opened[places[position]] or b"" for position in order]
        return self._next.collect_invitations(Batch(context, BatchKind.INVITATION, onions))

    @staticmethod
    def _distinct(opened: Sequence[bytes | None]) -> list[int]:
        seen: set[bytes] = set()
        places = []
        for place, onion in enumerate(opened):
            if onion is None:
                continue
            digest = hashlib.sha256(onion).digest()
            if digest not in seen:
                seen.add(digest)
                places.append(place)
        return places


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
    ) -> None:
        """``key`` gives the private key for a round number; ``store_round`` makes a round final on disk."""
        self._geometry = geometry
        self._hop = hop
        self._key = key
        self._stage = stage
        self._random_bytes = random_bytes
        self._store_round = store_round
        self._last = dict.fromkeys(BatchKind, -1)

    def exchange(self, batch: Batch) -> list[bytes]:
        """Return a sealed reply for each onion, in the same order. Raises ``OnionError`` on a repeat."""
        reply_keys, opened = self._open(batch)
        inner = self._stage.exchange(batch.context, opened)
        reply_size = self._geometry.reply_size(self._geometry.hops - self._hop)
        return [
            self._random_bytes(reply_size) if key is None else seal_reply(key, reply)
            for key, reply in zip(reply_keys, inner, strict=True)
        ]

    def collect_invitations(self, batch: Batch) -> Bundle:
        """Peel and pass on a batch of invitations."""
        return self._stage.collect_invitations(batch.context, self._open(batch)[1])

    def _open(self, batch: Batch) -> tuple[list[bytes | None], list[bytes | None]]:
        if batch.context.round_number <= self._last[batch.kind]:
            raise OnionError("a batch for a round that is over")
        self._last[batch.kind] = batch.context.round_number
        self._store_round(batch.context.round_number, batch.kind)
        key = self._key(batch.context.round_number)
        opened_before: set[bytes] = set()
        reply_keys: list[bytes | None] = []
        opened: list[bytes | None] = []
        for onion in batch.onions:
            digest = hashlib.sha256(onion).digest()
            reply_key, inner = (None, None) if digest in opened_before else self._peel(onion, key, batch)
            opened_before.add(digest)
            reply_keys.append(reply_key)
            opened.append(inner)
        return reply_keys, opened

    def _peel(self, onion: bytes, key: KeyPair, batch: Batch) -> tuple[bytes, bytes] | tuple[None, None]:
        remaining = self._geometry.hops - self._hop
        if len(onion) != self._geometry.onion_size(remaining, batch.kind):
            return None, None
        try:
            return peel(onion, key, self._geometry.suite, batch.context, self._hop, batch.kind)
        except OnionError:
            return None, None


class Collected(Enum):
    """What became of an upload when it arrived."""

    TAKEN = "taken"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """What one round gave: a reply for every client that takes part, and the bundle if there is one."""

    context: RoundContext
    replies: dict[Hashable, Replies]
    bundle: Bundle | None
    uploads: int
    late: int
    lost: bool = False


class RoundFront(Protocol):
    """Who faces the clients: gives a round its participants and takes its outcome to them."""

    def channels(self) -> dict[Hashable, EntryChannel]:
        """Return every client in session, with its entry channel."""
        ...

    def deliver(self, outcome: RoundOutcome | None) -> None:
        """Send everyone their replies and announce the next round (``open_round``)."""
        ...


class MixNet:
    """The entry's side of a round. Connection threads call ``submit``; one scheduler thread does the rest.

    States of a round: opened by ``open_round`` (collecting) -> closed by ``close_round`` (running) -> done.
    ``submit`` and the opening and closing share one lock, which is never held while a round runs.
    """

    def __init__(self, chain: Chain, stage: MixStage, random_bytes: RandomBytes) -> None:
        """``stage`` is the entry's own place in the chain."""
        self._geometry = chain.geometry
        self._epoch_rounds = chain.epoch_rounds
        self._stage = stage
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._context: RoundContext | None = None
        self._announced = -1
        self._invites = False
        self._queue: dict[Hashable, Upload] = {}
        self._late = 0

    def open_round(self, context: RoundContext, invites: bool) -> None:
        """Start to collect for a round; its announcement is about to go out."""
        with self._lock:
            self._context, self._invites, self._queue = context, invites, {}
            self._announced = context.round_number

    def submit(self, client: Hashable, upload: Upload) -> Collected:
        """Queue a client's upload. Raises ``PeerError`` for a second one, a future round or a wrong kind."""
        with self._lock:
            if upload.round_number > self._announced:
                raise PeerError("The client sent an upload for a round that has not been announced.")
            if upload.round_number < self._announced or self._context is None:
                self._late += 1
                return Collected.LATE
            if client in self._queue:
                raise PeerError("The client sent a second upload for the same round.")
            if bool(upload.invitations) != self._invites:
                raise PeerError("The client sent an upload of the wrong kind for this round.")
            self._queue[client] = upload
            return Collected.TAKEN

    @property
    def collected(self) -> int:
        """How many uploads the open round holds."""
        with self._lock:
            return len(self._queue)

    def run_round(self, front: RoundFront) -> None:
        """Run one round from closing to delivery: what the scheduler calls."""
        front.deliver(self.close_round(front.channels()))

    def close_round(self, channels: dict[Hashable, EntryChannel]) -> RoundOutcome | None:
        """Close the batch, run it through the chain, and return what each of ``channels`` is to be sent.

        Clients without an upload get random bytes of the usual size. A failure anywhere in the chain
        loses the round for everyone alike and is reported in the status, never raised.
        Returns ``None`` if no round is open.
        """
        with self._lock:
            context, self._context = self._context, None
            queue, self._queue = self._queue, {}
            late, self._late = self._late, 0
        if context is None:
            return None
        for channel in channels.values():
            channel.advance(context.round_number // self._epoch_rounds)
        batch = {client: upload for client, upload in queue.items() if client in channels}
        try:
            answers = self._exchange(context, batch, channels)
            bundle = self._collect_invitations(context, batch, channels) if self._invites else None
        except OnionError:
            lost = {client: self._filler(context, RoundStatus.LOST) for client in channels}
            return RoundOutcome(context, lost, None, len(batch), late, lost=True)
        replies = {
            client: Replies(context.round_number, RoundStatus.DONE, answers[client])
            if client in answers
            else self._filler(context, RoundStatus.MISSING)
            for client in channels
        }
        return RoundOutcome(context, replies, bundle, len(batch), late)

    def _exchange(
        self,
        context: RoundContext,
        batch: dict[Hashable, Upload],
        channels: dict[Hashable, EntryChannel],
    ) -> dict[Hashable, tuple[bytes, ...]]:
        opened = [
            _opened(channels[client], context, BatchKind.CONVERSATION, index, onion)
            for client, upload in batch.items()
            for index, onion in enumerate(upload.onions)
        ]
        replies = iter(self._stage.exchange(context, opened))
        return {
            client: tuple(
                channels[client].seal_down(context, index, next(replies))
                for index in range(self._geometry.onions_per_client)
            )
            for client in batch
        }

    def _collect_invitations(
        self,
        context: RoundContext,
        batch: dict[Hashable, Upload],
        channels: dict[Hashable, EntryChannel],
    ) -> Bundle:
        first = self._geometry.onions_per_client
        opened = [
            _opened(channels[client], context, BatchKind.INVITATION, first + index, onion)
            for client, upload in batch.items()
            for index, onion in enumerate(upload.invitations)
        ]
        return self._stage.collect_invitations(context, opened)

    def _filler(self, context: RoundContext, status: RoundStatus) -> Replies:
        size, count = self._geometry.entry_reply_size, self._geometry.onions_per_client
        noise = self._random_bytes(size * count)
        pieces = tuple(noise[start : start + size] for start in range(0, size * count, size))
        return Replies(context.round_number, status, pieces)


def _opened(
    channel: EntryChannel, context: RoundContext, kind: BatchKind, index: int, onion: bytes
) -> bytes | None:
    try:
        return channel.open_up(context, kind, index, onion)
    except OnionError:
        return None
