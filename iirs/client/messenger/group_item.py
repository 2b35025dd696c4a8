"""Groups: a list of people, and items that their authors sign and that go round through all of them.

Members stand on a ring, in the order of the directory, and each keeps conversations with its neighbours only.
Whoever sees an item for the first time checks its signature and passes it on to its other neighbours. So
every meeting stays one of two people, at dead drops that exactly two access. Costs and limits are in
``docs/groups.md``, section 4. Pure values; ``Groups`` moves them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from cryptography.exceptions import InvalidSignature

from iirs.client.events import GroupState
from iirs.client.store.log_entry import GROUP_MARK
from iirs.directory import Directory
from iirs.errors import AccountError, PeerMessageError
from iirs.geometry import SIGNATURE_SIZE
from iirs.hexadecimal import hex_bytes
from iirs.identity import Identity

MEMBERS_MAX = 16
"""More would take many rounds from one side of the ring to the other."""
NAME_MAX = 64
TEXT_MAX = 60_000
"""The longest text in a group, in bytes of UTF-8."""
_ID_SIZE = 16
_LABEL = b"iirs/1 group item"
_ID_LABEL = b"iirs/1 group id"


class GroupItemKind(Enum):
    """What an item of a group says."""

    FOUND = "found"
    """The group exists: its name and members."""
    JOIN = "join"
    LEAVE = "leave"
    TEXT = "text"
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class GroupItem:
    """One signed item. ``author`` is a position in the directory."""

    group: bytes
    kind: GroupItemKind
    author: int
    item_id: bytes
    sent_at_ms: int
    text: str = field(default="", repr=False)
    """The group's name for ``FOUND``, the text for ``TEXT``."""
    members: tuple[int, ...] = ()
    seconds: int = 0
    signature: bytes = b""

    @property
    def key(self) -> str:
        """The key of the group's talk."""
        return GROUP_MARK + self.group.hex()

    def to_value(self) -> dict[str, Any]:
        """Return the item as JSON values."""
        return {**self._content(), "signature": self.signature.hex()}

    def _content(self) -> dict[str, Any]:
        return {
            "group": self.group.hex(),
            "kind": self.kind.value,
            "author": self.author,
            "id": self.item_id.hex(),
            "at": self.sent_at_ms,
            "text": self.text,
            "members": list(self.members),
            "seconds": self.seconds,
        }

    def _signed(self, chain_id: bytes) -> bytes:
        return _LABEL + chain_id + json.dumps(self._content(), sort_keys=True).encode()

    def signed_by(self, identity: Identity, chain_id: bytes) -> GroupItem:
        """Return the item with its author's signature."""
        return replace(self, signature=identity.sign(self._signed(chain_id)))

    def founding(self, chain_id: bytes) -> GroupItem:
        """Return a ``FOUND`` with its group's id: a hash of all it says, so that it is one group's only."""
        content = {**self._content(), "group": ""}
        digest = hashlib.sha256(_ID_LABEL + chain_id + json.dumps(content, sort_keys=True).encode()).digest()
        return replace(self, group=digest[:_ID_SIZE])

    @classmethod
    def checked(cls, value: dict[str, Any], directory: Directory) -> GroupItem:
        """Return the item in ``value``, signed by its author. Raises ``PeerMessageError``."""
        try:
            item = cls(
                hex_bytes(value["group"], _ID_SIZE),
                GroupItemKind(value["kind"]),
                _number(value["author"], len(directory) - 1),
                hex_bytes(value["id"], _ID_SIZE),
                _number(value["at"], 2**63 - 1),
                _text(value["text"]),
                tuple(_number(member, len(directory) - 1) for member in _list(value["members"])),
                _number(value["seconds"], 366 * 24 * 3600),
                hex_bytes(value["signature"], SIGNATURE_SIZE),
            )
            author = directory.entries[item.author]
            author.verify_key.verify(item.signature, item._signed(directory.chain_id))
        except (KeyError, ValueError, TypeError, InvalidSignature) as error:
            raise PeerMessageError("an item of a group that its author did not write") from error
        _check_shape(item, directory.chain_id)
        return item


