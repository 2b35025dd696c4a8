"""Attacks on cells by hops that do not do what they should: each fails, and succeeds with one defence off.

Hop 1 of three is honest; the entry and the last hop are one adversary. Whole worlds of people whose cells are
meddled with are in ``tests/test_worlds.py``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from iirs.circuit import Way, initial_block
from iirs.errors import HopError
from iirs.server.hops import later_hop
from iirs.server.hops.mix_hop import MixHop
from iirs.server.mix_stage import Batch
from iirs.wire.rounds import RoundStatus
from tests.attack_chain import FORCED_OFF, Attack, accept_again, block_of, change_cells
from tests.lab_hops import NOTHING, PassesOnMissing, Tagged, authenticate_cells, heal_nothing
from tests.open_chain import CELL, FIRST_ROUND

NEXT = FIRST_ROUND + 1


def set_up(attack: Attack) -> Attack:
    attack.run()
    return attack


# -- on the way back ----------------------------------------------------------------------------------------


def answers_recognised(attack: Attack) -> dict[bytes, int]:
    """Return where in the entry's batch the entry recognises what the last hop gave back, by drop."""
    attack.run()
    at_the_entry = attack.chain.taps[0].answers[-1]
    given = zip(attack.secrets(), attack.chain.taps[1].answers[-1], strict=True)
    return {
        drop: attack.chain.orders[0][-1][place]
        for (_, drop), answer in given
        for place, reply in enumerate(at_the_entry)
        if answer == reply
    }


def test_a_reply_marked_by_the_last_hop_is_not_recognised_by_the_entry() -> None:
    assert answers_recognised(Attack()) == {}


def test_it_is_if_hops_put_no_layer_on_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    real = MixHop._apply

    def one_way(mix: MixHop, number: int, way: Way, cells: Sequence[bytes]) -> list[bytes]:
        return real(mix, number, way, cells) if way is Way.FORWARD else list(cells)

    monkeypatch.setattr(MixHop, "_apply", one_way)
    attack = Attack()
    recognised = answers_recognised(attack)
    assert {recognised[drop] for drop in attack.alices_drops} <= {0, 1, 2, 3}  # alice's circuits, and bob's


# -- replay -------------------------------------------------------------------------------------------------


def changed(item: bytes) -> bytes:
    return bytes([item[0] ^ 1]) + item[1:]


def cells_run_twice(attack: Attack) -> set[bytes]:
    """Run a round's cells again, alice's with one bit changed; return the drops where that bit is seen."""
    first = attack.chain.taps[0].cells[-1]
    before = attack.chain.taps[1].cells[-1].items
    items = list(first.items)
    for place in attack.places("alice"):
        items[place] = changed(items[place])
    accept_again(attack, 2)
    attack.chain.hops[1].exchange(replace(first, items=items))
    again = attack.chain.taps[1].cells[-1].items
    return attack.drops_of({cell for cell, was in zip(again, before, strict=True) if cell == changed(was)})


@pytest.mark.parametrize("number", [FIRST_ROUND, NEXT])
def test_a_hop_runs_a_rounds_cells_once(number: int) -> None:
    attack = set_up(Attack())
    if number > FIRST_ROUND:
        attack.run(number)
    with pytest.raises(HopError, match="round that is over"):
        cells_run_twice(attack)


def test_if_it_runs_them_twice_one_key_stream_gives_out_whose_cells_go_where() -> None:
    attack = set_up(Attack())
    attack.run(NEXT)
    accept_again(attack, 1)
    assert cells_run_twice(attack) == attack.alices_drops


def test_nor_does_it_run_those_of_a_round_before_or_beyond_its_epoch() -> None:
    attack = set_up(Attack())
    attack.run(NEXT)
    for number in (FIRST_ROUND - 1, FIRST_ROUND, NEXT):
        context = replace(attack.context, round_number=number)
        with pytest.raises(HopError, match="round that is over"):
            attack.chain.hops[1].exchange(replace(attack.chain.taps[0].cells[-1], context=context))
    beyond = attack.chain.place.setup_round + attack.chain.chain.epoch_rounds
    asked = replace(attack.chain.place, round_number=beyond).ask(0)
    with pytest.raises(HopError, match="no circuits for this epoch"):
        attack.chain.hops[1].prepare(asked, 1e9)


def cell_replayed(attack: Attack) -> set[bytes]:
    """Send alice's cells of the round before again; return the drops to which the very same goes again."""
    attack.run()
    before, old = set(attack.chain.taps[1].cells[-1].items), attack.came("alice", CELL)
    change_cells(attack, ("alice",), lambda item: old.pop(0))
    attack.run(NEXT)
    return attack.drops_of(before)


def test_a_cell_of_an_earlier_round_is_another_one_in_a_later_one() -> None:
    attack = Attack()
    assert cell_replayed(attack) == set()
    assert len(attack.sizes) == 1
    assert not set(attack.back("bob")) & {None, *attack.sent["alice"]}


def test_it_is_the_same_if_rounds_have_one_key_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("iirs.circuit", "iirs.server.hops.mix_hop"):
        monkeypatch.setattr(f"{module}.initial_block", lambda number, way: initial_block(0, way))
    attack = Attack()
    assert cell_replayed(attack) == attack.alices_drops


# -- swapping -----------------------------------------------------------------------------------------------


def swap_alices_and_carols(attack: Attack) -> None:
    def swap(batch: Batch) -> Batch:
        items = list(batch.items)
        for one, other in zip(attack.places("alice"), attack.places("carol"), strict=True):
            items[one], items[other] = batch.items[other], batch.items[one]
        return replace(batch, items=items)

    attack.chain.taps[0].change = swap
    attack.run(NEXT)


