"""The rows on the disk: written and removed in groups, given up when there is no room, no time left, or damage."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from edge.spool.age import AgeClock
from edge.spool.ballast import Ballast
from edge.spool.bounds import Bounds
from edge.spool.errors import StoreCorruptError, StoreError, StoreFullError
from edge.spool.evict import evict
from edge.spool.file import SpoolFile
from edge.spool.ledger import Drop
from edge.spool.losses import Losses
from edge.spool.record import RANKS, Record
from edge.spool.store import Store

__all__ = ["Disk"]

log = logging.getLogger(__name__)

_SEQ_MARGIN = 2000
_AGE_EVERY_S = 10
_LEAST_BYTES = 64 << 10
_BATCH = 256


class Disk:
    """When it takes no rows, the caller keeps what it has and tries again at `retry_at_s`.

    `alarms` says in words what is wrong now, by a key that stays the same.

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
        connect: Callable[[Path], Any],
    ) -> None:
        self._bounds = bounds
        self._clock = clock
        self._ballast = Ballast(path.with_name(path.name + ".ballast"), bounds.ballast_bytes)
        self._limit = bounds.max_bytes
        self._losses = Losses()
        self._evicted: set[int] = set()
        self._file = SpoolFile(path, losses=self._losses, mono_s=mono_s, connect=connect)
        self._openings_told = 0
        self._age_saved_s = -_AGE_EVERY_S
        self.alarms = self._file.alarms
        self.dropped = self._losses.dropped
        if not self._ballast.load():
            log.warning("no room for the %d KiB that a full disk would give back", bounds.ballast_bytes >> 10)
        self.seq_mark = self._meta("seq_mark")
        self._seq_kept = self._seq_due
        clock.resume(self._meta("age_s"), self._meta("wall_s"))

    @property
    def store(self) -> Store | None:
        """The open file; None while it is in trouble."""
        return self._file.store

    @property
    def retry_at_s(self) -> float | None:
        """When the disk may be tried again; None when it is not in trouble."""
        return self._file.retry_at_s

    @property
    def last_row(self) -> int:
        """The highest row number that was ever committed here."""
        return self.store.last_row if self.store is not None else 0

    @property
    def depth(self) -> int:
        """Rows that wait on the disk."""
        return sum(n for rank, n in self.store.rows.items() if rank >= 0) if self.store is not None else 0

    @property
    def size(self) -> int:
        """Bytes of all rows, those kept for replay too."""
        return sum(self.store.bytes.values()) if self.store is not None else 0

    @property
    def pending(self) -> bool:
        """Whether something besides rows is to be written, and the disk may be tried."""
        return (self._losses.unwritten or self._seq_kept != self._seq_due) and self._file.may_be_tried

    def reach_seq(self, seq: int) -> None:
        """The node's counter has come this far: its mark is kept here too, should its own file get lost."""
        if seq + _SEQ_MARGIN // 2 > self.seq_mark:
            self.seq_mark = seq + _SEQ_MARGIN

    @property
    def _seq_due(self) -> tuple[int, int]:
        """Which mark belongs into which file: a salvaged one is another."""
        return self._file.salvages, self.seq_mark

    def note_drops(self, reason: str, records: Iterable[Record]) -> None:
        """Remembers what was given up until the next commit writes it down."""
        self._losses.note((r.rank, reason, r.seq) for r in records)

    def commit(self, new: Sequence[Record], done: Sequence[int], flight: Collection[int]) -> list[Record] | None:
        """Writes and removes rows; returns those written, None when the disk takes nothing now.

        What has to go for room is marked as gone, written down among the drops, and in `take_evicted`.
        """
        if self._file.ready() is None:
            return None
        for _ in range(4):
            if self.store is None:
                return None
            try:
                written = self._write(self.store, new, done, flight)
            except StoreFullError as e:
                self._make_room(e)
            except StoreCorruptError as e:
                self._file.salvage(e)
            except StoreError as e:
                self._file.fail(e)
                return None
            else:
                self._file.works()
                return written
        self._file.fail(StoreFullError("no room even after giving up rows"))
        return None

    def read(self, after: int, upto: int, limit: int) -> list[Record]:
        """The next rows in order; damaged ones are given up and told. Empty when there are none, or no disk."""
        if self.store is None:
            return []
        rows: list[Record] = []
        with self._file.guarded():
            rows, bad = self.store.read(after, upto, limit)
            while bad:
                with self._losses.transaction(self.store) as lost:
                    self.store.delete([row for row, _, _ in bad])
                    lost.extend((rank if rank in RANKS else 1, "damaged", seq) for _, rank, seq in bad)
                self.alarms["damaged"] = "rows of the spool were damaged; see the gap receipts"
                rows, bad = self.store.read(after, upto, limit)
        return rows

    def bury(self, record: Record, reason: str) -> None:
        """Keeps a message as a dead letter and writes down that it went."""
        self.alarms["dead-letter"] = f"a message went to the dead letters: {record.topic[:80]}: {reason}"
        self._losses.note([(max(record.rank, 0), "dead-letter", record.seq)])
        if self.store is None:
            return
        with self._file.guarded(), self._losses.transaction(self.store):
            self.store.delete([record.row])
            self.store.ledger.bury(record, reason, max_rows=self._bounds.dead_rows, max_bytes=self._bounds.dead_bytes)
            record.saved = False

    def attempted(self, record: Record) -> None:
        """Notes on the disk in how many lost connections a row was under way."""
        if self.store is not None:
            try:
                with self.store.transaction():
                    self.store.attempted(record.row, record.attempts)
            except (StoreError, StoreCorruptError) as e:
                log.info("attempts of row %d not noted: %s", record.row, e)

    @property
    def untold(self) -> bool:
        """Whether there may be drops that nobody was told of."""
        return self._losses.untold

    def drops(self) -> list[Drop]:
        """What was given up and not yet told; nothing while earlier receipts wait, so that these stay few."""
        if self.store is not None and self.store.receipts:
            return []
        found: list[Drop] = self._file.attempt(lambda store: store.ledger.drops(), [])
        if not found:
            self._losses.untold = self.pending
        return found

    def tell(self, receipts: Sequence[Record]) -> bool:
        """Queues the receipts for all drops in the transaction that forgets them."""
        if self.store is None:
            return False
        try:
            with self.store.transaction():
                self.store.insert(receipts)
                self.store.ledger.forget_drops()
            self._losses.untold = self._losses.unwritten
        except (StoreError, StoreCorruptError) as e:
            log.info("receipts wait: %s", e)
            return False
        return True

    def replay(self, first_seq: int, last_seq: int) -> int:
        """Queues kept rows of a range again; how many."""

        def work(store: Store) -> int:
            with store.transaction():
                return store.replay(first_seq, last_seq)

        return self._file.attempt(work, 0)

    def forget(self, last_seq: int) -> None:
        """Removes kept rows up to a sequence number."""

        def work(store: Store) -> None:
            with store.transaction():
                store.forget(last_seq)

        self._file.attempt(work, None)

    def sweep(self, flight: Collection[int]) -> None:
        """Gives up what is too old, takes the ballast back on board, shortens the file."""
        if self.store is None or self._file.ready() is None:
            return
        with self._file.guarded():
            self._give_up_older(self.store, self._clock.now_s() - self._bounds.max_age_s, flight)
            self.store.give_room_back()
        if "disk-full" in self.alarms and self._ballast.load():
            self._limit = self._bounds.max_bytes
            del self.alarms["disk-full"]
            log.warning("the disk has room again")

    def take_evicted(self) -> set[int]:
        """Rows that were given up since the last call."""
        evicted, self._evicted = self._evicted, set()
        return evicted

    def reopened(self) -> bool:
        """Whether the file was opened anew since the last call: what was read of it may have been a part."""
        told, self._openings_told = self._openings_told, self._file.openings
        return told != self._file.openings

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    def _write(self, store: Store, new: Sequence[Record], done: Sequence[int], flight: Collection[int]) -> list[Record]:
        victims: set[int] = set()
        seq_due = self._seq_due
        age_s, wall_s = self._clock.saved()
        age_due = age_s >= self._age_saved_s + _AGE_EVERY_S
        with self._losses.transaction(store) as lost:
            if self._bounds.keep_acknowledged:
                store.keep(done)
            else:
                store.delete(done)
            need = sum(store.bytes.values()) + sum(r.size for r in new) - self._limit
            if need > 0:
                lost.extend(evict(store, need + self._limit // 100, new, flight, victims))
            store.insert([r for r in new if r.row not in victims])
            if self._seq_kept != seq_due:
                store.set_meta(seq_mark=self.seq_mark)
            if age_due:
                store.set_meta(age_s=age_s, wall_s=wall_s)
        self._age_saved_s = age_s if age_due else self._age_saved_s
        self._seq_kept = seq_due
        self._evicted |= victims
        for record in new:
            record.gone = record.gone or record.row in victims
        return [r for r in new if r.row not in victims]

    def _give_up_older(self, store: Store, than_s: int, flight: Collection[int]) -> None:
        gone: list[int] = []
        with self._losses.transaction(store) as lost:
            for rank in sorted(store.rows):
                old = [r for r in store.oldest(rank, _BATCH) if r[3] < than_s and r[0] not in flight]
                rows = [row for row, *_ in old]
                store.delete(rows)
                gone += rows
                if rank >= 0:
                    lost.extend((rank, "age", seq) for _, seq, _, _ in old)
        self._evicted.update(gone)

    def _make_room(self, error: StoreFullError) -> None:
        """The ballast first; after that the spool has to do with the room that it has."""
        self.alarms["disk-full"] = "the disk is full: the spool gives up what matters least"
        if self._ballast.drop():
            return
        self._limit = max(_LEAST_BYTES, min(self._limit, self.size) * 9 // 10)
        if self.store is not None:
            try:
                self.store.settle()
            except (StoreError, StoreCorruptError):
                log.info("no room to write the log back: %s", error)

    def _meta(self, key: str) -> int:
        try:
            return self.store.meta(key) if self.store is not None else 0
        except (StoreError, StoreCorruptError) as e:
            # The node's own counter goes before the mark, and rows get older by the clock that runs on from here.
            log.warning("%s of the spool cannot be read: %s", key, e)
            return 0
