"""The code against recorded vectors: what must come out, and what must be refused.

``tests/vectors/make.py`` made them without this code, so that two programs of one mind cannot agree on a
mistake; they stay as they are unless the protocol changes.
"""

from __future__ import annotations

import builtins
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from iirs import errors
from iirs.client.account.password_keys import StretchCost, stretch
from iirs.client.sync import DeadDropSync
from iirs.directory import Directory, Entry
from iirs.errors import DirectoryError, OnionError, PeerMessageError
from iirs.geometry import BatchKind
from iirs.identity import VerifyKey
from iirs.message import ContentKind, Direction, MessageContext, MessageKeys, PeerMessage, RenewalPhase
from iirs.onion import EntryChannel, RoundContext, entry_offer_info
from iirs.prekey import Prekey

Vectors = dict[str, Any]
FOLDER = Path(__file__).parent / "vectors"


@cache
def load(name: str) -> Vectors:
    vectors: Vectors = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return vectors


def refusals(name: str, key: str = "refused") -> pytest.MarkDecorator:
    cases = load(name)[key]
    return pytest.mark.parametrize("case", cases, ids=[case["why"] for case in cases])


# -- the keys of a conversation ------------------------------------------------------------------------


def start_sync(role: Direction) -> DeadDropSync:
    vectors = load("sync")
    return DeadDropSync.start(bytes.fromhex(vectors["root"]), role, vectors["start_round"])


@pytest.mark.parametrize("role", list(Direction))
def test_both_roles_find_the_drops_and_keys_of_every_round(role: Direction) -> None:
    vectors = load("sync")
    sync = start_sync(role)
    assert sync.conversation.hex() == vectors["conversation"]
    assert sync.current.chain_id.hex() == vectors["chain_id"]
    for expected in vectors["rounds"]:
        keys = sync.take_round(expected["round"])
        assert [drop.hex() for drop in keys.drop_ids] == expected["drop_ids"]
        for item in expected["keys"]:
            ours = item["direction"] == role
            found = (keys.keys_out if ours else keys.keys_in)[item["drop"]]
            assert found.encryption.hex() == item["encryption"]
            assert found.authentication.hex() == item["authentication"]


def test_rounds_that_were_missed_change_nothing_about_the_later_ones() -> None:
    vectors = load("sync")
    last = vectors["rounds"][-1]
    keys = start_sync(Direction.FROM_GENERATOR).take_round(last["round"])
    assert [drop.hex() for drop in keys.drop_ids] == last["drop_ids"]


@refusals("sync")
def test_a_round_that_cannot_be_is_refused(case: Vectors) -> None:
    sync = start_sync(Direction.FROM_GENERATOR)
    sync.take_round(case["after"])
    error = getattr(errors, case["error"], None) or getattr(builtins, case["error"])
    with pytest.raises(error):
        sync.take_round(case["round"])


# -- the channel to the entry --------------------------------------------------------------------------


def channel_at(epoch: int) -> EntryChannel:
    vectors = load("entry_channel")
    parts = (bytes.fromhex(vectors[name]) for name in ("chain_id", "certificate_hash", "key_id"))
    channel = EntryChannel(bytes.fromhex(vectors["secret"]), entry_offer_info(*parts), vectors["first_epoch"])
    channel.advance(epoch)
    return channel


def context_of(case: Vectors) -> RoundContext:
    vectors = load("entry_channel")
    chain_id, announcement = (bytes.fromhex(vectors[name]) for name in ("chain_id", "announcement_hash"))
    return RoundContext(chain_id, case["round"], announcement)


def open_case(case: Vectors) -> bytes:
    sealed, context, channel = bytes.fromhex(case["sealed"]), context_of(case), channel_at(case["epoch"])
    if case["direction"] == "down":
        return channel.open_down(context, case["index"], sealed)
    return channel.open_up(context, BatchKind(case["kind"]), case["index"], sealed)


def test_the_entry_channel_seals_and_opens_as_recorded() -> None:
    plaintext = bytes.fromhex(load("entry_channel")["plaintext"])
    for case in load("entry_channel")["sealed"]:
        channel, context = channel_at(case["epoch"]), context_of(case)
        if case["direction"] == "down":
            sealed = channel.seal_down(context, case["index"], plaintext)
        else:
            sealed = channel.seal_up(context, BatchKind(case["kind"]), case["index"], plaintext)
        assert sealed.hex() == case["sealed"]
        assert open_case(case) == plaintext


