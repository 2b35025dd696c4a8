"""Whole chains of one to four hops, with neither socket nor clock, through anything that can happen to them.

Whatever is lost, late, copied, restarted or made up: whose setup was in gets the right cell or random bytes,
every hop passes on as many cells as its setup said, no key stream is used twice, and a round is lost for all
alike.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import iirs.onion
from iirs.circuit import Layer
from iirs.errors import OnionError
from iirs.geometry import CELL_SIZE, INVITATION_SIZE
from iirs.onion import EntryChannel
from iirs.server.deaddrop import DeadDrop
from iirs.server.hops import mix_hop
from iirs.server.hops.mix_hop import MixHop
from iirs.server.mix_net import Collected, MixNet, RoundOutcome
from iirs.server.mix_stage import Batch, MixStage
from iirs.wire.rounds import RoundStatus, Upload
from tests.effort import examples
from tests.pure_chain import CELL, FIRST, INVITE, SETUP, Client, Net, drop

EPOCH = 6
CIRCUITS = 2
NAMES = ("alice", "bob", "carol", "dave")
DOES = ("here", "missing", "late", "gone", "back", "forgot", "garbage", "bad setup", "copy", "replay")
Access = tuple[str, int]
"""Whose circuit, and which of them."""


@dataclass(frozen=True)
class Happening:
    """One round: what each of ``NAMES`` does, and what goes wrong."""

    does: tuple[str, ...] = ("here",) * len(NAMES)
    fails: tuple[int, int, str] | None = None
    """Behind which hop, which kind of batch, and whether going out or coming back."""
    restart: int | None = None
    skipped: int = 0
    invites: bool = False


class OnceLayer(Layer):
    """A hop's layer that counts: under one key, no round and way may be used twice."""

    used: ClassVar[set[tuple[bytes, bytes]]] = set()

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.secret = secret

    def apply(self, block: bytes, cell: bytes) -> bytes:
        assert (self.secret, block) not in self.used, "a key stream was used twice"
        self.used.add((self.secret, block))
        return super().apply(block, cell)


@contextmanager
def counting_layers() -> Iterator[None]:
    """Have every hop use layers that count."""
    OnceLayer.used.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mix_hop, "Layer", OnceLayer)
        yield


