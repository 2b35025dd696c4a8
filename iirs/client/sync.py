"""``DeadDropSync``: where two people meet in an epoch, and the keys they use there each round.

Both sides hold a chain key, stepped once per *round number*, so a lost round costs nothing. A setup round's
two dead-drop ids, and every round's message keys, come from it by HKDF, each with a label of its own; a used
key is gone.

States of renewal (the secret is renewed by a Diffie-Hellman exchange, both sides contributing):

    generator:  NONE -> PROPOSE (g) -> COMMIT (R) -> switch at R -> NONE
    listener:   NONE -> READY (l)   -> READY (R)  -> switch at R -> NONE

The generator hears READY in round a and commits to R = a + patience + 1. So a listener that has not heard
the commitment has heard nothing since a, and posts at no setup from R on: two people never post to different
drops. READY names the proposal it answers: after a parting that only one of them resumed, the listener may
still be ready for an older one. The old chain is kept until a message under the new one authenticates; if
the two part, ``resume`` finds the newest chain both hold. The losses are written out in
``docs/protocol.md`` section 10.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from iirs.errors import PeerMessageError, StoreError
from iirs.geometry import CIRCUITS_PER_SLOT, DROP_ID_SIZE
from iirs.message import Direction, MessageContext, MessageKeys, PeerMessage, RenewalPhase

_PATIENCE_MIN = 10
MAX_GAP = 2**8
"""Rounds after which a chain is given up rather than stepped.

