"""Layers, cells, the entry channel, epoch keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from iirs.chain import parse_chain
from iirs.circuit import Circuit, Layer, Way, initial_block
from iirs.epoch import EpochKey
from iirs.errors import PeerError
from iirs.geometry import BatchKind
from iirs.onion import EntryChannel, RoundContext, channel_period, entry_offer_info, peel
from iirs.suite import SUITES
from tests.vectors.by_code.common import Values


def hpke_public(suite: str, private: bytes) -> Values:
    return {"public": SUITES[suite].load_private(private).public_bytes}


def hpke_load(suite: str, public: bytes) -> Values:
    SUITES[suite].load_public(public)
    return {"key_id": EpochKey(0, 0, 0, public, b"").key_id}


def hpke_open(suite: str, private: bytes, info: bytes, sealed: bytes) -> Values:
    chosen = SUITES[suite]
    return {"plaintext": chosen.open(chosen.load_private(private), sealed, info)}


def peel_onion(
    suite: str,
    private: bytes,
    chain_id: bytes,
    round_number: int,
    announcement_hash: bytes,
    kind: int,
    hop: int,
    onion: bytes,
) -> Values:
    chosen, context = SUITES[suite], RoundContext(chain_id, round_number, announcement_hash)
    secret, inner = peel(onion, chosen.load_private(private), chosen, context, hop, cast(BatchKind, kind))
    return {"secret": secret, "inner": inner}


def pass_cell(secret: bytes, round_number: int, direction: str, cell: bytes) -> Values:
    return {"cell": Layer(secret).apply(initial_block(round_number, Way[direction.upper()]), cell)}


def wrap_cell(secrets: list[bytes], round_number: int, cell: bytes) -> Values:
    return {"cell": Circuit(secrets).wrap(round_number, cell)}


def unwrap_cell(secrets: list[bytes], round_number: int, cell: bytes) -> Values:
    return {"cell": Circuit(secrets).unwrap(round_number, cell)}


def open_offer(
    suite: str, private: bytes, chain_id: bytes, certificate_hash: bytes, key_id: bytes, offer: bytes
) -> Values:
    chosen, info = SUITES[suite], entry_offer_info(chain_id, certificate_hash, key_id)
    return {"secret": chosen.open(chosen.load_private(private), offer, info)}


def _channel(given: Values) -> tuple[EntryChannel, RoundContext]:
    info = entry_offer_info(given["chain_id"], given["certificate_hash"], given["key_id"])
    channel = EntryChannel(given["secret"], info, channel_period(given["key_round"]))
    channel.advance(channel_period(given["round_number"]))
    return channel, RoundContext(given["chain_id"], given["round_number"], given["announcement_hash"])


def channel_seal(**given: Any) -> Values:
    (channel, context), plaintext = _channel(given), given["plaintext"]
    if given["direction"] == "down":
        return {"sealed": channel.seal_down(context, given["index"], plaintext)}
    return {"sealed": channel.seal_up(context, given["kind"], given["index"], plaintext)}


def channel_open(**given: Any) -> Values:
    (channel, context), sealed = _channel(given), given["sealed"]
    if given["direction"] == "down":
        return {"plaintext": channel.open_down(context, given["index"], sealed)}
    return {"plaintext": channel.open_up(context, given.get("kind", 0), given["index"], sealed)}


def read_epoch_key(file: str, hop: int, round_number: int, record: bytes) -> Values:
    chain = parse_chain(file.encode())
    if len(record) != chain.geometry.epoch_key_size:
        raise PeerError("the reader of the frame refuses this length")
    key = EpochKey.decode(record)
    key.verified_for(chain, hop, round_number)
    return {"first_round": key.first_round, "last_round": key.last_round, "key_id": key.key_id}


OPERATIONS: dict[str, Callable[..., Values]] = {
    function.__name__: function
    for function in (
        channel_open,
        channel_seal,
        hpke_load,
        hpke_open,
        hpke_public,
        open_offer,
        pass_cell,
        peel_onion,
        read_epoch_key,
        unwrap_cell,
        wrap_cell,
    )
}
