"""Reads the test vectors: each case as plain values, with its abbreviations written out.

The format is described in ``README.md`` beside this file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
TEXT_FIELDS = {"suite", "direction", "name", "peer", "password", "file", "link", "item"}
"""What is given as it stands; every other string is hexadecimal and stands for bytes."""
WIRE_FIELDS = {"sealed", "onion", "offer", "record", "entry", "head", "frame", "vault", "note", "cell"}
"""What comes from somebody else, so that its length is not known before."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case: what is given to an operation, and what it gives or that it refuses."""

    file: str
    name: str
    operation: str
    given: dict[str, Any]
    gives: dict[str, Any] | None
    refused: str | None
    indifferent: tuple[str, ...]
    """Fields given that may change without the answer being another."""

    def __str__(self) -> str:
        """Name the case for a test's output."""
        return f"{self.file}: {self.name}"


@cache
def cases() -> tuple[Case, ...]:
    """Every case of every file."""
    return tuple(case for path in sorted(FOLDER.glob("*.json")) for case in _cases_of(path))


def _cases_of(path: Path) -> Iterator[Case]:
    known: dict[str, Case] = {}
    for raw in json.loads(path.read_text(encoding="utf-8"))["cases"]:
        name, indifferent = raw["case"], tuple(raw.get("indifferent", ()))
        if "like" in raw:
            base = known[raw["like"]]
            operation = base.operation
            given = dict(base.given)
            for field, change in raw["but"].items():
                given[field] = _changed(given.get(field), change)
        else:
            operation, given = raw["operation"], _written_out(raw["given"])
        gives = None if "refused" in raw else _written_out(raw["gives"])
        case = Case(path.stem, name, operation, given, gives, raw.get("refused"), indifferent)
        if name in known:
            raise ValueError(f"two cases are called {name}")
        known[name] = case
        yield case


def _changed(old: Any, change: Any) -> Any:
    match change:
        case {"at": place, "put": put}:
            new = _written_out(put)
            return old[: 2 * place] + new + old[2 * place + len(new) :]
        case {"first": count}:
            return old[: 2 * count]
        case {"then": more}:
            return old + _written_out(more)
        case {"changed": members}:
            kept = {name: item for name, item in old.items() if name not in change.get("without", ())}
            return {**kept, **_written_out(members)}
        case {"replace": gone, "with": come}:
            return old.replace(gone, come)
    return _written_out(change)


def _written_out(value: Any) -> Any:
    match value:
        case {"shake256": label, "size": size}:
            return filler(label, size).hex()
        case {"zeros": size}:
            return bytes(size).hex()
        case {"repeat": letter, "times": count}:
            return letter * count
        case {"join": parts}:
            return "".join(_written_out(part) for part in parts)
        case dict():
            return {name: _written_out(item) for name, item in value.items()}
        case list():
            return [_written_out(item) for item in value]
    return value


def filler(label: str, size: int) -> bytes:
    """Bytes that look random and can be made again: SHAKE256 of a label."""
    return hashlib.shake_256(label.encode()).digest(size)


def arguments(given: dict[str, Any]) -> dict[str, Any]:
    """What is given, as arguments of an operation: hexadecimal digits become bytes."""
    return {name: item if name in TEXT_FIELDS else _bytes(item) for name, item in given.items()}


def _bytes(value: Any) -> Any:
    match value:
        case str():
            return bytes.fromhex(value)
        case list():
            return [_bytes(item) for item in value]
        case dict():
            return {name: _bytes(item) for name, item in value.items()}
    return value


def as_json(value: Any) -> Any:
    """An answer as the files write it: bytes become hexadecimal digits."""
    match value:
        case bytes():
            return value.hex()
        case list() | tuple():
            return [as_json(item) for item in value]
        case dict():
            return {name: as_json(item) for name, item in value.items()}
    return value
