"""The bodies between client and server: round trips, exact sizes, and any bytes of a right size."""

from __future__ import annotations

import os
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iirs.errors import AccountError, ChainError, PeerError
from iirs.geometry import (
    ACCOUNT_SIZE,
    DIRECTORY_INCREMENT,
    ENTRY_SIZE,
    HASH_SIZE,
    INVITATION_SIZE,
    LOGIN_SECRET_SIZE,
    NAME_FIELD_SIZE,
    PREKEY_INCREMENT,
    PREKEY_INCREMENT_MAX,
    PREKEY_SIZE,
    REGISTER_SIZE,
    STANDBY_SIZE,
    VAULT_SIZE,
    BatchKind,
    Geometry,
)
from iirs.message import Limits, Message, MessageKind, MessageReader
from iirs.prekey import Prekey
from iirs.suite import SUITES
from iirs.wire import limits as wire_limits
from iirs.wire.accounts import AccountRecord, Login, Registration, Result, decode_directory, encode_directory
from iirs.wire.limits import CloseReason
from iirs.wire.rounds import (
    Announcement,
    Bundle,
    Replies,
    RoundFlags,
    RoundStatus,
    Standby,
    Upload,
    announcement_hash,
)
from tests.builders import BOTH_SUITES, make_chain, make_directory

KEYS = make_chain(2, slots=2)
CHAIN, GEOMETRY = KEYS.chain, KEYS.chain.geometry
HEAD = KEYS.head(make_directory(CHAIN, "alice"))
_64_BITS = st.integers(0, 2**64 - 1)
_32_BITS = st.integers(0, 2**32 - 1)


def announcement(entries: int = 0, prekeys: int = 0) -> Announcement:
    increment = tuple(bytes([place]) * ENTRY_SIZE for place in range(1, entries + 1))
    records = tuple(bytes([place]) * PREKEY_SIZE for place in range(1, prekeys + 1))
    key_ids = (b"k" * 32, b"l" * 32)
    return Announcement(b"p" * 32, 7, 5, RoundFlags.INVITE, 2000, 5, 12, key_ids, HEAD, 4, increment, records)


def accepted(message: Message, limits: Limits) -> bool:
    """Whether the other end's reader lets the message through."""
    reader = MessageReader(limits)
    reader.feed(message.encode())
    return reader.next_message() == message


# -- round trips ---------------------------------------------------------------------------------------


def test_hello_says_the_version_and_nothing_else() -> None:
    assert wire_limits.hello() == Message(MessageKind.HELLO, b"\x00\x03")
    assert accepted(wire_limits.hello(), wire_limits.HELLO_LIMITS)


def test_a_registration_comes_back_as_it_was() -> None:
    registration = Registration(os.urandom(ENTRY_SIZE), os.urandom(32), os.urandom(VAULT_SIZE))
    message = registration.encode()
    assert Registration.decode(message.body) == registration
    assert len(message.body) == REGISTER_SIZE
    assert accepted(message, wire_limits.greeting_limits(GEOMETRY))
    assert repr(registration.login_secret) not in repr(registration)


def test_a_login_comes_back_as_it_was() -> None:
    offer = os.urandom(32 + GEOMETRY.suite.overhead)
    login = Login("alice", os.urandom(LOGIN_SECRET_SIZE), os.urandom(HASH_SIZE), offer)
    message = login.encode()
    assert Login.decode(message.body) == login
    assert len(message.body) == GEOMETRY.login_size
    assert accepted(message, wire_limits.greeting_limits(GEOMETRY))
    assert repr(login.login_secret) not in repr(login)


