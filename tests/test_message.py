"""``Message`` between client and server, ``PeerMessage`` end to end: values, cut and sealed."""

from __future__ import annotations

import hmac
import os
import struct
from dataclasses import replace
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

import iirs.message
from iirs.errors import PeerError, PeerMessageError
from iirs.identity import Identity, VerifyKey
from iirs.message import (
    HEADER_SIZE,
    PAYLOAD_MAX,
    SENT_AT_MAX,
    ContentKind,
    Direction,
    Limits,
    Message,
    MessageContext,
    MessageKeys,
    MessageKind,
    MessageReader,
    PeerMessage,
    RenewalPhase,
)
from tests.builders import person

LIMITS: Limits = {
    MessageKind.HELLO: (2, 2),
    MessageKind.CHAIN: (0, 300),
    MessageKind.UPLOAD: (5, 5),
}
ALICE, BOB = person("alice"), person("bob")
ALICE_KEY = VerifyKey(ALICE.verify_key_bytes)
KEYS = MessageKeys(bytes(range(32)), bytes(range(32, 64)))
CONTEXT = MessageContext(b"conversation 16b", 77, Direction.FROM_LISTENER, 1)


# -- frames ----------------------------------------------------------------------------------------


def allowed_messages() -> st.SearchStrategy[Message]:
    return st.one_of(
        *(
            st.builds(Message, st.just(kind), st.binary(min_size=low, max_size=high))
            for kind, (low, high) in LIMITS.items()
        )
    )


def read_all(reader: MessageReader, *pieces: bytes) -> list[Message]:
    messages = []
    for piece in pieces:
        reader.feed(piece)
        while (message := reader.next_message()) is not None:
            messages.append(message)
    return messages


def test_a_whole_message_is_read() -> None:
    reader = MessageReader(LIMITS)
    message = Message(MessageKind.HELLO, b"\x00\x01")
    assert message.encode() == b"\x01\x00\x00\x00\x02\x00\x01"
    assert read_all(reader, message.encode()) == [message]
    assert reader.at_boundary


def test_a_message_that_comes_byte_by_byte_is_read_at_its_last_byte() -> None:
    reader = MessageReader(LIMITS)
    encoded = Message(MessageKind.UPLOAD, b"abcde").encode()
    for place in range(len(encoded) - 1):
        assert read_all(reader, encoded[place : place + 1]) == []
        assert not reader.at_boundary
    assert read_all(reader, encoded[-1:]) == [Message(MessageKind.UPLOAD, b"abcde")]
    assert reader.at_boundary


def test_what_comes_after_a_message_waits_for_its_own_end() -> None:
    reader = MessageReader(LIMITS)
    first, second = Message(MessageKind.HELLO, b"ab"), Message(MessageKind.UPLOAD, b"abcde")
    assert read_all(reader, first.encode() + second.encode()[:7]) == [first]
    assert not reader.at_boundary
    assert read_all(reader, second.encode()[7:]) == [second]


@given(st.lists(allowed_messages(), max_size=6), st.lists(st.integers(0, 2000), max_size=12))
def test_any_split_of_a_stream_gives_the_same_messages(messages: list[Message], cuts: list[int]) -> None:
    stream = b"".join(message.encode() for message in messages)
    edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    reader = MessageReader(LIMITS)
    assert read_all(reader, *pieces) == messages
    assert reader.at_boundary


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_any_bytes_give_messages_within_the_limits_or_a_peer_error(pieces: list[bytes]) -> None:
    reader = MessageReader(LIMITS)
    try:
        messages = read_all(reader, *pieces)
    except PeerError:
        return
    for message in messages:
        smallest, largest = LIMITS[message.kind]
        assert smallest <= len(message.body) <= largest


@pytest.mark.parametrize(
    ("kind", "length", "sentence"),
    [
        (0, 2, "does not exist"),
        (255, 2, "does not exist"),
        (MessageKind.CLOSE, 1, "may not come now"),
        (MessageKind.HELLO, 1, "wrong length"),
        (MessageKind.HELLO, 3, "wrong length"),
        (MessageKind.CHAIN, 301, "wrong length"),
        (MessageKind.UPLOAD, 2**32 - 1, "wrong length"),
    ],
)
def test_a_bad_header_is_refused_before_any_of_its_body_is_there(
    kind: int, length: int, sentence: str
) -> None:
    reader = MessageReader(LIMITS)
    header = struct.pack(">BI", kind, length)
    assert read_all(reader, header[: HEADER_SIZE - 1]) == []
    with pytest.raises(PeerError, match=sentence):
        read_all(reader, header[HEADER_SIZE - 1 :])


def test_new_limits_count_from_the_next_message_on() -> None:
    reader = MessageReader({MessageKind.HELLO: (2, 2)})
    reader.feed(Message(MessageKind.HELLO, b"ab").encode() * 2)
    assert reader.next_message() is not None
    reader.limits = {MessageKind.UPLOAD: (5, 5)}
    with pytest.raises(PeerError, match="HELLO may not come now"):
        reader.next_message()


