"""A peer whose keys are right and who says anything: it is opened, known to be his, and hostile.

Alice's engine runs over rounds that the fuzzer's bob shares with her: texts, files, groups, timers, pieces,
receipts and renewals, in any order, repeated, cut short, over lost rounds, long gaps and restarts. Nothing
may come out of the engine but one upload of one size a round; the store stays whole; what alice and carol
have said is as it was; and what is kept stays within bounds. ``check`` is for the fuzzer and for tests alike.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

from fuzz.world import NAMES, Choices, chain_keys, directory, person
from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.chat_session import FILE_MAX
from iirs.client.conversation import Conversation
from iirs.client.conversation_values import Gathered
from iirs.client.engine import Engine
from iirs.client.events import Event, FileAdded, GroupChanged, GroupState, TransferChanged
from iirs.client.messenger.file_transfer import parts_of
from iirs.client.messenger.files import COMING_MAX
from iirs.client.messenger.group_item import GroupItem, GroupItemKind
from iirs.client.messenger.groups import INVITED_MAX
from iirs.client.messenger.notes import FileOffer, FileStop, GroupNote, TimerNote, encode_note
from iirs.client.store.log_entry import FileInfo, Item, ItemKind, LogEntry, TransferState
from iirs.client.store.store import ClientStore
from iirs.client.sync import DeadDropSync, RoundKeys, patience_for
from iirs.errors import AccountError, PeerMessageError, StoreError
from iirs.geometry import CIRCUITS_PER_SLOT, PEER_MESSAGE_SIZE, PREKEY_SIZE, VAULT_SIZE, BatchKind
from iirs.message import (
    PAYLOAD_MAX,
    ContentKind,
    Direction,
    Message,
    MessageKind,
    PeerMessage,
    RenewalPhase,
)
from iirs.onion import EntryChannel, RoundContext, channel_period
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import (
    NOTHING_BEFORE,
    Announcement,
    Replies,
    RoundFlags,
    RoundStatus,
    Upload,
    announcement_hash,
)

KEYS = chain_keys(1)
CHAIN, GEOMETRY = KEYS.chain, KEYS.chain.geometry
PEOPLE = directory(KEYS, *NAMES)
HEAD = KEYS.head(PEOPLE)
_PROOFS = (HEAD.encode(), KEYS.sign_head(2, bytes(32)).encode(), b"no")
"""The second is signed by the same hops, of another list of people: it raises the alarm."""
ALICE, BOB, CAROL, DAVE = range(4)
FIRST_ROUND = 1000
PATIENCE = patience_for(CHAIN.epoch_rounds)
_STEPS_MAX = 64
_ROUNDS_MAX = 48
"""So long does an input go on; a round takes milliseconds."""
_EVENTS_MAX = 1000
"""What one round may have to tell: a fragment that was held back lets go of a window full of items."""
_ROWS_A_STEP = 200
"""Rows of the store that one step of an input may add, at most."""


class Bob:
    """What bob says, and what he has heard; his keys step as an honest peer's do."""

    def __init__(self, choices: Choices, role: Direction) -> None:
        self._choices = choices
        self._sync = DeadDropSync.start(bytes(32), role, FIRST_ROUND, PATIENCE)
        self._stream: list[PeerMessage] = []
        """Fragments, numbered as an honest peer would."""
        self._next = 0
        self._heard: set[int] = set()
        self._groups: list[GroupItem] = []

    # -- what he writes -------------------------------------------------------------------------------------

    def write(self, kind: ContentKind, item_id: bytes, data: bytes) -> None:
        """Add an item to the stream, whole."""
        pieces = [data[start : start + PAYLOAD_MAX] for start in range(0, len(data), PAYLOAD_MAX)] or [b""]
        for number, piece in enumerate(pieces):
            self._add(
                PeerMessage(kind=kind, text_id=item_id, fragment=number, fragments=len(pieces), payload=piece)
            )

    def _add(self, message: PeerMessage) -> None:
        self._stream.append(
            replace(message, sequence=len(self._stream), sent_at_ms=self._choices.below(4) * 10**6)
        )

    def text(self) -> None:
        size = self._choices.one_of((0, 5, PAYLOAD_MAX, PAYLOAD_MAX + 1, 3000))
        self.write(ContentKind.TEXT, self._id(), self._choices.take(8)[:size].ljust(size, b"x"))

    def note(self, data: bytes) -> None:
        self.write(ContentKind.NOTE, self._id(), data)

    def _id(self) -> bytes:
        """Return an id: a new one, or one of a few, so that some come twice."""
        chosen = self._choices.below(8)
        return hashlib.sha256(b"%d" % len(self._stream)).digest()[:16] if chosen < 6 else bytes([chosen]) * 16

    def offer(self) -> None:
        file_id, data = self._file()
        digest = hashlib.sha256(data).digest() if self._choices.below(8) < 7 else bytes(32)
        name = self._choices.take(self._choices.below(12)).decode("utf-8", "replace")
        self.note(encode_note(FileOffer(FileInfo(file_id, name, len(data), digest))))

    def part(self) -> None:
        """One piece of a file, the right one or another; or all of it, in order."""
        file_id, data = self._file()
        parts = parts_of(len(data))
        chosen = self._choices.below(16)
        numbers = range(min(parts, 8)) if chosen == 0 else [chosen % parts]
        for number in numbers:
            piece = data[number * PAYLOAD_MAX : (number + 1) * PAYLOAD_MAX]
            claimed = parts if self._choices.below(8) < 7 else self._choices.number(2)
            piece = piece if self._choices.below(8) < 7 else piece[:-1]
            self._add(
                PeerMessage(
                    kind=ContentKind.PART, text_id=file_id, fragment=number, fragments=claimed, payload=piece
                )
            )

    def _file(self) -> tuple[bytes, bytes]:
        number = self._choices.below(24)
        size = (1, 300, PAYLOAD_MAX, PAYLOAD_MAX + 1, 3 * PAYLOAD_MAX, FILE_MAX)[number % 6]
        return b"file" + bytes([number]) * 12, bytes([number]) * size

    def stop(self, theirs: list[bytes]) -> None:
        file_id = self._choices.one_of(theirs) if theirs and self._choices.below(2) else self._file()[0]
        self.note(encode_note(FileStop(file_id)))

    def timer(self) -> None:
        self.note(encode_note(TimerNote(self._choices.one_of((0, 1, 2, 60, 3600, 10**6, 366 * 24 * 3600)))))

    def group(self) -> None:
        """A group's item by anybody who is in league with bob, or one that has been seen already."""
        choices = self._choices
        kind = choices.one_of(tuple(GroupItemKind))
        author = choices.one_of((BOB, CAROL, DAVE))
        if kind is GroupItemKind.FOUND or not self._groups:
            members = choices.one_of(((0, 1), (0, 1, 2), (0, 1, 2, 3), (1, 2), (0, 2, 3)))
            name = choices.take(choices.below(6)).decode("utf-8", "replace") or "friends"
            draft = GroupItem(b"", GroupItemKind.FOUND, author, self._item_id(), 5, name, members)
            item = draft.founding(CHAIN.chain_id)
            self._groups.append(item)
        else:
            founding = choices.one_of(self._groups)
            text = "x" * choices.one_of((1, 0, 2000)) if kind is GroupItemKind.TEXT else ""
            seconds = choices.one_of((0, 1, 3600)) if kind is GroupItemKind.TIMER else 0
            item = GroupItem(founding.group, kind, author, self._item_id(), 6, text, (), seconds)
        signed = item.signed_by(person(NAMES[author]), CHAIN.chain_id)
        self.note(encode_note(GroupNote(signed.to_value())))

    def _item_id(self) -> bytes:
        return self._choices.below(64).to_bytes(16)

    # -- what he leaves in the drops ------------------------------------------------------------------------

    def replies(self, number: int, sealed: list[bytes], how: int) -> list[bytes]:
        """Return what alice gets for what she left: bob's messages, in order or ``how`` the input says."""
        try:
            keys = self._sync.take_round(number, sets_up=True)
        except StoreError:  # too long ago: neither of the two has keys for it
            return sealed
        self._hear(number, sealed, keys)
        messages = [self._message(how) for _ in range(CIRCUITS_PER_SLOT)]
        stamped = [self._sync.stamp(replace(message, **self._receipt())) for message in messages]
        if how == 2:
            stamped = [self._crafted(message) for message in stamped]
        replies = [
            message.seal(key, context, person("bob"), Random(number).randbytes)
            for message, key, context in zip(stamped, keys.keys_out, keys.contexts_out, strict=True)
        ]
        if how == 3:
            place = self._choices.below(CIRCUITS_PER_SLOT)
            replies[place] = self._choices.one_of(
                (sealed[place], bytes(PEER_MESSAGE_SIZE), replies[1 - place])
            )
        return replies

    def _hear(self, number: int, sealed: list[bytes], keys: RoundKeys) -> None:
        for reply, key, context in zip(sealed, keys.keys_in, keys.contexts_in, strict=True):
            with suppress(PeerMessageError):
                message = PeerMessage.open(reply, key, context, PEOPLE.entries[ALICE].verify_key)
                self._sync.heard(number, message)
                if message.kind in {ContentKind.TEXT, ContentKind.NOTE, ContentKind.PART}:
                    self._heard.add(message.sequence)

    def _message(self, how: int) -> PeerMessage:
        if how == 1 and self._stream:
            return self._stream[self._choices.number() % len(self._stream)]
        if self._next < len(self._stream):
            self._next += 1
            return self._stream[self._next - 1]
        return PeerMessage()

    def _receipt(self) -> dict[str, Any]:
        first = next(number for number in range(len(self._heard) + 1) if number not in self._heard)
        bits = sum(1 << number - first - 1 for number in self._heard if 0 < number - first <= 64)
        return {"acknowledged": first, "acknowledged_bits": bits}

    def _crafted(self, message: PeerMessage) -> PeerMessage:
        """Return a message with some fields as no honest peer would fill them in."""
        choices = self._choices
        near, far = max(0, self._next + choices.below(80) - 5), 2**64 - 1
        fields: tuple[Callable[[], dict[str, Any]], ...] = (
            lambda: {"sequence": choices.one_of((near, near, near, far))},
            lambda: {"acknowledged": choices.number(), "acknowledged_bits": choices.number(8)},
            lambda: {"kind": choices.one_of(tuple(ContentKind))},
            lambda: {"fragment": choices.number(2), "fragments": choices.number(2)},
            lambda: {"text_id": choices.take(1).ljust(16, b"\6")},
            lambda: {"payload": choices.take(choices.number())},
            lambda: {"renewal_phase": choices.one_of(tuple(RenewalPhase))},
            lambda: {"renewal_round": choices.number(8)},
            lambda: {"renewal_key": choices.take(1).ljust(32, b"\0")},
            lambda: {"end_round": choices.number(8)},
            lambda: {"head_length": choices.below(6), "head_hash": bytes(32)},
            lambda: {"kind": ContentKind.HEAD_PROOF, "payload": choices.one_of(_PROOFS)},
        )
        for _ in range(choices.below(4)):
            message = replace(message, **choices.one_of(fields)())
        return message


