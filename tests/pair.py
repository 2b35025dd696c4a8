"""Alice and bob in memory: two real conversations, real dead drops, and a network a test owns.

No socket, no thread, no clock. A round is one call of ``Pair.play`` with a ``Fate``; what each side would
have on disk is JSON, and a restart goes through it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

from iirs.client.account.own_prekeys import OwnPrekeys
from iirs.client.chat_session import ChatSession
from iirs.client.conversation import Conversation
from iirs.client.conversation_values import InvitationPrekeys, Me, Posted
from iirs.client.invitations import Invitation
from iirs.client.store.log_entry import Fragment, Item, ItemKind
from iirs.client.sync import PATIENCE
from iirs.directory import Directory, Entry, Head
from iirs.errors import InvitationError
from iirs.geometry import PEER_MESSAGE_SIZE
from iirs.identity import Identity
from iirs.message import MessageContext
from iirs.prekey import Prekey, is_current
from iirs.server.deaddrop import DeadDropManager, DeaddropMessage

NAMES = ("alice", "bob")
ROUND_MS = 2000
INVITE_EVERY = 5
FIRST_ROUND = 1000
TALKING_AGAIN = PATIENCE + 2 * INVITE_EVERY + 3
"""Executed rounds after which two people talk, once the network is good (``docs/protocol.md`` section 10)."""


class Back(Enum):
    """What a side sees of a round's replies."""

    REPLIES = "replies"
    LOST = "lost"
    """The server says that the round was lost."""
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
    """Whether its upload reached the round."""
    blocked: tuple[bool, bool] = (False, False)
    """Which of its two onions somebody on the way took out."""
    back: Back = Back.REPLIES
    bundle: bool = True
    restarts: Moment | None = None
    does: Mapping[Moment, str] = field(default_factory=dict)
    """What the person does: ``want``, ``hang up``, ``quit``, ``say <bytes>``; ``discard`` happens to them."""


@dataclass(frozen=True)
class Fate:
    """What one round brings."""

    lots: tuple[Lot, Lot] = (Lot(), Lot())
    jump: int = 1


GOOD = Fate()


@dataclass(frozen=True)
class Sealed:
    """One peer message as it was posted."""

    side: int
    context: MessageContext
    content: bytes


@dataclass
class Record:
    """What happened in one round, as only a test can know."""

    number: int
    drops: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """For each side that posted to shared drops: their ids."""
    sealed: list[Sealed] = field(default_factory=list)
    executed: set[int] = field(default_factory=set)
    """The sides that took part, in shared drops or not."""
    heard: set[int] = field(default_factory=set)
    invited: set[int] = field(default_factory=set)
    """The sides whose invitation is in the bundle."""
    bundled: set[int] = field(default_factory=set)
    """The sides that saw the bundle."""
    accesses: Counter[bytes] = field(default_factory=Counter)
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


