"""Whatever one connection sends, it alone pays for it: two people chat on throughout this file."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest

from iirs.client.account.account import Account
from iirs.client.events import ConnectionChanged, ConnectionState
from iirs.directory import Entry, encode_name
from iirs.errors import PeerError
from iirs.geometry import ENTRY_SIZE, NAME_FIELD_SIZE, REGISTER_SIZE, VAULT_SIZE
from iirs.identity import Identity
from iirs.message import HEADER_SIZE, Message, MessageKind
from iirs.server.connectionThread import ConnectionSettings
from iirs.server.settings import ServiceSettings
from iirs.wire.accounts import Login, Registration, Result
from iirs.wire.limits import CloseReason, upload_limits
from iirs.wire.rounds import Replies, RoundStatus
from tests.harness import Person, Town, town, wait_until
from tests.raw import RawEnd, Session, dial, dial_tls, greeted, logged_in, login_message
from tests.shared import Shared

LIMITS = ConnectionSettings(greeting_seconds=6, idle_seconds=12)  # a busy machine lets honest ones wait too
GENEROUS = ServiceSettings(connection=LIMITS, failed_logins_burst=1000, logins_burst=1000)


@dataclass
class Chat:
    """Alice and bob, who talk all the time, and mallory, whose account the breakers use."""

    place: Town
    alice: Person
    bob: Person
    mallory: Account
    slow_ones: SlowOnes
    numbers: Iterator[int]

    @property
    def port(self) -> int:
        return self.place.port

    def goes_on(self) -> None:
        """Fail unless a text gets through both ways and neither ever lost the connection."""
        number = next(self.numbers)
        self.alice.connection.send("bob", f"question {number}")
        self.bob.connection.send("alice", f"answer {number}")
        wait_until(lambda: f"question {number}" in self.bob.texts())
        wait_until(lambda: f"answer {number}" in self.alice.texts())
        for person in (self.alice, self.bob):
            changes = [event for event in person.log if isinstance(event, ConnectionChanged)]
            states = [event.state for event in changes]
            assert states == [ConnectionState.CONNECTING, ConnectionState.ONLINE], changes


@contextmanager
def begun(folder: Path) -> Iterator[Chat]:
    with town(folder, round_seconds=0.2, slots=1, settings=GENEROUS) as place:
        alice, bob = place.person("alice"), place.person("bob")
        place.introduce(alice, bob)
        slow = SlowOnes(place.port, place.register("sloth"))
        yield Chat(place, alice, bob, place.register("mallory"), slow, count())
        slow.stop()


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[Chat]]:
    with Shared(lambda: begun(tmp_path_factory.mktemp("town"))) as shared:
        yield shared


@pytest.fixture
def chat(chats: Shared[Chat], request: pytest.FixtureRequest) -> Iterator[Chat]:
    """The chat, which is checked after every test."""
    with chats.lent(request.session) as running:
        yield running
        running.goes_on()


# -- those who only waste time -------------------------------------------------------------------------


class SlowOnes:
    """Connections that hold on as long as they are let; started together, for each needs its time."""

    def __init__(self, port: int, account: Account) -> None:
        self._over = threading.Event()
        self.silent = dial(port)
        self.silent_in_tls = dial_tls(port)
        self.silent_after_hello = greeted(port)[0]
        self.dripping_tls = dial(port)
        self.dripping = greeted(port)[0]
        self.silent_in_session = logged_in(port, account).end
        register = Message(MessageKind.REGISTER, bytes(REGISTER_SIZE)).encode()
        self._start(self.dripping_tls.blurt, b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(16380))
        self._start(self.dripping.say, register)

    def _start(self, send: Callable[[bytes], None], data: bytes) -> None:
        threading.Thread(target=self._drip, args=(send, data), daemon=True).start()

    def _drip(self, send: Callable[[bytes], None], data: bytes) -> None:
        with suppress(OSError, PeerError):  # the server has hung up: what this is about
            for place in range(len(data)):
                if self._over.wait(0.05):
                    return
                send(data[place : place + 1])

    def stop(self) -> None:
        self._over.set()


def test_one_who_never_sends_is_dropped(chat: Chat) -> None:
    assert chat.slow_ones.silent.ending() is None  # without TLS there is no frame to say why


@pytest.mark.parametrize("who", ["silent_in_tls", "silent_after_hello", "silent_in_session", "dripping"])
def test_one_who_stalls_or_drips_is_told_that_time_is_up(chat: Chat, who: str) -> None:
    end: RawEnd = getattr(chat.slow_ones, who)
    assert end.ending() is CloseReason.TIMEOUT


def test_one_who_drips_a_handshake_is_dropped(chat: Chat) -> None:
    assert chat.slow_ones.dripping_tls.ending() is None


def test_uploads_are_what_keeps_a_session_alive(chat: Chat) -> None:
    session = logged_in(chat.port, chat.mallory)
    chat.slow_ones.silent_in_session.ending()  # takes as long as a session without uploads lasts
    for _ in range(10):
        session.next_announcement()
        session.end.say(session.upload())
    with session.end:
        session.next_announcement()


# -- not TLS --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        bytes(1000),
        b"\xff" * 1000,
        b"\x16\x03\x01\xff\xff" + bytes(2000),
        b"\x17\x03\x03\x00\x20" + bytes(32),
    ],
    ids=["http", "ssh", "zeros", "ones", "long record", "record too early"],
)
def test_bytes_that_are_not_tls_are_dropped(chat: Chat, data: bytes) -> None:
    with dial(chat.port) as end:
        end.blurt(data)
        assert end.ending() is None


def test_random_bytes_instead_of_tls_are_dropped(chat: Chat) -> None:
    ends = [dial(chat.port) for _ in range(20)]
    for end in ends:
        end.blurt(os.urandom(3000))
    for end in ends:
        with end:
            end.socket.shutdown(socket.SHUT_WR)
            assert end.ending() is None


def test_one_who_hangs_up_in_the_middle_of_the_handshake_is_forgotten(chat: Chat) -> None:
    for length in (1, 5, 50, 200):
        with dial(chat.port) as end:
            end.pipe.start()
            end.blurt(end.pipe.take_outgoing()[:length])


def test_tls_disturbed_in_the_middle_of_a_session_ends_that_session(chat: Chat) -> None:
    with logged_in(chat.port, chat.mallory).end as end:
        end.blurt(b"\x17\x03\x03\x00\x40" + os.urandom(64))
        assert end.ending() is None  # an alert of TLS itself says why


# -- out of order --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "bodies"),
    [
        (CloseReason.VERSION, [b"\x00\x00", b"\x00\x02", b"\x00\x04", b"\xff\xff"]),
        (CloseReason.PROTOCOL, [b"\x01", b"", b"\x00\x00\x01"]),
    ],
)
def test_another_version_or_a_hello_that_is_none_is_refused(
    chat: Chat, reason: CloseReason, bodies: list[bytes]
) -> None:
    for body in bodies:
        with dial_tls(chat.port) as end:
            end.say(Message(MessageKind.HELLO, body))
            assert end.ending() is reason


@pytest.mark.parametrize("stage", ["connected", "greeted", "in session"])
def test_a_frame_that_has_no_place_at_its_stage_is_refused(chat: Chat, stage: str) -> None:
    dialled: dict[str, tuple[Callable[[], RawEnd], set[MessageKind]]] = {
        "connected": (lambda: dial_tls(chat.port), {MessageKind.HELLO}),
        "greeted": (lambda: greeted(chat.port)[0], {MessageKind.REGISTER, MessageKind.LOGIN}),
        "in session": (
            lambda: logged_in(chat.port, chat.mallory).end,
            set(upload_limits(chat.mallory.chain.geometry)),
        ),
    }
    dial_to_stage, allowed = dialled[stage]
    for kind in set(MessageKind) - allowed:
        with dial_to_stage() as end:
            end.say(Message(kind, b"\0\1"))
            assert end.ending() is CloseReason.PROTOCOL


def test_a_kind_that_does_not_exist_is_refused(chat: Chat) -> None:
    end, _ = greeted(chat.port)
    with end:
        end.say(b"\x63\x00\x00\x00\x01x")
        assert end.ending() is CloseReason.PROTOCOL


def test_random_bytes_inside_tls_are_refused_at_every_stage(chat: Chat) -> None:
    stages: list[Callable[[], RawEnd]] = [
        lambda: dial_tls(chat.port),
        lambda: greeted(chat.port)[0],
        lambda: logged_in(chat.port, chat.mallory).end,
    ]
    for stage in stages:
        for _ in range(5):
            with stage() as end:
                end.say(b"\xee" + os.urandom(4000))
                assert end.ending() is CloseReason.PROTOCOL


# -- too long, too short -------------------------------------------------------------------------------


@pytest.mark.parametrize("difference", [-1, 1, 10_000])
def test_a_frame_of_a_wrong_length_is_refused_at_its_header(chat: Chat, difference: int) -> None:
    session = logged_in(chat.port, chat.mallory)
    with session.end as end:
        header = struct.pack(">BI", MessageKind.UPLOAD, session.geometry.upload_size + difference)
        end.say(header)
        assert end.ending() is CloseReason.PROTOCOL


def test_a_frame_said_to_be_of_four_gigabytes_is_refused_at_its_header(chat: Chat) -> None:
    end, _ = greeted(chat.port)
    with end:
        end.say(struct.pack(">BI", MessageKind.REGISTER, 2**32 - 1))
        assert end.ending() is CloseReason.PROTOCOL


@pytest.mark.parametrize("kept", [1, HEADER_SIZE, 100])
def test_one_who_hangs_up_in_the_middle_of_a_frame_is_forgotten(chat: Chat, kept: int) -> None:
    session = logged_in(chat.port, chat.mallory)
    session.end.say(session.upload()[:kept])
    session.end.socket.shutdown(socket.SHUT_WR)
    assert session.end.ending() is None
    session.end.socket.close()


def test_one_who_resets_the_connection_is_forgotten(chat: Chat) -> None:
    session = logged_in(chat.port, chat.mallory)
    session.end.say(session.upload())
    session.end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    session.end.socket.close()


def test_one_who_never_reads_holds_nobody_up(chat: Chat) -> None:
    session = logged_in(chat.port, chat.mallory)
    for _ in range(3):
        chat.goes_on()
    session.end.socket.close()


def test_a_crowd_of_half_open_connections_holds_nobody_up(chat: Chat) -> None:
    ends = [dial(chat.port) for _ in range(40)]
    ends += [dial_tls(chat.port) for _ in range(10)]
    chat.goes_on()
    for end in ends:
        end.socket.close()


# -- uploads -------------------------------------------------------------------------------------------


def test_garbage_in_an_upload_gets_random_bytes_back_and_the_session_goes_on(chat: Chat) -> None:
    session = logged_in(chat.port, chat.mallory)
    with session.end as end:
        done = 0
        while done < 4:  # invitation rounds included
            session.next_announcement()
            end.say(session.upload())
            replies = Replies.decode(end.wait_for(MessageKind.REPLIES), session.geometry)
            assert replies.status is not RoundStatus.LOST
            assert len(set(replies.cells)) == session.geometry.circuits
            done += replies.status is RoundStatus.DONE


def test_a_second_upload_in_a_round_ends_the_session(chat: Chat) -> None:
    session = logged_in(chat.port, chat.mallory)
    with session.end:
        assert session.insist(lambda: [session.upload()] * 2) is CloseReason.PROTOCOL


def test_a_replayed_upload_of_an_earlier_round_is_thrown_away_and_announced_as_late(chat: Chat) -> None:
    session = logged_in(chat.port, chat.mallory)
    with session.end as end:
        session.next_announcement()
        old = session.upload()
        end.say(old)
        while session.next_announcement():
            pass  # the machine was slow, and the upload itself was late
        end.say(old)
        wait_until(lambda: session.next_announcement() == 1)
        assert session.next_announcement() == 0


@pytest.mark.parametrize("number", [0, 1])
def test_an_upload_for_a_round_long_past_is_late_like_any_other(chat: Chat, number: int) -> None:
    session = logged_in(chat.port, chat.mallory)
    with session.end as end:
        end.say(session.upload(number))
        wait_until(lambda: session.next_announcement() == 1)


@pytest.mark.parametrize("ahead", [50, 10**9, None])
def test_an_upload_for_a_round_to_come_ends_the_session_and_is_not_remembered(
    chat: Chat, ahead: int | None
) -> None:
    session = logged_in(chat.port, chat.mallory)
    number = session.announcement.round_number
    with session.end as end:
        end.say(session.upload(2**64 - 1 if ahead is None else number + ahead))
        assert end.ending() is CloseReason.PROTOCOL
    position = chat.place.service.accounts.login(_right(chat.mallory), "192.0.2.1")[1]
    assert position is not None
    assert position.last_round < number + 50


def _right(account: Account) -> Login:
    return Login(account.name, account.login_secret, bytes(32), b"")


def test_an_upload_of_the_wrong_kind_ends_the_session(chat: Chat) -> None:
    for wanted in (True, False):
        session = logged_in(chat.port, chat.mallory)

        def wrong_upload(session: Session = session, wanted: bool = wanted) -> list[bytes]:
            fits = session.announcement.has_invitations is wanted
            return [session.upload(invites=not wanted)] if fits else []

        with session.end:
            assert session.insist(wrong_upload) is CloseReason.PROTOCOL


def test_an_upload_without_the_setup_of_its_round_ends_the_session(chat: Chat) -> None:
    session = logged_in(chat.port, chat.mallory)
    with session.end:
        assert session.insist(lambda: [session.upload(sets_up=False)]) is CloseReason.PROTOCOL


@pytest.mark.parametrize("kind", [MessageKind.SETUP, MessageKind.INVITE])
def test_a_part_of_an_upload_that_comes_twice_or_of_another_round_ends_the_session(
    chat: Chat, kind: MessageKind
) -> None:
    geometry = chat.mallory.chain.geometry
    size = {MessageKind.SETUP: geometry.setup_size, MessageKind.INVITE: geometry.invite_size}[kind]
    for number, times in ((0, 2), (1, 1)):
        session = logged_in(chat.port, chat.mallory)
        part = Message(kind, number.to_bytes(8) + bytes(size - 8))
        with session.end as end:
            end.say(*[part] * times, session.upload(0, sets_up=False, invites=False))
            assert end.ending() is CloseReason.PROTOCOL


@pytest.mark.parametrize("kind", [MessageKind.SETUP, MessageKind.INVITE])
def test_a_part_of_an_upload_of_a_wrong_length_ends_the_session(chat: Chat, kind: MessageKind) -> None:
    session = logged_in(chat.port, chat.mallory)
    geometry = session.geometry
    size = {MessageKind.SETUP: geometry.setup_size, MessageKind.INVITE: geometry.invite_size}[kind]
    with session.end as end:
        end.say(Message(kind, bytes(size + 1)))
        assert end.ending() is CloseReason.PROTOCOL


def test_parts_of_an_upload_without_its_end_buy_nobody_time(chat: Chat) -> None:
    """Whoever sends them and no upload is as silent as who sends nothing."""
    session = logged_in(chat.port, chat.mallory)
    with session.end as end:
        end.say(Message(MessageKind.SETUP, bytes(session.geometry.setup_size)))
        assert end.ending() is CloseReason.TIMEOUT


def test_an_upload_split_into_single_bytes_counts_like_any_other(chat: Chat) -> None:
    session = logged_in(chat.port, chat.mallory)
    with session.end as end:
        encoded = session.upload(0)
        for place in range(0, len(encoded), 500):
            end.say(encoded[place : place + 500])
        wait_until(lambda: session.next_announcement() == 1)


# -- registering and logging in ------------------------------------------------------------------------


def registration(chat: Chat, name: str = "oscar", **fields: bytes) -> Message:
    chain_id = chat.place.service.chain.chain_id
    entry = Entry.create(chain_id, name, Identity.generate()).raw
    values = {"entry": entry, "login_secret": bytes(32), "vault": bytes(VAULT_SIZE), **fields}
    return Registration(**values).encode()


def signed_entry(chat: Chat, name_field: bytes, key: bytes | None = None) -> bytes:
    """Return an entry whose signature is right, whatever its name field and key are."""
    identity = Identity.generate()
    content = name_field + (key or identity.verify_key_bytes)
    chain_id = chat.place.service.chain.chain_id
    return content + identity.sign(b"iirs/1 directory entry" + chain_id + content)


def answer(end: RawEnd, message: Message) -> Result:
    end.say(message)
    return Result(end.wait_for(MessageKind.RESULT)[0])


ODD_NAMES = {
    "not utf-8": b"\x05\xff\xfe\xfd\xfc\xfb",
    "upper case": b"\x05Oscar",
    "empty": b"\x00",
    "a space": b"\x05os ar",
    "a path": b"\x05../os",
    "a quote": b"\x05os'--",
    "a zero": b"\x05os\x00ar",
    "letters that look alike": b"\x06\xd0\xbescar",
    "a length beyond the field": b"\xffoscar",
    "a length too short": b"\x04oscar",
}


def test_an_odd_name_is_neither_registered_nor_logged_in(chat: Chat) -> None:
    end, key = greeted(chat.port)
    good = login_message(chat.mallory, key)
    with end:
        for odd in ODD_NAMES.values():
            field = odd.ljust(NAME_FIELD_SIZE, b"\0")
            assert answer(end, registration(chat, entry=signed_entry(chat, field))) is Result.INVALID
            odd_login = replace(good, body=field + good.body[NAME_FIELD_SIZE:])
            assert answer(end, odd_login) is Result.UNKNOWN_NAME
        assert answer(end, good) is Result.OK


def test_a_name_ten_thousand_long_does_not_fit_the_frame(chat: Chat) -> None:
    end, _ = greeted(chat.port)
    with end:
        end.say(
            Message(MessageKind.REGISTER, b"\xff" + b"a" * 10_000 + bytes(REGISTER_SIZE - NAME_FIELD_SIZE))
        )
        assert end.ending() is CloseReason.PROTOCOL


def test_a_registration_with_a_bad_signature_is_refused_and_a_good_one_still_taken(chat: Chat) -> None:
    end, _ = greeted(chat.port)
    with end:
        good = registration(chat, "peggy")
        broken = bytearray(good.body)
        broken[ENTRY_SIZE - 1] ^= 1
        assert answer(end, Message(MessageKind.REGISTER, bytes(broken))) is Result.INVALID
        assert answer(end, good) is Result.OK
        assert answer(end, good) is Result.NAME_TAKEN


def test_a_registration_with_a_key_nobody_can_use_is_refused(chat: Chat) -> None:
    name = encode_name("trent")
    another = Identity.generate().verify_key_bytes
    end, _ = greeted(chat.port)
    with end:
        for bad in (bytes(33), b"\x05" + another[1:], b"\xff" * 33, another):
            entry = signed_entry(chat, name, bad)
            assert answer(end, registration(chat, entry=entry)) is Result.INVALID
        foreign = Entry.create(bytes(32), "trent", Identity.generate()).raw
        assert answer(end, registration(chat, entry=foreign)) is Result.INVALID
        assert answer(end, registration(chat, entry=signed_entry(chat, name))) is Result.OK


def test_random_registrations_and_logins_are_answered_and_harm_nobody(chat: Chat) -> None:
    end, _ = greeted(chat.port)
    with end:
        for _ in range(10):
            message = Message(MessageKind.REGISTER, os.urandom(REGISTER_SIZE))
            assert answer(end, message) is Result.INVALID
            size = chat.place.service.chain.geometry.login_size
            assert answer(end, Message(MessageKind.LOGIN, os.urandom(size))) is Result.UNKNOWN_NAME


def test_a_wrong_login_is_refused_and_the_right_one_still_works(chat: Chat) -> None:
    end, key = greeted(chat.port)
    with end:
        wrong = replace(chat.mallory, login_secret=bytes(32))
        assert answer(end, login_message(wrong, key)) is Result.WRONG_PASSWORD
        nobody = replace(chat.mallory, name="nobody")
        assert answer(end, login_message(nobody, key)) is Result.UNKNOWN_NAME
        good = login_message(chat.mallory, key)
        spoiled = replace(good, body=good.body[:-1] + bytes([good.body[-1] ^ 1]))
        assert answer(end, spoiled) is Result.STALE_KEY
        assert answer(end, good) is Result.OK


def test_logging_in_as_somebody_else_does_not_disturb_them(chat: Chat) -> None:
    end, key = greeted(chat.port)
    with end:
        as_alice = replace(chat.alice.account, login_secret=bytes(32))
        for _ in range(5):
            assert answer(end, login_message(as_alice, key)) is Result.WRONG_PASSWORD


def test_a_session_in_which_everything_is_random_after_a_good_start_ends_alone(chat: Chat) -> None:
    for _ in range(5):
        session: Session = logged_in(chat.port, chat.mallory)
        with session.end as end:
            frame = bytearray(session.upload())
            frame[0:HEADER_SIZE] = os.urandom(1) + struct.pack(">I", 2**31)
            end.say(bytes(frame))
            assert end.ending() is CloseReason.PROTOCOL


# -- too many ------------------------------------------------------------------------------------------


def test_connections_beyond_the_limit_are_closed_and_room_is_made_when_one_leaves(tmp_path: Path) -> None:
    with town(tmp_path, settings=ServiceSettings(max_connections=2)) as place:
        sessions = [logged_in(place.port, place.register(name)) for name in ("alice", "bob")]
        with dial(place.port) as extra:
            assert extra.ending() is None
        sessions.pop().end.socket.close()
        wait_until(lambda: _can_connect(place.port))
        assert sessions[0].end.wait_for(MessageKind.ANNOUNCE)
        sessions[0].end.socket.close()


def _can_connect(port: int) -> bool:
    with dial(port) as end:
        try:
            end.handshake()
        except (OSError, PeerError):
            time.sleep(0.05)
            return False
        return True
