"""``LaterHop``: one mix server behind the entry, from the keys before a round to the answers after it.

States of a round here: prepared (key shown, head signed) -> opened (announcement accepted; at a setup, noise
begun and the circuits before it gone) -> run (one batch of each kind). Each only once, rounds strictly
increasing; what is refused runs nothing. The states of an epoch are in ``mix_hop``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from iirs.chain import Chain
from iirs.directory import head_content
from iirs.epoch import EpochKey, EpochKeyring
from iirs.errors import ChainError, HopError, OnionError, PeerError
from iirs.geometry import BatchKind, RandomBytes
from iirs.onion import RoundContext
from iirs.server.deaddrop import DeadDropManager, DeadDrops, DropObserver
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.link import BehindError, Prepare, Prepared, Refusal, RefusedError
from iirs.server.hops.mix_hop import MixHop
from iirs.server.hops.noise_maker import NoiseMaker
from iirs.server.mix_stage import Batch, MixStage, NextHop, StageView, no_noise
from iirs.server.ration import Ration, left_at_start, setup_seconds
from iirs.suite import KeyPair
from iirs.wire.rounds import NO_BUNDLE, NOTHING_BEFORE, Announcement, Bundle, announcement_hash

_log = logging.getLogger("iirs.mix")
_WAS_SET = (
    "was set, and is more than an hour from the rounds now. They go on. If the clock is wrong, set it; if it "
    "is right, start the servers of this chain anew"
)


class Successor(NextHop, Protocol):
    """All that a hop asks of the one behind it. Every call may raise ``HopError``."""

    def prepare(self, request: Prepare, give_up_at: float) -> Prepared:
        """Return keys and signatures of this hop and all behind it. Raises ``BehindError``."""
        ...

    def open_round(self, announcement: bytes, give_up_at: float) -> None:
        """Take in a round's announcement."""
        ...

    def close(self) -> None:
        """Let go of the connection, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class HopEnvironment:
    """What a hop takes from outside, so that a test can own it."""

    random_bytes: RandomBytes
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    observe: Callable[[StageView], None] | None = None
    observe_drops: DropObserver | None = None
    """Glass box for tests and simulations only; see ``DeadDropManager``."""


@dataclass(slots=True)
class _Round:
    """What was shown of the round that comes next."""

    number: int
    setup_round: int
    previous: bytes
    keys: tuple[EpochKey, ...]
    context: RoundContext | None = field(default=None)


class LaterHop:
    """Hop 1 .. n-1. Not thread-safe: one thread asks."""

    def __init__(
        self,
        chain: Chain,
        hop: int,
        identity: Ed25519PrivateKey,
        state: HopState,
        environment: HopEnvironment,
        successor: Successor | None,
    ) -> None:
        """``successor`` is the hop behind this one; ``None`` at the end of the chain."""
        self._chain = chain
        self._hop = hop
        self._identity = identity
        self._state = state
        self._environment = environment
        self._successor = successor
        self._keyring = EpochKeyring(chain, hop, identity)
        self._noise = NoiseMaker(chain, hop, environment.random_bytes)
        self._round: _Round | None = None
        seconds = setup_seconds(chain)
        left = left_at_start(state.setups.left, state.setups.stored_at, environment.clock(), seconds)
        self._ration = Ration(seconds, environment.monotonic, left)
        self._lock = threading.Lock()
        """Held by whoever uses or forgets circuits."""
        self._epoch_key_id = b""
        self._accepted = NOTHING_BEFORE
        """Hash of the announcement accepted last."""
        self._bundle_digest = NO_BUNDLE
        self._set_by: float | None = None
        """Wall clock less monotonic one when a round fitted the wall clock last."""
        self._is_disputed = False
        self._drops = DeadDropManager(environment.random_bytes, environment.observe_drops)
        behind: NextHop = successor or DeadDrops(self._drops, chain.chain_id, identity.sign)
        stage = MixStage(
            behind,
            environment.random_bytes,
            noise=no_noise if successor is None else lambda context: self._noise.take(context).onions,
            observe=environment.observe,
        )
        self._mix = MixHop(
            chain.geometry, hop, self._key, stage, environment.random_bytes, self._store_round, state.rounds
        )

    def prepare(self, request: Prepare, give_up_at: float) -> Prepared:
        """Return this hop's epoch key for the round and its signature under the head, and those behind it.

        A hop signs only what continues the directory it signed before, and never two heads of one length.
        """
        if not self._is_of_now(request.round_number):
            raise RefusedError(self._hop, Refusal.CLOCK)
        self._check_epoch(request)
        held = self._state.witnessed.length
        if request.base > held:
            raise BehindError(self._hop, held)
        if request.length < held:
            self._help_those_behind(request, give_up_at)
            raise RefusedError(self._hop, Refusal.DIRECTORY)
        self._state.extend(request.entries[held - request.base :])
        head = self._state.witnessed
        content = head_content(self._chain.chain_id, head.length, head.digest)
        behind = Prepared()
        if self._successor is not None:
            behind = self._successor.prepare(request, give_up_at)
            try:
                behind.check(self._chain, self._hop + 1, request, content)
            except ChainError as error:
                raise RefusedError(self._hop + 1, Refusal.MALFORMED) from error
        own = self._keyring.for_setup(request.setup_round, self._epoch_key_id)
        keys = (own, *behind.keys)
        self._round = _Round(request.round_number, request.setup_round, request.previous, keys)
        return Prepared(keys, (self._identity.sign(content), *behind.signatures))

    def _check_epoch(self, request: Prepare) -> None:
        """Return if a setup may be had, or if there are circuits for the epoch. Raises ``RefusedError``.

        Circuits are of no use after an announcement that this hop has not seen: what it has accepted is to be
        all that clients were shown.
        """
        if request.setup_round == request.round_number:
            # By when its batch can come at the earliest: half a round is the least there is to collect.
            if not self._ration.allows(ahead=self._chain.round_ms / 2000):
                raise RefusedError(self._hop, Refusal.RATION)
            return
        is_live = self._mix.setup_round == request.setup_round and self._has_epoch_key
        is_within = 0 < request.round_number - request.setup_round < self._chain.epoch_rounds
        if not is_live or not is_within or request.previous != self._accepted:
            raise RefusedError(self._hop, Refusal.CIRCUITS)

    def _is_of_now(self, round_number: int) -> bool:
        """Whether a round fits the wall clock, or the time it has led to since a round fitted it last.

        Setting the clock so stops no rounds that were right, and no round can lead the time anywhere else.
        """
        clock, monotonic = self._environment.clock(), self._environment.monotonic()
        fits = round_number in self._chain.rounds_around(clock)
        if fits:
            self._set_by = clock - monotonic
        elif self._set_by is None or round_number not in self._chain.rounds_around(self._set_by + monotonic):
            return False
        if self._is_disputed is fits:
            self._is_disputed = not fits
            _log.warning("this machine's clock %s", "fits the rounds again" if fits else _WAS_SET)
        return True

    def _help_those_behind(self, request: Prepare, give_up_at: float) -> None:
        # A part of the directory that this hop has long signed may be what one behind it lacks.
        if self._successor is not None:
            try:
                self._successor.prepare(request, give_up_at)
            except BehindError:
                raise
            except HopError:
                return  # whatever they say to a part: the entry is told what this hop says

    def open_round(self, announcement: bytes, give_up_at: float) -> None:
        """Accept the announcement of the round that was prepared: one, whatever comes after it.

        It must name the keys that were shown, and a head that every hop signed.
        """
        current = self._round
        if current is None or current.number <= self._state.announced:
            raise RefusedError(self._hop, Refusal.STALE)
        try:
            shown = Announcement.decode(announcement, self._chain.geometry)
            shown.head.verify(self._chain)
        except (PeerError, ChainError) as error:
            raise RefusedError(self._hop, Refusal.MALFORMED) from error
        if shown.round_number != current.number:
            raise RefusedError(self._hop, Refusal.STALE)
        if (shown.setup_round, shown.previous) != (current.setup_round, current.previous):
            raise RefusedError(self._hop, Refusal.MALFORMED)
        if not self._vouches_for(shown):
            raise RefusedError(self._hop, Refusal.MALFORMED)
        if shown.key_ids[self._hop :] != tuple(key.key_id for key in current.keys):
            raise RefusedError(self._hop, Refusal.KEY)
        self._state.set_announced(current.number)
        self._accepted = announcement_hash(announcement)
        context = RoundContext(self._chain.chain_id, current.number, self._accepted)
        if shown.is_setup:
            self._begin_epoch(current, context)
        if self._successor is not None:
            self._successor.open_round(announcement, give_up_at)
        # Only now: a batch that those behind will refuse is to use up nothing here.
        current.context = context

    def _begin_epoch(self, current: _Round, context: RoundContext) -> None:
        """Forget all of the epoch before, and begin to make this one's noise."""
        self._epoch_key_id = current.keys[0].key_id
        self._keyring.keep_only(self._epoch_key_id)
        with self._lock:
            self._forget_circuits()
        if self._successor is not None:
            public = [
                key.verified(self._chain, self._hop + 1 + place) for place, key in enumerate(current.keys[1:])
            ]
            self._noise.begin(context, public)

    def _vouches_for(self, shown: Announcement) -> bool:
        """Say whether an announcement holds what this hop signed and passed on, and sensible times.

        The newest head only: an old one, which every hop signed once, would leave room for a made-up tail.
        The bundle of the round before, or none: somebody shown another could tell who agreed with whom.
        """
        head = self._state.witnessed
        passed_on, self._bundle_digest = self._bundle_digest, NO_BUNDLE
        return (
            (shown.head.length, shown.head.digest) == (head.length, head.digest)
            and shown.bundle_digest in (NO_BUNDLE, passed_on)
            and shown.has_time_for_uploads(self._chain.round_ms)
        )

    def context(self, round_number: int) -> RoundContext:
        """Return what the layers of this round are bound to. Raises ``HopError`` if it is not open."""
        current = self._round
        if current is None or current.number != round_number or current.context is None:
            raise RefusedError(self._hop, Refusal.STALE)
        return current.context

    def set_up(self, batch: Batch) -> None:
        """Make the circuits of an epoch, in the round that was opened as its first."""
        current = self._round
        if current is None or current.setup_round != batch.context.round_number:
            raise RefusedError(self._hop, Refusal.STALE)
        with self._refusing():
            self._mix.set_up(batch)

    def exchange(self, batch: Batch) -> list[bytes]:
        """Return what comes back for each cell, in the same order."""
        with self._refusing():
            return self._mix.exchange(batch)

    def collect_invitations(self, batch: Batch) -> Bundle:
        """Peel and pass on a batch of invitations."""
        with self._refusing():
            bundle = self._mix.collect_invitations(batch)
        self._bundle_digest = bundle.digest
        return bundle

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except OnionError as error:
                raise RefusedError(self._hop, Refusal.STALE) from error

    def erase_keys(self) -> None:
        """Forget keys, and circuits with them, whose time is over by the clock; safe from any thread."""
        self._keyring.erase()
        if not self._has_epoch_key and self._lock.acquire(blocking=False):
            try:
                self._forget_circuits()
            finally:
                self._lock.release()

    def _forget_circuits(self) -> None:
        """Forget all of the epoch but its key; ``_lock`` is held."""
        self._mix.forget()
        self._drops.forget()

    def close(self) -> None:
        """Let go of the link to the hop behind."""
        self._noise.close()
        if self._successor is not None:
            self._successor.close()

    @property
    def _has_epoch_key(self) -> bool:
        return self._keyring.holds(self._epoch_key_id)

    def _key(self, round_number: int) -> KeyPair:
        current = self._round
        if current is None or current.number != round_number:
            raise RefusedError(self._hop, Refusal.STALE)
        return self._keyring.find(self._epoch_key_id)[1]

    def _store_round(self, round_number: int, kind: BatchKind) -> None:
        if kind is BatchKind.SETUP:
            if not self._ration.allows():
                raise RefusedError(self._hop, Refusal.RATION)
            self._state.note_setup(round_number, self._ration.after_one, self._environment.clock())
            self._ration.take()
        else:
            self._state.set_round(round_number, kind)
