"""Who waits at a server's door: shares of addresses, deadlines as a whole, turns; on a clock of ours."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from iirs.client.account.account import Account
from iirs.errors import PeerError
from iirs.message import MessageKind
from iirs.server.net.descriptors import allowed, raise_limit
from iirs.server.net.listener import Listener
from iirs.server.net.lobby import Lobby, LobbySettings, Wants
from iirs.server.net.shares import Shares, share_of
from iirs.server.settings import ServiceSettings
from iirs.wire.accounts import Result
from iirs.wire.limits import CloseReason, hello
from tests.harness import Town, town, wait_until
from tests.raw import RawEnd, dial, dial_tls, greeted, login_message

# -- shares ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::1", "127.0.0.1", False),
        ("", "192.0.2.1", False),
    ],
)
def test_an_ipv4_address_or_the_64_of_an_ipv6_one_is_one_share(one: str, other: str, same: bool) -> None:
    assert (share_of(one) == share_of(other)) is same


class Door:
    """Shares, and what happens to whoever comes."""

    def __init__(self, total: int, per_share: int, grace: float = 1.0) -> None:
        self.shares: Shares[str] = Shares(total, per_share, grace)
        self.here: dict[str, str] = {}

    def come(self, who: str, share: str, now: float, *, proves: bool = False) -> bool:
        leaving = self.shares.room_for(share, now)
        if leaving is None:
            return False
        for one in leaving:
            self.shares.leave(one)
            del self.here[one]
        self.shares.enter(who, share, now)
        self.here[who] = share
        if proves:
            self.shares.prove(who)
        return True

    def held(self) -> Counter[str]:
        return Counter(self.here.values())


def test_one_address_has_its_share_and_the_oldest_goes_for_the_next() -> None:
    door = Door(total=100, per_share=3)
    assert all(door.come(f"a{number}", "A", float(number)) for number in range(5))
    assert list(door.here) == ["a2", "a3", "a4"]
    assert len(door.shares) == 3


def test_a_storm_is_refused_and_those_who_are_there_keep_their_time() -> None:
    door = Door(total=100, per_share=3)
    assert sum(door.come(f"a{number}", "A", 0.001 * number) for number in range(1000)) == 3
    assert list(door.here) == ["a0", "a1", "a2"]
    assert door.come("late", "A", 1.001)
    assert list(door.here) == ["a1", "a2", "late"]


def test_who_has_shaken_hands_stays_longer_than_who_has_not() -> None:
    door = Door(total=100, per_share=3)
    assert door.come("honest", "A", 0.0, proves=True)
    assert all(door.come(f"a{number}", "A", 10.0 + 2 * number) for number in range(50))
    assert "honest" in door.here
    full = Door(total=100, per_share=2)
    assert all(full.come(f"b{number}", "A", 2.0 * number, proves=True) for number in range(3))
    assert list(full.here) == ["b1", "b2"]


@pytest.mark.parametrize("addresses", [1, 2, 7, 50])
def test_whoever_comes_from_elsewhere_finds_room_at_once_and_keeps_it(addresses: int) -> None:
    door = Door(total=100, per_share=60)
    for number in range(1000):
        door.come(f"x{number}", f"X{number % addresses}", 0.0)
    assert len(door.here) <= 100
    for number in range(20):
        assert door.come(f"new{number}", f"N{number}", 0.0)
    for number in range(1000):
        door.come(f"y{number}", f"X{number % addresses}", 0.5 + number / 10)
    assert sum(who.startswith("new") for who in door.here) == 20
    assert max(door.held().values()) <= 60


def test_a_crowd_of_addresses_with_one_each_makes_room_for_one_more_when_its_time_has_been() -> None:
    door = Door(total=10, per_share=5, grace=1.0)
    assert all(door.come(f"x{number}", f"X{number}", 0.0) for number in range(10))
    assert not door.come("early", "N", 0.5)
    assert door.come("new", "N", 1.0)
    assert "x0" not in door.here


def test_without_shares_one_address_keeps_the_others_out() -> None:
    door = Door(total=100, per_share=100)
    door.shares._grace = 1e9  # and nobody goes for anybody
    door.shares.room_for = lambda *_: [] if len(door.here) < 100 else None  # type: ignore[method-assign]
    for number in range(200):
        door.come(f"x{number}", "X", 0.0)
    assert not door.come("new", "N", 0.0)


# -- the loop ----------------------------------------------------------------------------------------------


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Guest:
    """A visitor that reads what comes, and does what the test says."""

    sock: socket.socket
    share: str
    said: bytes = b""
    is_proven: bool = False
    ending: Wants = Wants.CLOSE
    events: list[str] = field(default_factory=list)

    def go_on(self) -> Wants:
        with suppress(BlockingIOError):
            data = self.sock.recv(100)
            if not data:
                return Wants.CLOSE
            self.said += data
        if b"!" in self.said:
            raise ValueError(f"what alice sent: {self.said!r}")
        self.is_proven = b"p" in self.said
        return Wants.ENTRY if b"e" in self.said else Wants.TIME if b"t" in self.said else Wants.BYTES

    def time_is_up(self) -> Wants:
        self.events.append("late")
        return self.ending

    def enter(self) -> None:
        self.events.append("entered")

    def close(self) -> None:
        self.events.append("closed")
        self.sock.close()


@dataclass
class Hall:
    """A running lobby with guests, and the clock it goes by."""

    lobby: Lobby
    listener: Listener
    clock: Clock
    guests: list[Guest]
    refused: list[None]

    def visit(self) -> tuple[socket.socket, Guest]:
        before = len(self.guests)
        sock = socket.create_connection(("127.0.0.1", self.listener.port), 60)
        wait_until(lambda: len(self.guests) > before)
        return sock, self.guests[-1]


@contextmanager
def hall(settings: LobbySettings) -> Iterator[Hall]:
    listener, clock = Listener("127.0.0.1", 0, backlog=100, advice=""), Clock()
    guests: list[Guest] = []
    refused: list[None] = []

    def receive(sock: socket.socket, share: str) -> Guest:
        guests.append(Guest(sock, share))
        return guests[-1]

    lobby = Lobby(
        listener,
        receive,
        settings,
        refused=lambda: refused.append(None),
        cannot_accept=lambda: None,
        clock=clock,
    )
    lobby.start()
    try:
        yield Hall(lobby, listener, clock, guests, refused)
    finally:
        lobby.stop()
        lobby.join(60)
        assert not lobby.is_alive()
        for guest in guests:
            guest.sock.close()


TIMES = LobbySettings(total=8, per_address=4, grace_seconds=1, handshake_seconds=10, visit_seconds=20)


@pytest.mark.parametrize("says", [b"", b"0123456789"])
def test_a_handshake_has_a_deadline_as_a_whole_however_often_something_comes(says: bytes) -> None:
    with hall(TIMES) as place:
        sock, guest = place.visit()
        with sock:
            for index in range(9):
                place.clock.now += 1
                sock.sendall(says[index : index + 1])
                wait_until(lambda so_far=says[: index + 1]: guest.said == so_far)
            assert guest.events == []
            place.clock.now += 1
            wait_until(lambda: guest.events == ["late", "closed"])
            assert sock.recv(1) == b""


def test_so_has_logging_in_and_who_is_told_why_has_a_moment_to_read_it() -> None:
    with hall(TIMES) as place:
        sock, guest = place.visit()
        with sock:
            guest.ending = Wants.FAREWELL
            sock.sendall(b"p")
            wait_until(lambda: guest.is_proven)
            place.clock.now += 19
            sock.sendall(b"x")
            wait_until(lambda: guest.said == b"px")
            assert guest.events == []
            place.clock.now += 1
            wait_until(lambda: guest.events == ["late"])
            sock.sendall(b"more")  # is read, and not looked at
            place.clock.now += 1
            wait_until(lambda: guest.events == ["late", "closed"])


def test_who_waits_for_somebody_else_is_asked_again_and_let_in_once() -> None:
    with hall(TIMES) as place:
        sock, guest = place.visit()
        with sock:
            sock.sendall(b"t")
            wait_until(lambda: guest.said == b"t")
            sock.sendall(b"e")
            place.lobby.ask_again()
            wait_until(lambda: guest.events == ["entered"])
            place.clock.now += 1000
            other, _ = place.visit()  # the loop has gone on
            other.close()
            assert guest.events == ["entered"]
            guest.sock.close()


def test_a_share_is_kept_and_those_who_go_are_counted() -> None:
    with hall(TIMES) as place:
        socks = [place.visit()[0] for _ in range(4)]
        place.clock.now += 2
        socks.append(place.visit()[0])
        wait_until(lambda: place.guests[0].events == ["closed"])
        assert [len(guest.events) for guest in place.guests] == [1, 0, 0, 0, 0]
        assert len(place.refused) == 1
        for sock in socks:
            sock.close()


def test_an_error_that_nobody_has_thought_of_costs_the_others_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with hall(TIMES) as place:
        for _ in range(2):
            sock, guest = place.visit()
            with sock:
                sock.sendall(b"!")
                wait_until(lambda guest=guest: guest.events == ["closed"])  # type: ignore[misc]
                assert sock.recv(1) == b""
        assert [record.message.split(", line")[0] for record in caplog.records] == [
            "a connection that has not logged in is given up: ValueError in go_on"
        ]
        assert "alice" not in caplog.text
        other, second = place.visit()
        with other:
            other.sendall(b"e")
            wait_until(lambda: second.events == ["entered"])


def test_each_address_has_its_turn() -> None:
    with hall(TIMES) as place:
        lobby = place.lobby
        visits = [type("V", (), {"share": share})() for share in "AAAABBC"]
        order = ["".join(visit.share for visit in lobby._fairly(visits))]
        lobby._last_turn = {"A": 5, "B": 3, "C": 4}
        order.append("".join(visit.share for visit in lobby._fairly(visits)))
    assert order == ["ABCABAA", "BCABAAA"]


# -- the server --------------------------------------------------------------------------------------------

CROWDED = ServiceSettings(lobby=LobbySettings(total=12, per_address=10, grace_seconds=0.0))


def test_whoever_has_not_logged_in_costs_no_thread_and_a_bounded_number_of_sockets(tmp_path: Path) -> None:
    """Fixed: a thread for each connection; 3,500 that dripped a ClientHello stopped all rounds."""
    with town(tmp_path, settings=CROWDED) as place:
        account = place.register("alice")
        before = threading.active_count()
        ends = [dial(place.port) for _ in range(40)]
        for number, end in enumerate(ends):
            with suppress(OSError):
                end.blurt(b"\x16\x03\x01"[: number % 4])
        wait_until(lambda: place.service._lobby is not None and len(place.service._lobby._visits) == 10)
        assert threading.active_count() <= before
        assert get_in(place, account) is Result.OK
        for end in ends:
            end.__exit__()


def get_in(place: Town, account: Account) -> Result:
    end, key = greeted(place.port)
    with end:
        end.say(login_message(account, key))
        return Result(end.wait_for(MessageKind.RESULT)[0])


def test_one_account_is_let_in_again_and_again_only_so_often(tmp_path: Path) -> None:
    """Fixed: each login made the server hold a directory; 2.7 GB with 10,000 accounts."""
    settings = ServiceSettings(logins_burst=3, logins_per_second=0.0)
    with town(tmp_path, settings=settings) as place:
        alice, bob = (place.register(name) for name in ("alice", "bob"))
        assert [get_in(place, alice) for _ in range(5)] == [Result.OK] * 3 + [Result.TOO_MANY] * 2
        assert get_in(place, bob) is Result.OK
        wait_until(lambda: not place.service._connections)


def test_a_replaced_connection_lets_go_of_its_thread_though_the_client_stays(tmp_path: Path) -> None:
    """Fixed: it stayed as long as it might have been silent, with its directory."""
    with town(tmp_path) as place:
        account = place.register("alice")
        ends: list[RawEnd] = []
        for _ in range(4):
            end, key = greeted(place.port)
            ends.append(end)
            end.say(login_message(account, key))
            end.wait_for(MessageKind.RESULT)
        wait_until(lambda: len(place.service._connections) == 1)
        assert ends[0].ending() is CloseReason.REPLACED
        for end in ends:
            end.__exit__()


def test_what_is_said_too_early_is_answered_when_it_is_its_turn(tmp_path: Path) -> None:
    with town(tmp_path) as place:
        account = place.register("alice")
        first, key = greeted(place.port)
        first.__exit__()
        with dial_tls(place.port) as end:
            end.say(hello(), login_message(account, key))
            kinds = [message.kind for _ in range(6) if (message := end.read()) is not None]
        assert kinds[:4] == [MessageKind.CHAIN, MessageKind.KEYS, MessageKind.RESULT, MessageKind.ACCOUNT]


def test_who_does_not_read_the_greeting_is_not_read_from_and_goes_when_time_is_up(tmp_path: Path) -> None:
    with town(tmp_path) as place, dial_tls(place.port) as end:
        end.say(hello())
        with suppress(OSError, PeerError):
            for _ in range(3):
                end.say(hello())  # a second one may not come
        assert end.ending() is CloseReason.PROTOCOL


# -- descriptors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, (5000, 1024)),
        (65536, (5000, 1024)),
        (6088, (5000, 1024)),
        (6087, (4999, 1024)),
        (4096, (3024, 1008)),
        (1024, (720, 240)),
        (10, (6, 2)),
    ],
)
def test_what_few_file_descriptors_allow_is_shared_out(limit: int | None, expected: tuple[int, int]) -> None:
    assert allowed(limit, 5000, 1024) == expected
    if limit is not None and limit > 100:
        assert sum(allowed(limit, 5000, 1024)) < limit


def test_the_limit_is_raised_to_what_the_system_allows() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 1, before[1]))
    try:
        assert raise_limit() == min(before[1], max(before))
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
