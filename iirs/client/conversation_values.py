"""What goes into one conversation's round and what comes out: the values ``Conversation`` takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from iirs.client.invitations import Ask, Invitation
from iirs.client.store.log_entry import Item
from iirs.client.sync import RoundKeys
from iirs.directory import Directory, Entry
from iirs.geometry import RandomBytes
from iirs.identity import Identity
from iirs.message import PeerMessage
from iirs.prekey import Prekey


@dataclass(frozen=True, slots=True)
class Me:
    """Who we are, and what a conversation needs of the environment."""

    entry: Entry
    position: int
    identity: Identity = field(repr=False)
    directory: Directory
    round_ms: int
    patience: int
    """Rounds without a word from the peer after which posting to shared drops stops."""
    random_bytes: RandomBytes
    now_ms: Callable[[], int]


@dataclass(frozen=True, slots=True)
class InvitationPrekeys:
    """What an invitation of one round needs: the peer's prekey, if one is known, and the ids of ours."""

    theirs: Prekey | None
    own_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Posted:
    """What went into this round's shared drops, and the keys that open what comes out."""

    conversation: bytes = field(repr=False)
    keys: RoundKeys
    messages: tuple[PeerMessage, ...] = field(repr=False)
    sealed: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a round's replies brought."""

    heard: bool
    altered: bool
    """Something came back that is neither ours nor the peer's, or the peer was in only one of the drops."""
    arrived: tuple[Item, ...]
    delivered: tuple[Item, ...]
    """Of what the peer has acknowledged, in this round or before, the next few items."""
    messages: tuple[PeerMessage, ...] = ()
    established: bool = False


@dataclass(frozen=True, slots=True)
class PostedInvitation:
    """An invitation that is out in this round, and what it takes to keep its promise."""

    ask: Ask
    invitation: Invitation
    sealed: bytes = field(repr=False)
    sealed_to: bytes
    """The peer's prekey it was sealed to, by its id."""
