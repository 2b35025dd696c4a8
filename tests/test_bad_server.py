"""Whatever a server sends, a client names what is wrong, and its thread ends or tries again as it should."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import iirs.client.net.transport
import iirs.server.announcer
import iirs.server.service
from iirs.chain import JoinLink
from iirs.client.account.account import Account
from iirs.client.account.entry_calls import Home, login, register
from iirs.client.account.password_keys import storage_key
from iirs.client.events import ConnectionChanged, ConnectionState, Notice, RoundClosed
from iirs.client.net.transport import ServerClosedError, Transport
from iirs.client.server_connection import ServerConnection
from iirs.client.store.store import ClientStore
from iirs.directory import Entry
from iirs.epoch import EpochKey, EpochKeyring
from iirs.errors import ChainError, ConnectionLostError, IirsError, ImpostorError, PeerError
from iirs.geometry import HASH_SIZE, PREKEY_SIZE, VAULT_SIZE, BatchKind
from iirs.identity import Identity
from iirs.message import Message, MessageKind
from iirs.onion import MAX_STEPS, channel_period
from iirs.server.accounts.database import Storage
from iirs.server.keystore import ChainOptions, make_keys
from iirs.server.service import Service
from iirs.server.settings import ServiceSettings
from iirs.tls import server_context
from iirs.wire.accounts import AccountRecord, RefusedError, Result
from iirs.wire.limits import CloseReason
from iirs.wire.rounds import NO_BUNDLE, Announcement, Bundle, Replies, RoundStatus, Standby, announcement_hash
from tests.harness import CHEAP, FAST_BACKOFF, PASSWORD, Person, Town, knows, town, wait_until
from tests.raw import RawEnd

KEYS = make_keys(ChainOptions(slots=1, round_seconds=0.2, invite_every=2))
GEOMETRY = KEYS.chain.geometry
Script = Callable[[RawEnd], None]


# -- a server that follows a script --------------------------------------------------------------------


@contextmanager
def fake_server(script: Script, context: ssl.SSLContext | None = None) -> Iterator[JoinLink]:
    """Answer every connection with ``script``, then hang up."""
    listener = socket.create_server(("127.0.0.1", 0))
    used = context or server_context(KEYS.certificate, KEYS.certificate_key)
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            with suppress(OSError, PeerError):  # the client hangs up on a server like this one
                sock, _ = listener.accept()
                with RawEnd(sock, used, server_side=True) as end:
                    script(end)
                    sock.shutdown(socket.SHUT_WR)
                    sock.settimeout(2)
                    while sock.recv(65536):
                        pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield JoinLink("127.0.0.1", listener.getsockname()[1], KEYS.chain.chain_id)
    finally:
        over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def epoch_key() -> EpochKey:
    return EpochKeyring(KEYS.chain, 0, KEYS.identity).for_logins(7)


CHAIN_FRAME = Message(MessageKind.CHAIN, KEYS.chain_file)
KEYS_FRAME = Message(MessageKind.KEYS, epoch_key().encode())
OTHER_CHAIN = Message(MessageKind.CHAIN, make_keys(ChainOptions()).chain_file)
RESULT_OK = Message(MessageKind.RESULT, bytes([Result.OK]))


def blurts(data: bytes) -> Script:
    return lambda end: end.blurt(data)


def says(*items: bytes | Message, after: int = 1) -> Script:
    """Speak TLS, read ``after`` messages of the client, say this, hang up."""

    def script(end: RawEnd) -> None:
        end.handshake()
        for _ in range(after):
            end.read()
        end.say(*items)

    return script


def answers(*items: bytes | Message) -> Script:
    """Greet as a server does, read the login, say this, hang up."""

    def script(end: RawEnd) -> None:
        says(CHAIN_FRAME, KEYS_FRAME)(end)
        end.read()
        end.say(*items)

    return script


def keys_by_another(**changes: int) -> Message:
    stranger = EpochKeyring(KEYS.chain, 0, make_keys(ChainOptions()).identity).for_logins(7)
    return Message(MessageKind.KEYS, replace(stranger, **changes).encode())


RECORD = AccountRecord(0, 0, bytes(VAULT_SIZE)).encode()
NO_DIRECTORY = bytes(GEOMETRY.head_size + 4)


@dataclass(frozen=True)
class Case:
    script: Script
    error: type[IirsError]
    sentence: str


CASES = {
    "hangs up at once": Case(blurts(b""), ConnectionLostError, "ended"),
    "random bytes": Case(blurts(b"\x99" + os.urandom(500)), PeerError, "TLS 1.3"),
    "plain text": Case(blurts(b"HTTP/1.1 400 Bad Request\r\n\r\n"), PeerError, "TLS 1.3"),
    "TLS and no word": Case(says(), ConnectionLostError, "ended"),
    "random bytes in TLS": Case(says(b"\x99" + os.urandom(500)), PeerError, "does not exist"),
    "a frame cut off": Case(says(CHAIN_FRAME.encode()[:50]), ConnectionLostError, "ended"),
    "a frame too long": Case(
        says(struct.pack(">BI", MessageKind.CHAIN, 2**32 - 1)), PeerError, "wrong length"
    ),
    "a frame before its time": Case(says(KEYS_FRAME), PeerError, "may not come now"),
    "a chain file that is none": Case(says(Message(MessageKind.CHAIN, b"x")), ImpostorError, "another chain"),
    "random bytes for a chain file": Case(
        says(Message(MessageKind.CHAIN, os.urandom(500))), ImpostorError, "another chain"
    ),
    "another chain": Case(says(OTHER_CHAIN, KEYS_FRAME), ImpostorError, "another chain"),
    "keys too short": Case(says(CHAIN_FRAME, Message(MessageKind.KEYS, b"x")), PeerError, "wrong length"),
    "keys not signed": Case(says(CHAIN_FRAME, keys_by_another()), ChainError, "did not sign"),
    "keys of another hop": Case(says(CHAIN_FRAME, keys_by_another(hop=1)), ChainError, "another place"),
    "the chain twice": Case(says(CHAIN_FRAME, CHAIN_FRAME), PeerError, "may not come now"),
    "another version": Case(
        says(Message(MessageKind.CLOSE, bytes([CloseReason.VERSION]))), ServerClosedError, "Update iirs"
    ),
    "a reason that does not exist": Case(
        says(Message(MessageKind.CLOSE, b"\xee")), PeerError, "does not know"
    ),
    "a result that does not exist": Case(
        answers(Message(MessageKind.RESULT, b"\xee")), PeerError, "does not know"
    ),
    "a refusal": Case(
        answers(Message(MessageKind.RESULT, bytes([Result.UNKNOWN_NAME]))), RefusedError, "Nobody with"
    ),
    "the wrong answer": Case(answers(RECORD), PeerError, "something else"),
    "nothing after the result": Case(answers(RESULT_OK), ConnectionLostError, "ended"),
    "a directory of half an entry": Case(
        answers(RESULT_OK, RECORD, Message(MessageKind.DIRECTORY, NO_DIRECTORY + b"x")), PeerError, "cut off"
    ),
    "a directory nobody signed": Case(
        answers(RESULT_OK, RECORD, Message(MessageKind.DIRECTORY, NO_DIRECTORY), KEYS_FRAME),
        ChainError,
        "did not sign",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_logging_in_to_a_bad_server_raises_the_named_error(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    with fake_server(case.script) as link, pytest.raises(case.error, match=case.sentence) as raised:
        login(link, Home(tmp_path, CHEAP), "alice", PASSWORD)
    assert type(raised.value) is case.error


ALICE = Account("alice", KEYS.chain, Identity.generate(), bytes(32))


@contextmanager
def connected(link: JoinLink, account: Account = ALICE) -> Iterator[Person]:
    store = ClientStore(":memory:", storage_key(account.identity))
    connection = ServerConnection(link, account, store, FAST_BACKOFF)
    connection.start()
    try:
        yield Person(account.name, account, connection, Path())
    finally:
        connection.quit(at_once=True)
        assert connection.join(60)


@pytest.mark.parametrize("name", CASES)
def test_a_connection_to_a_bad_server_waits_or_closes_and_never_crashes(name: str) -> None:
    case = CASES[name]
    passes = ConnectionLostError | PeerError | ImpostorError
    for_good = not issubclass(case.error, passes) or name == "another version"
    expected = ConnectionState.CLOSED if for_good else ConnectionState.WAITING
    with fake_server(case.script) as link, connected(link) as alice:
        changed = alice.wait_for(ConnectionChanged, lambda e: e.state is not ConnectionState.CONNECTING)
        assert changed.state is expected
        if for_good:
            assert alice.connection.join(60)
        else:
            tries = [ConnectionState.CONNECTING, ConnectionState.WAITING] * 2
            alice.wait_for(ConnectionChanged, lambda _: _states(alice)[:4] == tries)


# -- a stranger on the line, who has no key of the chain's ----------------------------------------------


STRANGER = make_keys(ChainOptions())
WHAT_A_STRANGER_SAYS = {
    "logged in elsewhere": Message(MessageKind.CLOSE, bytes([CloseReason.REPLACED])),
    "another version": Message(MessageKind.CLOSE, bytes([CloseReason.VERSION])),
    "the chain, which is public": CHAIN_FRAME,
    "another chain": OTHER_CHAIN,
    "no chain": Message(MessageKind.CHAIN, b"x"),
}


@pytest.mark.parametrize("name", WHAT_A_STRANGER_SAYS)
def test_nothing_that_a_stranger_says_ends_a_logged_in_client_for_good(name: str) -> None:
    """Fixed: whoever sat on the line, without any key, closed the window with a reason of their choosing."""
    stranger = server_context(STRANGER.certificate, STRANGER.certificate_key)
    script = says(WHAT_A_STRANGER_SAYS[name], KEYS_FRAME, after=0)
    with fake_server(script, stranger) as link, connected(link) as alice:
        tries = [ConnectionState.CONNECTING, ConnectionState.WAITING] * 3
        alice.wait_for(ConnectionChanged, lambda _: _states(alice)[:6] == tries)
        sentences = [e.sentence for e in alice.log if isinstance(e, ConnectionChanged) and e.sentence]
        assert all("certificate is not the one" in sentence for sentence in sentences)
        assert [e.alarm for e in alice.log if isinstance(e, Notice)] == [True]  # said once


def test_a_server_that_has_proved_itself_may_say_goodbye_for_good() -> None:
    """The other side: without it, two machines would throw each other out for ever."""
    close = Message(MessageKind.CLOSE, bytes([CloseReason.REPLACED]))
    with fake_server(says(close)) as link, connected(link) as alice:
        closed = alice.wait_for(ConnectionChanged, lambda e: e.state is ConnectionState.CLOSED)
        assert "logged in somewhere else" in closed.sentence


@pytest.mark.parametrize("pinned", [False, True], ids=["by the link", "by a pin"])
def test_a_chain_file_is_not_read_before_its_hash_fits(
    monkeypatch: pytest.MonkeyPatch, *, pinned: bool
) -> None:
    """Fixed: 64 KiB of a stranger's choosing went to a parser that took 20 s for them."""

    def read(_: bytes) -> object:
        raise AssertionError("read before it was trusted")

    monkeypatch.setattr(iirs.client.net.transport, "parse_chain", read)
    with fake_server(says(OTHER_CHAIN)) as link:
        plain = JoinLink(link.host, link.port) if pinned else link
        with pytest.raises(ImpostorError, match="another chain"):
            Transport.connect(plain, KEYS.chain.chain_id if pinned else None)
    with fake_server(says(CHAIN_FRAME)) as link, pytest.raises(AssertionError, match="read before"):
        Transport.connect(link, None)


