"""Dead drops: exactly two swap; one gets its own back; a third disturbs nobody."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iirs.errors import OnionError
from iirs.geometry import (
    BUNDLE_STEP,
    CELL_SIZE,
    DROP_ID_SIZE,
    INVITATION_PLAIN_SIZE,
    INVITATION_SIZE,
    PEER_MESSAGE_SIZE,
)
from iirs.onion import cover_invitation
from iirs.server.deaddrop import (
    DeadDrop,
    DeadDropManager,
    DeaddropMessage,
    GarbageCollector,
)
from iirs.suite import HYBRID
from tests.effort import examples

MILLION = 1_000_000


def drop_id(number: int) -> bytes:
    return number.to_bytes(DROP_ID_SIZE)


def content(number: int) -> bytes:
    return number.to_bytes(8) * (PEER_MESSAGE_SIZE // 8)


def exchanged(drops: Sequence[int], manager: DeadDropManager | None = None) -> list[bytes]:
    """Set up an access to each drop named, and run a round in which each has contents of its own."""
    manager = manager or DeadDropManager(os.urandom)
    manager.set_up([drop_id(drop) for drop in drops])
    return manager.handle_messages([content(place) for place in range(len(drops))])


class Marked:
    """Randomness that can be recognised: no two alike, and none a content."""

    def __init__(self) -> None:
        self.given: list[bytes] = []

    def __call__(self, size: int) -> bytes:
        self.given.append(b"\xff" * 8 + len(self.given).to_bytes(8) + bytes(size - 16))
        return self.given[-1]


def naive(drops: Sequence[int]) -> list[bytes | None]:
    """Say for each access whose content it gets, by looking at all the others; ``None`` is randomness."""
    replies: list[bytes | None] = []
    for place, drop in enumerate(drops):
        same = [other for other, there in enumerate(drops) if there == drop]
        if len(same) == 1:
            replies.append(content(place))
        elif place in same[:2]:
            replies.append(content(same[1] if place == same[0] else same[0]))
        else:
            replies.append(None)
    return replies


# -- exchange -------------------------------------------------------------------------------------------


def test_alice_and_bob_swap() -> None:
    assert exchanged([7, 7]) == [content(1), content(0)]


def test_carol_alone_gets_her_own_back_and_disturbs_nobody() -> None:
    assert exchanged([7, 8, 7]) == [content(2), content(1), content(0)]


def test_a_third_access_gets_random_bytes_and_the_first_two_swap_all_the_same() -> None:
    marked = Marked()
    assert exchanged([7, 7, 7], DeadDropManager(marked)) == [content(1), content(0), *marked.given]
    assert len(marked.given) == 1


def test_later_accesses_to_one_drop_get_bytes_of_their_own_each() -> None:
    replies = exchanged([7] * 40)
    assert len(set(replies)) == 40
    assert {len(reply) for reply in replies} == {CELL_SIZE} == {PEER_MESSAGE_SIZE}


def test_a_third_access_gets_other_random_bytes_in_every_round() -> None:
    manager = DeadDropManager(os.urandom)
    manager.set_up([drop_id(7)] * 3)
    cells = [content(place) for place in range(3)]
    first, second = manager.handle_messages(cells), manager.handle_messages(cells)
    assert first[:2] == second[:2]
    assert first[2] != second[2]


def test_a_round_of_nobody_is_a_round() -> None:
    assert exchanged([]) == []


def test_who_is_with_whom_stays_for_the_epoch_and_what_they_send_for_a_round() -> None:
    manager = DeadDropManager(os.urandom)
    exchanged([7, 8, 7], manager)
    for number in (10, 20):
        sent = [content(number + place) for place in range(3)]
        assert manager.handle_messages(sent) == [sent[2], sent[1], sent[0]]


@pytest.mark.parametrize("count", [0, 2, 4])
def test_other_cells_than_accesses_are_refused_and_the_epoch_goes_on(count: int) -> None:
    manager = DeadDropManager(os.urandom)
    exchanged([7, 8, 7], manager)
    with pytest.raises(OnionError, match="other cells"):
        manager.handle_messages([content(0)] * count)
    assert manager.handle_messages([content(0), content(1), content(2)])[1] == content(1)


def test_another_setup_takes_the_place_of_the_one_before() -> None:
    manager = DeadDropManager(os.urandom)
    exchanged([7, 7, 7, 7], manager)
    assert exchanged([1, 2, 1], manager) == [content(2), content(1), content(0)]


def test_of_an_epoch_that_is_forgotten_no_pair_is_left() -> None:
    """Fixed: who was joined with whom stayed at the last hop until another setup came."""
    manager = DeadDropManager(os.urandom)
    exchanged([7, 7], manager)
    manager.forget()
    assert manager._partners == []
    with pytest.raises(OnionError, match="other cells"):
        manager.handle_messages([content(0), content(1)])


def check_against_naive(drops: list[int]) -> None:
    marked = Marked()
    replies = exchanged(drops, DeadDropManager(marked))
    random = iter(marked.given)
    expected = [next(random, b"") if reply is None else reply for reply in naive(drops)]
    assert replies == expected
    assert next(random, None) is None, "no more randomness is drawn than is handed out"


@settings(max_examples=examples(80))
@given(st.lists(st.integers(0, 12), max_size=60))
def test_the_exchange_is_what_a_naive_one_says_in_the_same_order(drops: list[int]) -> None:
    check_against_naive(drops)


def test_a_drop_that_let_a_third_access_disturb_the_others_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def last_two(self: DeadDrop) -> list[int]:
        return [self.places[-2] if place == self.places[-1] else self.places[-1] for place in self.places]

    monkeypatch.setattr(DeadDrop, "partners", last_two)
    check_against_naive([1, 1])
    with pytest.raises(AssertionError):
        check_against_naive([1, 1, 1])


def test_only_an_observer_is_handed_counts_and_ids_once_an_epoch() -> None:
    seen: list[tuple[Counter[int], list[bytes]]] = []
    manager = DeadDropManager(os.urandom, lambda counts, ids: seen.append((counts, list(ids))))
    exchanged([1, 2, 2, 3, 3, 3], manager)
    manager.handle_messages([content(0)] * 6)
    assert seen == [(Counter({1: 1, 2: 1, 3: 1}), [drop_id(1), drop_id(2), drop_id(3)])]


@pytest.mark.slow
def test_a_million_messages_are_exchanged_exactly() -> None:
    half = MILLION // 2
    contents = [number.to_bytes(8) for number in range(MILLION)]
    # Partners stand far apart: place i and place half + (i * 7 mod half), in drops that mean nothing.
    drops = [drop_id(place * 2_654_435_761) for place in range(half)]
    manager = DeadDropManager(os.urandom)
    manager.set_up(drops + [drops[place * 7 % half] for place in range(half)])
    replies = manager.handle_messages(contents)
    assert len(replies) == MILLION
    assert all(replies[half + place] is contents[place * 7 % half] for place in range(half))
    assert all(replies[place * 7 % half] is contents[half + place] for place in range(half))


@pytest.mark.parametrize(
    ("places", "partners"), [([4], [4]), ([4, 9], [9, 4]), ([4, 9, 11, 12], [9, 4, None, None])]
)
def test_the_first_two_places_of_a_drop_get_each_others_messages(
    places: list[int], partners: list[int | None]
) -> None:
    drop = DeadDrop()
    drop.places += places
    assert list(drop.partners()) == partners


def test_neither_drop_nor_content_shows_in_a_log() -> None:
    message = DeaddropMessage(b"drop" * 4, b"content!" * 128)
    assert "drop" not in repr(message).replace("DeaddropMessage", "")
    assert "content" not in repr(message)


# -- dead drop 0 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 17])
def test_dead_drop_zero_is_sorted_and_filled_up_to_a_multiple_of_eight(count: int) -> None:
    posted = [os.urandom(INVITATION_SIZE) for _ in range(count)]
    bundle = DeadDropManager(os.urandom).collect_invitations(posted)
    assert bundle == sorted(bundle)
    assert not Counter(posted) - Counter(bundle)
    assert len(bundle) % BUNDLE_STEP == 0
    assert max(count, 1) <= len(bundle) < count + BUNDLE_STEP + (count == 0)
    assert {len(invitation) for invitation in bundle} == {INVITATION_SIZE}


def test_dead_drop_zero_is_the_same_in_whatever_order_the_invitations_came() -> None:
    posted = [os.urandom(INVITATION_SIZE) for _ in range(16)]
    manager = DeadDropManager(os.urandom)
    assert manager.collect_invitations(posted) == manager.collect_invitations(posted[::-1])


def test_a_cover_invitation_is_a_seal_that_nobody_opens() -> None:
    mine = HYBRID.generate()
    cover = cover_invitation(os.urandom)
    assert len(cover) == INVITATION_SIZE == INVITATION_PLAIN_SIZE + HYBRID.overhead
    with pytest.raises(OnionError):
        HYBRID.open(mine, cover, b"")
    assert cover != cover_invitation(os.urandom)


# -- drops that outlive a round -------------------------------------------------------------------------


class Clock:
    """Time that a test owns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_was_left_can_be_collected_once() -> None:
    collector = GarbageCollector(60, Clock())
    message = DeaddropMessage(drop_id(1), content(1))
    collector.deposit(message)
    assert collector.collect(drop_id(2)) is None
    assert collector.collect(drop_id(1)) == message.content
    assert collector.collect(drop_id(1)) is None


def test_a_newer_message_takes_the_place_of_an_older_and_lives_its_own_time() -> None:
    clock = Clock()
    collector = GarbageCollector(60, clock)
    collector.deposit(DeaddropMessage(drop_id(1), content(1)))
    clock.now += 59
    collector.deposit(DeaddropMessage(drop_id(1), content(2)))
    clock.now += 59
    assert collector.collect(drop_id(1)) == content(2)


def test_what_is_too_old_is_forgotten_collected_or_not() -> None:
    clock = Clock()
    collector = GarbageCollector(60, clock)
    collector.deposit(DeaddropMessage(drop_id(1), content(1)))
    clock.now += 30
    collector.deposit(DeaddropMessage(drop_id(2), content(2)))
    assert collector.clear() == 0
    clock.now += 30
    assert collector.collect(drop_id(1)) is None
    clock.now += 30
    assert collector.clear() == 1
    assert collector.clear() == 0
