"""What can be counted at the last hop when somebody interferes at a setup, and what stands against it.

The entry and the last hop of three are one adversary, and hop 1 is honest. ``tests/test_privacy_meter.py``
has the account of many setups.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product

import pytest

from iirs.client.sync import DeadDropSync, patience_for
from iirs.errors import OnionError
from iirs.geometry import CELL_SIZE
from iirs.message import Direction, PeerMessage
from iirs.noise import Noise
from iirs.server.deaddrop import ACCESSES, DeadDrop
from tests.attack_chain import FORCED_OFF, Attack
from tests.open_chain import CELL, FIRST_ROUND, idle

Counts = tuple[int, int]
"""Singles and pairs."""

# -- everybody but alice blocked --------------------------------------------------------------------------


def only_alice(noise: Noise, *, talk: bool) -> Counts:
    """Pass on nobody's setup but alice's; return the singles and pairs that the last hop counts.

    What the entry and the last hop add themselves they know: here it is nothing.
    """
    attack = Attack(noise, talk=talk)
    attack.chain.taps[0].change = lambda batch: replace(
        batch,
        items=[
            item if batch.kind is CELL or place in attack.places("alice") else os.urandom(len(item))
            for place, item in enumerate(batch.items)
        ],
    )
    attack.run()
    accesses = Counter(attack.drops_seen().values())
    assert accesses.keys() <= {1, 2}
    drawn = attack.chain.noise[1][-1]
    return accesses[1] - drawn.singles, accesses[2] - drawn.pairs


@pytest.mark.parametrize("noise", [FORCED_OFF, Noise(10, 3, forced=True)])
def test_whoever_lets_only_alice_through_gets_two_singles_if_she_talks_and_a_pair_if_not(
    noise: Noise,
) -> None:
    """Besides the noise. Without noise that is all there is, and it gives her away every time."""
    for _ in range(3):
        assert only_alice(noise, talk=True) == (2, 0)
        assert only_alice(noise, talk=False) == (0, 1)


NOBODY = (("a", "a"), ("b", "b"), ("c", "c"))
WITH_BOB = (("x", "y"), ("x", "y"), ("c", "c"))
WITH_CAROL = (("x", "y"), ("b", "b"), ("x", "y"))


@pytest.mark.parametrize(("one", "other"), [(NOBODY, WITH_BOB), (NOBODY, WITH_CAROL), (WITH_BOB, WITH_CAROL)])
def test_whichever_onions_are_blocked_one_conversation_changes_two_singles_and_a_pair_at_most(
    one: tuple[tuple[str, ...], ...], other: tuple[tuple[str, ...], ...]
) -> None:
    """Counted for every choice of what to block: there is nothing better than to let only alice through."""

    def counts(people: tuple[tuple[str, ...], ...], passed: Sequence[bool]) -> Counts:
        drops = Counter(drop for drop, let in zip(sum(people, ()), passed, strict=True) if let)
        accesses = Counter(drops.values())
        return accesses[1], accesses[2]

    changes = set()
    for passed in product((False, True), repeat=6):
        (singles, pairs), (other_singles, other_pairs) = counts(one, passed), counts(other, passed)
        changes.add((singles - other_singles, pairs - other_pairs))
    assert changes == {(0, 0), (2, -1), (-2, 1)}


TALKING, IDLE = (2, 0), (0, 1)
"""What alice alone adds to singles and pairs."""


@cache
def chances(mean: int, scale: float) -> list[float]:
    """Return the chance of each value of ``max(0, mean + L(scale))``, as far as a float can tell."""
    decay = math.exp(-1 / scale)
    above = [
        (1 - decay) / (1 + decay) * decay ** abs(value - mean) for value in range(1, mean + int(40 * scale))
    ]
    return [decay**mean / (1 + decay), *above]


def chance(noise: Noise, real: Counts, seen: Counts) -> float:
    """Return how likely it is to count ``seen`` singles and pairs with ``real`` ones among the noise."""
    tables = chances(noise.mu, noise.b), chances(noise.mu // 2, noise.b / 2)
    drawn = [count - own for count, own in zip(seen, real, strict=True)]
    return math.prod(
        table[value] if 0 <= value < len(table) else 0.0 for table, value in zip(tables, drawn, strict=True)
    )


def excess(noise: Noise, one: Counts, other: Counts, epsilon: float) -> float:
    """Return by how much some event exceeds ``exp(epsilon)`` times its chance in the other world."""
    singles, pairs = chances(noise.mu, noise.b), chances(noise.mu // 2, noise.b / 2)
    more = 0.0
    for single, p in enumerate(singles):
        for pair, q in enumerate(pairs):
            if p * q > 1e-16:
                seen = (single + one[0], pair + one[1])
                more += max(0.0, p * q - math.exp(epsilon) * chance(noise, other, seen))
    return more


settings = pytest.mark.parametrize("noise", [Noise(20, 4), Noise(60, 8)])
both_ways = pytest.mark.parametrize(("one", "other"), [(TALKING, IDLE), (IDLE, TALKING)])


@settings
@both_ways
def test_what_the_noise_costs_in_such_a_round_is_epsilon_and_delta_at_most(
    noise: Noise, one: Counts, other: Counts
) -> None:
    """Computed from the chances, not sampled."""
    assert excess(noise, one, other, noise.epsilon) <= noise.delta
    assert excess(noise, one, other, noise.epsilon / 2) > noise.delta  # and it is not much less


@settings
def test_for_a_person_in_two_conversations_at_once_it_costs_twice_as_much(noise: Noise) -> None:
    one, other = (4, 0), (0, 2)
    assert excess(noise, one, other, noise.epsilon) > noise.delta
    assert excess(noise, one, other, 2 * noise.epsilon) <= noise.delta * (1 + math.exp(noise.epsilon))


DRAWS = 10_000
MARGIN = math.sqrt(math.log(2 / 1e-6) / 2 / (2 * DRAWS))
"""What luck adds to the share of right guesses with a chance of one in a million (Hoeffding)."""


def guessed_right(noise: Noise, drawn: Noise) -> float:
    """Return how often the likelier world is the true one, if hop 1 draws its noise as ``drawn`` says."""
    right = 0.0
    for real in (TALKING, IDLE):
        for _ in range(DRAWS):
            count = drawn.draw(os.urandom)
            seen = (count.singles + real[0], count.pairs + real[1])
            one, other = chance(noise, TALKING, seen), chance(noise, IDLE, seen)
            right += 0.5 if one == other else (one > other) == (real == TALKING)
    return right / (2 * DRAWS)


def test_the_best_guess_is_hardly_better_than_a_coin_with_noise_and_always_right_without() -> None:
    noise = Noise(1000, 48)  # what an ordinary machine carries
    best = 1 / (1 + math.exp(-noise.epsilon)) + noise.delta
    assert best < 0.53
    assert guessed_right(noise, noise) <= best + MARGIN
    assert guessed_right(noise, FORCED_OFF) == 1.0


# -- a third access ---------------------------------------------------------------------------------------


def in_order(count: int) -> list[int]:
    return list(range(count))


def third_access(order: Sequence[int] = (0, 1, 2)) -> Attack:
    """Have carol's first circuit lead to alice's and bob's first drop.

    The last hop hears of alice's, bob's and carol's in this order; hops do not mix, so that it can be said.
    """
    places = [2 * place for place in order] + [1, 3, 5]
    attack = Attack(FORCED_OFF, permutes={0: lambda _: places, 1: in_order, 2: in_order})
    drops = attack.choose_drops()
    drops["carol"] = [drops["alice"][0], idle()[0]]
    attack.open()
    attack.close(attack.uploads(drops))
    return attack


def firsts(attack: Attack) -> list[bytes]:
    return [attack.sent[name][0] for name in ("alice", "bob", "carol")]


def test_a_third_access_to_a_drop_gets_random_bytes_and_changes_nothing_for_the_first_two() -> None:
    """All through the epoch."""
    attack = third_access()
    for number in (FIRST_ROUND, FIRST_ROUND + 1):
        if number > FIRST_ROUND:
            attack.run(number)
        alices, bobs, carols = firsts(attack)
        assert not attack.outcome.lost
        assert len(attack.sizes) == 1
        assert attack.back("alice")[0] == bobs
        assert attack.back("bob")[0] == alices
        got = attack.back("carol")[0]
        assert got is not None
        assert len(got) == CELL_SIZE
        assert got not in (alices, bobs, carols)


def test_one_that_the_shuffle_puts_first_gets_a_sealed_message_and_costs_one_of_the_two_hers() -> None:
    """The limit of that defence: whoever knows a drop's id can take messages out of it, for an epoch."""
    attack = third_access(order=(2, 0, 1))
    alices, bobs, carols = firsts(attack)
    assert not attack.outcome.lost
    assert len(attack.sizes) == 1
    assert attack.back("carol")[0] == alices
    assert attack.back("alice")[0] == carols
    assert attack.back("bob")[0] not in (None, alices, bobs, carols)


