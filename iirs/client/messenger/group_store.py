"""What groups keep besides who is in them: what came early, what new neighbours get, who knows that we left.

Values only, in the store; ``Groups`` decides. The store's owner thread only.
"""

from __future__ import annotations

from typing import Any

from iirs.client.messenger.group_item import GroupItem, GroupItemKind
from iirs.client.store.group_tables import GroupTables
from iirs.client.store.store import ClientStore

HELD_MAX = 500
"""Items kept for a group we have not joined."""
HELD_BYTES_MAX = 256 * 1024
"""And how long their texts may be together, in bytes of UTF-8."""
RECENT = 20
"""Texts that a new neighbour is given, at most."""
RECENT_TEXT_MAX = 16_384
"""And all of them together, in bytes of UTF-8: 21 rounds of a conversation."""
_CHANGES = (GroupItemKind.JOIN, GroupItemKind.LEAVE)
_BEFORE_TEXTS = ("found", "join", "timer")


class HeldItems:
    """What came for a group while we are only invited, with who brought it; the founding is the first.

    When we have joined it is taken in from here, in order, and what comes meanwhile waits behind it.
    """

    def __init__(self, tables: GroupTables) -> None:
        self._tables = tables

    def add(self, item: GroupItem, peer: str) -> None:
        """Keep an item, if it is not there yet and there is room."""
        if item.kind in _CHANGES or self._has_room(item):
            self.append(item, peer)

    def _has_room(self, item: GroupItem) -> bool:
        count, size = self._tables.held(item.key)
        return count < HELD_MAX and size + len(item.text.encode()) <= HELD_BYTES_MAX

    def append(self, item: GroupItem, peer: str) -> None:
        """Keep an item, if it is not there yet."""
        size = len(item.text.encode())
        self._tables.hold(item.key, peer, item.author, _word(item), size, item.to_value())

    def leaves(self, key: str, member: int) -> bool:
        """Return whether it is kept that somebody leaves a group."""
        return self._tables.holds(key, member, GroupItemKind.LEAVE.value)

    def waits(self, key: str) -> bool:
        """Return whether anything is kept for a group."""
        return self._tables.held(key)[0] > 0

    def take(self, key: str) -> tuple[dict[str, Any], str, int] | None:
        """Take out the oldest: the item as a JSON value, who brought it, and its length."""
        return self._tables.take_held(key)

    def brought_by(self, peer: str) -> int:
        """Return to how many groups somebody has asked us that wait for an answer."""
        return self._tables.foundings_by(peer)

    def forget(self, key: str) -> None:
        """Keep nothing for a group any longer."""
        self._tables.forget_held(key)


def _word(item: GroupItem) -> str:
    # Of who comes and goes the first word counts: so a member cannot fill this with more of them.
    once = item.kind in _CHANGES or item.kind is GroupItemKind.FOUND
    return item.kind.value if once else f"{item.kind.value} {item.item_id.hex()}"


class Backlog:
    """What a new neighbour is given: items may have been lost with the member who stood between us."""

    def __init__(self, store: ClientStore) -> None:
        self._store = store

    def note(self, item: GroupItem) -> None:
        """Keep an item that says who is in the group, or when its texts disappear."""
        name = f"group kept:{item.key}"
        kept = self._store.get(name, [])
        if item.kind is GroupItemKind.TIMER:
            kept = [value for value in kept if value["kind"] != item.kind.value]
        self._store.set(name, [*kept, item.to_value()])

    def note_text(self, item: GroupItem, entry_id: bytes) -> None:
        """Keep a text's item without its words: those stay in the log alone, and are deleted with it."""
        self._store.groups.note_recent(item.key, entry_id, {**item.to_value(), "text": ""}, RECENT)

    def values(self, key: str) -> list[dict[str, Any]]:
        """Return the items as JSON values: who is in the group, then the texts, then who has left it.

        In this order somebody who knows none of them accepts them all.
        """
        kept = self._store.get(f"group kept:{key}", [])
        first = [value for value in kept if value["kind"] in _BEFORE_TEXTS]
        leaving = [value for value in kept if value["kind"] not in _BEFORE_TEXTS]
        return [*first, *self._texts(key), *leaving]

    def _texts(self, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        room = RECENT_TEXT_MAX
        for value, text in self._store.groups.recent(key, RECENT_TEXT_MAX):
            if len(text.encode()) <= room:
                room -= len(text.encode())
                found.insert(0, {**value, "text": text})
        return found

    def forget(self, key: str) -> None:
        """Keep nothing of a group any longer."""
        self._store.remove(f"group kept:{key}")
        self._store.groups.forget_recent(key)


class LeaveItems:
    """What we said when we left, for members it did not reach: both our neighbours may have left as well."""

    def __init__(self, store: ClientStore) -> None:
        self._store = store

    def note(self, item: GroupItem, told: list[str]) -> None:
        """Keep that we have left, and whom we have told."""
        self._store.set(f"group left:{item.key}", [item.to_value(), told])

    def due(self, key: str, peer: str) -> dict[str, Any] | None:
        """Return our leaving if somebody has not been told, and note that they are now."""
        value, told = self._store.get(f"group left:{key}", [None, []])
        if value is None or peer in told:
            return None
        self._store.set(f"group left:{key}", [value, [*told, peer]])
        return dict(value)