class World:
    """A chain, four clients, and what each should get, known by nobody but the test."""

    def __init__(self, hops: int, noise: tuple[int, int] = (0, 0)) -> None:
        self.net = Net(hops, slots=1, noise=noise)
        self.clients = {name: Client(self.net, name) for name in NAMES}
        self.number = FIRST
        self.setup_round = -1
        self.places: list[str] = []
        """Whose circuits the entry has."""
        self.ends: dict[Access, tuple[bytes, int]] = {}
        """To which drop each circuit leads, and behind how many hops it ends; all of them if it is whole."""
        self.copies: set[str] = set()
        self._epoch_of: dict[str, int] = {}
        """Of which setup each client holds circuits."""
        self._onions: dict[str, list[bytes]] = {}
        self._cells: dict[str, list[bytes]] = {}
        self._last: dict[str, Upload] = {}
        self._sent: set[bytes] = set()
        self._in_setup: dict[str, list[tuple[bytes, int]]] = {}

    # -- a round ----------------------------------------------------------------------------------

    def play(self, happening: Happening) -> None:
        net = self.net
        if happening.restart is not None:
            net.start_hop(happening.restart % net.hops)
        self.number += 1 + happening.skipped
        sets_up = not net.live_in(self.setup_round) or self.number >= self.setup_round + EPOCH
        if sets_up:
            self.setup_round = self.number
            self._in_setup, self.copies = {}, set()
            net.new_keys()
        does = dict(zip(NAMES, happening.does, strict=True))
        uploads, effective = {}, {}
        for name, what in does.items():
            upload, cells = self._upload(name, what, sets_up=sets_up, invites=happening.invites)
            effective[name] = cells
            if upload is not None:
                uploads[self.clients[name].session] = upload
        fails = self._arm(happening, sets_up=sets_up)
        outcome = self._run(does, uploads, sets_up=sets_up, invites=happening.invites)
        for tap in net.taps.values():
            tap.fails = None
        if sets_up:
            self._note_setup()
        channels = self._channels(does)
        self._check_counts()
        self._check_outcome(outcome, fails=fails, channels=set(channels))
        if not outcome.lost:
            self._check_answers(outcome, does, effective)

    def _channels(self, does: dict[str, str]) -> dict[Hashable, EntryChannel]:
        """Return who is in session."""
        present = [client for name, client in self.clients.items() if does[name] != "gone"]
        return {client.session: client.entry_end for client in present}

    def _run(
        self, does: dict[str, str], uploads: dict[str, Upload], *, sets_up: bool, invites: bool
    ) -> RoundOutcome:
        net = self.net
        self._before = {hop: len(tap.batches) for hop, tap in net.taps.items()}
        net.mix_net.open_round(net.context(self.number), sets_up=sets_up, invites=invites)
        for name, what in does.items():
            if what == "late" and name in self._last:
                assert net.mix_net.submit(self.clients[name].session, self._last[name]) is Collected.LATE
        for session, upload in uploads.items():
            assert net.mix_net.submit(session, upload) is Collected.TAKEN
        outcome = net.mix_net.close_round(self._channels(does))
        assert outcome is not None
        return outcome

    def _arm(self, happening: Happening, *, sets_up: bool) -> bool:
        if happening.fails is None:
            return False
        place, number, where = happening.fails
        kind = (CELL, INVITE, SETUP)[number]
        self.net.taps[place % self.net.hops].fails = (kind, where)
        return {CELL: True, INVITE: happening.invites, SETUP: sets_up}[kind]

    def _drops(self, name: str) -> list[bytes]:
        shared = f"{self.setup_round} "
        own = drop(f"{shared}{name}")
        return {
            "alice": [drop(shared + "x"), drop(shared + "y")],
            "bob": [drop(shared + "x"), drop(shared + "y")],
            "carol": [own, own],
            "dave": [drop(shared + "x"), own],
        }[name]

    def _upload(
        self, name: str, what: str, *, sets_up: bool, invites: bool
    ) -> tuple[Upload | None, list[bytes | None]]:
        """Return what a client uploads, and the cells that come of it; ``None`` for random ones."""
        client = self.clients[name]
        if what in ("missing", "late", "gone"):
            if sets_up:
                client.circuits, self._epoch_of[name] = [], -1
            return None, [None] * CIRCUITS
        if what == "back":
            client.reconnect(self.number)
        if what == "forgot":
            client.reconnect(self.number)
            client.circuits, self._epoch_of[name] = [], -1
        onions = self._setups(client, what) if sets_up else []
        cells = [os.urandom(CELL_SIZE) for _ in range(CIRCUITS)]
        self._sent.update(cells)
        wrapped = client.wrapped(cells, self.number)
        bare = self.net.hops == 1
        knows = bare or self._epoch_of.get(name) == self.setup_round
        effective: list[bytes | None] = [cell if knows else None for cell in cells]
        if what == "replay" and not sets_up and not bare and name in self._cells:
            wrapped, effective = self._cells[name], [None] * CIRCUITS
        self._cells[name] = wrapped
        sealed = client.seal(CELL, wrapped, self.number)
        if what == "garbage":
            sealed, effective = tuple(os.urandom(len(cell)) for cell in sealed), [None] * CIRCUITS
        size = self.net.geometry.item_size(self.net.hops - 1, INVITE)
        posted = [os.urandom(INVITATION_SIZE if bare else size)] if invites else []
        self._last[name] = upload = Upload(
            self.number,
            sealed,
            client.seal(SETUP, onions, self.number),
            client.seal(INVITE, posted, self.number),
        )
        return upload, effective

    def _setups(self, client: Client, what: str) -> list[bytes]:
        name, hops, drops = client.name, self.net.hops, self._drops(client.name)
        self._epoch_of[name] = self.setup_round
        if what == "replay" and hops > 1 and name in self._onions:
            self._in_setup[name] = [(drop_id, 1) for drop_id in drops]
            self._epoch_of[name], client.circuits = -1, []
            return self._onions[name]
        if what == "bad setup" and hops > 1:
            keys = self.net.public_keys()
            suite, bad = self.net.geometry.suite, 1 + self.number % (hops - 1)
            keys[bad - 1] = suite.load_public(suite.generate().public_bytes)
            onions = client.onions(drops, self.number, keys)
            self._in_setup[name] = [(drops[0], bad), (drops[1], hops)]
        elif what == "copy":
            drops = [drop(f"{self.setup_round} copy {name}")] * CIRCUITS
            onions = client.onions(drops, self.number)
            self._in_setup[name] = [(drop_id, hops) for drop_id in drops]
            if hops > 1:
                onions[1], client.circuits[1] = onions[0], client.circuits[0]
                self._in_setup[name][1] = (drops[1], 1)
                self.copies.add(name)
        else:
            onions = client.onions(drops, self.number)
            self._in_setup[name] = [(drop_id, hops) for drop_id in drops]
        self._onions[name] = list(onions)
        return onions

    def _note_setup(self) -> None:
        self.places, self.ends = [], {}
        if self.net.mix_net.is_set_up:
            self.places = list(self._in_setup)
            self.ends = {
                (name, place): end for name, ends in self._in_setup.items() for place, end in enumerate(ends)
            }

    # -- what must be true of it ------------------------------------------------------------------

    def _check_counts(self) -> None:
        for hop, tap in self.net.taps.items():
            for batch in tap.batches[self._before[hop] :]:
                if batch.kind is CELL:
                    alive = sum(ends > hop for _, ends in self.ends.values())
                    noise = self.net.noise_a_hop * min(hop + 1, self.net.hops - 1)
                    assert len(batch.items) == alive + noise == len(tap.of(SETUP)[-1].items)
                    assert {len(cell) for cell in batch.items} <= {CELL_SIZE}

    def _check_outcome(self, outcome: RoundOutcome, *, fails: bool, channels: set[Hashable]) -> None:
        assert set(outcome.replies) == channels
        assert {len(replies.encode().body) for replies in outcome.replies.values()} <= {
            self.net.geometry.replies_size
        }
        assert outcome.lost is fails, outcome.failure
        if outcome.lost:
            assert {replies.status for replies in outcome.replies.values()} <= {RoundStatus.LOST}
            assert len({replies.cells for replies in outcome.replies.values()}) <= 1
            assert outcome.bundle is None

    def _check_answers(
        self, outcome: RoundOutcome, does: dict[str, str], effective: dict[str, list[bytes | None]]
    ) -> None:
        answers: dict[Access, bytes] = {}
        for name, client in self.clients.items():
            if client.session not in outcome.replies:
                continue
            replies = outcome.replies[client.session]
            has_uploaded = does[name] not in ("missing", "late")
            if name not in self.places:
                assert replies.status is RoundStatus.NO_CIRCUITS
                assert client.open(replies) == [None] * CIRCUITS
                continue
            assert replies.status is (RoundStatus.DONE if has_uploaded else RoundStatus.MISSING)
            opened = client.open(replies)
            if self._epoch_of.get(name) == self.setup_round or self.net.hops == 1:
                for place, answer in enumerate(opened):
                    assert answer is not None, "the entry sealed it for us"
                    answers[name, place] = answer
            else:
                assert not self._sent & set(opened), "without the circuits' keys nothing can be read"
        self._check_drops(answers, effective)

    def _check_drops(self, answers: dict[Access, bytes], effective: dict[str, list[bytes | None]]) -> None:
        together: dict[bytes, list[Access]] = defaultdict(list)
        for access, (drop_id, ends) in self.ends.items():
            if access[0] in self.copies:
                continue
            if ends < self.net.hops:
                assert answers.get(access) not in self._sent, "a dead place gives random bytes"
            else:
                together[drop_id].append(access)
        for accesses in together.values():
            self._check_drop(accesses, answers, effective)
        for name in self.copies:
            mine = [answers[name, place] for place in range(CIRCUITS) if (name, place) in answers]
            wanted = effective[name]
            if mine and None not in wanted:
                assert sum(got == sent for got, sent in zip(mine, wanted, strict=True)) == 1
            assert len(self._sent & set(mine)) == (1 if mine and None not in wanted else 0)

    def _check_drop(
        self,
        accesses: list[Access],
        answers: dict[Access, bytes],
        effective: dict[str, list[bytes | None]],
    ) -> None:
        sent = {access: effective[access[0]][access[1]] for access in accesses}
        if len(accesses) <= 2:
            for access, partner in zip(accesses, reversed(accesses), strict=True):
                self._check_answer(answers.get(access), sent[partner])
            return
        left_out = 0
        for access in accesses:
            others = {cell for other, cell in sent.items() if other != access and cell is not None}
            got = answers.get(access)
            assert got is None or got not in self._sent - others, (
                "another's, or one's own, where two have met"
            )
            left_out += got is not None and got not in others and None not in sent.values()
        assert left_out <= len(accesses) - 2

    def _check_answer(self, got: bytes | None, wanted: bytes | None) -> None:
        if got is None:
            return  # nobody was there to look
        if wanted is None:
            assert got not in self._sent, "a healed cell is random"
        else:
            assert got == wanted


