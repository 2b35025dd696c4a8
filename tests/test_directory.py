"""The directory: append-only, hash-chained, the same for everybody or not believed."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iirs.directory import Directory, Entry, Head, decode_name, encode_name
from iirs.errors import AccountError, ChainError, DirectoryError, PeerError
from iirs.geometry import ENTRY_SIZE, NAME_FIELD_SIZE
from iirs.identity import Identity, VerifyKey, checked_name
from tests.builders import entry_of, make_chain, make_directory, person

KEYS = make_chain(2)
CHAIN = KEYS.chain
NAMES = ("alice", "bob", "carol", "dave")
FULL = make_directory(CHAIN, *NAMES)
RAW = [entry.raw for entry in FULL.entries]


def state(directory: Directory) -> tuple[list[bytes], list[bytes], list[int]]:
    """Everything a directory holds, to see that nothing changed."""
    held = [name for name in NAMES if name in {entry.name for entry in directory.entries}]
    positions = [directory.position(name) for name in held]
    return [entry.raw for entry in directory.entries], list(directory.digests), positions


# -- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "registered"),
    [("alice", "alice"), ("Alice", "alice"), ("a", "a"), ("7.x_y-z", "7.x_y-z"), ("a" * 32, "a" * 32)],
)
def test_a_name_is_registered_in_lower_case(typed: str, registered: str) -> None:
    assert checked_name(typed) == registered
    assert decode_name(encode_name(typed)) == registered
    assert len(encode_name(typed)) == NAME_FIELD_SIZE


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "alice ",
        " alice",
        "alice\n",
        "al ice",
        "al\0ice",
        "-alice",
        ".alice",
        "_alice",
        "a" * 33,
        "a" * 10_000,
        "élise",
        "\u0430lice",
        "\u202ealice",
        "\U0001f600",
        "alice/../bob",
        "alice'; --",
        "\ud800",
    ],
)
def test_a_name_that_could_be_mistaken_for_another_is_refused(name: str) -> None:
    with pytest.raises(AccountError, match="1 to 32 characters"):
        checked_name(name)
    with pytest.raises(AccountError):
        encode_name(name)


@given(st.binary(min_size=NAME_FIELD_SIZE, max_size=NAME_FIELD_SIZE))
def test_any_bytes_in_a_name_field_are_the_one_way_to_write_a_name_or_refused(data: bytes) -> None:
    try:
        name = decode_name(data)
    except AccountError:
        return
    assert encode_name(name) == data


@pytest.mark.parametrize("size", [NAME_FIELD_SIZE - 1, NAME_FIELD_SIZE + 1])
def test_a_name_field_of_another_size_is_refused(size: int) -> None:
    field = encode_name("alice")
    assert decode_name(field) == "alice"
    with pytest.raises(AccountError):
        decode_name((field + b"\0")[:size])


# -- entries -------------------------------------------------------------------------------------------


def test_an_entry_is_read_back_with_the_keys_that_were_registered() -> None:
    entry = entry_of(CHAIN, "alice")
    parsed = Entry.parse(CHAIN.chain_id, entry.raw)
    assert parsed.name == "alice"
    assert parsed.verify_key.raw == person("alice").verify_key_bytes
    assert parsed.fingerprint == hashlib.sha256(entry.raw).digest()
    assert len(entry.raw) == ENTRY_SIZE
    assert repr(parsed) == "Entry(name='alice')"


def test_an_entry_changed_anywhere_does_not_verify() -> None:
    raw = entry_of(CHAIN, "alice").raw
    for place in {*range(0, ENTRY_SIZE, 13), ENTRY_SIZE - 1}:
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(DirectoryError, match="not signed as it must be"):
            Entry.parse(CHAIN.chain_id, changed)


def test_an_entry_of_another_chain_or_length_is_refused() -> None:
    raw = entry_of(CHAIN, "alice").raw
    with pytest.raises(DirectoryError, match="not signed as it must be"):
        Entry.parse(make_chain().chain.chain_id, raw)
    for other in (raw[:-1], raw + b"\0", b""):
        with pytest.raises(DirectoryError, match="wrong length"):
            Entry.parse(CHAIN.chain_id, other)


def signed_by_hand(name_field: bytes, verify_key: bytes) -> bytes:
    content = name_field + verify_key
    return content + person("alice").sign(b"iirs/1 directory entry" + CHAIN.chain_id + content)


def test_a_well_signed_entry_still_needs_a_name_and_a_key_that_can_be_used() -> None:
    name, verify_key = encode_name("alice"), person("alice").verify_key_bytes
    assert Entry.parse(CHAIN.chain_id, signed_by_hand(name, verify_key)).name == "alice"
    broken = [
        signed_by_hand(b"\x05Alice".ljust(33, b"\0"), verify_key),
        signed_by_hand(bytes(33), verify_key),
        signed_by_hand(name, b"\x05" + verify_key[1:]),
        signed_by_hand(name, bytes(33)),
        signed_by_hand(name, person("bob").verify_key_bytes),
    ]
    for raw in broken:
        with pytest.raises(DirectoryError, match="not signed as it must be"):
            Entry.parse(CHAIN.chain_id, raw)


@settings(max_examples=30)
@given(st.randoms(use_true_random=False))
def test_any_bytes_in_place_of_an_entry_are_refused(source: object) -> None:
    with pytest.raises(DirectoryError):
        Entry.parse(CHAIN.chain_id, source.randbytes(ENTRY_SIZE))  # type: ignore[attr-defined]


# -- the chain of hashes -------------------------------------------------------------------------------


def test_each_hash_covers_everything_before_it() -> None:
    digest = hashlib.sha256(b"iirs/1 directory chain" + CHAIN.chain_id).digest()
    for raw, expected in zip(RAW, FULL.digests[1:], strict=True):
        digest = hashlib.sha256(b"iirs/1 directory chain" + digest + raw).digest()
        assert digest == expected
    other = make_directory(CHAIN, "bob", "alice", "carol", "dave")
    assert other.digests[0] == FULL.digests[0]
    assert all(one != two for one, two in zip(other.digests[1:], FULL.digests[1:], strict=True))


def test_people_are_found_by_name_however_it_is_typed() -> None:
    assert FULL.lookup("Carol").name == "carol"
    assert FULL.position("carol") == 2
    assert len(FULL) == 4
    for name in ("erin", "not a name"):
        with pytest.raises(AccountError):
            FULL.lookup(name)


def test_a_name_is_there_once() -> None:
    directory = make_directory(CHAIN, "alice", "bob")
    before = state(directory)
    with pytest.raises(DirectoryError, match="twice"):
        directory.append(entry_of(CHAIN, "alice", Identity.generate()))
    assert state(directory) == before


# -- heads ---------------------------------------------------------------------------------------------


def test_a_head_is_read_back_and_needs_every_hops_signature() -> None:
    head = KEYS.head(FULL)
    assert Head.decode(head.encode()) == head
    assert len(head.encode()) == CHAIN.geometry.head_size
    head.verify(CHAIN)
    first, second = head.signatures[:64], head.signatures[64:]
    for other in (
        replace(head, length=3),
        replace(head, digest=FULL.digests[3]),
        replace(head, signatures=second + first),
        replace(head, signatures=first + first),
        replace(head, signatures=first),
        replace(head, signatures=b""),
        make_chain(2).head(FULL),
    ):
        with pytest.raises(ChainError):
            other.verify(CHAIN)


@given(st.binary(max_size=200))
def test_any_bytes_in_place_of_a_head_are_not_believed(data: bytes) -> None:
    with pytest.raises(ChainError):
        Head.decode(data).verify(CHAIN)


# -- taking in what the server shows -------------------------------------------------------------------


@pytest.mark.parametrize("held", range(5))
@pytest.mark.parametrize("start", range(5))
def test_extending_from_any_overlap_gives_the_same_directory(held: int, start: int) -> None:
    directory = make_directory(CHAIN, *NAMES[:held])
    if start > held:
        before = state(directory)
        with pytest.raises(PeerError, match="missing"):
            directory.extend(start, RAW[start:], KEYS.head(FULL), CHAIN)
        assert state(directory) == before
        return
    directory.extend(start, RAW[start:], KEYS.head(FULL), CHAIN)
    assert state(directory) == state(FULL)


def test_a_head_may_be_behind_what_is_held() -> None:
    directory = make_directory(CHAIN, *NAMES)
    directory.extend(2, [], KEYS.head(FULL, 2), CHAIN)
    directory.extend(1, RAW[1:2], KEYS.head(FULL, 2), CHAIN)
    assert state(directory) == state(FULL)


@pytest.mark.parametrize("length", range(len(RAW)))
def test_nobody_is_taken_in_whom_the_head_does_not_cover(length: int) -> None:
    """Fixed: an old head, which every hop had signed once, let the entry show one person made-up people."""
    refused(Directory(CHAIN.chain_id), 0, RAW, KEYS.head(FULL, length), "did not sign")
    refused(
        make_directory(CHAIN, *NAMES[:length]), length, RAW[length:], KEYS.head(FULL, length), "did not sign"
    )


def refused(directory: Directory, start: int, raws: list[bytes], head: Head, sentence: str) -> None:
    before = state(directory)
    kinds = PeerError if "missing" in sentence else (DirectoryError, ChainError)
    with pytest.raises(kinds, match=sentence):
        directory.extend(start, raws, head, CHAIN)
    assert state(directory) == before


def test_a_fork_of_what_is_held_is_refused_and_changes_nothing() -> None:
    fork = make_directory(CHAIN, "alice", "bob")
    fork.append(entry_of(CHAIN, "carol", Identity.generate()))
    fork.append(entry_of(CHAIN, "dave"))
    raws = [entry.raw for entry in fork.entries]
    for held in (3, 4):
        directory = make_directory(CHAIN, *NAMES[:held])
        refused(directory, 0, raws, KEYS.head(fork), "changed an entry that was in its list")
        refused(directory, 2, raws[2:], KEYS.head(fork), "changed an entry that was in its list")
        refused(directory, held, raws[held:], KEYS.head(fork), "not the one its servers signed")


def test_a_directory_that_lost_people_is_refused() -> None:
    shorter = make_directory(CHAIN, "alice", "carol")
    directory = make_directory(CHAIN, *NAMES)
    refused(directory, 0, [RAW[0]], KEYS.head(shorter), "not the one its servers signed")


def test_a_head_that_promises_more_than_is_shown_is_refused() -> None:
    directory = make_directory(CHAIN, "alice")
    refused(directory, 1, RAW[1:3], KEYS.head(FULL), "is missing")
    refused(directory, 1, RAW[1:], KEYS.sign_head(2**32 - 1, FULL.digests[4]), "is missing")


def test_a_head_that_was_not_signed_is_refused_before_anything_is_read() -> None:
    directory = make_directory(CHAIN, "alice")
    refused(directory, 1, [b"not an entry"], make_chain(2).head(FULL), "did not sign")


def test_a_bad_entry_among_good_ones_leaves_none_of_them_behind() -> None:
    directory = make_directory(CHAIN, "alice")
    bad = RAW[2][:-1] + bytes([RAW[2][-1] ^ 1])
    refused(directory, 1, [RAW[1], bad], KEYS.head(FULL), "not signed as it must be")
    foreign = entry_of(make_chain().chain, "bob").raw
    refused(directory, 1, [foreign], KEYS.head(FULL), "not signed as it must be")


@pytest.mark.parametrize("names", [("bob", "carol", "bob"), ("bob", "alice"), ("alice",)])
def test_a_name_shown_twice_is_refused_even_if_every_server_signed_it(names: tuple[str, ...]) -> None:
    directory = make_directory(CHAIN, "alice")
    raws = [entry_of(CHAIN, name, Identity.generate()).raw for name in names]
    digest = directory.digests[-1]
    for raw in raws:
        digest = hashlib.sha256(b"iirs/1 directory chain" + digest + raw).digest()
    refused(directory, 1, raws, KEYS.sign_head(1 + len(raws), digest), "twice")


# -- signatures of people ------------------------------------------------------------------------------


def test_an_identity_is_read_back_as_it_was_stored() -> None:
    alice = person("alice")
    again = Identity.from_bytes(alice.to_bytes())
    assert again.verify_key_bytes == alice.verify_key_bytes
    for damaged in (alice.to_bytes()[:-1], alice.to_bytes() + b"\0", bytes(32), b""):
        with pytest.raises(ValueError, match=r"."):
            Identity.from_bytes(damaged)


def test_a_signature_is_64_bytes_and_fits_one_person_and_one_text_only() -> None:
    from cryptography.exceptions import InvalidSignature

    alice, bob = (VerifyKey(person(name).verify_key_bytes) for name in ("alice", "bob"))
    signature = person("alice").sign(b"text")
    assert len(signature) == 64
    alice.verify(signature, b"text")
    wrong = [
        (bob, signature, b"text"),
        (alice, signature, b"next"),
        (alice, signature[:-1], b"text"),
        (alice, signature + b"\0", b"text"),
        (alice, bytes(64), b"text"),
        (alice, b"\xff" * 64, b"text"),
        (alice, signature[32:] + signature[:32], b"text"),
    ]
    for key, given_signature, text in wrong:
        with pytest.raises(InvalidSignature):
            key.verify(given_signature, text)
    with pytest.raises(ValueError, match=r"."):
        VerifyKey(struct.pack(">B", 2) + b"\xff" * 32)


def test_a_public_key_has_one_encoding() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    alice = person("alice").signing.public_key()
    whole = alice.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    assert ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), whole) == alice
    prime, x = 2**256 - 2**224 + 2**192 + 2**96 - 1, 5
    assert VerifyKey(b"\x02" + x.to_bytes(32))
    for other in (whole, b"\x02" + (prime + x).to_bytes(32), b"\0", b""):
        with pytest.raises(ValueError, match=r"."):
            VerifyKey(other)
