"""Files between two people: what is announced, how they are cut, how long they take. Pure values.

A file is announced by a note, then goes in pieces of one fragment each, in rounds in which nothing else is
due. What its sender says of it is not believed: the name is made safe, the kind is found out by looking.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Any

from iirs.client.store.log_entry import FileInfo, TransferState
from iirs.client.text.display import displayable
from iirs.geometry import CIRCUITS_PER_SLOT
from iirs.message import PAYLOAD_MAX

NAME_MAX = 120
"""Characters of a file's name; the end is kept, as it says what the file is to the person."""
NAME_BYTES_MAX = 240
"""Bytes of a file's name in UTF-8: file systems count those, and take 255."""
_RESERVED = frozenset('/\\:*?"<>|')
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{name}{digit}" for name in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"}
)


def safe_name(name: str) -> str:
    """Return a name fit for a screen and for any system's disk: no folder, control, padding, hidden file."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    shown = " ".join(displayable(unicodedata.normalize("NFC", last[-4 * NAME_MAX :])).split())
    kept = "".join(
        "_" if character in _RESERVED or character == "\N{REPLACEMENT CHARACTER}" else character
        for character in shown
        if unicodedata.category(character) not in {"Cf", "Cc", "Co", "Cn", "Cs"}
    )
    kept = kept.strip(" .")[-NAME_MAX:].strip(" .")
    while len(kept.encode()) >= NAME_BYTES_MAX:  # one more may come in front
        kept = kept[1:].lstrip(" .")
    stem = kept.split(".", 1)[0].strip().lower()
    return f"_{kept}" if stem in _DEVICES or not kept else kept


def parts_of(size: int) -> int:
    """Return in how many pieces a file of ``size`` bytes goes."""
    return max(1, -(-size // PAYLOAD_MAX))


def seconds_for(size: int, round_seconds: float) -> float:
    """Return how long ``size`` bytes take if nothing else is said and no round is lost."""
    return -(-parts_of(size) // CIRCUITS_PER_SLOT) * round_seconds


@dataclass(slots=True)
class FileTransfer:
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
    def is_here(self) -> bool:
        """Whether all pieces of a file of theirs are here, and it is still to be checked."""
        return not self.outgoing and not self.is_over and self.done == self.parts

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
    def from_state(cls, state: dict[str, Any]) -> FileTransfer:
        """Rebuild what ``to_state`` gave; the store authenticates it."""
        file_id, name, size, digest = state["file"]
        file = FileInfo(bytes.fromhex(file_id), name, size, bytes.fromhex(digest))
        rest = {key: state[key] for key in ("peer", "outgoing", "sent_at_ms", "announced", "given", "done")}
        return cls(file, **rest, state=TransferState(state["state"]))