class Side:
    """One person's client as far as one conversation goes: what ``Engine`` does, without uploads."""

    def __init__(self, position: int) -> None:
        identities, self.directory = people()
        self.position = position
        self.identity = identities[position]
        self.period = 0
        self.own_prekeys = OwnPrekeys()
        self.own_prekeys.renew(self.period)
        self.known: Prekey | None = None
        """The peer's prekey, as far as this side has been shown."""
        self.peer = self.directory.entries[1 - position]
        self.now_ms = 0
        self.shown: list[str] = []
        self.said: list[str] = []
        self.history: set[bytes] = set()
        self.leaving = False
        self.disk: dict[str, str] = {}
        """What it would have on disk: JSON, of each kind of things."""
        self.conversation = self._make({})
        self.save()

    def _make(self, kept: dict[str, Any]) -> Conversation:
        me = Me(
            self.directory.entries[self.position],
            self.position,
            self.identity,
            self.directory,
            ROUND_MS,
            os.urandom,
            lambda: self.now_ms,
        )
        kept_items = kept.get("outbox", ())
        outbox = [Item(bytes.fromhex(i), ItemKind.TEXT, text.encode(), at) for i, text, at in kept_items]
        fragments = {
            int(number): Fragment(
                bytes.fromhex(item), index, count, ItemKind(kind), at, bytes.fromhex(payload)
            )
            for number, (item, index, count, kind, at, payload) in kept.get("fragments", {}).items()
        }
        chat = ChatSession(os.urandom, self._has, outbox, kept.get("chat"), fragments=fragments)
        return Conversation(me, self.peer, chat, kept.get("sync"))

    def _has(self, text_id: bytes) -> bool:
        return text_id in self.history

    @property
    def prekey(self) -> Prekey:
        """This side's newest prekey, signed: what the server shows."""
        public = self.own_prekeys.pairs[0].public_bytes
        return Prekey.create(self.identity, self.directory, self.position, self.period, public)

    @property
    def prekeys(self) -> InvitationPrekeys:
        usable = self.known is not None and is_current(self.known.period, self.period)
        return InvitationPrekeys(self.known if usable else None, self.own_prekeys.ids)

    def save(self) -> None:
        chat = self.conversation.chat
        kept = {
            "sync": self.conversation.to_state(),
            "chat": chat.to_state(),
            "fragments": {
                number: [
                    item.item_id.hex(),
                    item.index,
                    item.count,
                    item.kind,
                    item.sent_at_ms,
                    item.payload.hex(),
                ]
                for number, item in chat.fragments().items()
            },
            "outbox": [[item.item_id.hex(), item.text, item.sent_at_ms] for item in chat.outbox],
            "history": [text_id.hex() for text_id in self.history],
            "shown": self.shown,
        }
        self.disk = {name: json.dumps(value) for name, value in kept.items()}

    def restart(self, *, discard: bool = False) -> None:
        """Begin again from what was on disk; ``discard`` the keys, as when they were used elsewhere."""
        kept = {name: json.loads(value) for name, value in self.disk.items()}
        if discard:
            kept["sync"] = None
        self.history = {bytes.fromhex(text_id) for text_id in kept["history"]}
        self.shown = kept["shown"]
        self.conversation = self._make(kept)
        self.save()

    @property
    def gone(self) -> bool:
        """Whether the program has ended: asked to quit, it waits until nobody is left alone."""
        return self.leaving and self.conversation.is_settled

    def do(self, what: str) -> None:
        if what == "want":
            self.conversation.want()
        elif what in {"hang up", "quit"}:
            self.conversation.hang_up()
            self.leaving = what == "quit"
        elif what == "discard":
            self.restart(discard=True)
            self.conversation.want()
        else:
            text = f"{len(self.said)}:".ljust(int(what.removeprefix("say ")), "x")
            self.said.append(text)
            self.conversation.chat.send(text, self.now_ms)
        self.save()

    def gather(self, number: int, posted: Posted, replies: list[bytes] | None) -> bool:
        gathered = self.conversation.gather(number, posted, replies)
        for text in gathered.arrived:
            assert text.item_id not in self.history, "the store would refuse it"
            self.history.add(text.item_id)
            self.shown.append(text.text)
        self.save()
        return gathered.heard

    def take_bundle(self, number: int, bundle: frozenset[bytes]) -> list[bool]:
        """Meet everybody in the bundle; return what ``meet`` said of each."""
        met = []
        for sealed in sorted(bundle):
            try:
                entry = self.directory.entries[self.position]
                _, theirs = Invitation.open(sealed, self.directory, self.own_prekeys.pairs, entry, number)
            except InvitationError:
                continue
            met.append(self.conversation.meet(theirs, bundle))
        self.save()
        return met


@dataclass
class _Upload:
    posted: Posted | None
    invitation: bytes | None


