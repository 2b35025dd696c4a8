"""``ChatSession``: plain text in and out, for one peer. Exactly once, in order, whatever is lost.

Texts have random ids that outlive any handshake. They travel as fragments, numbered in one sequence per
conversation, each sent again until acknowledged. A receiver acknowledges only what will have been stored
by the time the acknowledgement leaves. A new conversation numbers anew: what was not acknowledged is sent
again from its first fragment, and the receiver drops texts it has already shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from iirs.errors import AccountError, StoreError
from iirs.geometry import ONIONS_PER_SLOT, RandomBytes
from iirs.message import PAYLOAD_MAX, ContentKind, PeerMessage

TEXT_MAX = 64 * 1024
"""The longest text, in bytes of UTF-8."""
WINDOW = 64
_TEXT_ID_SIZE = 16
FRAGMENTS_MAX = -(-TEXT_MAX // PAYLOAD_MAX)


@dataclass(frozen=True, slots=True)
class OutgoingText:
    """A text waiting to be delivered."""

    text_id: bytes
    text: str = field(repr=False)
    sent_at_ms: int

    @property
    def payloads(self) -> list[bytes]:
        """The text cut into fragments; an empty text is one empty fragment."""
        data = self.text.encode()
        return [data[i : i + PAYLOAD_MAX] for i in range(0, len(data), PAYLOAD_MAX)] or [b""]


@dataclass(frozen=True, slots=True)
class IncomingText:
    """A text that has arrived whole."""

    text_id: bytes
    text: str = field(repr=False)
    sent_at_ms: int


@dataclass(frozen=True, slots=True)
class _Fragment:
    text_id: bytes
    index: int
    count: int
    sent_at_ms: int
    payload: bytes = field(repr=False)


@dataclass(slots=True)
class _Assembly:
    fragment: _Fragment
    data: bytearray = field(default_factory=bytearray)
    have: int = 0


def clean_text(text: str) -> str:
    """Return ``text`` with lone surrogates replaced, so that it can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


