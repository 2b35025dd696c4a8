"""What a connection costs the server in memory, with a long directory: of those who read, and do not.

    python benchmarks/memory.py [--accounts 10000] [--prekeys 0] [--connections 500] [--at-once 1]
                                [--seconds 12] [--logins 100]

Starts servers on loopback in a process of their own, in which so many are registered (and so many of them
have prekeys, each as long as ten entries): one for each case. ``connections`` log in, ``at-once`` at a time,
and read nothing; or 1 KB a second; or all they are sent. Prints the resident memory that came with them, in
KB a connection, after so many ``seconds`` and at most in them. Whoever does not read is cut off after 120 s:
``--seconds 110`` shows what it can have become by then. In the last case one account logs in ``logins`` times
and reads nothing. Target: 80 KB a connection, however long the directory.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from iirs.chain import Chain, parse_chain
from iirs.directory import Directory, Entry
from iirs.epoch import EpochKey
from iirs.errors import PeerError
from iirs.geometry import LOGIN_SECRET_SIZE, VAULT_SIZE
from iirs.identity import Identity
from iirs.message import Message, MessageKind, MessageReader
from iirs.onion import entry_offer_info
from iirs.prekey import Prekey
from iirs.server.accounts.database import Storage, StoredAccount
from iirs.server.keystore import ChainOptions, ServerKeys, make_keys
from iirs.server.net.descriptors import raise_limit
from iirs.server.service import Service
from iirs.server.settings import ServiceSettings
from iirs.server.spare_memory import SpareMemory
from iirs.suite import HYBRID
from iirs.tls import TlsPipe, client_context
from iirs.wire.accounts import Login, Result
from iirs.wire.limits import hello

_START_SECONDS = 3.0
_SLOW_BYTES = 1024
"""A second."""
_PATIENCE_SECONDS = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--prekeys", type=int, default=0)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--logins", type=int, default=100)
    parser.add_argument("--serve", action="store_true", help="be the server; used by the program")
    options = parser.parse_args()
    raise_limit()
    if options.serve:
        _serve(options)
        return 0
    print(json.dumps(_measure(options), indent=1))
    return 0


# -- the server ------------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> None:
    keys = make_keys(ChainOptions())
    settings = ServiceSettings(logins_burst=30)
    service = Service(keys, _filled(keys, options), settings)
    print(service.start("127.0.0.1", 0), flush=True)
    gone, spare = threading.Event(), SpareMemory()
    threading.Thread(target=lambda: (sys.stdin.read(), gone.set()), daemon=True).start()
    while not gone.wait(1.0):  # as the program does
        service.tidy()
        spare.give_back()
    service.stop()


def _filled(keys: ServerKeys, options: argparse.Namespace) -> Storage:
    """Return accounts; one identity will do, for the server never asks whose it is."""
    storage, identity = Storage("sqlite://"), Identity.generate()
    chain, directory = keys.chain, Directory(keys.chain.chain_id)
    prekeys: dict[int, bytes] = {}
    public = HYBRID.generate().public_bytes
    for position in range(options.accounts):
        entry = Entry.create(chain.chain_id, _name(position), identity)
        directory.append(entry)
        hashed = hashlib.sha256(bytes(16) + _secret(position)).digest()
        storage.add(StoredAccount(position, entry.name, entry.raw, bytes(16), hashed, bytes(VAULT_SIZE), 0))
        if position < options.prekeys:
            period = chain.period(_now(chain))
            prekeys[position] = Prekey.create(identity, directory, position, period, public).encode()
    storage.keep_prekeys(prekeys)
    return storage


def _now(chain: Chain) -> int:
    around = chain.rounds_around(time.time())
    return around[len(around) // 2]


def _name(position: int) -> str:
    return f"person{position}"


def _secret(position: int) -> bytes:
    return hashlib.sha256(_name(position).encode()).digest()[:LOGIN_SECRET_SIZE]


# -- the clients -----------------------------------------------------------------------------------------


class Client:
    """A connection that has logged in and read nothing more."""

    def __init__(self, port: int, position: int) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.settimeout(_PATIENCE_SECONDS)
        self.sock.connect(("127.0.0.1", port))
        self.pipe = TlsPipe(client_context(), server_side=False)
        self._reader = MessageReader(dict.fromkeys(MessageKind, (0, 2**32 - 1)))
        self.pipe.start()
        while not self.pipe.established:
            self._exchange()
        self.say(hello())
        chain = parse_chain(self._wait_for(MessageKind.CHAIN))
        key = EpochKey.decode(self._wait_for(MessageKind.KEYS))
        self.say(_login(chain, key, position))

    def result(self) -> Result:
        return Result(self._wait_for(MessageKind.RESULT)[0])

    def say(self, message: Message) -> None:
        self.pipe.send(message.encode())
        self.sock.sendall(self.pipe.take_outgoing())

    def _wait_for(self, kind: MessageKind) -> bytes:
        while (message := self._reader.next_message()) is None:
            self._exchange()
        assert message.kind is kind, message.kind
        return message.body

    def _exchange(self) -> None:
        self.sock.sendall(self.pipe.take_outgoing())
        data = self.sock.recv(4096)
        if not data:
            raise PeerError("The server hung up.")
        self._reader.feed(self.pipe.feed(data))


def _login(chain: Chain, key: EpochKey, position: int) -> Message:
    info = entry_offer_info(chain.chain_id, chain.entry_certificate, key.key_id)
    offer = chain.geometry.suite.seal(key.verified(chain, 0), os.urandom(32), info)
    return Login(_name(position), _secret(position), key.key_id, offer).encode()


class Drain(threading.Thread):
    """Reads what comes for many clients, and throws it away; of each so many bytes a second, or all."""

    def __init__(self, bytes_per_second: int | None = None) -> None:
        super().__init__(daemon=True)
        self._rate = bytes_per_second
        self._selector = selectors.DefaultSelector()
        self.bytes = 0

    def add(self, client: Client) -> None:
        client.sock.setblocking(False)
        self._selector.register(client.sock, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select(0.1):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                try:
                    data = sock.recv(self._rate or 1 << 20)
                except OSError:  # the server is gone
                    data = b""
                self.bytes += len(data)
                if not data:
                    self._selector.unregister(sock)
            if self._rate:
                time.sleep(1)


class Watch(threading.Thread):
    """Notes how much memory a process has at most."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.most = 0

    def now(self) -> int:
        lines = dict(line.split(":", 1) for line in self._status.read_text("ascii").splitlines())
        return int(lines["VmRSS"].split()[0])

    def run(self) -> None:
        with contextlib.suppress(OSError, KeyError):  # it has ended
            while True:
                self.most = max(self.most, self.now())
                time.sleep(0.05)


