"""The header of every message: ``docs/protocol.md``, "Messages between client and server"."""

from __future__ import annotations

from tests.reference.primitives import demand, number

REGISTER, LOGIN, ACCOUNT, DIRECTORY = 4, 6, 7, 8
ANNOUNCE, UPLOAD, INVITE, REPLIES, BUNDLE, STANDBY, SETUP = 9, 10, 11, 12, 13, 16, 17


def split(frame: bytes) -> tuple[int, bytes]:
    """Kind and body of one whole frame."""
    demand(len(frame) >= 5 and len(frame) == 5 + number(frame[1:5]), "another length")
    return frame[0], frame[5:]


def split_all(data: bytes) -> list[tuple[int, bytes]]:
    """Kind and body of each of several whole frames, one after the other."""
    frames = []
    while data:
        demand(len(data) >= 5, "cut off")
        end = 5 + number(data[1:5])
        frames.append(split(data[:end]))
        data = data[end:]
    return frames


def body_of(frame: bytes, *kinds: int) -> bytes:
    """The body of a frame that must be of one of these kinds."""
    kind, body = split(frame)
    demand(kind in kinds, "a kind that may not come now")
    return body


def framed(kind: int, body: bytes) -> bytes:
    """A frame."""
    return bytes([kind]) + len(body).to_bytes(4, "big") + body
