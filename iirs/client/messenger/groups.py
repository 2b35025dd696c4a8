"""``Groups``: the groups we are in: takes their items in, passes them on, and asks our neighbours.

States of one group (``GroupState``): INVITED -join-> JOINED -leave-> LEFT; INVITED -leave-> LEFT. What comes
while we are only invited is kept, and shown and passed on when we join: nobody works for a group unasked.
Much may be kept by then, so it is taken in a little a round, and what comes meanwhile waits behind it.
Whoever brings something when we have left is told so, once.

What each loss does: an item lies in the outbox of each neighbour until it is acknowledged, also over
restarts, and comes round the other way, too. One that comes twice is known by its id. When somebody leaves,
those who become neighbours give each other what may have gone by way of whoever left.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from iirs.client.chat_session import clean_text
from iirs.client.events import GroupChanged, GroupState, TextChanged, TextQueued, TextReceived
from iirs.client.messenger.context import Context
from iirs.client.messenger.group_item import (
    MEMBERS_MAX,
    NAME_MAX,
    Group,
    GroupItem,
    GroupItemKind,
    neighbours,
    new_id,
)
from iirs.client.messenger.group_store import Backlog, HeldItems, LeaveItems
from iirs.client.messenger.limits import check_text
from iirs.client.messenger.notes import GroupNote, encode_note
from iirs.client.messenger.timers import Timers
from iirs.client.store.group_tables import Delivery
from iirs.client.store.log_entry import GROUP_MARK, EntryKind, Item, LogEntry, TextState
from iirs.client.text.group_title import has_visible_name
from iirs.errors import AccountError, PeerMessageError

_PREFIX = "group:"
INVITED_MAX = 5
"""Groups to which one person may ask us at once; those beyond are not taken in."""
_WAYS_AT_ONCE = 16
_WAY_SIZE = 512
"""What ending one way counts as, in bytes moved."""


class PeerConversations(Protocol):
    """What groups need of the conversations with their members: ``Slots``."""

    def send_note(self, peer: str, data: bytes) -> Item:
        """Queue a note for a person; nothing is committed."""
        ...

    def wish(self, peer: str) -> None:
        """Ask a person to talk; nothing is committed."""
        ...

    def let_go(self, peer: str) -> None:
        """End a conversation that has nothing but groups' items to say; nothing is committed."""
        ...


