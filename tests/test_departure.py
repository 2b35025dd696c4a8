"""When a client that quits disconnects: by what was announced alone, and so at the same time as everybody."""

from __future__ import annotations

import pytest

from iirs.client.conversation import HANG_UP_ROUNDS
from iirs.client.departure import Departure, ticks_to_leave
from iirs.wire.rounds import NOTHING_BEFORE, Announcement, RoundFlags
from tests.builders import make_chain, make_directory

KEYS = make_chain(1)
HEAD = KEYS.head(make_directory(KEYS.chain, "alice"))
QUIT = 1000


def shown(number: int, setup_round: int) -> Announcement:
    return Announcement(NOTHING_BEFORE, number, setup_round, RoundFlags.NONE, 1000, 5, 1, (), HEAD, 0, ())


def leaves_at(epoch_rounds: int, setups: set[int], standbys: set[int] = frozenset()) -> tuple[int, int]:  # type: ignore[assignment]
    """Return the round and the tick with which whoever quit in ``QUIT`` leaves; ``standbys`` are ticks."""
    departure = Departure(QUIT, epoch_rounds)
    number, setup_round = QUIT, max((at for at in setups if at <= QUIT), default=QUIT)
    for tick in range(1, 500):
        if tick in standbys:
            departure.tick(None)
        else:
            number += 1
            setup_round = number if number in setups else setup_round
            departure.tick(shown(number, setup_round))
        if departure.is_over:
            return number, tick
    raise AssertionError("never")


def test_with_one_server_it_takes_seven_ticks_whatever_they_are() -> None:
    every = set(range(QUIT, QUIT + 500))
    assert ticks_to_leave(1) == 7
    assert leaves_at(1, every) == (QUIT + 7, 7)
    assert leaves_at(1, every, set(range(1, 500))) == (QUIT, 7)
    assert leaves_at(1, every, {2, 3}) == (QUIT + 5, 7)


@pytest.mark.parametrize("epoch_rounds", [2, 4, 10, 120])
def test_in_a_chain_it_is_three_rounds_after_the_first_setup_that_is_four_rounds_away(
    epoch_rounds: int,
) -> None:
    for first in range(1, epoch_rounds + 1):
        setups = set(range(QUIT + first, QUIT + 500, epoch_rounds))
        setup = min(number for number in setups if number >= QUIT + 4)
        assert leaves_at(epoch_rounds, setups)[0] == setup + 3 <= QUIT + ticks_to_leave(epoch_rounds)
        forced = leaves_at(epoch_rounds, setups | {QUIT + 5})[0]
        assert forced == min(setup, QUIT + 5) + 3


def test_while_there_are_no_rounds_the_number_of_ticks_is_the_bound() -> None:
    for epoch_rounds in (1, 4, 10):
        nothing = set(range(1, 500))
        assert leaves_at(epoch_rounds, set(), nothing) == (QUIT, ticks_to_leave(epoch_rounds))
        assert ticks_to_leave(epoch_rounds) == 2 * HANG_UP_ROUNDS + epoch_rounds


def test_a_setup_round_that_was_left_out_is_not_waited_for() -> None:
    """Rounds that have fallen behind jump, over setups too: what begins next is one."""
    departure = Departure(QUIT, 10)
    departure.tick(shown(QUIT + 50, QUIT + 50))
    assert not departure.is_over
    departure.tick(shown(QUIT + 90, QUIT + 90))
    assert departure.is_over
