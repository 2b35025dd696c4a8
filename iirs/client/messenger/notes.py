"""Notes: what two programs tell each other inside a conversation of files, groups and times."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from iirs.client.chat_session import FILE_MAX
from iirs.client.messenger.file_transfer import safe_name
from iirs.client.store.log_entry import FileInfo
from iirs.errors import PeerMessageError
from iirs.geometry import HASH_SIZE
from iirs.hexadecimal import hex_bytes

ID_SIZE = 16


TIMER_MAX = 366 * 24 * 3600


@dataclass(frozen=True, slots=True)
class FileOffer:
    """A file's sender announces it."""

    file: FileInfo


@dataclass(frozen=True, slots=True)
class FileStop:
    """One of the two does not want a file any more."""

    file_id: bytes


@dataclass(frozen=True, slots=True)
class TimerNote:
    """From now on its sender has entries disappear after so many seconds, and asks for it; 0: they stay."""

    seconds: int


@dataclass(frozen=True, slots=True)
class GroupNote:
    """An item of a group, as ``groups`` reads it."""

    value: dict[str, Any] = field(repr=False)


Note = FileOffer | FileStop | TimerNote | GroupNote


def encode_note(note: Note) -> bytes:
    """Return a note as it travels: JSON in UTF-8."""
    match note:
        case FileOffer(file):
            value: dict[str, Any] = {
                "note": "file",
                "id": file.file_id.hex(),
                "name": file.name,
                "size": file.size,
                "digest": file.digest.hex(),
            }
        case FileStop(file_id):
            value = {"note": "stop", "id": file_id.hex()}
        case TimerNote(seconds):
            value = {"note": "timer", "seconds": seconds}
        case GroupNote(item):
            value = {"note": "group", "item": item}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def decode_note(data: bytes) -> Note:
    """Return the note in ``data``. Raises ``PeerMessageError`` if it is not one this program knows."""
    try:
        value = _read_json(data)
        match value["note"]:
            case "file":
                return FileOffer(_file(value))
            case "stop":
                return FileStop(hex_bytes(value["id"], ID_SIZE))
            case "timer":
                return TimerNote(_number(value["seconds"], 0, TIMER_MAX))
            case "group" if isinstance(value["item"], dict):
                return GroupNote(value["item"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PeerMessageError("a note that is damaged") from error
    raise PeerMessageError("a note of a kind this version does not know")


def _read_json(data: bytes) -> Any:
    # What another program may read otherwise is refused: JSON says nothing of a name that comes twice, its
    # numbers have no -0 here, NaN is no JSON, and bytes given to ``loads`` as they are may be UTF-16.
    return json.loads(
        data.decode(), object_pairs_hook=_object, parse_int=_whole_number, parse_constant=_no_number
    )


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("a member that comes twice")
    return value


def _whole_number(digits: str) -> int:
    if digits == "-0":
        raise ValueError("a second way to write 0")
    return int(digits)


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _file(value: dict[str, Any]) -> FileInfo:
    if not isinstance(value["name"], str):
        raise TypeError("a name that is none")
    size = _number(value["size"], 1, FILE_MAX)
    file_id, digest = hex_bytes(value["id"], ID_SIZE), hex_bytes(value["digest"], HASH_SIZE)
    return FileInfo(file_id, safe_name(value["name"]), size, digest)


def _number(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError("a number out of its range")
    return value
