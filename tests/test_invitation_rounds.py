"""When a round carries invitations: as often as asked for, and never where being late would cost an epoch."""

from __future__ import annotations

from itertools import pairwise

import pytest

from iirs.server.announcer import carries_invitations


def invitation_rounds(epoch_rounds: int, invite_every: int, epochs: int = 12) -> list[int]:
    """Play epochs of full length; return the rounds that carried invitations, from 0."""
    found: list[int] = []
    for number in range(epochs * epoch_rounds):
        since = number - found[-1] if found else number + 1
        if carries_invitations(number % epoch_rounds, since, epoch_rounds, invite_every):
            found.append(number)
    return found


@pytest.mark.parametrize("epoch_rounds", [1, 2, 3, 4, 5, 10, 30, 120])
@pytest.mark.parametrize("invite_every", [1, 2, 3, 5, 9, 10, 11, 100])
def test_they_are_no_more_often_than_asked_for_and_stand_rightly(
    epoch_rounds: int, invite_every: int
) -> None:
    found = invitation_rounds(epoch_rounds, invite_every, epochs=max(12, 800 // epoch_rounds))
    assert found, "nobody could ever ask"
    assert all(later - earlier >= invite_every for earlier, later in pairwise(found))
    into = {number % epoch_rounds for number in found}
    if epoch_rounds > 1:
        assert epoch_rounds - 1 not in into
    if epoch_rounds > 2:
        assert 0 not in into
        assert epoch_rounds - 2 in into, "whoever meets in it begins with the next epoch"
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert max(gaps, default=0) <= invite_every + epoch_rounds


def test_in_epochs_of_ten_every_second_round_but_the_first_and_the_last_has_them() -> None:
    assert invitation_rounds(10, 2, epochs=2) == [2, 4, 6, 8, 12, 14, 16, 18]
    assert invitation_rounds(1, 2, epochs=6) == [1, 3, 5]
