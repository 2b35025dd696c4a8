"""Drops and keys of a conversation, and what lies in the drops.

``docs/protocol.md``, "Sync: drops and keys of a conversation" and "Peer messages and texts".
"""

from __future__ import annotations

import hmac
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.reference.primitives import (
    Values,
    cut,
    demand,
    demand_zeros,
    ecdsa_check,
    ecdsa_sign,
    expand,
    hkdf,
    number,
    sha256,
    x25519,
    x25519_public,
)

GAP_MAX = 256
PEER_MESSAGE_SIZE = 1024
FIELDS = {
    "sent_at_ms": 8,
    "sequence": 8,
    "acknowledged": 8,
    "acknowledged_bits": 8,
    "kind": 1,
    "text_id": 16,
    "fragment": 2,
    "fragments": 2,
    "renewal_phase": 1,
    "renewal_round": 8,
    "renewal_key": 32,
    "head_length": 4,
    "head_hash": 32,
    "end_round": 8,
}
BYTE_FIELDS = {"text_id", "renewal_key", "head_hash"}


def patience_of(epoch_rounds: int) -> int:
    """Rounds without a word until nothing is posted any more."""
    return max(10, 2 * epoch_rounds + 1)


def label(name: str) -> bytes:
    """The info of Expand in this part of the protocol."""
    return b"iirs/1 sync " + name.encode()


def chain_key(root: bytes, steps: int) -> bytes:
    """The key of a chain so many rounds after its start."""
    key = expand(root, label("chain key"))
    for _ in range(steps):
        key = expand(key, label("step"))
    return key


def keys_of(key: bytes) -> Values:
    """Drop ids and message keys of the round whose chain key this is."""
    places = [(direction, drop) for direction in (0, 1) for drop in (0, 1)]
    return {
        "drop_ids": [expand(key, label(f"drop id {drop}"), 16) for drop in (0, 1)],
        "keys": [
            {
                "direction": direction,
                "drop": drop,
                "encryption": expand(key, label(f"encryption {direction} {drop}")),
                "authentication": expand(key, label(f"authentication {direction} {drop}")),
            }
            for direction, drop in places
        ],
    }


def round_keys(*, root: bytes, start_round: int, taken: list[int], round_number: int) -> Values:
    """Names, drops and keys of a round, by somebody who has taken the keys of some rounds before."""
    standing = start_round
    for before in [*taken, round_number]:
        demand(before >= standing, "the round is over")
        demand(before - standing <= GAP_MAX, "too long a gap")
        standing = before + 1
    names = {
        "conversation": expand(root, label("conversation"), 16),
        "chain_id": expand(root, label("chain id"), 16),
    }
    return {**names, **keys_of(chain_key(root, round_number - start_round))}


def renewed_keys(
    *,
    root: bytes,
    start_round: int,
    epoch_rounds: int,
    generator_private: bytes,
    listener_private: bytes,
    ready_heard: int,
    commit_heard: int,
) -> Values:
    """What follows when a generator hears READY, and its listener COMMIT: the keys of the first new round."""
    proposal, answer = x25519_public(generator_private), x25519_public(listener_private)
    patience = patience_of(epoch_rounds)
    switch = ready_heard + patience + 1
    demand(commit_heard < switch <= commit_heard + patience, "an impossible round")
    shared = x25519(generator_private, answer)
    conversation = expand(root, label("conversation"), 16)
    salt = chain_key(root, switch - start_round)
    info = b"iirs/1 sync renewal" + conversation + proposal + answer + switch.to_bytes(8, "big")
    renewed = hkdf(shared, info, salt)
    return {
        "proposal": proposal,
        "answer": answer,
        "ready_round": number(sha256(proposal)[:8]),
        "switch_round": switch,
        "chain_id": expand(renewed, label("chain id"), 16),
        **keys_of(chain_key(renewed, 0)),
    }


def context_of(conversation: bytes, round_number: int, direction: int, drop: int) -> bytes:
    """CONTEXT, 26 bytes."""
    return conversation + round_number.to_bytes(8, "big") + bytes([direction, drop])


def content_of(fields: dict[str, Any]) -> bytes:
    """The 912 bytes of PEER_CONTENT after the signature."""
    parts = [
        fields[name] if name in BYTE_FIELDS else fields[name].to_bytes(size, "big")
        for name, size in FIELDS.items()
    ]
    payload: bytes = fields["payload"]
    return b"".join(parts) + len(payload).to_bytes(2, "big") + payload.ljust(772, b"\0")


def seal_peer_message(
    *,
    encryption: bytes,
    authentication: bytes,
    private: bytes,
    iv: bytes,
    conversation: bytes,
    round_number: int,
    direction: int,
    drop: int,
    content: bytes,
) -> Values:
    """PEER_MESSAGE with this IV; ``content`` is PEER_CONTENT without its signature."""
    context = context_of(conversation, round_number, direction, drop)
    signature = ecdsa_sign(private, b"iirs/1 peer message signature" + context + content)
    encryptor = Cipher(algorithms.AES(encryption), modes.CBC(iv)).encryptor()
    sealed = iv + encryptor.update(signature + content) + encryptor.finalize()
    return {"sealed": sealed + _mac(authentication, context, sealed)}


def open_peer_message(
    *,
    encryption: bytes,
    authentication: bytes,
    sender: bytes,
    conversation: bytes,
    round_number: int,
    direction: int,
    drop: int,
    sealed: bytes,
) -> Values:
    """The fields of a PEER_MESSAGE by the owner of the signing key ``sender``."""
    context = context_of(conversation, round_number, direction, drop)
    iv, encrypted, mac = cut(sealed, 16, 976, 32)
    demand(mac == _mac(authentication, context, iv + encrypted), "it does not authenticate")
    decryptor = Cipher(algorithms.AES(encryption), modes.CBC(iv)).decryptor()
    plain = decryptor.update(encrypted) + decryptor.finalize()
    signature, content = cut(plain, 64, 912)
    ecdsa_check(sender, signature, b"iirs/1 peer message signature" + context + content)
    *parts, length, payload = cut(content, *FIELDS.values(), 2, 772)
    values = {
        name: part if name in BYTE_FIELDS else number(part) for name, part in zip(FIELDS, parts, strict=True)
    }
    demand(values["kind"] <= 4 and values["renewal_phase"] <= 3, "an unknown kind or phase")
    demand(values["sent_at_ms"] < 2**63, "an impossible time")
    demand(number(length) <= 772, "a payload beyond the end")
    demand_zeros(payload[number(length) :])
    return {**values, "payload": payload[: number(length)]}


def _mac(authentication: bytes, context: bytes, sealed: bytes) -> bytes:
    return hmac.digest(authentication, b"iirs/1 peer message mac" + context + sealed, "sha256")