# -- whatever happens ---------------------------------------------------------------------------------------

happenings = st.builds(
    Happening,
    does=st.one_of(st.just(("here",) * len(NAMES)), st.tuples(*[st.sampled_from(DOES) for _ in NAMES])),
    fails=st.one_of(
        st.none(),
        st.none(),
        st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(["out", "back"])),
    ),
    restart=st.one_of(st.none(), st.none(), st.none(), st.integers(0, 3)),
    skipped=st.sampled_from([0, 0, 0, 1, 3]),
    invites=st.sampled_from([False, False, False, True]),
)


def play(hops: int, script: list[Happening], noise: tuple[int, int] = (0, 0)) -> World:
    with counting_layers():
        world = World(hops, noise)
        for happening in script:
            world.play(happening)
    return world


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
@settings(max_examples=examples(25))
@given(st.lists(happenings, min_size=1, max_size=14), st.sampled_from([(0, 0), (0, 0), (2, 1)]))
def test_whatever_happens_everybody_gets_the_right_cell_or_random_bytes(
    hops: int, script: list[Happening], noise: tuple[int, int]
) -> None:
    play(hops, script, noise)


ALL_HERE = Happening()
EVERYTHING = [
    ALL_HERE, ALL_HERE,
    *(Happening((what, "here", "here", what)) for what in DOES),
    *(Happening(("here", "here", what, "here")) for what in DOES for _ in range(2)),
    Happening(restart=1), ALL_HERE, Happening(fails=(0, 2, "back")), ALL_HERE, ALL_HERE,
    Happening(fails=(1, 0, "back"), invites=True), ALL_HERE, Happening(restart=0, skipped=2, invites=True),
    *(Happening((what,) * 4) for what in DOES for _ in range(EPOCH)),
]  # fmt: skip
"""Each thing that can happen, at a setup and in an epoch."""


