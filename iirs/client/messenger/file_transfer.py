"""Files between two people: what is announced, how they are cut, how long they take. Pure values.

A file is announced by a note, then goes in pieces of one fragment each, in rounds in which nothing else is
due. What its sender says of it is not believed: the name is made safe, the kind is found out by looking.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from iirs.client.chat_session import FILE_MAX
from iirs.client.events import TransferState
from iirs.client.store.log_entry import FileInfo
from iirs.client.text.display import displayable
from iirs.errors import PeerMessageError
from iirs.geometry import HASH_SIZE, ONIONS_PER_SLOT
from iirs.message import PAYLOAD_MAX

__all__ = ["FILE_MAX"]

ID_SIZE = 16
NAME_MAX = 120
"""Characters of a file's name; the end is kept, as it says what the file is to the person."""
TIMER_MAX = 366 * 24 * 3600
_RESERVED = frozenset('/\\:*?"<>|')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))}
)


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
    """From now on entries disappear after so many seconds; 0: they stay."""

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
        value = json.loads(data)
        match value["note"]:
            case "file":
                return FileOffer(_file(value))
            case "stop":
                return FileStop(_bytes(value["id"], ID_SIZE))
            case "timer":
                return TimerNote(_number(value["seconds"], 0, TIMER_MAX))
            case "group" if isinstance(value["item"], dict):
                return GroupNote(value["item"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PeerMessageError("a note that is damaged") from error
    raise PeerMessageError("a note of a kind this version does not know")


def _file(value: dict[str, Any]) -> FileInfo:
    if not isinstance(value["name"], str):
        raise TypeError("a name that is none")
    size = _number(value["size"], 1, FILE_MAX)
    file_id, digest = _bytes(value["id"], ID_SIZE), _bytes(value["digest"], HASH_SIZE)
    return FileInfo(file_id, safe_name(value["name"]), size, digest)


def _bytes(value: Any, size: int) -> bytes:
    data = bytes.fromhex(value)
    if len(data) != size:
        raise ValueError("an identifier of another length")
    return data


def _number(value: Any, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError("a number out of its range")
    return value


def safe_name(name: str) -> str:
    """Return a name fit for a screen and for any system's disk: no folder, no control, no hidden file."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    shown = displayable(unicodedata.normalize("NFC", last[-4 * NAME_MAX :])).replace("\n", " ")
    kept = "".join(
        "_" if character in _RESERVED or character == "\N{REPLACEMENT CHARACTER}" else character
        for character in shown
        if unicodedata.category(character) not in {"Cf", "Cc", "Co", "Cn", "Cs"}
    )
    kept = kept.strip(" .")[-NAME_MAX:].strip(" .")
    stem = kept.split(".", 1)[0].lower()
    return f"_{kept}" if stem in _DEVICES or not kept else kept


def parts_of(size: int) -> int:
    """Return in how many pieces a file of ``size`` bytes goes."""
    return max(1, -(-size // PAYLOAD_MAX))


def seconds_for(size: int, round_seconds: float) -> float:
    """Return how long ``size`` bytes take if nothing else is said and no round is lost."""
    return -(-parts_of(size) // ONIONS_PER_SLOT) * round_seconds


@dataclass(slots=True)
class Passage:
    """One file on its way between us and one person; stored as ``to_state``."""

    file: FileInfo
    peer: str
    outgoing: bool
    sent_at_ms: int
    announced: bool = False
    """Whether the peer has been told of it, for a file of ours."""
    given: int = 0
    """Pieces that have been given to the chat, for a file of ours."""
    done: int = 0
    """Pieces delivered, or arrived."""
    state: TransferState = TransferState.MOVING

    @property
    def parts(self) -> int:
        """In how many pieces it goes."""
        return parts_of(self.file.size)

    @property
    def done_bytes(self) -> int:
        """How many bytes have been delivered, or have arrived."""
        return min(self.file.size, self.done * PAYLOAD_MAX)

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state not in {TransferState.MOVING, TransferState.PAUSED}

    def to_state(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        file = self.file
        return {
            "file": [file.file_id.hex(), file.name, file.size, file.digest.hex()],
            "peer": self.peer,
            "outgoing": self.outgoing,
            "sent_at_ms": self.sent_at_ms,
            "announced": self.announced,
            "given": self.given,
            "done": self.done,
            "state": self.state.value,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Passage:
        """Rebuild what ``to_state`` gave; the store authenticates it."""
        file_id, name, size, digest = state["file"]
        file = FileInfo(bytes.fromhex(file_id), name, size, bytes.fromhex(digest))
        rest = {key: state[key] for key in ("peer", "outgoing", "sent_at_ms", "announced", "given", "done")}
        return cls(file, **rest, state=TransferState(state["state"]))
