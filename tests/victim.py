"""Somebody to whom contacts send all they can: an engine whose rounds a test plays, what is sent."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from iirs.client.account.account import Account, Environment
from iirs.client.chat_session import WINDOW
from iirs.client.conversation_values import Gathered
from iirs.client.engine import Engine
from iirs.client.messenger.group_item import GroupItem, GroupItemKind
from iirs.client.messenger.notes import FileOffer, FileStop, GroupNote, TimerNote, encode_note
from iirs.client.store.incoming import Incoming
from iirs.client.store.log_entry import FileInfo, Item, ItemKind
from iirs.client.store.store import ClientStore
from iirs.message import PAYLOAD_MAX
from tests.builders import make_chain, make_directory, person

NAMES = ("alice", "bob", "carol", "mallory")
KEYS = make_chain(slots=4)
DIRECTORY = make_directory(KEYS.chain, *NAMES)
BURST = WINDOW + 1
"""Fragments that end in one round if the first of them was held back."""
NOW = 1_000_000


class Victim:
    """Alice's engine, given what rounds bring without the rounds; her clock stands still."""

    def __init__(self, monotonic: Callable[[], float] = lambda: 0.0) -> None:
        self.store = ClientStore(":memory:", bytes(32))
        self._monotonic = monotonic
        self.open()

    def open(self) -> None:
        """Begin, or begin again with what was committed."""
        account = Account("alice", KEYS.chain, person("alice"), b"")
        environment = Environment(clock=lambda: NOW / 1000, monotonic=self._monotonic)
        self.engine = Engine(account, self.store, environment)
        self.engine.chain_view.directory.__dict__.update(DIRECTORY.__dict__)
        self.messenger = self.engine.messenger

    def stop(self) -> None:
        """Stop without warning: what was not committed is gone."""
        self.store.undo()
        self.store.incoming = Incoming(self.store._file)
        self.open()

    def bring(self, peer: str, *items: Item) -> None:
        """Have items of a contact's arrive whole."""
        conversation = self.engine.slots.conversation(peer)
        self.messenger.take_in(conversation, Gathered(True, False, items, ()))

    def work(self) -> None:
        """A round's work, as in ``Engine.close_round``."""
        self.messenger.work()
        self.engine.slots.save_all()

    def settle(self) -> int:
        """Let rounds go by until nothing waits; return how many it took."""
        rounds, before = 0, -1
        while before != self.store._file._db.total_changes:
            before = self.store._file._db.total_changes
            self.work()
            rounds += 1
            assert rounds < 500, "it never ends"
        return rounds - 1

    def waiting(self) -> Counter[str]:
        rows = self.store._file.execute("SELECT peer, count(*) FROM inbox GROUP BY peer")
        return Counter(dict(rows.fetchall()))

    def texts(self, talk: str) -> list[str]:
        return [entry.text for entry in self.messenger.history(talk, 10_000)]

    @contextmanager
    def moved(self) -> Iterator[Counter[str]]:
        """Count statements, and the bytes that go into them and come out of them."""
        counts: Counter[str] = Counter()
        execute = self.store._file.execute

        def counted(sql: str, values: Any = ()) -> Any:
            rows = execute(sql, values)
            fetchone = rows.fetchone

            def fetched() -> Any:
                row = fetchone()
                counts["bytes"] += _size(row or ())
                return row

            rows.fetchone = fetched  # type: ignore[method-assign]
            rows.fetchall = lambda: list(iter(fetched, None))  # type: ignore[method-assign]
            counts["statements"] += 1
            counts["bytes"] += _size(values.values() if isinstance(values, dict) else values)
            return rows

        self.store._file.execute = counted  # type: ignore[method-assign]
        yield counts
        del self.store._file.execute


def _size(values: Any) -> int:
    return sum(len(value) for value in values if isinstance(value, str | bytes))


def text(words: str = "hello") -> Item:
    return Item(os.urandom(16), ItemKind.TEXT, words.encode(), NOW)


def note(value: FileOffer | FileStop | TimerNote | GroupNote) -> Item:
    return Item(os.urandom(16), ItemKind.NOTE, encode_note(value), NOW)


def group_note(author: str, kind: GroupItemKind, group: bytes = b"", words: str = "", **other: Any) -> Item:
    """An item of a group, in the note it comes in."""
    made = GroupItem(group, kind, NAMES.index(author), os.urandom(16), NOW, words, **other)
    made = made.founding(KEYS.chain.chain_id) if kind is GroupItemKind.FOUND else made
    return note(GroupNote(made.signed_by(person(author), KEYS.chain.chain_id).to_value()))


def founding(author: str = "mallory", members: tuple[int, ...] = (0, 1, 2, 3)) -> tuple[bytes, Item]:
    found = group_note(author, GroupItemKind.FOUND, words="group", members=members)
    return bytes.fromhex(found.data.decode().partition('"group":"')[2][:32]), found


def pieces(file_id: bytes, data: bytes) -> list[Item]:
    count = -(-len(data) // PAYLOAD_MAX)
    return [
        Item(file_id, ItemKind.PART, data[n * PAYLOAD_MAX :][:PAYLOAD_MAX], NOW, n, count)
        for n in range(count)
    ]


def offer(file_id: bytes, data: bytes, *, size: int = 0) -> Item:
    return note(FileOffer(FileInfo(file_id, "a.txt", size or len(data), sha256(data).digest())))