def _states(person: Person) -> list[ConnectionState]:
    return [event.state for event in person.log if isinstance(event, ConnectionChanged)]


def test_a_server_that_speaks_an_older_tls_is_refused(tmp_path: Path) -> None:
    context = server_context(KEYS.certificate, KEYS.certificate_key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with fake_server(says(CHAIN_FRAME), context) as link, pytest.raises(PeerError, match=r"TLS 1\.3"):
        login(link, Home(tmp_path, CHEAP), "alice", PASSWORD)


@pytest.mark.parametrize("what", ["says nothing", "says nothing in TLS", "drips TLS", "drips the chain"])
def test_a_server_that_only_wastes_time_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(iirs.client.net.transport, "CONNECT_SECONDS", 0.4)
    given_up = threading.Event()

    def drip(send: Callable[[bytes], None], data: bytes) -> None:
        for place in range(len(data)):
            if given_up.wait(0.05):
                return
            send(data[place : place + 1])

    def waste_time(end: RawEnd) -> None:
        if what == "drips TLS":
            drip(end.blurt, b"\x16\x03\x03\x40\x00" + bytes(500))
        if what.endswith(("in TLS", "chain")):
            end.handshake()
        if what == "drips the chain":
            drip(end.say, CHAIN_FRAME.encode())
        given_up.wait(60)

    with fake_server(waste_time) as link:
        with pytest.raises(ConnectionLostError, match="does not answer"):
            login(link, Home(tmp_path, CHEAP), "alice", PASSWORD)
        given_up.set()


# -- a real server that misbehaves in the middle of a session ------------------------------------------


@dataclass
class Misbehaving:
    """A service whose announcements can be replaced, and an account on it."""

    place: Town
    account: Account
    replace_with: Callable[[bytes], Message] | None = None

    def announce(self, announcement: bytes, session: object) -> Message:
        return self.replace_with(announcement) if self.replace_with else _honest(announcement, session)

    @property
    def service(self) -> Service:
        return self.place.service


_honest: Callable[[bytes, object], Message] = iirs.server.service._announce  # type: ignore[assignment]


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Misbehaving]:
    with town(tmp_path, round_seconds=0.1, slots=1, invite_every=2) as place:
        misbehaving = Misbehaving(place, place.register("alice"))
        monkeypatch.setattr(iirs.server.service, "_announce", misbehaving.announce)
        yield misbehaving


