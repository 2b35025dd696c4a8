"""Layers, cells, the entry channel, epoch keys: ``docs/protocol.md``."""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.reference.chain import chain_of
from tests.reference.hpke import open_sealed, seal
from tests.reference.primitives import (
    Values,
    cut,
    demand,
    gcm_open,
    gcm_seal,
    hkdf,
    number,
    sha256,
)

STEPS_MAX = 65536
CHANNEL_ROUNDS = 30
WAYS = {"forward": 0, "back": 1}


def layer_info(chain_id: bytes, hop: int, round_number: int, kind: int, announcement_hash: bytes) -> bytes:
    """LAYER_INFO, 86 bytes."""
    return b"iirs/1 onion" + chain_id + struct.pack(">BQB", hop, round_number, kind) + announcement_hash


def wrap_onion(
    *,
    suite: str,
    chain_id: bytes,
    round_number: int,
    announcement_hash: bytes,
    kind: int,
    payload: bytes,
    publics: list[bytes],
    secrets: list[bytes],
    randomness: list[bytes],
) -> Values:
    """Wrap for the hops from 1 on; keys, secrets and randomness are listed in the order of the hops."""
    onion = payload
    for hop in range(len(publics), 0, -1):
        info = layer_info(chain_id, hop, round_number, kind, announcement_hash)
        onion = seal(suite, publics[hop - 1], info, secrets[hop - 1] + onion, randomness[hop - 1])
    return {"onion": onion}


def peel_onion(
    *,
    suite: str,
    private: bytes,
    chain_id: bytes,
    round_number: int,
    announcement_hash: bytes,
    kind: int,
    hop: int,
    onion: bytes,
) -> Values:
    """Take off one layer."""
    info = layer_info(chain_id, hop, round_number, kind, announcement_hash)
    plain = open_sealed(suite, private, info, onion)
    return {"secret": plain[:32], "inner": plain[32:]}


def key_stream(secret: bytes, round_number: int, way: int, size: int) -> bytes:
    """AES-256 of the counter blocks from round, way, zeros on."""
    first = number(struct.pack(">QB7x", round_number, way))
    blocks = b"".join((first + place).to_bytes(16, "big") for place in range(-(-size // 16)))
    encryptor = Cipher(algorithms.AES256(secret), modes.ECB()).encryptor()  # noqa: S305  # that is what CTR is
    return encryptor.update(blocks)[:size]


def pass_cell(*, secret: bytes, round_number: int, direction: str, cell: bytes) -> Values:
    """What a hop does with a cell: forward it takes its layer off, back it puts it on."""
    stream = key_stream(secret, round_number, WAYS[direction], len(cell))
    return {"cell": bytes(one ^ other for one, other in zip(cell, stream, strict=True))}


def wrap_cell(*, secrets: list[bytes], round_number: int, cell: bytes) -> Values:
    """A client puts on the layers of all later hops; hop 1's secret comes first."""
    for secret in reversed(secrets):
        cell = pass_cell(secret=secret, round_number=round_number, direction="forward", cell=cell)["cell"]
    return {"cell": cell}


def unwrap_cell(*, secrets: list[bytes], round_number: int, cell: bytes) -> Values:
    """A client takes off what the later hops put on, hop 1 last."""
    for secret in secrets:
        cell = pass_cell(secret=secret, round_number=round_number, direction="back", cell=cell)["cell"]
    return {"cell": cell}


def offer_info(chain_id: bytes, certificate_hash: bytes, key_id: bytes) -> bytes:
    """The info of the offer that LOGIN carries."""
    return b"iirs/1 entry offer" + chain_id + certificate_hash + key_id


def open_offer(
    *, suite: str, private: bytes, chain_id: bytes, certificate_hash: bytes, key_id: bytes, offer: bytes
) -> Values:
    """The entry opens the offer of a LOGIN."""
    return {"secret": open_sealed(suite, private, offer_info(chain_id, certificate_hash, key_id), offer)}


def _channel(direction: str, secret: bytes, info: bytes, key_round: int, round_number: int) -> bytes:
    steps = round_number // CHANNEL_ROUNDS - key_round // CHANNEL_ROUNDS
    demand(0 <= steps <= STEPS_MAX, "a period that is over, or too far ahead")
    key = hkdf(secret, b"iirs/1 entry start" + info)
    for _ in range(steps):
        key = hkdf(key, b"iirs/1 entry next epoch")
    return hkdf(key, b"iirs/1 entry " + direction.encode())


def channel_seal(
    *,
    direction: str,
    chain_id: bytes,
    certificate_hash: bytes,
    key_id: bytes,
    secret: bytes,
    key_round: int,
    round_number: int,
    announcement_hash: bytes,
    index: int,
    plaintext: bytes,
    kind: int = 0,
) -> Values:
    """Seal an onion or a cell for the entry (up), or a cell for the client (down).

    ``key_round`` is the first round of the login key that the channel was started with.
    """
    info = offer_info(chain_id, certificate_hash, key_id)
    key = _channel(direction, secret, info, key_round, round_number)
    data = layer_info(chain_id, 0, round_number, kind, announcement_hash)
    return {"sealed": gcm_seal(key, struct.pack(">QI", round_number, index), plaintext, data)}


def channel_open(
    *,
    direction: str,
    chain_id: bytes,
    certificate_hash: bytes,
    key_id: bytes,
    secret: bytes,
    key_round: int,
    round_number: int,
    announcement_hash: bytes,
    index: int,
    sealed: bytes,
    kind: int = 0,
) -> Values:
    """Open what the other end sealed."""
    info = offer_info(chain_id, certificate_hash, key_id)
    key = _channel(direction, secret, info, key_round, round_number)
    data = layer_info(chain_id, 0, round_number, kind, announcement_hash)
    return {"plaintext": gcm_open(key, struct.pack(">QI", round_number, index), sealed, data)}


def epoch_key_signed(chain_id: bytes, hop: int, first: int, last: int, public: bytes) -> bytes:
    """What a hop's identity signs of an epoch key."""
    return b"iirs/1 epoch key" + chain_id + struct.pack(">BQQ", hop, first, last) + sha256(public)


def read_epoch_key(*, file: str, hop: int, round_number: int, record: bytes) -> Values:
    """An EPOCH_KEY that must be good for a hop and a round."""
    chain = chain_of(file)
    place, first, last, public, signature = cut(record, 1, 8, 8, chain.kem.public_size, 64)
    demand(number(place) == hop, "a key of another hop")
    demand(0 <= hop < chain.hops, "no such hop")
    begin, end = number(first), number(last)
    longest = CHANNEL_ROUNDS if hop == 0 else chain.epoch_rounds
    demand(begin <= end < begin + longest, "too many rounds")
    demand(begin <= round_number <= end, "not for this round")
    chain.check_signed(hop, signature, epoch_key_signed(chain.chain_id, hop, begin, end, public))
    chain.kem.check_public(public)
    return {"first_round": begin, "last_round": end, "key_id": sha256(public)}
