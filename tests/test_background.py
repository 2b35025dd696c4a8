"""What a window has looked up: short commands, however long the texts are, each behind what comes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from iirs.client.engine import Engine
from iirs.client.model.background import BackgroundWork
from iirs.client.store.log_entry import EntryKind, LogEntry
from tests.harness import wait_until
from tests.victim import Victim


class Commands:
    """A connection that carries out one command at a time, when it is told to."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.waiting: deque[Callable[[Engine], object]] = deque()

    def call(self, function: Callable[[Engine], object]) -> None:
        self.waiting.append(function)

    def carry_out(self) -> int:
        """Carry out all, those that follow too; return how many there were."""
        count = 0
        while self.waiting:
            self.waiting.popleft()(self._engine)
            assert len(self.waiting) <= 1
            count += 1
        return count


def test_reading_searching_and_exporting_long_texts_are_many_short_commands(tmp_path: Path) -> None:
    victim = Victim()
    for number in range(100):
        words = f"{number} ".ljust(65_536, "x")
        entry = LogEntry("bob", number.to_bytes(16), EntryKind.TEXT, False, "bob", words, number)
        victim.store.history.add_entry(entry)
    commands, told = Commands(victim.engine), list[Any]()
    background = BackgroundWork(commands, told.append)  # type: ignore[arg-type]

    background.read("bob")
    assert commands.carry_out() == 1
    newest = told.pop()
    assert (newest.has_more, newest.entries[-1].sent_at_ms) == (True, 99)
    background.read("bob", (16).to_bytes(16))
    assert commands.carry_out() == 1
    assert ([entry.sent_at_ms for entry in told[0].entries], told.pop().has_more) == (list(range(16)), False)

    background.read_back_to("bob", newest.entries[0].item_id, (3).to_bytes(16))
    assert commands.carry_out() == 6
    assert [entry.sent_at_ms for entry in told.pop().entries] == list(range(84))

    background.search("bob", "5 xx")
    assert commands.carry_out() >= 25
    assert [entry.sent_at_ms for entry in told.pop().entries] == [
        n for n in range(99, -1, -1) if "5" in str(n)
    ]
    background.search("", "x")
    commands.carry_out()
    assert [entry.sent_at_ms for entry in told.pop().entries] == list(range(99, -1, -1))

    background.export("bob", tmp_path / "bob.txt")
    assert commands.carry_out() >= 7
    wait_until((tmp_path / "bob.txt").exists)
    assert len((tmp_path / "bob.txt").read_text().splitlines()) == 100
    background.clear("bob")
    assert commands.carry_out() == 101
    assert victim.texts("bob") == []
