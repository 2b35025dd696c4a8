"""Layers, replies, the entry channel, epoch keys: ``docs/protocol.md``, "Onions"."""

from __future__ import annotations

import struct

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

ZERO_NONCE = bytes(12)
STEPS_MAX = 65536


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
    reply_keys: list[bytes],
    randomness: list[bytes],
) -> Values:
    """Wrap for the hops from 1 on; keys and randomness are listed in the order of the hops."""
    onion = payload
    for hop in range(len(publics), 0, -1):
        info = layer_info(chain_id, hop, round_number, kind, announcement_hash)
        onion = seal(suite, publics[hop - 1], info, reply_keys[hop - 1] + onion, randomness[hop - 1])
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
    return {"reply_key": plain[:32], "inner": plain[32:]}


def seal_reply(*, reply_key: bytes, reply: bytes) -> Values:
    """A hop's seal on the way back."""
    return {"sealed": gcm_seal(reply_key, ZERO_NONCE, reply)}


def open_reply(*, reply_keys: list[bytes], sealed: bytes) -> Values:
    """The client undoes them all: the last seal is hop 1's."""
    for key in reply_keys:
        sealed = gcm_open(key, ZERO_NONCE, sealed)
    return {"reply": sealed}


def offer_info(chain_id: bytes, certificate_hash: bytes, key_id: bytes) -> bytes:
    """The info of the offer that LOGIN carries."""
    return b"iirs/1 entry offer" + chain_id + certificate_hash + key_id


def open_offer(
    *, suite: str, private: bytes, chain_id: bytes, certificate_hash: bytes, key_id: bytes, offer: bytes
) -> Values:
    """The entry opens the offer of a LOGIN."""
    return {"secret": open_sealed(suite, private, offer_info(chain_id, certificate_hash, key_id), offer)}


def _channel(direction: str, secret: bytes, info: bytes, first_epoch: int, epoch: int) -> bytes:
    demand(first_epoch <= epoch <= first_epoch + STEPS_MAX, "an epoch that is over, or too far ahead")
    key = hkdf(secret, b"iirs/1 entry start" + info)
    for _ in range(epoch - first_epoch):
        key = hkdf(key, b"iirs/1 entry next epoch")
    return hkdf(key, b"iirs/1 entry " + direction.encode())


def channel_seal(
    *,
    direction: str,
    chain_id: bytes,
    certificate_hash: bytes,
    key_id: bytes,
    secret: bytes,
    first_epoch: int,
    epoch: int,
    round_number: int,
    announcement_hash: bytes,
    index: int,
    plaintext: bytes,
    kind: int = 0,
) -> Values:
    """Seal an onion (up) or a reply (down) between a client and the entry."""
    info = offer_info(chain_id, certificate_hash, key_id)
    key = _channel(direction, secret, info, first_epoch, epoch)
    data = layer_info(chain_id, 0, round_number, kind, announcement_hash)
    return {"sealed": gcm_seal(key, struct.pack(">QI", round_number, index), plaintext, data)}


def channel_open(
    *,
    direction: str,
    chain_id: bytes,
    certificate_hash: bytes,
    key_id: bytes,
    secret: bytes,
    first_epoch: int,
    epoch: int,
    round_number: int,
    announcement_hash: bytes,
    index: int,
    sealed: bytes,
    kind: int = 0,
) -> Values:
    """Open what the other end sealed."""
    info = offer_info(chain_id, certificate_hash, key_id)
    key = _channel(direction, secret, info, first_epoch, epoch)
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
    demand(begin <= end < begin + chain.table["epoch_rounds"], "too many rounds")
    demand(begin <= round_number <= end, "not for this round")
    chain.check_signed(hop, signature, epoch_key_signed(chain.chain_id, hop, begin, end, public))
    chain.kem.check_public(public)
    return {"first_round": begin, "last_round": end, "key_id": sha256(public)}