def changed_announcement(announcement: bytes, **changes: object) -> Message:
    decoded = Announcement.decode(announcement, GEOMETRY)
    changed = replace(decoded, **changes)  # type: ignore[arg-type]
    return Message(MessageKind.ANNOUNCE, b"\0" + changed.encode())


def number_of(announcement: bytes) -> int:
    return Announcement.decode(announcement, GEOMETRY).round_number


def flipped(announcement: bytes, place: int) -> bytes:
    return announcement[:place] + bytes([announcement[place] ^ 0xFF]) + announcement[place + 1 :]


class Replay:
    """Announces the first round it is given over and over."""

    def __init__(self) -> None:
        self._first: bytes | None = None

    def __call__(self, announcement: bytes) -> Message:
        self._first = self._first or announcement
        return Message(MessageKind.ANNOUNCE, b"\0" + self._first)


TRANSIENT: dict[str, tuple[Callable[[bytes], Message], str]] = {
    "a replayed round": (Replay(), "round that is over"),
    "round zero": (lambda a: changed_announcement(a, round_number=0), "round that is over"),
    "a round far ahead": (
        lambda a: changed_announcement(a, round_number=number_of(a) + 40_000),
        "far ahead",
    ),
    "the last round there is": (
        lambda a: changed_announcement(a, round_number=2**64 - 1),
        "far ahead",
    ),
    "another version": (
        lambda a: Message(MessageKind.ANNOUNCE, b"\0" + flipped(a, HASH_SIZE)),
        "does not understand",
    ),
    "unknown flags": (
        lambda a: Message(MessageKind.ANNOUNCE, b"\0" + flipped(a, HASH_SIZE + 1 + 8 + 8)),
        "does not understand",
    ),
    "an epoch that has not begun": (
        lambda a: changed_announcement(a, setup_round=number_of(a) + 1),
        "does not fit those before it",
    ),
    "an epoch that is over": (
        lambda a: changed_announcement(a, setup_round=number_of(a) - 1),
        "does not fit those before it",
    ),
    "an announcement too long": (
        lambda a: Message(MessageKind.ANNOUNCE, b"\0" + a + bytes(60_000)),
        "wrong length",
    ),
    "an announcement with room for nobody": (
        lambda a: Message(MessageKind.ANNOUNCE, b"\0" + a + bytes(130)),
        "does not understand",
    ),
    "an announcement too short": (lambda a: Message(MessageKind.ANNOUNCE, a), "wrong length"),
    "no time for uploads": (lambda a: changed_announcement(a, collect_ms=0), "does not fit its rounds"),
    "too little time for uploads": (
        lambda a: changed_announcement(a, collect_ms=49),
        "does not fit its rounds",
    ),
    "too much time for uploads": (
        lambda a: changed_announcement(a, collect_ms=151),
        "does not fit its rounds",
    ),
    "a result": (lambda a: RESULT_OK, "no place in a session"),
    "a directory": (lambda a: Message(MessageKind.DIRECTORY, NO_DIRECTORY), "no place in a session"),
    "the chain": (lambda a: CHAIN_FRAME, "may not come now"),
    "replies of an unknown status": (
        lambda a: Message(MessageKind.REPLIES, b"\xff" * GEOMETRY.replies_size),
        "status that does not exist",
    ),
    "a bundle cut off": (
        lambda a: Message(MessageKind.BUNDLE, b"\xff" * GEOMETRY.bundle_size(1)),
        "cut off",
    ),
    "a standby for the entry itself": (lambda a: Standby(0).encode(), "not in its chain"),
    "a standby for a hop beyond the chain": (lambda a: Standby(1).encode(), "not in its chain"),
    "a standby too long": (lambda a: Message(MessageKind.STANDBY, b"\xff\xff"), "wrong length"),
    "a farewell for no known reason": (lambda a: Message(MessageKind.CLOSE, b"\xee"), "does not know"),
    "a farewell": (lambda a: Message(MessageKind.CLOSE, b"\x03"), "heard nothing for too long"),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_round_that_makes_no_sense_ends_the_connection_and_the_next_one_works(
    bad: Misbehaving, name: str
) -> None:
    bad.replace_with, sentence = TRANSIENT[name]
    try:
        with connected(bad.place.link, bad.account) as alice:
            waiting = alice.wait_for(ConnectionChanged, lambda e: e.state is ConnectionState.WAITING)
            assert sentence in waiting.sentence
            bad.replace_with = None
            alice.wait_for(RoundClosed, lambda e: e.clean)
    finally:
        bad.replace_with = None


@pytest.mark.parametrize("start", [1, 2], ids=["from its end on", "before its end"])
def test_a_part_of_the_directory_that_was_left_out_is_fetched_again(bad: Misbehaving, start: int) -> None:
    """Fixed: a gap ended the session for good, with an alarm, though connecting again was all it took."""

    def leave_out(announcement: bytes) -> Message:
        if Announcement.decode(announcement, GEOMETRY).head.length < 3:
            return Message(MessageKind.STANDBY, b"\xff")
        bad.replace_with = None  # what is announced after a lie, in the same session, follows something else
        shown = announcement_hash(before[-1])
        return changed_announcement(announcement, previous=shown, increment_start=start, increment=())

    before: list[bytes] = []

    def note(announcement: bytes) -> Message:
        before.append(announcement)
        return Message(MessageKind.ANNOUNCE, b"\0" + announcement)

    with connected(bad.place.link, bad.account) as alice:
        bad.replace_with = note
        alice.wait_for(RoundClosed, lambda e: e.clean and bool(before))
        bad.replace_with = leave_out
        for name in ("bob", "carol"):
            bad.place.register(name)
        waiting = alice.wait_for(ConnectionChanged, lambda e: e.state is ConnectionState.WAITING)
        assert "is missing" in waiting.sentence
        wait_until(lambda: knows(alice, "bob") and knows(alice, "carol"))
        seen = len(alice.drain())
        alice.wait_for(RoundClosed, lambda e: e.clean and e in alice.log[seen:])
        assert not any(isinstance(e, Notice) and e.alarm for e in alice.drain())


class Later:
    """Announces as an honest server does until the second round of the session, and then something else."""

    def __init__(self, change: Callable[[bytes], Message]) -> None:
        self._change = change
        self._last = -1

    def __call__(self, announcement: bytes) -> Message:
        last, self._last = self._last, number_of(announcement)
        follows = last == self._last - 1
        return self._change(announcement) if follows else Message(MessageKind.ANNOUNCE, b"\0" + announcement)


FINAL: dict[str, tuple[Callable[[bytes], Message], str]] = {
    "a head nobody signed": (
        lambda a: Message(
            MessageKind.ANNOUNCE, b"\0" + flipped(a, HASH_SIZE + 28 + HASH_SIZE + 4 + HASH_SIZE)
        ),
        "did not sign",
    ),
    "entries beyond the head": (
        lambda a: changed_announcement(a, increment_start=99),
        "did not sign",
    ),
    "another bundle than the chain's": (
        Later(lambda a: changed_announcement(a, bundle_digest=os.urandom(32))),
        "other invitations",
    ),
    "another round before than was announced": (
        Later(lambda a: changed_announcement(a, previous=os.urandom(32))),
        "other rounds",
    ),
    "a bundle that the chain knows nothing of": (
        lambda a: changed_announcement(a, bundle_digest=NO_BUNDLE),
        "other invitations",
    ),
    "a changed entry": (
        lambda a: changed_announcement(
            a, increment_start=0, increment=(Entry.create(bytes(32), "alice", Identity.generate()).raw,)
        ),
        "changed an entry that was in its list",
    ),
    "a bundle nobody signed": (
        lambda a: Bundle(number_of(a), (), bytes(64)).encode(),
        "did not sign",
    ),
    "a prekey its owner did not sign": (
        lambda a: changed_announcement(a, prekeys=(bytes(4) + os.urandom(PREKEY_SIZE - 4),)),
        "not signed by the person",
    ),
    "a prekey of nobody": (
        lambda a: changed_announcement(a, prekeys=(b"\xff" * PREKEY_SIZE,)),
        "not registered",
    ),
    "keys nobody signed": (lambda a: keys_by_another(), "did not sign"),
}


@pytest.mark.parametrize("name", FINAL)
def test_what_is_signed_wrongly_ends_the_session_for_good_with_an_alarm(bad: Misbehaving, name: str) -> None:
    bad.replace_with, sentence = FINAL[name]
    try:
        with connected(bad.place.link, bad.account) as alice:
            closed = alice.wait_for(ConnectionChanged, lambda e: e.state is ConnectionState.CLOSED)
            assert sentence in closed.sentence
            assert alice.connection.join(60)
            assert [e.alarm for e in alice.drain() if isinstance(e, Notice)] == [True]
    finally:
        bad.replace_with = None


def test_replies_of_another_round_or_full_of_garbage_are_a_loss_and_no_more(
    bad: Misbehaving, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    honest = Replies.encode

    def garbage(replies: Replies) -> Message:
        sent.append(replies.round_number)
        pieces = tuple(os.urandom(GEOMETRY.uploaded_size(BatchKind.CELL)) for _ in range(2))
        return honest(Replies(replies.round_number - len(sent) % 2, RoundStatus.DONE, pieces))

    with connected(bad.place.link, bad.account) as alice, monkeypatch.context() as calm:
        # Whoever gets no replies in a round with invitations must leave: that is another test's.
        calm.setattr(iirs.server.announcer, "carries_invitations", lambda *_: False)
        known = len(alice.drain())
        wait_until(lambda: sum(isinstance(e, RoundClosed) and e.clean for e in alice.drain()[known:]) >= 2)
        with monkeypatch.context() as ill:
            ill.setattr(Replies, "encode", garbage)
            wait_until(lambda: len(sent) > 3)
        seen = len(alice.drain())
        alice.wait_for(RoundClosed, lambda e: e.clean and e in alice.log[seen:])
        assert _states(alice) == [ConnectionState.CONNECTING, ConnectionState.ONLINE]


@pytest.mark.parametrize("first_round", [2**63, 0], ids=["far in the future", "long ago"])
def test_an_entry_key_for_other_rounds_than_are_announced_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_round: int
) -> None:
    """A server that lies about its key's rounds cannot keep a client stepping keys for hours."""
    honest = EpochKeyring._make

    def lie(ring: EpochKeyring, first: int, last: int) -> object:
        made = honest(ring, first, last)
        key = EpochKey(0, first_round, first_round + 1, made.pair.public_bytes, b"")
        signature = ring._identity.sign(key.signed_content(ring._chain.chain_id))
        return replace(made, public=replace(key, signature=signature))

    assert channel_period(int(time.time() * 5)) > MAX_STEPS
    monkeypatch.setattr(EpochKeyring, "_make", lie)
    monkeypatch.setattr(EpochKeyring, "for_logins", _only_key)
    service = Service(KEYS, Storage("sqlite://"), ServiceSettings())
    port = service.start("127.0.0.1", 0, paced=False)
    link = JoinLink("127.0.0.1", port, KEYS.chain.chain_id)
    try:
        account = register(link, Home(tmp_path, CHEAP), "alice", PASSWORD)
        monkeypatch.setattr(service.mix_net, "run_round", lambda front: front.deliver(None))
        with connected(link, account) as alice:
            alice.wait_for(ConnectionChanged, lambda e: e.state is ConnectionState.ONLINE)
            service.run_round()
            waiting = alice.wait_for(ConnectionChanged, lambda e: e.state is ConnectionState.WAITING)
            assert "its own key is not for" in waiting.sentence
    finally:
        service.stop()


def _only_key(ring: EpochKeyring, number: int) -> EpochKey:
    if not ring._keys:
        ring._keys.append(ring._make(number, number))
    return ring._keys[0].public


# -- the transport itself ------------------------------------------------------------------------------


def test_a_transport_reads_and_sends_until_the_server_ends_it() -> None:
    with fake_server(answers(RESULT_OK)) as link:
        transport, chain, keys = Transport.connect(link, None)
        assert chain == KEYS.chain
        assert keys == KEYS_FRAME.body
        assert transport.receive(0) is None
        transport.send(Message(MessageKind.LOGIN, bytes(GEOMETRY.login_size)))
        assert transport.expect(MessageKind.RESULT).body == bytes([Result.OK])
        with pytest.raises(ConnectionLostError):
            transport.expect(MessageKind.RESULT)
        transport.close()
        with pytest.raises(ConnectionLostError):
            transport.receive(0)
        with pytest.raises(ConnectionLostError):
            transport.send(RESULT_OK)
