"""Notes, and the items of groups: ``docs/groups.md``."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.reference.directory import directory_digests, read_entry
from tests.reference.primitives import (
    RefusedError,
    Values,
    demand,
    ecdsa_check,
    ecdsa_sign,
    sha256,
)

KINDS = {"found", "join", "leave", "text", "timer"}
MEMBERS_MAX, NAME_MAX, TEXT_MAX = 16, 64, 60_000
FILE_MAX, TIMER_MAX = 1_048_576, 31_622_400
PARTS = ("group", "id", "kind", "author", "at", "text", "members", "seconds")


def json_of(item: dict[str, Any]) -> bytes:
    """An item without its signature, as it is signed and hashed."""
    content = {name: item[name] for name in PARTS}
    return json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(", ", ": ")).encode("ascii")


def item_signed(chain_id: bytes, item: dict[str, Any]) -> bytes:
    """What an item's author signs."""
    return b"iirs/1 group item" + chain_id + json_of(item)


def sign_group_item(*, chain_id: bytes, private: bytes, item: dict[str, Any]) -> Values:
    """An item's signature, and the JSON that it covers."""
    signature = ecdsa_sign(private, item_signed(chain_id, item))
    return {"json": json_of(item).decode("ascii"), "signature": signature}


def group_id(*, chain_id: bytes, item: dict[str, Any]) -> Values:
    """The id of the group that a founding begins."""
    demand(item["kind"] == "found", "no founding")
    return {"group": sha256(b"iirs/1 group id", chain_id, json_of({**item, "group": ""}))[:16]}


def _digits(value: Any, size: int) -> bytes:
    demand(isinstance(value, str) and re.fullmatch("[0-9a-f]*", value) is not None, "no hexadecimal digits")
    demand(len(value) == 2 * size, "another length")
    return bytes.fromhex(value)


def _whole(value: Any, least: int, most: int) -> None:
    demand(type(value) is int and least <= value <= most, "a number out of its range")


def read_group_item(*, chain_id: bytes, entries: list[bytes], item: dict[str, Any]) -> Values:
    """An item that its author signed and that says no more than its kind can."""
    directory_digests(chain_id=chain_id, entries=entries)
    demand(set(item) >= {*PARTS, "signature"}, "a member is missing")
    _digits(item["group"], 16)
    _digits(item["id"], 16)
    _whole(item["author"], 0, len(entries) - 1)
    _whole(item["at"], 0, 2**63 - 1)
    _whole(item["seconds"], 0, TIMER_MAX)
    demand(isinstance(item["kind"], str) and item["kind"] in KINDS, "an unknown kind")
    demand(isinstance(item["text"], str) and len(item["text"].encode()) <= TEXT_MAX, "too long a text")
    demand(isinstance(item["members"], list), "no members")
    for member in item["members"]:
        _whole(member, 0, len(entries) - 1)
    author = read_entry(chain_id=chain_id, entry=entries[item["author"]])
    ecdsa_check(author["key"], _digits(item["signature"], 64), item_signed(chain_id, item))
    if item["kind"] == "found":
        _check_founding(chain_id, item)
    demand(item["kind"] == "found" or not item["members"], "members")
    demand(item["kind"] in {"found", "text"} or not item["text"], "a text")
    demand(item["kind"] == "timer" or item["seconds"] == 0, "seconds")
    return {"author_name": author["name"]}


def _check_founding(chain_id: bytes, item: dict[str, Any]) -> None:
    members = item["members"]
    demand(members == sorted(set(members)) and 2 <= len(members) <= MEMBERS_MAX, "other members")
    demand(item["author"] in members, "a founder who is no member")
    demand(1 <= len(item["text"]) <= NAME_MAX, "no name")
    demand(item["group"] == group_id(chain_id=chain_id, item=item)["group"].hex(), "another group's id")


def ring(*, members: list[int], me: int, slots: int) -> Values:
    """With whom a member keeps conversations, sorted."""
    if me not in members:
        return {"neighbours": []}
    others = len(members) - 1
    if slots >= others:
        return {"neighbours": sorted(set(members) - {me})}
    demand(slots > 1, "one slot: groups of two only")
    place = members.index(me)
    steps = [side * step for side in (1, -1) for step in range(1, slots // 2 + 1)]
    return {"neighbours": sorted({members[(place + step) % len(members)] for step in steps} - {me})}


def json_in(note: bytes) -> Any:
    """JSON that every program reads alike: no name twice in an object, no -0, nothing that is no JSON."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        demand(len({name for name, _ in pairs}) == len(pairs), "a name twice")
        return dict(pairs)

    def whole(digits: str) -> int:
        demand(digits != "-0", "another way to write 0")
        return int(digits)

    def never(word: str) -> None:
        raise RefusedError(word)

    text = note.decode("utf-8")
    return json.loads(text, object_pairs_hook=members, parse_int=whole, parse_constant=never)


def read_note(*, note: bytes) -> Values:
    """What a note says."""
    try:
        value = json_in(note)
        kind = value["note"]
        if kind == "file":
            _digits(value["id"], 16)
            _digits(value["digest"], 32)
            _whole(value["size"], 1, FILE_MAX)
            demand(isinstance(value["name"], str), "no name")
        elif kind == "stop":
            _digits(value["id"], 16)
        elif kind == "timer":
            _whole(value["seconds"], 0, TIMER_MAX)
        elif kind == "group":
            demand(isinstance(value["item"], dict), "no item")
        else:
            raise RefusedError("an unknown note")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RefusedError("damaged") from error
    members = {"file": ("id", "digest", "name", "size"), "stop": ("id",), "timer": ("seconds",)}
    return {"note": kind, **{name: value[name] for name in members.get(kind, ("item",))}}