class ChatSession:
    """The texts to and from one peer. Not thread-safe: one owner, which stores what changes."""

    def __init__(
        self,
        random_bytes: RandomBytes,
        already_shown: Callable[[bytes], bool],
        outbox: Iterable[OutgoingText] = (),
        state: dict[str, Any] | None = None,
    ) -> None:
        """``already_shown`` tells whether a text id has arrived before. Raises ``StoreError``."""
        self._random_bytes = random_bytes
        self._already_shown = already_shown
        self.outbox = list(outbox)
        self.conversation = b""
        self._out_base = 0
        """Sequence number of the first fragment of the oldest text in the outbox."""
        self._expected = 0
        self._ahead: dict[int, _Fragment] = {}
        self._assembly: _Assembly | None = None
        self._unstored: set[bytes] = set()
        """Ids of texts handed out since the last ``compose``: the store may not know them yet."""
        if state is not None:
            self._restore(state)
        self._reset_sending()

    def _reset_sending(self) -> None:
        self._acknowledged = self._out_base
        self._acknowledged_bits = 0
        self._last_sent: dict[int, int] = {}
        self._announced: set[bytes] = set()
        self._layout()

    def _layout(self) -> None:
        """Number the fragments of the outbox from ``_out_base`` on."""
        self._places: list[tuple[int, OutgoingText, list[bytes]]] = []
        sequence = self._out_base
        for text in self.outbox:
            payloads = text.payloads
            self._places.append((sequence, text, payloads))
            sequence += len(payloads)
        self._out_end = sequence

    # -- sending ----------------------------------------------------------------------------------

    def send(self, text: str, now_ms: int) -> OutgoingText:
        """Queue a text. Raises ``AccountError`` with a sentence if it is longer than 64 KiB."""
        text = clean_text(text)
        if len(text.encode()) > TEXT_MAX:
            raise AccountError("This text is longer than 64 KiB. Send it in parts.")
        item = OutgoingText(self._random_bytes(_TEXT_ID_SIZE), text, now_ms)
        self.outbox.append(item)
        payloads = item.payloads
        self._places.append((self._out_end, item, payloads))
        self._out_end += len(payloads)
        return item

    def begin(self, conversation: bytes) -> None:
        """Number anew if this is another conversation than before; texts are kept."""
        if conversation == self.conversation:
            return
        self.conversation = conversation
        self._out_base = self._expected = 0
        self._ahead.clear()
        self._assembly = None
        self._reset_sending()

    def compose(self, round_number: int) -> list[PeerMessage]:
        """Return this round's two messages: fragments due, or nothing to say, and acknowledgements."""
        self._unstored.clear()
        due = [sequence for sequence in self._unacknowledged() if self._is_due(sequence, round_number)]
        messages = [self._fragment_message(sequence, round_number) for sequence in due[:ONIONS_PER_SLOT]]
        while len(messages) < ONIONS_PER_SLOT:
            messages.append(PeerMessage(**self._acknowledgement()))
        return messages

    def take_sent(self) -> list[bytes]:
        """Return ids of texts whose last fragment has gone out for the first time since last asked."""
        sent = []
        for start, text, payloads in self._places:
            if start + len(payloads) - 1 in self._last_sent and text.text_id not in self._announced:
                self._announced.add(text.text_id)
                sent.append(text.text_id)
        return sent

    def came_back(self, message: PeerMessage) -> None:
        """Own message returned: the peer was absent, so send it again without waiting."""
        if message.kind is ContentKind.TEXT:
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
        start, text, payloads = next(place for place in reversed(self._places) if place[0] <= sequence)
        self._last_sent[sequence] = round_number
        return PeerMessage(
            sent_at_ms=text.sent_at_ms,
            sequence=sequence,
            kind=ContentKind.TEXT,
            text_id=text.text_id,
            fragment=sequence - start,
            fragments=len(payloads),
            payload=payloads[sequence - start],
            **self._acknowledgement(),
        )

    def _acknowledgement(self) -> dict[str, Any]:
        bits = sum(1 << (sequence - self._expected - 1) for sequence in self._ahead)
        return {"acknowledged": self._expected, "acknowledged_bits": bits}

    # -- receiving --------------------------------------------------------------------------------

    def receive(self, message: PeerMessage) -> tuple[list[IncomingText], list[OutgoingText]]:
        """Take in an authenticated message; return texts that arrived whole and texts now delivered."""
        delivered = self._take_acknowledgement(message)
        arrived: list[IncomingText] = []
        if message.kind is ContentKind.TEXT and 0 <= message.sequence - self._expected <= WINDOW:
            self._ahead.setdefault(
                message.sequence,
                _Fragment(
                    message.text_id, message.fragment, message.fragments, message.sent_at_ms, message.payload
                ),
            )
            while self._expected in self._ahead:
                arrived += self._assemble(self._ahead.pop(self._expected))
                self._expected += 1
        return arrived, delivered

    def _take_acknowledgement(self, message: PeerMessage) -> list[OutgoingText]:
        if not self._acknowledged <= message.acknowledged <= self._out_end:
            return []  # older than what is known, or more than was ever sent
        if message.acknowledged > self._acknowledged:
            self._acknowledged_bits = 0
        self._acknowledged = message.acknowledged
        self._acknowledged_bits |= message.acknowledged_bits
        for sequence in [known for known in self._last_sent if known < self._acknowledged]:
            del self._last_sent[sequence]
        delivered = []
        while self._places and self._places[0][0] + len(self._places[0][2]) <= self._acknowledged:
            start, text, payloads = self._places.pop(0)
            self.outbox.remove(text)
            self._announced.discard(text.text_id)
            self._out_base = start + len(payloads)
            delivered.append(text)
        return delivered

    def _assemble(self, fragment: _Fragment) -> list[IncomingText]:
        if fragment.index == 0:
            self._assembly = _Assembly(fragment)
        assembly = self._assembly
        if (
            assembly is None
            or fragment.text_id != assembly.fragment.text_id
            or fragment.index != assembly.have
            or not 0 < fragment.count == assembly.fragment.count <= FRAGMENTS_MAX
        ):
            self._assembly = None  # no honest peer sends this; its text is dropped, the rest goes on
            return []
        assembly.data += fragment.payload
        assembly.have += 1
        if assembly.have < fragment.count:
            return []
        self._assembly = None
        if fragment.text_id in self._unstored or self._already_shown(fragment.text_id):
            return []
        self._unstored.add(fragment.text_id)
        text = assembly.data.decode("utf-8", "replace")
        return [IncomingText(fragment.text_id, text, fragment.sent_at_ms)]

    # -- keeping ----------------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return what must be stored besides the outbox, as JSON values."""
        assembly = self._assembly
        return {
            "conversation": self.conversation.hex(),
            "out_base": self._out_base,
            "expected": self._expected,
            "ahead": {str(sequence): _pack(fragment) for sequence, fragment in self._ahead.items()},
            "assembly": None
            if assembly is None
            else [_pack(assembly.fragment), assembly.data.hex(), assembly.have],
        }

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self.conversation = bytes.fromhex(state["conversation"])
            self._out_base = int(state["out_base"])
            self._expected = int(state["expected"])
            self._ahead = {int(sequence): _unpack(item) for sequence, item in state["ahead"].items()}
            if not all(0 < sequence - self._expected <= WINDOW for sequence in self._ahead):
                raise ValueError("a fragment outside the window")
            if state["assembly"] is not None:
                first, data, have = state["assembly"]
                self._assembly = _Assembly(_unpack(first), bytearray.fromhex(data), int(have))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError("The stored state of a chat is damaged.") from error


def _pack(fragment: _Fragment) -> list[Any]:
    return [
        fragment.text_id.hex(), fragment.index, fragment.count, fragment.sent_at_ms, fragment.payload.hex()
    ]  # fmt: skip


def _unpack(item: list[Any]) -> _Fragment:
    text_id, index, count, sent_at_ms, payload = item
    return _Fragment(bytes.fromhex(text_id), int(index), int(count), int(sent_at_ms), bytes.fromhex(payload))
