"""``Announcer``: the entry's place in the chain, and what each round is announced with.

States: complete (a round can be announced) <-> standing by (a hop does not do its part; the next tick tries
again, under the same round number). The scheduler's thread owns it; ``find_key`` and ``keys_message`` may be
called from any.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from iirs.directory import Head, head_content
from iirs.epoch import EpochKey, EpochKeyring
from iirs.errors import HopError
from iirs.geometry import INVITATION_SIZE, padded_invitations
from iirs.message import Message, MessageKind
from iirs.noise import SETUPS_AT_ONCE
from iirs.onion import RoundContext
from iirs.server.accounts.database_thread import DatabaseThread
from iirs.server.accounts.prekey_store import PrekeyStore
from iirs.server.accounts.registry import Accounts
from iirs.server.clock_report import ClockReport
from iirs.server.deaddrop import DeadDropManager, DeadDrops
from iirs.server.hops.later_hop import Successor
from iirs.server.hops.link import Refusal, RefusedError
from iirs.server.hops.next_hop import NextHopLink
from iirs.server.hops.noise_maker import NoiseMaker
from iirs.server.hops.preparer import Increment, Place, Preparer, Ready
from iirs.server.keystore import ServerKeys
from iirs.server.mix_net import MixNet, RoundOutcome
from iirs.server.mix_stage import MixStage, NextHop, no_noise
from iirs.server.ration import Ration, setup_seconds
from iirs.server.round_numbers import RoundNumbers
from iirs.server.settings import ServiceSettings
from iirs.suite import KeyPair
from iirs.wire.rounds import NO_BUNDLE, NOTHING_BEFORE, Announcement, RoundFlags, Standby, announcement_hash

_log = logging.getLogger("iirs.server")
_ALONE_ROUNDS = 5
"""After so many rounds without an upload nobody takes part: one may be empty because a machine was slow."""
_RETURN_ROUNDS = 15
"""So many more at the start: clients need a while to be back."""
_DISPUTED_ROUNDS = 1000
"""So many more once the hops have refused what the clock says."""
_SHORT_EPOCH = 2
"""Rounds: a longer one has its invitations between its first and its last."""
_SLOW_SECONDS = 60.0
"""By so much at most rounds fall behind in one."""


def carries_invitations(into: int, since: int, epoch_rounds: int, invite_every: int) -> bool:
    """Whether a round has invitations: ``into`` rounds after the setup, ``since`` after the last that had.

    None comes with the announcement of a setup that is due: where a line cannot take a bundle in time, the
    upload after it is late, and that would cost an epoch. Nor in a setup round, whose upload is longer
    anyway. As late in the epoch as possible otherwise: who is asked then begins at the next setup.
    """
    if since < invite_every:
        return False
    if epoch_rounds <= _SHORT_EPOCH:
        return into < max(1, epoch_rounds - 1)
    before_last = epoch_rounds - 2 - into
    return 0 <= before_last < epoch_rounds - 2 and before_last % min(invite_every, epoch_rounds - 2) == 0


@dataclass(frozen=True, slots=True)
class Opened:
    """A round that is open: its announcement, and KEYS if they have changed."""

    announcement: bytes
    keys: tuple[Message, ...]


class Announcer:
    """Opens rounds in ``mix_net`` and links to the hop behind the entry, if there is one."""

    def __init__(self, keys: ServerKeys, database: DatabaseThread, settings: ServiceSettings) -> None:
        self._chain = keys.chain
        self._identity = keys.identity
        self._settings = settings
        self._keyring = EpochKeyring(keys.chain, 0, keys.identity)
        self._successor: Successor | None = None
        if len(keys.chain.hops) > 1:
            self._successor = NextHopLink(keys.chain, 0, keys.identity)
        self._preparer = Preparer(keys.chain, keys.identity, self._keyring, self._successor)
        self._noise = NoiseMaker(keys.chain, 0, settings.random_bytes)
        self.mix_net = MixNet(keys.chain, self._stage(), settings.random_bytes, attrgetter("position"))
        self._numbers = RoundNumbers(database, self._clock_round, keys.chain.round_ms, settings.uptime)
        self._clock_report = ClockReport(keys.chain.round_ms)
        self._alone = _ALONE_ROUNDS
        """How many rounds late by the clock nobody has taken part in, and so vouched for the numbers of."""
        if self._successor is None and self._numbers.clock_is_doubtful:
            self._numbers.reconsider()
            self._alone = -_RETURN_ROUNDS
        self._invites = False
        """Whether the round announced last carries invitations."""
        self._since_invitations = 0
        """Rounds executed since the last that carried invitations."""
        # After a crash, which somebody may have brought about, one at once and no more.
        left = SETUPS_AT_ONCE if self._numbers.ended_cleanly else 1.0
        self._ration = Ration(setup_seconds(keys.chain), settings.uptime, left)
        self._place = Place(-1, -1, NOTHING_BEFORE)
        """Of the round announced last."""
        self._announced_hash = NOTHING_BEFORE
        self._online = 0
        self._bundle_digest = NO_BUNDLE
        self._keys_announced: tuple[EpochKey, ...] = ()
        self._keys_for_login: tuple[EpochKey, ...] = ()
        self._standing_by: HopError | None = None
        self._losing: HopError | None = None

    def _stage(self) -> MixStage:
        settings = self._settings
        manager = DeadDropManager(settings.random_bytes, settings.observe)
        behind: NextHop = self._successor or DeadDrops(manager, self._chain.chain_id, self._identity.sign)
        return MixStage(
            behind,
            settings.random_bytes,
            noise=no_noise if self._successor is None else self._noise_onions,
            observe=settings.observe_stage,
        )

    def _noise_onions(self, context: RoundContext) -> Sequence[bytes]:
        return self._noise.take(context).onions

    def sign_alone(self, length: int, digest: bytes) -> Head:
        """Return a directory head signed by the entry only: enough in a chain of one."""
        signature = self._identity.sign(head_content(self._chain.chain_id, length, digest))
        return Head(length, digest, signature)

    def erase_keys(self) -> None:
        """Forget epoch keys whose time is over by the clock; safe from any thread."""
        self._keyring.erase()

    def find_key(self, key_id: bytes) -> tuple[EpochKey, KeyPair]:
        """Return the entry's epoch key with this id. Raises ``OnionError`` if it is gone."""
        return self._keyring.find(key_id)

    def keys_message(self) -> Message:
        """Return KEYS as announced last, but with a key of the entry's that can be logged in with.

        Raises ``HopError`` if no round was announced yet.
        """
        if not self._keys_for_login:
            raise self._standing_by or HopError(0, "has not announced a round yet")
        return Message(MessageKind.KEYS, b"".join(key.encode() for key in self._keys_for_login))

    def standby(self) -> Message:
        """Return STANDBY, which names the hop that does not do its part."""
        # Hop 0 is the entry, which says this: a client knows that one by its silence.
        hop = 0 if self._standing_by is None else self._standing_by.hop
        return Standby(hop or None).encode()

    def give_up_at(self) -> float:
        """Return until when the later hops may take for what they are asked now (monotonic seconds)."""
        return time.monotonic() + max(self._settings.hop_seconds, 1.5 * self._chain.round_ms / 1000)

    def round_give_up_at(self) -> float:
        """Return until when they may take for the round that closes now: twice as long at a setup."""
        at_once = self.give_up_at() - time.monotonic()
        return time.monotonic() + at_once * (2 if self._place.is_setup else 1)

    @property
    def last_round(self) -> int:
        """The round announced last."""
        return self._numbers.last_used

    def note(self, outcome: RoundOutcome) -> None:
        """Count a round that was executed."""
        self._since_invitations = 0 if self._invites else self._since_invitations + 1
        self._online = outcome.uploads
        self._alone = 0 if outcome.uploads or self._late_by() <= 0 else self._alone + 1
        self._bundle_digest = NO_BUNDLE if outcome.bundle is None else outcome.bundle.digest

    def open_next(
        self, accounts: Accounts, prekeys: PrekeyStore, seconds_to_collect: Callable[[], float]
    ) -> Opened | None:
        """Open the next round; ``None`` if a hop does not do its part."""
        number, increment = self._next_number(), accounts.next_increment()
        try:
            # A chain of one has nobody who could have fallen behind, and copies no directory each round.
            directory = [] if self._successor is None else accounts.raw_entries()
            ready = self._preparer.prepare(self._next_place(number), increment, directory, self.give_up_at())
            # Only now: a number that the hops refuse, because a clock is wrong, must not be kept as used.
            if not self._numbers.may_use(number):
                raise HopError(0, "cannot keep round numbers: its database does not store anything")
            self._ration_setup(ready.place)
            announced = prekeys.announce(ready.head.length, number)
            opened = self._open(ready, increment, announced, seconds_to_collect())
        except HopError as error:
            if str(self._standing_by) != str(error):  # the log says the same thing once, not every round
                _log.warning("no round can be announced: %s", error)
            self._standing_by = error
            self._reconsider(error)
            self._renew_own_key()
            return None
        if self._standing_by is not None:
            _log.warning("the chain is complete again")
        self._standing_by = None
        left_out = self._numbers.use(number)
        if left_out > 1:
            _log.warning("rounds had fallen behind the clock; numbers left out: %d", left_out)
        if told := self._clock_report.on_round(number, self._clock_round()):
            _log.warning("%s", told)
        accounts.publish(ready.head)
        return opened

    def _next_number(self) -> int:
        """Return the number of the next round: the one after the last, but at most half an hour late.

        Rounds fall behind the clock while a hop does not answer, or the machine sleeps or is too slow.
        Clients and hops refuse what is an hour behind theirs. A clock that was set forward looks alike, but
        all at once. It is followed if nobody takes part: whoever does has a clock that fits the rounds, and
        numbers never go back.
        """
        late_by = self._late_by()
        is_slow = late_by <= 1 + _SLOW_SECONDS * 1000 / self._chain.round_ms
        if late_by > 0 and (is_slow or self._alone >= _ALONE_ROUNDS):
            return self._numbers.next + late_by
        return self._numbers.next

    def _late_by(self) -> int:
        """Return by how many rounds the next number is later than it may be, by the clock."""
        around = self._chain.rounds_around(self._settings.clock())
        return around[len(around) // 4] - self._numbers.next

    def _clock_round(self) -> int:
        around = self._chain.rounds_around(self._settings.clock())
        return around[len(around) // 2]

    def _reconsider(self, error: HopError) -> None:
        """Take the entry's clock for right, or no longer, after a round that could not be announced."""
        if not isinstance(error, RefusedError) or error.refusal is not Refusal.CLOCK:
            self._alone += 1
            return
        self._alone = -_DISPUTED_ROUNDS if self._alone >= _ALONE_ROUNDS else _ALONE_ROUNDS
        self._numbers.reconsider()

    def _renew_own_key(self) -> None:
        """Have a key to log in with, however long no round can be announced."""
        if self._keys_announced:
            own = self._keyring.for_logins(self._numbers.next)
            self._keys_for_login = (own, *self._keys_announced[1:])

    def _next_place(self, number: int) -> Place:
        """Return where the next round stands: in the epoch that runs, or at the beginning of another."""
        place = Place(number, self._place.setup_round, self._announced_hash)
        is_over = number >= place.setup_round + self._chain.epoch_rounds
        return place.as_setup() if is_over or not self.mix_net.is_set_up else place

    def _ration_setup(self, place: Place) -> None:
        """Use up a setup, if this is one. A chain of one has no need to: that server sees more already."""
        if place.is_setup and self._successor is not None:
            if not self._ration.allows():
                raise RefusedError(0, Refusal.RATION)
            self._ration.take()

    def _open(self, ready: Ready, increment: Increment, prekeys: tuple[bytes, ...], collect: float) -> Opened:
        place = ready.place
        invite_every = self._invite_every()
        self._invites = carries_invitations(
            place.round_number - place.setup_round,
            self._since_invitations + 1,
            self._chain.epoch_rounds,
            invite_every,
        )
        announcement = Announcement(
            place.previous,
            place.round_number,
            place.setup_round,
            RoundFlags.INVITE if self._invites else RoundFlags.NONE,
            round(collect * 1000),
            invite_every,
            self._online,
            tuple(key.key_id for key in ready.keys),
            ready.head,
            increment.start,
            increment.entries,
            prekeys,
            self._bundle_digest,
        ).encode()
        self._place, self._announced_hash = place, announcement_hash(announcement)
        context = RoundContext(self._chain.chain_id, place.round_number, self._announced_hash)
        if self._successor is not None and place.is_setup:
            public = [key.verified(self._chain, hop) for hop, key in enumerate(ready.keys)]
            self._noise.begin(context, public[1:])
        self.mix_net.open_round(context, sets_up=place.is_setup, invites=self._invites)
        changed = ready.keys != self._keys_announced
        self._keys_announced = self._keys_for_login = ready.keys
        return Opened(announcement, (self.keys_message(),) if changed else ())

    def _invite_every(self) -> int:
        bundle = padded_invitations(self._online * self._chain.slots) * INVITATION_SIZE
        allowed = self._settings.bundle_bytes_per_second * self._chain.round_ms / 1000
        return min(1000, max(self._chain.invite_every, int(-(-bundle // allowed))))

    def show_chain(self, opened: Opened | None) -> None:
        """Show an announcement to the later hops, which need it before the batch comes.

        After the clients have been told, so that it costs them no time. If it fails, so will the round.
        """
        if opened is None or self._successor is None:
            return
        losing, self._losing = self._losing, None
        try:
            self._successor.open_round(opened.announcement, self.give_up_at())
        except HopError as error:
            if str(losing) != str(error):
                _log.warning("the round that is open will be lost: %s", error)
            self._losing = error

    def close(self) -> None:
        """Let go of the link to the hop behind."""
        self._noise.close()
        if self._successor is not None:
            self._successor.close()
