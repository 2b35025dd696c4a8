"""Every size on the wire, derived in one place from the chain's suite, hops and slots.

Sizes are in bytes. ``docs/protocol.md`` quotes them; ``tests/test_layouts.py`` checks the quotes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from iirs.suite import HYBRID, TAG_SIZE, HpkeSuite

RandomBytes = Callable[[int], bytes]

PEER_MESSAGE_SIZE = 1024
CELL_SIZE = PEER_MESSAGE_SIZE
"""What a circuit carries in one round, each way: a peer message, or random bytes."""
DROP_ID_SIZE = 16
CIRCUIT_SECRET_SIZE = 32
SIGNATURE_SIZE = 64
HASH_SIZE = 32
CIRCUITS_PER_SLOT = 2

NAME_MAX = 32
NAME_FIELD_SIZE = 1 + NAME_MAX
SIGNING_KEY_SIZE = 33
ENTRY_SIZE = NAME_FIELD_SIZE + SIGNING_KEY_SIZE + SIGNATURE_SIZE
DIRECTORY_INCREMENT = 8
"""New entries for which every announcement has room; there is more where more wait, as ``room`` says."""
DIRECTORY_INCREMENT_MAX = 255
PREKEY_SIZE = 4 + 8 + HYBRID.public_size + SIGNATURE_SIZE
PREKEY_ID_SIZE = 8
PREKEY_INCREMENT = 2
PREKEY_INCREMENT_MAX = 16
LOGIN_SECRET_SIZE = 32
TICKET_SIZE = 32
VAULT_NONCE_SIZE = 12
VAULT_SIZE = VAULT_NONCE_SIZE + 32 + TAG_SIZE

INVITATION_PLAIN_SIZE = 320
INVITATION_SIZE = INVITATION_PLAIN_SIZE + HYBRID.overhead
BUNDLE_STEP = 8

HELLO_SIZE = 2
RESULT_SIZE = 1
CLOSE_SIZE = 1
STANDBY_SIZE = 1
ERRAND_SIZE = 1 + LOGIN_SECRET_SIZE + VAULT_SIZE
ACCOUNT_SIZE = 4 + 8 + VAULT_SIZE
REGISTER_SIZE = ENTRY_SIZE + LOGIN_SECRET_SIZE + VAULT_SIZE
CHAIN_FILE_MAX = 64 * 1024


class BatchKind(IntEnum):
    """What a batch carries."""

    CELL = 0
    INVITATION = 1
    SETUP = 2


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes that follow from one chain."""

    suite: HpkeSuite
    hops: int
    slots: int

    def item_size(self, hops_remaining: int, kind: BatchKind) -> int:
        """Return the size of one cell, or of an onion with this many public-key layers left."""
        if kind is BatchKind.CELL:
            return CELL_SIZE
        payload = DROP_ID_SIZE if kind is BatchKind.SETUP else INVITATION_SIZE
        return payload + hops_remaining * (CIRCUIT_SECRET_SIZE + self.suite.overhead)

    def uploaded_size(self, kind: BatchKind) -> int:
        """Return the size of one cell or onion as a client uploads it, with the entry's seal."""
        return self.item_size(self.hops - 1, kind) + TAG_SIZE

    @property
    def circuits(self) -> int:
        """Circuits a client has in an epoch, and cells it uploads each round."""
        return CIRCUITS_PER_SLOT * self.slots

    def first_index(self, kind: BatchKind) -> int:
        """Return the index, in the nonce of the entry's seal, of a client's first item of this kind."""
        return {BatchKind.CELL: 0, BatchKind.INVITATION: self.circuits, BatchKind.SETUP: 3 * self.slots}[kind]

    @property
    def upload_size(self) -> int:
        """An upload: round number, errand and cells."""
        return 8 + ERRAND_SIZE + self.circuits * self.uploaded_size(BatchKind.CELL)

    @property
    def setup_size(self) -> int:
        """A SETUP: round number and an onion for each circuit."""
        return 8 + self.circuits * self.uploaded_size(BatchKind.SETUP)

    @property
    def invite_size(self) -> int:
        """An INVITE: round number and an onion for each slot."""
        return 8 + self.slots * self.uploaded_size(BatchKind.INVITATION)

    @property
    def replies_size(self) -> int:
        """Round number, status, and a cell for each circuit, with the entry's seal."""
        return 8 + 1 + self.circuits * (CELL_SIZE + TAG_SIZE)

    @property
    def head_size(self) -> int:
        """Length, hash and one signature a hop."""
        return 4 + HASH_SIZE + self.hops * SIGNATURE_SIZE

    def announcement_with(self, entries: int, prekeys: int) -> int:
        """What every client is shown alike, and what enters every layer's ``info`` as a hash."""
        fixed = HASH_SIZE + 1 + 8 + 8 + 1 + 4 + 2 + 4
        increment = 4 + 1 + entry_room(entries) * ENTRY_SIZE + 1 + prekey_room(prekeys) * PREKEY_SIZE
        return fixed + self.hops * HASH_SIZE + self.head_size + increment + HASH_SIZE

    @property
    def announcement_size(self) -> int:
        """An announcement of no more than every one has room for."""
        return self.announcement_with(0, 0)

    @property
    def announcement_max(self) -> int:
        """The longest announcement there is."""
        return self.announcement_with(DIRECTORY_INCREMENT_MAX, PREKEY_INCREMENT_MAX)

    @property
    def announce_size(self) -> int:
        """The announcement, as short as it is as a rule, and one byte of notice for this client alone."""
        return 1 + self.announcement_size

    @property
    def announce_max(self) -> int:
        """The same for the longest announcement."""
        return 1 + self.announcement_max

    @property
    def epoch_key_size(self) -> int:
        """One hop's signed epoch key: hop, first and last round, public key, signature."""
        return 1 + 8 + 8 + self.suite.public_size + SIGNATURE_SIZE

    @property
    def keys_size(self) -> int:
        """The epoch keys of all hops."""
        return self.hops * self.epoch_key_size

    @property
    def login_size(self) -> int:
        """Name, login secret, ticket, key id, and a 32-byte secret sealed to the entry's login key."""
        return NAME_FIELD_SIZE + LOGIN_SECRET_SIZE + TICKET_SIZE + HASH_SIZE + 32 + self.suite.overhead

    def bundle_size(self, invitations: int) -> int:
        """Return the size of a bundle: round, count, invitations, the last hop's signature."""
        return 8 + 4 + invitations * INVITATION_SIZE + SIGNATURE_SIZE


def entry_room(entries: int) -> int:
    """Return for how many new entries an announcement of so many has room: 8, 16, 32, 64, 128 or 255."""
    return _room(entries, DIRECTORY_INCREMENT, DIRECTORY_INCREMENT_MAX)


def prekey_room(prekeys: int) -> int:
    """Return for how many prekeys an announcement of so many has room: 2, 4, 8 or 16."""
    return _room(prekeys, PREKEY_INCREMENT, PREKEY_INCREMENT_MAX)


def _room(count: int, least: int, most: int) -> int:
    room = least
    while room < count:
        room *= 2
    return min(room, most)


def padded_invitations(count: int) -> int:
    """Return how many invitations a bundle holds for ``count`` posted ones: the next multiple of 8."""
    return max(1, -(-count // BUNDLE_STEP)) * BUNDLE_STEP


def pieces(data: bytes, size: int) -> list[bytes]:
    """Return ``data`` in pieces of ``size`` bytes; the last is shorter if it does not come out even."""
    return [data[start : start + size] for start in range(0, len(data), size)]
