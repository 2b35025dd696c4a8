"""The bodies of messages between client and server, as values.

Every body has one size per kind, except CHAIN, DIRECTORY, BUNDLE and ANNOUNCE, whose sizes depend on public
facts only (the chain, who is registered, who is online, and when they came). Byte tables:
``docs/protocol.md`` section 3.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from iirs import PROTOCOL_VERSION
from iirs.geometry import (
    ACCOUNT_SIZE,
    CHAIN_FILE_MAX,
    CLOSE_SIZE,
    ENTRY_SIZE,
    HELLO_SIZE,
    PREKEY_SIZE,
    REGISTER_SIZE,
    RESULT_SIZE,
    STANDBY_SIZE,
    Geometry,
)
from iirs.message import Limits, Message, MessageKind

MAX_ENTRIES = 100_000
MAX_INVITATIONS = 100_000
COUNT = struct.Struct(">I")
"""How many entries a DIRECTORY holds."""


class CloseReason(IntEnum):
    """Why the server closes one connection."""

    STOPPING = 0
    REPLACED = 1
    PROTOCOL = 2
    TIMEOUT = 3
    VERSION = 4
    INCOMPLETE = 5

    @property
    def sentence(self) -> str:
        """What to tell the person."""
        return _CLOSE_SENTENCES[self]


_CLOSE_SENTENCES = {
    CloseReason.STOPPING: "The server is stopping.",
    CloseReason.REPLACED: "This account logged in somewhere else, so it is no longer connected here.",
    CloseReason.PROTOCOL: "The server could not understand a message and closed this connection.",
    CloseReason.TIMEOUT: "The server heard nothing for too long and closed this connection.",
    CloseReason.INCOMPLETE: "A server of the chain is not there yet. It will be tried again.",
    CloseReason.VERSION: "The server speaks another version of the protocol. Update iirs here or there, "
    "whichever is older.",
}


def client_limits() -> Limits:
    """Return what the server may send before the client knows the chain."""
    return {
        MessageKind.CHAIN: (1, CHAIN_FILE_MAX),
        MessageKind.CLOSE: (CLOSE_SIZE, CLOSE_SIZE),
    }


def session_limits(geometry: Geometry) -> Limits:
    """Return what the server may send to a client that knows the chain."""
    fixed = {
        MessageKind.KEYS: geometry.keys_size,
        MessageKind.RESULT: RESULT_SIZE,
        MessageKind.ACCOUNT: ACCOUNT_SIZE,
        MessageKind.REPLIES: geometry.replies_size,
        MessageKind.CLOSE: CLOSE_SIZE,
        MessageKind.STANDBY: STANDBY_SIZE,
    }
    limits = {kind: (size, size) for kind, size in fixed.items()}
    limits[MessageKind.ANNOUNCE] = (geometry.announce_size, geometry.announce_max)
    empty = geometry.head_size + COUNT.size
    limits[MessageKind.DIRECTORY] = (empty, empty + MAX_ENTRIES * (ENTRY_SIZE + PREKEY_SIZE))
    limits[MessageKind.BUNDLE] = (geometry.bundle_size(0), geometry.bundle_size(MAX_INVITATIONS))
    return limits


def greeting_limits(geometry: Geometry) -> Limits:
    """Return what a client may send after its HELLO and before its session."""
    return {
        MessageKind.REGISTER: (REGISTER_SIZE, REGISTER_SIZE),
        MessageKind.LOGIN: (geometry.login_size, geometry.login_size),
    }


def upload_limits(geometry: Geometry) -> Limits:
    """Return what a client may send in its session."""
    return {
        MessageKind.PREKEY: (PREKEY_SIZE, PREKEY_SIZE),
        MessageKind.UPLOAD: (geometry.upload_size, geometry.upload_size),
        MessageKind.INVITE: (geometry.invite_size, geometry.invite_size),
        MessageKind.SETUP: (geometry.setup_size, geometry.setup_size),
    }


HELLO_LIMITS: Limits = {MessageKind.HELLO: (HELLO_SIZE, HELLO_SIZE)}


def hello() -> Message:
    """Return the first thing a client says."""
    return Message(MessageKind.HELLO, struct.pack(">H", PROTOCOL_VERSION))
