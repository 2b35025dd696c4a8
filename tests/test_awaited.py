"""A wait in vain says what it waited for."""

from __future__ import annotations

import pytest

from tests.awaited import awaited
from tests.harness import wait_until


def test_a_wait_in_vain_names_the_condition_and_what_was_there() -> None:
    texts = ["hello"]
    with pytest.raises(AssertionError, match=r"never was `.*len\(texts\) == 2.*` where texts = \['hello'\]"):
        wait_until(lambda: len(texts) == 2, seconds=0.01)
    wait_until(lambda: len(texts) == 1, seconds=0.01)


def test_a_condition_without_a_source_is_shown_as_it_is_and_a_long_value_is_cut() -> None:
    no_function_of_ours = [].sort
    assert awaited(no_function_of_ours) == repr(no_function_of_ours)
    long = "x" * 10_000
    assert len(awaited(lambda: long)) < 500