@contextlib.contextmanager
def _server(options: argparse.Namespace) -> Iterator[tuple[int, Watch]]:
    """Run a server to which somebody has logged in; give its port, and a watch on its memory."""
    command = [sys.executable, __file__, "--serve", "--accounts", str(options.accounts)]
    command += ["--prekeys", str(options.prekeys)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        watch = Watch(server.pid)
        watch.start()
        first = Client(port, 0)
        first.result()
        time.sleep(_START_SECONDS)
        yield port, watch
    finally:
        server.communicate()


def _measure(options: argparse.Namespace) -> dict[str, object]:
    figures: dict[str, object] = {"accounts": options.accounts, "prekeys": options.prekeys}
    count = options.connections
    for name, drain in {"not_reading": None, "slowly": Drain(_SLOW_BYTES), "reading": Drain()}.items():
        with _server(options) as (port, watch):
            before, watch.most = watch.now(), 0
            clients = _let_in(port, range(1, 1 + count), options.at_once)
            if drain is not None:
                drain.start()
                for client in clients:
                    drain.add(client)
            time.sleep(options.seconds)
            figures[f"{name}_KB"] = round((watch.now() - before) / count, 1)
            figures[f"{name}_most_KB"] = round((watch.most - before) / count, 1)
            figures[f"{name}_read_MB"] = 0 if drain is None else drain.bytes >> 20
    with _server(options) as (port, watch):
        before, watch.most = watch.now(), 0
        results = [_again(port) for _ in range(options.logins)]
        figures["logged_in_again"] = sum(result == Result.OK for result in results)
        figures["refused_as_too_many"] = sum(result == Result.TOO_MANY for result in results)
        figures["again_most_KB"] = watch.most - before
    return figures


def _let_in(port: int, positions: range, at_once: int) -> list[Client]:
    def let_in(position: int) -> Client:
        client = Client(port, position)
        assert client.result() is Result.OK
        return client

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(let_in, positions))


_HELD: list[Client] = []


def _again(port: int) -> Result:
    _HELD.append(Client(port, 1))
    return _HELD[-1].result()


if __name__ == "__main__":
    sys.exit(main())
