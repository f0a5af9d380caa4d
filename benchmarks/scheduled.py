"""Time as a thread would have seen it on a machine of its own.

Linux counts for each thread how long it was ready and waited for a core (/proc/PID/task/TID/schedstat,
Documentation/scheduler/sched-stats.rst). Wall time less that wait is what remains when others use the machine
as well: all of one's own work, sleep and waiting for one another, and none of theirs.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Span", "Stopwatch"]


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds: by the clock, on a core in this thread, waiting for one, and on a core in the whole process."""

    wall_s: float
    ran_s: float
    waited_s: float
    process_s: float

    @property
    def own_s(self) -> float:
        """The wall time less the wait for a core."""
        return self.wall_s - self.waited_s


class Stopwatch:
    """Measures the thread that makes it."""

    def __init__(self) -> None:
        self._path = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
        self._start = self._read()

    def span(self) -> Span:
        """Since it was made."""
        return Span(*(now - then for now, then in zip(self._read(), self._start, strict=True)))

    def _read(self) -> tuple[float, float, float, float]:
        # What it ran is in that file as well, but only as of the last tick: of a few milliseconds, a third may be missing.
        waited = int(self._path.read_text().split()[1]) / 1e9
        return time.perf_counter(), time.thread_time(), waited, time.process_time()
