"""What waits on the disk, a page at a time: in its order, and no faster than it may."""

from collections import deque
from collections.abc import Callable, Collection, Iterable

from edge.spool.disk import Disk
from edge.spool.record import Record

__all__ = ["Backlog"]

_PAGE_ROWS = 64


class Backlog:
    """The rows after `cursor` up to `mark`; what is newer than the mark is fresh and not this class's business."""

    def __init__(self, disk: Disk, *, per_s: float, mono_s: Callable[[], float]) -> None:
        self._disk = disk
        self._per_s = per_s
        self._mono_s = mono_s
        self._page: deque[Record] = deque()
        self._cursor = 0
        self._tokens = 0.0
        self._filled_s = mono_s()
        self.mark = disk.last_row

    @property
    def more(self) -> bool:
        """Whether rows may still wait."""
        return bool(self._page) or self._cursor < self.mark

    def will_read(self, row: int) -> bool:
        """Whether a row is still to come out of here."""
        return self._cursor < row <= self.mark

    def reach(self, row: int) -> None:
        """What is on the disk now, and what waits in memory up to a row, is backlog too."""
        self.mark = max(self.mark, self._disk.last_row, row)

    def restart(self) -> None:
        """Begins again with the oldest row."""
        self._cursor = 0
        self._page.clear()

    def slow_start(self) -> None:
        """Time spent waiting for a connection buys no burst."""
        self._tokens = 0.0
        self._filled_s = self._mono_s()

    def due_s(self) -> float | None:
        """Seconds until a row may go; None when none waits."""
        if not self.more:
            return None
        self._fill()
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._per_s

    def next(
        self, unsaved: Iterable[Record], busy: Callable[[int], bool], skip: Callable[[Record], bool], *, at_once: bool
    ) -> Record | None:
        """The next row that need not be skipped, when one may go now; rows that are busy come back another way."""
        self._fill()
        while (at_once or self._tokens >= 1) and (self._page or self._turn(unsaved, busy)):
            record = self._page.popleft()
            if not skip(record):
                self._tokens = max(0.0, self._tokens - 1)
                return record
        return None

    def give_up(self, rows: Collection[int]) -> None:
        """These rows are no more."""
        for record in self._page:
            record.gone = record.gone or record.row in rows

    def _turn(self, unsaved: Iterable[Record], busy: Callable[[int], bool]) -> bool:
        if self._cursor >= self.mark:
            return False
        rows = self._disk.read(self._cursor, self.mark, _PAGE_ROWS)
        if self._disk.reopened():
            # What was read may have been a part, and what is there now another one.
            self.restart()
            rows = self._disk.read(self._cursor, self.mark, _PAGE_ROWS)
        if not rows:
            # What the disk did not take yet is backlog too; it is newer than what the disk has.
            waiting = [r for r in unsaved if self._cursor < r.row <= self.mark and not r.gone]
            rows = sorted(waiting, key=lambda r: r.row)[:_PAGE_ROWS]
            for record in rows:
                record.replayed = True
        self._cursor = rows[-1].row if rows else self.mark
        self._page.extend(r for r in rows if not busy(r.row))
        return bool(self._page) or self._turn(unsaved, busy)

    def _fill(self) -> None:
        now = self._mono_s()
        burst = max(1.0, self._per_s / 10)
        self._tokens = min(burst, self._tokens + max(0.0, now - self._filled_s) * self._per_s)
        self._filled_s = now
