"""``Messenger``: what a person has to do with others: what they say, send, keep and delete; whom they trust.

The engine owns it and drives its conversations, which ``slots`` holds, round by round. Whatever is asked of
it changes what the next uploads hold, and nothing else. One owner thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from iirs.client.conversation import Conversation
from iirs.client.conversation_values import Gathered
from iirs.client.events import (
    EntriesRemoved,
    Notice,
    PeopleChanged,
    TextChanged,
    TextQueued,
    TextReceived,
)
from iirs.client.messenger.budget import Budget, Step, Work
from iirs.client.messenger.contacts import Contacts, number_with
from iirs.client.messenger.context import Context
from iirs.client.messenger.drafts import Drafts
from iirs.client.messenger.files import Files
from iirs.client.messenger.groups import Groups
from iirs.client.messenger.limits import check_text
from iirs.client.messenger.notes import FileOffer, FileStop, GroupNote, TimerNote, decode_note, encode_note
from iirs.client.messenger.slots import Slots
from iirs.client.messenger.timers import Timers
from iirs.client.store.log_entry import (
    GROUP_MARK,
    EntryKind,
    Item,
    ItemKind,
    LogEntry,
    TextState,
    TransferProgress,
)
from iirs.client.text.translate import _
from iirs.directory import Entry
from iirs.errors import AccountError, PeerMessageError
from iirs.geometry import CIRCUITS_PER_SLOT

PICTURED_MAX = 2_000
"""In a larger directory only the people one talks to have pictures made from their numbers."""


class Messenger:
    """One logged-in account's: what is said, sent, kept and deleted; ``slots`` holds the conversations."""

    def __init__(self, context: Context) -> None:
        """Raises ``StoreError`` if the store does not open."""
        self._context = context
        self._store = context.store
        self._events = context.events
        self.contacts = Contacts(context.store)
        self.drafts = Drafts(context.store)
        # Each needs the other: files are announced in conversations, and those fetch the pieces.
        self.files = Files(context, self._send_note)
        self.slots = Slots(context, self.contacts, self.files.supply)
        self.timers = Timers(context)
        self.groups = Groups(context, self.slots, self.timers)
        self._work = Work(
            partial(self._with_notes, self._take_next),
            partial(self._with_notes, self.groups.take_held),
            self.groups.end_ways,
            self.files.check,
            self.expire,
            self._store.history.erase,
        )

    def restore(self, *, discard_keys: bool) -> None:
        """As ``Slots.restore``; and tell what disappears when."""
        self.slots.restore(discard_keys=discard_keys)
        self.timers.tell()
        for talk in filter(self.groups.has_left, self.drafts.all()):
            self.drafts.keep(talk, "")  # an earlier version kept it

    def _send_note(self, peer: str, data: bytes) -> None:
        self.slots.send_note(peer, data)

    # -- saying ---------------------------------------------------------------------------------------

    def send(self, talk: str, text: str) -> bytes:
        """Queue a text; on return it is on disk. Returns its id. Raises ``AccountError``."""
        if talk.startswith(GROUP_MARK):
            item_id = self.groups.send(talk, text)
            self._store.commit()
            return item_id
        check_text(talk, text)
        person = self._may_send(talk)
        now = self._context.now_ms()
        item = self.slots.conversation(person.name).chat.send(text, now)
        self._store.queue(person.name, item)
        self.slots.note_talk(person.name)
        expires = self.timers.expiry(person.name, now)
        self._store.history.add_entry(
            LogEntry(
                person.name,
                item.item_id,
                EntryKind.TEXT,
                True,
                self._context.account.name,
                item.data.decode(),
                now,
                TextState.QUEUED,
                expires,
            )
        )
        self._store.commit()
        self._events.append(TextQueued(person.name, item.item_id, item.data.decode(), now, expires))
        return item.item_id

    def send_file(self, talk: str, name: str, data: bytes) -> bytes:
        """Queue a file; on return it is on disk. Returns its id. Raises ``AccountError``."""
        person = self._may_send(talk)
        now = self._context.now_ms()
        entry = self.files.offer(person.name, name, data, now, self.timers.expiry(person.name, now))
        self.slots.note_talk(person.name)
        self._store.commit()
        return entry.item_id

    def pause(self, file_id: bytes) -> None:
        """Pause a file of ours, or go on with it."""
        self.files.pause(file_id)
        self._store.commit()

    def cancel(self, file_id: bytes) -> None:
        """Stop a file, ours or theirs."""
        self.files.cancel(file_id)
        self._store.commit()

    def set_timer(self, talk: str, seconds: int) -> None:
        """Have what is said from now on disappear here after so many seconds, and ask for it; 0: never."""
        if talk.startswith(GROUP_MARK):
            self.groups.set_timer(talk, seconds)
        else:
            person = self._may_send(talk)
            self.slots.send_note(person.name, encode_note(TimerNote(seconds)))
            self.timers.set(person.name, seconds)
        self._store.commit()

    def leave_timer(self, talk: str) -> None:
        """Leave the time after which entries disappear as it is, whatever somebody else has set."""
        self.timers.leave(talk)
        self._store.commit()

    def _may_send(self, talk: str) -> Entry:
        if talk.startswith(GROUP_MARK):
            raise AccountError("Files can be sent to one person at a time, not to a group.")
        person = self._context.directory.lookup(talk)
        reason = self.contacts.blocked(person)
        if reason:
            raise AccountError(reason)
        return person

    # -- groups ---------------------------------------------------------------------------------------

    def create_group(self, name: str, people: tuple[str, ...]) -> str:
        """Found a group and return its key. Raises ``AccountError``."""
        key = self.groups.create(name, people)
        self._store.commit()
        return key

    def join_group(self, key: str) -> None:
        """Take part in a group. Raises ``AccountError`` if it is not known."""
        self.groups.join(key)
        self._store.commit()

    def leave_group(self, key: str) -> None:
        """Leave a group, or turn it down: nothing is written there any more. Raises ``AccountError``."""
        self.groups.leave(key)
        self.drafts.keep(key, "")
        self._store.commit()

    # -- what was said --------------------------------------------------------------------------------

    def history(self, talk: str, limit: int = 500, before: bytes | None = None) -> list[LogEntry]:
        """Return the newest entries of a talk, or those before one, oldest first."""
        return self._store.history.page(talk, limit, before)

    def last_entries(self) -> list[LogEntry]:
        """Return the newest entry of every talk."""
        return list(self._store.history.last_entries().values())

    def has_older(self, talk: str, entry: LogEntry) -> bool:
        """Return whether a talk has entries before one."""
        return self._store.history.has_older(talk, entry.item_id)

    def search(
        self, words: str, talk: str = "", limit: int = 100, before: int | None = None
    ) -> tuple[list[LogEntry], int | None]:
        """Return entries that hold all the words, newest first, of one talk or of all.

        One step of it, and the place where the next begins (``before``); ``None``: there is no next.
        """
        return self._store.history.search(words, talk or None, limit, before)

    def keep_draft(self, talk: str, text: str) -> None:
        """Keep what is being written in a talk; on return it is on disk."""
        self.drafts.keep(talk, "" if self.groups.has_left(talk) else text)
        self._store.commit()

    def transfers(self, entries: Iterable[LogEntry]) -> tuple[TransferProgress, ...]:
        """Return where the files among some entries stand."""
        found = [self.files.transfer(entry.file.file_id) for entry in entries if entry.file is not None]
        return tuple(transfer for transfer in found if transfer is not None)

    def read_file(self, file_id: bytes) -> bytes:
        """Return a whole file that is here. Raises ``AccountError`` if it is not."""
        return self.files.read(file_id)

    def undelivered(self, peer: str) -> list[Item]:
        """Return what has not been delivered to a person."""
        conversation = self.slots.conversations.get(peer)
        return list(conversation.chat.outbox) if conversation else list(self._store.outbox(peer))

    def delete(self, talk: str, item_id: bytes) -> None:
        """Delete one entry on this machine. A text that has not gone yet goes all the same."""
        self._store.history.delete_entry(talk, item_id)
        self._removed(talk, [item_id])
        self._store.commit()

    def clear(self, talk: str) -> bool:
        """Delete a talk's draft and newest entries on this machine; return whether there are more.

        A few at a time, as all at once could make an upload late, and show.
        """
        gone = self._store.history.clear(talk)
        self._removed(talk, [item_id for _talk, item_id, _size in gone])
        self.drafts.keep(talk, "")
        self._store.commit()
        return bool(gone)

    def expire(self) -> int | None:
        """Delete a little of what is to disappear by now; a step (``budget``)."""
        gone = self._store.history.expire(self._context.now_ms())
        if not gone:
            return None
        for talk in dict.fromkeys(talk for talk, _item_id, _size in gone):
            self._removed(talk, [item_id for other, item_id, _size in gone if other == talk])
        return sum(size for _talk, _item_id, size in gone)

    def _removed(self, talk: str, item_ids: list[bytes]) -> None:
        for item_id in item_ids:
            self.files.forget(item_id)
        if item_ids:
            self._events.append(EntriesRemoved(talk, tuple(item_ids)))

    # -- keys -----------------------------------------------------------------------------------------

    def verify(self, name: str, verified: bool) -> None:
        """Mark a person's safety number as compared, or not. Raises ``AccountError``."""
        person = self._context.directory.lookup(name)
        self.contacts.verify(person, verified=verified)
        self.slots.contact_changed(person)
        self._store.commit()

    def accept_keys(self, name: str) -> None:
        """Go on with a person whose keys have changed, or after two directories were seen."""
        person = self._context.directory.lookup(name)
        self.contacts.accept(person)
        self.slots.contact_changed(person)
        self._store.commit()

    def raise_alarm(self) -> None:
        """Stop sending to everybody known, and say why: two directories were seen."""
        self.contacts.raise_alarm()
        self.tell_contacts()
        self._events.append(
            Notice(
                _(
                    "The servers showed your peer another list of people than you, and signed both. "
                    "Do not trust who is who here until the people who run them explain it."
                ),
                alarm=True,
            )
        )

    def tell_all(self) -> None:
        """Tell about the groups, and about everybody whose keys were noted before."""
        self.groups.tell()
        self.tell_contacts()

    def tell_contacts(self) -> None:
        """Tell about everybody whose keys were noted before."""
        for name in self.contacts.names():
            with suppress(AccountError):
                self.slots.contact_changed(self._context.directory.lookup(name))

    def people_changed(self) -> None:
        """Tell who is in the directory."""
        people = self._context.directory.entries
        # Where there are very many, numbers are made for those one talks to, and for nobody else.
        few = people if len(people) <= PICTURED_MAX else ()
        numbers = tuple(number_with(self._context.directory, self._context.me, person) for person in few)
        self._events.append(PeopleChanged(tuple(person.name for person in people), numbers))

    # -- what rounds bring ----------------------------------------------------------------------------

    def take_in(self, conversation: Conversation, gathered: Gathered) -> None:
        """Store what one conversation's round brought; ``work`` takes it in. Tell what was delivered."""
        name = conversation.peer.name
        for item in gathered.arrived:
            self._store.incoming.put(name, item)
        for sent in gathered.delivered:
            self._store.dequeue(name, sent.item_id, sent.part)
            if sent.kind is ItemKind.TEXT:
                self._text_state(name, sent.item_id, TextState.DELIVERED)
            elif sent.kind is ItemKind.NOTE:
                self.groups.delivered(sent.item_id)
            else:
                self.files.delivered(name, sent)
        if gathered.established:
            self.slots.established(name)

    def work(self) -> None:
        """Do a round's share of what waits: everybody, and every kind, has a turn. Whoever calls commits."""
        items = CIRCUITS_PER_SLOT * self._context.account.chain.slots
        self._work.do(Budget(self._context.environment.monotonic, items))

    def _take_next(self) -> int | None:
        """Take in one item, of each person in turn; a step (``budget``)."""
        taken = self._store.incoming.take()
        if taken is None:
            return None
        peer, item = taken
        self._take_item(peer, item)
        return len(item.data)

    def _with_notes(self, step: Step) -> int | None:
        """Do a step; what it has us send to others counts as moved, too."""
        queued = self.slots.queued_bytes
        size = step()
        return None if size is None else size + self.slots.queued_bytes - queued

    def take_sent(self) -> None:
        """Tell which texts have gone out whole for the first time."""
        for name, conversation in self.slots.conversations.items():
            for item in conversation.chat.take_sent():
                if item.kind is ItemKind.TEXT:
                    self._text_state(name, item.item_id, TextState.SENT)
                elif item.kind is ItemKind.NOTE:
                    self.groups.sent(item.item_id)

    def _text_state(self, talk: str, item_id: bytes, state: TextState) -> None:
        self._store.history.set_state(talk, item_id, state)
        self._events.append(TextChanged(talk, item_id, state))

    def _take_item(self, peer: str, item: Item) -> None:
        match item.kind:
            case ItemKind.TEXT:
                expires = self.timers.expiry(peer, self._context.now_ms())
                at = self._context.believed_ms(peer, item.sent_at_ms)
                entry = LogEntry(
                    peer,
                    item.item_id,
                    EntryKind.TEXT,
                    False,
                    peer,
                    item.text,
                    at,
                    expires_at_ms=expires,
                )
                self.slots.note_talk(peer)
                if self._store.history.add_entry(entry):
                    self._events.append(TextReceived(peer, item.item_id, item.text, at, peer, expires))
            case ItemKind.NOTE:
                if self._store.history.mark_seen(peer, item.item_id):
                    with suppress(PeerMessageError):  # a note of a newer program, or of a dishonest one
                        self._take_note(peer, item)
            case ItemKind.PART:
                self.files.arrived(peer, item)

    def _take_note(self, peer: str, item: Item) -> None:
        match decode_note(item.data):
            case FileOffer() as offer:
                self.slots.note_talk(peer)
                now = self._context.now_ms()
                self.files.offered(
                    peer,
                    offer,
                    self._context.believed_ms(peer, item.sent_at_ms),
                    self.timers.expiry(peer, now),
                )
            case FileStop() as stop:
                self.files.stopped(peer, stop)
            case TimerNote(seconds):
                self.timers.ask(peer, peer, seconds)
            case GroupNote() as note:
                self.groups.take(peer, note)
