"""Program and reference against the recorded vectors: what must come out, and what must be refused.

``tests/reference`` is written from the documents apart from the program, so that one mind cannot agree with
itself on a mistake. Both answer every case, and every case with one thing broken, and must agree.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from iirs import errors
from tests import reference
from tests.reference.answers import OPERATIONS as REFERENCE
from tests.reference.primitives import RefusedError
from tests.vectors import by_code, make
from tests.vectors.cases import FOLDER, WIRE_FIELDS, Case, arguments, as_json, cases

Values = dict[str, Any]
CODE = by_code.OPERATIONS
SUCCESSES = [case for case in cases() if case.gives is not None]
REFUSALS = [case for case in cases() if case.gives is None]
IN_BOTH = [case for case in SUCCESSES if case.operation in CODE]
ON_THE_WIRE = [case for case in IN_BOTH if WIRE_FIELDS & case.given.keys()]
REFUSED = "is refused"
CHOICES = {"suite", "direction", "asked"}
"""What is asked for, and nothing that could be damaged on the way."""
FAST_ENOUGH = 1024
"""KiB: passwords stretched at a higher cost are tried as recorded, and not broken as well."""
each_success = pytest.mark.parametrize("case", SUCCESSES, ids=str)
each_refusal = pytest.mark.parametrize("case", REFUSALS, ids=str)


def error_named(name: str) -> tuple[type[Exception], ...]:
    """What the program raises for a refusal: an error of its own, or where none is named ``ValueError``."""
    return (ValueError, errors.IirsError) if name == "refused" else (getattr(errors, name),)


def answer_of(operations: dict[str, Callable[..., Values]], operation: str, given: Values) -> Values | str:
    """The answer as the files write it, or that it is refused."""
    try:
        return dict(as_json(operations[operation](**arguments(given))))
    except (RefusedError, errors.IirsError, ValueError):
        return REFUSED


# -- as recorded -------------------------------------------------------------------------------------------


@each_success
def test_the_reference_gives_what_is_recorded(case: Case) -> None:
    assert as_json(REFERENCE[case.operation](**arguments(case.given))) == case.gives


@pytest.mark.parametrize("case", IN_BOTH, ids=str)
def test_the_program_gives_what_is_recorded(case: Case) -> None:
    assert as_json(CODE[case.operation](**arguments(case.given))) == case.gives


@each_refusal
def test_the_reference_refuses_what_must_be_refused(case: Case) -> None:
    with pytest.raises(RefusedError):
        REFERENCE[case.operation](**arguments(case.given))


@each_refusal
def test_the_program_refuses_what_must_be_refused_with_the_error_recorded(case: Case) -> None:
    assert case.refused is not None
    with pytest.raises(error_named(case.refused)):
        CODE[case.operation](**arguments(case.given))


def test_only_what_names_its_randomness_is_left_to_the_reference() -> None:
    alone = {"hpke_seal", "seal_invitation", "seal_peer_message", "sign_group_item", "wrap_onion"}
    assert set(REFERENCE) - set(CODE) == alone
    assert set(CODE) <= set(REFERENCE)


def test_every_operation_has_a_success_and_whatever_can_be_refused_has_a_refusal() -> None:
    never_refused = {
        "decide", "hpke_seal", "login_ticket", "pass_cell", "safety_number", "seal_invitation",
        "seal_peer_message", "seal_vault", "sign_group_item", "stretch_password", "unwrap_cell", "wrap_cell",
        "wrap_onion",
    }  # fmt: skip
    assert {case.operation for case in SUCCESSES} == set(REFERENCE)
    assert {case.operation for case in REFUSALS} == set(REFERENCE) - never_refused


# -- one thing broken --------------------------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every single value in what is given, with the way to it."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    else:
        yield path, value


def with_leaf(given: Values, path: tuple[Any, ...], value: Any) -> Values:
    changed = deepcopy(given)
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


def flipped(digits: str, place: int) -> str:
    data = bytearray.fromhex(digits)
    data[place] ^= 0x10
    return data.hex()


def is_hexadecimal(value: Any) -> bool:
    return isinstance(value, str) and value != "" and re.fullmatch("([0-9a-f]{2})+", value) is not None


def broken(case: Case) -> Iterator[tuple[str, Values, bool]]:
    """Each value changed, one at a time; ``True`` with those that must give another answer, or none.

    A byte within any field counts. The first and the last may not: an X25519 key has bits that are ignored.
    """
    for path, value in leaves(case.given):
        name = "/".join(map(str, path))
        counts = path[0] not in case.indifferent
        if path[0] in CHOICES:
            continue
        if is_hexadecimal(value):
            size = len(value) // 2
            yield f"{name}, within", with_leaf(case.given, path, flipped(value, size // 4)), counts
            for place in {0, size - 1}:
                yield f"{name}, byte {place}", with_leaf(case.given, path, flipped(value, place)), False
            if path[0] in WIRE_FIELDS:
                yield f"{name}, cut off", with_leaf(case.given, path, value[:-2]), counts
                yield f"{name}, longer", with_leaf(case.given, path, value + "00"), counts
        elif isinstance(value, bool):
            yield name, with_leaf(case.given, path, not value), counts
        elif isinstance(value, int):
            yield name, with_leaf(case.given, path, value + 1), counts
        elif isinstance(value, str):
            yield name, with_leaf(case.given, path, value + "x"), counts


@pytest.mark.parametrize("case", SUCCESSES, ids=str)
def test_one_thing_broken_is_refused_or_gives_another_answer_in_both_alike(case: Case) -> None:
    if case.given.get("memory_kib", 0) > FAST_ENOUGH:
        return
    for what, changed, counts in broken(case):
        if case.operation not in CODE and not counts:
            continue
        by_reference = answer_of(REFERENCE, case.operation, changed)
        if case.operation in CODE:
            assert answer_of(CODE, case.operation, changed) == by_reference, what
        if counts:
            assert by_reference != case.gives, f"{what} changes nothing"


@hypothesis.settings(deadline=None, max_examples=150)
@hypothesis.given(
    case=st.sampled_from(ON_THE_WIRE),
    place=st.integers(0, 2**16),
    byte=st.integers(0, 255),
    size=st.integers(-2, 2),
)
def test_whatever_byte_comes_over_the_wire_both_make_the_same_of_it(
    case: Case, place: int, byte: int, size: int
) -> None:
    field = next(name for name in case.given if name in WIRE_FIELDS)
    data = bytearray.fromhex(case.given[field])
    data[place % len(data)] = byte
    data = data[:size] if size < 0 else data + bytes(size // 2)
    changed = {**case.given, field: data.hex()}
    by_reference = answer_of(REFERENCE, case.operation, changed)
    assert answer_of(CODE, case.operation, changed) == by_reference


def test_every_operation_has_a_value_that_counts() -> None:
    counting = {case.operation for case in SUCCESSES if any(counts for *_, counts in broken(case))}
    assert counting == set(REFERENCE)


# -- the files, and the reference ----------------------------------------------------------------------------


def test_the_files_are_what_the_reference_makes() -> None:
    assert make.differing() == []


def test_no_file_is_longer_than_a_person_reads() -> None:
    lengths = {path.name: path.read_text(encoding="utf-8").count("\n") for path in FOLDER.glob("*.json")}
    assert {name: length for name, length in lengths.items() if length > 330} == {}


def files_described(text: str) -> set[str]:
    """The files that the table of operations names."""
    rows = [line for line in text.partition("## Operations")[2].splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall("`([a-z_]+)`", row.split("|")[1])}


def test_every_file_is_described() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    files = {path.stem for path in FOLDER.glob("*.json")}
    assert files_described(text) == files
    assert files_described(text.replace("`bundle`", "")) == files - {"bundle"}


def test_every_error_of_a_refusal_is_described() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    named = {case.refused for case in REFUSALS}
    assert {name for name in named if f"`{name}`" not in text} == set()


def imported_by(source: str) -> set[str]:
    """The first part of every name that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def strangers(source: str) -> set[str]:
    """What a module of the reference imports besides itself, the standard library, and ``cryptography``."""
    return {
        name
        for name in imported_by(source)
        if not name.startswith("tests.reference")
        and name not in {"tests"}
        and name.partition(".")[0] not in sys.stdlib_module_names | {"cryptography"}
    }


def test_the_reference_imports_nothing_of_the_program() -> None:
    folder = Path(reference.__file__).parent
    found = {path.name: strangers(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")}
    assert len(found) > 5
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize("line", ["import iirs", "from iirs.onion import wrap", "from tests.harness import a",
                                  "def f():\n    from iirs import chain"])  # fmt: skip
def test_an_import_of_the_program_would_be_found(line: str) -> None:
    assert strangers(line)
