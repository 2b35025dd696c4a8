"""What hops say to each other."""

from __future__ import annotations

from collections.abc import Callable

from iirs.chain import Chain, parse_chain
from iirs.directory import head_content
from iirs.errors import HopError, PeerError
from iirs.server.hops import link
from iirs.server.hops.link import LinkKind
from iirs.wire.rounds import announcement_hash
from tests.vectors.by_code.common import Values, fields_of


def _read(frame: bytes, allowed: dict[LinkKind, tuple[int, int]]) -> tuple[LinkKind, bytes]:
    if len(frame) < link.HEADER_SIZE:
        raise PeerError("not one whole frame")
    kind, length = link.decode_header(frame[: link.HEADER_SIZE], allowed)
    if len(frame) != link.HEADER_SIZE + length:
        raise PeerError("not one whole frame")
    return kind, frame[link.HEADER_SIZE :]


def read_link_request(file: str, frame: bytes) -> Values:
    kind, body = _read(frame, link.requests(parse_chain(file.encode()).geometry))
    if kind is LinkKind.PREPARE:
        prepare, budget = link.Prepare.decode(body)
        return {"kind": int(kind), "budget_ms": budget, **fields_of(prepare)}
    if kind is LinkKind.OPEN:
        announcement, budget = link.decode_open(body)
        digest = announcement_hash(announcement)
        return {"kind": int(kind), "budget_ms": budget, "announcement_hash": digest}
    batch, budget = link.BatchHeader.decode(body)
    values = {"round_number": batch.round_number, "batch_kind": int(batch.kind), "count": batch.count}
    return {"kind": int(kind), "budget_ms": budget, **values}


def read_prepared(
    file: str, hop: int, round_number: int, setup_round: int, length: int, digest: bytes, frame: bytes
) -> Values:
    chain = parse_chain(file.encode())
    hops = len(chain.hops) - hop
    size = link.Prepared.size(chain.geometry, hops)
    kind, body = _read(frame, link.answers(LinkKind.PREPARED, size))
    if kind is LinkKind.BEHIND:
        return {"behind": link.decode_length(body)}
    if kind is LinkKind.REFUSED:
        return _refusal(chain, hop, body)
    prepared = link.Prepared.decode(body, chain.geometry, hops)
    request = link.Prepare(round_number, setup_round, bytes(32), 0)
    prepared.check(chain, hop, request, head_content(chain.chain_id, length, digest))
    names = ("first_round", "last_round", "key_id")
    return {"keys": [{name: getattr(key, name) for name in names} for key in prepared.keys]}


def read_link_answer(file: str, hop: int, asked: int, frame: bytes) -> Values:
    answers = {LinkKind.OPEN: (LinkKind.OPENED, 0), LinkKind.BATCH: (LinkKind.RESULT, link.RESULT_SIZE)}
    kind, body = _read(frame, link.answers(*answers[LinkKind(asked)]))
    if kind is LinkKind.REFUSED:
        return _refusal(parse_chain(file.encode()), hop, body)
    return {"opened": True} if kind is LinkKind.OPENED else {"size": link.decode_length(body)}


def _refusal(chain: Chain, hop: int, body: bytes) -> Values:
    error = link.decode_refusal(body, range(hop, len(chain.hops)))
    return {"refused_by": error.hop, "refusal": _number_of(error)}


def _number_of(error: HopError) -> int:
    # The number goes back to the hop before unchanged.
    return link.encode_refusal(error).body[1]


def read_chunk(frame: bytes) -> Values:
    return {"data": _read(frame, {LinkKind.CHUNK: (1, link.CHUNK_MAX)})[1]}


OPERATIONS: dict[str, Callable[..., Values]] = {
    function.__name__: function
    for function in (
        read_chunk,
        read_link_answer,
        read_link_request,
        read_prepared,
    )
}
