"""Notes, items of groups, and the ring."""

from __future__ import annotations

import json
from typing import Any

from tests.reference.groups import group_id, sign_group_item
from tests.reference.primitives import Values, sha256
from tests.vectors.book import Book
from tests.vectors.makers import world
from tests.vectors.makers.world import CHAIN_ID

PEOPLE = ("alice", "bob", "carol")
NOON = 1_700_000_000_000
ENTRIES = [world.entry(person) for person in PEOPLE]


def unsigned(kind: str, author: int, group: str = "", **but: Any) -> Values:
    """An item without its signature."""
    item_id = sha256(f"{kind} by {author}".encode())[:16].hex()
    empty = {"text": "", "members": [], "seconds": 0}
    return {"group": group, "id": item_id, "kind": kind, "author": author, "at": NOON, **empty, **but}


def founding(**but: Any) -> Values:
    """Alice founds a group of three."""
    item = unsigned("found", 0, text="Lunch ☀ «zwölf»", members=[0, 1, 2])
    item |= but
    return {**item, "group": group_id(chain_id=CHAIN_ID, item=item)["group"].hex()}


def signed(item: Values, signer: str = "") -> Values:
    """The item signed by its author, or by somebody else."""
    private = world.scalar(signer or PEOPLE[item["author"]])
    signature = sign_group_item(chain_id=CHAIN_ID, private=private, item=item)["signature"]
    return {**item, "signature": signature.hex()}


def group_founding() -> Book:
    book = Book("The id of a group, and its founding.")
    name = "the id of a group"
    founded = founding()
    bare = {key: item for key, item in founded.items() if key != "group"}
    book.case(name, "group_id", chain_id=CHAIN_ID, item=bare)
    book.like("the id of the same in another chain", name, chain_id=sha256(b"another chain"))
    book.like("the id of one founded later", name, item={**bare, "at": NOON + 1})
    book.like("refused: the id of a text", name, refused="refused", item={**bare, "kind": "text"})
    book.case(
        "the signature", "sign_group_item", chain_id=CHAIN_ID, private=world.scalar("alice"), item=founded
    )
    found = "a founding"
    book.case(found, "read_group_item", chain_id=CHAIN_ID, entries=ENTRIES, item=signed(founded))
    refused = {
        "without a name": signed(founding(text="")),
        "with a name too long": signed(founding(text="a" * 65)),
        "of one": signed(founding(members=[0])),
        "by no member": signed(founding(members=[1, 2])),
        "with members not sorted": signed(founding(members=[0, 2, 1])),
        "with a member twice": signed(founding(members=[0, 1, 1])),
        "with a member who is nobody": signed(founding(members=[0, 3])),
        "under another id": signed({**founded, "group": "00" * 16}),
        "with seconds": signed(founding(seconds=5)),
        "signed by somebody else": signed(founded, "bob"),
    }
    for why, item in refused.items():
        book.like(f"refused: {why}", found, refused="PeerMessageError", item=item)
    return book


def group_item() -> Book:
    book = Book("Items of a group besides its founding.")
    group = founding()["group"]
    text = unsigned("text", 1, group, text='"Soup?" 🍜\n\\ \u007f é')
    book.case("the signature of a text", "sign_group_item", chain_id=CHAIN_ID, private=world.scalar("bob"),
              item=text)  # fmt: skip
    book.case("a text", "read_group_item", chain_id=CHAIN_ID, entries=ENTRIES, item=signed(text))
    join, timer = unsigned("join", 1, group), unsigned("timer", 0, group, seconds=3600)
    for what, item in {
        "an empty text": {**text, "text": ""},
        "a join": join,
        "a leave": unsigned("leave", 2, group),
        "a timer": timer,
        "a timer ends": {**timer, "seconds": 0},
    }.items():
        book.like(what, "a text", item=signed(item))
    refused = {
        "not signed by its author": signed(text, "carol"),
        "of another group than signed": {**signed(text), "group": "00" * 16},
        "of another text than signed": {**signed(text), "text": "Salad?"},
        "without a signature": {**signed(text), "signature": ""},
        "without a member that counts": {key: item for key, item in signed(text).items() if key != "at"},
        "of an unknown kind": signed({**text, "kind": "vote"}),
        "by nobody in the directory": {**signed(text), "author": 3},
        "of a time beyond 2^63": signed({**text, "at": 2**63}),
        "a time that is a fraction": signed({**text, "at": 1.5}),
        "an id cut off": signed({**text, "id": text["id"][:-2]}),
        "a text too long": signed({**text, "text": "a" * 60_001}),
        "a text that is a number": signed({**text, "text": 5}),
        "a text with seconds": signed({**text, "seconds": 5}),
        "a join that says something": signed({**join, "text": "hello"}),
        "a join with members": signed({**join, "members": [1]}),
        "a timer too long": signed({**timer, "seconds": 31_622_401}),
    }
    for why, item in refused.items():
        base = {"join": "a join", "timer": "a timer"}.get(item["kind"], "a text")
        book.like(f"refused: {why}", base, refused="PeerMessageError", item=item)
    return book


