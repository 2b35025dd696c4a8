"""What is said in a round: ``docs/protocol.md``, "Messages between client and server" and "Rounds"."""

from __future__ import annotations

from tests.reference.chain import chain_of
from tests.reference.directory import ENTRY_SIZE, PREKEY_SIZE, head_of
from tests.reference.frames import (
    ANNOUNCE,
    BUNDLE,
    REPLIES,
    STANDBY,
    UPLOAD,
    UPLOAD_INVITE,
    body_of,
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


def read_announce(*, file: str, frame: bytes) -> Values:
    """ANNOUNCE: the notice, the fields, and the announcement hash. The head must be signed."""
    chain = chain_of(file)
    body = body_of(frame, ANNOUNCE)
    demand(len(body) >= 3719 + 96 * chain.hops, "cut off")
    notice, announcement = body[:1], body[1:]
    counted = 60 + 96 * chain.hops
    entry_room = room_for(announcement[counted], 8, 255)
    after = counted + 1 + ENTRY_SIZE * entry_room
    demand(len(announcement) > after, "cut off")
    prekey_room = room_for(announcement[after], 2, 16)
    demand(number(notice) <= 7, "a bit of the notice that means nothing")
    version, *numbers, keys, head, start, count, entries, prekeys, records, bundle = cut(
        announcement, 1, 8, 1, 4, 2, 4, 32 * chain.hops, 36 + 64 * chain.hops,
        4, 1, entry_room * ENTRY_SIZE, 1, prekey_room * PREKEY_SIZE, 32,
    )  # fmt: skip
    round_number, flags, collect_ms, invite_every, online = (number(piece) for piece in numbers)
    demand(number(version) == 2, "another version")
    demand(flags <= 1, "a flag that means nothing")
    demand(number(prekeys) <= 16, "more than it can hold")
    length, digest = head_of(chain, head)
    demand_zeros(entries[number(count) * ENTRY_SIZE :] + records[number(prekeys) * PREKEY_SIZE :])
    increment = cut(entries[: number(count) * ENTRY_SIZE], *[ENTRY_SIZE] * number(count))
    shown = cut(records[: number(prekeys) * PREKEY_SIZE], *[PREKEY_SIZE] * number(prekeys))
    return {
        "notice": number(notice),
        "round_number": round_number,
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
        "announcement_hash": sha256(announcement),
    }


def read_upload(*, file: str, frame: bytes) -> Values:
    """UPLOAD or UPLOAD_INVITE."""
    chain = chain_of(file)
    layers = (chain.hops - 1) * (32 + chain.kem.overhead)
    body = body_of(frame, UPLOAD, UPLOAD_INVITE)
    conversation = [1056 + layers] * (2 * chain.slots)
    invitations = [1472 + layers] * chain.slots if frame[0] == UPLOAD_INVITE else []
    round_number, kind, secret, vault, *onions = cut(body, 8, 1, 32, 60, *conversation, *invitations)
    demand(number(kind) <= 2, "an unknown errand")
    if number(kind) != NEW_PASSWORD:
        demand_zeros(secret + vault)
    return {
        "round_number": number(round_number),
        "errand": number(kind),
        "login_secret": secret,
        "vault": vault,
        "onions": onions[: len(conversation)],
        "invitations": onions[len(conversation) :],
    }


def read_replies(*, file: str, frame: bytes) -> Values:
    """REPLIES."""
    chain = chain_of(file)
    sizes = [1024 + 16 * chain.hops] * (2 * chain.slots)
    round_number, status, *replies = cut(body_of(frame, REPLIES), 8, 1, *sizes)
    demand(number(status) <= 2, "an unknown status")
    return {"round_number": number(round_number), "status": number(status), "replies": replies}


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
