"""``Guesses``: how many wrong login secrets are taken, so that whoever guesses is stopped and no owner is.

Pure but for its clock. Only wrong secrets are counted, but while an allowance is used up right ones are not
looked at either: otherwise every answer would be a guess. So a stranger must not use up an owner's allowance:
whoever has logged in once has another, which strangers do not share:

- a machine that shows the account's ticket (section 4 of the protocol), wherever it is;
- a usual place of the name, from where somebody got in before: addresses, in memory only.

From anywhere else three bounds hold: for a name and a place, for a name from all these places together, and
for a place with all names together, unknown ones included.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from iirs.server.accounts.rate_limit import RateLimit
from iirs.wire.limits import MAX_ENTRIES

_PLACES_A_NAME = 4
_NAMES_WITH_PLACES = 20_000
_PLACE_SECONDS = 30 * 24 * 3600.0
_PLACE_SIZE = 2
"""Bytes kept of a place's hash: enough to know it again, too few to tell which address it was."""
_PAIRS_REMEMBERED = 50_000
_PLACES_REMEMBERED = 50_000


class Allowance(NamedTuple):
    """So many wrong secrets at once, and so many a second later on."""

    burst: float
    per_second: float


NAME_ALLOWANCE = Allowance(60, 0.1)
PLACE_ALLOWANCE = Allowance(600, 0.2)
"""A classroom of 200 behind one address mistypes now and then."""


@dataclass(frozen=True, slots=True)
class GuessBounds:
    """How many wrong secrets are taken."""

    each: Allowance
    """For one name: from each strange place, each usual one, and all machines with a ticket together."""
    name: Allowance = NAME_ALLOWANCE
    """For one name, from all strange places together."""
    place: Allowance = PLACE_ALLOWANCE
    """From one strange place, for all names together."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody gives a login secret for a name."""

    name: str
    place: str
    """What its address counts as."""
    has_ticket: bool = False
    is_known: bool = True
    """Whether somebody has that name."""


class Guesses:
    """Not thread-safe: one owner."""

    def __init__(
        self, bounds: GuessBounds, secret: bytes, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``secret`` is for hashing places, ``clock``: monotonic seconds."""
        self._secret = secret
        self._clock = clock

        def limit(allowance: Allowance, keys: int) -> RateLimit:
            return RateLimit(*allowance, clock, keys)

        # What is counted by name alone is never forgotten for want of room: no more names are registered.
        self._with_ticket = limit(bounds.each, MAX_ENTRIES)
        self._at_name = limit(bounds.name, MAX_ENTRIES)
        self._usual = limit(bounds.each, _PLACES_A_NAME * _NAMES_WITH_PLACES)
        self._here = limit(bounds.each, _PAIRS_REMEMBERED)
        self._from_place = limit(bounds.place, _PLACES_REMEMBERED)
        self._places: OrderedDict[str, dict[bytes, float]] = OrderedDict()
        """By name: the hashes of its usual places, and when somebody got in there last."""

    def may_try(self, attempt: Attempt) -> bool:
        """Return whether the secret that was given may be looked at."""
        return all(limit.has_left(key) for limit, key in self._counted(attempt))

    def note_wrong(self, attempt: Attempt) -> None:
        """Count a wrong secret, or a name that nobody has."""
        for limit, key in self._counted(attempt):
            limit.allow(key)

    def note_right(self, attempt: Attempt) -> None:
        """Remember a place as usual for this name."""
        places = self._places.pop(attempt.name, {})
        here = self._hash(attempt)
        places.pop(here, None)
        places[here] = self._clock()
        while len(places) > _PLACES_A_NAME:
            del places[next(iter(places))]
        self._places[attempt.name] = places
        while len(self._places) > _NAMES_WITH_PLACES:
            self._places.popitem(last=False)

    def _counted(self, attempt: Attempt) -> list[tuple[RateLimit, str]]:
        """Return what the attempt counts for."""
        if not attempt.is_known:
            return [(self._from_place, attempt.place)]
        if attempt.has_ticket:
            return [(self._with_ticket, attempt.name)]
        here = self._hash(attempt)
        since = self._places.get(attempt.name, {}).get(here)
        if since is not None and self._clock() - since < _PLACE_SECONDS:
            return [(self._usual, f"{attempt.name} {here.hex()}")]
        return [
            (self._here, f"{attempt.name} {attempt.place}"),
            (self._at_name, attempt.name),
            (self._from_place, attempt.place),
        ]

    def _hash(self, attempt: Attempt) -> bytes:
        text = f"{attempt.name} {attempt.place}".encode()
        return hashlib.blake2b(text, key=self._secret, digest_size=_PLACE_SIZE).digest()