class Alice:
    """Her engine, the entry it talks to, and what it must never do."""

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._random = Random(0)
        self._number = FIRST_ROUND - 1
        self._history = NOTHING_BEFORE
        self._store = ClientStore(":memory:", bytes(32))
        self.rounds = 0
        self._prekey_due = True
        self._groups: dict[str, GroupState] = {}
        self._coming: set[bytes] = set()
        self._begin()
        role = Direction(choices.below(2))
        self.bob = Bob(choices, Direction(1 - role))
        self.engine.slots.ask("bob")
        self.engine.slots.ask("carol")
        conversation = self.engine.slots.conversations["bob"]
        conversation.sync = DeadDropSync.start(bytes(32), role, FIRST_ROUND, PATIENCE)
        conversation.chat.begin(conversation.sync.conversation)
        self._said_to_carol = [self.engine.messenger.send("carol", "only for you")]
        item = Item(b"c" * 16, ItemKind.TEXT, b"and for you", 1)
        carol = self.engine.slots.conversations["carol"]
        self.engine.messenger.take_in(carol, Gathered(True, False, (item,), ()))
        self.engine.messenger.work()
        self.engine.slots.save_all()

    def _begin(self) -> None:
        account = Account("alice", CHAIN, person("alice"), b"")
        environment = Environment(lambda: max(self._number, FIRST_ROUND) * 2.0, self._random.randbytes)
        self.engine = Engine(account, self._store, environment)
        self._log_in()

    def _log_in(self) -> None:
        self._channel = EntryChannel(bytes(32), b"", 0)
        record = AccountRecord(ALICE, 0, bytes(VAULT_SIZE))
        entries = [entry.raw for entry in PEOPLE.entries]
        start = SessionStart(record, EntryChannel(bytes(32), b"", 0), HEAD, entries, b"", [])
        self.engine.begin_session(start)
        self._prekey_due = True

    # -- rounds ---------------------------------------------------------------------------------------------

    def play(self, how: int = 0, status: RoundStatus = RoundStatus.DONE, jump: int = 1) -> None:
        """Run one round; what leaves must not depend on what has come."""
        self._prekey_due |= CHAIN.period(self._number) != CHAIN.period(self._number + jump)
        self._number += jump
        self.rounds += 1
        announced = Announcement(
            self._history, self._number, self._number, RoundFlags.NONE, CHAIN.round_ms, 1000, 1, (bytes(32),),
            HEAD, len(PEOPLE), (),
        ).encode()  # fmt: skip
        self._history = announcement_hash(announced)
        context = RoundContext(CHAIN.chain_id, self._number, self._history)
        self.engine.open_round(announced)
        conversation = self.engine.slots.conversation("bob")
        written = self.engine.build_upload()
        self._check_written(written)
        place = self._slot_of(conversation)
        assert self.engine.build_upload() == [], "a second upload"
        self._channel.advance(channel_period(self._number))
        cells = self._cells(written[-1], context)
        replies = [cells[index ^ 1] for index in range(len(cells))]  # as dead drops swap cover
        if place is not None:
            start = place * CIRCUITS_PER_SLOT
            own = cells[start : start + CIRCUITS_PER_SLOT]
            replies[start : start + CIRCUITS_PER_SLOT] = self.bob.replies(self._number, own, how)
        sealed = [self._channel.seal_down(context, index, reply) for index, reply in enumerate(replies)]
        self.engine.close_round(Replies(self._number, status, tuple(sealed)))
        self._prekey_due = status is RoundStatus.MISSING
        self._take(self.engine.take_events())

    def play_on(self, rounds: int) -> None:
        for _ in range(min(rounds, _ROUNDS_MAX - self.rounds)):
            self.play()

    def _slot_of(self, conversation: Conversation | None) -> int | None:
        """Return the slot whose circuits lead to a conversation's drops: that is drawn anew at each setup."""
        slots = [] if self.engine._round is None else self.engine._round.slots
        places = (n for n, used in enumerate(slots) if isinstance(used, tuple) and used[0] is conversation)
        return next(places, None)

    def _cells(self, upload: Message, context: RoundContext) -> list[bytes]:
        cells = Upload.decode(upload.body, {}, GEOMETRY).cells
        return [self._channel.open_up(context, BatchKind.CELL, n, cell) for n, cell in enumerate(cells)]

    def _check_written(self, written: list[Message]) -> None:
        shape = [(message.kind, len(message.body)) for message in written]
        expected = [
            (MessageKind.SETUP, GEOMETRY.setup_size),
            (MessageKind.UPLOAD, GEOMETRY.upload_size),
        ]
        if self._prekey_due:
            expected.insert(0, (MessageKind.PREKEY, PREKEY_SIZE))
        assert shape == expected, "an upload that is not like all others"

    def _take(self, events: list[Event]) -> None:
        assert len(events) <= _EVENTS_MAX, "a round that has too much to tell"
        for event in events:
            match event:
                case GroupChanged():
                    self._groups[event.key] = event.state
                case FileAdded(entry) if not entry.outgoing:
                    self._coming.add(entry.item_id)
                case TransferChanged() if event.state is not TransferState.MOVING:
                    self._coming.discard(event.file_id)
        assert len(self._coming) <= COMING_MAX, "more files on their way than one person may send"
        invited = [key for key, state in self._groups.items() if state is GroupState.INVITED]
        assert len(invited) <= INVITED_MAX, "more groups than one person may ask for"

    # -- what the person does -------------------------------------------------------------------------------

    def act(self) -> None:
        """Do one thing a person can do; what cannot be done is refused with a sentence."""
        choices, messenger, slots = self._choices, self.engine.messenger, self.engine.slots
        group = choices.one_of(sorted(self._groups) or ["#" + "0" * 32])
        file_id = choices.one_of([e.file.file_id for e in self._log() if e.file] or [bytes(16)])
        item_id = choices.one_of([e.item_id for e in self._log()] or [bytes(16)])
        actions: tuple[Callable[[], object], ...] = (
            lambda: messenger.send("bob", "x" * choices.one_of((1, 0, 3000))),
            lambda: messenger.send_file("bob", "a.txt", b"y" * choices.one_of((1, 3000, 0))),
            lambda: messenger.join_group(group),
            lambda: messenger.leave_group(group),
            lambda: messenger.send(group, "hello"),
            lambda: messenger.set_timer(group, 60),
            lambda: messenger.create_group("ours", ("bob", "carol")),
            lambda: messenger.set_timer("bob", choices.one_of((0, 60))),
            lambda: messenger.cancel(file_id),
            lambda: messenger.pause(file_id),
            lambda: messenger.delete("bob", item_id),
            lambda: messenger.clear("bob"),
            lambda: messenger.read_file(file_id),
            lambda: slots.hang_up("bob"),
            lambda: slots.ask("bob"),
            lambda: messenger.accept_keys("bob"),
        )
        with suppress(AccountError):
            choices.one_of(actions)()
        self._take(self.engine.take_events())

    def _log(self) -> list[LogEntry]:
        return self.engine.messenger.history("bob")

    @property
    def own_files(self) -> list[bytes]:
        return [entry.item_id for entry in self._log() if entry.file and entry.outgoing]

    def restart(self) -> None:
        """Begin again with what is kept, as after a program's end."""
        self._store.undo()
        self._begin()
        self._take(self.engine.take_events())

    # -- what must hold -------------------------------------------------------------------------------------

    def rows(self) -> int:
        tables = (
            "value",
            "outbox",
            "seen",
            "entry",
            "file",
            "piece",
            "fragment",
            "inbox",
            "held",
            "recent",
            "way",
        )
        return sum(self._count(f"SELECT count(*) FROM {table}") for table in tables)  # noqa: S608

    def _count(self, query: str) -> int:
        return int(self._store._file.execute(query).fetchone()[0])

    def check(self) -> None:
        """Raise ``AssertionError`` if anything of what is kept is not as it must be."""
        messenger = self.engine.messenger
        for _ in range(_STEPS_MAX):
            messenger.work()  # all that waits for later rounds
        assert self._count("SELECT count(*) FROM inbox") == 0
        assert self._count("SELECT count(*) FROM piece WHERE file_id NOT IN (SELECT file_id FROM file)") == 0
        assert (
            self._count(
                "SELECT count(*) FROM file WHERE file_id NOT IN "
                "(SELECT file_id FROM entry WHERE file_id IS NOT NULL)"
            )
            == 0
        ), "a file that no entry knows"
        for entry in self._log():
            if entry.file is not None and not entry.outgoing:
                transfer = messenger.files.transfer(entry.file.file_id)
                assert transfer is not None, "an entry of a file that nobody knows"
                self._check_file(entry.file, transfer.state, transfer.done)
        entries = messenger.history("carol")
        assert [entry.item_id for entry in entries] == [*self._said_to_carol, b"c" * 16]
        assert self._store.get("timer:carol") is None
        assert self.engine.slots.conversations["carol"].is_wanted, "a peer ended another's conversation"
        assert messenger.undelivered("carol")[0].item_id == self._said_to_carol[0]

    def _check_file(self, file: FileInfo, state: TransferState, done: int) -> None:
        kept = self._store.history.read_file(file.file_id)
        if state is TransferState.DONE:
            assert (len(kept), hashlib.sha256(kept).digest()) == (file.size, file.digest)
        elif state is TransferState.MOVING:
            assert len(kept) == done
        else:
            assert kept == b"", "pieces of a file that is not to be kept"

    def kept(self) -> str:
        """Return what an engine holds of bob, as it must be the same after a restart."""
        conversation = self.engine.slots.conversation("bob")
        outbox = [(item.item_id.hex(), item.part, item.data.hex()) for item in conversation.chat.outbox]
        fragments = repr(sorted(conversation.chat.fragments().items()))
        return json.dumps([conversation.to_state(), conversation.chat.to_state(), outbox, fragments])


