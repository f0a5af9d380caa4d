"""The spool's file with its troubles: full, failing and damaged disks are survived, said, and recovered from."""

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from edge.errors import ConfigError
from edge.spool.age import AgeClock
from edge.spool.ballast import Ballast
from edge.spool.bounds import Bounds
from edge.spool.errors import StoreCorruptError, StoreError, StoreFullError, translated
from edge.spool.evict import Lost, evict, write_lost
from edge.spool.ledger import Drop
from edge.spool.record import RANKS, Record
from edge.spool.salvage import salvage, set_aside
from edge.spool.store import Store

__all__ = ["Disk"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY_MIN_S, _RETRY_MAX_S = 0.5, 30.0
_SEQ_MARGIN = 2000
_AGE_EVERY_S = 10
_LEAST_BYTES = 64 << 10
_BATCH = 256


class Disk:
    """The rows on the disk. When it takes none, the caller keeps what it has and tries again at `retry_at_s`.

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
        self._path = path
        self._bounds = bounds
        self._clock = clock
        self._mono_s = mono_s
        self._connect = connect
        self._ballast = Ballast(path.with_name(path.name + ".ballast"), bounds.ballast_bytes)
        self._limit = bounds.max_bytes
        self._retry_s = _RETRY_MIN_S
        self._lost: list[Lost] = []
        self.untold = True
        self._evicted: set[int] = set()
        self._reopened = False
        self._age_saved_s = -_AGE_EVERY_S
        self._seq_due = False
        self.retry_at_s: float | None = None
        self.alarms: dict[str, str] = {}
        self.dropped = dict.fromkeys(RANKS, 0)
        self.seq_mark = 0
        self.store: Store | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise ConfigError(f"state_dir {path.parent}: {e.strerror}; choose one that can be written") from e
        self._open()
        self._ballast.load()
        self.seq_mark = self._meta("seq_mark")
        clock.resume(self._meta("age_s"), self._meta("wall_s"))

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
        return bool(self._lost or self._seq_due) and (self.retry_at_s is None or self._mono_s() >= self.retry_at_s)

    def reach_seq(self, seq: int) -> None:
        """The node's counter has come this far: its mark is kept here too, should its own file get lost."""
        if seq + _SEQ_MARGIN // 2 > self.seq_mark:
            self.seq_mark = seq + _SEQ_MARGIN
            self._seq_due = True

    def note_drops(self, reason: str, records: Iterable[Record]) -> None:
        """Remembers what was given up until the next commit writes it down."""
        self._lose((r.rank, reason, r.seq) for r in records)

    def commit(self, new: Sequence[Record], done: Sequence[int], flight: Collection[int]) -> list[Record] | None:
        """Writes and removes rows; returns those written, None when the disk takes nothing now.

        What has to go for room is marked as gone, written down among the drops, and in `take_evicted`.
        """
        if not self._ready():
            return None
        for _ in range(4):
            if self.store is None:
                return None
            try:
                written = self._write(self.store, new, done, flight)
            except StoreFullError as e:
                self._make_room(e)
            except StoreCorruptError as e:
                self._salvage(e)
            except StoreError as e:
                self._fail(e)
                return None
            else:
                self._retry_s = _RETRY_MIN_S
                self.alarms.pop("disk-error", None)
                return written
        self._fail(StoreFullError("no room even after giving up rows"))
        return None

    def read(self, after: int, upto: int, limit: int) -> list[Record]:
        """The next rows in order; damaged ones are given up and told. Empty when there are none, or no disk."""
        if self.store is None:
            return []
        rows: list[Record] = []
        with self._guarded():
            rows, bad = self.store.read(after, upto, limit)
            while bad:
                with self._giving_up(self.store):
                    self.store.delete([row for row, _, _ in bad])
                    self._lose((rank if rank in RANKS else 1, "damaged", seq) for _, rank, seq in bad)
                self.alarms["damaged"] = "rows of the spool were damaged; see the gap receipts"
                rows, bad = self.store.read(after, upto, limit)
        return rows

    def bury(self, record: Record, reason: str) -> None:
        """Keeps a message as a dead letter and writes down that it went."""
        self.alarms["dead-letter"] = f"a message went to the dead letters: {record.topic[:80]}: {reason}"
        self._lose([(max(record.rank, 0), "dead-letter", record.seq)])
        if self.store is None:
            return
        with self._guarded(), self._giving_up(self.store):
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

    def drops(self) -> list[Drop]:
        """What was given up and not yet told."""
        return self._attempt(lambda store: store.ledger.drops(), [])

    def tell(self, receipts: Sequence[Record]) -> bool:
        """Queues the receipts for all drops in the transaction that forgets them."""
        if self.store is None:
            return False
        try:
            with self.store.transaction():
                self.store.insert(receipts)
                self.store.ledger.forget_drops()
            self.untold = bool(self._lost)
        except (StoreError, StoreCorruptError) as e:
            log.info("receipts wait: %s", e)
            return False
        return True

    def replay(self, first_seq: int, last_seq: int) -> int:
        """Queues kept rows of a range again; how many."""

        def work(store: Store) -> int:
            with store.transaction():
                return store.replay(first_seq, last_seq)

        return self._attempt(work, 0)

    def forget(self, last_seq: int) -> None:
        """Removes kept rows up to a sequence number."""

        def work(store: Store) -> None:
            with store.transaction():
                store.forget(last_seq)

        self._attempt(work, None)

    def sweep(self, flight: Collection[int]) -> None:
        """Gives up what is too old, takes the ballast back on board, shortens the file."""
        if self.store is None or not self._ready():
            return
        oldest_s = self._clock.now_s() - self._bounds.max_age_s
        with self._guarded():
            with self._giving_up(self.store):
                for rank in sorted(self.store.rows):
                    old = [r for r in self.store.oldest(rank, _BATCH) if r[3] < oldest_s and r[0] not in flight]
                    self.store.delete(row for row, *_ in old)
                    self._evicted.update(row for row, *_ in old)
                    if rank >= 0:
                        self._lose((rank, "age", seq) for _, seq, _, _ in old)
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
        reopened, self._reopened = self._reopened, False
        return reopened

    def close(self) -> None:
        """Lets go of the file."""
        if self.store is not None:
            self.store.close()
            self.store = None

    @contextlib.contextmanager
    def _giving_up(self, store: Store) -> Iterator[None]:
        """A transaction that also writes down what is given up in it, or was before it."""
        with store.transaction():
            yield
            write_lost(store, self._lost)
        self._lost.clear()

    def _lose(self, lost: Iterable[Lost]) -> None:
        lost = list(lost)
        self._count(lost)
        self._lost += lost

    def _count(self, lost: Iterable[Lost]) -> None:
        for rank, _reason, _seq in lost:
            self.dropped[rank] += 1
            self.untold = True

    def _write(self, store: Store, new: Sequence[Record], done: Sequence[int], flight: Collection[int]) -> list[Record]:
        victims: set[int] = set()
        evicted: list[Lost] = []
        with store.transaction():
            if self._bounds.keep_acknowledged:
                store.keep(done)
            else:
                store.delete(done)
            need = sum(store.bytes.values()) + sum(r.size for r in new) - self._limit
            if need > 0:
                evicted = evict(store, need + self._limit // 100, new, flight, victims)
            store.insert([r for r in new if r.row not in victims])
            write_lost(store, [*self._lost, *evicted])
            if self._seq_due:
                store.set_meta(seq_mark=self.seq_mark)
            age_s, wall_s = self._clock.saved()
            if age_s >= self._age_saved_s + _AGE_EVERY_S:
                store.set_meta(age_s=age_s, wall_s=wall_s)
        self._age_saved_s = age_s if age_s >= self._age_saved_s + _AGE_EVERY_S else self._age_saved_s
        self._seq_due = False
        self._count(evicted)
        self._lost.clear()
        self._evicted |= victims
        for record in new:
            record.gone = record.gone or record.row in victims
        return [r for r in new if r.row not in victims]

    def _attempt(self, work: Callable[[Store], T], otherwise: T) -> T:
        with self._guarded():
            if self.store is not None:
                with translated():
                    otherwise = work(self.store)
        return otherwise

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Whatever the disk does inside, the caller goes on."""
        try:
            yield
        except StoreCorruptError as e:
            self._salvage(e)
        except StoreError as e:
            self._fail(e)

    def _ready(self) -> bool:
        if self.retry_at_s is None:
            return self.store is not None
        if self._mono_s() < self.retry_at_s:
            return False
        self.retry_at_s = None
        if self.store is None:
            self._open()
        return self.store is not None

    def _open(self) -> None:
        try:
            self.store = Store(self._path, self._connect)
            self.store.settle()
            self._reopened = True
        except StoreCorruptError as e:
            self._salvage(e)
        except (StoreError, OSError) as e:
            self._fail(e)

    def _salvage(self, error: Exception) -> None:
        log.error("the spool %s is damaged: %s", self._path, error)
        try:
            self.close()
            aside = set_aside(self._path)
            self.store = Store(self._path, self._connect)
            found = salvage(aside, self.store)
        except (OSError, StoreCorruptError) as e:
            self._fail(e)
            return
        self._reopened = True
        self._seq_due = True
        self._lose(found.lost)
        self.alarms["salvaged"] = (
            f"the spool was damaged; what could be read was saved, the file is kept as {aside.name}"
        )

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

    def _fail(self, error: Exception) -> None:
        if "disk-error" not in self.alarms:
            log.error("the spool's disk fails (%s): messages wait in memory, and the disk is tried again", error)
        self.alarms["disk-error"] = f"the spool's disk fails: {error}"
        if not isinstance(error, StoreFullError):
            self.close()
        self.retry_at_s = self._mono_s() + self._retry_s
        self._retry_s = min(_RETRY_MAX_S, 2 * self._retry_s)

    def _meta(self, key: str) -> int:
        try:
            return self.store.meta(key) if self.store is not None else 0
        except (StoreError, StoreCorruptError):
            return 0
