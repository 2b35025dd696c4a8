"""Program and reference against each other, with randomness that no vector can record.

What one of the two seals, signs or writes, the other opens, believes and reads; with one thing broken it does
not. The recorded cases are in ``test_vectors.py``.
"""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from iirs.chain import Hop, parse_chain, render_chain
from iirs.circuit import set_up
from iirs.client.invitations import Ask, Invitation, InvitationKind, agree
from iirs.client.messenger.group_item import GroupItem, GroupItemKind
from iirs.client.messenger.notes import TimerNote, encode_note
from iirs.directory import Directory, Entry
from iirs.epoch import EpochKeyring
from iirs.errors import IirsError, OnionError, PeerMessageError
from iirs.geometry import BatchKind
from iirs.identity import Identity, VerifyKey
from iirs.message import Direction, MessageContext, MessageKeys, PeerMessage
from iirs.noise import Noise
from iirs.onion import EntryChannel, RoundContext, cover_invitation, entry_offer_info, wrap
from iirs.prekey import Prekey
from iirs.suite import HYBRID, SUITES, HpkeSuite
from tests.reference.answers import OPERATIONS
from tests.reference.primitives import RefusedError, Values, ed25519_public
from tests.vectors.by_code import rewrite
from tests.vectors.cases import Case, arguments, cases
from tests.vectors.makers.world import chain_file, flipped, seed

CHAIN_ID = secrets.token_bytes(32)
CONTEXT = RoundContext(CHAIN_ID, 77, secrets.token_bytes(32))
IN_CONTEXT = {"chain_id": CHAIN_ID, "round_number": 77, "announcement_hash": CONTEXT.announcement_hash}
each_suite = pytest.mark.parametrize("suite", SUITES.values(), ids=list(SUITES))


def reference(operation: str, **given: Any) -> Values:
    return OPERATIONS[operation](**given)


def refuses(operation: str, **given: Any) -> None:
    with pytest.raises(RefusedError):
        reference(operation, **given)


# -- frames ------------------------------------------------------------------------------------------------


def frames() -> list[Case]:
    return [case for case in cases() if case.gives is not None and case.operation in rewrite.OPERATIONS]


@pytest.mark.parametrize("case", frames(), ids=str)
def test_the_program_writes_a_frame_as_it_is_recorded(case: Case) -> None:
    chain = parse_chain(case.given.get("file", chain_file(1)).encode())
    given = arguments(case.given)
    assert rewrite.rewritten(case.operation, given, chain) == given["frame"]


def test_every_kind_of_frame_is_written_once() -> None:
    assert {case.operation for case in frames()} == rewrite.OPERATIONS


def test_a_chain_file_of_the_program_is_read_by_the_reference() -> None:
    hops = tuple(
        Hop(f"hop {hop}", f"h{hop}.example:12346" if hop else "", ed25519_public(secrets.token_bytes(32)))
        for hop in range(3)
    )
    certificate = secrets.token_bytes(32)
    data = render_chain(suite="X25519", slots=2, round_ms=2000, invite_every=5, epoch_rounds=30,
                        entry_certificate=certificate, hops=hops, noise=Noise(1000, 80))  # fmt: skip
    read = reference("read_chain", file=data.decode())
    assert read["chain_id"] == parse_chain(data).chain_id
    assert read["entry_certificate"] == certificate
    assert [hop["identity"] for hop in read["hops"]] == [hop.identity for hop in hops]
    refuses("read_chain", file=data.decode().replace("noise_mu = 1000", "noise_mu = 1001"))


# -- layers ------------------------------------------------------------------------------------------------