def shared_by_all(drop: DeadDrop) -> list[int]:
    return [*drop.places[1:], drop.places[0]]


def first_two_only(drop: DeadDrop) -> list[int]:
    if len(drop.places) > ACCESSES:
        raise OnionError("a third access")
    return shared_by_all(drop)


def test_a_third_access_that_counts_turns_the_others_messages_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DeadDrop, "partners", shared_by_all)
    attack = third_access()
    alices, _, carols = firsts(attack)
    assert attack.back("bob")[0] == carols
    assert attack.back("carol")[0] == alices


def test_a_third_access_that_is_an_error_tells_that_there_is_a_conversation_and_ends_everybodys_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DeadDrop, "partners", first_two_only)
    attack = third_access()
    assert attack.outcome.lost
    assert attack.back("alice") == attack.back("bob") == [None, None]


# -- who posts at which setup ------------------------------------------------------------------------------

EPOCH = 4
Decide = Callable[[DeadDropSync, int], bool]
"""Whether somebody's circuits of a setup round lead to the shared drops."""


def by_its_number(sync: DeadDropSync, setup_round: int) -> bool:
    return sync.is_posting(setup_round)


def by_the_round_before(sync: DeadDropSync, setup_round: int) -> bool:
    """As if what counted were whether patience lasted when the round before was over."""
    return sync.is_posting(setup_round - 1)


