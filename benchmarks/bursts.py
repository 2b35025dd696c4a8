"""The longest that one round's work takes when contacts, or one's own past, have very much come at once.

    python benchmarks/bursts.py [--repeats 3] [--slots 16]

A client's engine with a store on this disk, at the widest: as many contacts as there are slots, all in
league. In each case what they prepared comes in one round, and rounds go on until nothing waits. Shown are
the longest round's work (of each repeat's longest, the smallest: other programs only add) in CPU time, its
ratio to 100 X25519 exchanges of the same run, its length on the clock, disk and other programs included, and
the rounds. Commands of one's own are cut up too: there a "round" is one command. Target: 50 ms of CPU. Exit
code 1 if it is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from iirs.chain import Chain, Hop, parse_chain, render_chain
from iirs.client.account.account import Account, Environment, SessionStart
from iirs.client.conversation_values import Gathered
from iirs.client.engine import Engine
from iirs.client.messenger.group_item import GroupItem, GroupItemKind
from iirs.client.messenger.notes import FileOffer, GroupNote, encode_note
from iirs.client.store.log_entry import EntryKind, FileInfo, Item, ItemKind, LogEntry
from iirs.client.store.store import ClientStore
from iirs.client.sync import MAX_GAP, DeadDropSync, patience_for
from iirs.directory import Directory, Entry, Head, head_content
from iirs.geometry import VAULT_SIZE
from iirs.identity import Identity
from iirs.message import PAYLOAD_MAX, ContentKind, Direction, PeerMessage
from iirs.noise import Noise
from iirs.onion import EntryChannel
from iirs.wire.accounts import AccountRecord
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, RoundFlags

ROUND = 60
TARGET_MS = 50.0
BURST = 65
"""Fragments that end in one round if the first of them is held back."""
MIB = 1024 * 1024
ME = "alice"
Step = Callable[[], bool]
"""Does one round's work, or one command; returns whether there may be more."""


class World:
    """Alice's engine in a session, and the contacts of hers who are in league."""

    def __init__(self, folder: Path, slots: int) -> None:
        entry = Ed25519PrivateKey.generate()
        hop = Hop("entry", "", entry.public_key().public_bytes_raw())
        chain_file = render_chain(
            suite="X25519", slots=slots, round_ms=2000, invite_every=5, epoch_rounds=30,
            entry_certificate=bytes(32), hops=(hop,), noise=Noise(0, 0, forced=True),
        )  # fmt: skip
        self.chain: Chain = parse_chain(chain_file)
        self.names = [ME, *(f"contact{number}" for number in range(slots))]
        self.identities = {name: Identity.generate() for name in self.names}
        self.directory = Directory(self.chain.chain_id)
        for name in self.names:
            self.directory.append(Entry.create(self.chain.chain_id, name, self.identities[name]))
        content = head_content(self.chain.chain_id, len(self.directory), self.directory.digests[-1])
        self.head = Head(len(self.directory), self.directory.digests[-1], entry.sign(content))
        self.store = ClientStore(folder / f"{os.urandom(4).hex()}.store", os.urandom(32))
        account = Account(ME, self.chain, self.identities[ME], b"")
        self.engine = Engine(account, self.store, Environment(clock=lambda: ROUND * 2.0))
        entries = [one.raw for one in self.directory.entries]
        record = AccountRecord(0, 0, bytes(VAULT_SIZE))
        self.engine.begin_session(
            SessionStart(record, EntryChannel(os.urandom(32), b"", 0), self.head, entries, b"", [])
        )
        self.messenger = self.engine.messenger
        self.history = self.store.history
        self.peers = self.names[1:]

    def work(self) -> None:
        """What a round does of what waits; versions without budgets had only entries that expire."""
        work = getattr(self.messenger, "work", None)
        if work is None:
            self.messenger.expire()
        else:
            work()

    def round(self, brought: dict[str, list[Item]]) -> None:
        """Take in what a round's replies brought, as ``Engine.close_round`` does."""
        for peer, items in brought.items():
            gathered = Gathered(True, False, tuple(items), ())
            self.messenger.take_in(self.engine.slots.conversation(peer), gathered)
        self.work()
        self.engine.slots.save_all()

    def burst(self, brought: dict[str, list[Item]]) -> Step:
        """Return rounds: the first brings something, the others do what waits."""
        left = [brought]

        def step() -> bool:
            before = self.waiting()
            self.round(left.pop() if left else {})
            return self.waiting() != before

        return step

    def waiting(self) -> int:
        """A number that changes while anything is done."""
        return self.store._file._db.total_changes

    def settle(self) -> None:
        """Do what waits, unmeasured."""
        step = self.burst({})
        while step():
            pass

    # -- what contacts make -------------------------------------------------------------------------

    def item(self, kind: GroupItemKind, author: str, group: bytes = b"", text: str = "",
             members: tuple[int, ...] = ()) -> GroupItem:  # fmt: skip
        made = GroupItem(group, kind, self.names.index(author), os.urandom(16), 1, text, members)
        if kind is GroupItemKind.FOUND:
            made = made.founding(self.chain.chain_id)
        return made.signed_by(self.identities[author], self.chain.chain_id)

    def note(self, item: GroupItem) -> Item:
        return note(encode_note(GroupNote(item.to_value())))

    def invited(self, founder: str, others: int) -> bytes:
        """Have somebody invite us to a group with others, and return its id."""
        members = {0, self.names.index(founder), *range(1, others + 1)}
        founding = self.item(GroupItemKind.FOUND, founder, text="group", members=tuple(sorted(members)))
        self.round({founder: [self.note(founding)]})
        self.settle()
        return founding.group

    def joined(self, others: int) -> bytes:
        """Take part in a group of ours and others, and return its id."""
        key = self.messenger.create_group("group", tuple(self.peers[:others]))
        self.settle()
        return bytes.fromhex(key[1:])

    def file(self, peer: str, data: bytes, pieces: int, expires: int = 0) -> bytes:
        """Have so many pieces of a file of a contact's here, and return its id."""
        file = FileInfo(os.urandom(16), "file", len(data), hashlib.sha256(data).digest())
        self.messenger.files.offered(peer, FileOffer(file), 1, expires)
        for number in range(pieces):
            self.messenger.files.arrived(peer, part(file.file_id, data, number))
        self.store.commit()
        return file.file_id


