"""``ChatSession``: items in and out, for one peer. Exactly once, in order, whatever is lost.

Items (texts, notes, pieces of files) travel as fragments, numbered in one sequence per conversation, each
sent again until acknowledged. A receiver acknowledges only what will have been stored by the time the
acknowledgement leaves. A new conversation numbers anew: what was not acknowledged is sent again from its
first fragment, and the receiver drops items it has had before. Pieces of files are fetched one by one, in
rounds in which nothing else is due: a text never waits behind a file.

A peer can have very much end at once: it holds one fragment back, or its acknowledgements. What has arrived
is handed out whole, for whoever takes it to store; what was delivered is handed out a few at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from iirs.client.store.log_entry import Fragment, Item, ItemKind
from iirs.errors import AccountError, StoreError
from iirs.geometry import CIRCUITS_PER_SLOT, RandomBytes
from iirs.message import PAYLOAD_MAX, ContentKind, PeerMessage

TEXT_MAX = 64 * 1024
"""The longest text, in bytes of UTF-8."""
NOTE_MAX = 2 * TEXT_MAX
"""The longest note, in bytes: a text of a group, written as JSON, fits."""
FILE_MAX = 1024 * 1024
"""The longest file, in bytes."""
WINDOW = 64
_ITEM_ID_SIZE = 16
FRAGMENTS_MAX = -(-TEXT_MAX // PAYLOAD_MAX)
PARTS_MAX = -(-FILE_MAX // PAYLOAD_MAX)
DELIVERED_AT_ONCE = 16
"""Items that are handed out as delivered in one go."""
_MOST_FRAGMENTS = {
    ItemKind.TEXT: FRAGMENTS_MAX,
    ItemKind.NOTE: -(-NOTE_MAX // PAYLOAD_MAX),
    ItemKind.PART: PARTS_MAX,
}
_KINDS = {ContentKind(kind): kind for kind in ItemKind}
NO_FRAGMENTS: Mapping[int, Fragment] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Span:
    """Which fragments of the sequence an item of the outbox has: from ``start`` up to ``end``."""

    start: int
    item: Item
    payloads: list[bytes] = field(repr=False)

    @property
    def end(self) -> int:
        return self.start + len(self.payloads)


def nothing_more() -> Item | None:
    """Return no piece of a file: there is none to send."""
    return None


def always() -> bool:
    """Return that there is room."""
    return True


def clean_text(text: str) -> str:
    """Return ``text`` with lone surrogates replaced, so that it can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


