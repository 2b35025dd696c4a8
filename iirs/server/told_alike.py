"""What many clients are told alike, so that it is in memory once, however many of them read slowly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from iirs.directory import Head
from iirs.message import Message, MessageKind
from iirs.server.accounts.prekey_store import ShownPrekeys
from iirs.wire.accounts import directory_start
from iirs.wire.rounds import Replies

_ENTRIES_AT_ONCE = 8


def directory_pieces(
    head: Head, entries: Callable[[int, int], list[bytes]], prekeys: ShownPrekeys
) -> Iterator[bytes]:
    """Give DIRECTORY as it travels, piece by piece; ``entries`` returns those at a range of positions.

    Each piece is made when the client can take it: a directory only grows, so nobody needs a copy of it.
    """
    yield directory_start(head, len(prekeys))
    for start in range(0, head.length, _ENTRIES_AT_ONCE):
        yield b"".join(entries(start, min(start + _ENTRIES_AT_ONCE, head.length)))
    yield from prekeys


def pieces_of(messages: Iterable[Message]) -> tuple[bytes, ...]:
    """Return what a write of these messages holds; their bodies are not copied."""
    return tuple(piece for message in messages for piece in (message.header, message.body))


class Alike:
    """What a round tells many clients alike, so that it is in memory once, however many read slowly."""

    def __init__(self) -> None:
        self._kept: dict[tuple[MessageKind, int], Message] = {}
        self._pieces: dict[tuple[Message, ...], tuple[bytes, ...]] = {}

    def replies(self, replies: Replies) -> Message:
        """Return REPLIES; those without answers are the same for everybody."""
        if replies.has_answers:
            return replies.encode()
        kept = self._kept.get((MessageKind.REPLIES, replies.status))
        return kept or self._kept.setdefault((MessageKind.REPLIES, replies.status), replies.encode())

    def announce(self, message: Message) -> Message:
        """Return ANNOUNCE, the same for everybody with the same notice."""
        return self._kept.setdefault((message.kind, message.body[0]), message)

    def pieces(self, messages: tuple[Message, ...]) -> tuple[bytes, ...]:
        """Return what a write of these messages holds, in memory once for all who are told the same."""
        kept = self._pieces.get(messages)
        return kept or self._pieces.setdefault(messages, pieces_of(messages))
