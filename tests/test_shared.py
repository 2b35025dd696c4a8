"""What tests share is made anew after a failure, and only then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from tests.shared import Shared


class Counted:
    """Numbers from 0, and which of them have ended."""

    def __init__(self) -> None:
        self._numbers = count()
        self.ended: list[int] = []

    @contextmanager
    def make(self) -> Iterator[int]:
        number = next(self._numbers)
        try:
            yield number
        finally:
            self.ended.append(number)


class Session:
    """As much of a session of pytest as is asked for."""

    testsfailed = 0


def lent(shared: Shared[int], *, fails: bool = False) -> int:
    """Return what a test was lent that fails, or does not."""
    session = Session()
    with shared.lent(session) as number:  # type: ignore[arg-type]
        session.testsfailed += fails
        return number


def test_it_is_made_once_as_long_as_no_test_fails() -> None:
    counted = Counted()
    with Shared(counted.make) as shared:
        assert [lent(shared) for _ in range(3)] == [0, 0, 0]
        assert counted.ended == []
    assert counted.ended == [0]


def test_after_a_failure_the_next_test_gets_a_new_one() -> None:
    counted = Counted()
    with Shared(counted.make) as shared:
        assert [lent(shared), lent(shared, fails=True), lent(shared), lent(shared)] == [0, 0, 1, 1]
        assert counted.ended == [0]


def test_what_is_found_out_of_order_before_or_after_a_test_is_not_lent_again() -> None:
    counted = Counted()
    with Shared(counted.make) as shared:
        with pytest.raises(AssertionError, match="it does not go on"), shared.lent(Session()):  # type: ignore[arg-type]
            raise AssertionError("it does not go on")
        assert lent(shared) == 1
    assert counted.ended == [0, 1]
