"""Notes, and items of groups."""

from __future__ import annotations

from collections.abc import Callable

from iirs.client.messenger.group_item import GroupItem, GroupItemKind, neighbours
from iirs.client.messenger.notes import FileOffer, FileStop, GroupNote, TimerNote, decode_note
from tests.vectors.by_code.common import Values, directory_of


def read_note(note: bytes) -> Values:
    match decode_note(note):
        case FileOffer(info):
            values = {"id": info.file_id, "digest": info.digest, "name": info.name, "size": info.size}
            return {"note": "file", **values}
        case FileStop(file_id):
            return {"note": "stop", "id": file_id}
        case TimerNote(seconds):
            return {"note": "timer", "seconds": seconds}
        case GroupNote(value):
            return {"note": "group", "item": value}


def group_id(chain_id: bytes, item: Values) -> Values:
    if item["kind"] != GroupItemKind.FOUND.value:
        raise ValueError("only a founding has an id to make")
    founding = GroupItem(
        b"", GroupItemKind(item["kind"]), item["author"], bytes.fromhex(item["id"]), item["at"],
        item["text"], tuple(item["members"]), item["seconds"],
    )  # fmt: skip
    return {"group": founding.founding(chain_id).group}


def read_group_item(chain_id: bytes, entries: list[bytes], item: Values) -> Values:
    directory = directory_of(chain_id, entries)
    author = GroupItem.checked(item, directory).author
    return {"author_name": directory.entries[author].name}


def ring(members: list[int], me: int, slots: int) -> Values:
    return {"neighbours": sorted(neighbours(tuple(members), me, slots))}


OPERATIONS: dict[str, Callable[..., Values]] = {
    function.__name__: function
    for function in (
        group_id,
        read_group_item,
        read_note,
        ring,
    )
}
