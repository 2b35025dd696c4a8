"""When rounds open and close."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from iirs.server.accounts.database import Storage
from iirs.server.keystore import ChainOptions, make_keys
from iirs.server.service import Service
from iirs.server.settings import ServiceSettings

PERIOD = 2.0


@pytest.fixture
def service() -> Iterator[Service]:
    storage = Storage("sqlite://")
    service = Service(make_keys(ChainOptions(round_seconds=PERIOD)), storage, ServiceSettings())
    service._paced = True
    yield service
    storage.close()


@pytest.mark.parametrize("until_next_tick", [0.05, 0.4, 0.9, 1.1, 1.5, 1.95])
def test_a_round_stays_open_until_the_next_tick_that_is_half_a_round_away(
    service: Service, until_next_tick: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    service._first_tick = now + until_next_tick - 7 * PERIOD
    expected = until_next_tick if until_next_tick > PERIOD / 2 else until_next_tick + PERIOD
    assert service._seconds_to_collect() == pytest.approx(expected)


def test_a_tick_that_comes_too_soon_after_a_late_one_closes_nothing(service: Service) -> None:
    ran: list[bool] = []
    service.run_round = lambda: ran.append(True)  # type: ignore[method-assign]
    service._closes_at = time.monotonic() + 1000 * PERIOD
    service._tick()
    assert ran == []
    service._closes_at = time.monotonic() + 0.01
    service._tick()
    assert ran == [True]