@each_suite
def test_the_reference_peels_what_the_program_wraps(suite: HpkeSuite) -> None:
    pairs = [suite.generate() for _ in range(3)]
    publics = [suite.load_public(pair.public_bytes) for pair in pairs]
    payload = secrets.token_bytes(1456)
    onion, wrapped = wrap(payload, publics, suite, CONTEXT, BatchKind.INVITATION, secrets.token_bytes)
    found = []
    for hop, pair in enumerate(pairs, 1):
        given = {**IN_CONTEXT, "suite": suite.name, "private": pair.private_bytes, "kind": 1, "hop": hop}
        refuses("peel_onion", onion=flipped(onion, -1), **given)
        refuses("peel_onion", onion=onion, **{**given, "kind": 2})
        peeled = reference("peel_onion", onion=onion, **given)
        onion = peeled["inner"]
        found.append(peeled["secret"])
    assert onion == payload
    assert found == wrapped


@each_suite
def test_a_circuit_that_the_program_sets_up_carries_cells_through_hops_of_the_reference(
    suite: HpkeSuite,
) -> None:
    pairs = [suite.generate() for _ in range(2)]
    publics = [suite.load_public(pair.public_bytes) for pair in pairs]
    drop_id, there, back = (secrets.token_bytes(size) for size in (16, 1024, 1024))
    onion, circuit = set_up(drop_id, publics, suite, CONTEXT, secrets.token_bytes)
    found = []
    for hop, pair in enumerate(pairs, 1):
        given = {**IN_CONTEXT, "suite": suite.name, "private": pair.private_bytes, "kind": 2, "hop": hop}
        refuses("peel_onion", onion=onion, **{**given, "kind": 1})
        peeled = reference("peel_onion", onion=onion, **given)
        onion = peeled["inner"]
        found.append(peeled["secret"])
    assert onion == drop_id
    for number in (77, 78):
        cell, answer = circuit.wrap(number, there), back
        for secret in found:
            cell = reference("pass_cell", secret=secret, round_number=number, direction="forward", cell=cell)[
                "cell"
            ]
        for secret in reversed(found):
            answer = reference(
                "pass_cell", secret=secret, round_number=number, direction="back", cell=answer
            )["cell"]
        assert cell == there
        assert circuit.unwrap(number, answer) == back
        assert circuit.unwrap(number + 1, answer) != back
        assert reference("unwrap_cell", secrets=found[:1], round_number=number, cell=answer)["cell"] != back


