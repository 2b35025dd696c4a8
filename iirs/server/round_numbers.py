"""``RoundNumbers``: never one twice, and kept ahead in blocks, so that rounds go on without the database.

What is kept is a number that no announced round exceeds; after a clean stop it is the last round's. Which was
announced last is stored as well, as soon as the database takes it. A server that was killed and is back at
once goes on from there, because rounds keep the clock's pace: ten rounds more, and conversations would have
to be taken up anew. After any other end the numbers of the block are passed over. So a block is bounded by
how far rounds may be ahead of the clocks of clients and hops, and what was passed over makes the next one
smaller.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from iirs.errors import StorageError
from iirs.server.accounts.database_thread import DatabaseThread

_AHEAD_SECONDS = 2400.0
"""Clients and later hops refuse a round that is an hour ahead of their clock,"""
_AHEAD_ROUNDS = 1200
"""and a gap of more than 4,096 rounds ends the chains of conversations."""

_BLOCK_MIN = 8
_SOON_ROUNDS = 15
_SLACK = 2
"""The next number, and one for a round that was announced a little early or late."""
_LONG_MS = 7 * 86_400_000
_HOUR_MS = 3_600_000


class RoundNumbers:
    """Owned by the thread that opens rounds. It waits for the database only if there is no round without."""

    def __init__(
        self,
        database: DatabaseThread,
        clock_round: Callable[[], int],
        round_ms: int,
        uptime: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock_round`` gives the round that the clock would have now, ``uptime`` seconds since boot."""
        self._uptime = uptime
        self._round_ms = round_ms
        self._database = database
        self._clock_round = clock_round
        self._most = min(_AHEAD_ROUNDS, int(_AHEAD_SECONDS * 1000) // round_ms)
        self.clock_is_doubtful = self._is_doubtful()
        """Whether it may be in the future: long after the last round, or longer than the machine has run."""
        self.ended_cleanly = database.reserved <= database.used_before[0] or not database.reserved
        """Whether the server was stopped, or is new: not if it crashed."""
        self._least = self._after_restart()
        self._by_clock = True
        self._is_used = False
        self.next = max(self._least, clock_round())
        """The number of the next round."""

    def _is_doubtful(self) -> bool:
        used, _, uptime_ms = self._database.used_before
        since = (self._clock_round() - self._database.reserved) * self._round_ms
        by_uptime = self._uptime() * 1000 - uptime_ms
        is_too_long = used > 0 and by_uptime >= 0 and since > by_uptime + _HOUR_MS
        return self._database.reserved > 0 and (is_too_long or since > _LONG_MS)

    def _after_restart(self) -> int:
        behind_all = self._database.reserved + 1
        used, used_at, uptime_ms = self._database.used_before
        elapsed = self._clock_round() - used_at
        by_uptime = (self._uptime() * 1000 - uptime_ms) / self._round_ms
        # Longer ago, rounds may have gone on without the database. A clock that was set, or a machine that
        # was started anew, cannot tell.
        if 0 <= elapsed <= _SOON_ROUNDS and abs(elapsed - by_uptime) < _SLACK:
            return min(used + elapsed + _SLACK, behind_all)
        return behind_all

    def reconsider(self) -> None:
        """Take another number for the first round, which was refused: the clock's, or the least there is."""
        if not self._is_used:
            self._by_clock = not self._by_clock
            self.next = max(self._least, self._clock_round()) if self._by_clock else self._least

    def may_use(self, number: int) -> bool:
        """Whether it is kept that a number, the next or a later one, may have been used.

        If not, that has been asked for.
        """
        if number > self._database.reserved:
            self._reserve(number, wait=not self._database.failing)
        return number <= self._database.reserved

    def use(self, number: int) -> int:
        """Take it that a number is used, and all below it; have more kept in time.

        Returns how many are left out for it.
        """
        left_out, self.next, self._is_used = number - self.next, number + 1, True
        self._database.note_used(number, self._clock_round(), int(self._uptime() * 1000))
        if number + self._block(number) // 2 >= self._database.reserved:
            self._reserve(self.next, wait=False)
        return left_out

    @property
    def last_used(self) -> int:
        """The number before the next."""
        return self.next - 1

    def _reserve(self, number: int, *, wait: bool) -> None:
        until = number + self._block(number)
        if not wait:
            self._database.reserve(until)
            return
        try:
            self._database.reserve_now(until)
        except StorageError:
            self._database.reserve(until)

    def _block(self, number: int) -> int:
        return max(_BLOCK_MIN, (self._most - max(0, number - self._clock_round())) // 2)