def _step(alice: Alice, choices: Choices) -> None:
    bob = alice.bob
    steps: tuple[Callable[[], object], ...] = (
        alice.play,
        bob.text,
        bob.offer,
        bob.part,
        lambda: bob.stop(alice.own_files),
        bob.timer,
        bob.group,
        lambda: bob.note(choices.take(choices.number())),
        lambda: alice.play(how=1),
        lambda: alice.play(how=2),
        lambda: alice.play(how=3),
        lambda: alice.play(status=choices.one_of((RoundStatus.LOST, RoundStatus.MISSING))),
        lambda: alice.play(jump=choices.one_of((2, 11, 300, 5000))),
        alice.act,
        alice.restart,
        lambda: alice.play_on(choices.below(16)),
    )
    choices.one_of(steps)()


def check(data: bytes) -> None:
    """Have alice live through what an input describes. Raises whatever should not be."""
    choices = Choices(data)
    alice = Alice(choices)
    steps = 0
    before = alice.rows()
    while not choices.ended and steps < _STEPS_MAX and alice.rounds < _ROUNDS_MAX:
        steps += 1
        _step(alice, choices)
    for _ in range(3):
        alice.play()
    alice.check()
    assert alice.rows() <= before + _ROWS_A_STEP * (steps + 3), "a peer who fills the store"
    alice.engine.slots.conversation("bob").lose_agreement()  # as every session does when it begins
    kept = alice.kept()
    alice.restart()
    assert alice.kept() == kept, "what is kept is not what was there"
    alice.play()
    alice.check()