@each_suite
def test_the_reference_opens_an_offer_and_talks_through_the_channel_it_starts(suite: HpkeSuite) -> None:
    pair, certificate, secret = suite.generate(), secrets.token_bytes(32), secrets.token_bytes(32)
    key_id = reference("hpke_load", suite=suite.name, public=pair.public_bytes)["key_id"]
    binding = entry_offer_info(CHAIN_ID, certificate, key_id)
    offer = suite.seal(suite.load_public(pair.public_bytes), secret, binding)
    login = {"chain_id": CHAIN_ID, "certificate_hash": certificate, "key_id": key_id}
    given = {"suite": suite.name, "private": pair.private_bytes, "offer": offer, **login}
    assert reference("open_offer", **given) == {"secret": secret}
    refuses("open_offer", **{**given, "certificate_hash": bytes(32)})
    channel = EntryChannel(secret, binding, 0)
    channel.advance(CONTEXT.round_number // 30)
    session = {**login, **IN_CONTEXT, "secret": secret, "key_round": 7, "index": 3}
    sealed = channel.seal_up(CONTEXT, BatchKind.INVITATION, 3, b"onion")
    opened = reference("channel_open", direction="up", kind=1, sealed=sealed, **session)
    assert opened == {"plaintext": b"onion"}
    refuses("channel_open", direction="up", kind=0, sealed=sealed, **session)
    reply = reference("channel_seal", direction="down", plaintext=b"reply", **session)["sealed"]
    assert channel.open_down(CONTEXT, 3, reply) == b"reply"
    with pytest.raises(OnionError):
        channel.open_down(CONTEXT, 4, reply)


@each_suite
def test_the_reference_believes_an_epoch_key_of_the_program(suite: HpkeSuite) -> None:
    identity = Ed25519PrivateKey.generate()
    file = chain_file(2, suite.name, epoch_rounds=10)
    for hop, last in ((0, 89), (1, 74)):  # one for logins, and one for an epoch
        own = file.replace(ed25519_public(seed(hop)).hex(), _public(identity))
        keys = EpochKeyring(parse_chain(own.encode()), hop, identity)
        record = (keys.for_setup(65, b"") if hop else keys.for_logins(65)).encode()
        read = reference("read_epoch_key", file=own, hop=hop, round_number=last, record=record)
        assert (read["first_round"], read["last_round"]) == (65, last)
        refuses("read_epoch_key", file=own, hop=hop, round_number=last + 1, record=record)


def _public(identity: Ed25519PrivateKey) -> str:
    return identity.public_key().public_bytes_raw().hex()


# -- two people --------------------------------------------------------------------------------------------


class Pair:
    """Alice and bob in a directory, each with a prekey."""

    def __init__(self) -> None:
        self.identities = [Identity.generate() for _ in range(2)]
        self.directory = Directory(CHAIN_ID)
        for name, identity in zip(("alice", "bob"), self.identities, strict=True):
            self.directory.append(Entry.create(CHAIN_ID, name, identity))
        self.keys = [HYBRID.generate() for _ in range(2)]
        self.prekeys = [
            Prekey.create(identity, self.directory, place, 5, key.public_bytes)
            for place, (identity, key) in enumerate(zip(self.identities, self.keys, strict=True))
        ]

    @property
    def raw_entries(self) -> list[bytes]:
        return [entry.raw for entry in self.directory.entries]

    def invitation(self, place: int, ask: Ask) -> Invitation:
        ids, wish = (self.prekeys[place].key_id,), (ask.started_ms, ask.ephemeral, ask.seed)
        return Invitation(InvitationKind.TALK, place, bytes(16), *wish, 850, prekey_ids=ids)


def test_the_reference_believes_entries_and_prekeys_of_the_program() -> None:
    pair = Pair()
    digests = reference("directory_digests", chain_id=CHAIN_ID, entries=pair.raw_entries)["digests"]
    assert digests == pair.directory.digests
    record = pair.prekeys[1].encode()
    given = {"chain_id": CHAIN_ID, "entry": pair.raw_entries[1]}
    assert reference("read_prekey", record=record, **given)["prekey_id"] == pair.prekeys[1].key_id
    refuses("read_prekey", record=record, chain_id=CHAIN_ID, entry=pair.raw_entries[0])


def test_the_reference_opens_an_invitation_of_the_program_and_finds_the_same_root() -> None:
    pair = Pair()
    alice, bob = (Ask.create(now, secrets.token_bytes) for now in (1000, 1001))
    mine, theirs = pair.invitation(0, alice), pair.invitation(1, bob)
    entries = pair.directory.entries
    sealed = mine.seal(pair.directory, pair.identities[0], entries[1], pair.prekeys[1])
    given = {"chain_id": CHAIN_ID, "entries": pair.raw_entries, "callee": 1, "bundle_round": 850}
    keys = [pair.keys[1].private_bytes]
    opened = reference("open_invitation", sealed=sealed, keys=keys, **given)["invitation"]
    refuses("open_invitation", sealed=sealed, keys=[pair.keys[0].private_bytes], **given)
    refuses("open_invitation", sealed=cover_invitation(secrets.token_bytes), keys=keys, **given)
    bobs = {**opened, "caller": 1, "started_ms": theirs.started_ms, "ephemeral": theirs.ephemeral,
            "seed": theirs.seed, "prekey_ids": list(theirs.prekey_ids)}  # fmt: skip
    agreed = agree(alice, mine, entries[0], theirs, entries[1], 2000)
    sides = {"my_key": entries[1].verify_key.raw, "their_key": entries[0].verify_key.raw}
    found = reference("agree", round_ms=2000, private=bob.private, mine=bobs, theirs=opened, **sides)
    assert found == {"role": Direction.FROM_LISTENER, "root": agreed.root}
    other = reference("agree", round_ms=2000, private=alice.private, mine=bobs, theirs=opened, **sides)
    assert other["root"] != agreed.root


def test_the_program_opens_an_invitation_of_the_reference() -> None:
    pair = Pair()
    mine = pair.invitation(0, Ask.create(1000, secrets.token_bytes))
    values = {
        "kind": 1, "caller": 0, "conversation": bytes(16), "started_ms": 1000, "ephemeral": mine.ephemeral,
        "seed": mine.seed, "bundle_round": 850, "chain_ids": [], "prekey_ids": list(mine.prekey_ids),
    }  # fmt: skip
    given = {"chain_id": CHAIN_ID, "entries": pair.raw_entries, "callee": 1, "invitation": values,
             "prekey": pair.prekeys[1].public, "randomness": secrets.token_bytes(64)}  # fmt: skip
    entries = pair.directory.entries
    sealed = reference("seal_invitation", private=pair.identities[0].to_bytes(), **given)["sealed"]
    assert Invitation.open(sealed, pair.directory, [pair.keys[1]], entries[1], 850) == (entries[0], mine)
    forged = reference("seal_invitation", private=pair.identities[1].to_bytes(), **given)["sealed"]
    with pytest.raises(IirsError):
        Invitation.open(forged, pair.directory, [pair.keys[1]], entries[1], 850)


def test_the_reference_opens_a_peer_message_of_the_program() -> None:
    identity, keys = Identity.generate(), MessageKeys(secrets.token_bytes(32), secrets.token_bytes(32))
    context = MessageContext(secrets.token_bytes(16), 77, Direction.FROM_LISTENER, 1)
    message = PeerMessage(sequence=9, payload=b"see you at noon")
    sealed = message.seal(keys, context, identity, secrets.token_bytes)
    given = {"encryption": keys.encryption, "authentication": keys.authentication, "round_number": 77,
             "sender": identity.verify_key_bytes, "conversation": context.conversation}  # fmt: skip
    opened = reference("open_peer_message", direction=1, drop=1, sealed=sealed, **given)
    assert (opened["sequence"], opened["payload"]) == (9, b"see you at noon")
    refuses("open_peer_message", direction=1, drop=0, sealed=sealed, **given)
    refuses("open_peer_message", direction=1, drop=1, sealed=flipped(sealed, 300), **given)


def test_the_reference_believes_items_and_notes_of_the_program() -> None:
    pair = Pair()
    unsigned = GroupItem(b"", GroupItemKind.FOUND, 0, bytes(16), 1000, "Lunch ☀", (0, 1))
    item = unsigned.founding(CHAIN_ID).signed_by(pair.identities[0], CHAIN_ID)
    given = {"chain_id": CHAIN_ID, "entries": pair.raw_entries}
    assert reference("read_group_item", item=item.to_value(), **given) == {"author_name": "alice"}
    refuses("read_group_item", item={**item.to_value(), "text": "Lunch"}, **given)
    note = encode_note(TimerNote(60))
    assert reference("read_note", note=note) == {"note": "timer", "seconds": 60}
    refuses("read_note", note=note[:-1])


def test_the_program_refuses_a_peer_message_that_the_reference_signed_for_another_round() -> None:
    identity, keys = Identity.generate(), MessageKeys(bytes(32), bytes(range(32)))
    place = {"conversation": bytes(16), "round_number": 77, "direction": 0, "drop": 0}
    secret = {"encryption": keys.encryption, "authentication": keys.authentication, "iv": bytes(16)}
    given = {**secret, **place, "private": identity.to_bytes(), "content": bytes(912)}
    sealed = reference("seal_peer_message", **given)["sealed"]
    sender = VerifyKey(identity.verify_key_bytes)
    right = MessageContext(bytes(16), 77, Direction.FROM_GENERATOR, 0)
    assert PeerMessage.open(sealed, keys, right, sender) == PeerMessage()
    wrong = MessageContext(bytes(16), 78, Direction.FROM_GENERATOR, 0)
    with pytest.raises(PeerMessageError):
        PeerMessage.open(sealed, keys, wrong, sender)
