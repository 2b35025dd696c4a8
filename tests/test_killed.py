"""Two clients that are killed at any moment, again and again: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from iirs.client.account.password_keys import storage_key
from iirs.client.messenger.file_transfer import FileTransfer
from iirs.client.store.log_entry import EntryKind, TransferState
from iirs.client.store.store import ClientStore
from tests.effort import SOAK
from tests.harness import Town, town, wait_until
from tests.killed import FILE_PIECES

KILLS = 50 if SOAK else 14
PAIR = (("alice", "bob"), ("bob", "alice"))


class Victim:
    """One client process."""

    def __init__(self, place: Town, name: str, peer: str) -> None:
        command = [sys.executable, "-m", "tests.killed", str(place.link), name, peer, str(place.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.settled = threading.Event()
        self.said = 0
        """Texts written since this process began."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += b"said" in line
            if b"settled" in line:
                self.settled.set()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_any_moment_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path) -> None:
    with town(tmp_path, round_seconds=0.1) as place:
        accounts = {name: place.register(name) for name, _ in PAIR}
        victims = {name: Victim(place, name, peer) for name, peer in PAIR}
        try:
            for number in range(KILLS):
                time.sleep(0.5 + secrets.randbelow(1500) / 1000)
                name, peer = PAIR[number % 2] if secrets.randbelow(2) else PAIR[0]
                victims[name].kill()
                victims[name] = Victim(place, name, peer)
            wait_until(lambda: min(victim.said for victim in victims.values()) >= KILLS, 400)
            (tmp_path / "stop").touch()
            for victim in victims.values():
                assert victim.settled.wait(400), "what was said is not delivered"
        finally:
            for victim in victims.values():
                victim.kill()
    stores = {
        name: ClientStore(tmp_path / f"{name}.store", storage_key(accounts[name].identity))
        for name, _ in PAIR
    }
    for name, peer in PAIR:
        said = [entry for entry in stores[name].history.page(peer, 100_000) if entry.outgoing]
        heard = [entry for entry in stores[peer].history.page(name, 100_000) if not entry.outgoing]
        texts = [entry.text for entry in said if entry.kind is EntryKind.TEXT]
        assert texts == [f"text {number}" for number in range(1, len(texts) + 1)]
        assert len(texts) > KILLS // 2
        assert [(entry.item_id, entry.text) for entry in heard] == [
            (entry.item_id, entry.text) for entry in said
        ]
        kept = [FileTransfer.from_state(state) for state in stores[peer].values("file over:").values()]
        (transfer,) = [transfer for transfer in kept if not transfer.outgoing]
        assert transfer.state is TransferState.DONE
        whole = stores[peer].history.read_file(transfer.file.file_id)
        assert whole == bytes(range(193)) * 4 * FILE_PIECES
    for store in stores.values():
        store.close()
