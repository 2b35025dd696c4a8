"""When uploads leave, as somebody on the line sees it, beside the moments planned for them.

A wiretap stamps the last byte of an announcement's write and the first byte of the upload that answers
it; no clock of the client's is believed. What the client owes that observer is the time it planned
between the two, so an upload is as late as the time between them is longer: a reader that noted the
announcement late shows as well as a sender that woke up late. The margin is drawn once a connection:
within one it says nothing.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from iirs.client.server_connection import ServerConnection
from iirs.demo.wiretap import Burst, TrafficDirection
from iirs.wire.rounds import Announcement


@dataclass(frozen=True, slots=True)
class Planned:
    """One round as the client planned it, in monotonic seconds, which all processes of a machine share."""

    world: str
    arrived: float
    """When the client noted that the announcement was there."""
    moment: float
    step: float
    """What is not ready leaves a whole number of these later."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One round as the line saw it."""

    world: str
    late: float | None
    """Seconds by which the time from announcement to upload was longer than planned; ``None``: no upload."""
    step: float

    @property
    def stepped(self) -> bool:
        """Whether it left, but was not ready in time, and so a step later."""
        return self.late is not None and abs(self.late) > 0.75 * self.step


def watch_plans(connection: ServerConnection, world: Callable[[], str]) -> list[Planned]:
    """Return a list that gets each round this connection plans from now on, under the world it belongs to."""
    plans: list[Planned] = []
    honest = connection._plan

    def noted(announcement: Announcement, arrived_at: float) -> None:
        honest(announcement, arrived_at)
        timetable = connection._timetable
        assert timetable is not None
        plans.append(Planned(world(), arrived_at, timetable.send_at, timetable.step))

    connection._plan = noted  # type: ignore[method-assign]
    return plans


def seen_by_the_line(plans: Sequence[Planned], bursts: Sequence[Burst]) -> list[Upload]:
    """Put the uploads that a wiretap saw beside their plans; that of the last plan may be still to come."""
    newest = max(burst.connection for burst in bursts)
    session = [burst for burst in bursts if burst.connection == newest]
    starts = [burst.started for burst in session]
    uploads = []
    for plan, following in pairwise(plans):
        place = bisect_right(starts, plan.arrived)
        late = None
        if 0 < place < len(session) and starts[place] < following.arrived:
            announced, upload = session[place - 1], session[place]
            if (announced.direction, upload.direction) == (TrafficDirection.DOWN, TrafficDirection.UP):
                late = (upload.started - announced.ended) - (plan.moment - plan.arrived)
        uploads.append(Upload(plan.world, late, plan.step))
    return uploads


def sign_test(more: int, all_of_them: int) -> float:
    """Return how probable it is that a fair coin falls so often on one side, or more often."""
    return sum(math.comb(all_of_them, heads) for heads in range(more, all_of_them + 1)) / 2**all_of_them


def spread(values: Sequence[float]) -> float:
    """Return how far apart the 10 % and the 90 % quantile are."""
    tenths = statistics.quantiles(values, n=10)
    return tenths[-1] - tenths[0]
