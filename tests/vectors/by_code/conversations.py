"""Invitations, keys of a conversation, peer messages."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from iirs.client import invitations
from iirs.client.chat_session import ChatSession
from iirs.client.conversation import Conversation
from iirs.client.conversation_values import InvitationPrekeys, Me
from iirs.client.sync import DeadDropSync, patience_for
from iirs.directory import Directory, Entry
from iirs.identity import Identity, VerifyKey
from iirs.message import (
    Direction,
    MessageContext,
    MessageKeys,
    PeerMessage,
)
from iirs.prekey import Prekey
from iirs.suite import HYBRID
from tests.vectors.by_code.common import Values, directory_of, fields_of

PATIENCE = patience_for(1)


def open_invitation(
    chain_id: bytes, entries: list[bytes], callee: int, keys: list[bytes], bundle_round: int, sealed: bytes
) -> Values:
    directory = directory_of(chain_id, entries)
    pairs = [HYBRID.load_private(key) for key in keys]
    opened = invitations.Invitation.open(sealed, directory, pairs, directory.entries[callee], bundle_round)
    return {"invitation": {**fields_of(opened[1]), "kind": int(opened[1].kind)}}


def invitation_of(values: Values) -> invitations.Invitation:
    kind = invitations.InvitationKind(values["kind"])
    ids = {name: tuple(values[name]) for name in ("chain_ids", "prekey_ids")}
    return invitations.Invitation(**{**values, **ids, "kind": kind})


def agree(
    round_ms: int, private: bytes, mine: Values, my_key: bytes, theirs: Values, their_key: bytes
) -> Values:
    # Only the bytes of the signing keys count here, so they need not be points.
    entries = [
        cast(Entry, SimpleNamespace(verify_key=SimpleNamespace(raw=key))) for key in (my_key, their_key)
    ]
    ask = invitations.Ask(mine["started_ms"], private, mine["seed"])
    agreement = invitations.agree(
        ask, invitation_of(mine), entries[0], invitation_of(theirs), entries[1], round_ms
    )
    return {"role": int(agreement.role), "root": agreement.root}


def decide(
    bundle_round: int, own_in_bundle: bool, peer_prekey: bytes, held: list[bytes], theirs: Values
) -> Values:
    identities = [Identity.generate() for _ in range(2)]
    directory = Directory(bytes(32))
    for name, identity in zip(("alice", "bob"), identities, strict=True):
        directory.append(Entry.create(directory.chain_id, name, identity))
    entry, peer = directory.entries
    me = Me(entry, 0, identities[0], directory, 2000, PATIENCE, os.urandom, lambda: 1000)
    chat = ChatSession(os.urandom, lambda _: False)
    conversation = Conversation(me, peer, chat)
    if held:
        before = _sync_that_holds(held, bundle_round - 100)
        state = {**conversation.to_state(), "sync": before.to_state(), "begun": bundle_round - 90}
        conversation = Conversation(me, peer, chat, state)
    conversation.want()
    prekey = Prekey.create(identities[1], directory, 1, 5, peer_prekey)
    sealed = conversation.invitation(bundle_round, InvitationPrekeys(prekey, ()))
    if sealed is None:
        raise AssertionError("nothing was posted")
    conversation.meet(invitation_of(theirs), frozenset({sealed} if own_in_bundle else ()))
    sync = conversation.sync
    if sync is None or sync.last_heard != bundle_round + 1:
        return {"first_round": 0, "resumed": b""}
    resumed = sync.current.chain_id if sync.current.chain_id in held else b""
    return {"first_round": sync.last_heard + 1, "resumed": resumed}


def _sync_that_holds(chain_ids: list[bytes], round_number: int) -> DeadDropSync:
    state = DeadDropSync.start(bytes(32), Direction.FROM_LISTENER, round_number, PATIENCE).to_state()
    chains = [{**state["current"], "chain_id": chain_id.hex()} for chain_id in chain_ids]
    state["current"], state["previous"] = chains[0], (chains[1:] or [None])[0]
    return DeadDropSync.from_state(state, PATIENCE)


def _keys(sync: DeadDropSync, round_number: int) -> Values:
    keys = sync.take_round(round_number, sets_up=True)
    sides = {int(sync.role): keys.keys_out, 1 - int(sync.role): keys.keys_in}
    return {
        "drop_ids": list(keys.drop_ids),
        "keys": [
            {
                "direction": direction,
                "drop": drop,
                "encryption": sides[direction][drop].encryption,
                "authentication": sides[direction][drop].authentication,
            }
            for direction in (0, 1)
            for drop in (0, 1)
        ],
    }


def round_keys(root: bytes, start_round: int, taken: list[int], round_number: int) -> Values:
    answers = []
    for role in Direction:
        sync = DeadDropSync.start(root, role, start_round, PATIENCE)
        for before in taken:
            sync.take_round(before, sets_up=False)
        names = {"conversation": sync.conversation, "chain_id": sync.current.chain_id}
        answers.append({**names, **_keys(sync, round_number)})
    return _one_of_both(answers)


def _one_of_both(answers: list[Values]) -> Values:
    if answers[0] != answers[1]:
        raise AssertionError("generator and listener do not find the same keys")
    return answers[0]


def renewed_keys(
    root: bytes,
    start_round: int,
    epoch_rounds: int,
    generator_private: bytes,
    listener_private: bytes,
    ready_heard: int,
    commit_heard: int,
) -> Values:
    generator, listener = (
        DeadDropSync.start(
            root,
            role,
            start_round,
            patience_for(epoch_rounds),
            lambda key=key: X25519PrivateKey.from_private_bytes(key),
        )
        for role, key in zip(Direction, (generator_private, listener_private), strict=True)
    )
    proposal = generator.stamp(PeerMessage())
    listener.heard(start_round, proposal)
    ready = listener.stamp(PeerMessage())
    generator.heard(ready_heard, ready)
    commit = generator.stamp(PeerMessage())
    listener.heard(commit_heard, commit)
    switch = commit.renewal_round
    answers = []
    for sync in (generator, listener):
        keys = _keys(sync, switch)
        answers.append({"chain_id": sync.current.chain_id, **keys})
    numbers = {"ready_round": ready.renewal_round, "switch_round": switch}
    return {
        "proposal": proposal.renewal_key,
        "answer": ready.renewal_key,
        **numbers,
        **_one_of_both(answers),
    }


def open_peer_message(
    encryption: bytes,
    authentication: bytes,
    sender: bytes,
    conversation: bytes,
    round_number: int,
    direction: int,
    drop: int,
    sealed: bytes,
) -> Values:
    keys = MessageKeys(encryption, authentication)
    context = MessageContext(conversation, round_number, cast(Direction, direction), drop)
    message = PeerMessage.open(sealed, keys, context, VerifyKey(sender))
    numbers = {"kind": int(message.kind), "renewal_phase": int(message.renewal_phase)}
    return {**fields_of(message), **numbers}


OPERATIONS: dict[str, Callable[..., Values]] = {
    function.__name__: function
    for function in (
        agree,
        decide,
        open_invitation,
        open_peer_message,
        renewed_keys,
        round_keys,
    )
}
