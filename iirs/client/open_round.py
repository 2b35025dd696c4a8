"""What an engine holds of the round that is open, and of the circuits of its epoch.

A slot's circuits lead to the two drops of a conversation, or both to one fresh drop. Which of the two is
decided at the setup; what happens later in the epoch changes what its cells carry, never where they lead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from iirs.circuit import Circuit, set_up
from iirs.client.conversation import Conversation
from iirs.client.conversation_values import Posted
from iirs.client.events import RoundFate
from iirs.errors import OnionError
from iirs.geometry import CELL_SIZE, CIRCUITS_PER_SLOT, DROP_ID_SIZE, BatchKind, Geometry, RandomBytes
from iirs.onion import EntryChannel, RoundContext, wrap
from iirs.permutation import random_permutation
from iirs.suite import PublicKey
from iirs.wire.accounts import Errand
from iirs.wire.rounds import Announcement, RoundStatus, Upload


@dataclass(frozen=True, slots=True)
class Cover:
    """An idle slot's round: both cells in one fresh drop, to come back swapped."""

    cells: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Parked:
    """A slot whose cells mean nothing: it has no circuits, or they lead to the drops of an ended talk."""

    cells: tuple[bytes, ...] = field(repr=False)


SlotRound = tuple[Conversation, Posted] | Cover | Parked


@dataclass(slots=True)
class Epoch:
    """A client's circuits, in memory only, and for each slot whose drops they lead to; ``None``: cover."""

    setup_round: int
    circuits: list[Circuit] = field(repr=False)
    conversations: list[bytes | None] = field(repr=False)
    refused: bool = False
    """The entry has no circuits of ours: the setup came too late."""


