"""How smooth the window is: 10,000 messages, 500 contacts, and a file with keys being stretched meanwhile.

``python benchmarks/window.py`` needs a screen (``xvfb-run -a`` makes one). Targets: 16 ms a frame at the
median and 50 ms at p99; nothing blocks the thread of Tk for more than 50 ms. A frame that draws nothing is
the reference.
"""

from __future__ import annotations

import os
import secrets
import statistics
import sys
import tempfile
import threading
import time
import tkinter as tk
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # it uses helpers of the tests

from iirs.client.account.entry_calls import Home, register
from iirs.client.account.password_keys import STANDARD_COST, stretch
from iirs.client.engine import Engine
from iirs.client.events import PeerChanged, PeerState
from iirs.client.model.actions import Actions
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.talk import Row, Talk
from iirs.client.store.log_entry import FileInfo, TextState, TransferState
from iirs.client.window.main_page import MainPage
from iirs.client.window.parts.people_list import PeopleList, PersonRow
from iirs.client.window.start import Start
from iirs.client.window.talk.chat_pane import ChatPane
from iirs.client.window.theme.theme import Theme
from iirs.client.window.window import ClientWindow
from tests.harness import CHEAP, PASSWORD, town

MESSAGES, CONTACTS, FILE_BYTES = 10_000, 500, 200 * 1024
MEDIAN_MS, P99_MS, BLOCK_MS = 16.0, 50.0, 50.0
WORDS = ("rounds", "drop", "hidden", "Where are you?", "see you tomorrow", "yes", "a longer word here", "mix")


def ignore(*_: object) -> bool:
    return True


def actions() -> Actions:
    return Actions(**dict.fromkeys(Actions.__slots__, ignore))  # type: ignore[arg-type]


def text(number: int) -> Row:
    words = " ".join(secrets.choice(WORDS) for _ in range(1 + secrets.randbelow(24)))
    outgoing = bool(secrets.randbelow(2))
    state = TextState.DELIVERED if outgoing else None
    at_ms = 1_700_000_000_000 + number * 90_000
    if number % 97 == 0:
        file = FileInfo(number.to_bytes(16), "notes.txt", 5000, bytes(32))
        return Row(
            "notes.txt", at_ms, number.to_bytes(16), outgoing, state, "bob", 0, file, TransferState.DONE
        )
    return Row(words, at_ms, number.to_bytes(16), outgoing, state, "" if outgoing else "bob")


def frames(root: tk.Tk, count: int, act: Callable[[int], object]) -> list[float]:
    """Return how long each of ``count`` acts took until all of it was drawn, in milliseconds."""
    took = []
    for number in range(count):
        began = time.perf_counter()
        act(number)
        root.update()
        took.append(1000 * (time.perf_counter() - began))
    return took


def report(name: str, took: list[float]) -> None:
    took = sorted(took)
    median, p99 = statistics.median(took), took[int(len(took) * 0.99)]
    verdict = "ok" if median <= MEDIAN_MS and p99 <= P99_MS else "TOO SLOW"
    print(f"{name:44} median {median:6.1f} ms   p99 {p99:6.1f} ms   worst {took[-1]:6.1f} ms   {verdict}")


def heartbeat(root: tk.Tk, until: Callable[[], bool], seconds: float) -> list[float]:
    """Pump Tk and return the pauses between the beats of a timer that is due every 5 ms."""
    gaps, last, deadline = [], [time.perf_counter()], time.monotonic() + seconds

    def beat() -> None:
        now = time.perf_counter()
        gaps.append(1000 * (now - last[0]) - 5)
        last[0] = now
        root.after(5, beat)

    root.after(5, beat)
    while not until():
        root.update()
        time.sleep(0.001)
        if time.monotonic() > deadline:
            raise SystemExit("what was to be measured did not come to an end")
    return gaps[1:]


def report_block(name: str, gaps: list[float]) -> None:
    worst = max(gaps)
    verdict = "ok" if worst <= BLOCK_MS else "TOO LONG"
    print(f"{name:44} longest block {worst:6.1f} ms of {len(gaps)} beats   {verdict}")