class Pair:
    """Alice (0), bob (1), and the rounds between them."""

    def __init__(self, invite_every: int = INVITE_EVERY) -> None:
        self.sides = (Side(0), Side(1))
        for side, peer in zip(self.sides, reversed(self.sides), strict=True):
            side.known = peer.prekey
        self.number = FIRST_ROUND
        self.executed = 0
        self.invite_every = invite_every
        self.records: list[Record] = []
        self.watch: Callable[[Record], object] | None = None
        head = people()[1]
        self._head = Head(len(head), head.digests[-1], b"")

    @property
    def last(self) -> Record:
        return self.records[-1]

    def want(self) -> None:
        """Both ask for each other, alice first: she becomes the generator."""
        for side in self.sides:
            side.now_ms += side.position
            side.do("want")

    def talk(self, rounds: int = 20) -> None:
        """Both ask, and rounds go by until both have heard each other."""
        self.want()
        for _ in range(rounds):
            if self.play().heard == {0, 1}:
                return
        raise AssertionError("the two did not come together")

    def run(self, rounds: int, fate: Fate = GOOD) -> list[Record]:
        """Play rounds of one kind; return their records."""
        return [self.play(fate) for _ in range(rounds)]

    def play(self, fate: Fate = GOOD) -> Record:
        """Execute one round."""
        self.number += fate.jump
        self.executed += 1
        record = Record(self.number)
        self.records.append(record)
        self._happens(Moment.BEFORE, fate)
        uploads = [self._upload(side, lot, record) for side, lot in zip(self.sides, fate.lots, strict=True)]
        self._steal(record)
        self._happens(Moment.UPLOADED, fate)
        replies, bundle = self._serve(uploads, fate, record)
        returning = [index for index in (0, 1) if self._gets_back(index, fate.lots[index])]
        for index in returning:
            posted = uploads[index].posted
            if posted is not None:
                lost = fate.lots[index].back is Back.LOST
                answer = None if lost else replies[index]
                if self.sides[index].gather(self.number, posted, answer):
                    record.heard.add(index)
        self._happens(Moment.REPLIED, fate)
        for index in returning:
            lot = fate.lots[index]
            cut_off = self.sides[index].gone or lot.restarts is Moment.REPLIED
            if self._invites and lot.bundle and not cut_off:
                record.bundled.add(index)
                self.sides[index].take_bundle(self.number, bundle)
        self._happens(Moment.AFTER, fate)
        self._steal(record)
        if self.watch is not None:
            self.watch(record)
        return record

    @property
    def _invites(self) -> bool:
        return self.executed % self.invite_every == self.invite_every - 1

    def _happens(self, moment: Moment, fate: Fate) -> None:
        for side, lot in zip(self.sides, fate.lots, strict=True):
            side.now_ms = self.number * ROUND_MS - 2 + side.position  # the earlier start makes the generator
            if lot.restarts is moment:
                side.restart()
            if moment in lot.does and not side.leaving:
                side.do(lot.does[moment])

    def _upload(self, side: Side, lot: Lot, record: Record) -> _Upload:
        conversation = side.conversation
        if not lot.online or side.gone or not conversation.needs_slot:
            return _Upload(None, None)
        record.executed.add(side.position)
        posted = conversation.prepare(self.number, self._head)
        invitation = conversation.invitation(self.number, side.prekeys) if self._invites else None
        side.save()
        if posted is not None:
            record.drops[side.position] = posted.keys.drop_ids
            for context, sealed in zip(posted.keys.contexts_out, posted.sealed, strict=True):
                record.sealed.append(Sealed(side.position, context, sealed))
        return _Upload(posted, invitation)

    def _serve(
        self, uploads: list[_Upload], fate: Fate, record: Record
    ) -> tuple[list[list[bytes]], frozenset[bytes]]:
        requests: list[DeaddropMessage] = []
        places: list[tuple[int, int]] = []
        for index, (upload, lot) in enumerate(zip(uploads, fate.lots, strict=True)):
            if upload.posted is None or not lot.in_time:
                continue
            for drop, drop_id in enumerate(upload.posted.keys.drop_ids):
                if not lot.blocked[drop]:
                    requests.append(DeaddropMessage(drop_id, upload.posted.sealed[drop]))
                    places.append((index, drop))
        record.accesses = Counter(request.drop_id for request in requests)
        # What was blocked comes back as random bytes of the right size.
        replies = [[os.urandom(PEER_MESSAGE_SIZE) for _ in range(2)] for _ in range(2)]
        answers = DeadDropManager(os.urandom).handle_messages(requests)
        for (index, drop), answer in zip(places, answers, strict=True):
            replies[index][drop] = answer
        bundle = set()
        for index, (upload, lot) in enumerate(zip(uploads, fate.lots, strict=True)):
            if upload.invitation is not None and lot.in_time:
                record.invited.add(index)
                bundle.add(upload.invitation)
        return replies, frozenset(bundle)

    def _gets_back(self, index: int, lot: Lot) -> bool:
        cut_off = lot.back is Back.NOTHING or lot.restarts is Moment.UPLOADED or self.sides[index].gone
        return lot.online and lot.in_time and not cut_off

    def _steal(self, record: Record) -> None:
        for side in self.sides:
            sync = json.loads(side.disk["sync"])["sync"]
            if sync is not None:
                record.stolen.append({"side": side.position, "sync": sync})