class Groups:
    """One account's groups. The store's owner thread only."""

    def __init__(self, context: Context, conversations: PeerConversations, timers: Timers) -> None:
        """Load the groups. Raises ``StoreError``."""
        store = context.store
        self._context = context
        self._store = store
        self._events = context.events
        self._conversations = conversations
        self._timers = timers
        self._ways = store.groups
        self._held, self._backlog, self._leave_items = (
            HeldItems(store.groups),
            Backlog(store),
            LeaveItems(store),
        )
        self._groups = {state["group"]: Group.from_state(state) for state in store.values(_PREFIX).values()}
        joined = [group.key for group in self._groups.values() if group.state is GroupState.JOINED]
        self._joining = deque(key for key in joined if self._held.waits(key))
        """Groups we have joined of which something kept is still to be taken in: whose turn it is."""

    # -- the person ---------------------------------------------------------------------------------

    def create(self, name: str, people: tuple[str, ...]) -> str:
        """Found a group with people and return its key. Raises ``AccountError``."""
        name = clean_text(name).strip()
        if not has_visible_name(name) or len(name) > NAME_MAX:
            raise AccountError("A group needs a name of at most {count} characters.", count=NAME_MAX)
        directory = self._context.directory
        positions = {directory.position(directory.lookup(person).name) for person in people}
        members = tuple(sorted(positions | {self._me}))
        if not 2 <= len(members) <= MEMBERS_MAX:
            raise AccountError("A group has 2 to {count} members.", count=MEMBERS_MAX)
        neighbours(members, self._me, self._slots)
        draft = self._draft(b"", GroupItemKind.FOUND, text=name, members=members)
        item = self._signed(draft.founding(directory.chain_id))
        self._store.history.mark_seen(item.key, _seen(item))
        self._backlog.note(item)
        self._keep(Group.founded(item, self._me))
        self._pass_on(item, None)
        self._ask_neighbours(item.key)
        return item.key

    def join(self, key: str) -> None:
        """Take part in a group that has asked us."""
        group = self._known(key)
        if group.state is GroupState.INVITED:
            founding = self._held.take(key)
            if founding is None:
                raise AccountError("This group is not known here.")
            value, founding_from, _size = founding
            # Before anything else: nobody can make sense of an item of a group they do not know of.
            found = GroupItem.checked(value, self._context.directory)
            self._backlog.note(found)
            self._pass_on(found, founding_from)
            self._say(key, GroupItemKind.JOIN)
            self._ask_neighbours(key)
            if self._held.waits(key):
                self._joining.append(key)

    def take_held(self) -> int | None:
        """Take in one item that was kept until we joined, of each such group in turn; a step (``budget``)."""
        if not self._joining:
            return None
        key = self._joining.popleft()
        taken = self._held.take(key)
        if taken is None:
            return 0
        value, peer, size = taken
        with suppress(PeerMessageError):
            self._take_in(GroupItem.checked(value, self._context.directory), peer)
        if key not in self._joining and self._known(key).state is GroupState.JOINED and self._held.waits(key):
            self._joining.append(key)
        return size

    def leave(self, key: str) -> None:
        """Leave a group, or turn down an invitation; its members are told."""
        group = self._known(key)
        if group.state is not GroupState.LEFT:
            told = neighbours(group.members, self._me, self._slots)
            self._leave_items.note(
                self._say(key, GroupItemKind.LEAVE), [self._name(member) for member in told]
            )
            self._backlog.forget(key)
            self._held.forget(key)
            self._joining = deque(other for other in self._joining if other != key)

    def has_left(self, talk: str) -> bool:
        """Return whether a talk is with a group that we are in no more."""
        group = self._groups.get(talk.removeprefix(GROUP_MARK)) if talk.startswith(GROUP_MARK) else None
        return group is not None and group.state is GroupState.LEFT

    def send(self, key: str, text: str) -> bytes:
        """Send a text to a group and return its id. Raises ``AccountError``."""
        text = clean_text(text)
        check_text(key, text)
        self._check_joined(key)
        item = self._make(bytes.fromhex(key[1:]), GroupItemKind.TEXT, text=text)
        expires = self._timers.expiry(key, item.sent_at_ms)
        self._log(item, expires, TextState.QUEUED)
        self._events.append(TextQueued(key, _entry_id(item), text, item.sent_at_ms, expires))
        self._store.history.mark_seen(key, _seen(item))
        self._backlog.note_text(item, _entry_id(item))
        self._pass_on(item, None)
        return _entry_id(item)

    def set_timer(self, key: str, seconds: int) -> None:
        """Have what is said in a group disappear here after so many seconds, and ask for it; 0: never."""
        self._check_joined(key)
        self._say(key, GroupItemKind.TIMER, seconds=seconds)

    def tell(self) -> None:
        """Tell about every group."""
        for group in self._groups.values():
            self._tell(group)

    # -- what comes ---------------------------------------------------------------------------------

    def _founded(self, item: GroupItem) -> Group:
        """Return the group an item begins. Raises ``PeerMessageError`` if it is none we could be in."""
        group = Group.founded(item, self._me)
        try:
            neighbours(group.members, self._me, self._slots)
        except AccountError as error:
            raise PeerMessageError("a group for which this server gives too few places") from error
        return group

    def take(self, peer: str, note: GroupNote) -> None:
        """Take in an item that ``peer`` passed on. Raises ``PeerMessageError`` if it is not right."""
        item = GroupItem.checked(note.value, self._context.directory)
        group = self._groups.get(item.group.hex())
        sender = self._context.directory.position(peer)
        if group is None:
            self._take_invitation(item, peer)
        elif sender not in group.members:
            raise PeerMessageError("an item by way of somebody who is not in the group")
        elif item.kind is GroupItemKind.FOUND:
            return  # it has come another way
        elif group.state is GroupState.LEFT:
            leaving = self._leave_items.due(item.key, peer)
            if leaving is not None:
                self._conversations.send_note(peer, encode_note(GroupNote(leaving)))
        elif item.author not in group.members:
            raise PeerMessageError("an item of somebody who is not in the group")
        elif group.state is GroupState.INVITED:
            self._held.add(item, peer)
        elif item.key in self._joining:
            if not self._held.leaves(item.key, sender):
                self._held.append(item, peer)  # as many are taken out meanwhile, in turn: it does not grow
        else:
            self._take_in(item, peer)

    def _take_invitation(self, item: GroupItem, peer: str) -> None:
        group = self._founded(item)
        if self._context.directory.position(peer) not in group.members:
            raise PeerMessageError("an invitation by somebody who is not in the group")
        is_welcome = self._held.brought_by(peer) < INVITED_MAX
        if is_welcome and self._store.history.mark_seen(item.key, _seen(item)):
            self._keep(group)
            self._held.add(item, peer)

    def _take_in(self, item: GroupItem, peer: str) -> None:
        group = self._groups[item.group.hex()]
        after = group.after(item, self._me)
        if not self._store.history.mark_seen(item.key, _seen(item)):
            return
        if item.kind is GroupItemKind.TEXT:
            self._show(item)
        elif item.kind is GroupItemKind.TIMER:
            self._backlog.note(item)
            if item.author != self._me:
                self._timers.ask(item.key, self._name(item.author), item.seconds)
        elif after != group:
            self._backlog.note(item)
            self._keep(after)
        told = self._close_ring(group, after, item) if item.kind is GroupItemKind.LEAVE else ()
        self._pass_on(item, peer, told)

    def _show(self, item: GroupItem) -> None:
        expires = self._timers.expiry(item.key, self._context.now_ms())
        shown = replace(item, sent_at_ms=self._context.believed_ms(item.key, item.sent_at_ms))
        self._log(shown, expires, None)
        self._backlog.note_text(item, _entry_id(item))
        author = self._name(item.author)
        self._events.append(
            TextReceived(item.key, _entry_id(item), item.text, shown.sent_at_ms, author, expires)
        )

    def _close_ring(self, before: Group, after: Group, item: GroupItem) -> Collection[int]:
        """Take leave of who left, and give new neighbours what they may not know. Return those."""
        who = self._name(item.author)
        self._ways.note_gone(item.key, who, delivers=len(after.members) > 1)
        if not any(item.author in self._ring(group) for group in self._groups.values()):
            self._conversations.let_go(who)
        known = self._ring(before)
        new = [member for member in self._ring(after) if member not in known]
        for member in new:
            for value in self._backlog.values(item.key):
                self._conversations.send_note(self._name(member), encode_note(GroupNote(value)))
        self._ask_neighbours(item.key)
        return new

    def delivered(self, note_id: bytes) -> None:
        """Take in that a neighbour has acknowledged a note; a text is delivered when all of them have."""
        delivery = self._ways.way(note_id)
        if delivery is not None and self._ways.end_way(note_id, delivery):
            self._set_state(delivery, TextState.DELIVERED)

    def end_ways(self) -> int | None:
        """End a few of the ways to those who have left; a step (``budget``)."""
        delivered = self._ways.end_gone(_WAYS_AT_ONCE)
        if delivered is None:
            return None
        for delivery in delivered:
            self._set_state(delivery, TextState.DELIVERED)
        return _WAYS_AT_ONCE * _WAY_SIZE

    def sent(self, note_id: bytes) -> None:
        """Take in that a note has gone out."""
        delivery = self._ways.way(note_id)
        if delivery is not None:
            self._set_state(delivery, TextState.SENT)

    def _set_state(self, delivery: Delivery, state: TextState) -> None:
        self._store.history.set_state(delivery.key, delivery.entry_id, state)
        self._events.append(TextChanged(delivery.key, delivery.entry_id, state))

    # -- inside -------------------------------------------------------------------------------------

    @property
    def _me(self) -> int:
        return self._context.position

    @property
    def _slots(self) -> int:
        return self._context.account.chain.slots

    def _known(self, key: str) -> Group:
        group = self._groups.get(key[1:])
        if group is None:
            raise AccountError("This group is not known here.")
        return group

    def _check_joined(self, key: str) -> None:
        if self._known(key).state is not GroupState.JOINED:
            raise AccountError("Join this group first.")

    def _ring(self, group: Group) -> list[int]:
        """Return our neighbours in a group that we take part in."""
        joined = group.state is GroupState.JOINED
        return neighbours(group.members, self._me, self._slots) if joined else []

    def _make(self, group: bytes, kind: GroupItemKind, text: str = "", members: tuple[int, ...] = (),
              seconds: int = 0) -> GroupItem:  # fmt: skip
        return self._signed(self._draft(group, kind, text, members, seconds))

    def _draft(self, group: bytes, kind: GroupItemKind, text: str = "", members: tuple[int, ...] = (),
               seconds: int = 0) -> GroupItem:  # fmt: skip
        item_id, now = new_id(self._context.environment.random_bytes), self._context.now_ms()
        return GroupItem(group, kind, self._me, item_id, now, text, members, seconds)

    def _signed(self, item: GroupItem) -> GroupItem:
        return item.signed_by(self._context.account.identity, self._context.directory.chain_id)

    def _say(self, key: str, kind: GroupItemKind, seconds: int = 0) -> GroupItem:
        group = self._known(key)
        item = self._make(group.group, kind, seconds=seconds)
        self._store.history.mark_seen(key, _seen(item))
        self._backlog.note(item)
        self._pass_on(item, None)
        self._keep(group.after(item, self._me))
        if kind is GroupItemKind.TIMER:
            self._timers.set(key, seconds)
        return item

    def _pass_on(self, item: GroupItem, came_from: str | None, told: Collection[int] = ()) -> None:
        group = self._groups[item.group.hex()]
        data = encode_note(GroupNote(item.to_value()))
        for member in neighbours(group.members, self._me, self._slots):
            name = self._name(member)
            if name != came_from and member != item.author and member not in told:
                note = self._conversations.send_note(name, data)
                if item.author == self._me and item.kind is GroupItemKind.TEXT:
                    self._ways.begin_way(note.item_id, Delivery(item.key, _entry_id(item), name))

    def _ask_neighbours(self, key: str) -> None:
        for member in self._ring(self._known(key)):
            self._conversations.wish(self._name(member))

    def _log(self, item: GroupItem, expires: int, state: TextState | None) -> None:
        outgoing = item.author == self._me
        author = self._name(item.author)
        self._store.history.add_entry(
            LogEntry(
                item.key,
                _entry_id(item),
                EntryKind.TEXT,
                outgoing,
                author,
                item.text,
                item.sent_at_ms,
                state,
                expires,
            )
        )

    def _keep(self, group: Group) -> None:
        self._groups[group.group.hex()] = group
        self._store.set(_PREFIX + group.group.hex(), group.to_state())
        self._tell(group)

    def _tell(self, group: Group) -> None:
        names = tuple(sorted(map(self._name, group.members)))
        joined = frozenset(map(self._name, group.joined))
        founder = self._name(group.founder)
        self._events.append(GroupChanged(group.key, group.name, names, joined, founder, group.state))

    def _name(self, position: int) -> str:
        return self._context.directory.entries[position].name


def _entry_id(item: GroupItem) -> bytes:
    """Return an item's id in the log: nobody can take the place of another's by using its id."""
    return hashlib.sha256(_seen(item)).digest()[:16]


def _seen(item: GroupItem) -> bytes:
    """Return under what an item counts once: its author's word for it, so that nobody spoils another's."""
    return b"group item" + item.author.to_bytes(4) + item.item_id