class ChatSession:
    """The texts to and from one peer. Not thread-safe: one owner, which stores what changes."""

    def __init__(
        self,
        random_bytes: RandomBytes,
        already_shown: Callable[[bytes], bool],
        outbox: Iterable[Item] = (),
        state: dict[str, Any] | None = None,
        supply: Callable[[], Item | None] = nothing_more,
        fragments: Mapping[int, Fragment] = NO_FRAGMENTS,
        has_room: Callable[[], bool] = always,
    ) -> None:
        """Go on where ``state``, which ``to_state`` returned, ``fragments`` and the outbox left off.

        ``already_shown`` returns whether an item with this id has arrived before. ``supply`` returns the
        next piece of a file, or ``None``; before it returns, the piece is in the stored outbox, so that it
        is never fetched twice. While not ``has_room``, no fragment is taken in, nor acknowledged. Raises
        ``StoreError`` if the state is damaged.
        """
        self._random_bytes = random_bytes
        self._already_shown = already_shown
        self._supply = supply
        self._has_room = has_room
        self.outbox = list(outbox)
        self.held = False
        """Nothing but acknowledgements goes out: something is wrong with the peer's keys."""
        self.conversation = b""
        self._out_base = 0
        """Sequence number of the first fragment of the oldest item in the outbox."""
        self._expected = 0
        self._ahead: dict[int, Fragment] = {}
        self._assembly: list[Fragment] = []
        """The fragments of the item that is arriving, from its first one on: those before ``_expected``."""
        self._unstored: set[bytes] = set()
        """Ids of items handed out since the last ``compose``: the store may not know them yet."""
        if state is not None:
            self._restore(state, fragments)
        self._reset_sending()

    def _reset_sending(self) -> None:
        self._acknowledged = self._out_base
        self._acknowledged_bits = 0
        self._last_sent: dict[int, int] = {}
        self._announced: set[tuple[bytes, int]] = set()
        self._layout()

    def _layout(self) -> None:
        """Number the fragments of the outbox from ``_out_base`` on."""
        self._spans: list[_Span] = []
        self._out_end = self._out_base
        for item in self.outbox:
            self._append(item)

    def _append(self, item: Item) -> None:
        span = _Span(self._out_end, item, _payloads(item))
        self._spans.append(span)
        self._out_end = span.end

    # -- sending ----------------------------------------------------------------------------------

    def send(self, text: str, now_ms: int) -> Item:
        """Queue a text. Raises ``AccountError`` if it is longer than ``TEXT_MAX``."""
        return self._queue(ItemKind.TEXT, clean_text(text).encode(), now_ms, TEXT_MAX)

    def send_note(self, data: bytes, now_ms: int) -> Item:
        """Queue a note. Raises ``AccountError`` if it is longer than ``NOTE_MAX``."""
        return self._queue(ItemKind.NOTE, data, now_ms, NOTE_MAX)

    def _queue(self, kind: ItemKind, data: bytes, now_ms: int, limit: int) -> Item:
        if len(data) > limit:  # the messenger has asked ``limits`` before
            raise AccountError("This is too long to send at once. Send it in parts.")
        item = Item(self._random_bytes(_ITEM_ID_SIZE), kind, data, now_ms)
        self.outbox.append(item)
        self._append(item)
        return item

    def begin(self, conversation: bytes) -> None:
        """Number anew if this is another conversation than before; texts are kept."""
        if conversation == self.conversation:
            return
        self.conversation = conversation
        self._out_base = self._expected = 0
        self._ahead.clear()
        self._assembly = []
        self._reset_sending()

    def compose(self, round_number: int) -> list[PeerMessage]:
        """Return this round's two messages: fragments due, or nothing to say, and acknowledgements."""
        self._unstored.clear()
        due: list[int] = []
        if not self.held:
            due = [sequence for sequence in self._unacknowledged() if self._is_due(sequence, round_number)]
            while len(due) < CIRCUITS_PER_SLOT and (more := self._fetch()) is not None:
                due.append(more)
        messages = [self._fragment_message(sequence, round_number) for sequence in due[:CIRCUITS_PER_SLOT]]
        while len(messages) < CIRCUITS_PER_SLOT:
            messages.append(PeerMessage(**self._acknowledgement()))
        return messages

    def _fetch(self) -> int | None:
        """Take a piece of a file into the sequence, if there is one and room for it; return its number."""
        if self._out_end > self._acknowledged + WINDOW:
            return None
        item = self._supply()
        if item is None:
            return None
        self.outbox.append(item)
        self._append(item)
        return self._out_end - 1

    def take_sent(self) -> list[Item]:
        """Return items whose last fragment has gone out for the first time since last asked."""
        sent = []
        for sequence in sorted(self._last_sent):  # a window at most, however much waits in the outbox
            span = self._span(sequence)
            key = (span.item.item_id, span.item.part)
            if span.end - 1 == sequence and key not in self._announced:
                self._announced.add(key)
                sent.append(span.item)
        return sent

    def _span(self, sequence: int) -> _Span:
        return self._spans[bisect_right(self._spans, sequence, key=lambda span: span.start) - 1]

    def came_back(self, message: PeerMessage) -> None:
        """Own message returned: the peer was absent, so send it again without waiting."""
        if message.kind in _KINDS and self._acknowledged <= message.sequence < self._out_end:
            self._last_sent[message.sequence] = -1

    def _unacknowledged(self) -> Iterable[int]:
        end = min(self._out_end, self._acknowledged + 1 + WINDOW)
        for sequence in range(self._acknowledged, end):
            offset = sequence - self._acknowledged - 1
            if offset < 0 or not self._acknowledged_bits >> offset & 1:
                yield sequence

    def _is_due(self, sequence: int, round_number: int) -> bool:
        # What went out last round can be acknowledged this round at the earliest.
        return self._last_sent.get(sequence, -1) < round_number - 1

    def _fragment_message(self, sequence: int, round_number: int) -> PeerMessage:
        span = self._span(sequence)
        item = span.item
        self._last_sent[sequence] = round_number
        is_part = item.kind is ItemKind.PART
        return PeerMessage(
            sent_at_ms=item.sent_at_ms,
            sequence=sequence,
            kind=ContentKind(item.kind),
            text_id=item.item_id,
            fragment=item.part if is_part else sequence - span.start,
            fragments=item.parts if is_part else len(span.payloads),
            payload=span.payloads[sequence - span.start],
            **self._acknowledgement(),
        )

    def _acknowledgement(self) -> dict[str, Any]:
        bits = sum(1 << (sequence - self._expected - 1) for sequence in self._ahead)
        return {"acknowledged": self._expected, "acknowledged_bits": bits}

    # -- receiving --------------------------------------------------------------------------------

    def receive(self, message: PeerMessage) -> list[Item]:
        """Take in an authenticated message; return items that arrived whole."""
        self._take_acknowledgement(message)
        arrived: list[Item] = []
        is_near = 0 <= message.sequence - self._expected <= WINDOW
        if message.kind in _KINDS and is_near and self._has_room():
            self._ahead.setdefault(
                message.sequence,
                Fragment(
                    message.text_id,
                    message.fragment,
                    message.fragments,
                    _KINDS[message.kind],
                    message.sent_at_ms,
                    message.payload,
                ),
            )
            while self._expected in self._ahead:
                arrived += self._assemble(self._ahead.pop(self._expected))
                self._expected += 1
        return arrived

    def _take_acknowledgement(self, message: PeerMessage) -> None:
        if not self._acknowledged <= message.acknowledged <= self._out_end:
            return  # older than what is known, or more than was ever sent
        if message.acknowledged > self._acknowledged:
            self._acknowledged_bits = 0
        self._acknowledged = message.acknowledged
        self._acknowledged_bits |= message.acknowledged_bits
        for sequence in [known for known in self._last_sent if known < self._acknowledged]:
            del self._last_sent[sequence]

    def take_delivered(self, most: int = DELIVERED_AT_ONCE) -> list[Item]:
        """Return items that the peer has acknowledged, ``most`` at a time; they leave the outbox."""
        done = self._spans[:most]
        done = done[: bisect_right(done, self._acknowledged, key=lambda span: span.end)]
        del self._spans[: len(done)]
        del self.outbox[: len(done)]
        for span in done:
            self._announced.discard((span.item.item_id, span.item.part))
            self._out_base = span.end
        return [span.item for span in done]

    def _assemble(self, fragment: Fragment) -> list[Item]:
        if not 0 < fragment.count <= _MOST_FRAGMENTS[fragment.kind] or fragment.index >= fragment.count:
            self._assembly = []
            return []  # no honest peer sends this; it is dropped, the rest goes on
        if fragment.kind is ItemKind.PART:
            self._assembly = []
            return [_incoming(fragment, fragment.payload)]
        if fragment.index == 0:
            self._assembly = []
        if not _continues(self._assembly, fragment):
            self._assembly = []  # nor this
            return []
        self._assembly.append(fragment)
        if len(self._assembly) < fragment.count:
            return []
        whole, self._assembly = self._assembly, []
        if fragment.item_id in self._unstored or self._already_shown(fragment.item_id):
            return []
        self._unstored.add(fragment.item_id)
        return [_incoming(fragment, b"".join(part.payload for part in whole))]

    # -- keeping ----------------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return what must be stored besides the outbox and ``fragments``, as JSON values."""
        return {
            "conversation": self.conversation.hex(),
            "out_base": self._out_base,
            "expected": self._expected,
        }

    def fragments(self) -> dict[int, Fragment]:
        """Return by their numbers the fragments whose items are not whole yet: to be stored too."""
        first = self._expected - len(self._assembly)
        return {**dict(enumerate(self._assembly, first)), **self._ahead}

    def _restore(self, state: dict[str, Any], fragments: Mapping[int, Fragment]) -> None:
        try:
            self.conversation = bytes.fromhex(state["conversation"])
            self._out_base = int(state["out_base"])
            self._expected = int(state["expected"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StoreError("The stored state of a chat is damaged.") from error
        self._ahead = {number: item for number, item in fragments.items() if number > self._expected}
        begun = [number for number in sorted(fragments) if number <= self._expected]
        self._assembly = [fragments[number] for number in begun]
        right = begun == list(range(self._expected - len(begun), self._expected))
        if not right or max(self._ahead, default=0) > self._expected + WINDOW:
            raise StoreError("The stored state of a chat is damaged.")


def _payloads(item: Item) -> list[bytes]:
    """Cut an item into fragments; an empty one is one empty fragment, a piece of a file is one by itself."""
    data = item.data
    return [data[start : start + PAYLOAD_MAX] for start in range(0, len(data), PAYLOAD_MAX)] or [b""]


def _incoming(fragment: Fragment, data: bytes) -> Item:
    is_part = fragment.kind is ItemKind.PART
    return Item(
        fragment.item_id,
        fragment.kind,
        data,
        fragment.sent_at_ms,
        fragment.index if is_part else 0,
        fragment.count if is_part else 1,
    )


def _continues(begun: list[Fragment], fragment: Fragment) -> bool:
    first = begun[0] if begun else fragment
    return (first.item_id, first.kind, first.count, len(begun)) == (
        fragment.item_id,
        fragment.kind,
        fragment.count,
        fragment.index,
    )
