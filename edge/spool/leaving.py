"""The rows that are acknowledged and still on the disk: they leave it together, with the next commit."""

from collections.abc import Iterator

__all__ = ["Leaving"]

_EVERY_S = 0.1
_ROWS = 200


class Leaving:
    """Row numbers; `due_s` is when they should have gone, on the caller's monotonic clock, or None without any."""

    def __init__(self) -> None:
        self._rows: set[int] = set()
        self.due_s: float | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, row: object) -> bool:
        return row in self._rows

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._rows))

    def add(self, row: int, now_s: float) -> None:
        """One more."""
        if self.due_s is None:
            self.due_s = now_s + _EVERY_S
        self._rows.add(row)

    def due(self, now_s: float) -> bool:
        """Whether it is time, or they are many."""
        return self.due_s is not None and (now_s >= self.due_s or len(self._rows) >= _ROWS)

    def clear(self) -> None:
        """They have gone."""
        self._rows.clear()
        self.due_s = None
