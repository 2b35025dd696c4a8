"""``OpeningBundle``: a bundle's invitations, tried a few at a time: whose they are shows only when they open.

There is one for each slot of everybody who is online: in a large crowd, trying all of them at once would keep
the engine's thread for most of a round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

from iirs.client.invitations import Invitation
from iirs.directory import Directory, Entry
from iirs.errors import InvitationError
from iirs.suite import KeyPair
from iirs.wire.rounds import Bundle

AT_ONCE = 32
"""Invitations that are tried in one step."""


class OpeningBundle:
    """One settled bundle, and what we can open it with."""

    def __init__(self, bundle: Bundle, invite_every: int) -> None:
        self.round_number = bundle.round_number
        self.invite_every = invite_every
        self.everything = frozenset(bundle.invitations)
        self._left = iter(bundle.invitations)
        self._met: set[str] = set()
        self.is_over = False
        """All have been tried."""

    def step(
        self, directory: Directory, keys: Sequence[KeyPair], me: Entry
    ) -> Iterator[tuple[Entry, Invitation]]:
        """Try the next few; give those for us, one of each person."""
        some = list(islice(self._left, AT_ONCE))
        self.is_over = len(some) < AT_ONCE
        for sealed in some:
            with suppress(InvitationError):
                caller, invitation = Invitation.open(sealed, directory, keys, me, self.round_number)
                if caller.name != me.name and caller.name not in self._met:
                    self._met.add(caller.name)
                    yield caller, invitation
