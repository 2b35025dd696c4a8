"""What the answers of several subjects need."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from iirs.chain import Chain, parse_chain
from iirs.directory import Directory, Entry
from iirs.errors import PeerError
from iirs.message import Limits, Message, MessageKind, MessageReader
from iirs.wire import limits

Values = dict[str, Any]


def fields_of(value: Any) -> Values:
    """The fields of a dataclass, as they are."""
    return {item.name: getattr(value, item.name) for item in fields(value)}


def directory_of(chain_id: bytes, entries: list[bytes]) -> Directory:
    """A directory of these entries, each checked."""
    directory = Directory(chain_id)
    for entry in entries:
        directory.append(Entry.parse(chain_id, entry))
    return directory


def message_in(frame: bytes, allowed: Limits) -> Message:
    """The one message in a frame, read as a connection reads it."""
    reader = MessageReader(allowed)
    reader.feed(frame)
    message = reader.next_message()
    if message is None or not reader.at_boundary:
        raise PeerError("not one whole message")
    return message


def said(file: str, frame: bytes, *kinds: MessageKind) -> tuple[Chain, Message]:
    """The chain of a file, and a message of one of these kinds that its size allows in a session."""
    chain = parse_chain(file.encode())
    allowed = {**limits.session_limits(chain.geometry), **limits.upload_limits(chain.geometry)}
    return chain, message_in(frame, {kind: allowed[kind] for kind in kinds})