def measure_log(root: tk.Tk, theme: Theme) -> None:
    model = ChatModel("alice")
    model.take(PeerChanged("bob", PeerState.CONNECTED))
    pane = ChatPane(root, theme, model, actions())
    pane.pack(fill="both", expand=True)
    talk = Talk("bob", PeerState.CONNECTED)
    for number in range(MESSAGES):
        talk.add(text(number))
    root.update()
    report("reference: a frame that draws nothing", frames(root, 200, lambda _: None))
    began = time.perf_counter()
    model.talks["bob"] = talk
    pane.show(talk)
    root.update_idletasks()
    print(f"{f'open a talk of {MESSAGES} entries':44} {1000 * (time.perf_counter() - began):6.1f} ms")
    log = pane.log
    gaps = heartbeat(root, lambda: log._layout.first == 0, 60)
    report_block("while the rest of it is laid out", gaps)
    report("scroll by 60 pixels, up", frames(root, 300, lambda _: log._scroll(-60)))
    report("scroll by a page, up", frames(root, 100, lambda _: log._scroll(-600)))
    log._scroll(-(10**9))
    report("scroll by 60 pixels, down from the top", frames(root, 300, lambda _: log._scroll(60)))
    log.go_to_end()

    def append(number: int) -> None:
        talk.add(text(MESSAGES + number))
        pane.refresh()

    report("append an entry", frames(root, 300, append))

    def deliver(number: int) -> None:
        talk.change((MESSAGES + number).to_bytes(16), TextState.DELIVERED)
        pane.refresh()

    report("change a delivery state", frames(root, 300, deliver))
    pane.destroy()


def measure_people(root: tk.Tk, theme: Theme) -> None:
    def row(number: int, unread: int = 0) -> PersonRow:
        name, code = f"person{number}", f"{number * 7919:060d}"
        return PersonRow(name, name, code, "see you tomorrow", "12:34", unread, number % 3 == 0, asks=False)

    people = PeopleList(root, theme)
    people.pack(fill="both", expand=True)
    rows = [row(number) for number in range(CONTACTS)]
    people.show(rows, "person3")
    root.update()
    report("contacts: scroll by a row", frames(root, 300, lambda _: people._scroll(62)))
    people._scroll(-(10**9))
    report(
        "contacts: one of them changes",
        frames(root, 200, lambda n: people.show([row(0, n + 1), *rows[1:]], "person3")),
    )
    people.destroy()
    model = ChatModel("alice")
    model.people = tuple(f"person{number}" for number in range(CONTACTS))
    model.numbers = {name: f"{number * 7919:060d}" for number, name in enumerate(model.people)}
    page = MainPage(root, theme, model, actions())
    page.pack(fill="both", expand=True)
    root.update()
    letters = "person123"

    def type_one(number: int) -> None:
        page._wanted.set(letters[: number % (len(letters) + 1)])

    report("contacts: type in the search", frames(root, 100, type_one))
    report("contacts: take in a round", frames(root, 200, lambda _: page.refresh()))
    page.destroy()


def measure_file(root: tk.Tk, theme: Theme) -> None:
    """Send 200 KB over a real server with a real window, and stretch keys meanwhile."""
    with tempfile.TemporaryDirectory() as folder, town(Path(folder), round_seconds=0.2) as place:
        register(place.link, Home(Path(folder) / "alice", CHEAP), "alice", PASSWORD)
        bob = place.person("bob")
        top = tk.Toplevel(root)
        window = ClientWindow(
            top, theme, Home(Path(folder) / "alice", CHEAP), Start(str(place.link), "alice")
        )
        page = window.login_page
        assert page is not None
        page.password_entry.insert(0, PASSWORD)
        page.submit()
        heartbeat(root, lambda: window.main_page is not None and "bob" in window.model.people, 30)
        assert window.main_page is not None
        window.main_page.ask("bob")
        bob.connection.ask("alice")
        heartbeat(root, lambda: window.model.talk("bob").state is PeerState.CONNECTED, 30)
        (Path(folder) / "photo.bin").write_bytes(os.urandom(FILE_BYTES))
        window.main_page.chat._send_file(Path(folder) / "photo.bin")
        stop = threading.Event()

        def keep_stretching() -> None:
            while not stop.is_set():
                stretch(bytes(32), "alice", PASSWORD, STANDARD_COST)

        threading.Thread(target=keep_stretching, daemon=True).start()
        rows = window.model.talk("bob").rows
        gaps = heartbeat(root, lambda: any(row.transfer is TransferState.DONE for row in rows), 300)
        stop.set()
        report_block("while 200 KB go and keys are stretched", gaps)
        delivered: list[bytes] = []
        bob.connection.call(lambda engine: delivered.append(read(engine)))
        heartbeat(root, lambda: bool(delivered), 30)
        print(f"{'the file arrived whole':44} {delivered[0] == (Path(folder) / 'photo.bin').read_bytes()}")
        for _ in range(2):
            window.close()
        heartbeat(root, lambda: not window.is_open, 30)


def read(engine: Engine) -> bytes:
    return engine.messenger.read_file(engine.messenger.history("alice")[-1].item_id)


def main() -> None:
    root = tk.Tk()
    root.geometry("960x680")
    theme = Theme(root)
    heartbeat(root, lambda: theme.emoji.safe, 10)
    measure_log(root, theme)
    measure_people(root, theme)
    measure_file(root, theme)


if __name__ == "__main__":
    main()
