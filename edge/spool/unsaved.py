"""What was accepted into memory and is not on the disk yet: the next group commit."""

from collections import OrderedDict
from collections.abc import Collection, Iterator

from edge.spool.record import Record

__all__ = ["Unsaved"]

_SHED_SHARE = 32


class Unsaved:
    """Records by row, in the order of arrival; `since_s` is when the first of them came."""

    def __init__(self) -> None:
        self._records: OrderedDict[int, Record] = OrderedDict()
        self.bytes = 0
        self.since_s = 0.0

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, row: int) -> bool:
        return row in self._records

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records.values())

    @property
    def first_row(self) -> int | None:
        """The oldest row, or None."""
        return next(iter(self._records), None)

    @property
    def last_row(self) -> int:
        """The newest row, or 0."""
        return max(self._records, default=0)

    def add(self, record: Record, now_s: float) -> None:
        """One more."""
        if not self._records:
            self.since_s = now_s
        self._records[record.row] = record
        self.bytes += record.size

    def remove(self, row: int) -> bool:
        """It need not be written any more; whether it was here."""
        record = self._records.pop(row, None)
        if record is not None:
            self.bytes -= record.size
        return record is not None

    def clear(self) -> None:
        """All are written."""
        self._records.clear()
        self.bytes = 0

    def shed(self, most_bytes: int, flight: Collection[int]) -> list[Record]:
        """The disk takes nothing and memory is full: the lowest rank's oldest go, some at once to spare the sorting."""
        given_up: list[Record] = []
        for record in sorted((r for r in self if r.row not in flight), key=lambda r: (r.rank, r.row)):
            if self.bytes <= most_bytes * (1 - 1 / _SHED_SHARE):
                break
            record.gone = True
            self.remove(record.row)
            given_up.append(record)
        return given_up
