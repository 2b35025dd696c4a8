"""What an engine holds of the round that is open: values, from its announcement to its replies."""

from __future__ import annotations

from dataclasses import dataclass, field

from iirs.client.conversation import Conversation
from iirs.client.conversation_values import Posted
from iirs.geometry import ONIONS_PER_SLOT
from iirs.onion import RoundContext
from iirs.suite import PublicKey
from iirs.wire.rounds import Announcement


@dataclass(frozen=True, slots=True)
class Cover:
    """An idle slot's round: both messages in one fresh drop, to come back swapped."""

    messages: tuple[bytes, ...] = field(repr=False)


@dataclass(slots=True)
class OpenRound:
    """The round that was announced last, and what was made for its upload."""

    context: RoundContext
    announcement: Announcement
    hop_keys: list[PublicKey]
    slots: list[tuple[Conversation, Posted] | Cover] = field(default_factory=list)
    reply_keys: list[list[bytes]] = field(default_factory=list)
    built: bool = False


def of_slot(opened: list[bytes], slot: int) -> list[bytes]:
    """Return the replies to what one slot posted, from those of the whole round."""
    return opened[slot * ONIONS_PER_SLOT : (slot + 1) * ONIONS_PER_SLOT]