Stepping takes about 5 microseconds a round and chain, and a machine that wakes has two chains a slot to step:
a longer walk would hold up the engine for long. Starting over takes one bundle, as resuming does.
"""
_ID_SIZE = 16


def patience_for(epoch_rounds: int) -> int:
    """Return how many rounds without a word from the peer posting to shared drops goes on.

    So many that two setups in a row that are lost, or blocked, end nothing.
    """
    return max(_PATIENCE_MIN, 2 * epoch_rounds + 1)


MakeKey = Callable[[], X25519PrivateKey]


@dataclass(frozen=True, slots=True)
class SecretChain:
    """One chain key, standing at one round. ``chain_id`` names the chain and reveals nothing of the key."""

    chain_id: bytes
    round_number: int
    key: bytes = field(repr=False)

    @classmethod
    def start(cls, root: bytes, round_number: int) -> SecretChain:
        """Begin a chain at ``round_number`` from a 32-byte root."""
        return cls(_derive(root, b"chain id", _ID_SIZE), round_number, _derive(root, b"chain key"))

    def at(self, round_number: int) -> SecretChain:
        """Return the chain stepped to ``round_number``. Raises ``ValueError`` on going back."""
        if round_number < self.round_number:
            raise ValueError("a chain does not go back")
        key = self.key
        for _ in range(round_number - self.round_number):
            key = _derive(key, b"step")
        return replace(self, round_number=round_number, key=key)


@dataclass(frozen=True, slots=True)
class RoundKeys:
    """What one conversation uses in one round: for each of its two drops a key set each way.

    And in a setup round the drops' ids, for all of the epoch.
    """

    contexts_out: tuple[MessageContext, ...]
    contexts_in: tuple[MessageContext, ...]
    drop_ids: tuple[bytes, ...] = field(repr=False)
    keys_out: tuple[MessageKeys, ...] = field(repr=False)
    keys_in: tuple[MessageKeys, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Renewal:
    """The ``next`` secret while it is being agreed."""

    phase: RenewalPhase
    own_public: bytes
    peer_public: bytes = b""
    switch_round: int = 0
    private: bytes = field(default=b"", repr=False)
    shared: bytes = field(default=b"", repr=False)


class DeadDropSync:
    """One conversation's keys. Not thread-safe: one owner. Every change is final only once stored."""

    def __init__(
        self,
        conversation: bytes,
        role: Direction,
        current: SecretChain,
        last_heard: int,
        patience: int,
        make_key: MakeKey = X25519PrivateKey.generate,
    ) -> None:
        self.conversation = conversation
        self.patience = patience
        self.role = role
        self.current = current
        self.previous: SecretChain | None = None
        self.next: Renewal | None = None
        self.last_heard = last_heard
        self._make_key = make_key

    @classmethod
    def start(
        cls,
        root: bytes,
        role: Direction,
        start_round: int,
        patience: int,
        make_key: MakeKey = X25519PrivateKey.generate,
    ) -> DeadDropSync:
        """Begin a conversation at ``start_round`` from the 32-byte root of its handshake."""
        conversation = _derive(root, b"conversation", _ID_SIZE)
        chain = SecretChain.start(root, start_round)
        return cls(conversation, role, chain, start_round - 1, patience, make_key)

    # -- rounds -----------------------------------------------------------------------------------

    def is_posting(self, round_number: int) -> bool:
        """True if the circuits of this setup round go to the shared drops: within patience of the last word.

        Counted in round numbers, not executed rounds: whoever was away that long knows that the peer
        has stopped too, and nobody probes a shared drop alone.
        """
        return self.last_heard < round_number <= self.last_heard + self.patience

    def begins_after(self, round_number: int) -> bool:
        """True before the first round that was agreed on."""
        return round_number <= self.last_heard

    def lapse(self) -> None:
        """Give up an agreement that nothing was posted on: the chains stay, to be resumed."""
        self.last_heard = min(self.last_heard, 0) - self.patience

    def take_round(self, round_number: int, *, sets_up: bool) -> RoundKeys:
        """Return this round's keys and step past it; from here on the state cannot open this round.

        In a setup round the ids of the epoch's drops come with them.
        Raises ``ValueError`` if the round is over, ``StoreError`` if it is more than ``MAX_GAP`` away.
        """
        if round_number - self.current.round_number > MAX_GAP:
            raise StoreError("The conversation was asleep for too long; it starts over.")
        self._switch(round_number)
        self._step(round_number)
        keys = self._keys(self.current.key, round_number, sets_up)
        # Only a step: to switch now would be to drop the old chain on a message that was still under it.
        self._step(round_number + 1)
        return keys

    def catch_up(self, round_number: int) -> None:
        """Step up to a round that was announced: there is more time now than before its upload is due."""
        is_near = 0 <= round_number - self.current.round_number <= MAX_GAP
        if is_near and not self.begins_after(round_number):
            self._switch(round_number)
            self._step(round_number)

    def skip_round(self, round_number: int) -> None:
        """Step past a round that is not used, for the state must not open what the peer says in it either."""
        if self.current.round_number <= round_number <= self.current.round_number + MAX_GAP:
            self._step(round_number + 1)

    def _switch(self, round_number: int) -> None:
        renewal = self.next
        if renewal is not None and 0 < renewal.switch_round <= round_number:
            at_switch = self.current.at(renewal.switch_round)
            self.previous = at_switch
            self.current = SecretChain.start(self._next_root(at_switch.key, renewal), renewal.switch_round)
            self.next = None

    def _step(self, round_number: int) -> None:
        self.current = self.current.at(round_number)
        if self.previous is not None:
            self.previous = self.previous.at(round_number)

    def _next_root(self, salt: bytes, renewal: Renewal) -> bytes:
        keys = [renewal.own_public, renewal.peer_public]
        if self.role is Direction.FROM_LISTENER:
            keys.reverse()
        transcript = b"".join(keys) + renewal.switch_round.to_bytes(8)
        info = b"iirs/1 sync renewal" + self.conversation + transcript
        return HKDF(SHA256(), 32, salt, info).derive(renewal.shared)

    def _keys(self, key: bytes, round_number: int, sets_up: bool) -> RoundKeys:
        peer = Direction(1 - self.role)
        drops = range(CIRCUITS_PER_SLOT)
        return RoundKeys(
            tuple(MessageContext(self.conversation, round_number, self.role, drop) for drop in drops),
            tuple(MessageContext(self.conversation, round_number, peer, drop) for drop in drops),
            tuple(_derive(key, b"drop id %d" % drop, DROP_ID_SIZE) for drop in drops if sets_up),
            tuple(_message_keys(key, self.role, drop) for drop in drops),
            tuple(_message_keys(key, peer, drop) for drop in drops),
        )

    # -- renewal ----------------------------------------------------------------------------------

    def stamp(self, message: PeerMessage) -> PeerMessage:
        """Return ``message`` with what this side has to say about renewal."""
        if self.next is None and self.previous is None and self.role is Direction.FROM_GENERATOR:
            self.generate()
        renewal = self.next
        if renewal is None:
            return message
        numbers = {
            RenewalPhase.READY: _short_name(renewal.peer_public),
            RenewalPhase.COMMIT: renewal.switch_round,
        }
        return replace(
            message,
            renewal_phase=renewal.phase,
            renewal_key=renewal.own_public,
            renewal_round=numbers.get(renewal.phase, 0),
        )

    def generate(self) -> None:
        """Generator: propose a fresh key, into ``next``."""
        private = self._make_key()
        public = private.public_key().public_bytes_raw()
        self.next = Renewal(RenewalPhase.PROPOSE, public, private=private.private_bytes_raw())

    def listener_update(self, proposal: bytes) -> None:
        """Listener: adopt the generator's key, into ``next``, and be ready. Raises ``PeerMessageError``."""
        private = self._make_key()
        shared = _exchange(private, proposal)
        public = private.public_key().public_bytes_raw()
        self.next = Renewal(RenewalPhase.READY, public, proposal, shared=shared)

    def heard(self, round_number: int, message: PeerMessage) -> None:
        """Take in an authenticated message of ``round_number``, opened with the keys of that round.

        Raises ``PeerMessageError`` if what it says of renewal is impossible; then nothing changed but
        that the peer was heard.
        """
        self.last_heard = max(self.last_heard, round_number)
        self.previous = None  # authenticated under the current chain, so the peer has it too
        if self.role is Direction.FROM_GENERATOR:
            self._generator_heard(round_number, message)
        else:
            self._listener_heard(round_number, message)

    def _generator_heard(self, round_number: int, message: PeerMessage) -> None:
        renewal = self.next
        if renewal is None or renewal.phase is not RenewalPhase.PROPOSE:
            return
        is_answer = message.renewal_round == _short_name(renewal.own_public)
        if message.renewal_phase is RenewalPhase.READY and is_answer:
            private = X25519PrivateKey.from_private_bytes(renewal.private)
            self.next = Renewal(
                RenewalPhase.COMMIT,
                renewal.own_public,
                message.renewal_key,
                switch_round=round_number + self.patience + 1,
                shared=_exchange(private, message.renewal_key),
            )

    def _listener_heard(self, round_number: int, message: PeerMessage) -> None:
        renewal = self.next
        if message.renewal_phase is RenewalPhase.PROPOSE:
            if renewal is None or renewal.peer_public != message.renewal_key:
                self.listener_update(message.renewal_key)
        elif message.renewal_phase is RenewalPhase.COMMIT and renewal is not None:
            if renewal.peer_public != message.renewal_key:
                raise PeerMessageError("a commitment to a key that was not proposed")
            if not round_number < message.renewal_round <= round_number + self.patience:
                raise PeerMessageError("a commitment to a round that no honest peer would choose")
            if not renewal.switch_round:
                self.next = replace(renewal, switch_round=message.renewal_round)

    # -- parting and finding together again ----------------------------------------------------------

    def chain_ids(self) -> tuple[bytes, ...]:
        """Return the ids of the chains held, newest first."""
        held = [self.current] if self.previous is None else [self.current, self.previous]
        return tuple(chain.chain_id for chain in held)

    def newest_common(self, peer_ids: Sequence[bytes]) -> bytes | None:
        """Return the newest chain id that both sides hold, if there is one."""
        return next((chain_id for chain_id in self.chain_ids() if chain_id in peer_ids), None)

    def resume(self, chain_id: bytes, start_round: int) -> None:
        """Go on from ``start_round`` with the chain of that id; renewal starts anew."""
        if self.previous is not None and self.previous.chain_id == chain_id:
            self.current = self.previous
        self.previous = None
        self.next = None
        self.last_heard = start_round - 1

    # -- keeping ----------------------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return everything as JSON values; it is secret, and is stored encrypted."""
        return {
            "conversation": self.conversation.hex(),
            "role": int(self.role),
            "last_heard": self.last_heard,
            "current": _pack(self.current),
            "previous": None if self.previous is None else _pack(self.previous),
            "next": None if self.next is None else _pack(self.next),
        }

    @classmethod
    def from_state(
        cls, state: dict[str, Any], patience: int, make_key: MakeKey = X25519PrivateKey.generate
    ) -> DeadDropSync:
        """Rebuild what ``to_state`` gave. Raises ``StoreError`` if it is not that."""
        try:
            sync = cls(
                bytes.fromhex(state["conversation"]),
                Direction(state["role"]),
                _unpack_chain(state["current"]),
                int(state["last_heard"]),
                patience,
                make_key,
            )
            if state["previous"] is not None:
                sync.previous = _unpack_chain(state["previous"])
            if state["next"] is not None:
                sync.next = _unpack_renewal(state["next"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise StoreError("The stored state of a conversation is damaged.") from error
        return sync


def _pack(value: SecretChain | Renewal) -> dict[str, Any]:
    return {
        name: item.hex() if isinstance(item, bytes) else int(item) for name, item in asdict(value).items()
    }


def _unpack_chain(state: dict[str, Any]) -> SecretChain:
    return SecretChain(
        bytes.fromhex(state["chain_id"]), int(state["round_number"]), bytes.fromhex(state["key"])
    )


def _unpack_renewal(state: dict[str, Any]) -> Renewal:
    return Renewal(
        RenewalPhase(state["phase"]),
        bytes.fromhex(state["own_public"]),
        bytes.fromhex(state["peer_public"]),
        int(state["switch_round"]),
        bytes.fromhex(state["private"]),
        bytes.fromhex(state["shared"]),
    )


def _message_keys(key: bytes, direction: Direction, drop: int) -> MessageKeys:
    place = b" %d %d" % (direction, drop)
    return MessageKeys(_derive(key, b"encryption" + place), _derive(key, b"authentication" + place))


def _short_name(proposal: bytes) -> int:
    return int.from_bytes(hashlib.sha256(proposal).digest()[:8])


def _exchange(private: X25519PrivateKey, public: bytes) -> bytes:
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:  # a point of small order: the result would be zero
        raise PeerMessageError("a renewal key that no honest peer would send") from error


def _derive(key: bytes, label: bytes, length: int = 32) -> bytes:
    return HKDFExpand(SHA256(), length, b"iirs/1 sync " + label).derive(key)
