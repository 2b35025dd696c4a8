"""The worlds of ``send_times.py``: what a person, a contact and a window do while uploads leave.

``run_subject`` is the process that is measured: alice, in a real window, with 10,000 entries in a talk. Her
worlds take turns within one session, a few rounds each in an order drawn anew, so that all see the same
machine, history and margin. ``run_peer`` is bob, whom she talks to, in a process of his own.
"""

from __future__ import annotations

import os
import queue
import random
import threading
import time
import tkinter as tk
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from iirs.chain import JoinLink
from iirs.client.account.entry_calls import Home, register
from iirs.client.account.password_keys import STANDARD_COST, opens, storage_key
from iirs.client.chat_session import FILE_MAX
from iirs.client.conversation_values import Gathered
from iirs.client.engine import Engine
from iirs.client.events import GroupState, PeerState
from iirs.client.messenger.group_item import GroupItem, GroupItemKind
from iirs.client.messenger.notes import GroupNote, encode_note
from iirs.client.server_connection import ServerConnection
from iirs.client.store.log_entry import EntryKind, Item, ItemKind, LogEntry, TextState
from iirs.client.store.store import ClientStore
from iirs.client.window.start import Start
from iirs.client.window.theme.theme import Theme
from iirs.client.window.window import ClientWindow
from iirs.message import Message
from tests.harness import CHEAP, PASSWORD
from tests.upload_times import watch_plans

ENTRIES = 10_000
CLEARED = 400
"""Entries of the talk that is cleared: more than go at once."""
GROUP_ITEMS = 64
"""What one fragment that was held back releases."""
BLOCK = 4
"""Rounds of a world in a row. The first is not counted: what the world before has begun ends in it."""
TICK_MS = 10
IDLE, AGAIN, LEAKY = "idle", "idle again", "leaky"
WORDS = ("rounds", "drop", "hidden", "Where are you?", "see you tomorrow", "yes", "a longer word here", "mix")

T = TypeVar("T")


def nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class World:
    """What is done while it lasts. All of it in Tk's thread, as a person's hand would."""

    name: str
    in_round: Callable[[int], object] = nothing
    """Called as each of its rounds opens, with 0 to ``BLOCK`` - 1."""
    at_tick: Callable[[int], object] = nothing
    """Called every ``TICK_MS``, with a number that grows."""
    end: Callable[[], object] = nothing


def asked(connection: ServerConnection, question: Callable[[Engine], T]) -> T:
    """Return what the engine answers."""
    answer: queue.SimpleQueue[T] = queue.SimpleQueue()
    connection.call(lambda engine: answer.put(question(engine)))
    return answer.get(timeout=60)


def pause(connection: ServerConnection, file_id: bytes) -> None:
    connection.call(lambda engine: engine.messenger.pause(file_id))


def offer(connection: ServerConnection, peer: str) -> bytes:
    """Begin to send a file too large to end, and pause it; return its id."""

    def work(engine: Engine) -> bytes:
        file_id = engine.messenger.send_file(peer, "photo.bin", os.urandom(FILE_MAX))
        engine.messenger.pause(file_id)
        return file_id

    return asked(connection, work)


def fill(talk: str, count: int) -> Callable[[Engine], None]:
    """Have entries in a talk."""

    def work(engine: Engine) -> None:
        for number in range(count):
            text = " ".join(random.choices(WORDS, k=random.randint(1, 24)))
            outgoing = number % 2 == 0
            state = TextState.DELIVERED if outgoing else None
            author = "alice" if outgoing else talk
            entry = LogEntry(talk, os.urandom(16), EntryKind.TEXT, outgoing, author, text, number, state)
            engine._store.history.add_entry(entry)
        engine._store.commit()

    return work


# -- bob ------------------------------------------------------------------------------------------------


def run_peer(orders: Connection, link: str, folder: Path) -> None:
    """Be bob: do what alice's process asks for, until it asks for nothing more."""
    place = JoinLink.parse(link)
    account = register(place, Home(folder / "bob", CHEAP), "bob", PASSWORD)
    store = ClientStore(folder / "bob.store", storage_key(account.identity))
    connection = ServerConnection(place, account, store)
    connection.start()
    file_id = b""
    orders.send("ready")
    while (order := orders.recv()) != "end":
        match order:
            case "ask":
                connection.ask("alice")
            case "offer":
                file_id = offer(connection, "alice")
                orders.send("offered")
            case "pause":
                pause(connection, file_id)
            case "group":
                orders.send(asked(connection, released))
    connection.quit(at_once=True)
    connection.join(10)


