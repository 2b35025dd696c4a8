"""A client that talks without end, to be killed: ``python -m tests.killed LINK NAME PEER FOLDER``.

It writes one text after the other, and one file, until there is a file ``stop`` in the folder. On standard
output it says ``said`` for each text, and ``settled`` when it has stopped and all is delivered.
"""

from __future__ import annotations

import queue
import sys
import time
from pathlib import Path

from iirs.chain import JoinLink
from iirs.client.account.entry_calls import Home, login
from iirs.client.account.password_keys import storage_key
from iirs.client.connection_options import ConnectionOptions
from iirs.client.engine import Engine
from iirs.client.events import PeerChanged, PeerState
from iirs.client.server_connection import ServerConnection
from iirs.client.store.store import ClientStore
from tests.harness import CHEAP, PASSWORD

FILE_PIECES = 40


def main() -> None:
    link, name, peer, folder = JoinLink.parse(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])
    account = login(link, Home(folder / name, CHEAP), name, PASSWORD)
    store = ClientStore(folder / f"{name}.store", storage_key(account.identity))
    connection = ServerConnection(link, account, store, ConnectionOptions(backoff_seconds=(0.1,)))
    connection.start()
    state: PeerState | None = None
    asked = said = False
    while True:
        try:
            event = connection.events.get(timeout=0.05)
            if isinstance(event, PeerChanged) and event.peer == peer:
                state = event.state
        except queue.Empty:
            pass
        if not asked and len(connection._engine.chain_view.directory) == 2:
            connection.ask(peer)
            asked = True
        stopping = (folder / "stop").exists()
        if state is PeerState.CONNECTED and not stopping:
            connection.call(lambda engine: say(engine, peer))
            time.sleep(0.05)
        if stopping and not said:
            settled: queue.SimpleQueue[bool] = queue.SimpleQueue()
            connection.call(lambda engine, answer=settled: answer.put(is_settled(engine, peer)))
            said = settled.get(timeout=120)
            if said:
                print("settled", flush=True)


def say(engine: Engine, peer: str) -> None:
    """Write the next text, and at first a file; what was said is counted in the store, not here."""
    mine = [entry for entry in engine.messenger.history(peer, 100_000) if entry.outgoing]
    if not mine:
        engine.messenger.send_file(peer, "long.bin", bytes(range(193)) * 4 * FILE_PIECES)
    else:
        engine.messenger.send(peer, f"text {len(mine)}")
        print("said", flush=True)


def is_settled(engine: Engine, peer: str) -> bool:
    return not engine.messenger.undelivered(peer) and not engine.messenger.files._transfers


if __name__ == "__main__":
    main()
