"""Where any thread leaves records for the spool's own thread: bounded, never blocking, counting what it gives up."""

import threading
from collections import deque
from collections.abc import Callable

from edge.spool.record import RANKS, Record

__all__ = ["Inbox"]


class Inbox:
    """Records in the order of arrival. It fills up only when the disk hangs: then the lowest rank's oldest goes.

    `came` counts what was ever put in and not given up here, `drained` how far that had come when it was last emptied.
    """

    def __init__(self, *, max_bytes: int, wake: Callable[[], None] = lambda: None) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._queues: dict[int, deque[Record]] = {rank: deque() for rank in RANKS}
        self._bytes = 0
        self._row = 0
        self._lost: list[Record] = []
        self.came = 0
        self.drained = 0
        self.wake = wake

    def start_after(self, row: int) -> None:
        """Goes on counting after the rows that the disk already has."""
        with self._lock:
            self._row = max(self._row, row)

    def next_row(self) -> int:
        """A number in the order of arrival."""
        with self._lock:
            self._row += 1
            return self._row

    def put(self, record: Record) -> None:
        """Takes a record; may give up one of a lower rank, or this one."""
        with self._lock:
            self._row += 1
            record.row = self._row
            self._queues[record.rank].append(record)
            self._bytes += record.size
            self.came += 1
            while self._bytes > self._max_bytes:
                lost = next(q for q in self._queues.values() if q).popleft()
                self._bytes -= lost.size
                self.came -= 1
                self._lost.append(lost)
        self.wake()

    def drain(self) -> tuple[list[Record], list[Record]]:
        """Empties it: what came, in order, and what was given up."""
        with self._lock:
            came = [record for queue in self._queues.values() for record in queue]
            for queue in self._queues.values():
                queue.clear()
            lost, self._lost, self._bytes = self._lost, [], 0
            self.drained = self.came
        came.sort(key=lambda r: r.row)
        return came, lost

    @property
    def last_row(self) -> int:
        """The newest number that was given."""
        return self._row