def setups_of_two(decide: Decide, deaf: Sequence[bool], deaf_from: int) -> Iterator[Counts]:
    """Return the counts of each setup of two who talk, and renew their secret; who is deaf hears no more."""
    root = os.urandom(32)
    syncs = [DeadDropSync.start(root, role, FIRST_ROUND + 1, patience_for(EPOCH)) for role in Direction]
    posts = [False, False]
    ids: list[tuple[bytes, ...]] = [(), ()]
    for number in range(FIRST_ROUND + 1, deaf_from + 4 * EPOCH + 14):
        sets_up = number % EPOCH == 0
        if sets_up:
            posts = [decide(sync, number) for sync in syncs]
        keys = [sync.take_round(number, sets_up=sets_up) for sync in syncs]
        if sets_up:
            ids = [made.drop_ids for made in keys]
            accesses = Counter(ids[0] * posts[0] + ids[1] * posts[1])
            covers = posts.count(False)  # each is a drop with two accesses
            counted = Counter(accesses.values())
            yield counted[1], counted[2] + covers
        said = [sync.stamp(PeerMessage()) for sync in syncs]
        meet = all(posts) and ids[0] == ids[1] and keys[0].keys_out[0] == keys[1].keys_in[0]
        for listener, sync in enumerate(syncs):
            if meet and not (deaf[listener] and number >= deaf_from):
                sync.heard(number, said[1 - listener])


def all_counts(decide: Decide) -> Iterator[Counts]:
    """Give all counts there are, whoever is made deaf, and whenever."""
    cases = product([(True, False), (False, True), (True, True)], range(FIRST_ROUND + 2, FIRST_ROUND + 40))
    for deaf, start in cases:
        yield from setups_of_two(decide, deaf, start)


TOGETHER_OR_APART = (0, 2)
"""Two drops with two accesses each: those of a conversation, or two people's cover."""
ONE_ALONE = (2, 1)


def test_whatever_the_two_hear_they_post_to_the_same_drops_or_one_of_them_does() -> None:
    """So that blocking changes two singles and a pair, and no more."""
    assert set(all_counts(by_its_number)) == {TOGETHER_OR_APART, ONE_ALONE}


def test_decided_by_another_moment_than_the_setup_it_could_be_four_singles_and_two_pairs() -> None:
    assert (4, 0) in all_counts(by_the_round_before)
