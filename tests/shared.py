"""Something costly that the tests of a file share, until one of them fails: then the next gets a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Generic, TypeVar

import pytest

T = TypeVar("T")


class Shared(Generic[T]):
    """Makes a ``T`` when a test wants one and there is none that all tests so far have left in order.

    One failure stays one failure: nobody after it is given what it has left.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[T]]) -> None:
        self._make = make
        self._life = ExitStack()
        self._there: list[T] = []

    def __enter__(self) -> Shared[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def discard(self) -> None:
        """End what there is."""
        self._there.clear()
        self._life.close()

    @contextmanager
    def lent(self, session: pytest.Session) -> Iterator[T]:
        """Lend it to one test. What a failed test has had, or a failed check here, is not lent again."""
        failed = session.testsfailed
        try:
            if not self._there:
                self._there.append(self._life.enter_context(self._make()))
            yield self._there[0]
        except BaseException:
            self.discard()
            raise
        if session.testsfailed > failed:
            self.discard()
