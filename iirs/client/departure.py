"""``Departure``: when a client that quits disconnects, the same for everybody, whatever they were doing."""

from __future__ import annotations

from iirs.client.conversation import HANG_UP_ROUNDS
from iirs.wire.rounds import Announcement

_ROUNDS_TO_SETUP = HANG_UP_ROUNDS + 1
"""From the round that was open when the person quit, whose upload may not say so any more."""
_ROUNDS_AFTER_SETUP = HANG_UP_ROUNDS
"""A conversation that begins at that setup says its end in these."""


def ticks_to_leave(epoch_rounds: int) -> int:
    """Return how many announcements, or standbys instead, it takes at most to leave."""
    return _ROUNDS_TO_SETUP + _ROUNDS_AFTER_SETUP + epoch_rounds - 1


class Departure:
    """Counts ticks from quitting to disconnecting; a tick is an announcement, or a standby instead of one.

    By these alone: to wait for a conversation that has not ended yet would show that there is one. After the
    first setup by which whoever is told now has left the shared drops, nobody is left alone there.
    """

    def __init__(self, open_round: int, epoch_rounds: int) -> None:
        """``open_round`` was announced last when the person quit."""
        self._setup_from = open_round + _ROUNDS_TO_SETUP
        self._over_from: int | None = None
        self._ticks_left = ticks_to_leave(epoch_rounds)

    def tick(self, announcement: Announcement | None) -> None:
        """Take in an announcement, or ``None``: a standby."""
        self._ticks_left -= 1
        if announcement is None:
            return
        number = announcement.round_number
        if self._over_from is None and announcement.is_setup and number >= self._setup_from:
            self._over_from = number + _ROUNDS_AFTER_SETUP
        if self._over_from is not None and number >= self._over_from:
            self._ticks_left = 0

    @property
    def is_over(self) -> bool:
        """Whether to disconnect now."""
        return self._ticks_left <= 0
