"""What is said in a round: ``docs/protocol.md``, "Messages between client and server" and "Rounds"."""

from __future__ import annotations

from tests.reference.chain import chain_of
from tests.reference.directory import ENTRY_SIZE, PREKEY_SIZE, head_of
from tests.reference.frames import (
    ANNOUNCE,
    BUNDLE,
    INVITE,
    REPLIES,
    SETUP,
    STANDBY,
    UPLOAD,
    body_of,
    split_all,
)
from tests.reference.primitives import Values, cut, demand, demand_zeros, number, sha256

INVITATION_SIZE = 1456
NEW_PASSWORD = 1


def room_for(count: int, least: int, most: int) -> int:
    """For how many there is room in an announcement of so many."""
    room = least
    while room < count and room < most:
        room *= 2
    return min(room, most)


def announcement_hash(announcement: bytes) -> bytes:
    """What the next announcement must name; it covers all that came before."""
    return sha256(b"iirs/3 announcement" + announcement[:32] + sha256(announcement[32:]))


def read_announce(*, file: str, frame: bytes) -> Values:
    """ANNOUNCE: the notice, the fields, and the announcement hash. The head must be signed."""
    chain = chain_of(file)
    body = body_of(frame, ANNOUNCE)
    demand(len(body) >= 3759 + 96 * chain.hops, "cut off")
    notice, announcement = body[:1], body[1:]
    counted = 100 + 96 * chain.hops
    entry_room = room_for(announcement[counted], 8, 255)
    after = counted + 1 + ENTRY_SIZE * entry_room
    demand(len(announcement) > after, "cut off")
    prekey_room = room_for(announcement[after], 2, 16)
    demand(number(notice) <= 7, "a bit of the notice that means nothing")
    previous, version, *numbers, keys, head, start, count, entries, prekeys, records, bundle = cut(
        announcement, 32, 1, 8, 8, 1, 4, 2, 4, 32 * chain.hops, 36 + 64 * chain.hops,
        4, 1, entry_room * ENTRY_SIZE, 1, prekey_room * PREKEY_SIZE, 32,
    )  # fmt: skip
    round_number, setup_round, flags, collect_ms, invite_every, online = (number(piece) for piece in numbers)
    demand(number(version) == 3, "another version")
    demand(flags <= 1, "a flag that means nothing")
    demand(number(prekeys) <= 16, "more than it can hold")
    length, digest = head_of(chain, head)
    demand_zeros(entries[number(count) * ENTRY_SIZE :] + records[number(prekeys) * PREKEY_SIZE :])
    increment = cut(entries[: number(count) * ENTRY_SIZE], *[ENTRY_SIZE] * number(count))
    shown = cut(records[: number(prekeys) * PREKEY_SIZE], *[PREKEY_SIZE] * number(prekeys))
    return {
        "notice": number(notice),
        "previous": previous,
        "round_number": round_number,
        "setup_round": setup_round,
        "has_invitations": flags == 1,
        "collect_ms": collect_ms,
        "invite_every": invite_every,
        "online": online,
        "key_ids": cut(keys, *[32] * chain.hops),
        "head_length": length,
        "head_digest": digest,
        "increment_start": number(start),
        "increment": increment,
        "prekeys": shown,
        "bundle_digest": bundle,
        "announcement_hash": announcement_hash(announcement),
    }


def follow(*, file: str, first: bytes, frame: bytes) -> Values:
    """An ANNOUNCE that comes in a session right after another, the session's first."""
    epoch_rounds = chain_of(file).epoch_rounds
    before, now = (read_announce(file=file, frame=shown) for shown in (first, frame))
    for shown in (before, now):
        demand(0 <= shown["round_number"] - shown["setup_round"] < epoch_rounds, "a round beyond its epoch")
    demand(
        now["setup_round"] in (now["round_number"], before["setup_round"]), "an epoch that nobody saw begin"
    )
    demand(now["previous"] == before["announcement_hash"], "another history")
    return {"sets_up": now["setup_round"] == now["round_number"]}


def read_upload(*, file: str, frame: bytes) -> Values:
    """One write of a client for a round: SETUP and INVITE, if they come, in this order, and UPLOAD."""
    chain = chain_of(file)
    layers = (chain.hops - 1) * (32 + chain.kem.overhead)
    *before, (kind, body) = split_all(frame) or [(0, b"")]
    kinds = [kind for kind, _ in before]
    demand(kind == UPLOAD and kinds in ([], [SETUP], [INVITE], [SETUP, INVITE]), "another order")
    round_number, errand, secret, vault, *cells = cut(body, 8, 1, 32, 60, *[1040] * (2 * chain.slots))
    sizes = {SETUP: [32 + layers] * (2 * chain.slots), INVITE: [1472 + layers] * chain.slots}
    onions: dict[int, list[bytes]] = {SETUP: [], INVITE: []}
    for part, content in before:
        start, *onions[part] = cut(content, 8, *sizes[part])
        demand(start == round_number, "parts of two rounds")
    demand(number(errand) <= 2, "an unknown errand")
    if number(errand) != NEW_PASSWORD:
        demand_zeros(secret + vault)
    return {
        "round_number": number(round_number),
        "errand": number(errand),
        "login_secret": secret,
        "vault": vault,
        "cells": cells,
        "setups": onions[SETUP],
        "invitations": onions[INVITE],
    }


def read_replies(*, file: str, frame: bytes) -> Values:
    """REPLIES."""
    chain = chain_of(file)
    sizes = [1040] * (2 * chain.slots)
    round_number, status, *cells = cut(body_of(frame, REPLIES), 8, 1, *sizes)
    demand(number(status) <= 3, "an unknown status")
    return {"round_number": number(round_number), "status": number(status), "cells": cells}


def read_standby(*, file: str, frame: bytes) -> Values:
    """STANDBY; a hop that is not known is given as 0."""
    chain = chain_of(file)
    (hop,) = cut(body_of(frame, STANDBY), 1)
    demand(number(hop) == 255 or 1 <= number(hop) < chain.hops, "no such later hop")
    return {"hop": 0 if number(hop) == 255 else number(hop)}


def bundle_signed(chain_id: bytes, round_number: int, invitations: bytes) -> bytes:
    """What the last hop signs of a bundle."""
    return b"iirs/1 bundle" + chain_id + round_number.to_bytes(8, "big") + sha256(invitations)


def read_bundle(*, file: str, frame: bytes) -> Values:
    """BUNDLE, signed by the last hop; the digest is what the next announcement must name."""
    chain = chain_of(file)
    body = body_of(frame, BUNDLE)
    demand(len(body) >= 12, "cut off")
    count = number(body[8:12])
    demand(count <= 100_000, "more than there may be")
    round_number, _, invitations, signature = cut(body, 8, 4, INVITATION_SIZE * count, 64)
    signed = bundle_signed(chain.chain_id, number(round_number), invitations)
    chain.check_signed(chain.hops - 1, signature, signed)
    hashes = [sha256(piece) for piece in cut(invitations, *[INVITATION_SIZE] * count)]
    return {"round_number": number(round_number), "invitation_hashes": hashes, "digest": sha256(body)}
