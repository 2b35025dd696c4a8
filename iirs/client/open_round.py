"""What an engine holds of the round that is open: values, from its announcement to its replies."""

from __future__ import annotations

from dataclasses import dataclass, field

from iirs.client.conversation import Conversation
from iirs.client.conversation_values import Posted
from iirs.errors import OnionError
from iirs.geometry import DROP_ID_SIZE, ONIONS_PER_SLOT, PEER_MESSAGE_SIZE, BatchKind, RandomBytes
from iirs.onion import EntryChannel, RoundContext, open_reply, wrap
from iirs.suite import HpkeSuite, PublicKey
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

    def wrap(
        self,
        channel: EntryChannel,
        suite: HpkeSuite,
        random_bytes: RandomBytes,
        requests: list[bytes],
        invitations: list[bytes],
    ) -> dict[BatchKind, list[bytes]]:
        """Return onions sealed for the entry, by kind; the keys of the replies are noted."""
        sealed: dict[BatchKind, list[bytes]] = {kind: [] for kind in BatchKind}
        payloads = [(BatchKind.CONVERSATION, item) for item in requests]
        payloads += [(BatchKind.INVITATION, item) for item in invitations]
        for index, (kind, payload) in enumerate(payloads):
            onion, reply_keys = wrap(
                payload,
                self.hop_keys,
                suite,
                self.context,
                kind,
                random_bytes,
            )
            if kind is BatchKind.CONVERSATION:
                self.reply_keys.append(reply_keys)
            sealed[kind].append(channel.seal_up(self.context, kind, index, onion))
        return sealed

    def cover(self, random_bytes: RandomBytes) -> list[bytes]:
        """Return the requests of a slot without a conversation: two messages in one fresh drop."""
        drop_id = random_bytes(DROP_ID_SIZE)
        messages = tuple(random_bytes(PEER_MESSAGE_SIZE) for _ in range(ONIONS_PER_SLOT))
        self.slots.append(Cover(messages))
        return [drop_id + message for message in messages]

    def cover_came_back(self, opened: list[bytes]) -> bool:
        """Whether all cover came back as it should: swapped."""
        return all(
            tuple(of_slot(opened, slot)) == used.messages[::-1]
            for slot, used in enumerate(self.slots)
            if isinstance(used, Cover)
        )

    def open(self, channel: EntryChannel | None, index: int, sealed: bytes) -> bytes:
        """Return what came back for a request; nothing if it does not open."""
        try:
            if channel is None:
                return b""
            return open_reply(self.reply_keys[index], channel.open_down(self.context, index, sealed))
        except OnionError:
            return b""


def of_slot(opened: list[bytes], slot: int) -> list[bytes]:
    """Return the replies to what one slot posted, from those of the whole round."""
    return opened[slot * ONIONS_PER_SLOT : (slot + 1) * ONIONS_PER_SLOT]