def released(engine: Engine) -> list[Item]:
    """Return what founds a group with alice, and texts in it: as many items as come with one fragment."""
    context = engine.messenger._context
    chain, now = engine.chain.chain_id, context.now_ms()
    me = context.directory.position("bob")
    members = tuple(sorted((me, context.directory.position("alice"))))
    founding = GroupItem(b"", GroupItemKind.FOUND, me, os.urandom(16), now, "Chess", members).founding(chain)
    items = [founding]
    items += [
        replace(founding, kind=GroupItemKind.TEXT, item_id=os.urandom(16), text="a move", members=())
        for _ in range(GROUP_ITEMS - 1)
    ]
    signed = [item.signed_by(context.account.identity, chain).to_value() for item in items]
    return [Item(os.urandom(16), ItemKind.NOTE, encode_note(GroupNote(value)), now) for value in signed]


# -- alice ----------------------------------------------------------------------------------------------


class Subject:
    """Alice's window and what is done in it, world by world."""

    def __init__(self, window: ClientWindow, bob: Connection, leak: float) -> None:
        """``leak``: by how many seconds the leaky client is late when it has something to send."""
        session, page = window.session, window.main_page
        assert session is not None
        assert page is not None
        self.connection = session.connection
        self._background = session.background
        self._page = page
        self._model = window.model
        self._bob = bob
        self._leak = leak
        self._leaks = False
        self._stretching: threading.Thread | None = None
        self._items: list[Item] = []
        self._file_id = offer(self.connection, "bob")
        bob.send("offer")
        assert bob.recv() == "offered"
        self._leave_late()
        asked(self.connection, self._let_items_come)

    def worlds(self) -> list[World]:
        """Return all of them; nobody does anything in the first two."""
        pauses, bob_pauses = self._pause, lambda: self._bob.send("pause")
        return [
            World(IDLE),
            World(AGAIN),
            World(LEAKY, at_tick=self._write, in_round=self._begin_leaking, end=self._end_leaking),
            World("writing texts", at_tick=self._write),
            World("sending a file", lambda number: number or pauses(), end=pauses),
            World("receiving a file", lambda number: number or bob_pauses(), end=bob_pauses),
            World("searching 10,000 entries", at_tick=self._search),
            World("typing", at_tick=self._type),
            World("scrolling", at_tick=self._scroll),
            World("stretching keys", at_tick=self._stretch),
            World("a group is released", in_round=self._release, end=self._leave_groups),
            World("clearing a talk", in_round=self._clear),
        ]

    # -- the leak -------------------------------------------------------------------------------------

    def _leave_late(self) -> None:
        clock = self.connection._upload_clock
        honest = clock.schedule

        def leaky(at: float, transport: Any, messages: list[Message]) -> None:
            has_something = bool(self.connection._engine.messenger.undelivered("bob"))
            honest(at + self._leak * (self._leaks and has_something), transport, messages)

        clock.schedule = leaky  # type: ignore[method-assign]

    def _begin_leaking(self, _: int) -> None:
        self._leaks = True

    def _end_leaking(self) -> None:
        self._leaks = False

    # -- what bob makes her do --------------------------------------------------------------------------

    def _let_items_come(self, engine: Engine) -> None:
        """Where a contact would have held back one fragment of many, have the items come with any one."""
        conversation = engine.messenger.slots.conversation("bob")
        honest = conversation.gather

        def gather(*of_the_round: Any) -> Gathered:
            items, self._items = self._items, []
            gathered = honest(*of_the_round)
            return replace(gathered, arrived=(*gathered.arrived, *items))

        conversation.gather = gather  # type: ignore[method-assign]

    def _release(self, number: int) -> None:
        if number < BLOCK - 1:  # comes with the replies of this round, so before the next upload is planned
            self._bob.send("group")
            self._items = self._bob.recv()

    def _leave_groups(self) -> None:
        for key, talk in self._model.talks.items():
            if talk.group is GroupState.INVITED:
                self.connection.call(lambda engine, key=key: engine.messenger.leave_group(key))

    # -- what she does herself --------------------------------------------------------------------------

    def _pause(self) -> None:
        pause(self.connection, self._file_id)

    def _write(self, tick: int) -> None:
        if tick % 15 == 0:
            self._background.send("bob", f"a text of tick {tick}")

    def _search(self, tick: int) -> None:
        if tick % 10 == 0:
            self._background.search("", WORDS[tick // 10 % len(WORDS)] + " tomorrow")

    def _type(self, tick: int) -> None:
        entry = self._page.chat.entry
        if tick % 200 == 0:
            entry.delete("1.0", "end")
        if tick % 3 == 0:
            entry.focus_force()
            entry.event_generate(f"<Key-{'abcdefgh'[tick % 8]}>")

    def _scroll(self, tick: int) -> None:
        if tick % 2 == 0:
            self._page.chat.log._scroll(60 if tick // 100 % 2 else -60)

    def _stretch(self, _: int) -> None:
        if self._stretching is None or not self._stretching.is_alive():
            account = self.connection.account
            self._stretching = threading.Thread(
                target=opens, args=(account, PASSWORD, STANDARD_COST), daemon=True
            )
            self._stretching.start()

    def _clear(self, number: int) -> None:
        if number == 0:
            self.connection.call(fill("carol", CLEARED))
        elif number == 1:
            self._background.clear("carol")


class Turns:
    """Has the worlds take turns, block by block, until all have had so many; then leaves the main loop."""

    def __init__(self, root: tk.Tk, subject: Subject, cycles: int, tell: Callable[[str], None]) -> None:
        self._root = root
        self._tell = tell
        self._order: list[World] = []
        for _ in range(cycles):
            worlds = [subject.worlds()[0], *subject.worlds()]  # idle twice: all others are compared with it
            random.shuffle(worlds)
            self._order += worlds
        self._opened = self._entered = 0
        self._ticks = 0
        root.after(TICK_MS, self._tick)
        self.plans = watch_plans(subject.connection, self._label)

    def _world(self, opened: int) -> World:
        return self._order[min(opened // BLOCK, len(self._order) - 1)]

    def _label(self) -> str:
        """Return the world of the round that opens now, or nothing for one that is not counted."""
        number, self._opened = self._opened, self._opened + 1
        return self._world(number).name if number % BLOCK else ""

    def _tick(self) -> None:
        self._ticks += 1
        while self._entered < self._opened:
            number = self._entered
            if number % BLOCK == 0 and number:
                self._world(number - BLOCK).end()
            if number % (10 * BLOCK) == 0:
                self._tell(f"round {number} of {len(self._order) * BLOCK}")
            self._world(number).in_round(number % BLOCK)
            self._entered += 1
        if self._entered:
            self._world(self._entered - 1).at_tick(self._ticks)
        if self._opened > len(self._order) * BLOCK:
            self._root.quit()
        else:
            self._root.after(TICK_MS, self._tick)


def run_subject(
    parent: Connection, bob: Connection, link: str, folder: Path, cycles: int, leak: float
) -> None:
    """Be alice; tell ``parent`` what is going on, and at last the plans of all rounds."""
    assert bob.recv() == "ready"
    root = tk.Tk(className="Iirs")
    root.geometry("960x680")
    theme = Theme(root)
    home = Home(folder / "alice", CHEAP)
    window = ClientWindow(root, theme, home, Start(link, "alice", PASSWORD, new=True))
    pump(root, lambda: window.main_page is not None and "bob" in window.model.people)
    assert window.main_page is not None
    assert window.session is not None
    asked(window.session.connection, fill("bob", ENTRIES))
    window.main_page.ask("bob")
    bob.send("ask")
    pump(root, lambda: window.model.talk("bob").state is PeerState.CONNECTED)
    subject = Subject(window, bob, leak)
    turns = Turns(root, subject, cycles, parent.send)
    root.mainloop()
    parent.send(turns.plans)
    bob.send("end")
    subject.connection.quit(at_once=True)
    subject.connection.join(10)


def pump(root: tk.Tk, condition: Callable[[], bool]) -> None:
    """Let Tk work until a condition holds."""
    deadline = time.monotonic() + 120
    while not condition():
        root.update()
        time.sleep(0.005)
        if time.monotonic() > deadline:
            raise SystemExit("what was to be measured did not begin")