def test_a_message_does_not_show_its_body_in_logs() -> None:
    assert "secret" not in repr(Message(MessageKind.LOGIN, b"secret"))


# -- peer messages ---------------------------------------------------------------------------------

_64_BITS = st.integers(0, 2**64 - 1)
peer_messages = st.builds(
    PeerMessage,
    sent_at_ms=st.integers(0, SENT_AT_MAX),
    sequence=_64_BITS,
    acknowledged=_64_BITS,
    acknowledged_bits=_64_BITS,
    kind=st.sampled_from(ContentKind),
    text_id=st.binary(min_size=16, max_size=16),
    fragment=st.integers(0, 2**16 - 1),
    fragments=st.integers(0, 2**16 - 1),
    renewal_phase=st.sampled_from(RenewalPhase),
    renewal_round=_64_BITS,
    renewal_key=st.binary(min_size=32, max_size=32),
    head_length=st.integers(0, 2**32 - 1),
    head_hash=st.binary(min_size=32, max_size=32),
    end_round=_64_BITS,
    payload=st.binary(max_size=PAYLOAD_MAX),
)
contexts = st.builds(
    MessageContext,
    st.binary(min_size=16, max_size=16),
    _64_BITS,
    st.sampled_from(Direction),
    st.integers(0, 1),
)


def seal(message: PeerMessage, identity: Identity = ALICE) -> bytes:
    return message.seal(KEYS, CONTEXT, identity, os.urandom)


def seal_content(content: bytes) -> bytes:
    """Seal any content the way the protocol says, so that a test can be the peer that breaks it."""
    signature = ALICE.sign(b"iirs/1 peer message signature" + CONTEXT.encode() + content)
    encryptor = Cipher(algorithms.AES(KEYS.encryption), modes.CBC(bytes(16))).encryptor()
    sealed = bytes(16) + encryptor.update(signature + content) + encryptor.finalize()
    label = b"iirs/1 peer message mac"
    return sealed + hmac.digest(KEYS.authentication, label + CONTEXT.encode() + sealed, "sha256")


@settings(max_examples=60)
@given(peer_messages, contexts)
def test_a_peer_message_comes_back_as_it_was_and_always_has_1024_bytes(
    message: PeerMessage, context: MessageContext
) -> None:
    sealed = message.seal(KEYS, context, ALICE, os.urandom)
    assert len(sealed) == PeerMessage.SIZE == 1024
    assert PeerMessage.open(sealed, KEYS, context, ALICE_KEY) == message


@pytest.mark.parametrize("beyond", [1, 2**63])
def test_a_time_that_no_store_can_hold_is_a_loss(beyond: int) -> None:
    """Fixed: one text of a peer, with such a time, ended the client's thread, and the network saw it."""
    message = PeerMessage(payload=b"hello", sent_at_ms=SENT_AT_MAX)
    assert PeerMessage.open(seal(message), KEYS, CONTEXT, ALICE_KEY) == message
    with pytest.raises(PeerMessageError):
        PeerMessage.open(seal(replace(message, sent_at_ms=SENT_AT_MAX + beyond)), KEYS, CONTEXT, ALICE_KEY)


def test_every_flipped_bit_is_noticed() -> None:
    sealed = seal(PeerMessage(payload=b"hello"))
    for place in range(len(sealed)):
        for bit in range(8):
            broken = bytearray(sealed)
            broken[place] ^= 1 << bit
            with pytest.raises(PeerMessageError):
                PeerMessage.open(bytes(broken), KEYS, CONTEXT, ALICE_KEY)


@pytest.mark.parametrize(
    "other",
    [
        replace(CONTEXT, conversation=b"conversation 16c"),
        replace(CONTEXT, round_number=78),
        replace(CONTEXT, direction=Direction.FROM_GENERATOR),
        replace(CONTEXT, drop=0),
    ],
)
def test_a_peer_message_opens_in_its_own_context_only(other: MessageContext) -> None:
    sealed = seal(PeerMessage(payload=b"hello"))
    assert PeerMessage.open(sealed, KEYS, CONTEXT, ALICE_KEY).payload == b"hello"
    with pytest.raises(PeerMessageError):
        PeerMessage.open(sealed, KEYS, other, ALICE_KEY)


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (MessageKeys(KEYS.encryption, bytes(32)), "does not authenticate"),
        (MessageKeys(bytes(32), KEYS.authentication), "not signed"),
    ],
)
def test_each_key_is_needed(keys: MessageKeys, sentence: str) -> None:
    with pytest.raises(PeerMessageError, match=sentence):
        PeerMessage.open(seal(PeerMessage()), keys, CONTEXT, ALICE_KEY)


