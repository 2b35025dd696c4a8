"""``Preparer``: gets every hop's epoch key and signature together before the entry announces a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from iirs.chain import Chain
from iirs.directory import Head, head_content
from iirs.epoch import EpochKey, EpochKeyring
from iirs.errors import ChainError
from iirs.server.hops.later_hop import Successor
from iirs.server.hops.link import ENTRIES_MAX, BehindError, Prepare, Prepared, Refusal, RefusedError


@dataclass(frozen=True, slots=True)
class Increment:
    """The part of the directory that a round is to announce, and where it leads."""

    start: int
    entries: tuple[bytes, ...]
    digest: bytes
    """The directory's digest after these entries."""

    @property
    def length(self) -> int:
        """How many entries the directory has after these."""
        return self.start + len(self.entries)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a round stands among the others."""

    round_number: int
    setup_round: int
    previous: bytes
    """Hash of the announcement before."""

    @property
    def is_setup(self) -> bool:
        """True if it begins an epoch."""
        return self.setup_round == self.round_number

    def as_setup(self) -> Place:
        """Return the same round as the first of an epoch."""
        return replace(self, setup_round=self.round_number)

    def ask(self, base: int, entries: tuple[bytes, ...] = ()) -> Prepare:
        """Return what the later hops are asked, with these directory entries."""
        return Prepare(self.round_number, self.setup_round, self.previous, base, entries)


@dataclass(frozen=True, slots=True)
class Ready:
    """What an announcement needs of the chain: a key of every hop, and a head that all of them signed."""

    place: Place
    keys: tuple[EpochKey, ...]
    head: Head


class Preparer:
    """The entry's side of PREPARE. One thread calls."""

    def __init__(
        self, chain: Chain, identity: Ed25519PrivateKey, keyring: EpochKeyring, successor: Successor | None
    ) -> None:
        self._chain = chain
        self._identity = identity
        self._keyring = keyring
        self._successor = successor

    def prepare(
        self, place: Place, increment: Increment, directory: Sequence[bytes], give_up_at: float
    ) -> Ready:
        """Return what is needed to announce a round. Raises ``HopError`` if a hop does not do its part.

        ``directory`` holds all raw entries up to the increment's end, for hops that have fallen behind. If a
        hop has no circuits for the epoch, the round is prepared as the first of another.
        """
        try:
            return self._prepare(place, increment, directory, give_up_at)
        except RefusedError as error:
            if error.refusal is not Refusal.CIRCUITS or place.is_setup:
                raise
            return self._prepare(place.as_setup(), increment, directory, give_up_at)

    def _prepare(
        self, place: Place, increment: Increment, directory: Sequence[bytes], give_up_at: float
    ) -> Ready:
        content = head_content(self._chain.chain_id, increment.length, increment.digest)
        behind = Prepared()
        if self._successor is not None:
            behind = self._ask(place, increment, directory, give_up_at)
            try:
                behind.check(self._chain, 1, place.ask(0), content)
            except ChainError as error:
                raise RefusedError(1, Refusal.MALFORMED) from error
        own = self._keyring.for_logins(place.round_number)
        signatures = (self._identity.sign(content), *behind.signatures)
        head = Head(increment.length, increment.digest, b"".join(signatures))
        return Ready(place, (own, *behind.keys), head)

    def _ask(
        self, place: Place, increment: Increment, directory: Sequence[bytes], give_up_at: float
    ) -> Prepared:
        if self._successor is None:
            raise AssertionError("only a chain with later hops asks them")
        base = increment.start
        while True:
            end = min(base + ENTRIES_MAX, increment.length)
            request = place.ask(base, tuple(directory[base:end]))
            try:
                prepared = self._successor.prepare(request, give_up_at)
            except BehindError as error:
                if error.length >= base:  # it would go on for ever
                    raise RefusedError(error.hop, Refusal.DIRECTORY) from error
                base = error.length
                continue
            except RefusedError as error:
                # Of a part, a hop that needs it takes note, and one that holds more does not sign it.
                if end == increment.length or error.refusal is not Refusal.DIRECTORY:
                    raise
                base = end
                continue
            if end == increment.length:
                return prepared
            base = end