@dataclass(slots=True)
class OpenRound:
    """The round that was announced last, and what was made for its upload."""

    context: RoundContext
    announcement: Announcement
    hop_keys: list[PublicKey]
    epoch: Epoch | None
    """The circuits it uses, if we have them; those of a setup round once it is filled."""
    slots: list[SlotRound] = field(default_factory=list)
    built: bool = False

    def fill(self, active: Sequence[Conversation], count: int, random_bytes: RandomBytes) -> list[bytes]:
        """Decide what each of ``count`` slots sends; return, at a setup, the drop ids for its circuits."""
        if self.announcement.is_setup:
            return self._fill_setup(active, count, random_bytes)
        lead_to = self._lead_to
        posted = {
            conversation.id: (
                conversation,
                conversation.prepare(self.announcement, conversation.id in lead_to),
            )
            for conversation in active
        }
        self.slots = []
        for slot in range(count):
            conversation_id = lead_to[slot] if slot < len(lead_to) else b""
            conversation, what = posted.get(conversation_id or b"", (None, None))
            if conversation is not None and what is not None:
                self.slots.append((conversation, what))
            elif conversation_id is None:
                self.slots.append(Cover(_random_cells(random_bytes)))
            else:
                self.slots.append(Parked(_random_cells(random_bytes)))
        return []

    @property
    def _lead_to(self) -> list[bytes | None]:
        return [] if self.epoch is None or self.epoch.refused else self.epoch.conversations

    def _fill_setup(
        self, active: Sequence[Conversation], count: int, random_bytes: RandomBytes
    ) -> list[bytes]:
        self.slots = []
        drop_ids: list[bytes] = []
        # In an order drawn anew: by its place the entry, helped by a peer, could tell how many other talks
        # there are.
        for place in random_permutation(count, random_bytes):
            conversation = active[place] if place < len(active) else None
            posted = None if conversation is None else conversation.prepare(self.announcement, False)
            if conversation is not None and posted is not None:
                self.slots.append((conversation, posted))
                drop_ids += posted.keys.drop_ids
            else:
                self.slots.append(Cover(_random_cells(random_bytes)))
                drop_ids += [random_bytes(DROP_ID_SIZE)] * CIRCUITS_PER_SLOT
        return drop_ids

    def build(
        self,
        drop_ids: list[bytes],
        invitations: list[bytes],
        channel: EntryChannel,
        geometry: Geometry,
        random_bytes: RandomBytes,
        errand: Errand,
    ) -> Upload:
        """Return the upload: the cells of all slots, circuits to these drops, and these invitations."""
        setups = self.set_up(drop_ids, geometry, random_bytes)
        onions = self.wrap_invitations(invitations, geometry, random_bytes)

        def seal(kind: BatchKind, items: list[bytes]) -> tuple[bytes, ...]:
            first = geometry.first_index(kind)
            return tuple(
                channel.seal_up(self.context, kind, index, item) for index, item in enumerate(items, first)
            )

        return Upload(
            self.context.round_number,
            seal(BatchKind.CELL, self.cells()),
            seal(BatchKind.SETUP, setups),
            seal(BatchKind.INVITATION, onions),
            errand,
        )

    def set_up(self, drop_ids: list[bytes], geometry: Geometry, random_bytes: RandomBytes) -> list[bytes]:
        """Return the onions that set up circuits to these drops; the circuits are this round's from here."""
        if not drop_ids:
            return []
        pairs = [
            set_up(drop_id, self.hop_keys, geometry.suite, self.context, random_bytes) for drop_id in drop_ids
        ]
        lead_to = [used[1].conversation if isinstance(used, tuple) else None for used in self.slots]
        self.epoch = Epoch(self.context.round_number, [circuit for _, circuit in pairs], lead_to)
        return [onion for onion, _ in pairs]

    def cells(self) -> list[bytes]:
        """Return the cells of all slots, with the later hops' layers."""
        cells: list[bytes] = []
        for used in self.slots:
            cells += used[1].sealed if isinstance(used, tuple) else used.cells
        if self.epoch is None:
            return cells
        number = self.context.round_number
        return [circuit.wrap(number, cell) for circuit, cell in zip(self.epoch.circuits, cells, strict=True)]

    def wrap_invitations(
        self, invitations: list[bytes], geometry: Geometry, random_bytes: RandomBytes
    ) -> list[bytes]:
        """Return the invitations as onions, in an order drawn anew: it must not say how many are real."""
        kind = BatchKind.INVITATION
        return [
            wrap(invitations[place], self.hop_keys, geometry.suite, self.context, kind, random_bytes)[0]
            for place in random_permutation(len(invitations), random_bytes)
        ]

    def open(self, channel: EntryChannel | None, sealed: Sequence[bytes]) -> list[bytes]:
        """Return what came back through the circuits; nothing for a cell that does not open."""
        if channel is None or self.epoch is None:
            return [b""] * len(sealed)
        opened = []
        for index, (circuit, cell) in enumerate(zip(self.epoch.circuits, sealed, strict=True)):
            try:
                inner = channel.open_down(self.context, index, cell)
            except OnionError:
                opened.append(b"")
            else:
                opened.append(circuit.unwrap(self.context.round_number, inner))
        return opened

    def fate(self, status: RoundStatus, clean: bool) -> RoundFate:
        """Return what became of the round, as the person is told; ``clean``: all is as it should be."""
        if self.epoch is None:
            return RoundFate.NOT_YET
        if status is not RoundStatus.DONE:
            return RoundFate.LOST
        return RoundFate.CLEAN if clean else RoundFate.TAMPERED

    def cover_came_back(self, opened: list[bytes]) -> bool:
        """Whether all cover came back as it should: swapped."""
        return all(
            tuple(of_slot(opened, slot)) == used.cells[::-1]
            for slot, used in enumerate(self.slots)
            if isinstance(used, Cover)
        )


def _random_cells(random_bytes: RandomBytes) -> tuple[bytes, ...]:
    return tuple(random_bytes(CELL_SIZE) for _ in range(CIRCUITS_PER_SLOT))


def of_slot(opened: list[bytes], slot: int) -> list[bytes]:
    """Return what came back for one slot, from that of the whole round."""
    return opened[slot * CIRCUITS_PER_SLOT : (slot + 1) * CIRCUITS_PER_SLOT]
