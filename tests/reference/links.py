"""What hops say to each other: ``docs/links.md``."""

from __future__ import annotations

from tests.reference.chain import chain_of
from tests.reference.directory import ENTRY_SIZE, PREKEY_SIZE, head_signed
from tests.reference.frames import split
from tests.reference.onions import read_epoch_key
from tests.reference.primitives import Values, cut, demand, number
from tests.reference.rounds import announcement_hash

PREPARE, PREPARED, BEHIND, OPEN, OPENED, BATCH, CHUNK, RESULT, REFUSED = range(1, 10)
ENTRIES_MAX, BATCH_MAX, CHUNK_MAX = 500, 1_000_000, 262_144


def read_link_request(*, file: str, frame: bytes) -> Values:
    """PREPARE, OPEN or BATCH."""
    chain = chain_of(file)
    kind, body = split(frame)
    demand(kind in {PREPARE, OPEN, BATCH}, "a frame that may not come now")
    if kind == PREPARE:
        demand(len(body) >= 60, "cut off")
        *places, previous, first, many = cut(body[:60], 4, 8, 8, 32, 4, 4)
        budget, round_number, setup_round = map(number, places)
        count = number(many)
        demand(count <= ENTRIES_MAX, "too many entries")
        entries = cut(body[60:], *[ENTRY_SIZE] * count)
        place = {"round_number": round_number, "setup_round": setup_round, "previous": previous}
        return {"kind": kind, "budget_ms": budget, **place, "base": number(first), "entries": entries}
    if kind == OPEN:
        budget_field, announcement = body[:4], body[4:]
        shortest = 3758 + 96 * chain.hops
        longest = shortest + (255 - 8) * ENTRY_SIZE + (16 - 2) * PREKEY_SIZE
        demand(shortest <= len(announcement) <= longest, "another length")
        values = {"announcement_hash": announcement_hash(announcement)}
        return {"kind": kind, "budget_ms": number(budget_field), **values}
    budget, round_number, batch, count = (number(piece) for piece in cut(body, 4, 8, 1, 4))
    demand(batch <= 2 and count <= BATCH_MAX, "no such batch")
    values = {"round_number": round_number, "batch_kind": batch, "count": count}
    return {"kind": kind, "budget_ms": budget, **values}


def read_prepared(
    *, file: str, hop: int, round_number: int, setup_round: int, length: int, digest: bytes, frame: bytes
) -> Values:
    """What ``hop`` answers to PREPARE, for all from it on: keys for the epoch, signatures under the head."""
    chain = chain_of(file)
    kind, body = split(frame)
    if kind == BEHIND:
        (entries,) = cut(body, 4)
        return {"behind": number(entries)}
    if kind == REFUSED:
        return _refusal(hop, chain.hops, body)
    demand(kind == PREPARED, "a frame that may not come now")
    behind = range(hop, chain.hops)
    pieces = cut(body, *[81 + chain.kem.public_size] * len(behind), *[64] * len(behind))
    records, signatures = pieces[: len(behind)], pieces[len(behind) :]
    keys = []
    for place, record, signature in zip(behind, records, signatures, strict=True):
        key = read_epoch_key(file=file, hop=place, round_number=round_number, record=record)
        demand(key["first_round"] == setup_round, "a key for another epoch")
        keys.append(key)
        chain.check_signed(place, signature, head_signed(chain.chain_id, length, digest))
    return {"keys": keys}


def read_link_answer(*, file: str, hop: int, asked: int, frame: bytes) -> Values:
    """What ``hop`` answers to an OPEN or a BATCH of at most 262,144 bytes."""
    kind, body = split(frame)
    if kind == REFUSED:
        return _refusal(hop, chain_of(file).hops, body)
    demand(kind == {OPEN: OPENED, BATCH: RESULT}.get(asked), "a frame that may not come now")
    if kind == OPENED:
        cut(body)
        return {"opened": True}
    (size,) = cut(body, 4)
    return {"size": number(size)}


def _refusal(hop: int, hops: int, body: bytes) -> Values:
    who, why = (number(piece) for piece in cut(body, 1, 1))
    demand(hop <= who < hops, "it blames a hop that is not behind it")
    demand(why <= 8, "an unknown refusal")
    return {"refused_by": who, "refusal": why}


def read_chunk(*, frame: bytes) -> Values:
    """A CHUNK."""
    kind, body = split(frame)
    demand(kind == CHUNK and 1 <= len(body) <= CHUNK_MAX, "no chunk")
    return {"data": body}