def test_cells_swapped_between_two_circuits_look_like_any_others_behind_an_honest_hop() -> None:
    attack = set_up(Attack())
    counts = len(attack.chain.taps[1].cells[-1].items)
    swap_alices_and_carols(attack)
    left = attack.chain.taps[1].cells[-1].items
    assert len(left) == len(set(left)) == counts
    assert {len(cell) for cell in left} == {len(NOTHING)}
    assert not set(left) & set(attack.chain.taps[0].cells[-1].items)
    assert not set(attack.back("bob")) & {None, *attack.sent["alice"], *attack.sent["carol"]}
    assert len(attack.sizes) == 1


def test_they_are_seen_if_cells_are_authenticated(monkeypatch: pytest.MonkeyPatch) -> None:
    authenticate_cells(monkeypatch)
    attack = set_up(Attack(FORCED_OFF))
    assert not_fitting(attack) == set()
    swap_alices_and_carols(attack)
    assert not_fitting(attack) == attack.alices_drops | set(attack.drops["carol"])


def not_fitting(attack: Attack) -> set[bytes]:
    """Return the drops of the circuits whose cells the last hop cannot open."""
    pairs = zip(attack.secrets(), attack.chain.taps[1].cells[-1].items, strict=True)
    return {drop for (secret, drop), cell in pairs if not Tagged(secret).fits(block_of(attack), cell)}


# -- more or fewer cells than places ------------------------------------------------------------------------


def last_two_missing(items: list[bytes]) -> list[bytes]:
    return items[:-2]


def two_more(items: list[bytes]) -> list[bytes]:
    return [*items, *items[:2]]


def two_cut_off(items: list[bytes]) -> list[bytes]:
    return [*items[:-2], *(item[:-1] for item in items[-2:])]


def alice_last(count: int) -> list[int]:
    return [*range(2, count), 0, 1]


def other_cells(attack: Attack, alter: object) -> None:
    """Pass on other cells than there are places; alice's are the last, as the entry has it."""
    attack.run()
    attack.chain.taps[0].change = lambda batch: replace(batch, items=alter(list(batch.items)))  # type: ignore[operator]
    attack.open(NEXT)
    attack.close(attack.uploads())


@pytest.mark.parametrize("alter", [last_two_missing, two_more, two_cut_off])
def test_with_more_or_fewer_cells_than_places_the_round_is_lost_for_all_alike(alter: object) -> None:
    attack = Attack(permutes={0: alice_last})
    other_cells(attack, alter)
    assert attack.outcome.lost
    assert {replies.status for replies in attack.outcome.replies.values()} == {RoundStatus.LOST}
    assert len({replies.cells for replies in attack.outcome.replies.values()}) == 1
    assert len(attack.chain.taps[1].cells) == 1  # the round before
    with pytest.raises(HopError, match="round that is over"):  # nor is it tried again
        attack.chain.hops[1].exchange(Batch(attack.context, CELL, attack.chain.taps[0].cells[0].items))
    attack.chain.taps[0].change = lambda batch: batch
    attack.run(NEXT + 1)
    assert attack.back("alice") == attack.sent["bob"]


class MakesUpForMissing(PassesOnMissing):
    """Goes on with what it got, and passes on as missing what is missing."""

    def exchange(self, batch: Batch) -> list[bytes]:
        missing = len(self._layers) - len(batch.items)
        return super().exchange(replace(batch, items=[*batch.items, *[NOTHING] * missing]))


def test_a_hop_that_went_on_with_fewer_would_show_whose_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later_hop, "MixHop", MakesUpForMissing)
    attack = Attack(permutes={0: alice_last})
    other_cells(attack, last_two_missing)
    assert attack.plain_drops() == attack.alices_drops


# -- her setup, and none of her cells -----------------------------------------------------------------------


def no_cells_of_alices(attack: Attack) -> set[bytes]:
    """Let alice's setup through and none of her cells, for an epoch; return the drops of what stands out."""
    change_cells(attack, ("alice",), lambda item: NOTHING)
    seen: Counter[bytes] = Counter()
    found = set()
    for number in range(FIRST_ROUND, FIRST_ROUND + attack.chain.chain.epoch_rounds):
        attack.run(number)
        seen.update(attack.chain.taps[1].cells[-1].items)
        found |= attack.plain_drops()
        assert len(attack.sizes) == 1
        assert not set(attack.back("bob")) & set(attack.sent["alice"])
    return found | attack.drops_of({cell for cell, times in seen.items() if times > 1})


@pytest.mark.parametrize("talk", [True, False])
def test_whoever_lets_a_clients_setup_through_and_none_of_her_cells_sees_nothing_of_it_behind(
    *, talk: bool
) -> None:
    attack = Attack(talk=talk)
    assert no_cells_of_alices(attack) == set()
    accesses = attack.drops_seen()
    assert all(accesses[drop] == 2 for drop in attack.alices_drops)


def test_he_sees_where_she_is_if_nothing_is_healed(monkeypatch: pytest.MonkeyPatch) -> None:
    heal_nothing(monkeypatch)
    attack = Attack()
    assert no_cells_of_alices(attack) == attack.alices_drops


def test_random_cells_in_her_place_are_no_better_than_none() -> None:
    attack = set_up(Attack())
    change_cells(attack, ("alice",), lambda item: os.urandom(len(item)))
    attack.run(NEXT)
    made_up = set(attack.came("alice", CELL))
    assert attack.drops_of(made_up) == attack.plain_drops() == set()
