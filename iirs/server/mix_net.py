"""The mix net: collects a round's cells, runs them through the chain and back, hands out the replies.

``MixNet`` is the entry: it keeps the clients' uploads and runs the rounds. In a chain of one, a round is

    open (here) -> ``shuffle`` (``mix_stage``) -> ``DeadDropManager.handle_messages`` (``deaddrop``)
    -> ``unshuffle`` (``mix_stage``) -> seal (here)

In a longer chain the later hops come between shuffle and dead drops: each takes a layer off, shuffles,
unshuffles and puts one on (``hops.mix_hop``). A setup round goes that way twice: with the dead drops' ids
first, which make the circuits that the cells of its epoch use. No socket and no clock in here; the scheduler
calls ``run_round``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from iirs.chain import Chain
from iirs.errors import HopError, OnionError, PeerError
from iirs.geometry import BatchKind, Geometry, RandomBytes, pieces
from iirs.onion import EntryChannel, RoundContext, channel_period
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

    Circuits belong to an account, so that whoever reconnects goes on with them. Who has circuits and sends
    nothing gets random cells in their place, until the epoch ends: behind this hop nobody can tell.
    """

    def __init__(
        self,
        chain: Chain,
        stage: MixStage,
        random_bytes: RandomBytes,
        account: Callable[[Hashable], Hashable] = lambda client: client,
    ) -> None:
        """``stage`` is the entry's own place in the chain; ``account`` says whose a client is."""
        self._geometry = chain.geometry
        self._account = account
        self._stage = stage
        self._random_bytes = random_bytes
        self._lock = threading.Lock()
        self._context: RoundContext | None = None
        self._announced = -1
        self._kinds: frozenset[BatchKind] = frozenset()
        """What the open round carries."""
        self._queue: dict[Hashable, Upload] = {}
        self._late = 0
        self._first_places: dict[Hashable, int] = {}
        """Where each account's circuits begin, in the batch of this epoch's setup."""

    def open_round(self, context: RoundContext, *, sets_up: bool, invites: bool) -> None:
        """Start to collect for a round; its announcement is about to go out."""
        carried = {BatchKind.CELL: True, BatchKind.SETUP: sets_up, BatchKind.INVITATION: invites}
        with self._lock:
            self._context, self._queue = context, {}
            self._kinds = frozenset(kind for kind, is_carried in carried.items() if is_carried)
            self._announced = context.round_number

    @property
    def is_set_up(self) -> bool:
        """Whether there are circuits: another setup is due if not."""
        return self._stage.is_set_up

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
            has = {BatchKind.SETUP: upload.setups, BatchKind.INVITATION: upload.invitations}
            if any(bool(onions) is not (kind in self._kinds) for kind, onions in has.items()):
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
        channels = self._advance(channels, channel_period(context.round_number))
        batch = {client: upload for client, upload in queue.items() if client in channels}
        uploads = _Uploads(self._geometry, context, batch, channels)
        try:
            if BatchKind.SETUP in self._kinds:
                self._set_up(uploads, give_up_at)
            # Shuffled, through the rest of the chain to the dead drops, back, and unshuffled.
            answers = self._stage.exchange(context, self._cells(uploads), give_up_at)
            bundle = None
            if BatchKind.INVITATION in self._kinds:
                opened = [item for _, items in uploads.opened(BatchKind.INVITATION) for item in items]
                bundle = self._stage.collect_invitations(context, opened, give_up_at)
        except (OnionError, HopError) as error:
            lost = dict.fromkeys(channels, self._filler(context, RoundStatus.LOST))
            return RoundOutcome(context, lost, None, len(batch), late, failure=error)
        return RoundOutcome(context, self._replies(uploads, answers), bundle, len(batch), late)

    def _advance(self, channels: dict[Hashable, EntryChannel], period: int) -> dict[Hashable, EntryChannel]:
        """Return the channels with a period's keys: not those that would have to step too far for it.

        Their clients cannot step that far either, and connect anew.
        """
        advanced = {}
        for client, channel in channels.items():
            with suppress(OnionError):
                channel.advance(period)
                advanced[client] = channel
        return advanced

    def _set_up(self, uploads: _Uploads, give_up_at: float) -> None:
        self._first_places = {}
        first_places: dict[Hashable, int] = {}
        opened: list[bytes | None] = []
        for client, onions in uploads.opened(BatchKind.SETUP):
            first_places[self._account(client)] = len(opened)
            opened += onions
        self._stage.set_up(uploads.context, opened, give_up_at)
        self._first_places = first_places

    def _cells(self, uploads: _Uploads) -> list[bytes]:
        """Return a cell for each place: random bytes for whoever sent none, or one that does not open."""
        cells: list[bytes | None] = [None] * (self._geometry.circuits * len(self._first_places))
        for client, sent in uploads.opened(BatchKind.CELL):
            first = self._first_places.get(self._account(client))
            if first is not None:
                cells[first : first + len(sent)] = sent
        return self._stage.healed(cells)

    def _replies(self, uploads: _Uploads, answers: Sequence[bytes]) -> dict[Hashable, Replies]:
        without = self._filler(uploads.context, RoundStatus.NO_CIRCUITS)
        replies = {}
        for client, channel in uploads.channels.items():
            first = self._first_places.get(self._account(client))
            if first is None:
                replies[client] = without
                continue
            status = RoundStatus.DONE if client in uploads.batch else RoundStatus.MISSING
            sealed = tuple(
                channel.seal_down(uploads.context, index, answers[first + index])
                for index in range(self._geometry.circuits)
            )
            replies[client] = Replies(uploads.context.round_number, status, sealed)
        return replies

    def _filler(self, context: RoundContext, status: RoundStatus) -> Replies:
        size = self._geometry.uploaded_size(BatchKind.CELL)
        noise = self._random_bytes(size * self._geometry.circuits)
        return Replies(context.round_number, status, tuple(pieces(noise, size)))


@dataclass(frozen=True, slots=True)
class _Uploads:
    """The uploads of one round, and the channels that open them."""

    geometry: Geometry
    context: RoundContext
    batch: dict[Hashable, Upload]
    channels: dict[Hashable, EntryChannel]

    def opened(self, kind: BatchKind) -> Iterator[tuple[Hashable, list[bytes | None]]]:
        """Give each client with what it sent of this kind; ``None`` for what does not open."""
        first = self.geometry.first_index(kind)
        for client, upload in self.batch.items():
            sent = {
                BatchKind.CELL: upload.cells,
                BatchKind.SETUP: upload.setups,
                BatchKind.INVITATION: upload.invitations,
            }[kind]
            channel = self.channels[client]
            yield client, [self._open(channel, kind, index, item) for index, item in enumerate(sent, first)]

    def _open(self, channel: EntryChannel, kind: BatchKind, index: int, sealed: bytes) -> bytes | None:
        try:
            return channel.open_up(self.context, kind, index, sealed)
        except OnionError:
            return None
