"""Hexadecimal digits from outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.hexadecimal import hex_bytes


@given(st.binary(max_size=40))
def test_bytes_are_read_back_from_their_digits_and_from_capitals_only_where_they_may_be(data: bytes) -> None:
    assert hex_bytes(data.hex(), len(data)) == data
    assert hex_bytes(data.hex().upper(), len(data), either_case=True) == data
    if data.hex() != data.hex().upper():
        with pytest.raises(ValueError, match="digits"):
            hex_bytes(data.hex().upper(), len(data))


@pytest.mark.parametrize(
    "value",
    ["", "a", "abc", "abcd ef", "ab cd", "abcd\n", " abcd", "ab\tcd", "abc\n", "0xab", "abcg", "abc\u0661",
     "abc\uff24", "abc\N{KELVIN SIGN}", b"abcd", 4, None, ["a", "b", "c", "d"]],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize("either_case", [False, True])
def test_anything_but_so_many_digits_is_refused(value: object, either_case: bool) -> None:
    with pytest.raises(ValueError, match="digits"):
        hex_bytes(value, 2, either_case=either_case)


@given(st.text("0123456789abcdefABCDEF \t\n_x", max_size=8))
def test_one_value_has_one_text(text: str) -> None:
    try:
        assert hex_bytes(text, 3).hex() == text
    except ValueError:
        assert len(text) != 6 or set(text) - set("0123456789abcdef")