def note(data: bytes) -> Item:
    return Item(os.urandom(16), ItemKind.NOTE, data, 1)


def text(size: int = 5) -> Item:
    return Item(os.urandom(16), ItemKind.TEXT, b"x" * size, 1)


def part(file_id: bytes, data: bytes, number: int) -> Item:
    piece = data[number * PAYLOAD_MAX : (number + 1) * PAYLOAD_MAX]
    return Item(file_id, ItemKind.PART, piece, 1, number, -(-len(data) // PAYLOAD_MAX))


# -- cases: each prepares a world and returns its rounds ----------------------------------------------------


def texts(world: World) -> Step:
    return world.burst({peer: [text() for _ in range(BURST)] for peer in world.peers})


def long_texts(world: World) -> Step:
    return world.burst({peer: [text(65_536)] for peer in world.peers})


def foundings(world: World) -> Step:
    def founding(peer: str) -> Item:
        members = (0, world.names.index(peer))
        return world.note(world.item(GroupItemKind.FOUND, peer, text="group", members=members))

    _fill_invitations(world)
    return world.burst({peer: [founding(peer) for _ in range(BURST)] for peer in world.peers[:1]})


def foundings_of_all(world: World) -> Step:
    _fill_invitations(world)
    bring = {}
    for place, peer in enumerate(world.peers, 1):
        made = [world.item(GroupItemKind.FOUND, peer, text="g", members=(0, place)) for _ in range(BURST)]
        bring[peer] = [world.note(one) for one in made]
    return world.burst(bring)


def _fill_invitations(world: World) -> list[bytes]:
    peer = world.peers[0]
    groups = []
    for _ in range(5):
        groups.append(world.invited(peer, 1))
        for _ in range(4):
            long = world.item(GroupItemKind.TEXT, peer, groups[-1], "\x01" * 20_000)
            world.round({peer: [world.note(long)]})
            world.settle()
    return groups


def held_texts(world: World) -> Step:
    peer, group = world.peers[0], _fill_invitations(world)[0]
    made = [world.item(GroupItemKind.TEXT, peer, group, "a") for _ in range(BURST)]
    return world.burst({peer: [world.note(one) for one in made]})


def group_texts(world: World) -> Step:
    others = min(15, len(world.peers))
    group = world.joined(others)
    bring = {}
    for peer in world.peers[:others]:
        made = [world.item(GroupItemKind.TEXT, peer, group, "a") for _ in range(BURST)]
        bring[peer] = [world.note(one) for one in made]
    return world.burst(bring)


def long_group_texts(world: World) -> Step:
    others = min(15, len(world.peers))
    group = world.joined(others)
    made = {peer: world.item(GroupItemKind.TEXT, peer, group, "x" * 60_000) for peer in world.peers[:others]}
    return world.burst({peer: [world.note(one)] for peer, one in made.items()})


def odd_notes(world: World) -> Step:
    odd = b'{"note":"group","item":{"a":[' + b",".join([b"{}"] * 43_000) + b"]}}"
    return world.burst({peer: [note(odd)] for peer in world.peers})


def joining(world: World) -> Step:
    others = min(15, len(world.peers))
    group = world.invited(world.peers[0], others)
    for peer in world.peers[:others]:
        for _ in range(35):
            made = [world.item(GroupItemKind.TEXT, peer, group, "a") for _ in range(10)]
            world.round({peer: [world.note(one) for one in made]})
    world.settle()
    rounds = world.burst({})
    first = [True]

    def step() -> bool:
        if first and first.pop():
            world.messenger.join_group(f"#{group.hex()}")
            return True
        return rounds()

    return step


def leaving(world: World) -> Step:
    others = min(15, len(world.peers))
    group = world.joined(others)
    for _ in range(500):
        world.messenger.send(f"#{group.hex()}", "x")
    made = {peer: world.item(GroupItemKind.LEAVE, peer, group) for peer in world.peers[:others]}
    return world.burst({peer: [world.note(one)] for peer, one in made.items()})


def files_whole(world: World) -> Step:
    data = os.urandom(MIB)
    last = -(-MIB // PAYLOAD_MAX) - 1
    ids = {peer: world.file(peer, data, last) for peer in world.peers}
    return world.burst({peer: [part(file_id, data, last)] for peer, file_id in ids.items()})


def files_expiring(world: World) -> Step:
    data = os.urandom(MIB)
    for _ in range(100):
        world.file(world.peers[0], data, 0, expires=2)
        file_id = next(reversed(world.messenger.files._transfers))
        for number in range(-(-MIB // PAYLOAD_MAX)):
            world.messenger.files.arrived(world.peers[0], part(file_id, data, number))
        while getattr(world.messenger.files, "check", lambda: None)() is not None:
            pass
    world.store.commit()
    return world.burst({})


def _log(world: World, count: int, size: int, expires: int = 0) -> None:
    peer = world.peers[0]
    for number in range(count):
        words = "x" * size
        world.history.add_entry(
            LogEntry(peer, os.urandom(16), EntryKind.TEXT, False, peer, words, number, expires_at_ms=expires)
        )
    world.store.commit()


def texts_expiring(world: World) -> Step:
    _log(world, 200, 65_536, expires=2)
    return world.burst({})


def clearing(world: World) -> Step:
    _log(world, 200, 65_536)
    return lambda: world.messenger.clear(world.peers[0])


def searching(world: World) -> Step:
    _log(world, 10_000, 1_000)
    return _search(world)


def searching_long(world: World) -> Step:
    _log(world, 500, 65_536)
    return _search(world)


def _search(world: World) -> Step:
    place: list[int | None] = [None]

    def step() -> bool:
        if "before" not in world.messenger.search.__code__.co_varnames:
            world.messenger.search("zebra")
            return False
        _found, place[0] = world.messenger.search("zebra", before=place[0])
        return place[0] is not None

    return step


def reading(world: World) -> Step:
    _log(world, 1_000, 65_536)
    before: list[bytes | None] = [None]

    def step() -> bool:
        page = world.messenger.history(world.peers[0], 500, before[0])
        before[0] = page[0].item_id if page else None
        return bool(page)

    return step


def acknowledged(world: World) -> Step:
    chats = [world.engine.slots.conversation(peer).chat for peer in world.peers]
    for peer, chat in zip(world.peers, chats, strict=True):
        for number in range(BURST):
            world.messenger.send(peer, f"text {number}")
        for number in range(0, 2 * BURST, 2):
            chat.compose(number)
    first = [True]

    def step() -> bool:
        before = world.waiting()
        for peer, chat in zip(world.peers, chats, strict=True):
            done = chat.receive(PeerMessage(acknowledged=BURST)) if first else []
            delivered = chat.take_delivered() if hasattr(chat, "take_delivered") else done and done[1]
            gathered = Gathered(True, False, (), tuple(delivered))
            world.messenger.take_in(world.engine.slots.conversation(peer), gathered)
        first.clear()
        world.work()
        world.engine.slots.save_all()
        return world.waiting() != before

    return step


def fragments(world: World) -> Step:
    """Each contact has sent half of a long note and all that may be ahead of it; two more come."""
    note_id, ahead = os.urandom(16), range(101, 164)
    for peer in world.peers:
        chat = world.engine.slots.conversation(peer).chat
        chat.begin(b"c" * 16)
        for number in [*range(99), *ahead]:
            chat.receive(_fragment(note_id, number))
    world.engine.slots.save_all()
    left = [99]

    def step() -> bool:
        while left:
            number = left.pop()
            for peer in world.peers:
                world.engine.slots.conversation(peer).chat.receive(_fragment(note_id, number))
            world.round({})
            return True
        return False

    return step


def _fragment(note_id: bytes, number: int) -> PeerMessage:
    return PeerMessage(
        sequence=number, kind=ContentKind.NOTE, text_id=note_id, fragment=number, fragments=169,
        payload=bytes(PAYLOAD_MAX),
    )  # fmt: skip


def waking(world: World) -> Step:
    """A machine wakes: every slot's conversation has two secret chains that stand 4,000 rounds back."""
    conversations = []
    for peer in world.peers:
        conversation = world.engine.slots.conversation(peer)
        conversation.want()
        conversation.sync = DeadDropSync.start(
            os.urandom(32), Direction.FROM_LISTENER, ROUND, patience_for(1)
        )
        conversation.sync.previous = conversation.sync.current
        conversations.append(conversation)
    number = [ROUND + 4_000]

    def step() -> bool:
        number[0] += 1
        world.engine.slots.begin_round(number[0])
        shown = Announcement(
            NOTHING_BEFORE, number[0], number[0], RoundFlags.NONE, 2000, 2, 1, (bytes(32),), world.head, 0, ()
        )
        for conversation in conversations:
            conversation.prepare(shown, has_circuits=False)
        world.engine.slots.save_all()
        return number[0] < ROUND + 4_003

    return step


def waking_near(world: World) -> Step:
    """As ``waking``, as far back as chains are stepped at all."""
    step = waking(world)
    gap = ROUND + 4_000 - MAX_GAP + 5
    for peer in world.peers:
        sync = world.engine.slots.conversation(peer).sync
        assert sync is not None
        sync.current = sync.previous = type(sync.current).start(os.urandom(32), gap)
    return step


CASES: dict[str, Callable[[World], Step]] = {
    "65 texts of each contact": texts,
    "a text of 64 KiB of each": long_texts,
    "65 foundings of one": foundings,
    "65 foundings of each": foundings_of_all,
    "65 texts for a group not joined": held_texts,
    "65 texts of each in a group": group_texts,
    "60,000 bytes of each in a group": long_group_texts,
    "a note of 128 KiB of each, hard to read": odd_notes,
    "joining a group with 500 items kept": joining,
    "15 leave, 500 texts on their way": leaving,
    "a file of 1 MiB of each is whole": files_whole,
    "100 files of 1 MiB expire": files_expiring,
    "200 texts of 64 KiB expire": texts_expiring,
    "clearing 200 texts of 64 KiB": clearing,
    "65 texts to each acknowledged": acknowledged,
    "a fragment more of each, 162 kept": fragments,
    "waking after 4,000 rounds": waking,
    "waking just before chains are given up": waking_near,
    "searching 10,000 entries": searching,
    "searching 500 texts of 64 KiB": searching_long,
    "reading 1,000 texts of 64 KiB": reading,
}


def reference() -> float:
    """Return how many ms 100 X25519 exchanges take."""
    private, public = X25519PrivateKey.generate(), X25519PrivateKey.generate().public_key()
    began = time.thread_time()
    for _ in range(100):
        private.exchange(public)
    return 1e3 * (time.thread_time() - began)


def longest(case: Callable[[World], Step], slots: int) -> tuple[float, float, int]:
    """Return the ms of the longest step, of CPU and on the clock, and how many steps there were."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), slots)
        step = case(world)
        world.engine.take_events()
        taken: list[tuple[float, float]] = []
        more = True
        while more and len(taken) < 1_000:
            began = time.thread_time(), time.perf_counter()
            more = step()
            taken.append((1e3 * (time.thread_time() - began[0]), 1e3 * (time.perf_counter() - began[1])))
            world.engine.take_events()
        world.store.close()
    return max(cpu for cpu, _ in taken), max(clock for _, clock in taken), len(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--only", default="", help="cases whose names have this in them")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    unit = min(reference() for _ in range(10))
    found, missed = {}, False
    for name, case in CASES.items():
        if arguments.only not in name:
            continue
        runs = [longest(case, arguments.slots) for _ in range(arguments.repeats)]
        cpu, ms, rounds = (min(column) for column in zip(*runs, strict=True))
        missed = missed or cpu > TARGET_MS
        found[name] = {
            "cpu": round(cpu, 1),
            "ms": round(ms, 1),
            "ratio": round(cpu / unit, 2),
            "rounds": rounds,
        }
        if not arguments.json:
            mark = "" if cpu <= TARGET_MS else "  MISSED"
            figures = f"{cpu:7.1f} ms CPU {cpu / unit:7.2f} x {ms:7.1f} ms {rounds:5} rounds"
            print(f"{name:42}{figures}{mark}", flush=True)
    if arguments.json:
        print(json.dumps({"exchanges_ms": round(unit, 2), "cases": found}))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