def group_item_text() -> Book:
    book = Book("How the values of an item are written: what is refused, though one could read it.")
    group = founding()["group"]
    text = unsigned("text", 1, group, text="Soup?")
    good = signed(text)
    book.case("as it is", "read_group_item", chain_id=CHAIN_ID, entries=ENTRIES, item=good)
    refused = {
        "an id in capitals": {**good, "id": good["id"].upper()},
        "an id with a space": {**good, "id": f"{good['id'][:2]} {good['id'][2:]}"},
        "an id signed in capitals": signed({**text, "id": text["id"].upper()}),
        "a group's id in capitals": {**good, "group": group.upper()},
        "a group's id with a line end": {**good, "group": group + "\n"},
        "a signature in capitals": {**good, "signature": good["signature"].upper()},
        "a signature with a space": {**good, "signature": f"{good['signature'][:2]} {good['signature'][2:]}"},
        "members that are a text": {**good, "members": ""},
        "members that are an object": {**good, "members": {}},
    }
    for why, item in refused.items():
        book.like(f"refused: {why}", "as it is", refused="PeerMessageError", item=item)
    return book


def ring() -> Book:
    book = Book("With whom a member of a group keeps conversations, sorted.")
    name = "all of four with three slots"
    book.case(name, "ring", members=[1, 4, 7, 9], me=4, slots=3, indifferent=("slots",))
    book.like("two of four with two slots", name, slots=2, indifferent=("members",))
    book.like("at the end of the ring", name, me=9, slots=2, indifferent=("members",))
    sixteen = list(range(3, 19))
    book.like("four of sixteen with five slots", name, members=sixteen, me=3, slots=5,
              indifferent=("members", "slots"))  # fmt: skip
    book.like("two people with one slot", name, members=[4, 6], slots=1, indifferent=("slots",))
    book.like("refused: three people with one slot", name, refused="AccountError", members=[4, 6, 7], slots=1)
    return book


def note() -> Book:
    book = Book("Notes, as JSON in UTF-8: files, timers, and items of groups.")

    def noted(**value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    digits, digest = "00112233445566778899aabbccddeeff", sha256(b"a file").hex()
    file = {"note": "file", "id": digits, "name": "Menü.txt", "size": 1_048_576, "digest": digest}
    name = "a file"
    book.case(name, "read_note", note=noted(**file))
    book.like("a file stops", name, note=noted(note="stop", id=digits))
    book.like("a timer", name, note=noted(note="timer", seconds=31_622_400))
    loose = b' {"more" : [1.5, null] ,\n"seconds":60, "\\u006eote":"timer"}'
    book.like("white space, another order, another member", name, note=loose)
    book.like("an item of a group", name, note=noted(note="group", item={"kind": "text", "at": 5}))
    changes = {
        "an unknown note": noted(note="poke"),
        "no note": noted(id=digits),
        "no object": b"[]",
        "no JSON": b"{",
        "no UTF-8": b'{"note":"stop","id":"\xff"}',
        "empty": b"",
        "a file too large": noted(**{**file, "size": 1_048_577}),
        "a file of nothing": noted(**{**file, "size": 0}),
        "a size that is a text": noted(**{**file, "size": "5"}),
        "an id cut off": noted(**{**file, "id": digits[:-2]}),
        "a digest cut off": noted(**{**file, "digest": digest[:-2]}),
        "a name that is a number": noted(**{**file, "name": 5}),
        "a file without a name": noted(**{key: item for key, item in file.items() if key != "name"}),
        "a timer too long": noted(note="timer", seconds=31_622_401),
        "a timer below 0": noted(note="timer", seconds=-1),
        "a timer that is a truth value": noted(note="timer", seconds=True),
        "an item that is none": noted(note="group", item="text"),
        "an id in capitals": noted(note="stop", id=digits.upper()),
        "an id with a space": noted(note="stop", id=f"00 {digits[2:]}"),
        "a digest in capitals": noted(**{**file, "digest": digest.upper()}),
        "a digest with a line end": noted(**{**file, "digest": digest + "\n"}),
        "a byte order mark": b"\xef\xbb\xbf" + noted(note="stop", id=digits),
        "UTF-16": noted(note="stop", id=digits).decode().encode("utf-16-le"),
        "UTF-32": noted(note="stop", id=digits).decode().encode("utf-32-be"),
        "a member twice": b'{"note":"timer","seconds":60,"seconds":5}',
        "a member twice within an item": b'{"note":"group","item":{"at":5,"at":6}}',
        "a number that is none": b'{"note":"timer","seconds":60,"more":NaN}',
        "a number with a sign that means nothing": b'{"note":"timer","seconds":-0}',
        "a number that is a fraction": b'{"note":"timer","seconds":60.0}',
    }
    for why, changed in changes.items():
        book.like(f"refused: {why}", name, refused="PeerMessageError", note=changed)
    return book


FILES = (group_founding, group_item, group_item_text, ring, note)