@pytest.mark.parametrize(
    "field",
    [
        b"\x05Alice",
        b"\x04\xff\xfe\xfd\xfc",
        b"\x00",
        b"\x05alic/",
        b"\xffalice",
        b"\x04alice",
        b"\x06alice",
        b"\x05 lice",
        b"\x05ali\x00e",
        "\x06élève".encode(),
    ],
)
def test_a_login_with_a_name_that_is_none_is_refused(field: bytes) -> None:
    rest = bytes(GEOMETRY.login_size - NAME_FIELD_SIZE)
    assert Login.decode(b"\x05alice".ljust(NAME_FIELD_SIZE, b"\0") + rest).name == "alice"
    with pytest.raises(AccountError):
        Login.decode(field.ljust(NAME_FIELD_SIZE, b"\0") + rest)


@given(_32_BITS, _64_BITS, st.binary(min_size=VAULT_SIZE, max_size=VAULT_SIZE))
def test_an_account_record_comes_back_as_it_was(position: int, last_round: int, vault: bytes) -> None:
    record = AccountRecord(position, last_round, vault)
    message = record.encode()
    assert AccountRecord.decode(message.body) == record
    assert len(message.body) == ACCOUNT_SIZE
    assert accepted(message, wire_limits.session_limits(GEOMETRY))


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("prekeys", [0, 1, 3])
def test_a_directory_comes_back_as_it_was_and_not_if_it_is_cut_off(count: int, prekeys: int) -> None:
    entries = [bytes([place]) * ENTRY_SIZE for place in range(count)]
    records = [bytes([place]) * PREKEY_SIZE for place in range(prekeys)]
    message = encode_directory(HEAD, entries, records)
    assert decode_directory(message.body, GEOMETRY) == (HEAD, entries, records)
    assert accepted(message, wire_limits.session_limits(GEOMETRY))
    for body in (message.body + b"x", message.body[:-1] if count + prekeys else message.body + b"x"):
        with pytest.raises(PeerError, match="cut off"):
            decode_directory(body, GEOMETRY)


@pytest.mark.parametrize("claimed", [2, 12, 2**32 - 1])
def test_a_directory_whose_count_is_a_lie_is_refused(claimed: int) -> None:
    body = bytearray(encode_directory(HEAD, [bytes(ENTRY_SIZE)], [bytes(PREKEY_SIZE)]).body)
    struct.pack_into(">I", body, GEOMETRY.head_size, claimed)
    with pytest.raises(PeerError, match="cut off"):
        decode_directory(bytes(body), GEOMETRY)


@pytest.mark.parametrize(
    ("entries", "entry_space"),
    [(0, 8), (1, 8), (8, 8), (9, 16), (16, 16), (17, 32), (100, 128), (128, 128), (129, 255), (255, 255)],
)
@pytest.mark.parametrize(
    ("prekeys", "prekey_space"), [(0, 2), (2, 2), (3, 4), (4, 4), (5, 8), (9, 16), (16, 16)]
)
def test_an_announcement_comes_back_as_it_was_and_has_one_of_few_sizes(
    entries: int, entry_space: int, prekeys: int, prekey_space: int
) -> None:
    encoded = announcement(entries, prekeys).encode()
    more = (entry_space - DIRECTORY_INCREMENT) * ENTRY_SIZE + (prekey_space - PREKEY_INCREMENT) * PREKEY_SIZE
    assert len(encoded) == GEOMETRY.announcement_size + more == GEOMETRY.announcement_with(entries, prekeys)
    assert len(encoded) <= GEOMETRY.announcement_max
    assert Announcement.decode(encoded, GEOMETRY) == announcement(entries, prekeys)
    assert announcement(entries).has_invitations
    assert accepted(Message(MessageKind.ANNOUNCE, b"\0" + encoded), wire_limits.session_limits(GEOMETRY))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (32, 4),
        (32, 2),
        (49, 2),
        (49, 255),
        (60 + 2 * 32 + 4 + 32 + 2 * 64 + 4, DIRECTORY_INCREMENT + 1),
        (-33 - PREKEY_INCREMENT * PREKEY_SIZE, PREKEY_INCREMENT + 1),
        (-33 - PREKEY_INCREMENT * PREKEY_SIZE, PREKEY_INCREMENT_MAX + 1),
        (-33 - PREKEY_INCREMENT * PREKEY_SIZE - 1, 1),
        (-33, 1),
    ],
    ids=[
        "newer version",
        "older version",
        "unknown flag",
        "all flags",
        "more entries than there is room",
        "more prekeys than there is room",
        "too many prekeys",
        "something behind the entries",
        "something behind the prekeys",
    ],
)
def test_an_announcement_that_makes_no_sense_is_refused(place: int, value: int) -> None:
    encoded = bytearray(announcement().encode())
    Announcement.decode(bytes(encoded), GEOMETRY)
    encoded[place] = value
    with pytest.raises(PeerError, match="does not understand"):
        Announcement.decode(bytes(encoded), GEOMETRY)


