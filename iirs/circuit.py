"""Circuits: set up once an epoch with public keys, then used every round with symmetric ones alone.

A circuit is the way of one setup onion through the hops 1 .. n-1, to one access to one dead drop. In each
round it carries one *cell* of 1,024 bytes each way. A cell has no tag between hops, on purpose: whatever
comes into a hop goes out as bytes that look random, so what somebody altered cannot be told behind it.
``docs/protocol.md`` section 5. The idea is Yodel's (SOSP 2019).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from iirs.geometry import BatchKind, RandomBytes
from iirs.onion import RoundContext, wrap
from iirs.suite import HpkeSuite, PublicKey

_BLOCK = struct.Struct(">QQ")
_FROM_ANYWHERE = modes.CTR(bytes(16))
"""Every cell says where its key stream begins. One for all, because to make one takes time."""


class Way(IntEnum):
    """Which way a cell goes."""

    FORWARD = 0
    """To the dead drop."""
    BACK = 1


def initial_block(round_number: int, way: Way) -> bytes:
    """Return the counter block at which a cell's key stream begins: round (8), way (1), zeros (7).

    A cell has 64 blocks, so those of two rounds, or of the two ways, never share one.
    """
    return _BLOCK.pack(round_number, way << 56)


class Layer:
    """One circuit at one hop: what the hop takes off a cell and puts on its answer, and the client undoes.

    AES-256-CTR, so putting on and taking off are the same. Whoever holds it must use each block once: two
    cells under one key stream show their difference.
    """

    __slots__ = ("_cipher",)

    def __init__(self, secret: bytes) -> None:
        """``secret`` (32 bytes) came inside the setup's layer for this hop: fresh, and bound to the epoch."""
        # Kept and set back for every cell: to make one costs several times what a cell does.
        self._cipher = Cipher(algorithms.AES256(secret), _FROM_ANYWHERE).encryptor()

    def apply(self, block: bytes, cell: bytes) -> bytes:
        """Return the cell with this layer put on, or taken off; ``block`` is ``initial_block``."""
        self._cipher.reset_nonce(block)
        return self._cipher.update(cell)


class Circuit:
    """A client's circuit: its layers at every later hop."""

    __slots__ = ("_layers",)

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """``secrets`` are those of the setup's layers, the first hop's first."""
        self._layers = [Layer(secret) for secret in secrets]

    def wrap(self, round_number: int, cell: bytes) -> bytes:
        """Return a cell with the layers of all later hops, as long as before."""
        block = initial_block(round_number, Way.FORWARD)
        for layer in reversed(self._layers):
            cell = layer.apply(block, cell)
        return cell

    def unwrap(self, round_number: int, cell: bytes) -> bytes:
        """Take off the layers that the later hops put on a cell on its way back."""
        block = initial_block(round_number, Way.BACK)
        for layer in self._layers:
            cell = layer.apply(block, cell)
        return cell


def set_up(
    drop_id: bytes,
    hop_keys: Sequence[PublicKey],
    suite: HpkeSuite,
    context: RoundContext,
    random_bytes: RandomBytes,
    first_hop: int = 1,
) -> tuple[bytes, Circuit]:
    """Return the onion that sets up a circuit to a dead drop, and the circuit.

    ``context`` is the setup round's, ``hop_keys`` are those from ``first_hop`` on.
    """
    onion, secrets = wrap(drop_id, hop_keys, suite, context, BatchKind.SETUP, random_bytes, first_hop)
    return onion, Circuit(secrets)
