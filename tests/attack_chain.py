"""``Attack``: a chain whose entry and last hop are one adversary's, with hop 1 honest between them.

Three people set circuits up and send random cells; the adversary holds what ``tests/open_chain.py`` lays open
of the entry and the last hop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from iirs.circuit import Way, initial_block
from iirs.errors import OnionError
from iirs.geometry import BatchKind
from iirs.noise import NO_NOISE, Noise
from iirs.onion import RoundContext, peel
from iirs.server.mix_net import RoundOutcome
from iirs.server.mix_stage import Batch
from iirs.suite import X25519, KeyPair
from iirs.wire.rounds import Upload
from tests.lab_hops import NOTHING
from tests.open_chain import (
    CELL,
    FIRST_ROUND,
    QUIET_NOISE,
    SETUP,
    Client,
    OpenChain,
    Permute,
    cells,
    idle,
    talking,
)

NAMES = ("alice", "bob", "carol")
FORCED_OFF = replace(NO_NOISE, forced=True)
EPOCH = 4
"""Rounds an epoch has."""


class Attack:
    """Alice and bob talk, and carol does not. ``opened`` and below is what the adversary makes of it."""

    def __init__(
        self,
        noise: Noise = QUIET_NOISE,
        folder: Path | None = None,
        *,
        talk: bool = True,
        permutes: Mapping[int, Permute] | None = None,
    ) -> None:
        folders = {} if folder is None else {1: folder}
        self.chain = OpenChain(noise, folders=folders, permutes=permutes, epoch_rounds=EPOCH)
        self.clients = [Client(self.chain, name) for name in NAMES]
        self.talk = talk
        self.sent: dict[str, list[bytes]] = {}
        """The cells of the last round."""
        self.drops: dict[str, list[bytes]] = {}
        """Where circuits lead to."""
        self.setup_context: RoundContext
        self._known: list[tuple[RoundContext, KeyPair]] = []

    # -- rounds -------------------------------------------------------------------------------------

    def open(self, number: int = FIRST_ROUND, *, sets_up: bool = False) -> RoundContext:
        self.announcement = self.chain.prepare(number, sets_up=sets_up)
        self.context = self.chain.open(self.announcement)
        if self.announcement.is_setup:
            self.setup_context = self.context
            self._known.append((self.context, self.chain.pair(2)))
        return self.context

    def choose_drops(self) -> dict[str, list[bytes]]:
        """Return where everybody's circuits are to lead: elsewhere every time."""
        shared = talking()
        return dict(
            zip(NAMES, (shared, shared, idle()) if self.talk else (idle(), idle(), idle()), strict=True)
        )

    def uploads(self, drops: dict[str, list[bytes]] | None = None) -> dict[str, Upload]:
        """Return what everybody uploads, alice first."""
        sets_up = self.announcement.is_setup
        if sets_up:
            self.drops = drops or self.choose_drops()
        self.sent = {name: cells() for name in NAMES}
        return {
            client.name: client.upload(
                self.context, self.sent[client.name], self.drops[client.name] if sets_up else ()
            )
            for client in self.clients
        }

    def run(self, number: int = FIRST_ROUND) -> RoundOutcome:
        self.open(number)
        self.close(self.uploads())
        assert not self.outcome.lost, self.outcome.failure
        return self.outcome

    def close(self, uploads: dict[str, Upload]) -> RoundOutcome:
        self.outcome = self.chain.close(self.clients, uploads)
        return self.outcome

    def back(self, name: str) -> list[bytes | None]:
        """Return what a client finds in the replies of the last round."""
        return self.clients[NAMES.index(name)].open(self.context, self.outcome)

    @property
    def sizes(self) -> set[int]:
        """How long what went to the clients was."""
        return {len(replies.encode().body) for replies in self.outcome.replies.values()}

    # -- what the adversary holds -----------------------------------------------------------------------

    @property
    def alices_drops(self) -> set[bytes]:
        """What the adversary wants to know."""
        return set(self.drops["alice"])

    def places(self, name: str) -> list[int]:
        """Return where a client's circuits stand in what leaves the entry: it has mixed them itself."""
        first = 2 * NAMES.index(name)
        return [self.chain.orders[0][-1].index(index) for index in (first, first + 1)]

    def came(self, name: str, kind: BatchKind = SETUP) -> list[bytes]:
        """Return a client's onions, or cells, as they last left the entry."""
        tap = self.chain.taps[0]
        return [(tap.setups if kind is SETUP else tap.cells)[-1].items[place] for place in self.places(name)]

    def opened(self, item: bytes) -> tuple[bytes, bytes] | None:
        """Return secret and drop of an onion that left hop 1, if the last hop has or had the key."""
        for context, pair in self._known:
            with suppress(OnionError):
                return peel(item, pair, X25519, context, 2, SETUP)
        return None

    def drops_seen(self) -> Counter[bytes]:
        """Return how often each drop is accessed by what left hop 1, as the last hop sees."""
        opened = map(self.opened, self.chain.taps[1].setups[-1].items)
        return Counter(item[1] for item in opened if item is not None)

    def secrets(self) -> list[tuple[bytes, bytes]]:
        """Return the last hop's secret and the drop of each circuit that left hop 1."""
        opened = [self.opened(item) for item in self.chain.taps[1].setups[-1].items]
        return [item for item in opened if item is not None]

    def drops_of(self, left: set[bytes]) -> set[bytes]:
        """Return to which drops cells go, by what they look like behind hop 1."""
        pairs = zip(self.secrets(), self.chain.taps[1].cells[-1].items, strict=True)
        return {drop for (_, drop), cell in pairs if cell in left}

    def plain_drops(self) -> set[bytes]:
        """Return to which drops nothing goes, as can be told behind hop 1."""
        return self.drops_of({NOTHING})


def change_cells(attack: Attack, names: tuple[str, ...], alter: object) -> None:
    """Have the entry put other cells in the places of some people from now on."""

    def change(batch: Batch) -> Batch:
        if batch.kind is not CELL:
            return batch
        items = list(batch.items)
        for name in names:
            for place in attack.places(name):
                items[place] = alter(items[place])  # type: ignore[operator]
        return replace(batch, items=items)

    attack.chain.taps[0].change = change


def accept_again(attack: Attack, hop: int) -> None:
    """Have a hop forget which batches it has run; the last hop is the adversary's and does so anyway."""
    mix = attack.chain.hops[hop]._mix
    mix._last = {**mix._last, **dict.fromkeys((BatchKind.INVITATION, CELL), -1)}


def accept_setup_again(attack: Attack, hop: int) -> None:
    """The same, with the setup."""
    attack.chain.hops[hop]._mix._last = dict.fromkeys(BatchKind, -1)


def block_of(attack: Attack) -> bytes:
    """Return where the key streams of the last round begin."""
    return initial_block(attack.context.round_number, Way.FORWARD)
