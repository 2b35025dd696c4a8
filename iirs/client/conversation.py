"""One conversation from asking to ending: invitations, sync and chat of one peer, round by round.

States (``PeerState``):

    IDLE -ask-> ASKING -both in one bundle-> AGREED -peer heard-> CONNECTED <-> QUIET
    QUIET or AGREED -patience over-> RESUMING -both in one bundle-> AGREED
    any of them -hang up-> ENDING -round R-> IDLE;  -peer ends-> ENDED -ask-> ASKING

What each loss does: a lost message makes QUIET, a lost bundle means asking again in the next, a lost end
is repeated as an invitation. None of it changes what is uploaded: a conversation without shared drops
uploads cover, one without an invitation uploads a cover invitation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from iirs.client.chat_session import ChatSession, IncomingText, OutgoingText
from iirs.client.events import PeerState
from iirs.client.invitations import Ask, Invitation, InvitationKind, agree
from iirs.client.sync import DeadDropSync, RoundKeys
from iirs.directory import Directory, Entry, Head
from iirs.errors import InvitationError, PeerMessageError, StoreError
from iirs.geometry import RandomBytes
from iirs.identity import Identity
from iirs.message import ContentKind, Direction, PeerMessage

HANG_UP_ROUNDS = 4
"""A hang-up takes effect this many rounds after it was asked for."""
END_INVITATIONS = 2
_NO_CONVERSATION = bytes(16)


@dataclass(frozen=True, slots=True)
class Me:
    """Who we are, and what a conversation needs of the world."""

    entry: Entry
    position: int
    identity: Identity = field(repr=False)
    directory: Directory
    round_ms: int
    random_bytes: RandomBytes
    now_ms: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Posted:
    """What went into this round's shared drops, and the keys that open what comes out."""

    keys: RoundKeys
    messages: tuple[PeerMessage, ...] = field(repr=False)
    sealed: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a round's replies brought."""

    heard: bool
    altered: bool
    """Something came back that is neither ours nor the peer's."""
    arrived: tuple[IncomingText, ...]
    delivered: tuple[OutgoingText, ...]
    messages: tuple[PeerMessage, ...] = ()
    established: bool = False


