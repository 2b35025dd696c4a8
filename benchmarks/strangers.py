"""What strangers can do to a running server: rounds, an honest pair, and a newcomer, while they hold on.

    python benchmarks/strangers.py [--kind drip] [--connections 5000] [--addresses 1] [--seconds 60]
                                   [--hops 1 [--hop 0]]

Starts servers on loopback, and as many connections as wanted, from one loopback address or from several,
by one cheap loop in a process of its own. Kinds: ``silent`` says nothing; ``drip`` sends one byte of a
ClientHello a second; ``hello`` shakes hands as far as the server's answer, hangs up, and comes again. One
that is closed is replaced at once, as far as the loop gets. In a chain, ``--hop`` says whom they visit.

Prints rounds run and due, typed to seen for an honest pair, and how long newcomers, each from an address
of its own, took to register and log in. Targets: every round runs, p95 at most 4 s, every newcomer gets in.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from latency import connect, measure_texts, meet, percentile

from iirs.chain import JoinLink
from iirs.client.account.entry_calls import Home, login, register
from iirs.client.account.password_keys import StretchCost
from iirs.demo.local_chain import local_chain
from iirs.errors import IirsError
from iirs.server.net.descriptors import raise_limit

_OPENED_AT_ONCE = 200
_DRIP_SECONDS = 1.0
_NEWCOMERS_EVERY = 5.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=["silent", "drip", "hello"], default="drip")
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--addresses", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--round-seconds", type=float, default=2.0)
    parser.add_argument("--hops", type=int, default=1)
    parser.add_argument("--hop", type=int, default=0, help="whom the strangers visit")
    parser.add_argument("--port", type=int, help="be the strangers, for this port; used by the program")
    options = parser.parse_args()
    raise_limit()
    if options.port is not None:
        Strangers(options).run()
        return 0
    print(json.dumps(_measure(options), indent=1))
    return 0


# -- the strangers ---------------------------------------------------------------------------------------


class Strangers:
    """One loop that keeps so many connections open, and counts what becomes of them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._poll = select.epoll()
        self._held: dict[int, tuple[socket.socket, int]] = {}
        self._hello = _client_hello()
        self._opened = self._closed = 0

    def run(self) -> None:
        os.nice(5)
        until = time.monotonic() + self._options.seconds
        drip_at = time.monotonic()
        while time.monotonic() < until:
            for _ in range(min(_OPENED_AT_ONCE, self._options.connections - len(self._held))):
                with suppress(OSError):
                    self._open()
            for descriptor, _ in self._poll.poll(0.05):
                self._hear(descriptor)
            if self._options.kind == "drip" and time.monotonic() >= drip_at:
                drip_at = time.monotonic() + _DRIP_SECONDS
                self._drip()
        print(json.dumps({"opened": self._opened, "closed": self._closed, "held": len(self._held)}))

    def _open(self) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((f"127.0.1.{1 + self._opened % self._options.addresses}", 0))
        with suppress(BlockingIOError):
            sock.connect(("127.0.0.1", self._options.port))
        self._opened += 1
        self._held[sock.fileno()] = (sock, 0)
        wanted = select.EPOLLIN | (select.EPOLLOUT if self._options.kind == "hello" else 0)
        self._poll.register(sock.fileno(), wanted)

    def _hear(self, descriptor: int) -> None:
        sock, said = self._held[descriptor]
        try:
            if self._options.kind == "hello" and not said:
                sock.send(self._hello)
                self._held[descriptor] = (sock, len(self._hello))
                self._poll.modify(descriptor, select.EPOLLIN)
                return
            is_over = not sock.recv(65536) or self._options.kind == "hello"
        except BlockingIOError:
            return
        except OSError:
            is_over = True
        if is_over:
            self._poll.unregister(descriptor)
            del self._held[descriptor]
            sock.close()
            self._closed += 1

    def _drip(self) -> None:
        for descriptor, (sock, said) in self._held.items():
            with suppress(OSError):
                if said < len(self._hello) - 1:
                    sock.send(self._hello[said : said + 1])
                    self._held[descriptor] = (sock, said + 1)


def _client_hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


@contextmanager
def strangers(port: int, options: argparse.Namespace) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, __file__, "--port", str(port)]
    for name in ("kind", "connections", "addresses", "seconds"):
        command += [f"--{name}", str(getattr(options, name))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


# -- the honest ------------------------------------------------------------------------------------------


def _measure(options: argparse.Namespace) -> dict[str, object]:
    with (
        tempfile.TemporaryDirectory() as name,
        local_chain(options.hops, options.round_seconds) as servers,
    ):
        folder = Path(name)
        people = [connect(person, servers.link, folder) for person in ("alice", "bob")]
        try:
            meet(people)
            newcomers = Newcomers(servers.link, folder)
            before = servers.views()[-1]["rounds"]
            began = time.monotonic()
            hops = people[0].account.chain.hops
            port = hops[options.hop].host_and_port[1] if options.hop else servers.link.port
            with strangers(port, options) as process:
                newcomers.start()
                latencies: list[float] = []
                while time.monotonic() - began < options.seconds:
                    latencies += measure_texts(people, 1, options.round_seconds)
                seconds = time.monotonic() - began
                rounds = servers.views()[-1]["rounds"] - before
                newcomers.stop()
                said = process.communicate(timeout=60)[0]
        finally:
            for person in people:
                person.quit(at_once=True)
            for person in people:
                person.join(10)
    return {
        "strangers": json.loads(said),
        "rounds": rounds,
        "rounds_due": int(seconds / options.round_seconds),
        "texts": len(latencies),
        "median_s": round(statistics.median(latencies), 2),
        "p95_s": round(percentile(latencies, 0.95), 2),
        "newcomers_s": [round(item, 2) for item in newcomers.took],
        "newcomers_failed": newcomers.failed,
    }


class Newcomers(threading.Thread):
    """Registers and logs in somebody every few seconds, each from an address of their own."""

    def __init__(self, link: JoinLink, folder: Path) -> None:
        super().__init__(daemon=True)
        self._link = link
        self._folder = folder
        self._done = threading.Event()
        self.took: list[float] = []
        self.failed: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._done.wait(_NEWCOMERS_EVERY if number else 1.0):
            number += 1
            began = time.monotonic()
            try:
                with _from_address(f"127.0.2.{number}"):
                    home = Home(self._folder / f"newcomer{number}", StretchCost(64, 1, 1))
                    register(self._link, home, f"newcomer{number}", "correct horse battery")
                    login(self._link, home, f"newcomer{number}", "correct horse battery")
                self.took.append(time.monotonic() - began)
            except IirsError as error:
                self.failed.append(f"{time.monotonic() - began:.1f} s: {error}")

    def stop(self) -> None:
        self._done.set()
        self.join(60)


@contextmanager
def _from_address(address: str) -> Iterator[None]:
    """Have this thread's connections come from an address."""
    honest: Callable[..., socket.socket] = socket.create_connection
    me = threading.get_ident()

    def bound(*args: object, **options: object) -> socket.socket:
        if threading.get_ident() == me:
            options["source_address"] = (address, 0)
        return honest(*args, **options)

    socket.create_connection = bound  # type: ignore[assignment]
    try:
        yield
    finally:
        socket.create_connection = honest


if __name__ == "__main__":
    sys.exit(main())