def test_the_hash_of_an_announcement_covers_every_byte() -> None:
    encoded = announcement(1, 1).encode()
    assert announcement_hash(encoded) == announcement_hash(bytes(encoded))
    for place in range(0, len(encoded), 101):
        changed = encoded[:place] + bytes([encoded[place] ^ 1]) + encoded[place + 1 :]
        assert announcement_hash(changed) != announcement_hash(encoded)


def test_the_hash_of_an_announcement_is_another_after_another_announcement() -> None:
    first = announcement()
    second = replace(first, round_number=8, previous=announcement_hash(first.encode()))
    other = replace(second, previous=announcement_hash(replace(first, online=13).encode()))
    assert announcement_hash(second.encode()) != announcement_hash(other.encode())


def test_a_round_is_a_setup_if_it_is_the_first_of_its_epoch() -> None:
    assert not announcement().is_setup
    assert replace(announcement(), setup_round=7).is_setup


@pytest.mark.parametrize("hops", [1, 3])
@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("suite", BOTH_SUITES)
@pytest.mark.parametrize("sets_up", [False, True])
@pytest.mark.parametrize("invites", [False, True])
def test_an_upload_comes_back_as_it_was(
    hops: int, slots: int, suite: str, *, sets_up: bool, invites: bool
) -> None:
    geometry = Geometry(SUITES[suite], hops, slots)

    def items(kind: BatchKind, count: int) -> tuple[bytes, ...]:
        return tuple(os.urandom(geometry.uploaded_size(kind)) for _ in range(count))

    setups = items(BatchKind.SETUP, 2 * slots * sets_up)
    upload = Upload(
        2**64 - 1, items(BatchKind.CELL, 2 * slots), setups, items(BatchKind.INVITATION, slots * invites)
    )
    messages = upload.encode()
    before = {message.kind: message.body for message in messages[:-1]}
    assert Upload.decode(messages[-1].body, before, geometry) == upload
    sizes = {
        MessageKind.SETUP: geometry.setup_size,
        MessageKind.INVITE: geometry.invite_size,
        MessageKind.UPLOAD: geometry.upload_size,
    }
    wanted = [MessageKind.SETUP] * sets_up + [MessageKind.INVITE] * invites + [MessageKind.UPLOAD]
    assert [message.kind for message in messages] == wanted
    assert [len(message.body) for message in messages] == [sizes[kind] for kind in wanted]
    assert all(accepted(message, wire_limits.upload_limits(geometry)) for message in messages)


@pytest.mark.parametrize("kind", [MessageKind.SETUP, MessageKind.INVITE])
def test_parts_of_an_upload_of_different_rounds_are_refused(kind: MessageKind) -> None:
    body = bytes(GEOMETRY.upload_size)
    size = {MessageKind.SETUP: GEOMETRY.setup_size, MessageKind.INVITE: GEOMETRY.invite_size}[kind]
    assert Upload.decode(body, {kind: bytes(size)}, GEOMETRY).round_number == 0
    with pytest.raises(PeerError, match="two uploads"):
        Upload.decode(body, {kind: bytes(7) + b"\x01" + bytes(size - 8)}, GEOMETRY)