class Conversation:
    """One peer. Not thread-safe: the engine owns it, and stores ``to_state`` before every upload."""

    def __init__(self, me: Me, peer: Entry, chat: ChatSession, state: dict[str, Any] | None = None) -> None:
        """Raises ``StoreError`` if ``state`` is damaged."""
        self.me = me
        self.peer = peer
        self.chat = chat
        self.ask: Ask | None = None
        self.sync: DeadDropSync | None = None
        self.confirmed = False
        """A message from the peer has authenticated since the last agreement."""
        self.end_round = 0
        self.ended_by_peer = False
        self._told = False
        """Both sides know of the hang-up under way."""
        self.heads_differ = False
        """The peer has named another directory head than ours: the signatures are due."""
        self._quiet = False
        self._wanted = False
        self._end_invitations = 0
        self._ended_conversation = _NO_CONVERSATION
        self._invitation: tuple[Invitation, bytes] | None = None
        if state is not None:
            self._wanted = bool(state["wanted"])
            if state["sync"] is not None:
                self.sync = DeadDropSync.from_state(state["sync"])
                self.confirmed = bool(state["confirmed"])
                self.end_round = int(state["end_round"])

    def to_state(self) -> dict[str, Any]:
        """Return everything that must outlive this process besides the chat, as JSON values."""
        return {
            "wanted": self._wanted,
            "sync": None if self.sync is None else self.sync.to_state(),
            "confirmed": self.confirmed,
            "end_round": self.end_round,
        }

    # -- what the person wants ----------------------------------------------------------------------

    @property
    def needs_slot(self) -> bool:
        """True while this conversation has anything to upload."""
        return self._wanted or self.sync is not None or self._end_invitations > 0

    def want(self) -> None:
        """Ask for the peer, from the next invite round on until both have asked.

        A hang-up under way is carried out first: the peer counts on it.
        """
        self._wanted = True
        self.ended_by_peer = False

    def hang_up(self, next_round: int) -> None:
        """End at ``next_round`` + 4, heard or not; until then everything goes on."""
        self._wanted = False
        self.ask = None
        if self.sync is None:
            return
        if not self.sync.is_posting(next_round):
            self._end(told=False)
        elif not self.end_round:
            self.end_round = next_round + HANG_UP_ROUNDS

    def state(self, round_number: int) -> PeerState:
        """Return where the conversation stands, as of a round."""
        if self.end_round:
            return PeerState.ENDING
        if self.sync is None or not self.sync.is_posting(max(round_number, self.sync.last_heard + 1)):
            if not self._wanted:
                return PeerState.ENDED if self.ended_by_peer else PeerState.IDLE
            return PeerState.ASKING if self.sync is None else PeerState.RESUMING
        if not self.confirmed:
            return PeerState.AGREED
        return PeerState.QUIET if self._quiet else PeerState.CONNECTED

    # -- rounds -------------------------------------------------------------------------------------

    def prepare(self, round_number: int, head: Head) -> Posted | None:
        """Return what to leave in this round's shared drops, or ``None`` for cover.

        ``head`` is the newest signed directory head. Steps the keys past this round either way: the
        result is the only thing that can open it.
        """
        if self.sync is None or self.sync.begins_after(round_number):
            return None
        if self.end_round and round_number >= self.end_round:
            self._end(told=self._told)
            return None
        posting = self.sync.is_posting(round_number)
        try:
            keys = self.sync.take_round(round_number)
        except StoreError:
            self._forget()
            return None
        if not posting:
            if self.confirmed or not self._wanted:
                self._lose_touch()
            return None
        composed = self.chat.compose(round_number)
        if self.heads_differ and composed[-1].kind is ContentKind.IDLE:
            composed[-1] = replace(composed[-1], kind=ContentKind.HEAD_PROOF, payload=head.encode())
        messages = tuple(self._complete(message, head) for message in composed)
        sealed = tuple(
            message.seal(key, context, self.me.identity, self.me.random_bytes)
            for message, key, context in zip(messages, keys.keys_out, keys.contexts_out, strict=True)
        )
        return Posted(keys, messages, sealed)

    def _complete(self, message: PeerMessage, head: Head) -> PeerMessage:
        if self.sync is None:
            raise AssertionError("only a conversation in sync composes")
        stamped = self.sync.stamp(message)
        return replace(
            stamped,
            sent_at_ms=stamped.sent_at_ms or self.me.now_ms(),
            head_length=head.length,
            head_hash=head.digest,
            end_round=self.end_round,
        )

    def gather(self, round_number: int, posted: Posted, replies: list[bytes] | None) -> Gathered:
        """Take in what came out of the shared drops; ``None`` if the round was lost."""
        arrived: list[IncomingText] = []
        delivered: list[OutgoingText] = []
        heard: list[PeerMessage] = []
        altered = False
        for drop, reply in enumerate(replies or ()):
            if reply == posted.sealed[drop]:
                self.chat.came_back(posted.messages[drop])
                continue
            try:
                message = PeerMessage.open(
                    reply, posted.keys.keys_in[drop], posted.keys.contexts_in[drop], self.peer.verify_key
                )
            except PeerMessageError:
                altered = True
                continue
            heard.append(message)
            new, done = self.chat.receive(message)
            arrived += new
            delivered += done
        established = self._hear(round_number, heard)
        return Gathered(bool(heard), altered, tuple(arrived), tuple(delivered), tuple(heard), established)

    def _hear(self, round_number: int, heard: list[PeerMessage]) -> bool:
        self._quiet = not heard
        established = bool(heard) and not self.confirmed
        for message in heard:
            if self.sync is None:
                break
            self.confirmed = True
            self.ask = None
            try:
                self.sync.heard(round_number, message)
            except PeerMessageError:
                continue  # it was heard; what it said of renewal is not believed
            if message.end_round:
                self._peer_ends(round_number, message.end_round)
        return established

    def _peer_ends(self, round_number: int, end_round: int) -> None:
        if not self._told:
            self.ended_by_peer = not self.end_round
            self._wanted = self._wanted and bool(self.end_round)
        self._told = True
        # At least the next round, at most the promised distance: a peer cannot keep us posting for long.
        bounded = min(max(end_round, round_number + 1), round_number + HANG_UP_ROUNDS)
        self.end_round = min(self.end_round, bounded) if self.end_round else bounded

    def _lose_touch(self) -> None:
        self.confirmed = False
        self.ask = None
        if not self._wanted:
            self._end(told=False)

    def _end(self, *, told: bool) -> None:
        if self.sync is not None and not told and not self._wanted:
            self._ended_conversation = self.sync.conversation
            self._end_invitations = END_INVITATIONS
        self._forget()

    def _forget(self) -> None:
        self.sync = None
        self.ask = None
        self.confirmed = False
        self.end_round = 0
        self._told = False

    # -- invitations ----------------------------------------------------------------------------------

    def invitation(self, bundle_round: int) -> bytes | None:
        """Return what to post in this invite round, sealed, or ``None`` for cover."""
        self._invitation = None
        if self._end_invitations:
            self._end_invitations -= 1
            return self._seal(
                InvitationKind.END, Ask.create(self.me.now_ms(), self.me.random_bytes), bundle_round
            )
        if not self._wanted or self.confirmed or self.end_round:
            return None
        if self.ask is None:
            self.ask = Ask.create(self.me.now_ms(), self.me.random_bytes)
        return self._seal(InvitationKind.TALK, self.ask, bundle_round)

    def _seal(self, kind: InvitationKind, ask: Ask, bundle_round: int) -> bytes:
        conversation = self._ended_conversation if kind is InvitationKind.END else _NO_CONVERSATION
        if self.sync is not None and kind is InvitationKind.TALK:
            conversation = self.sync.conversation
        invitation = Invitation(
            kind,
            self.me.position,
            conversation,
            ask.started_ms,
            ask.ephemeral,
            ask.seed,
            bundle_round,
            () if self.sync is None else self.sync.chain_ids(),
        )
        sealed = invitation.seal(self.me.directory, self.me.identity, self.peer)
        self._invitation = (invitation, sealed)
        return sealed

    def meet(self, theirs: Invitation, bundle: frozenset[bytes]) -> bool:
        """Take in the peer's valid invitation; return True if it is a wish we are not asking for too."""
        if theirs.kind is InvitationKind.END:
            if self.sync is not None and theirs.conversation == self.sync.conversation:
                self._wanted = False
                self.ended_by_peer = True
                self._forget()
            return False
        if self._invitation is None or self.ask is None or self._invitation[1] not in bundle:
            return not self._wanted
        try:
            self._agree(self.ask, self._invitation[0], theirs)
        except InvitationError:
            return False
        return False

    def _agree(self, ask: Ask, mine: Invitation, theirs: Invitation) -> None:
        start_round = mine.bundle_round + 2
        common = None if self.sync is None else self.sync.newest_common(theirs.chain_ids)
        if self.sync is not None and common is not None:
            self.sync.resume(common, start_round)
        else:
            agreement = agree(ask, mine, self.me.entry, theirs, self.peer, self.me.round_ms)
            self.sync = DeadDropSync.start(agreement.root, Direction(agreement.role), start_round)
        self.chat.begin(self.sync.conversation)
        self.confirmed = False
        self._quiet = False
