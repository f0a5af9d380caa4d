"""Whose turn it is on the connection that stands.

A suspect goes alone. What the broker put off goes first; then what is fresh, in its order, and the backlog behind it,
unless that is short: then it goes before all, and at once. Nothing of a held topic goes, save one that tries whether
the broker takes it now: were more under way when it changes its mind, it would refuse the older and take the newer.
"""

from bisect import insort
from collections import OrderedDict, deque
from collections.abc import Callable, Collection

from edge.spool.backlog import Backlog
from edge.spool.record import Record
from edge.spool.suspects import Suspects
from edge.spool.unsaved import Unsaved

__all__ = ["Turns"]


class Turns:
    """What waits to be sent, and what is under way (`flight`, in its order).

    `unsaved` is what the backlog may have to be taken from, `leaving` the rows that are about to leave the disk, and
    `worthless` says of a record that it need not be sent any more.
    """

    def __init__(
        self,
        backlog: Backlog,
        suspects: Suspects,
        unsaved: Unsaved,
        leaving: Collection[int],
        worthless: Callable[[Record], bool],
    ) -> None:
        self.backlog = backlog
        self.suspects = suspects
        self._unsaved = unsaved
        self._leaving = leaving
        self._worthless = worthless
        self._fresh: deque[Record] = deque()
        self.fresh_bytes = 0
        self._again: list[Record] = []
        self._volatile: set[int] = set()
        self._tried: set[str] = set()
        self._held: set[str] = set()
        self._in_order = False
        self.flight: OrderedDict[int, Record] = OrderedDict()

    @property
    def volatile(self) -> int:
        """How many wait here, or are under way, that are in memory alone."""
        return len(self._volatile)

    @property
    def held(self) -> frozenset[str]:
        """The topics of which nothing goes."""
        return frozenset(self._held)

    def connected(self, *, in_order: bool) -> None:
        """A connection stands; `in_order` says that the backlog goes first."""
        self.suspects.connected()
        self.backlog.slow_start()
        self._in_order = in_order

    def add(self, record: Record) -> None:
        """A record accepted on this connection."""
        self._fresh.append(record)
        self.fresh_bytes += record.size
        if record.volatile:
            self._volatile.add(record.row)

    def take(self) -> Record | None:
        """The next, which is under way now."""
        if any(row in self.suspects for row in list(self.flight)[:1]):
            return None
        record = self._next()
        if record is not None:
            self._tried.discard(record.topic)
            self.flight[record.row] = record
        return record

    def later(self, record: Record) -> None:
        """The broker put it off."""
        self.flight.pop(record.row, None)
        if not record.gone and not self.backlog.will_read(record.row):
            # In its place: one that was tried alone and put off again would else come after those put off with it.
            insort(self._again, record, key=lambda r: r.row)

    def hold(self, record: Record) -> None:
        """Nothing of its topic goes, nor is it under way any more."""
        self.flight.pop(record.row, None)
        self._held.add(record.topic)

    def attempt(self, topics: Collection[str], *, in_order: bool) -> None:
        """The oldest of each of these topics may go; the others stay held."""
        self._tried |= self._held & set(topics)
        self.rewind(in_order=in_order)

    def release(self, topics: Collection[str], *, in_order: bool) -> None:
        """These topics may go."""
        self._held.difference_update(topics)
        self._tried.difference_update(topics)
        self.rewind(in_order=in_order)

    def rewind(self, *, in_order: bool) -> None:
        """Begins again with the oldest row that is not under way; `in_order` says that the backlog goes first."""
        self._in_order = self._in_order or in_order
        self._again = [r for r in self._again if r.volatile]
        self.step_back()
        self.backlog.restart()

    def forget(self, row: int) -> None:
        """A row is no more."""
        self.flight.pop(row, None)
        self.suspects.forget(row)
        self._volatile.discard(row)

    def give_up(self, rows: Collection[int]) -> None:
        """These rows are no more, and nobody was told yet."""
        self.backlog.give_up(rows)
        for record in (*self._again, *self._fresh, *self.suspects.records()):
            record.gone = record.gone or record.row in rows

    def start_over(self) -> None:
        """The connection is another one: everything is backlog."""
        self.flight.clear()
        self._again.clear()
        self._volatile.clear()
        self.backlog.restart()
        self._to_backlog()

    def step_back(self) -> None:
        """What was fresh is backlog from here on, save last values, which are in memory alone."""
        for record in self._to_backlog():
            self._volatile.discard(record.row)
            if record.volatile and record.last_value and not record.gone:
                record.replayed = False
                self.add(record)

    def _to_backlog(self) -> deque[Record]:
        waiting, self._fresh, self.fresh_bytes = self._fresh, deque(), 0
        for record in waiting:
            record.replayed = True
        self.backlog.reach(self._unsaved.last_row)
        return waiting

    def _next(self) -> Record | None:
        for record in self.suspects.records():
            if self._unwanted(record):
                self.suspects.forget(record.row)
        suspect = self.suspects.turn(others=bool(self._again or self._fresh or self.backlog.more))
        if suspect is not None:
            return None if self.flight else suspect
        while self._again:
            record = self._again.pop(0)
            if not self._unwanted(record):
                return record
            self._volatile.discard(record.row)
        if self._in_order:
            older = self._next_older()
            if older is not None:
                return older
            self._in_order = False
        while self._fresh:
            record = self._fresh.popleft()
            self.fresh_bytes -= record.size
            if not self._unwanted(record):
                return record
            self._volatile.discard(record.row)
        return self._next_older()

    def _next_older(self) -> Record | None:
        return self.backlog.next(
            self._unsaved,
            lambda row: row in self.flight or row in self._leaving,
            lambda record: self._unwanted(record) or self.suspects.look_at(record),
            at_once=self._in_order,
        )

    def _unwanted(self, record: Record) -> bool:
        held = record.topic in self._held and record.topic not in self._tried
        return held or record.row in self.flight or self._worthless(record)
