"""``Preparer``: gets every hop's epoch key and signature together before the entry announces a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
class Ready:
    """What an announcement needs of the chain: a key of every hop, and a head that all of them signed."""

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
        self, round_number: int, increment: Increment, directory: Sequence[bytes], give_up_at: float
    ) -> Ready:
        """Return what is needed to announce a round. Raises ``HopError`` if a hop does not do its part.

        ``directory`` holds all raw entries up to the increment's end, for hops that have fallen behind.
        """
        content = head_content(self._chain.chain_id, increment.length, increment.digest)
        behind = Prepared()
        if self._successor is not None:
            behind = self._ask(round_number, increment, directory, give_up_at)
            try:
                behind.check(self._chain, 1, round_number, content)
            except ChainError as error:
                raise RefusedError(1, Refusal.MALFORMED) from error
        own = self._keyring.current(round_number)
        signatures = (self._identity.sign(content), *behind.signatures)
        head = Head(increment.length, increment.digest, b"".join(signatures))
        return Ready((own, *behind.keys), head)

    def _ask(
        self, round_number: int, increment: Increment, directory: Sequence[bytes], give_up_at: float
    ) -> Prepared:
        if self._successor is None:
            raise AssertionError("only a chain with later hops asks them")
        base = increment.start
        while True:
            end = min(base + ENTRIES_MAX, increment.length)
            request = Prepare(round_number, base, tuple(directory[base:end]))
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
