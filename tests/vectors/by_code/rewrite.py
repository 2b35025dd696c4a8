"""Frames read by the program and written anew: they must be the same, byte for byte."""

from __future__ import annotations

from collections.abc import Callable

from iirs.chain import Chain
from iirs.server.hops import link
from iirs.server.hops.link import LinkKind
from iirs.wire import accounts, rounds
from tests.vectors.by_code.common import Values
from tests.vectors.by_code.rounds import parts_of

HEADER_SIZE = 5


def _announce(body: bytes, chain: Chain) -> bytes:
    return body[:1] + rounds.Announcement.decode(body[1:], chain.geometry).encode()


def _upload(frame: bytes, chain: Chain) -> bytes:
    upload = rounds.Upload.decode(*parts_of(frame, chain), chain.geometry)
    return b"".join(message.encode() for message in upload.encode())


def _directory(body: bytes, chain: Chain) -> bytes:
    return accounts.encode_directory(*accounts.decode_directory(body, chain.geometry)).body


def _request(kind: int, body: bytes) -> bytes:
    if kind == LinkKind.PREPARE:
        prepare, budget = link.Prepare.decode(body)
        return prepare.encode(budget).body
    if kind == LinkKind.OPEN:
        return link.encode_open(*link.decode_open(body)).body
    batch, budget = link.BatchHeader.decode(body)
    return batch.encode(budget).body


def _answer(given: Values, chain: Chain) -> bytes:
    frame, hop = given["frame"], given["hop"]
    body = frame[HEADER_SIZE:]
    behind = range(hop, len(chain.hops))
    match LinkKind(frame[0]):
        case LinkKind.PREPARED:
            return link.Prepared.decode(body, chain.geometry, len(behind)).encode().encode()
        case LinkKind.BEHIND:
            return link.BehindError(hop, link.decode_length(body)).encode().encode()
        case LinkKind.REFUSED:
            return link.encode_refusal(link.decode_refusal(body, behind)).encode()
        case LinkKind.RESULT:
            return link.result_header(link.decode_length(body)).encode()
    return link.Frame(LinkKind.OPENED).encode()


_BODIES: dict[str, Callable[[bytes, Chain], bytes]] = {
    "read_announce": _announce,
    "read_directory": _directory,
    "read_replies": lambda body, chain: rounds.Replies.decode(body, chain.geometry).encode().body,
    "read_standby": lambda body, chain: rounds.Standby.decode(body, chain.geometry).encode().body,
    "read_bundle": lambda body, chain: rounds.Bundle.decode(body, chain).encode().body,
    "read_register": lambda body, _: accounts.Registration.decode(body).encode().body,
    "read_login": lambda body, _: accounts.Login.decode(body).encode().body,
    "read_account": lambda body, _: accounts.AccountRecord.decode(body).encode().body,
}
_ANSWERS = {"read_prepared", "read_link_answer"}
OPERATIONS = {*_BODIES, *_ANSWERS, "read_link_request", "read_upload"}


def rewritten(operation: str, given: Values, chain: Chain) -> bytes:
    """Return the frame given, read and written again."""
    frame = given["frame"]
    if operation in _ANSWERS:
        return _answer(given, chain)
    if operation == "read_upload":
        return _upload(frame, chain)
    header, body = frame[:HEADER_SIZE], frame[HEADER_SIZE:]
    if operation == "read_link_request":
        return bytes(header + _request(frame[0], body))
    return bytes(header + _BODIES[operation](body, chain))
