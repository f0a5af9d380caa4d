"""Which message the broker hangs up on, if it is one: a poison must not block the rest, a bad network is no poison.

A message that heads what is under way when a connection breaks that has acknowledged nothing becomes a suspect after a
few times. A suspect goes alone: in one connection first, which keeps the order when the network was to blame; in the
next only after others have passed. A connection that breaks on it then counts against it, and after two of those it
is proven.
"""

import logging

from edge.spool.record import Record

__all__ = ["Suspects"]

log = logging.getLogger(__name__)

_STRIKES = 2
_PROVEN_ACKS = 20


class Suspects:
    """The messages under suspicion, by row."""

    def __init__(self, after: int) -> None:
        self._after = after
        self._rows: dict[int, Record] = {}
        self._first = True
        self._acks = 0

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __contains__(self, row: int) -> bool:
        return row in self._rows

    def connected(self) -> None:
        """A new connection, which has acknowledged nothing yet."""
        self._acks = 0

    def acknowledged(self, row: int) -> None:
        """The broker took one: whatever row it is, it is beyond suspicion."""
        self._acks += 1
        self._rows.pop(row, None)

    def forget(self, row: int) -> None:
        """A row is no more."""
        self._rows.pop(row, None)

    def records(self) -> list[Record]:
        """All of them."""
        return list(self._rows.values())

    def look_at(self, record: Record) -> bool:
        """Whether a record that comes from the disk is one, by what was noted on it in earlier connections."""
        if record.attempts >= self._after:
            self._rows.setdefault(record.row, record)
        return record.row in self._rows

    def turn(self, *, others: bool) -> Record | None:
        """The one to send alone now, if it is time; `others` says whether anything else waits."""
        if self._rows and (self._first or self._acks >= _PROVEN_ACKS or not others):
            return next(iter(self._rows.values()))
        return None

    def lost(self, flight: list[Record]) -> Record | None:
        """The connection broke with these under way, in their order; returns the one whose attempts have changed."""
        fruitless = self._acks == 0
        if fruitless:
            self._first = not self._first
        head = next((r for r in flight if not r.volatile), None)
        if head is None:
            return None
        # Against a suspect it counts when others passed on this very connection, and it alone was under way at its end.
        if (not fruitless and len(flight) == 1) if head.row in self._rows else fruitless:
            head.attempts += 1
            if head.attempts == self._after:
                log.warning("%s was under way in %d lost connections; it goes alone now", head.topic, head.attempts)
                self._rows[head.row] = head
            return head
        return None

    def proven(self, record: Record) -> bool:
        """Whether it is the message."""
        return record.attempts >= self._after + _STRIKES
