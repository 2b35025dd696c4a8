"""``SteadyJobs``: what the scheduler has to do stays as far away as it is, however the wall clock is set."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from apscheduler.jobstores.memory import MemoryJobStore


class SteadyJobs(MemoryJobStore):  # type: ignore[misc]  # APScheduler comes without types
    """Interval jobs in memory that move with the wall clock, so that the monotonic one paces them.

    APScheduler waits by the monotonic clock, and then asks the wall clock what is due. If that was set back,
    nothing would be for as long. If it was set forward, or the process was halted, every tick that was missed
    would be computed, one by one, to run the last.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._ahead: float | None = None
        """By how many seconds the wall clock was ahead of the monotonic one when last asked."""

    def get_due_jobs(self, now: datetime) -> list[Any]:
        """Return the jobs that are due; ``now`` is the wall clock's time."""
        ahead = now.timestamp() - self._monotonic()
        moved = timedelta(seconds=0.0 if self._ahead is None else ahead - self._ahead)
        self._ahead = ahead
        for job in self.get_all_jobs():
            if job.next_run_time is not None:
                job.next_run_time += moved
                missed = max(0, (now - job.next_run_time) // job.trigger.interval)
                job.next_run_time += missed * job.trigger.interval
                self.update_job(job)
        due: list[Any] = super().get_due_jobs(now)
        return due
