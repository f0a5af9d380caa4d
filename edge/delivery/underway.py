"""What was sent and is not acknowledged: the window that a connection keeps full."""

from collections.abc import Iterator

from edge.spool import Record

__all__ = ["UnderWay"]


class UnderWay:
    """The messages by the tokens of the transport. Times are those of the caller's monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._records: dict[int, tuple[Record, float]] = {}
        self._others: set[int] = set()

    def __len__(self) -> int:
        """All that take a place in the broker's window."""
        return len(self._records) + len(self._others)

    @property
    def records(self) -> Iterator[Record]:
        """Those of the spool."""
        return (record for record, _ in self._records.values())

    @property
    def oldest_s(self) -> float | None:
        """When the oldest of the spool's was sent; None when there is none."""
        return next((sent_s for _, sent_s in self._records.values()), None)

    def add(self, token: int, record: Record, sent_s: float) -> None:
        """One of the spool's."""
        self._records[token] = record, sent_s

    def add_other(self, token: int | None) -> None:
        """One that the spool knows nothing of: `status`, or a question; None is one that did not go."""
        if token is not None:
            self._others.add(token)

    def acknowledged(self, token: int) -> tuple[Record, float] | None:
        """The record and when it was sent; None when it was none of the spool's, or of an older connection."""
        self._others.discard(token)
        return self._records.pop(token, None)

    def clear(self) -> None:
        """The connection has gone, and their tokens with it."""
        self._records.clear()
        self._others.clear()
