"""Collects the cases of one file, answered by the reference and abbreviated as ``README.md`` says."""

from __future__ import annotations

import json
from typing import Any

from tests.reference.answers import OPERATIONS
from tests.reference.primitives import RefusedError, Values
from tests.vectors.cases import as_json, filler

_LONG = 64
"""Bytes from which it is worth while to abbreviate."""
_LINE = 118


class Book:
    """One file of vectors. Answers are the reference's."""

    def __init__(self, about: str) -> None:
        self._about = about
        self._cases: list[dict[str, Any]] = []
        self._operations: dict[str, str] = {}
        self._given: dict[str, Values] = {}
        self._fillers: dict[bytes, dict[str, Any]] = {}

    def filler(self, label: str, size: int) -> bytes:
        """Return bytes that look random and are abbreviated in the file."""
        data = filler(label, size)
        self._fillers[data] = {"shake256": label, "size": size}
        return data

    def case(
        self, name: str, operation: str, /, *, indifferent: tuple[str, ...] = (), **given: Any
    ) -> Values:
        """Add a case that succeeds; return its answer."""
        return self._add(name, {"operation": operation}, operation, given, given, None, indifferent)

    def like(
        self, name: str, base: str, /, *, refused: str = "", indifferent: tuple[str, ...] = (), **but: Any
    ) -> Values:
        """Add a case that is another but for some fields, and succeeds, or is refused with this error."""
        before = self._given[base]
        written = {field: _difference(before.get(field), value) for field, value in but.items()}
        head = {"like": base}
        return self._add(
            name, head, self._operations[base], {**before, **but}, written, refused or None, indifferent
        )

    def _add(
        self,
        name: str,
        head: dict[str, str],
        operation: str,
        given: Values,
        written: Values,
        refused: str | None,
        indifferent: tuple[str, ...],
    ) -> Values:
        if name in self._given:
            raise ValueError(f"two cases are called {name}")
        raw: dict[str, Any] = {"case": name, **head, "but" if "like" in head else "given": written}
        answer: Values = {}
        try:
            answer = OPERATIONS[operation](**given)
            if refused:
                raise AssertionError(f"the reference does not refuse: {name}")
            raw["gives"] = answer
        except RefusedError:
            if not refused:
                raise
            raw["refused"] = refused
        if indifferent:
            raw["indifferent"] = list(indifferent)
        self._cases.append(raw)
        self._operations[name], self._given[name] = operation, given
        return answer

    def given(self, name: str) -> Values:
        """Return what is given in a case."""
        return self._given[name]

    def text(self) -> str:
        """The file."""
        whole = {"about": self._about, "cases": [self._short(case) for case in self._cases]}
        return _laid_out(whole) + "\n"

    def _short(self, value: Any) -> Any:
        match value:
            case bytes():
                return self._short_bytes(value)
            case str() if len(value) > _LONG and len(set(value)) == 1:
                return {"repeat": value[0], "times": len(value)}
            case list():
                return [self._short(item) for item in value]
            case dict():
                return {name: self._short(item) for name, item in value.items()}
        return as_json(value)

    def _short_bytes(self, data: bytes) -> Any:
        parts = self._parts(data)
        if all(isinstance(part, str) for part in parts):
            return data.hex()
        return parts[0] if len(parts) == 1 else {"join": parts}

    def _parts(self, data: bytes) -> list[Any]:
        if len(data) < _LONG:
            return [data.hex()] if data else []
        for known, short in self._fillers.items():
            if known in data:
                before, _, after = data.partition(known)
                return [*self._parts(before), short, *self._parts(after)]
        place = data.find(bytes(_LONG))
        if place < 0:
            return [data.hex()]
        after = data[place:].lstrip(b"\0")
        zeros = len(data) - place - len(after)
        return [*self._parts(data[:place]), {"zeros": zeros}, *self._parts(after)]


def _other_lines(old: str, new: str) -> Any:
    """Return which lines of a chain file give way to which."""
    before, after = old.splitlines(True), new.splitlines(True)
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and before[-1 - end] == after[-1 - end]:
        end += 1
    gone, come = ("".join(lines[start : len(lines) - end]) for lines in (before, after))
    return {"replace": gone, "with": come} if gone and old.count(gone) == 1 else new


def _laid_out(value: Any, indent: int = 0) -> str:
    """Return JSON with everything on one line that fits on one."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, list | dict) or indent + len(line) <= _LINE:
        return line
    inner, spaces = indent + 1, " " * indent
    if isinstance(value, list):
        parts = [_laid_out(item, inner) for item in value]
        brackets = "[]"
    else:
        parts = [f"{json.dumps(name)}: {_laid_out(item, inner)}" for name, item in value.items()]
        brackets = "{}"
    inside = ",\n".join(f"{spaces} {part}" for part in parts)
    return f"{brackets[0]}\n{inside}\n{spaces}{brackets[1]}"


def _difference(old: Any, new: Any) -> Any:
    """Return how a long field differs from the same one of another case, or what it is."""
    if isinstance(old, str) and isinstance(new, str) and "\n" in old:
        return _other_lines(old, new)
    if isinstance(old, dict) and isinstance(new, dict):
        changed = {name: value for name, value in new.items() if name not in old or old[name] != value}
        gone = [name for name in old if name not in new]
        return {"changed": changed, **({"without": gone} if gone else {})}
    if not isinstance(old, bytes) or not isinstance(new, bytes) or len(old) < _LONG:
        return new
    if new and old.startswith(new):
        return {"first": len(new)}
    if new.startswith(old):
        return {"then": new[len(old) :]}
    if len(old) != len(new):
        return new
    places = [place for place in range(len(old)) if old[place] != new[place]]
    first, last = places[0], places[-1]
    return {"at": first, "put": new[first : last + 1]} if last - first < _LONG else new
