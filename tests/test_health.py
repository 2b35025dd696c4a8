"""How the last rounds went: counted, and said so that a person knows what to make of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iirs.client.events import RoundClosed, RoundFate, RoundOpened
from iirs.client.model.chat_model import ChatModel
from iirs.client.model.round_health import HEALTH_ROUNDS, HealthLevel, RoundHealth

CLEAN, TAMPERED, LOST = RoundFate.CLEAN, RoundFate.TAMPERED, RoundFate.LOST
LOSSES_ALONE = (
    "Often that is slow Wi-Fi or a line that breaks. It can also be a server that fails, or somebody"
)
ON_PURPOSE = "A server fails, or somebody on the way drops or changes messages. What you send is repeated"


def after(*fates: RoundFate) -> RoundHealth:
    health = RoundHealth()
    for fate in fates:
        health = health.after(fate)
    return health


@given(st.lists(st.sampled_from(RoundFate), max_size=250))
def test_the_last_hundred_rounds_are_counted_and_no_others(fates: list[RoundFate]) -> None:
    health = after(*fates)
    last = [fate for fate in fates if fate is not RoundFate.NOT_YET][-HEALTH_ROUNDS:]
    assert (health.clean, health.tampered, health.lost) == tuple(map(last.count, (CLEAN, TAMPERED, LOST)))
    assert health.troubled + health.clean == len(last) == len(health.fates)


def test_a_bad_round_is_forgotten_after_a_hundred_others_and_not_before() -> None:
    health = after(TAMPERED, *[CLEAN] * (HEALTH_ROUNDS - 1))
    assert health.troubled == 1
    assert health.after(CLEAN).troubled == 0
    assert health.after(LOST).troubled == 1


def test_a_health_is_a_value_and_does_not_change() -> None:
    health = after(CLEAN)
    health.after(LOST)
    assert health == after(CLEAN)


@pytest.mark.parametrize(
    ("fates", "sentence"),
    [
        ([], ""),
        ([CLEAN], "The last round arrived intact"),
        ([LOST], "The last round did not arrive intact"),
        ([CLEAN] * 37, "All of the last 37 rounds arrived intact"),
        ([CLEAN] * 99 + [TAMPERED], "1 of the last 100 rounds did not arrive intact"),
        ([CLEAN] * 99 + [LOST], "1 of the last 100 rounds did not arrive intact"),
        ([CLEAN] * 500 + [LOST], "1 of the last 100 rounds did not arrive intact"),
        ([LOST, TAMPERED] + [CLEAN] * 35, "2 of the last 37 rounds did not arrive intact"),
        ([LOST] * 100, "100 of the last 100 rounds did not arrive intact"),
    ],
)
def test_the_count_is_said_in_plain_grammar(fates: list[RoundFate], sentence: str) -> None:
    assert after(*fates).sentence == sentence


@pytest.mark.parametrize(
    ("fates", "level", "meaning"),
    [
        ([], HealthLevel.GOOD, ""),
        ([CLEAN] * 100, HealthLevel.GOOD, ""),
        ([TAMPERED], HealthLevel.TROUBLED, ""),
        ([LOST] * 9 + [CLEAN] * 91, HealthLevel.TROUBLED, ""),
        ([LOST] * 10 + [CLEAN] * 90, HealthLevel.SERIOUS, LOSSES_ALONE),
        ([LOST] * 7 + [TAMPERED] * 3 + [CLEAN] * 90, HealthLevel.SERIOUS, LOSSES_ALONE),
        ([TAMPERED] * 10 + [CLEAN] * 90, HealthLevel.SERIOUS, ON_PURPOSE),
        ([TAMPERED] * 2 + [CLEAN] * 18, HealthLevel.TROUBLED, ""),
        ([TAMPERED] * 3 + [CLEAN] * 17, HealthLevel.SERIOUS, ON_PURPOSE),
        ([TAMPERED] * 3 + [CLEAN] * 18, HealthLevel.TROUBLED, ""),
    ],
)
def test_what_is_too_often_for_an_accident_is_explained(
    fates: list[RoundFate], level: HealthLevel, meaning: str
) -> None:
    health = after(*fates)
    assert health.level is level
    assert health.meaning.startswith(meaning)
    assert bool(health.meaning) == bool(meaning)


def test_a_window_counts_rounds_that_were_never_closed_too() -> None:
    model = ChatModel("alice")
    model.take(RoundOpened(1, 2.0, 3, 5, 2.0))
    model.take(RoundClosed(1, CLEAN))
    model.take(RoundOpened(2, 2.0, 3, 5, 2.0))
    model.take(RoundClosed(2, LOST))
    model.take(RoundOpened(3, 2.0, 3, 5, 2.0))
    assert model.health.sentence == "1 of the last 2 rounds did not arrive intact"
    assert model.round is not None
    assert not model.round.closed