def _check_shape(item: GroupItem, chain_id: bytes) -> None:
    if item.kind is GroupItemKind.FOUND:
        _check_founding(item, chain_id)
    elif item.members or (item.text and item.kind is not GroupItemKind.TEXT):
        raise PeerMessageError("an item of a group that says more than its kind can")
    if item.seconds and item.kind is not GroupItemKind.TIMER:
        raise PeerMessageError("an item of a group that says more than its kind can")


def _check_founding(item: GroupItem, chain_id: bytes) -> None:
    distinct = tuple(sorted(set(item.members)))
    right = item.members == distinct and item.author in distinct and 2 <= len(distinct) <= MEMBERS_MAX
    right = right and item.group == item.founding(chain_id).group
    if not right or not 0 < len(item.text) <= NAME_MAX:
        raise PeerMessageError("a group that no honest founder would make")


def _number(value: Any, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError("a number out of its range")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("members that are no list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value.encode()) > TEXT_MAX:
        raise ValueError("a text that is too long, or none")
    return value


@dataclass(frozen=True, slots=True)
class Group:
    """A group as one member knows it."""

    group: bytes
    name: str = field(repr=False)
    founder: int
    members: tuple[int, ...]
    """Positions of those who were asked and have not left, sorted."""
    joined: frozenset[int]
    state: GroupState

    @property
    def key(self) -> str:
        """The key of the group's talk."""
        return GROUP_MARK + self.group.hex()

    @classmethod
    def founded(cls, item: GroupItem, me: int) -> Group:
        """Return the group that a ``FOUND`` begins. Raises ``PeerMessageError`` if we are not in it."""
        if item.kind is not GroupItemKind.FOUND or me not in item.members:
            raise PeerMessageError("a group that we are not in")
        state = GroupState.JOINED if item.author == me else GroupState.INVITED
        return cls(item.group, item.text, item.author, item.members, frozenset({item.author}), state)

    def after(self, item: GroupItem, me: int) -> Group:
        """Return the group after an item. Raises ``PeerMessageError`` if its author may not say it."""
        if item.author not in self.members or item.kind is GroupItemKind.FOUND:
            raise PeerMessageError("an item of somebody who is not in the group")
        if item.kind is GroupItemKind.JOIN:
            state = GroupState.JOINED if item.author == me else self.state
            return replace(self, joined=self.joined | {item.author}, state=state)
        if item.kind is GroupItemKind.LEAVE:
            state = GroupState.LEFT if item.author == me else self.state
            members = tuple(member for member in self.members if member != item.author)
            return replace(self, members=members, joined=self.joined - {item.author}, state=state)
        return self

    def to_state(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "group": self.group.hex(),
            "name": self.name,
            "founder": self.founder,
            "members": list(self.members),
            "joined": sorted(self.joined),
            "state": self.state.value,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Group:
        """Rebuild what ``to_state`` gave; the store authenticates it."""
        return cls(
            bytes.fromhex(state["group"]),
            state["name"],
            state["founder"],
            tuple(state["members"]),
            frozenset(state["joined"]),
            GroupState(state["state"]),
        )


def neighbours(members: tuple[int, ...], me: int, slots: int) -> list[int]:
    """Return with whom ``me`` keeps conversations, nearest first: all, or on each side what slots allow.

    If one of two is the other's neighbour, so is the other the one's. Raises ``AccountError`` with one slot.
    """
    if me not in members:
        return []
    others = len(members) - 1
    if others > 1 and slots < 2:
        raise AccountError("This server gives one conversation at once: a group needs two.")
    reach = (others + 1) // 2 if slots >= others else slots // 2
    place = members.index(me)
    near = [members[(place + side * step) % len(members)] for step in range(1, reach + 1) for side in (1, -1)]
    return [member for member in dict.fromkeys(near) if member != me]


def rounds_around(count: int, slots: int) -> int:
    """Return how many rounds an item takes to ``count`` members who are in sync with their neighbours."""
    others = count - 1
    return 1 if slots >= others else -(-others // (2 * max(1, slots // 2)))


def new_id(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a name for a group or an item that nobody can guess."""
    return random_bytes(_ID_SIZE)
