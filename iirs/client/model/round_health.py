"""``RoundHealth``: how many of the last rounds were tampered with or lost, and what to say about it.

A client's own cover comes back to it in every round, and so tells it whether somebody dropped or altered what
it uploaded (``docs/protocol.md`` section 7). This only counts and tells: nothing here reaches an upload.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from iirs.client.events import RoundFate
from iirs.client.text.translate import _, n_

HEALTH_ROUNDS = 100
"""Rounds that are counted."""
SERIOUS_OF_ALL = 10
"""So many of them tampered with or lost are serious."""
RECENT_ROUNDS = 20
SERIOUS_OF_RECENT = 3
"""So many of the last 20 tampered with are serious too."""


class HealthLevel(IntEnum):
    """How much attention the last rounds deserve."""

    GOOD = 0
    TROUBLED = 1
    """Something was tampered with or lost. It happens: a hop restarts, a line is slow."""
    SERIOUS = 2
    """Too often to be an accident."""


@dataclass(frozen=True, slots=True)
class RoundHealth:
    """What became of the last 100 rounds, oldest first."""

    fates: tuple[RoundFate, ...] = ()

    def after(self, fate: RoundFate) -> RoundHealth:
        """Return the health once one more round is over."""
        if fate is RoundFate.NOT_YET:
            return self
        return replace(self, fates=(*self.fates, fate)[-HEALTH_ROUNDS:])

    @property
    def tampered(self) -> int:
        """How many were done with something of ours, or of a peer's, missing or altered."""
        return self.fates.count(RoundFate.TAMPERED)

    @property
    def lost(self) -> int:
        """How many brought nothing."""
        return self.fates.count(RoundFate.LOST)

    @property
    def clean(self) -> int:
        """How many were as they should be."""
        return len(self.fates) - self.troubled

    @property
    def troubled(self) -> int:
        """How many were tampered with or lost."""
        return self.tampered + self.lost

    @property
    def level(self) -> HealthLevel:
        """How much attention this deserves."""
        if self.troubled >= SERIOUS_OF_ALL or self._is_tampered_with_often:
            return HealthLevel.SERIOUS
        return HealthLevel.TROUBLED if self.troubled else HealthLevel.GOOD

    @property
    def _is_tampered_with_often(self) -> bool:
        return self.fates[-RECENT_ROUNDS:].count(RoundFate.TAMPERED) >= SERIOUS_OF_RECENT

    @property
    def sentence(self) -> str:
        """The count in words, without a full stop; empty before the first round is over."""
        rounds = len(self.fates)
        if rounds == 0:
            return ""
        if not self.troubled:
            return n_(
                "The last round arrived intact", "All of the last {rounds} rounds arrived intact", rounds
            ).format(rounds=rounds)
        if rounds == 1:
            return _("The last round did not arrive intact")
        return n_(
            "{count} of the last {rounds} rounds did not arrive intact",
            "{count} of the last {rounds} rounds did not arrive intact",
            self.troubled,
        ).format(count=self.troubled, rounds=rounds)

    @property
    def meaning(self) -> str:
        """What it means and what is done about it, once it is serious; otherwise empty.

        A line that is too slow loses rounds without anybody's doing, so losses alone accuse nobody.
        """
        if self.level is not HealthLevel.SERIOUS:
            return ""
        if self._is_tampered_with_often or self.tampered >= SERIOUS_OF_ALL:
            cause = _("A server fails, or somebody on the way drops or changes messages.")
        else:
            cause = _(
                "Often that is slow Wi-Fi or a line that breaks. It can also be a server that fails,"
                " or somebody on the way who drops or changes messages."
            )
        return (
            cause
            + " "
            + _(
                "What you send is repeated until it arrives. If it goes on like this, tell whoever "
                "runs the server."
            )
        )