def test_cells_are_as_long_however_many_hops_there_are_and_setups_are_not() -> None:
    chains = [Geometry(SUITES["X25519"], hops, 2) for hops in range(1, 9)]
    assert len({(chain.upload_size, chain.replies_size) for chain in chains}) == 1
    assert len({chain.setup_size for chain in chains}) == len(chains)


def test_every_item_a_client_uploads_in_a_round_is_sealed_under_an_index_of_its_own() -> None:
    for slots in (1, 2, 16):
        chain = Geometry(SUITES["X25519"], 3, slots)
        counts = {BatchKind.CELL: 2 * slots, BatchKind.INVITATION: slots, BatchKind.SETUP: 2 * slots}
        used = [chain.first_index(kind) + item for kind, count in counts.items() for item in range(count)]
        assert sorted(used) == list(range(5 * slots))


@pytest.mark.parametrize("status", list(RoundStatus))
def test_replies_come_back_as_they_were_in_one_size_whatever_became_of_the_round(
    status: RoundStatus,
) -> None:
    pieces = tuple(os.urandom(GEOMETRY.uploaded_size(BatchKind.CELL)) for _ in range(4))
    replies = Replies(9, status, pieces)
    message = replies.encode()
    assert Replies.decode(message.body, GEOMETRY) == replies
    assert len(message.body) == GEOMETRY.replies_size
    assert replies.has_answers == (status in {RoundStatus.DONE, RoundStatus.MISSING})
    assert accepted(message, wire_limits.session_limits(GEOMETRY))


def test_replies_with_a_status_that_does_not_exist_are_refused() -> None:
    with pytest.raises(PeerError, match="status"):
        Replies.decode(struct.pack(">QB", 9, 4).ljust(GEOMETRY.replies_size, b"\0"), GEOMETRY)


# -- bundles -------------------------------------------------------------------------------------------


def signed_bundle(number: int = 9, count: int = 8, hop: int = -1) -> Bundle:
    bundle = Bundle(number, tuple(os.urandom(INVITATION_SIZE) for _ in range(count)))
    signature = KEYS.identities[hop].sign(bundle.signed_content(CHAIN.chain_id))
    return replace(bundle, signature=signature)


@pytest.mark.parametrize("count", [0, 1, 8])
def test_a_bundle_comes_back_as_it_was(count: int) -> None:
    bundle = signed_bundle(count=count)
    message = bundle.encode()
    assert Bundle.decode(message.body, CHAIN) == bundle
    assert len(message.body) == GEOMETRY.bundle_size(count)
    assert accepted(message, wire_limits.session_limits(GEOMETRY))


def test_a_bundle_is_believed_only_with_the_last_hops_signature_over_all_of_it() -> None:
    good = signed_bundle()
    others = [
        signed_bundle(hop=0),
        replace(good, round_number=10),
        replace(good, invitations=good.invitations[::-1]),
        replace(good, invitations=good.invitations[1:]),
        replace(good, signature=bytes(64)),
    ]
    for other in others:
        with pytest.raises(ChainError):
            Bundle.decode(other.encode().body, CHAIN)
    with pytest.raises(ChainError):
        Bundle.decode(good.encode().body, make_chain(2).chain)


@pytest.mark.parametrize("count", [0, 1])
def test_a_bundle_cut_off_anywhere_is_refused_with_the_named_error(count: int) -> None:
    """Fixed: under twelve bytes it was another error, with which the hop after could stop the one before."""
    body = signed_bundle(count=count).encode().body
    for end in range(len(body)):
        with pytest.raises(PeerError, match="cut off"):
            Bundle.decode(body[:end], CHAIN)


@pytest.mark.parametrize("claimed", [0, 7, 9, 2**32 - 1])
def test_a_bundle_whose_count_is_a_lie_is_refused(claimed: int) -> None:
    body = bytearray(signed_bundle().encode().body)
    struct.pack_into(">I", body, 8, claimed)
    with pytest.raises(PeerError, match="cut off"):
        Bundle.decode(bytes(body), CHAIN)