@refusals("entry_channel")
def test_the_entry_channel_refuses_what_it_must(case: Vectors) -> None:
    with pytest.raises(OnionError):
        open_case(case)


# -- the directory -------------------------------------------------------------------------------------


def test_the_directory_has_the_recorded_hash_at_every_length() -> None:
    vectors = load("directory")
    directory = Directory(bytes.fromhex(vectors["chain_id"]))
    for raw in vectors["entries"]:
        directory.append(Entry.parse(directory.chain_id, bytes.fromhex(raw)))
    assert [digest.hex() for digest in directory.digests] == vectors["digests"]
    assert [entry.name for entry in directory.entries] == vectors["names"]


@refusals("directory")
def test_an_entry_that_must_not_be_believed_is_not(case: Vectors) -> None:
    with pytest.raises(DirectoryError):
        Entry.parse(bytes.fromhex(load("directory")["chain_id"]), bytes.fromhex(case["entry"]))


# -- prekeys -------------------------------------------------------------------------------------------


def alices_entry() -> Entry:
    vectors = load("prekey")
    return Entry.parse(bytes.fromhex(vectors["chain_id"]), bytes.fromhex(vectors["entry"]))


def test_a_recorded_prekey_verifies_and_has_the_recorded_fields_and_name() -> None:
    vectors = load("prekey")
    prekey = Prekey.decode(bytes.fromhex(vectors["record"]))
    prekey.verify(bytes.fromhex(vectors["chain_id"]), alices_entry())
    assert (prekey.position, prekey.period) == (vectors["position"], vectors["period"])
    assert prekey.public.hex() == vectors["public"]
    assert prekey.key_id.hex() == vectors["id"]
    assert prekey.encode().hex() == vectors["record"]


@refusals("prekey")
def test_a_prekey_that_must_not_be_believed_is_not(case: Vectors) -> None:
    with pytest.raises(DirectoryError):
        Prekey.decode(bytes.fromhex(case["record"])).verify(
            bytes.fromhex(load("prekey")["chain_id"]), alices_entry()
        )


# -- passwords -----------------------------------------------------------------------------------------


def stretched(case: Vectors) -> tuple[str, str]:
    cost = StretchCost(case["memory_kib"], case["passes"], case["lanes"])
    keys = stretch(bytes.fromhex(case["chain_id"]), case["name"], case["password"], cost)
    return keys.login_secret.hex(), keys.vault_key.hex()


@pytest.mark.parametrize("case", load("passwords")["keys"], ids=["cheap", "standard", "unicode"])
def test_a_password_stands_for_the_recorded_keys(case: Vectors) -> None:
    assert stretched(case) == (case["login_secret"], case["vault_key"])


@refusals("passwords", "not_these_keys")
def test_anything_else_does_not_stand_for_them(case: Vectors) -> None:
    login_secret, vault_key = stretched(case)
    assert login_secret != case["login_secret"]
    assert vault_key != case["vault_key"]


# -- peer messages -------------------------------------------------------------------------------------


def open_peer_message(case: Vectors) -> PeerMessage:
    vectors = load("peer_message")
    keys = MessageKeys(*(bytes.fromhex(vectors[name]) for name in ("encryption", "authentication")))
    context = MessageContext(
        bytes.fromhex(case["conversation"]), case["round"], Direction(case["direction"]), case["drop"]
    )
    sender = VerifyKey(bytes.fromhex(vectors["sender"]))
    return PeerMessage.open(bytes.fromhex(case["sealed"]), keys, context, sender)


def test_a_recorded_peer_message_opens_to_its_fields() -> None:
    vectors = load("peer_message")
    fields = dict(vectors["fields"])
    for name in ("text_id", "renewal_key", "head_hash", "payload"):
        fields[name] = bytes.fromhex(fields[name])
    fields["kind"] = ContentKind(fields["kind"])
    fields["renewal_phase"] = RenewalPhase(fields["renewal_phase"])
    assert open_peer_message(vectors) == PeerMessage(**fields)


def test_the_mac_stands_at_the_end_and_covers_the_recorded_context() -> None:
    vectors = load("peer_message")
    assert vectors["sealed"].endswith(vectors["mac"])
    context = MessageContext(
        bytes.fromhex(vectors["conversation"]),
        vectors["round"],
        Direction(vectors["direction"]),
        vectors["drop"],
    )
    assert context.encode().hex() == vectors["context"]


@refusals("peer_message")
def test_a_peer_message_that_must_be_refused_is(case: Vectors) -> None:
    with pytest.raises(PeerMessageError):
        open_peer_message(case)
