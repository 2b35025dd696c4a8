"""Alice and bob in memory: two real conversations, real dead drops, and a network a test owns.

No socket, no thread, no clock, no hop: circuits end where they begin. A round is one call of ``Pair.play``
with a ``Fate``; what each side would have on disk is JSON, and a restart goes through it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from iirs.client.account.own_prekeys import OwnPrekeys
from iirs.client.chat_session import ChatSession
from iirs.client.conversation import Conversation
from iirs.client.conversation_values import InvitationPrekeys, Me
from iirs.client.departure import Departure
from iirs.client.invitations import Invitation
from iirs.client.open_round import Epoch, OpenRound
from iirs.client.store.log_entry import Fragment, Item, ItemKind
from iirs.client.sync import patience_for
from iirs.directory import Head
from iirs.errors import InvitationError
from iirs.geometry import CELL_SIZE, CIRCUITS_PER_SLOT, Geometry
from iirs.onion import RoundContext
from iirs.prekey import Prekey, is_current
from iirs.server.announcer import carries_invitations
from iirs.server.deaddrop import DeadDropManager
from iirs.suite import SUITES
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, RoundFlags, RoundStatus
from tests.pair_values import (
    FIRST_ROUND,
    GOOD,
    INVITE_EVERY,
    ROUND_MS,
    Back,
    Fate,
    Lot,
    Moment,
    Record,
    Sealed,
    people,
    talking_again,
)

_GEOMETRY = Geometry(SUITES["X25519"], 1, 1)


class Side:
    """One person's client as far as one slot goes: what ``Engine`` does, without an entry channel."""

    def __init__(self, position: int, epoch_rounds: int = 1) -> None:
        identities, self.directory = people()
        self.position = position
        self.epoch_rounds = epoch_rounds
        self.epoch: Epoch | None = None
        """Its circuits: in memory only."""
        self.round: OpenRound | None = None
        self.last_announced = FIRST_ROUND
        self.cut_off = False
        """Whether it has to log in before it hears of another round."""
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
        self.departure: Departure | None = None
        self._kept: dict[str, Any] = {}
        self.conversation = self._make({})
        self.save()

    def _make(self, kept: dict[str, Any]) -> Conversation:
        me = Me(
            self.directory.entries[self.position],
            self.position,
            self.identity,
            self.directory,
            ROUND_MS,
            patience_for(self.epoch_rounds),
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
        self._kept = {
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
            "shown": list(self.shown),
        }

    @property
    def disk(self) -> str:
        """What was kept last."""
        return json.dumps(self._kept)

    @property
    def kept_sync(self) -> dict[str, Any] | None:
        """The keys in it."""
        sync: dict[str, Any] | None = self._kept["sync"]["sync"]
        return sync

    def restart(self, *, discard: bool = False) -> None:
        """Begin again from what was on disk; ``discard`` the keys, as when they were used elsewhere."""
        kept = json.loads(self.disk)  # through what a disk can hold
        if discard:
            kept["sync"] = None
        self.history = {bytes.fromhex(text_id) for text_id in kept["history"]}
        self.shown = kept["shown"]
        self.conversation = self._make(kept)
        self.epoch, self.cut_off = None, True
        self.save()

    def log_in(self) -> None:
        """Begin a session, if the last is over; circuits are still there unless the program was restarted."""
        if self.cut_off:
            self.conversation.lose_agreement()
            self.cut_off = False

    @property
    def leaving(self) -> bool:
        """Whether the person has quit."""
        return self.departure is not None

    @property
    def gone(self) -> bool:
        """Whether the program has ended: after as many rounds as it takes for everybody."""
        return self.departure is not None and self.departure.is_over

    def do(self, what: str) -> None:
        if what == "want":
            self.conversation.want()
        elif what in {"hang up", "quit"}:
            self.conversation.hang_up()
            if what == "quit":
                self.departure = Departure(self.last_announced, self.epoch_rounds)
        elif what == "discard":
            self.restart(discard=True)
            self.conversation.want()
        else:
            text = f"{len(self.said)}:".ljust(int(what.removeprefix("say ")), "x")
            self.said.append(text)
            self.conversation.chat.send(text, self.now_ms)
        self.save()

    def announce(self, shown: Announcement) -> None:
        """Take in that a round begins."""
        if self.epoch is not None and self.epoch.setup_round != shown.setup_round:
            self.epoch = None
        self.round = OpenRound(RoundContext(bytes(32), shown.round_number, bytes(32)), shown, [], self.epoch)
        self.last_announced = shown.round_number
        self.conversation.catch_up(shown.round_number)
        if self.departure is not None:
            self.departure.tick(shown)

    def upload(self) -> Upload:
        """Return what goes out in the round that was announced; all it takes is on the disk."""
        assert self.round is not None
        shown = self.round.announcement
        active = [self.conversation] if self.conversation.needs_slot else []
        drop_ids = self.round.fill(active, 1, os.urandom)
        invitation = None
        if active and shown.has_invitations:
            invitation = self.conversation.invitation(shown.round_number, self.prekeys)
        setups = self.round.set_up(drop_ids, _GEOMETRY, os.urandom) if shown.is_setup else []
        self.epoch = self.round.epoch or self.epoch
        self.save()
        return Upload(self.round, setups, self.round.cells(), invitation)

    def gather(self, status: RoundStatus, cells: list[bytes]) -> bool:
        """Take in what came back; return whether the peer was heard."""
        assert self.round is not None
        if status is RoundStatus.NO_CIRCUITS and self.round.epoch is not None:
            self.round.epoch.refused = True
        answers = cells if status in (RoundStatus.DONE, RoundStatus.MISSING) else None
        heard = False
        for used in self.round.slots:
            if isinstance(used, tuple):
                gathered = self.conversation.gather(self.round.context.round_number, used[1], answers)
                heard = gathered.heard
                for text in gathered.arrived:
                    assert text.item_id not in self.history, "the store would refuse it"
                    self.history.add(text.item_id)
                    self.shown.append(text.text)
        self.save()
        return heard

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
class Upload:
    """What one side sends in one round."""

    round: OpenRound
    setups: list[bytes]
    """The drop ids: what is inside the onions at the end of the chain."""
    cells: list[bytes]
    invitation: bytes | None


class Pair:
    """Alice (0), bob (1), and the rounds between them."""

    def __init__(self, invite_every: int = INVITE_EVERY, epoch_rounds: int = 1) -> None:
        self.sides = (Side(0, epoch_rounds), Side(1, epoch_rounds))
        for side, peer in zip(self.sides, reversed(self.sides), strict=True):
            side.known = peer.prekey
        self.number = FIRST_ROUND
        self.executed = 0
        self.invite_every = invite_every
        self.epoch_rounds = epoch_rounds
        self.patience = patience_for(epoch_rounds)
        self.records: list[Record] = []
        self.watch: Callable[[Record], object] | None = None
        self._setup_round = FIRST_ROUND - epoch_rounds
        self._drops: DeadDropManager | None = None
        """The circuits of the epoch; none: the next round sets up others."""
        self._places: dict[int, int] = {}
        """Where a side's circuits begin, in the order of the setup."""
        self._dead: set[int] = set()
        """The places whose onions were taken out."""
        self._since_bundle = 2
        head = people()[1]
        self._head = Head(len(head), head.digests[-1], b"")

    @property
    def last(self) -> Record:
        return self.records[-1]

    @property
    def into(self) -> int:
        """How many rounds after its setup round the last round was."""
        return self.number - self._setup_round

    @property
    def next_setup(self) -> int:
        """The setup round that is due next."""
        return self._setup_round + self.epoch_rounds

    def want(self) -> None:
        """Both ask for each other, alice first: she becomes the generator."""
        for side in self.sides:
            side.now_ms += side.position
            side.do("want")

    def talk(self, rounds: int = 0) -> None:
        """Both ask, and rounds go by until both have heard each other."""
        self.want()
        for _ in range(rounds or talking_again(self.epoch_rounds, self.invite_every)):
            if self.play().heard == {0, 1}:
                return
        raise AssertionError("the two did not come together")

    def run(self, rounds: int, fate: Fate = GOOD) -> list[Record]:
        """Play rounds of one kind; return their records."""
        return [self.play(fate) for _ in range(rounds)]

    def play_epoch(self, fate: Fate = GOOD) -> list[Record]:
        """Play a setup round, due or forced, as ``fate`` says, and then what is left of the epoch."""
        return [self.play(replace(fate, forced=True)), *self.run(self.epoch_rounds - 1)]

    def shown(self, fate: Fate = GOOD) -> Announcement:
        """Return how the next round is announced."""
        number = self.number + fate.jump
        is_due = self._drops is None or number >= self._setup_round + self.epoch_rounds
        setup_round = number if fate.forced or is_due else self._setup_round
        invites = carries_invitations(
            number - setup_round, self._since_bundle, self.epoch_rounds, self.invite_every
        )
        flags = RoundFlags.INVITE if invites else RoundFlags.NONE
        return Announcement(
            NOTHING_BEFORE, number, setup_round, flags, 1000, self.invite_every, 2, (), self._head, 0, ()
        )

    def play(self, fate: Fate = GOOD) -> Record:
        """Execute one round."""
        shown = self.shown(fate)
        self.number, self._setup_round = shown.round_number, shown.setup_round
        self.executed += 1
        record = Record(self.number, shown.is_setup)
        self.records.append(record)
        self._happens(Moment.BEFORE, fate)
        uploads = [
            self._upload(side, lot, shown, record) for side, lot in zip(self.sides, fate.lots, strict=True)
        ]
        self._steal(record)
        self._happens(Moment.UPLOADED, fate)
        replies, bundle = self._serve(uploads, shown, fate, record)
        self._since_bundle = 1 if shown.has_invitations else self._since_bundle + 1
        for index, lot in enumerate(fate.lots):
            if self._gets_back(index, lot):
                status, cells = replies[index]
                lost = fate.lost or lot.back is Back.LOST
                if self.sides[index].gather(RoundStatus.LOST if lost else status, cells):
                    record.heard.add(index)
        self._happens(Moment.REPLIED, fate)
        if shown.has_invitations and not fate.lost:
            for index, lot in enumerate(fate.lots):
                self._give_bundle(index, lot, bundle, record)
        self._happens(Moment.AFTER, fate)
        self._steal(record)
        if self.watch is not None:
            self.watch(record)
        return record

    def _give_bundle(self, index: int, lot: Lot, bundle: frozenset[bytes], record: Record) -> None:
        side = self.sides[index]
        if side.gone:
            return
        if not side.cut_off and lot.online and lot.bundle and lot.back is Back.REPLIES:
            record.bundled.add(index)
            side.take_bundle(self.number, bundle)
        else:  # the next announcement names a bundle that did not come
            side.cut_off = True

    def _happens(self, moment: Moment, fate: Fate) -> None:
        for side, lot in zip(self.sides, fate.lots, strict=True):
            side.now_ms = self.number * ROUND_MS - 2 + side.position  # the earlier start makes the generator
            if lot.restarts is moment:
                side.restart()
            if moment in lot.does and not side.leaving:
                side.do(lot.does[moment])

    def _upload(self, side: Side, lot: Lot, shown: Announcement, record: Record) -> Upload | None:
        if not lot.online:
            side.cut_off = True
        if not lot.online or side.gone:
            return None
        side.log_in()
        side.announce(shown)
        if side.gone:
            return None
        upload = side.upload()
        record.executed.add(side.position)
        for used in upload.round.slots:
            if isinstance(used, tuple):
                posted = used[1]
                record.talking.add(side.position)
                if shown.is_setup:
                    record.drops[side.position] = posted.keys.drop_ids
                record.sealed += [
                    Sealed(side.position, *each)
                    for each in zip(
                        posted.keys.contexts_out, posted.keys.keys_out, posted.sealed, strict=True
                    )
                ]
        return upload

    def _serve(
        self, uploads: list[Upload | None], shown: Announcement, fate: Fate, record: Record
    ) -> tuple[list[tuple[RoundStatus, list[bytes]]], frozenset[bytes]]:
        in_time = {
            index: upload
            for index, upload in enumerate(uploads)
            if upload is not None and fate.lots[index].in_time
        }
        if shown.is_setup:
            self._set_up(in_time, fate, record)
        cells = {
            place: os.urandom(CELL_SIZE) for first in self._places.values() for place in (first, first + 1)
        }
        for index, upload in in_time.items():
            for circuit, cell in enumerate(upload.cells):
                if index in self._places and not fate.lots[index].blocked[circuit]:
                    cells[self._places[index] + circuit] = cell
        alive = sorted(cells.keys() - self._dead)
        answers = {place: os.urandom(CELL_SIZE) for place in cells}
        if self._drops is not None:
            back = self._drops.handle_messages([cells[place] for place in alive])
            answers.update(zip(alive, back, strict=True))
        bundle = set()
        for index, upload in in_time.items():
            if upload.invitation is not None:
                record.invited.add(index)
                bundle.add(upload.invitation)
        return [self._replies(index, index in in_time, answers) for index in (0, 1)], frozenset(bundle)

    def _set_up(self, in_time: dict[int, Upload], fate: Fate, record: Record) -> None:
        self._places, self._dead, drop_ids = {}, set(), []
        for place, (index, upload) in enumerate(in_time.items()):
            self._places[index] = place * CIRCUITS_PER_SLOT
            for circuit, drop_id in enumerate(upload.setups):
                if fate.lots[index].cut[circuit]:
                    self._dead.add(self._places[index] + circuit)
                else:
                    drop_ids.append(drop_id)
        record.accesses = Counter(drop_ids)
        self._drops = None if fate.lost else DeadDropManager(os.urandom)
        if self._drops is None:
            self._places = {}
        else:
            self._drops.set_up(drop_ids)

    def _replies(
        self, index: int, in_time: bool, answers: dict[int, bytes]
    ) -> tuple[RoundStatus, list[bytes]]:
        first = self._places.get(index)
        if first is None:
            return RoundStatus.NO_CIRCUITS, [os.urandom(CELL_SIZE) for _ in range(CIRCUITS_PER_SLOT)]
        status = RoundStatus.DONE if in_time else RoundStatus.MISSING
        return status, [answers[first + circuit] for circuit in range(CIRCUITS_PER_SLOT)]

    def _gets_back(self, index: int, lot: Lot) -> bool:
        side = self.sides[index]
        if lot.back is Back.NOTHING:
            side.cut_off = True
        return lot.online and not side.cut_off and not side.gone

    def _steal(self, record: Record) -> None:
        for side in self.sides:
            if side.kept_sync is not None:
                record.stolen.append({"side": side.position, "sync": side.kept_sync})