def test_whoever_has_the_keys_still_cannot_sign_for_the_peer() -> None:
    forged = seal(PeerMessage(payload=b"from alice, really"), BOB)
    with pytest.raises(PeerMessageError, match="not signed"):
        PeerMessage.open(forged, KEYS, CONTEXT, ALICE_KEY)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 47, 48, 1023, 1025, 2048])
def test_any_other_size_is_refused(size: int) -> None:
    sealed = (seal(PeerMessage()) * 2)[:size]
    with pytest.raises(PeerMessageError, match="does not authenticate"):
        PeerMessage.open(sealed, KEYS, CONTEXT, ALICE_KEY)


@pytest.mark.parametrize("blocks", [-1, 1])
def test_another_size_is_refused_even_from_the_peer_itself(blocks: int) -> None:
    whole = bytes(976 - 64)
    assert PeerMessage.open(seal_content(whole), KEYS, CONTEXT, ALICE_KEY) == PeerMessage()
    with pytest.raises(PeerMessageError, match="does not authenticate"):
        PeerMessage.open(seal_content(bytes(len(whole) + 16 * blocks)), KEYS, CONTEXT, ALICE_KEY)


@given(st.binary(min_size=1024, max_size=1024))
def test_random_bytes_never_open(data: bytes) -> None:
    with pytest.raises(PeerMessageError):
        PeerMessage.open(data, KEYS, CONTEXT, ALICE_KEY)


def test_a_payload_fits_up_to_its_maximum_and_not_a_byte_more() -> None:
    longest = PeerMessage(payload=b"x" * PAYLOAD_MAX)
    assert PeerMessage.open(seal(longest), KEYS, CONTEXT, ALICE_KEY) == longest
    with pytest.raises(ValueError, match="at most"):
        seal(PeerMessage(payload=b"x" * (PAYLOAD_MAX + 1)))


_KIND_AT, _PHASE_AT, _LENGTH_AT = 32, 32 + 1 + 16 + 2 + 2, 976 - 64 - PAYLOAD_MAX - 2


def content_with(place: int, raw: bytes) -> bytes:
    content = bytearray(976 - 64)
    content[place : place + len(raw)] = raw
    return bytes(content)


def test_content_sealed_by_hand_opens() -> None:
    opened = PeerMessage.open(seal_content(content_with(_KIND_AT, b"\x01")), KEYS, CONTEXT, ALICE_KEY)
    assert opened == PeerMessage(kind=ContentKind.TEXT)
    phase = PeerMessage.open(seal_content(content_with(_PHASE_AT, b"\x03")), KEYS, CONTEXT, ALICE_KEY)
    assert phase == PeerMessage(renewal_phase=RenewalPhase.COMMIT)


@pytest.mark.parametrize(
    ("place", "raw", "sentence"),
    [
        (_KIND_AT, b"\x63", "kind"),
        (_PHASE_AT, b"\x63", "kind"),
        (_LENGTH_AT, struct.pack(">H", PAYLOAD_MAX + 1), "claims more"),
        (_LENGTH_AT, b"\xff\xff", "claims more"),
        (_LENGTH_AT, b"\x00\x01x\x00y", "holds more"),
        (976 - 64 - 1, b"\x01", "holds more"),
    ],
)
def test_a_signed_peer_message_that_makes_no_sense_is_refused(place: int, raw: bytes, sentence: str) -> None:
    with pytest.raises(PeerMessageError, match=sentence):
        PeerMessage.open(seal_content(content_with(place, raw)), KEYS, CONTEXT, ALICE_KEY)


def test_the_mac_is_compared_in_constant_time_and_before_anything_is_decrypted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, right: bytes) -> bool:
        compared.append((given, right))
        return hmac.compare_digest(given, right)

    def refuse_to_decrypt(*_: object) -> None:
        raise AssertionError("decrypted before the MAC was right")

    sealed = seal(PeerMessage())
    broken = sealed[:-1] + bytes([sealed[-1] ^ 1])
    fake = type("hmac", (), {"compare_digest": staticmethod(compare), "digest": staticmethod(hmac.digest)})
    monkeypatch.setattr(iirs.message, "hmac", fake)
    monkeypatch.setattr(iirs.message, "Cipher", refuse_to_decrypt)
    with pytest.raises(PeerMessageError):
        PeerMessage.open(broken, KEYS, CONTEXT, ALICE_KEY)
    assert compared == [(broken[-32:], sealed[-32:])]


def test_the_same_message_never_looks_the_same_twice() -> None:
    message = PeerMessage(payload=b"the same")
    one, other = seal(message), seal(message)
    blocks = [{data[start : start + 16] for start in range(0, 1024, 16)} for data in (one, other)]
    assert blocks[0].isdisjoint(blocks[1])


def test_neither_keys_nor_texts_show_in_a_repr() -> None:
    assert repr(KEYS) == "MessageKeys()"
    assert "hello" not in repr(PeerMessage(payload=b"hello"))
    assert repr(KEYS.encryption) not in repr(ALICE)
