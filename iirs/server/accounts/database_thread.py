"""``DatabaseThread``: the one thread that writes to the database, so that no round waits for it.

States: working <-> failing (full, gone, hung or restarting; said once when it begins and once when it ends).
What rounds need to have stored is left here and tried again until it is; what somebody waits for is tried
once, for a bounded time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from iirs.errors import IirsError, StorageError
from iirs.server.accounts.database import LAST_ROUND, USED_CLOCK, USED_ROUND, USED_UPTIME, Storage

_log = logging.getLogger("iirs.server")
_RETRY_SECONDS = 1.0
_USED = (USED_ROUND, USED_CLOCK, USED_UPTIME)
_MEANWHILE = "rounds go on, but nobody can register or change an account until it does"

T = TypeVar("T")


def _nothing_more(_: object) -> None:
    """Do nothing: what was stored is all."""


@dataclass(slots=True, eq=False)
class _Request:
    """Work that somebody waits for: ``then`` makes it count; if they have given up, ``undo`` is due."""

    work: Callable[[], Any]
    then: Callable[[Any], object]
    undo: Callable[[Any], object]
    is_given_up: bool = False
    is_settled: bool = False
    """It counts: who waits will be told so, however late it is by then."""
    done: threading.Event = field(default_factory=threading.Event)
    result: Any = None
    error: IirsError | None = None


@dataclass(slots=True)
class _Left:
    """What is still to be stored: the newest only of everything, so it stays small however long it waits."""

    numbers: dict[str, int] = field(default_factory=dict)
    taken_part: dict[int, int] = field(default_factory=dict)
    prekeys: dict[int, bytes | None] = field(default_factory=dict)
    """By position; ``None``: to be forgotten."""

    def __bool__(self) -> bool:
        return bool(self.numbers or self.taken_part or self.prekeys)

    def add_older(self, older: _Left) -> None:
        """Take back what could not be stored; what has come meanwhile is newer."""
        self.numbers = {**older.numbers, **self.numbers}
        self.taken_part = {**older.taken_part, **self.taken_part}
        self.prekeys = {**older.prekeys, **self.prekeys}


class DatabaseThread(threading.Thread):
    """Every write after the start goes through here. ``ask`` waits; ``reserve`` and ``keep_*`` never do."""

    def __init__(self, storage: Storage, patience: float = 3.0) -> None:
        """``patience``: seconds after which a write that has not ended counts as failed for who waits."""
        super().__init__(name="iirs-database", daemon=True)
        self._storage = storage
        self._patience = patience
        self._changed = threading.Condition()
        self._requests: deque[_Request] = deque()
        self._left = _Left()
        self._reserved = storage.number(LAST_ROUND)
        self.used_before = tuple(storage.number(name) for name in _USED)
        """What ``note_used`` had kept before this start."""
        self._retry_at = 0.0
        self._busy_since: float | None = None
        self._failing = False
        self._stopping = False
        self._stored_last = False
        """Whether the last job was to store what is left; then what is asked has its turn."""

    # -- from any thread --------------------------------------------------------------------------

    def prekeys(self) -> list[bytes]:
        """Return the kept prekeys; for the start. Raises ``ConfigError``."""
        return self._storage.prekeys()

    @property
    def reserved(self) -> int:
        """The last round number that is kept as used, and so may be used."""
        return self._reserved

    @property
    def failing(self) -> bool:
        """Whether nothing can be stored, as far as is known."""
        return self._failing

    def reserve(self, last_round: int) -> None:
        """Have it kept that rounds up to this one may have been used."""
        with self._changed:
            self._left.numbers[LAST_ROUND] = last_round
            self._notice_a_hang()
            self._changed.notify()

    def note_used(self, round_number: int, clock_round: int, uptime_ms: int) -> None:
        """Have it kept which round was announced last, and when by both clocks."""
        with self._changed:
            self._left.numbers |= dict(zip(_USED, (round_number, clock_round, uptime_ms), strict=True))
            self._changed.notify()

    def reserve_now(self, last_round: int) -> None:
        """The same, waiting for it. Raises ``StorageError``."""
        if not self.is_alive():  # a round is opened before the start, by simulations
            self._keep_numbers({LAST_ROUND: last_round})
            return
        self.ask(lambda: self._keep_numbers({LAST_ROUND: last_round}))

    def keep_taken_part(self, position: int, round_number: int) -> None:
        """Have it kept in which round an account took part last."""
        with self._changed:
            former = self._left.taken_part.get(position, 0)
            self._left.taken_part[position] = max(former, round_number)
            self._changed.notify()

    def keep_prekeys(self, records: Mapping[int, bytes], forgotten: Iterable[int] = ()) -> None:
        """Have prekeys kept, each in place of the former one at its position, and others forgotten."""
        with self._changed:
            self._left.prekeys.update(dict.fromkeys(forgotten))
            self._left.prekeys.update(records)
            self._changed.notify()

    def ask(
        self,
        work: Callable[[], T],
        then: Callable[[T], object] = _nothing_more,
        undo: Callable[[T], object] = _nothing_more,
    ) -> T:
        """Have ``work`` and then ``then`` done in this thread and return what ``work`` returns.

        Raises what ``work`` raises, and ``StorageError`` if the database fails or does not end in time. What
        ends after that does not count: instead of ``then``, ``undo`` takes it back.
        """
        request = _Request(work, then, undo)
        with self._changed:
            self._notice_a_hang()
            if self._stopping or self._is_hung():
                raise StorageError("the database does not answer")
            self._requests.append(request)
            self._changed.notify()
        if not request.done.wait(self._patience) and not self._must_wait_on(request):
            raise StorageError("the database does not answer")
        request.done.wait()
        if request.error is not None:
            raise request.error
        return cast(T, request.result)

    def _must_wait_on(self, request: _Request) -> bool:
        with self._changed:
            self._notice_a_hang()
            request.is_given_up = not request.is_settled and not request.done.is_set()
            if request in self._requests:
                self._requests.remove(request)
            return not request.is_given_up

    def stop(self, last_round: int) -> None:
        """Keep what is left, and the last round that was really used if any was, and end; all in a moment."""
        with self._changed:
            if self._reserved > last_round or self._left.numbers:
                self._left.numbers[LAST_ROUND] = last_round
            self._stopping = True
            self._changed.notify()
        if self.is_alive():
            self.join(self._patience)

    # -- this thread ------------------------------------------------------------------------------

    def run(self) -> None:
        """Store what is left and do what is asked until stopped."""
        while (job := self._next_job()) is not None:
            if isinstance(job, _Request):
                self._answer(job)
            else:
                self._store(job)
            with self._changed:
                self._busy_since = None

    def _next_job(self) -> _Request | _Left | None:
        with self._changed:
            while True:
                now = time.monotonic()
                job = self._choose(now)
                if job is not None:
                    self._busy_since = now
                    return job
                if self._stopping:
                    return None
                self._changed.wait(max(0.0, self._retry_at - now) if self._left else None)

    def _choose(self, now: float) -> _Request | _Left | None:
        is_due = bool(self._left) and (now >= self._retry_at or self._stopping)
        if self._requests and (self._stored_last or not is_due):
            self._stored_last = False
            return self._requests.popleft()
        if is_due:
            self._stored_last = True
            left, self._left = self._left, _Left()
            return left
        return None

    def _answer(self, request: _Request) -> None:
        try:
            request.result = request.work()
            with self._changed:
                request.is_settled = not request.is_given_up
            if request.is_settled:
                request.then(request.result)
            else:
                request.undo(request.result)
        except StorageError as error:
            request.error = error
            self._failed(error)
        except IirsError as error:
            request.error = error
        except Exception as error:  # whoever waits is told, and the thread goes on: rounds need it
            request.error = StorageError(type(error).__name__)
            self._failed(request.error)
        else:
            self._worked()
        finally:
            request.done.set()

    def _store(self, left: _Left) -> None:
        try:
            if left.numbers:
                self._keep_numbers(left.numbers)
            if left.taken_part:
                self._storage.set_last_rounds(left.taken_part)
            if left.prekeys:
                records = {
                    position: record for position, record in left.prekeys.items() if record is not None
                }
                self._storage.keep_prekeys(records, left.prekeys.keys() - records.keys())
        except Exception as error:  # whatever it was, it is tried again: rounds need this thread
            self._failed(error if isinstance(error, StorageError) else StorageError(type(error).__name__))
            with self._changed:
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                if not self._stopping:
                    self._left.add_older(left)
        else:
            self._worked()

    def _keep_numbers(self, numbers: dict[str, int]) -> None:
        if not self._stopping and numbers.get(LAST_ROUND, self._reserved) < self._reserved:
            numbers = {
                **numbers,
                LAST_ROUND: self._reserved,
            }  # an older wish, stored late, takes nothing back
        self._storage.set_numbers(numbers)
        self._reserved = numbers.get(LAST_ROUND, self._reserved)

    # -- what the log says ------------------------------------------------------------------------

    def _is_hung(self) -> bool:
        return self._busy_since is not None and time.monotonic() - self._busy_since > self._patience

    def _notice_a_hang(self) -> None:
        if self._is_hung() and not self._failing:
            self._failing = True
            _log.warning("the database does not answer: %s", _MEANWHILE)

    def _failed(self, error: StorageError) -> None:
        with self._changed:
            began, self._failing = not self._failing, True
        if began:
            _log.warning("the database does not store anything (%s): %s", error, _MEANWHILE)

    def _worked(self) -> None:
        with self._changed:
            ended, self._failing = self._failing, False
        if ended:
            _log.warning("the database works again")
