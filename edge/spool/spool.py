"""The durable queue: what was accepted leaves it when the broker has acknowledged it, and in no other way unnoticed.

Any thread puts. Everything else is done by one thread, the uplink's, which also calls `tick` when `due_s` says so.

Accepted means committed, or acknowledged by the broker, whichever comes first: a record that is acknowledged within
`group_s` never touches the disk. Rows accepted on the connection that stands are fresh and go first, in their order;
everything older is backlog, which follows in its own order at `drain_per_s` and is marked as replayed. A short backlog
goes first, and at once.
"""

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from edge.spool.age import AgeClock
from edge.spool.backlog import Backlog
from edge.spool.bounds import Bounds
from edge.spool.disk import Disk
from edge.spool.inbox import Inbox
from edge.spool.leaving import Leaving
from edge.spool.ledger import Drop
from edge.spool.record import KEPT, Record
from edge.spool.store import open_sqlite
from edge.spool.suspects import Suspects
from edge.spool.turns import Turns
from edge.spool.unsaved import Unsaved

__all__ = ["Spool"]

log = logging.getLogger(__name__)

_SWEEP_EVERY_S = 30.0
_TELL_EVERY_S = 1.0


class Spool:
    """The queue between the events and the transport. `receipt` makes the message that tells a drop.

    Raises:
        ConfigError: when the folder cannot be used at all.
    """

    def __init__(
        self,
        path: Path,
        *,
        bounds: Bounds,
        clock: AgeClock,
        mono_s: Callable[[], float],
        receipt: Callable[[Drop], Record],
        connect: Callable[[Path], Any] = open_sqlite,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.bounds = bounds
        self._clock = clock
        self._mono_s = mono_s
        self._receipt = receipt
        self.disk = Disk(path, bounds=bounds, clock=clock, mono_s=mono_s, connect=connect)
        self.inbox = Inbox(max_bytes=bounds.memory_bytes, wake=wake)
        self.inbox.start_after(self.disk.last_row)
        self.unsaved = Unsaved()
        self._accepted_row = self.disk.last_row
        self._leaving = Leaving()
        self._last: dict[str, Record] = {}
        backlog = Backlog(self.disk, per_s=bounds.drain_per_s, mono_s=mono_s)
        self.turns = Turns(backlog, Suspects(bounds.suspect_after), self.unsaved, self._leaving, self._worthless)
        self._connected = False
        self._counted = 0, self.disk.depth
        self._swept_s = self._told_s = mono_s()

    def put(self, record: Record) -> None:
        """Accepts a record; never blocks."""
        self.inbox.put(record)

    def connected(self) -> None:
        """A connection stands: what is accepted from now on is fresh, and last values are told again."""
        self.tick()
        self.turns.start_over()
        self._count()
        self._connected = True
        in_order = self._short
        self.turns.connected(in_order=in_order)
        self._tell_drops()
        for record in list(self._last.values()):
            # One that still waits, and goes first, tells itself.
            if record.volatile or record.gone or not in_order:
                self.inbox.put(record.again())
        self._collect()
        self._count()

    def disconnected(self, *, lost: bool) -> None:
        """It does not stand any more. What was under way waits again; `lost` says that it was not our doing."""
        self._connected = False
        self._collect()
        if lost:
            suspect = self.turns.suspects.lost(list(self.turns.flight.values()))
            if suspect is not None and self.turns.suspects.proven(suspect):
                self.bury(suspect, f"the connection broke {suspect.attempts} times with it under way")
            elif suspect is not None and suspect.saved:
                self.disk.attempted(suspect)
        self._commit()
        self.turns.start_over()
        self._count()

    def take(self) -> Record | None:
        """The next to send; it stays the spool's until `done`, `later` or `bury`."""
        record = self.turns.take()
        if record is not None:
            last = self._last.get(record.topic)
            record.newest = last is not None and last.row == record.row
        self._count()
        return record

    def done(self, record: Record) -> None:
        """The broker has it."""
        self.turns.suspects.acknowledged(record.row)
        last = self._last.get(record.topic)
        if last is not None and last.row == record.row:
            last.gone = True
        if self.bounds.keep_acknowledged and record.row in self.unsaved:
            # Kept for replay: it is written too, as a row that has been delivered.
            self.turns.flight.pop(record.row, None)
            record.gone = True
            record.rank -= KEPT
        else:
            self._remove(record)
        self._count()

    def later(self, record: Record) -> None:
        """The broker did not want it now; it goes first when asked for again."""
        self.turns.later(record)

    def hold(self, record: Record) -> None:
        """The broker does not let us write to this topic: all of it stays here until `release`, and the rest flows."""
        self.turns.hold(record)

    def attempt(self, topics: Collection[str]) -> None:
        """Of each of these held topics the oldest may go, alone, to see whether the broker takes it now."""
        self._commit()
        self.turns.attempt(topics, in_order=self._short)
        self._count()

    def release(self, topics: Collection[str]) -> None:
        """What was held of these topics goes again, in its order; a short backlog before what is fresh."""
        if not self.turns.held.isdisjoint(topics):
            self._commit()
            self.turns.release(topics, in_order=self._short)
            self._count()

    def bury(self, record: Record, reason: str) -> None:
        """The broker will never take this one: it is kept among the dead letters, and what went is told."""
        self._bury(record, reason)
        self._count()

    def tick(self) -> None:
        """Takes what was put, and commits when it is time."""
        self._collect()
        now = self._mono_s()
        late = bool(self.unsaved) and now >= self.unsaved.since_s + self.bounds.group_s
        many = len(self.unsaved) >= self.bounds.group_rows
        if late or many or self._leaving.due(now):
            self._commit()
        elif self.disk.pending:
            self.disk.commit([], [], self.turns.flight.keys())
        if now >= self._swept_s + _SWEEP_EVERY_S:
            self._swept_s = now
            self._commit()
            self.disk.sweep(self.turns.flight.keys())
        if self._connected and self.disk.untold and now >= self._told_s + _TELL_EVERY_S:
            self._tell_drops()
        self._count()

    def due_s(self) -> float | None:
        """Seconds until `tick` has something to do; None when nothing waits."""
        times = []
        if self.unsaved:
            times.append(self.unsaved.since_s + self.bounds.group_s)
        if self._leaving.due_s is not None:
            times.append(self._leaving.due_s)
        if self.disk.retry_at_s is not None:
            times = [max(self.disk.retry_at_s, t) for t in times]
        return max(0.0, min(times) - self._mono_s()) if times else None

    def backlog_due_s(self) -> float | None:
        """Seconds until `take` may give another row of the backlog; None when it has none."""
        return self.turns.backlog.due_s() if self._connected else None

    def life_left_s(self, record: Record) -> int | None:
        """Seconds until a record is worth nothing; None when it always is worth something."""
        return None if record.expires_s is None else max(1, record.expires_s - self._clock.now_s())

    def replay(self, first_seq: int, last_seq: int) -> int:
        """Sends rows that were kept after their acknowledgement again; how many there are."""
        self._collect()
        self._commit()
        self.turns.rewind(in_order=False)
        count = self.disk.replay(first_seq, last_seq)
        self._count()
        return count

    def forget(self, last_seq: int) -> int:
        """Lets go of what was kept for replay up to a sequence number; how many bytes that were."""
        before = self.disk.size
        self.disk.forget(last_seq)
        return before - self.disk.size

    def adopt(self, record: Record, write: Callable[[], None]) -> None:
        """Takes a record that `write` puts on the disk, in a transaction with other things.

        Raises:
            StoreError: what `write` raises; the record is not taken then.
        """
        record.row = self.inbox.next_row()
        self._begin(record)
        write()
        self._adopted([record])
        self._count()

    def _adopted(self, records: list[Record]) -> None:
        for record in records:
            record.saved = True
            if self._connected:
                self.turns.add(record)

    def flush(self) -> bool:
        """Commits everything now; False when the disk does not take it."""
        self._collect()
        self._commit()
        self._count()
        return not self.unsaved

    def close(self) -> None:
        """Commits and lets go of the file."""
        self.flush()
        self.disk.close()

    @property
    def depth(self) -> int:
        """Records that wait or are under way. Any thread may ask: it hears what was true between two steps."""
        drained, waiting = self._counted
        return self.inbox.came - drained + waiting

    @property
    def committed_row(self) -> int:
        """The newest row that is on the disk, or was acknowledged or given up, with all before it."""
        newest = self._accepted_row
        first = self.unsaved.first_row
        return newest if first is None else first - 1

    def _collect(self) -> None:
        came, lost = self.inbox.drain()
        if lost:
            self.disk.note_drops("overrun", lost)
        for record in came:
            if record.refused is not None:
                self._bury(record, record.refused)
            else:
                self._accept(record)
        if self.turns.fresh_bytes > self.bounds.fresh_bytes and "disk-error" not in self.disk.alarms:
            # More is coming than goes: from here on it is backlog, which lives on the disk alone.
            self._commit()
            self.turns.step_back()
        if self.unsaved.bytes > self.bounds.memory_bytes:
            self._commit()
        if self.unsaved.bytes > self.bounds.memory_bytes:
            self.disk.note_drops("full", self.unsaved.shed(self.bounds.memory_bytes, self.turns.flight.keys()))

    def _bury(self, record: Record, reason: str) -> None:
        log.error("dead letter: %s: %s", record.topic, reason)
        self.disk.bury(record, reason)
        self._remove(record)

    def _begin(self, record: Record) -> None:
        """Its life begins now."""
        record.born_s = self._clock.now_s()
        if record.lifetime_s is not None:
            record.expires_s = record.born_s + max(1, int(record.lifetime_s))

    def _accept(self, record: Record) -> None:
        self._begin(record)
        if record.last_value:
            before = self._last.get(record.topic)
            if before is not None and before.volatile and before.row not in self.turns.flight:
                before.gone = True
                self.turns.forget(before.row)
            self._last[record.topic] = record
        if record.volatile:
            if not self._connected:
                return
        else:
            self.unsaved.add(record, self._mono_s())
            if record.seq is not None:
                self.disk.reach_seq(record.seq)
        self._accepted_row = record.row
        if self._connected:
            self.turns.add(record)

    def _commit(self) -> None:
        written = self.disk.commit(list(self.unsaved), list(self._leaving), self.turns.flight.keys())
        if written is None:
            return
        self._leaving.clear()
        for record in written:
            record.saved = True
        self.unsaved.clear()
        evicted = self.disk.take_evicted()
        if evicted:
            self.turns.give_up(evicted)
        if self.disk.reopened():
            self.turns.backlog.restart()

    def _remove(self, record: Record) -> None:
        self.turns.forget(record.row)
        record.gone = True
        if not self.unsaved.remove(record.row) and record.saved:
            self._leaving.add(record.row, self._mono_s())

    @property
    def _short(self) -> bool:
        """Whether so little waits that it may go before what is fresh."""
        return self.depth <= self.bounds.in_order_rows

    def _count(self) -> None:
        """At the end of each step: in the middle of one, a record is in two places or in none."""
        # What is kept for replay does not wait, though it still is to be written.
        unsaved = sum(r.rank >= 0 for r in self.unsaved) if self.bounds.keep_acknowledged else len(self.unsaved)
        on_disk = max(0, self.disk.depth - len(self._leaving))
        self._counted = self.inbox.drained, unsaved + self.turns.volatile + on_disk

    def _worthless(self, record: Record) -> bool:
        if record.gone or record.row in self._leaving:
            return True
        if record.expires_s is not None and self._clock.now_s() >= record.expires_s:
            self.disk.note_drops("expired", [record])
            self._remove(record)
            return True
        return False

    def _tell_drops(self) -> None:
        self._told_s = self._mono_s()
        receipts = []
        for drop in self.disk.drops():
            record = self._receipt(drop)
            record.row = self.inbox.next_row()
            record.born_s = self._clock.now_s()
            record.receipt = True
            receipts.append(record)
        if receipts and self.disk.tell(receipts):
            self._adopted(receipts)
