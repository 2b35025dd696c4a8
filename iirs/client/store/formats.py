"""What was kept in an earlier form is brought into today's when a store is opened.

The number of the form stands in the file (``user_version``). Version 0 kept fragments and what groups hold as
JSON values that were written anew with each that came.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from iirs.client.store.encrypted_file import EncryptedFile
from iirs.errors import StoreError

FORMAT = 1
_CHANGES = {"found", "join", "leave"}


def convert(file: EncryptedFile) -> None:
    """Bring a store into today's form, all of it or nothing; return with that committed.

    Raises ``StoreError`` if it is a later program's.
    """
    form = int(file.execute("PRAGMA user_version").fetchone()[0])
    if form > FORMAT:
        raise StoreError("This account's file on this machine was written by a newer iirs: use that one.")
    if form < FORMAT:
        for name, value in file.execute("SELECT name, value FROM value ORDER BY name").fetchall():
            _convert_value(file, name, value)
        file.execute(f"PRAGMA user_version = {FORMAT}")
        file.commit()


def _convert_value(file: EncryptedFile, name: str, value: str) -> None:
    kind, _, rest = name.partition(":")
    convert_one = _CONVERSIONS.get(kind)
    if convert_one is not None:
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # what no program wrote is left out
            convert_one(file, rest, json.loads(value))
        if kind != "chat":
            file.execute("DELETE FROM value WHERE name = ?", (name,))


def _chat(file: EncryptedFile, peer: str, state: dict[str, Any]) -> None:
    assembly = state.pop("assembly", None)
    for sequence, fragment in state.pop("ahead", {}).items():
        _fragment(file, peer, int(sequence), fragment)
    if assembly is not None:
        (item_id, _index, count, sent_at_ms, _payload, kind), data, have = assembly
        for index in range(have):  # all that has come in the first, as where it was cut is not known any more
            payload = "" if index else data
            number = int(state["expected"]) - have + index
            _fragment(file, peer, number, [item_id, index, count, sent_at_ms, payload, kind])
    file.execute("UPDATE value SET value = ? WHERE name = ?", (json.dumps(state), f"chat:{peer}"))


def _fragment(file: EncryptedFile, peer: str, sequence: int, fragment: list[Any]) -> None:
    item_id, index, count, sent_at_ms, payload, kind = fragment
    file.execute(
        "INSERT INTO fragment VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (peer, sequence, bytes.fromhex(item_id), index, count, kind, sent_at_ms, bytes.fromhex(payload)),
    )


def _held(file: EncryptedFile, talk: str, items: list[Any]) -> None:
    for value, peer in items:
        word = value["kind"] if value["kind"] in _CHANGES else f"{value['kind']} {value['id']}"
        file.execute(
            "INSERT OR IGNORE INTO held (talk, peer, author, word, size, value) VALUES (?, ?, ?, ?, ?, ?)",
            (talk, peer, value["author"], word, len(value["text"].encode()), json.dumps(value)),
        )


def _recent(file: EncryptedFile, talk: str, items: list[Any]) -> None:
    for entry_id, value in items:
        file.execute(
            "INSERT INTO recent (talk, entry_id, value) VALUES (?, ?, ?)",
            (talk, bytes.fromhex(entry_id), json.dumps(value)),
        )


def _way(file: EncryptedFile, note_id: str, way: list[str]) -> None:
    talk, entry_id, peer = way
    file.execute(
        "INSERT INTO way VALUES (?, ?, ?, ?)", (bytes.fromhex(note_id), talk, bytes.fromhex(entry_id), peer)
    )


_CONVERSIONS: dict[str, Callable[[EncryptedFile, str, Any], None]] = {
    "chat": _chat,
    "group held": _held,
    "group recent": _recent,
    "group way": _way,
}
