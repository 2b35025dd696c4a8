"""Invitations: for one callee, one bundle, from one caller; and what two of them amount to."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iirs.client.invitations import CHAIN_IDS_MAX, Ask, Invitation, InvitationKind, agree
from iirs.directory import Directory, Entry
from iirs.errors import InvitationError
from iirs.geometry import INVITATION_PLAIN_SIZE, INVITATION_SIZE
from iirs.message import Direction
from iirs.prekey import Prekey
from iirs.suite import HYBRID
from tests.pair_values import ROUND_MS, people

BUNDLE = 1004
IDENTITIES, DIRECTORY = people()
ALICE, BOB = DIRECTORY.entries
BOBS_KEYS = (HYBRID.generate(), HYBRID.generate())
"""This period's and the last one's."""
PREKEYS = [Prekey.create(IDENTITIES[1], DIRECTORY, 1, 7, pair.public_bytes) for pair in BOBS_KEYS]


def invitation(caller: int, ask: Ask, **fields: Any) -> Invitation:
    base = Invitation(InvitationKind.TALK, caller, bytes(16), ask.started_ms, ask.ephemeral, ask.seed, BUNDLE)
    return replace(base, **fields)


def ask_at(started_ms: int) -> Ask:
    return Ask.create(started_ms, os.urandom)


def from_alice(**fields: Any) -> Invitation:
    return replace(invitation(0, ask_at(1)), **fields)


def sealed_by_alice(inner: Invitation, prekey: Prekey = PREKEYS[0]) -> bytes:
    return inner.seal(DIRECTORY, IDENTITIES[0], BOB, prekey)


def open_as_bob(
    sealed: bytes, bundle: int = BUNDLE, directory: Directory = DIRECTORY
) -> tuple[Entry, Invitation]:
    return Invitation.open(sealed, directory, BOBS_KEYS, BOB, bundle)


def test_an_invitation_says_who_calls_and_all_it_said() -> None:
    ids = {"chain_ids": (b"a" * 16, b"b" * 16), "prekey_ids": (b"p" * 8, b"q" * 8)}
    inner = from_alice(conversation=b"c" * 16, **ids)
    sealed = sealed_by_alice(inner)
    assert len(sealed) == INVITATION_SIZE
    assert open_as_bob(sealed) == (ALICE, inner)


def test_the_same_invitation_looks_different_every_time() -> None:
    inner = from_alice()
    assert sealed_by_alice(inner) != sealed_by_alice(inner)


@pytest.mark.parametrize("prekey", PREKEYS)
def test_it_opens_with_the_key_of_this_period_and_of_the_last_and_with_no_other(prekey: Prekey) -> None:
    sealed = sealed_by_alice(from_alice(), prekey)
    assert open_as_bob(sealed)[0] == ALICE
    others = [pair for pair in BOBS_KEYS if pair.public_bytes != prekey.public]
    for keys in (others, [HYBRID.generate()], []):
        with pytest.raises(InvitationError, match="not for us"):
            Invitation.open(sealed, DIRECTORY, keys, BOB, BUNDLE)


def test_in_another_bundle_it_does_not_open() -> None:
    with pytest.raises(InvitationError, match="not for us"):
        open_as_bob(sealed_by_alice(from_alice()), BUNDLE + 5)


def reseal(inner: Invitation, bundle: int, **fields: bytes) -> bytes:
    """Seal as a dishonest caller or a callee who passes on what they got: any content, any signature."""
    content = fields.get("content", inner._encode())
    label = b"iirs/1 invitation signature" + DIRECTORY.chain_id
    signed = label + ALICE.fingerprint + fields.get("callee", BOB.fingerprint) + content
    plain = content + IDENTITIES[0].sign(signed)
    info = b"iirs/1 invitation" + DIRECTORY.chain_id + bundle.to_bytes(8)
    return HYBRID.seal(PREKEYS[0].public_key, plain + bytes(INVITATION_PLAIN_SIZE - len(plain)), info)


def test_what_was_said_in_one_bundle_cannot_be_passed_on_in_another() -> None:
    assert open_as_bob(reseal(from_alice(), BUNDLE))
    with pytest.raises(InvitationError, match="another bundle"):
        open_as_bob(reseal(from_alice(), BUNDLE + 5), BUNDLE + 5)


def test_what_was_said_to_one_cannot_be_passed_on_to_another() -> None:
    with pytest.raises(InvitationError, match="did not sign"):
        open_as_bob(reseal(from_alice(), BUNDLE, callee=ALICE.fingerprint))


def test_nobody_speaks_for_somebody_else() -> None:
    with pytest.raises(InvitationError, match="did not sign"):
        open_as_bob(from_alice(caller=1).seal(DIRECTORY, IDENTITIES[0], BOB, PREKEYS[0]))


def test_a_caller_who_is_not_in_the_directory_is_refused() -> None:
    with pytest.raises(InvitationError, match="not in the directory"):
        open_as_bob(reseal(from_alice(caller=2), BUNDLE))


@pytest.mark.parametrize(("place", "value"), [(0, 2), (1, 0), (1, 3), (-82, CHAIN_IDS_MAX + 1), (-17, 3)])
def test_an_unknown_version_kind_or_count_is_refused(place: int, value: int) -> None:
    content = bytearray(from_alice()._encode())
    content[place] = value
    with pytest.raises(InvitationError, match="does not know"):
        open_as_bob(reseal(from_alice(), BUNDLE, content=bytes(content)))


@pytest.mark.parametrize("place", [-1, -18], ids=["prekey ids", "chain ids"])
def test_ids_that_are_not_counted_are_refused_as_the_root_would_not_be_bound_to_them(place: int) -> None:
    content = bytearray(from_alice()._encode())
    assert content[place] == 0
    content[place] = 1
    with pytest.raises(InvitationError, match="does not count"):
        open_as_bob(reseal(from_alice(), BUNDLE, content=bytes(content)))


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=INVITATION_PLAIN_SIZE, max_size=INVITATION_PLAIN_SIZE))
def test_whatever_is_sealed_to_us_gives_an_invitation_or_the_one_error(plain: bytes) -> None:
    info = b"iirs/1 invitation" + DIRECTORY.chain_id + BUNDLE.to_bytes(8)
    with pytest.raises(InvitationError):
        open_as_bob(HYBRID.seal(PREKEYS[0].public_key, plain, info))


# -- agreement ------------------------------------------------------------------------------------------


def both_agree(alice_at: int, bob_at: int) -> tuple[Direction, Direction]:
    alice_asks, bob_asks = ask_at(alice_at), ask_at(bob_at)
    ours, theirs = invitation(0, alice_asks), invitation(1, bob_asks)
    alice = agree(alice_asks, ours, ALICE, theirs, BOB, ROUND_MS)
    bob = agree(bob_asks, theirs, BOB, ours, ALICE, ROUND_MS)
    assert alice.root == bob.root
    assert len(alice.root) == 32
    return alice.role, bob.role


LIMIT = BUNDLE * ROUND_MS


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
@settings(max_examples=100, deadline=None)
def test_both_get_one_root_and_opposite_roles_whatever_their_clocks_say(alice_at: int, bob_at: int) -> None:
    assert set(both_agree(alice_at, bob_at)) == set(Direction)


@pytest.mark.parametrize(("alice_at", "bob_at"), [(1, 2), (LIMIT - 1, LIMIT), (0, 2**63)])
def test_the_earlier_start_makes_the_generator(alice_at: int, bob_at: int) -> None:
    assert both_agree(alice_at, bob_at)[0] is Direction.FROM_GENERATOR
    assert both_agree(bob_at, alice_at)[0] is Direction.FROM_LISTENER


@pytest.mark.parametrize(("alice_at", "bob_at"), [(5, 5), (LIMIT, LIMIT + 9), (2**63, LIMIT + 1)])
def test_equal_starts_and_starts_after_the_bundle_are_settled_by_the_keys(alice_at: int, bob_at: int) -> None:
    first = Direction.FROM_GENERATOR if ALICE.verify_key.raw < BOB.verify_key.raw else Direction.FROM_LISTENER
    assert both_agree(alice_at, bob_at)[0] is first
    assert both_agree(bob_at, alice_at)[0] is first


def test_the_root_is_bound_to_all_that_both_invitations_say() -> None:
    ours, theirs = ask_at(1), ask_at(2)
    base = agree(ours, invitation(0, ours), ALICE, invitation(1, theirs), BOB, ROUND_MS)
    changes: list[dict[str, Any]] = [
        {"seed": bytes(32)}, {"bundle_round": BUNDLE + 5}, {"chain_ids": (bytes(16),)}, {"started_ms": 3},
        {"conversation": b"d" * 16}, {"kind": InvitationKind.END}, {"ephemeral": ask_at(1).ephemeral},
        {"prekey_ids": (bytes(8),)},
    ]  # fmt: skip
    roots = {
        agree(ours, invitation(0, ours), ALICE, invitation(1, theirs, **change), BOB, ROUND_MS).root
        for change in changes
    }
    assert len(roots | {base.root}) == len(changes) + 1


def test_a_key_of_small_order_is_refused() -> None:
    ours = ask_at(1)
    with pytest.raises(InvitationError, match="no honest caller"):
        agree(ours, invitation(0, ours), ALICE, invitation(1, ask_at(2), ephemeral=bytes(32)), BOB, ROUND_MS)


def test_no_secret_shows_in_a_log() -> None:
    ask = ask_at(1)
    assert "private" not in repr(ask)
    assert "seed" not in repr([ask, invitation(0, ask)])
