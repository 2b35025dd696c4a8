"""What groups keep besides who is in them: what came early, what new neighbours get, what is on its way.

Values only, in the store; ``Groups`` decides. The store's owner thread only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iirs.client.messenger.group_item import GroupItem, GroupItemKind
from iirs.client.store.store import ClientStore

HELD_MAX = 500
"""Items kept for a group we have not joined."""
HELD_BYTES_MAX = 256 * 1024
"""And how long their texts may be together: they are written anew with each that comes."""
RECENT = 20
"""Texts that a new neighbour is given, at most."""
RECENT_TEXT_MAX = 16_384
"""And all of them together, in bytes of UTF-8: 21 rounds of a conversation."""
_CHANGES = (GroupItemKind.JOIN, GroupItemKind.LEAVE)
_BEFORE_TEXTS = ("found", "join", "timer")


class HeldItems:
    """What came for a group while we are only invited, with who brought it; the founding is the first."""

    def __init__(self, store: ClientStore) -> None:
        self._store = store

    def add(self, item: GroupItem, peer: str) -> None:
        """Keep an item, if it is not there yet and there is room."""
        held = self._store.get(_held(item.key), [])
        if not any(_same(item, value) for value, _ in held) and _has_room(held, item):
            self._store.set(_held(item.key), [*held, [item.to_value(), peer]])

    def all(self, key: str) -> list[tuple[dict[str, Any], str]]:
        """Return all in the order it came."""
        return [(value, peer) for value, peer in self._store.get(_held(key), [])]

    def brought_by(self, key: str) -> str:
        """Return who brought the founding of a group."""
        held = self._store.get(_held(key), [])
        return str(held[0][1]) if held else ""

    def forget(self, key: str) -> None:
        """Keep nothing for a group any longer."""
        self._store.remove(_held(key))


def _held(key: str) -> str:
    return f"group held:{key}"


def _same(item: GroupItem, value: dict[str, Any]) -> bool:
    # Of who comes and goes the first word counts: so a member cannot fill this with more of them.
    same = value["author"] == item.author and value["kind"] == item.kind.value
    return same and (item.kind in _CHANGES or value["id"] == item.item_id.hex())


def _has_room(held: list[Any], item: GroupItem) -> bool:
    if item.kind in _CHANGES:
        return True  # without these our ring would be another one than everybody else's
    size = sum(len(value["text"].encode()) for value, _ in held) + len(item.text.encode())
    return len(held) < HELD_MAX and size <= HELD_BYTES_MAX


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
        name = f"group recent:{item.key}"
        recent = [*self._store.get(name, []), [entry_id.hex(), {**item.to_value(), "text": ""}]]
        self._store.set(name, recent[-RECENT:])

    def values(self, key: str) -> list[dict[str, Any]]:
        """Return the items as JSON values: who is in the group, then the texts, then who has left it.

        In this order somebody who knows none of them accepts them all.
        """
        kept = self._store.get(f"group kept:{key}", [])
        first = [value for value in kept if value["kind"] in _BEFORE_TEXTS]
        leaving = [value for value in kept if value["kind"] not in _BEFORE_TEXTS]
        return [*first, *self._texts(key), *leaving]

    def _texts(self, key: str) -> list[dict[str, Any]]:
        words = {entry.item_id.hex(): entry.text for entry in self._store.history.page(key, RECENT)}
        found: list[dict[str, Any]] = []
        room = RECENT_TEXT_MAX
        for entry_id, value in reversed(self._store.get(f"group recent:{key}", [])):
            text = words.get(entry_id)
            if text is not None and len(text.encode()) <= room:
                room -= len(text.encode())
                found.insert(0, {**value, "text": text})
        return found

    def forget(self, key: str) -> None:
        """Keep nothing of a group any longer."""
        self._store.remove(f"group kept:{key}")
        self._store.remove(f"group recent:{key}")


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


@dataclass(frozen=True, slots=True)
class Delivery:
    """One of our texts, on its way to one neighbour."""

    key: str
    entry_id: bytes
    peer: str


class Deliveries:
    """Which of our texts are on their way to whom, by the ids of the notes they travel in."""

    def __init__(self, store: ClientStore) -> None:
        self._store = store

    def begin(self, note_id: bytes, delivery: Delivery) -> None:
        """Keep that a text goes to a neighbour in a note."""
        self._store.set(f"group way:{note_id.hex()}", [delivery.key, delivery.entry_id.hex(), delivery.peer])

    def get(self, note_id: bytes) -> Delivery | None:
        """Return which text is on its way in a note, if one of ours is."""
        value = self._store.get(f"group way:{note_id.hex()}")
        return None if value is None else _delivery(value)

    def end(self, note_id: bytes, delivery: Delivery) -> bool:
        """Forget a delivery; return whether it was its text's last."""
        self._store.remove(f"group way:{note_id.hex()}")
        return all(
            (other.key, other.entry_id) != (delivery.key, delivery.entry_id) for other in self._all().values()
        )

    def end_with(self, key: str, peer: str) -> list[Delivery]:
        """Forget a group's ways to somebody; return those that were their text's last."""
        gone = [
            (note, delivery)
            for note, delivery in self._all().items()
            if (delivery.key, delivery.peer) == (key, peer)
        ]
        return [delivery for note, delivery in gone if self.end(note, delivery)]

    def _all(self) -> dict[bytes, Delivery]:
        values = self._store.values("group way:")
        return {
            bytes.fromhex(name.removeprefix("group way:")): _delivery(value) for name, value in values.items()
        }


def _delivery(value: list[str]) -> Delivery:
    key, entry_id, peer = value
    return Delivery(key, bytes.fromhex(entry_id), peer)
