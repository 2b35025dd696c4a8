"""Somebody who copied one side's keys once, and from then on sees every ciphertext that passes.

The thief cannot sign, so it only reads: it steps the chains it copied, and follows a renewal as far as the
private and shared values in the copy, and what it can read, allow.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from iirs.client.sync import DeadDropSync, Renewal, SecretChain
from iirs.errors import PeerMessageError
from iirs.message import Direction, MessageContext, MessageKeys, PeerMessage, RenewalPhase
from tests.pair_values import Record, Sealed, people


class Thief:
    """Holds what a state of keys holds, and learns what can be learned from it."""

    def __init__(self, stolen: dict[str, Any]) -> None:
        copy = DeadDropSync.from_state(stolen, patience=10)
        copy.role = Direction.FROM_GENERATOR  # renewals are written generator first
        self._copy = copy
        self.chains = [chain for chain in (copy.current, copy.previous) if chain is not None]
        self._private: dict[bytes, bytes] = {}
        self._shared: dict[tuple[bytes, bytes], bytes] = {}
        self._proposed: set[bytes] = set()
        self._ready: set[bytes] = set()
        self._switches: set[int] = set()
        if copy.next is not None:
            self._take(copy.next, Direction(stolen["role"]))

    def _take(self, renewal: Renewal, role: Direction) -> None:
        keys = [renewal.own_public, renewal.peer_public]
        if role is Direction.FROM_LISTENER:
            keys.reverse()
        self._proposed.add(keys[0])
        if renewal.private:
            self._private[renewal.own_public] = renewal.private
        if renewal.shared:
            self._shared[keys[0], keys[1]] = renewal.shared
            self._ready.add(keys[1])
        if renewal.switch_round:
            self._switches.add(renewal.switch_round)

    def watch(self, record: Record) -> int:
        """Take in a round; return how many of its messages could be read."""
        for switch_round in sorted(number for number in self._switches if number <= record.number):
            self._switches.remove(switch_round)
            self._follow(switch_round)
        self.chains = [chain.at(record.number) for chain in self.chains]
        opened = [message for sealed in record.sealed if (message := self.read(sealed, self.chains))]
        for message in opened:
            self._learn(message)
        return len(opened)

    def _follow(self, switch_round: int) -> None:
        for generator, listener in product(self._proposed, self._ready):
            shared = self._shared.get((generator, listener))
            if shared is None and generator in self._private:
                private = X25519PrivateKey.from_private_bytes(self._private[generator])
                shared = private.exchange(X25519PublicKey.from_public_bytes(listener))
            if shared is None:
                continue
            renewal = Renewal(RenewalPhase.COMMIT, generator, listener, switch_round, shared=shared)
            for chain in list(self.chains):
                root = self._copy._next_root(chain.at(switch_round).key, renewal)
                self.chains.append(SecretChain.start(root, switch_round))

    def _learn(self, message: PeerMessage) -> None:
        if message.renewal_phase is RenewalPhase.PROPOSE:
            self._proposed.add(message.renewal_key)
        elif message.renewal_phase is RenewalPhase.READY:
            self._ready.add(message.renewal_key)
        elif message.renewal_phase is RenewalPhase.COMMIT:
            self._switches.add(message.renewal_round)

    def read(self, sealed: Sealed, chains: list[SecretChain]) -> PeerMessage | None:
        """Return what a message says if one of these chains, as it stands, opens it."""
        sender = people()[1].entries[sealed.side].verify_key
        for chain in chains:
            try:
                return PeerMessage.open(
                    sealed.content, self._keys(chain, sealed.context), sealed.context, sender
                )
            except PeerMessageError:
                continue
        return None

    def _keys(self, chain: SecretChain, context: MessageContext) -> MessageKeys:
        keys = self._copy._keys(chain.key, context.round_number, False)
        mine = context.direction is self._copy.role
        return (keys.keys_out if mine else keys.keys_in)[context.drop]

    def reach(self, steps: int) -> list[SecretChain]:
        """Every chain that follows from the copy alone, at each of its next ``steps`` rounds."""
        for switch_round in sorted(self._switches):
            self._follow(switch_round)
        return [chain.at(chain.round_number + step) for chain in self.chains for step in range(steps)]