@pytest.mark.parametrize("noise", [(0, 0), (3, 2)])
@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_each_thing_that_can_happen_does(hops: int, noise: tuple[int, int]) -> None:
    world = play(hops, EVERYTHING, noise)
    assert len(world.net.taps[0].of(SETUP)) > 10
    assert len(world.net.taps[0].of(CELL)) > 40


# -- each rule, broken --------------------------------------------------------------------------------------


def run_twice(world: World) -> None:
    """An entry that hands the hop behind it a round's cells a second time, with one of them altered."""
    last = world.net.taps[0].of(CELL)[-1]
    altered = Batch(last.context, CELL, [bytes(CELL_SIZE), *last.items[1:]])
    with pytest.raises(OnionError, match="round that is over"):
        world.net.mix_hops[1].exchange(altered)


def test_a_round_that_is_burnt_is_not_run_again() -> None:
    with counting_layers():
        world = World(3)
        for _ in range(3):
            world.play(ALL_HERE)
            run_twice(world)


def test_rounds_that_were_not_burnt_would_use_a_key_stream_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MixHop, "_burn", lambda hop, number, kind: hop._last.update({kind: number}))
    with counting_layers():
        world = World(3)
        world.play(ALL_HERE)
        with pytest.raises(AssertionError, match="used twice"):
            run_twice(world)


def no_healing(net: MixNet, uploads: object) -> list[bytes]:
    return [cell for _, cells in uploads.opened(CELL) for cell in cells if cell is not None]  # type: ignore[attr-defined]


def last_two(self: DeadDrop) -> list[int]:
    return [self.places[-2] if place == self.places[-1] else self.places[-1] for place in self.places]


def one_key_for_ever(net: Net) -> None:
    if not net.pairs:
        net.pairs = {hop: net.geometry.suite.generate() for hop in range(1, net.hops)}


def own_permutation_each_round(
    stage: MixStage, context: object, cells: list[bytes], *rest: object
) -> list[bytes]:
    epoch = stage._epoch
    assert epoch is not None
    answers = HONEST_EXCHANGE(stage, context, cells, *rest)  # type: ignore[arg-type]
    return answers[1:] + answers[:1]


HONEST_EXCHANGE = MixStage.exchange


@pytest.mark.parametrize(
    ("owner", "method", "broken"),
    [
        (MixNet, "_cells", no_healing),
        (DeadDrop, "partners", last_two),
        (MixStage, "exchange", own_permutation_each_round),
        (Net, "live_in", lambda net, setup_round: net.mix_net.is_set_up),
    ],
    ids=["cells not healed", "a third disturbs two", "answers to others", "no setup after a restart"],
)
def test_a_chain_that_broke_a_rule_would_be_seen(
    owner: type, method: str, broken: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, method, broken)
    with pytest.raises((AssertionError, IndexError)):
        play(3, EVERYTHING)


def test_a_hop_that_kept_its_key_would_open_a_setup_of_an_old_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its layers are bound to the round as well: both have to be broken for it."""
    script = [ALL_HERE] * EPOCH + [Happening(("replay",) * 4)]
    play(3, script)
    monkeypatch.setattr(Net, "new_keys", one_key_for_ever)
    play(3, script)
    monkeypatch.setattr(
        iirs.onion, "_layer_info", lambda chain, number, digest, hop, kind: bytes([hop, kind])
    )
    with pytest.raises(AssertionError):
        play(3, script)
