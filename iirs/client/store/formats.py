"""What was kept in an earlier form is brought into today's when a store is opened.

The number of the form stands in the file (``user_version``). Version 0 kept fragments and what groups hold as
JSON values that were written anew with each that came; its earliest files have what others send in one piece.
Whoever changes the tables, or what a value holds, gives the form a new number and converts the one before.
What came before version 0 is no file of this kind (``sealed_rows``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from iirs.client.store.encrypted_file import EncryptedFile
from iirs.client.store.history import FILE_TABLE
from iirs.message import PAYLOAD_MAX

FORMAT = 1
_CHANGES = {"found", "join", "leave"}


def convert(file: EncryptedFile) -> None:
    """Bring a store into today's form, all of it or nothing; return with that committed."""
    if file.form() < FORMAT:
        file.execute("BEGIN")
        for name, value in file.execute("SELECT name, value FROM value ORDER BY name").fetchall():
            _convert_value(file, name, value)
        _cut_files(file)
        file.execute(
            "INSERT OR IGNORE INTO value "
            "SELECT DISTINCT 'talked:' || talk, 'true' FROM entry WHERE talk NOT LIKE '#%'"
        )
        file.execute(f"PRAGMA user_version = {FORMAT}")
        file.commit()


def _convert_value(file: EncryptedFile, name: str, value: str) -> None:
    kind, _, rest = name.partition(":")
    convert_one = _CONVERSIONS.get(kind)
    if convert_one is not None:
        with suppress(KeyError, TypeError, ValueError, AttributeError):  # what no program wrote is left out
            convert_one(file, rest, json.loads(value))
        if kind.startswith("group "):
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
    _set(file, f"chat:{peer}", state)


def _sync(file: EncryptedFile, peer: str, state: dict[str, Any]) -> None:
    _set(file, f"sync:{peer}", {"leaving": False, **state})


def _transfer(file: EncryptedFile, rest: str, state: dict[str, Any]) -> None:
    """Keep a file's way by its id alone, and one that is over apart from those that are not."""
    peer, _, file_id = rest.rpartition(":")
    if peer:
        is_over = state["state"] not in {"moving", "paused"}
        _set(file, ("file over:" if is_over else "file:") + file_id, {"announced": True, **state})
        file.execute("DELETE FROM value WHERE name = ?", (f"file:{rest}",))


def _errand(file: EncryptedFile, _rest: str, kept: list[str] | str) -> None:
    """Drop a change of the account of which it is not said over which password it was to come."""
    if isinstance(kept, str):
        file.execute("DELETE FROM value WHERE name = 'errand'")


def _cut_files(file: EncryptedFile) -> None:
    """Cut files that are kept in one piece into the pieces they travel in: those that are here."""
    if "data" not in {row[1] for row in file.execute("PRAGMA table_info(file)").fetchall()}:
        return
    file.execute("ALTER TABLE file RENAME TO whole")
    file.execute(FILE_TABLE)
    for place, file_id, size in file.execute("SELECT place, file_id, size FROM whole").fetchall():
        file.execute("INSERT INTO file VALUES (?, ?)", (file_id, size))
        for number in range(_pieces_here(file, file_id, size)):
            file.execute(
                "INSERT INTO piece SELECT file_id, ?, substr(data, ?, ?) FROM whole WHERE place = ?",
                (number, number * PAYLOAD_MAX + 1, PAYLOAD_MAX, place),
            )
    file.execute("DROP TABLE whole")


def _pieces_here(file: EncryptedFile, file_id: bytes, size: int) -> int:
    row = file.execute("SELECT value FROM value WHERE name = ?", (f"file:{file_id.hex()}",)).fetchone()
    if row is not None and not (state := json.loads(row[0]))["outgoing"]:
        return int(state["done"])
    return -(-size // PAYLOAD_MAX)


def _set(file: EncryptedFile, name: str, value: dict[str, Any]) -> None:
    file.execute("INSERT OR REPLACE INTO value VALUES (?, ?)", (name, json.dumps(value)))


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
    talk, entry_id, *peers = way
    if not peers:  # the note that waits says for whom it is
        query = "SELECT peer FROM outbox WHERE item_id = ?"
        peers = list(file.execute(query, (bytes.fromhex(note_id),)).fetchone())
    (peer,) = peers
    file.execute(
        "INSERT INTO way VALUES (?, ?, ?, ?)", (bytes.fromhex(note_id), talk, bytes.fromhex(entry_id), peer)
    )


_CONVERSIONS: dict[str, Callable[[EncryptedFile, str, Any], None]] = {
    "chat": _chat,
    "sync": _sync,
    "file": _transfer,
    "errand": _errand,
    "group held": _held,
    "group recent": _recent,
    "group way": _way,
}