# -- any bytes -----------------------------------------------------------------------------------------


def of_size(size: int) -> st.SearchStrategy[bytes]:
    """Bytes of one size: random, zeros, or with a random beginning."""
    return st.one_of(
        st.just(bytes(size)),
        st.binary(min_size=8, max_size=64).map(lambda start: start[:size].ljust(size, b"\0")),
        st.randoms(use_true_random=False).map(lambda source: source.randbytes(size)),
    )


@settings(max_examples=40)
@given(st.data())
def test_any_body_of_a_right_size_gives_a_value_or_one_named_error(data: st.DataObject) -> None:
    small = Geometry(SUITES["X25519"], 2, 1)
    decoders = {
        REGISTER_SIZE: Registration.decode,
        small.login_size: Login.decode,
        ACCOUNT_SIZE: AccountRecord.decode,
        small.announcement_size: lambda body: Announcement.decode(body, small),
        small.announcement_max: lambda body: Announcement.decode(body, small),
        small.replies_size: lambda body: Replies.decode(body, small),
        small.upload_size: lambda body: Upload.decode(body, {}, small),
        small.head_size + 4 + ENTRY_SIZE: lambda body: decode_directory(body, small),
        PREKEY_SIZE: Prekey.decode,
        small.bundle_size(1): lambda body: Bundle.decode(body, CHAIN),
    }
    size = data.draw(st.sampled_from(sorted(decoders)))
    body = data.draw(of_size(size))
    try:
        decoders[size](body)
    except (PeerError, AccountError, ChainError):
        return


LONG_CHAIN = make_chain(3).chain.geometry


@pytest.mark.parametrize("hop", [None, 1, 2])
def test_a_standby_comes_back_as_it_was_in_one_byte(hop: int | None) -> None:
    message = Standby(hop).encode()
    assert Standby.decode(message.body, LONG_CHAIN) == Standby(hop)
    assert len(message.body) == STANDBY_SIZE == 1
    assert accepted(message, wire_limits.session_limits(LONG_CHAIN))


def test_a_standby_for_a_hop_that_cannot_be_the_one_is_refused() -> None:
    for hop in [0, *range(3, 255)]:
        with pytest.raises(PeerError, match="not in its chain"):
            Standby.decode(bytes([hop]), LONG_CHAIN)
    with pytest.raises(PeerError):
        Standby.decode(b"\x01", make_chain(1).chain.geometry)


# -- what may come, and what people read ---------------------------------------------------------------


def test_before_the_chain_is_known_the_server_may_send_nothing_large() -> None:
    limits = wire_limits.client_limits()
    assert set(limits) == {MessageKind.CHAIN, MessageKind.CLOSE}
    assert limits[MessageKind.CHAIN] == (1, 65536)


def test_neither_side_may_send_what_is_the_others_to_say() -> None:
    from_server = set(wire_limits.session_limits(GEOMETRY))
    from_client = {
        *wire_limits.HELLO_LIMITS,
        *wire_limits.greeting_limits(GEOMETRY),
        *wire_limits.upload_limits(GEOMETRY),
    }
    assert from_server.isdisjoint(from_client)
    assert from_server | from_client | {MessageKind.CHAIN} == set(MessageKind)


def test_what_the_server_says_has_one_size_but_for_what_is_public() -> None:
    limits = wire_limits.session_limits(GEOMETRY)
    varying = {kind for kind, (smallest, largest) in limits.items() if smallest != largest}
    assert varying == {MessageKind.DIRECTORY, MessageKind.BUNDLE, MessageKind.ANNOUNCE}


@pytest.mark.parametrize("value", [*Result, *CloseReason])
def test_every_result_and_reason_has_a_sentence_a_person_can_read(value: Result | CloseReason) -> None:
    assert value.sentence.endswith(".")
    assert value.sentence[0].isupper()
