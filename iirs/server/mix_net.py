"""The mix net: collects a round's onions, runs it through the chain and back, hands out the replies.

``MixNet`` is the entry: it keeps the clients' uploads and runs the rounds. In a chain of one, a round is

    open (here) -> ``shuffle`` (``mix_stage``) -> ``DeadDropManager.handle_messages`` (``deaddrop``)
    -> ``unshuffle`` (``mix_stage``) -> seal (here)

In a longer chain the later hops come between shuffle and dead drops: each peels, shuffles, unshuffles and
seals (``hops.mix_hop``). No socket and no clock in here; the scheduler calls ``run_round``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from iirs.chain import Chain
from iirs.errors import HopError, OnionError, PeerError
from iirs.geometry import BatchKind, RandomBytes
from iirs.onion import EntryChannel, RoundContext
from iirs.server.mix_stage import MixStage
from iirs.wire.rounds import Bundle, Replies, RoundStatus, Upload


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
    failure: OnionError | HopError | None = None
    """What lost the round, if it was lost."""

    @property
    def lost(self) -> bool:
        """True if the round failed, for everyone alike."""
        return self.failure is not None


class Frontend(Protocol):
    """The side that faces the clients: gives a round its participants and takes its outcome to them."""

    def channels(self) -> dict[Hashable, EntryChannel]:
        """Return every client in session, with its entry channel."""
        ...

    def give_up_at(self) -> float:
        """Return until when the round that closes now may take (monotonic seconds)."""
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

    def run_round(self, frontend: Frontend) -> None:
        """Run one round from closing to delivery: what the scheduler calls."""
        frontend.deliver(self.close_round(frontend.channels(), frontend.give_up_at()))

    def close_round(
        self, channels: dict[Hashable, EntryChannel], give_up_at: float = math.inf
    ) -> RoundOutcome | None:
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
        channels = self._advance(channels, context.round_number // self._epoch_rounds)
        batch = {client: upload for client, upload in queue.items() if client in channels}
        try:
            opened = self._open(context, BatchKind.CONVERSATION, batch, channels)
            # Shuffled, through the rest of the chain to the dead drops, back, and unshuffled.
            answers = self._stage.exchange(context, opened, give_up_at)
            bundle = None
            if self._invites:
                opened = self._open(context, BatchKind.INVITATION, batch, channels)
                bundle = self._stage.collect_invitations(context, opened, give_up_at)
        except (OnionError, HopError) as error:
            lost = dict.fromkeys(channels, self._filler(context, RoundStatus.LOST))
            return RoundOutcome(context, lost, None, len(batch), late, failure=error)
        sealed = self._seal(context, batch, channels, answers)
        missing = self._filler(context, RoundStatus.MISSING)
        replies = {
            client: Replies(context.round_number, RoundStatus.DONE, sealed[client])
            if client in sealed
            else missing
            for client in channels
        }
        return RoundOutcome(context, replies, bundle, len(batch), late)

    def _advance(self, channels: dict[Hashable, EntryChannel], epoch: int) -> dict[Hashable, EntryChannel]:
        """Return the channels with an epoch's keys: not those that would have to step too far for it.

        Their clients cannot step that far either, and connect anew.
        """
        advanced = {}
        for client, channel in channels.items():
            with suppress(OnionError):
                channel.advance(epoch)
                advanced[client] = channel
        return advanced

    def _open(
        self,
        context: RoundContext,
        kind: BatchKind,
        batch: dict[Hashable, Upload],
        channels: dict[Hashable, EntryChannel],
    ) -> list[bytes | None]:
        first = 0 if kind is BatchKind.CONVERSATION else self._geometry.onions_per_client
        opened: list[bytes | None] = []
        for client, upload in batch.items():
            channel = channels[client]
            onions = upload.onions if kind is BatchKind.CONVERSATION else upload.invitations
            for index, onion in enumerate(onions, first):
                try:
                    opened.append(channel.open_up(context, kind, index, onion))
                except OnionError:
                    opened.append(None)
        return opened

    def _seal(
        self,
        context: RoundContext,
        batch: dict[Hashable, Upload],
        channels: dict[Hashable, EntryChannel],
        answers: Sequence[bytes],
    ) -> dict[Hashable, tuple[bytes, ...]]:
        count = self._geometry.onions_per_client
        return {
            client: tuple(
                channels[client].seal_down(context, index, answers[place * count + index])
                for index in range(count)
            )
            for place, client in enumerate(batch)
        }

    def _filler(self, context: RoundContext, status: RoundStatus) -> Replies:
        size, count = self._geometry.entry_reply_size, self._geometry.onions_per_client
        noise = self._random_bytes(size * count)
        pieces = tuple(noise[start : start + size] for start in range(0, size * count, size))
        return Replies(context.round_number, status, pieces)
