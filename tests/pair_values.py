"""Values for ``tests.pair``: what a round brings to alice and bob, and what is written down of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import Any

from iirs.client.sync import patience_for
from iirs.directory import Directory, Entry
from iirs.identity import Identity
from iirs.message import MessageContext, MessageKeys
from iirs.server.announcer import carries_invitations

NAMES = ("alice", "bob")
ROUND_MS = 2000
INVITE_EVERY = 5
FIRST_ROUND = 1000


@lru_cache
def spacing(epoch_rounds: int, invite_every: int) -> int:
    """Return how many rounds there are at most from one bundle to the next, if no setup is forced."""
    bundles, since = [], invite_every
    for number in range(4 * epoch_rounds * invite_every):
        if carries_invitations(number % epoch_rounds, since, epoch_rounds, invite_every):
            bundles.append(number)
            since = 0
        since += 1
    return max(after - before for before, after in pairwise(bundles))


def talking_again(epoch_rounds: int = 1, invite_every: int = INVITE_EVERY) -> int:
    """Return the executed rounds after which two people talk, once the network is good.

    ``docs/protocol.md`` section 10: who alone has heard the other, in the last bad round, stops at the first
    setup after patience; then come a bundle, and the first setup two rounds after it or later. It takes that
    long if the other has lost its circuits.
    """
    to_stop = patience_for(epoch_rounds) + epoch_rounds
    return to_stop + max(epoch_rounds, spacing(epoch_rounds, invite_every) + (epoch_rounds == 1))


TALKING_AGAIN = talking_again()
"""The same where every round sets up circuits."""


class Back(Enum):
    """What a side sees of a round's replies."""

    REPLIES = "replies"
    LOST = "lost"
    """The server says that the round was lost; a bundle that it names all the same ends the session."""
    NOTHING = "nothing"
    """The connection broke: neither replies nor bundle."""


class Moment(Enum):
    """When something happens within a round, in order."""

    BEFORE = 0
    UPLOADED = 1
    REPLIED = 2
    AFTER = 3


@dataclass(frozen=True)
class Lot:
    """What one round brings for one side."""

    online: bool = True
    in_time: bool = True
    """Whether its upload reached the round; that of a setup round, too late, leaves it without circuits."""
    blocked: tuple[bool, bool] = (False, False)
    """In which of its two circuits somebody on the way puts random bytes in the place of its cells."""
    cut: tuple[bool, bool] = (False, False)
    """At a setup: which of its two onions somebody on the way takes out."""
    back: Back = Back.REPLIES
    bundle: bool = True
    """Whether the bundle comes; a client that is kept from it is not in the session any more."""
    restarts: Moment | None = None
    does: Mapping[Moment, str] = field(default_factory=dict)
    """What the person does: ``want``, ``hang up``, ``quit``, ``say <bytes>``; ``discard`` happens to them."""


@dataclass(frozen=True)
class Fate:
    """What one round brings."""

    lots: tuple[Lot, Lot] = (Lot(), Lot())
    jump: int = 1
    forced: bool = False
    """A hop has lost its circuits: the round is a setup, due or not."""
    lost: bool = False
    """The round fails for everybody, before anything was delivered; at a setup no circuits come of it."""


GOOD = Fate()


@dataclass(frozen=True)
class Sealed:
    """One peer message as it was posted."""

    side: int
    context: MessageContext
    keys: MessageKeys
    content: bytes


@dataclass
class Record:
    """What happened in one round, as only a test can know."""

    number: int
    is_setup: bool = True
    drops: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """At a setup, for each side that sets up circuits to shared drops: their ids."""
    talking: set[int] = field(default_factory=set)
    """The sides whose cells are peer messages."""
    sealed: list[Sealed] = field(default_factory=list)
    executed: set[int] = field(default_factory=set)
    """The sides that took part, in shared drops or not."""
    heard: set[int] = field(default_factory=set)
    invited: set[int] = field(default_factory=set)
    """The sides whose invitation is in the bundle."""
    bundled: set[int] = field(default_factory=set)
    """The sides that saw the bundle."""
    accesses: Counter[bytes] = field(default_factory=Counter)
    """At a setup: how many circuits lead to each drop, of cover too."""
    stolen: list[dict[str, Any]] = field(default_factory=list)
    """Every state of keys that was on a disk during the round: side, moment, state."""


@lru_cache
def people() -> tuple[tuple[Identity, Identity], Directory]:
    """Two identities and the directory that has both; made once, for they are slow to make."""
    directory = Directory(bytes(32))
    identities = (Identity.generate(), Identity.generate())
    for name, identity in zip(NAMES, identities, strict=True):
        directory.append(Entry.create(directory.chain_id, name, identity))
    return identities, directory
