"""``Desk``: what a person has to do with others: what they say, send, keep and delete; whose keys they know.

The engine owns it and drives its conversations round by round; whatever is asked of it changes what the next
uploads hold, and nothing else. One owner thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from iirs.client.account.account import Account, Environment
from iirs.client.conversation import Conversation, Gathered
from iirs.client.events import (
    EntriesRemoved,
    PeerChanged,
    PeerState,
    PeopleChanged,
    TextChanged,
    TextQueued,
    TextReceived,
    TimerChanged,
)
from iirs.client.messenger.contacts import number_with
from iirs.client.messenger.files import FileDesk
from iirs.client.messenger.groups import GroupDesk, Surroundings
from iirs.client.messenger.limits import check_text
from iirs.client.messenger.notes import FileOffer, FileStop, GroupNote, TimerNote, decode_note, encode_note
from iirs.client.messenger.slots import Conversations
from iirs.client.store.log_entry import (
    GROUP_MARK,
    EntryKind,
    Item,
    ItemKind,
    LogEntry,
    TextState,
    TransferProgress,
)
from iirs.client.store.store import ClientStore
from iirs.directory import Directory, Entry
from iirs.errors import AccountError, PeerMessageError

_TALKED = "talked:"
AT_ONCE_MAX = 100
"""Entries deleted in one go."""
PICTURED_MAX = 2_000
"""In a larger directory only the people one talks to have pictures made from their numbers."""


class Desk(Conversations):
    """One logged-in account's: conversations, and what is said, sent, kept and deleted."""

    def __init__(
        self, account: Account, store: ClientStore, environment: Environment, directory: Directory
    ) -> None:
        """Raises ``StoreError`` if the store does not open."""
        super().__init__(account, store, environment, directory)
        self.files = FileDesk(
            account.name, store, environment.random_bytes, self.send_note, self.events.append
        )
        around = Surroundings(account, directory, environment.random_bytes, self._now_ms, self.events.append)
        self.groups = GroupDesk(around, store, self)

    def _supply(self, peer: str) -> Item | None:
        return self.files.supply(peer)

    # -- saying ---------------------------------------------------------------------------------------

    def send(self, talk: str, text: str) -> bytes:
        """Queue a text; on return it is on disk. Returns its id. Raises ``AccountError``."""
        if talk.startswith(GROUP_MARK):
            item_id = self.groups.send(talk, text)
            self._store.commit()
            return item_id
        check_text(talk, text)
        person = self._may_send(talk)
        now = self._now_ms()
        item = self.conversation(person.name).chat.send(text, now)
        self._store.queue(person.name, item)
        self._talked(person.name)
        expires = self.expiry(person.name, now)
        self._store.history.add_entry(
            LogEntry(
                person.name,
                item.item_id,
                EntryKind.TEXT,
                True,
                self.account.name,
                item.data.decode(),
                now,
                TextState.QUEUED,
                expires,
            )
        )
        self._store.commit()
        self.events.append(TextQueued(person.name, item.item_id, item.data.decode(), now, expires))
        return item.item_id

    def send_note(self, peer: str, data: bytes) -> Item:
        """Queue a note for a person."""
        item = self.conversation(peer).chat.send_note(data, self._now_ms())
        self._store.queue(peer, item)
        return item

    def let_go(self, peer: str) -> None:
        """End a conversation in which nothing was ever said, once begun: it was there for a group alone."""
        conversation = self.conversations.get(peer)
        has_begun = conversation is not None and conversation.sync is not None
        if has_begun and not self._store.get(_TALKED + peer, False):
            self.end(peer)

    def _talked(self, peer: str) -> None:
        """Remember that something was said: deleting it later does not make the conversation a group's."""
        if not self._store.get(_TALKED + peer, False):
            self._store.set(_TALKED + peer, True)

    def send_file(self, talk: str, name: str, data: bytes) -> bytes:
        """Queue a file; on return it is on disk. Returns its id. Raises ``AccountError``."""
        person = self._may_send(talk)
        now = self._now_ms()
        entry = self.files.offer(person.name, name, data, now, self.expiry(person.name, now))
        self._talked(person.name)
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
        """Have what is said from now on disappear after so many seconds, on both sides; 0: never."""
        if talk.startswith(GROUP_MARK):
            self.groups.set_timer(talk, seconds)
        else:
            person = self._may_send(talk)
            self.send_note(person.name, encode_note(TimerNote(seconds)))
            self.take_timer(person.name, seconds)
        self._store.commit()

    def _may_send(self, talk: str) -> Entry:
        if talk.startswith(GROUP_MARK):
            raise AccountError("Files can be sent to one person at a time, not to a group.")
        person = self.directory.lookup(talk)
        reason = self.contacts.blocked(person)
        if reason:
            raise AccountError(reason)
        return person

    def take_timer(self, talk: str, seconds: int) -> None:
        """Take in that entries of a talk disappear from now on."""
        self._store.set(f"timer:{talk}", seconds)
        self.events.append(TimerChanged(talk, seconds))

    def expiry(self, talk: str, now_ms: int) -> int:
        """Return when what is said in a talk now disappears; 0: never."""
        seconds = self._store.get(f"timer:{talk}", 0)
        return now_ms + seconds * 1000 if seconds else 0

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
        """Leave a group, or turn it down. Raises ``AccountError`` if it is not known."""
        self.groups.leave(key)
        self._store.commit()

    # -- what was said --------------------------------------------------------------------------------

    def history(self, talk: str, limit: int = 500, before: bytes | None = None) -> list[LogEntry]:
        """Return the newest entries of a talk, or those before one, oldest first."""
        return self._store.history.page(talk, limit, before)

    def last_entries(self) -> list[LogEntry]:
        """Return the newest entry of every talk."""
        return list(self._store.history.last_entries().values())

    def search(self, words: str, talk: str = "", limit: int = 100) -> list[LogEntry]:
        """Return entries that hold all the words, newest first, of one talk or of all."""
        return self._store.history.search(words, talk or None, limit)

    def transfers(self, entries: Iterable[LogEntry]) -> tuple[TransferProgress, ...]:
        """Return where the files among some entries stand."""
        found = [self.files.transfer(entry.file.file_id) for entry in entries if entry.file is not None]
        return tuple(transfer for transfer in found if transfer is not None)

    def read_file(self, file_id: bytes) -> bytes:
        """Return a whole file that is here. Raises ``AccountError`` if it is not."""
        return self.files.read(file_id)

    def undelivered(self, peer: str) -> list[Item]:
        """Return what has not been delivered to a person."""
        conversation = self.conversations.get(peer)
        return list(conversation.chat.outbox) if conversation else list(self._store.outbox(peer))

    def delete(self, talk: str, item_id: bytes) -> None:
        """Delete one entry on this machine. A text that has not gone yet goes all the same."""
        self._store.history.delete_entry(talk, item_id)
        self._removed(talk, [item_id])
        self._store.commit()

    def clear(self, talk: str) -> bool:
        """Delete a talk's newest entries on this machine; return whether there are more.

        A few at a time, as all at once could make an upload late, and show.
        """
        item_ids = [entry.item_id for entry in self._store.history.page(talk, AT_ONCE_MAX)]
        for item_id in item_ids:
            self._store.history.delete_entry(talk, item_id)
        self._removed(talk, item_ids)
        self._store.commit()
        return len(item_ids) == AT_ONCE_MAX

    def expire(self) -> None:
        """Delete what is to disappear by now, a few each round: a peer can let very many end at once."""
        gone: dict[str, list[bytes]] = {}
        for talk, item_id in self._store.history.expire(self._now_ms(), AT_ONCE_MAX):
            gone.setdefault(talk, []).append(item_id)
        for talk, item_ids in gone.items():
            self._removed(talk, item_ids)

    def _removed(self, talk: str, item_ids: list[bytes]) -> None:
        for item_id in item_ids:
            self.files.forget(item_id)
        if item_ids:
            self.events.append(EntriesRemoved(talk, tuple(item_ids)))

    # -- keys -----------------------------------------------------------------------------------------

    def verify(self, name: str, verified: bool) -> None:
        """Mark a person's safety number as compared, or not. Raises ``AccountError``."""
        person = self.directory.lookup(name)
        self.contacts.verify(person, verified=verified)
        self._contact_changed(person)
        self._store.commit()

    def accept_keys(self, name: str) -> None:
        """Go on with a person whose keys have changed, or after two directories were seen."""
        person = self.directory.lookup(name)
        self.contacts.accept(person)
        self._contact_changed(person)
        self._store.commit()

    def raise_alarm(self) -> None:
        """Stop sending to everybody known: two directories were seen."""
        self.contacts.raise_alarm()
        self.tell_contacts()

    def tell_all(self) -> None:
        """Tell about the groups, and about everybody whose keys were noted before."""
        self.groups.tell()
        self.tell_contacts()

    def tell_contacts(self) -> None:
        """Tell about everybody whose keys were noted before."""
        for name in self.contacts.names():
            with suppress(AccountError):
                self._contact_changed(self.directory.lookup(name))

    def people_changed(self) -> None:
        """Tell who is in the directory."""
        people = self.directory.entries
        # Where there are very many, numbers are made for those one talks to, and for nobody else.
        few = people if len(people) <= PICTURED_MAX else ()
        numbers = tuple(number_with(self.directory, self.me, person) for person in few)
        self.events.append(PeopleChanged(tuple(person.name for person in people), numbers))

    # -- what rounds bring ----------------------------------------------------------------------------

    def take_in(self, conversation: Conversation, gathered: Gathered) -> None:
        """Store and tell what one conversation's round brought."""
        name = conversation.peer.name
        for item in gathered.arrived:
            self._take_item(name, item)
        for sent in gathered.delivered:
            self._store.dequeue(name, sent.item_id, sent.part)
            if sent.kind is ItemKind.TEXT:
                self._text_state(name, sent.item_id, TextState.DELIVERED)
            elif sent.kind is ItemKind.NOTE:
                self.groups.delivered(sent.item_id)
            else:
                self.files.delivered(name, sent)
        if gathered.established:
            self._states[name] = PeerState.CONNECTED
            self.events.append(PeerChanged(name, PeerState.CONNECTED, established=True))

    def take_sent(self) -> None:
        """Tell which texts have gone out whole for the first time."""
        for name, conversation in self.conversations.items():
            for item in conversation.chat.take_sent():
                if item.kind is ItemKind.TEXT:
                    self._text_state(name, item.item_id, TextState.SENT)
                elif item.kind is ItemKind.NOTE:
                    self.groups.sent(item.item_id)

    def _text_state(self, talk: str, item_id: bytes, state: TextState) -> None:
        self._store.history.set_state(talk, item_id, state)
        self.events.append(TextChanged(talk, item_id, state))

    def _take_item(self, peer: str, item: Item) -> None:
        match item.kind:
            case ItemKind.TEXT:
                expires = self.expiry(peer, self._now_ms())
                entry = LogEntry(
                    peer,
                    item.item_id,
                    EntryKind.TEXT,
                    False,
                    peer,
                    item.text,
                    item.sent_at_ms,
                    expires_at_ms=expires,
                )
                self._talked(peer)
                if self._store.history.add_entry(entry):
                    self.events.append(
                        TextReceived(peer, item.item_id, item.text, item.sent_at_ms, peer, expires)
                    )
            case ItemKind.NOTE:
                self._store.history.mark_seen(peer, item.item_id)
                with suppress(PeerMessageError):  # a note of a newer program, or of a dishonest one
                    self._take_note(peer, item)
            case ItemKind.PART:
                self.files.arrived(peer, item)

    def _take_note(self, peer: str, item: Item) -> None:
        match decode_note(item.data):
            case FileOffer() as offer:
                self._talked(peer)
                now = self._now_ms()
                self.files.offered(peer, offer, item.sent_at_ms, self.expiry(peer, now))
            case FileStop() as stop:
                self.files.stopped(peer, stop)
            case TimerNote(seconds):
                self.take_timer(peer, seconds)
            case GroupNote() as note:
                self.groups.take(peer, note)
