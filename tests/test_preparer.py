"""Every hop signs the directory's head before a round, and one that has fallen behind is helped up first."""

from __future__ import annotations

import os

import pytest

import iirs.server.hops.preparer
from iirs.directory import Directory
from iirs.epoch import EpochKeyring
from iirs.errors import HopError
from iirs.server.hops.hop_state import HopState
from iirs.server.hops.later_hop import HopEnvironment, LaterHop
from iirs.server.hops.link import Prepare, Prepared, Refusal, RefusedError
from iirs.server.hops.preparer import Increment, Place, Preparer, Ready
from iirs.wire.rounds import NOTHING_BEFORE
from tests.builders import make_chain, make_directory

KEYS = make_chain(3)
NAMES = ("alice", "bob", "carol", "dora", "erin", "frank", "grace")
DIRECTORY = make_directory(KEYS.chain, *NAMES)
RAW = [entry.raw for entry in DIRECTORY.entries]
ROUND = 1000


class Hops:
    """A chain of three in one process; ``held`` says how many entries each later hop has signed before."""

    def __init__(self, *held: int, entries: list[bytes] = RAW) -> None:
        self.states = [HopState(None, KEYS.chain.chain_id) for _ in held]
        for state, length in zip(self.states, held, strict=True):
            state.extend(entries[:length])
        world = HopEnvironment(os.urandom, clock=lambda: ROUND * 2.0)
        last = LaterHop(KEYS.chain, 2, KEYS.identities[2], self.states[1], world, None)
        middle = LaterHop(KEYS.chain, 1, KEYS.identities[1], self.states[0], world, last)
        keyring = EpochKeyring(KEYS.chain, 0, KEYS.identities[0])
        self._preparer = Preparer(KEYS.chain, KEYS.identities[0], keyring, middle)

    def prepare(self, start: int, length: int, directory: Directory = DIRECTORY) -> Ready:
        raw = [entry.raw for entry in directory.entries]
        increment = Increment(start, tuple(raw[start:length]), directory.digests[length])
        place = Place(ROUND, ROUND, NOTHING_BEFORE)
        return self._preparer.prepare(place, increment, raw, float("inf"))

    @property
    def lengths(self) -> list[int]:
        return [state.witnessed.length for state in self.states]


@pytest.fixture(autouse=True)
def small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the directory had hundreds of times as many people."""
    monkeypatch.setattr(iirs.server.hops.preparer, "ENTRIES_MAX", 2)


def test_all_hops_sign_the_next_entries() -> None:
    hops = Hops(3, 3)
    ready = hops.prepare(3, 5)
    ready.head.verify(KEYS.chain)
    assert (ready.head.length, ready.head.digest) == (5, DIRECTORY.digests[5])
    assert hops.lengths == [5, 5]
    hops.prepare(3, 5).head.verify(KEYS.chain)  # the same again, after a round that was not announced


@pytest.mark.parametrize("held", [(0, 7), (7, 0), (0, 0), (1, 5), (5, 1), (7, 6), (2, 7), (6, 0)], ids=str)
def test_hops_that_have_fallen_behind_are_helped_up_whichever_they_are(held: tuple[int, int]) -> None:
    """Fixed: a part of what one of them lacked was refused by the other, who held more, for ever."""
    hops = Hops(*held)
    ready = hops.prepare(7, 7)
    ready.head.verify(KEYS.chain)
    assert ready.head.length == 7
    assert hops.lengths == [7, 7]


@pytest.mark.parametrize("held", [(5, 5), (5, 3), (5, 0), (4, 7)], ids=str)
def test_a_directory_that_was_cut_is_not_signed(held: tuple[int, int]) -> None:
    with pytest.raises(HopError, match="hop 1 does not sign this directory"):
        Hops(*held).prepare(3, 3)


@pytest.mark.parametrize("held", [(3, 5), (0, 5)], ids=str)
def test_the_hop_that_does_not_sign_is_named(held: tuple[int, int]) -> None:
    with pytest.raises(HopError, match="hop 2 does not sign this directory"):
        Hops(*held).prepare(3, 3)


@pytest.mark.parametrize("held", [(5, 5), (5, 0), (0, 5)], ids=str)
def test_a_directory_that_was_written_anew_is_not_signed(held: tuple[int, int]) -> None:
    """Of the same length or longer: what a hop signs is what it holds, and the entry sees that it differs."""
    other = make_directory(KEYS.chain, *reversed(NAMES))
    for start in (5, 7):
        with pytest.raises(HopError, match="makes no sense"):
            Hops(*held).prepare(start, 7, other)


# -- epochs -------------------------------------------------------------------------------------------------


class Answering:
    """In place of the hop behind: refuses as told, and remembers for which epochs it was asked."""

    def __init__(self, *refusals: Refusal) -> None:
        self._refusals = list(refusals)
        self.asked: list[int] = []

    def prepare(self, request: Prepare, give_up_at: float) -> Prepared:
        self.asked.append(request.setup_round)
        raise RefusedError(2, self._refusals.pop(0))


def asked_for(*refusals: Refusal, place: Place) -> tuple[list[int], Refusal]:
    """Return for which epochs the hop behind was asked, and what came of it."""
    behind = Answering(*refusals)
    keyring = EpochKeyring(KEYS.chain, 0, KEYS.identities[0])
    preparer = Preparer(KEYS.chain, KEYS.identities[0], keyring, behind)  # type: ignore[arg-type]
    with pytest.raises(RefusedError) as caught:
        preparer.prepare(place, Increment(7, (), DIRECTORY.digests[7]), RAW, float("inf"))
    assert not behind._refusals
    return behind.asked, caught.value.refusal


PLAIN = Place(ROUND, ROUND - 3, bytes(32))


def test_where_circuits_are_gone_the_same_round_is_prepared_as_a_setup_once() -> None:
    asked = asked_for(Refusal.CIRCUITS, Refusal.RATION, place=PLAIN)
    assert asked == ([ROUND - 3, ROUND], Refusal.RATION)
    assert asked_for(Refusal.CIRCUITS, place=PLAIN.as_setup()) == ([ROUND], Refusal.CIRCUITS)


@pytest.mark.parametrize("refusal", [refusal for refusal in Refusal if refusal is not Refusal.CIRCUITS])
def test_for_no_other_reason_is_a_setup_asked_for(refusal: Refusal) -> None:
    """Each costs people who talk some of their privacy."""
    assert asked_for(refusal, place=PLAIN) == ([ROUND - 3], refusal)


def test_a_hop_in_the_middle_that_has_circuits_makes_a_key_for_the_setup_that_another_needs() -> None:
    hops = Hops(7, 7)
    hops.prepare(7, 7)
    raw, increment = RAW, Increment(7, (), DIRECTORY.digests[7])
    ready = hops._preparer.prepare(PLAIN, increment, raw, float("inf"))
    assert ready.place == PLAIN.as_setup()
    assert {key.first_round for key in ready.keys[1:]} == {ROUND}
