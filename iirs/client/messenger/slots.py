"""``Slots``: whom a person talks to: all their conversations, the slots, and who waits for one.

A wish to talk, from asking to a slot:

    ask -slot free-> wanted (the conversation asks);  -all in use-> waiting, in order -one is free-> wanted
    hang up -> no wish, no place in the queue
    somebody asks for us -> told;  decline -> not told again until they have paused;  ask -> wanted

Nothing of it is seen from outside: a wish without a slot sends nothing, and declining sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from iirs.client.chat_session import ChatSession
from iirs.client.conversation import Conversation
from iirs.client.conversation_values import Me
from iirs.client.events import Notice, PeerAsks, PeerChanged, PeerState
from iirs.client.invitations import Invitation, InvitationKind
from iirs.client.messenger.contacts import Contacts
from iirs.client.messenger.context import Context
from iirs.client.store.log_entry import Fragment, Item
from iirs.client.sync import patience_for
from iirs.client.text.translate import _
from iirs.directory import Entry
from iirs.errors import AccountError, StoreError

PAUSE_IN_ASKING = 8
"""Whoever has not asked for this many invite rounds does not ask any more; a new wish is told anew."""
_TALKED = "talked:"

Supply = Callable[[str], Item | None]
"""Returns the next piece of a file for a person, if there is one, and notes that it was given."""


class Slots:
    """One account's conversations. The store's owner thread only."""

    def __init__(self, context: Context, contacts: Contacts, supply: Supply) -> None:
        """Raises ``StoreError`` if the store does not open."""
        self.conversations: dict[str, Conversation] = {}
        self._context = context
        self._store = context.store
        self._events = context.events
        self._contacts = contacts
        self._supply = supply
        self._count = context.account.chain.slots
        self._round_number = 0
        self._states: dict[str, PeerState] = {}
        self._saved: dict[str, object] = {}
        self._saved_fragments: dict[str, dict[int, Fragment]] = {}
        self.queued_bytes = 0
        """How long all notes together are that were queued: by it rounds are bounded."""
        self._asking: dict[str, int] = {}
        self._declined: dict[str, int] = {}
        self._waiting: list[str] = self._store.get("waiting", [])

    # -- asking and ending ----------------------------------------------------------------------------

    def ask(self, peer: str) -> None:
        """Ask to talk to ``peer``, or queue for it. Raises ``AccountError`` if that cannot be."""
        self.wish(peer)
        self._store.commit()

    def wish(self, peer: str) -> None:
        """As ``ask``; whoever calls commits, with what belongs to it."""
        person = self._context.directory.lookup(peer)
        if person.name == self._context.account.name:
            raise AccountError("That is your own name. Ask somebody else to talk.")
        conversation = self.conversation(person.name)
        self._asking.pop(person.name, None)
        self._declined.pop(person.name, None)
        if conversation.holds_slot or self._free_slots() > 0:
            self._set_waiting([name for name in self._waiting if name != person.name])
            conversation.want()
        elif person.name not in self._waiting:
            self._set_waiting([*self._waiting, person.name])
        self.save(conversation)
        self.note_states()

    def decline(self, peer: str) -> None:
        """Put a wish to talk away until it is made anew. Nothing is sent: declining looks like ignoring."""
        name = peer.lower()
        since = self._asking.pop(name, None)
        if since is not None:
            self._declined[name] = since
            self._events.append(PeerAsks(name, asks=False))

    def hang_up(self, peer: str) -> None:
        """End the conversation with ``peer``, three rounds after the next upload that can say so."""
        self.end(peer)
        self._store.commit()

    def end(self, peer: str) -> None:
        """As ``hang_up``; whoever calls commits, with what belongs to it."""
        name = peer.lower()
        self._set_waiting([other for other in self._waiting if other != name])
        conversation = self.conversations.get(name)
        if conversation is not None:
            conversation.hang_up()
            self.save(conversation)
            self.note_states()

    def hang_up_all(self, *, leaving: bool = False) -> None:
        """End every conversation, as ``hang_up`` does; ``leaving``: those of now are asked the next time."""
        wanted = [name for name, conversation in self.conversations.items() if conversation.is_wanted]
        if leaving:
            known = self._store.get("resume", [])
            self._store.set("resume", [*known, *(name for name in wanted if name not in known)])
        for conversation in list(self.conversations.values()):
            conversation.hang_up(leaving=leaving)
            self.save(conversation)
        self._store.commit()
        self.note_states()

    def resume(self) -> None:
        """Ask those again whom we talked to when we left."""
        names = self._store.get("resume", [])
        self._store.remove("resume")
        for name in names:
            with suppress(AccountError):
                self.wish(name)

    def _free_slots(self) -> int:
        return self._count - sum(item.holds_slot for item in self.conversations.values())

    def _set_waiting(self, names: list[str]) -> None:
        if names != self._waiting:
            self._waiting = names
            self._store.set("waiting", names)

    def admit_waiting(self) -> None:
        """Give slots that have become free to those who wait for one, in order."""
        while self._waiting and self._free_slots() > 0:
            name, *rest = self._waiting
            self._set_waiting(rest)
            with suppress(AccountError):
                self.conversation(name).want()

    def meet(self, caller: Entry, invitation: Invitation, bundle: frozenset[bytes]) -> None:
        """Take in somebody's valid invitation, which came in ``bundle``; whoever calls commits."""
        conversation = self.conversations.get(caller.name)
        if conversation is None:
            unasked = invitation.kind is InvitationKind.TALK
        else:
            unasked = conversation.meet(invitation, bundle)
            self.save(conversation)
        if unasked:
            self._invited(caller.name, invitation.bundle_round)

    def _invited(self, name: str, bundle_round: int) -> None:
        """Take in that somebody we are not asking for asks for us."""
        if name in self._waiting:
            return
        if name in self._declined:
            self._declined[name] = bundle_round
        else:
            if name not in self._asking:
                self._events.append(PeerAsks(name))
            self._asking[name] = bundle_round

    def forget_asking(self, bundle_round: int, invite_every: int) -> None:
        """Take back what was said of those who have stopped asking."""
        oldest = bundle_round - PAUSE_IN_ASKING * invite_every
        for name in [name for name, last in self._asking.items() if last < oldest]:
            del self._asking[name]
            self._events.append(PeerAsks(name, asks=False))
        self._declined = {name: last for name, last in self._declined.items() if last >= oldest}

    # -- rounds ---------------------------------------------------------------------------------------

    def begin_round(self, round_number: int) -> None:
        """Take in that a round was announced: whoever waits gets a slot that has become free."""
        self._round_number = round_number
        self.admit_waiting()
        for conversation in self.active():
            conversation.catch_up(round_number)

    def lose_agreements(self) -> None:
        """Give up agreements on which nobody was heard; that is stored with the next upload."""
        for conversation in self.conversations.values():
            conversation.lose_agreement()

    def active(self) -> list[Conversation]:
        """Return the conversations that this round's slots are for, at most as many as there are slots."""
        needing = [item for item in self.conversations.values() if item.needs_slot]
        return sorted(needing, key=lambda item: not item.holds_slot)[: self._count]

    def established(self, name: str) -> None:
        """Tell that a conversation has come into sync."""
        self._states[name] = PeerState.CONNECTED
        self._events.append(PeerChanged(name, PeerState.CONNECTED, established=True))

    # -- what is said ---------------------------------------------------------------------------------

    def send_note(self, peer: str, data: bytes) -> Item:
        """Queue a note for a person; whoever calls commits, with what belongs to it."""
        item = self.conversation(peer).chat.send_note(data, self._context.now_ms())
        self._store.queue(peer, item)
        self.queued_bytes += len(data)
        return item

    def note_talk(self, peer: str) -> None:
        """Remember that something was said: deleting it later does not make the conversation a group's."""
        if not self._store.get(_TALKED + peer, False):
            self._store.set(_TALKED + peer, True)

    def let_go(self, peer: str) -> None:
        """End a conversation in which nothing was ever said, once begun: it was there for a group alone."""
        conversation = self.conversations.get(peer)
        has_begun = conversation is not None and conversation.sync is not None
        if has_begun and not self._store.get(_TALKED + peer, False):
            self.end(peer)

    def contact_changed(self, person: Entry) -> None:
        """Tell what is known of a person's keys, and hold back what is to be sent if they are in doubt."""
        described = self._contacts.described(self._context.directory, self._context.me, person)
        self._events.append(described)
        if person.name in self.conversations:
            self.conversations[person.name].chat.held = bool(described.blocked)

    # -- keeping --------------------------------------------------------------------------------------

    def restore(self, *, discard_keys: bool) -> None:
        """Load the conversations that have something to do; ``discard_keys`` if theirs are not the newest."""
        self.conversations.clear()
        self._saved.clear()
        self._saved_fragments.clear()
        for name in self._store.get("conversations", []):
            if discard_keys:
                self._store.remove(f"sync:{name}")
            state = self._store.get(f"sync:{name}")
            idle = isinstance(state, dict) and not (
                state.get("wanted") or state.get("sync") or state.get("end_invitations")
            )
            if not idle or self._store.has_outbox(name):
                with suppress(AccountError):
                    self.conversation(name)

    def conversation(self, name: str) -> Conversation:
        """Return the conversation with a person, begun or loaded if need be. Raises ``AccountError``."""
        if name not in self.conversations:
            peer = self._context.directory.lookup(name)
            try:
                chat_state, sync_state = self._store.get(f"chat:{name}"), self._store.get(f"sync:{name}")
                conversation = self._make(peer, chat_state, sync_state)
            except StoreError:
                self._events.append(
                    Notice(
                        _("What was stored about {name}'s conversation is damaged; it starts over.").format(
                            name=name
                        )
                    )
                )
                conversation = self._make(peer, None, None)
            self.conversations[name] = conversation
            names = self._store.get("conversations", [])
            if name not in names:
                self._store.set("conversations", [*names, name])
            conversation.chat.held = not self._contacts.meet(peer)
            self.contact_changed(peer)
        return self.conversations[name]

    def _make(self, peer: Entry, chat_state: object, sync_state: object) -> Conversation:
        context = self._context
        me = Me(
            context.me,
            context.position,
            context.account.identity,
            context.directory,
            context.account.chain.round_ms,
            patience_for(context.account.chain.epoch_rounds),
            context.environment.random_bytes,
            context.now_ms,
        )
        name, incoming = peer.name, self._store.incoming
        self._saved_fragments[name] = incoming.fragments(name)
        chat = ChatSession(
            context.environment.random_bytes,
            partial(self._store.history.has_item, name),
            self._store.outbox(name),
            chat_state if isinstance(chat_state, dict) else None,
            partial(self._supply, name),
            self._saved_fragments[name],
            partial(incoming.has_room, name),
        )
        return Conversation(me, peer, chat, sync_state if isinstance(sync_state, dict) else None)

    def save(self, conversation: Conversation) -> None:
        """Keep a conversation's state, if it has changed since it was kept last."""
        name = conversation.peer.name
        for kind, state in (("sync", conversation.to_state()), ("chat", conversation.chat.to_state())):
            key = f"{kind}:{name}"
            if self._saved.get(key) != state:
                self._store.set(key, state)
                self._saved[key] = state
        fragments = conversation.chat.fragments()
        self._store.incoming.keep_fragments(name, self._saved_fragments[name], fragments)
        self._saved_fragments[name] = fragments

    def save_all(self) -> None:
        """Keep the state of every conversation, and make it last."""
        for conversation in self.conversations.values():
            self.save(conversation)
        self._store.commit()

    def note_states(self) -> None:
        """Tell where conversations stand, where that has changed."""
        for name, conversation in self.conversations.items():
            state = conversation.state(self._round_number)
            if name in self._waiting and not conversation.holds_slot:
                state = PeerState.WAITING
            if state is not self._states.get(name):
                self._states[name] = state
                self._events.append(PeerChanged(name, state))
