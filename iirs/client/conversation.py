"""One conversation from asking to ending: invitations, sync and chat of one peer, round by round.

States (``PeerState``):

    IDLE -ask-> ASKING -both in one bundle-> AGREED -peer heard-> CONNECTED <-> QUIET
    QUIET or AGREED -patience over-> RESUMING -both in one bundle-> AGREED
    any of them -hang up-> ENDING -round R-> IDLE;  -peer ends-> ENDED -ask-> ASKING
    any of them -peer leaves, to be back-> ENDING -round R-> ASKING

What each loss does: a lost message makes QUIET, a lost bundle means asking again in the next, a lost end
is repeated as an invitation. None of it changes what is uploaded: a conversation without shared drops
uploads cover, one without an invitation uploads a cover invitation.

What has been posted binds. A person who changes their mind while an invitation is out, or before the first
round, still begins, says the end in the first message, and leaves with the peer: otherwise the peer alone
would access the drops, and the last hop would see it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from iirs.client.chat_session import ChatSession
from iirs.client.conversation_values import Gathered, InvitationPrekeys, Me, Posted, PostedInvitation
from iirs.client.events import PeerState
from iirs.client.invitations import Ask, Invitation, InvitationKind, agree
from iirs.client.store.log_entry import Item
from iirs.client.sync import DeadDropSync
from iirs.directory import Entry, Head
from iirs.errors import InvitationError, PeerMessageError, StoreError
from iirs.message import ContentKind, Direction, PeerMessage
from iirs.prekey import Prekey
from iirs.wire.rounds import Announcement

HANG_UP_ROUNDS = 3
"""A hang-up takes effect this many rounds after the first message that says so."""
LEAVING = 1 << 63
"""In a message's ``end_round``: the sender goes away, and has not ended the conversation for good."""
END_INVITATIONS = 2
PROOF_EVERY = 4
"""Rounds after which a proof of differing directory heads goes out even if texts have to wait."""
_NO_CONVERSATION = bytes(16)


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
        self._leaving = False
        """The person only goes away: the peer may keep its wish to talk."""
        self._end_invitations = 0
        self._ended_conversation = _NO_CONVERSATION
        self._begun = 0
        """The setup round in which it was first posted on the agreement there is; 0: not yet."""
        self._out: PostedInvitation | None = None
        if state is not None:
            self._restore(state)

    def _restore(self, state: dict[str, Any]) -> None:
        try:
            self._wanted = bool(state["wanted"])
            self._leaving = bool(state["leaving"])
            self.ended_by_peer = bool(state["ended_by_peer"])
            self._ended_conversation = bytes.fromhex(state["ended_conversation"])
            self._end_invitations = int(state["end_invitations"])
            if state["sync"] is not None:
                self.sync = DeadDropSync.from_state(state["sync"], self.me.patience)
                self._begun = int(state.get("begun", 1))  # a state without it is of before there were epochs
                self.confirmed = bool(state["confirmed"])
                self.end_round = int(state["end_round"])
                self._told = bool(state["told"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StoreError("The stored state of a conversation is damaged.") from error

    def to_state(self) -> dict[str, Any]:
        """Return everything that must outlive this process besides the chat, as JSON values."""
        return {
            "wanted": self._wanted,
            "leaving": self._leaving,
            "ended_by_peer": self.ended_by_peer,
            "ended_conversation": self._ended_conversation.hex(),
            "end_invitations": self._end_invitations,
            "sync": None if self.sync is None else self.sync.to_state(),
            "confirmed": self.confirmed,
            "end_round": self.end_round,
            "told": self._told,
            "begun": self._begun,
        }

    # -- what the person wants ----------------------------------------------------------------------

    @property
    def needs_slot(self) -> bool:
        """True while this conversation has anything to upload."""
        return self.holds_slot or self._end_invitations > 0

    @property
    def holds_slot(self) -> bool:
        """True while no other conversation may have its slot. Saying an end in an invitation can wait."""
        return self._wanted or not self.is_settled

    @property
    def is_settled(self) -> bool:
        """True if leaving now leaves nobody alone: no shared drops, and no invitation out."""
        return self.sync is None and self._out is None

    def want(self) -> None:
        """Ask for the peer, from the next invite round on until both have asked.

        A hang-up that has been said is carried out first: the peer counts on it.
        """
        self._wanted = True
        self._leaving = False
        self.ended_by_peer = False
        self._end_invitations = 0

    @property
    def is_wanted(self) -> bool:
        """Whether the person wishes to talk to this peer."""
        return self._wanted

    def hang_up(self, *, leaving: bool = False) -> None:
        """End three rounds after the first message that can say so, heard or not; until then go on.

        ``leaving``: the person goes away and will be back, so that the peer keeps asking meanwhile.
        """
        self._leaving = leaving and (self._wanted or self._leaving)
        self._wanted = False
        self.ask = None

    def state(self, round_number: int) -> PeerState:
        """Return where the conversation stands, as of a round."""
        if self.sync is not None and (self.end_round or not self._wanted):
            return PeerState.ENDING
        if self.sync is None or not self.sync.is_posting(max(round_number, self.sync.last_heard + 1)):
            if not self._wanted:
                return PeerState.ENDED if self.ended_by_peer else PeerState.IDLE
            return PeerState.ASKING if self.sync is None else PeerState.RESUMING
        if not self.confirmed:
            return PeerState.AGREED
        return PeerState.QUIET if self._quiet else PeerState.CONNECTED

    # -- rounds -------------------------------------------------------------------------------------

    def catch_up(self, round_number: int) -> None:
        """Take in that a round was announced: step the keys up to it, however many were missed."""
        if self.sync is not None:
            self.sync.catch_up(round_number)

    @property
    def id(self) -> bytes:
        """The conversation's that is under way, or nothing."""
        return b"" if self.sync is None else self.sync.conversation

    def lose_agreement(self) -> None:
        """Give up an agreement on which nothing was heard: a bundle may be missed that made it anew."""
        # The two would be in four drops then, alone in each, where they can be counted.
        if self.sync is not None and not self.confirmed:
            self.sync.lapse()
            self._begun = self._begun or 1

    def prepare(self, shown: Announcement, has_circuits: bool) -> Posted | None:
        """Return what to leave in this round's shared drops, or ``None`` for cover.

        ``has_circuits``: whether a slot's circuits lead to this conversation's drops; at a setup its own
        state decides. Steps the keys past this round either way: nothing but the result can open it.
        """
        self._out = None
        if self.sync is None:
            return None
        round_number, sets_up = shown.round_number, shown.is_setup
        if self.sync.begins_after(round_number) or self.sync.has_no_key_for(round_number):
            self.sync.skip_round(round_number)
            return None
        if self.end_round and round_number >= self.end_round:
            self._end()
            return None
        is_patient = self.sync.is_posting(round_number)
        if sets_up:
            self._begun = self._begun or round_number
        try:
            keys = self.sync.take_round(round_number, sets_up=sets_up)
        except StoreError:
            self._forget()
            return None
        # Who posts where is decided at the setup, for all of the epoch, whatever is heard in it.
        if not (is_patient if sets_up else has_circuits):
            if not is_patient and (self.confirmed or not self._wanted):
                self._lose_touch()
            return None
        if not self._wanted and not self.end_round:
            self.end_round = round_number + HANG_UP_ROUNDS
        composed = self.chat.compose(round_number)
        is_idle = composed[-1].kind is ContentKind.IDLE
        if self.heads_differ and (is_idle or round_number % PROOF_EVERY == 0):
            # A fragment that gives way is not acknowledged, and so goes out again.
            composed[-1] = replace(composed[-1], kind=ContentKind.HEAD_PROOF, payload=shown.head.encode())
        messages = tuple(self._complete(message, shown.head) for message in composed)
        sealed = tuple(
            message.seal(key, context, self.me.identity, self.me.random_bytes)
            for message, key, context in zip(messages, keys.keys_out, keys.contexts_out, strict=True)
        )
        return Posted(self.sync.conversation, keys, messages, sealed)

    @property
    def _synced(self) -> DeadDropSync:
        if self.sync is None:
            raise AssertionError("only a conversation in sync comes here")
        return self.sync

    def _complete(self, message: PeerMessage, head: Head) -> PeerMessage:
        stamped = self._synced.stamp(message)
        return replace(
            stamped,
            sent_at_ms=stamped.sent_at_ms or self.me.now_ms(),
            head_length=head.length,
            head_hash=head.digest,
            end_round=self.end_round | (LEAVING if self._leaving else 0),
        )

    def gather(self, round_number: int, posted: Posted, replies: list[bytes] | None) -> Gathered:
        """Take in what came out of the shared drops; ``None`` if the round was lost.

        So it is if the conversation has been agreed anew since: the messages belong to the old numbering.
        """
        context = posted.keys.contexts_out[0]
        if (
            self.sync is None
            or self.sync.begins_after(round_number)
            or self.sync.conversation != context.conversation
        ):
            replies = None
        arrived: list[Item] = []
        heard: list[PeerMessage] = []
        came_back = 0
        for drop, reply in enumerate(replies or ()):
            if reply == posted.sealed[drop]:
                self.chat.came_back(posted.messages[drop])
                came_back += 1
                continue
            try:
                message = PeerMessage.open(
                    reply, posted.keys.keys_in[drop], posted.keys.contexts_in[drop], self.peer.verify_key
                )
            except PeerMessageError:
                continue
            heard.append(message)
            arrived += self.chat.receive(message)
        # A peer is in both drops or in none, and uploads to both or to none: what differs was taken out.
        # Noise from both may be of a peer whose upload was late: the entry fills its place.
        altered = any(0 < count < len(replies or ()) for count in (came_back, len(heard)))
        established = self._hear(round_number, heard)
        delivered = tuple(self.chat.take_delivered())
        return Gathered(bool(heard), altered, tuple(arrived), delivered, tuple(heard), established)

    def _hear(self, round_number: int, heard: list[PeerMessage]) -> bool:
        self._quiet = not heard
        established = bool(heard) and not self.confirmed
        for message in heard:
            self.confirmed = True
            self.ask = None
            # What it says of renewal may be impossible, and is then not believed; it was heard all the same.
            with suppress(PeerMessageError):
                self._synced.heard(round_number, message)
            if message.end_round:
                self._peer_ends(round_number, message.end_round)
        return established

    def _peer_ends(self, round_number: int, end_round: int) -> None:
        stays_wanted = bool(end_round & LEAVING)
        end_round &= ~LEAVING
        if not self._told and not stays_wanted:
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
            self._end()

    def _end(self) -> None:
        if not self._told and not self._wanted and not self._leaving:
            self._ended_conversation = self._synced.conversation
            self._end_invitations = END_INVITATIONS
        self._forget()

    def _forget(self) -> None:
        self.sync, self._begun = None, 0
        self.ask = None
        self.confirmed = False
        self.end_round = 0
        self._told = False

    # -- invitations ----------------------------------------------------------------------------------

    def invitation(self, bundle_round: int, prekeys: InvitationPrekeys) -> bytes | None:
        """Return what to post in this invite round, sealed, or ``None`` for cover.

        To be called after ``prepare`` of the same round. Without a prekey of the peer's, asking goes on in
        later rounds, and an end counts as said: a peer that has not renewed its prekey is not there.
        """
        if self._end_invitations:
            self._end_invitations -= 1
            ask = Ask.create(self.me.now_ms(), self.me.random_bytes)
            ending = self._write(InvitationKind.END, ask, bundle_round, prekeys)
            return None if prekeys.theirs is None else self._seal(ending, prekeys.theirs)
        if not self._wanted or self.confirmed or self.end_round:
            return None
        if self.sync is not None and (not self._begun or bundle_round <= self._begun):
            return None  # agreed, and not begun: to agree again would put it off, at short intervals for ever
        if self.ask is None:
            self.ask = Ask.create(self.me.now_ms(), self.me.random_bytes)
        if prekeys.theirs is None:
            return None
        invitation = self._write(InvitationKind.TALK, self.ask, bundle_round, prekeys)
        sealed = self._seal(invitation, prekeys.theirs)
        self._out = PostedInvitation(self.ask, invitation, sealed, prekeys.theirs.key_id)
        return sealed

    def _write(
        self, kind: InvitationKind, ask: Ask, bundle_round: int, prekeys: InvitationPrekeys
    ) -> Invitation:
        conversation = self._ended_conversation if kind is InvitationKind.END else _NO_CONVERSATION
        if self.sync is not None and kind is InvitationKind.TALK:
            conversation = self.sync.conversation
        return Invitation(
            kind,
            self.me.position,
            conversation,
            ask.started_ms,
            ask.ephemeral,
            ask.seed,
            bundle_round,
            () if self.sync is None else self.sync.chain_ids(),
            prekeys.own_ids,
        )

    def _seal(self, invitation: Invitation, prekey: Prekey) -> bytes:
        return invitation.seal(self.me.directory, self.me.identity, self.peer, prekey)

    def meet(self, theirs: Invitation, bundle: frozenset[bytes]) -> bool:
        """Take in the peer's valid invitation; return True if it is a wish we are not asking for too.

        What decides is the bundle alone: not what this round's replies brought, nor whether the person has
        hung up meanwhile. The peer sees the same bundle and nothing else, so both decide the same.
        """
        out, self._out = self._out, None
        if theirs.kind is InvitationKind.END:
            if self.sync is not None and theirs.conversation == self.sync.conversation:
                self._wanted = False
                self.ended_by_peer = True
                self._forget()
            return False
        if out is None or out.sealed not in bundle:
            return not self._wanted
        if out.sealed_to not in theirs.prekey_ids:
            return False  # the peer cannot open ours, so it does not agree: ask again, to a newer key
        with suppress(InvitationError):
            self._agree(out.ask, out.invitation, theirs)
        return False

    def _agree(self, ask: Ask, mine: Invitation, theirs: Invitation) -> None:
        start_round = mine.bundle_round + 2
        # Chains that both *posted*: what this round's replies have changed since, the peer does not know.
        posted = [chain_id for chain_id in theirs.chain_ids if chain_id in mine.chain_ids]
        common = None if self.sync is None else self.sync.newest_common(posted)
        if self.sync is not None and common is not None:
            self.sync.resume(common, start_round)
        else:
            agreement = agree(ask, mine, self.me.entry, theirs, self.peer, self.me.round_ms)
            role = Direction(agreement.role)
            self.sync = DeadDropSync.start(agreement.root, role, start_round, self.me.patience)
        self._begun = 0
        self.chat.begin(self.sync.conversation)
        self.confirmed = False
        self._quiet = False
