"""How two people who both ask come to share a secret: ``docs/protocol.md``, "Invitations"."""

from __future__ import annotations

from typing import Any

from tests.reference.directory import directory_digests, read_entry
from tests.reference.hpke import open_sealed, seal
from tests.reference.primitives import (
    RefusedError,
    Values,
    check_x25519,
    cut,
    demand,
    demand_zeros,
    ecdsa_check,
    ecdsa_sign,
    hkdf,
    number,
    sha256,
    x25519,
)

SUITE = "MLKEM768_X25519"
GENERATOR, LISTENER = 0, 1
TALK = 1


def invitation_info(chain_id: bytes, bundle_round: int) -> bytes:
    """The info under which an invitation is sealed."""
    return b"iirs/1 invitation" + chain_id + bundle_round.to_bytes(8, "big")


def content_of(invitation: dict[str, Any]) -> bytes:
    """The first 184 bytes of INVITATION_PLAIN."""
    chain_ids, prekey_ids = invitation["chain_ids"], invitation["prekey_ids"]
    return b"".join(
        [
            bytes([1, invitation["kind"]]),
            invitation["caller"].to_bytes(4, "big"),
            invitation["conversation"],
            invitation["started_ms"].to_bytes(8, "big"),
            invitation["ephemeral"],
            invitation["seed"],
            invitation["bundle_round"].to_bytes(8, "big"),
            bytes([len(chain_ids)]) + b"".join(chain_ids).ljust(64, b"\0"),
            bytes([len(prekey_ids)]) + b"".join(prekey_ids).ljust(16, b"\0"),
        ]
    )


def invitation_in(content: bytes) -> dict[str, Any]:
    """The fields of the first 184 bytes."""
    version, kind, caller, conversation, started, ephemeral, seed, bundle_round, *ids = cut(
        content, 1, 1, 4, 16, 8, 32, 32, 8, 1, 64, 1, 16
    )
    chains, chain_ids, prekeys, prekey_ids = ids
    demand(number(version) == 1 and number(kind) in {1, 2}, "an unknown version or kind")
    demand(number(chains) <= 4 and number(prekeys) <= 2, "more than it can hold")
    demand_zeros(chain_ids[16 * number(chains) :] + prekey_ids[8 * number(prekeys) :])
    return {
        "kind": number(kind),
        "caller": number(caller),
        "conversation": conversation,
        "started_ms": number(started),
        "ephemeral": ephemeral,
        "seed": seed,
        "bundle_round": number(bundle_round),
        "chain_ids": cut(chain_ids, *[16] * 4)[: number(chains)],
        "prekey_ids": cut(prekey_ids, *[8] * 2)[: number(prekeys)],
    }


def invitation_signed(chain_id: bytes, caller_entry: bytes, callee_entry: bytes, content: bytes) -> bytes:
    """What the caller signs."""
    return b"iirs/1 invitation signature" + chain_id + sha256(caller_entry) + sha256(callee_entry) + content


def seal_invitation(
    *,
    chain_id: bytes,
    entries: list[bytes],
    callee: int,
    private: bytes,
    prekey: bytes,
    invitation: dict[str, Any],
    randomness: bytes,
) -> Values:
    """An invitation by the owner of this private scalar, to the callee's prekey."""
    demand(callee < len(entries) and invitation["caller"] < len(entries), "nobody")
    content = content_of(invitation)
    signed = invitation_signed(chain_id, entries[invitation["caller"]], entries[callee], content)
    plain = (content + ecdsa_sign(private, signed)).ljust(320, b"\0")
    info = invitation_info(chain_id, invitation["bundle_round"])
    return {"sealed": seal(SUITE, prekey, info, plain, randomness)}


def open_invitation(
    *, chain_id: bytes, entries: list[bytes], callee: int, keys: list[bytes], bundle_round: int, sealed: bytes
) -> Values:
    """An invitation in the bundle of a round, opened with any of the callee's private keys."""
    directory_digests(chain_id=chain_id, entries=entries)
    demand(callee < len(entries), "nobody")
    plain = _opened(keys, invitation_info(chain_id, bundle_round), sealed)
    content, signature, zeros = cut(plain, 184, 64, 72)
    demand_zeros(zeros)
    invitation = invitation_in(content)
    demand(invitation["bundle_round"] == bundle_round, "of another bundle")
    demand(invitation["caller"] < len(entries), "from somebody who is not in the directory")
    caller = entries[invitation["caller"]]
    key = read_entry(chain_id=chain_id, entry=caller)["key"]
    ecdsa_check(key, signature, invitation_signed(chain_id, caller, entries[callee], content))
    return {"invitation": invitation}


def _opened(keys: list[bytes], info: bytes, sealed: bytes) -> bytes:
    for key in keys:
        try:
            return open_sealed(SUITE, key, info, sealed)
        except RefusedError:
            continue
    raise RefusedError("not for us")


def agree(
    *,
    round_ms: int,
    private: bytes,
    mine: dict[str, Any],
    my_key: bytes,
    theirs: dict[str, Any],
    their_key: bytes,
) -> Values:
    """Role and root of a new conversation, from the two invitations of one bundle.

    ``private`` is that of my ephemeral X25519 key; the other keys are signing keys.
    """
    latest = mine["bundle_round"] * round_ms
    my_rank = (min(mine["started_ms"], latest), my_key)
    their_rank = (min(theirs["started_ms"], latest), their_key)
    role = GENERATOR if my_rank < their_rank else LISTENER
    generator, listener = (mine, theirs) if role == GENERATOR else (theirs, mine)
    shared = x25519(private, theirs["ephemeral"])
    digests = sha256(content_of(generator)) + sha256(content_of(listener))
    root = hkdf(shared + generator["seed"] + listener["seed"], b"iirs/1 handshake" + digests)
    return {"role": role, "root": root}


def decide(
    *, bundle_round: int, own_in_bundle: bool, peer_prekey: bytes, held: list[bytes], theirs: dict[str, Any]
) -> Values:
    """What somebody who posted a TALK makes of the peer's valid invitation in the same bundle.

    ``peer_prekey`` is the key that the own TALK was sealed to, ``held`` are the chain ids that it listed,
    newest first. A conversation starts in ``first_round``, anew or with the chain ``resumed``; 0: never.
    """
    demand(theirs["kind"] in {1, 2}, "an unknown kind")
    named = sha256(peer_prekey)[:8] in theirs["prekey_ids"]
    if theirs["kind"] != TALK or not own_in_bundle or not named:
        return {"first_round": 0, "resumed": b""}
    common = [chain_id for chain_id in held if chain_id in theirs["chain_ids"]]
    if not common and not is_usable(theirs["ephemeral"]):
        return {"first_round": 0, "resumed": b""}
    return {"first_round": bundle_round + 2, "resumed": common[0] if common else b""}


def is_usable(ephemeral: bytes) -> bool:
    """Whether a key is not of small order."""
    try:
        check_x25519(ephemeral)
    except RefusedError:
        return False
    return True
