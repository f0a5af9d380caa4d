"""The spool's file: SQLite in WAL mode with synchronous=FULL, one connection, used by one thread at a time."""

import contextlib
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edge.spool.errors import StoreBrokenError, StoreCorruptError, translated
from edge.spool.ledger import Ledger
from edge.spool.record import KEPT, OVERHEAD_BYTES, Record
from edge.spool.schema import FOR_A_NEW_FILE, PRAGMAS, QUEUE_COLUMNS, SCHEMA, TABLES, VERSION

__all__ = ["Store", "open_sqlite"]


def open_sqlite(path: Path) -> sqlite3.Connection:
    """A connection that commits when it is told to, and may be handed from thread to thread."""
    return sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)


class Store:
    """The tables, and what is done with them inside one transaction.

    Raises:
        StoreFullError: from any method: no room.
        StoreBrokenError: from any method: worth another try with a new Store.
        StoreCorruptError: from any method: the file needs salvage.
    """

    def __init__(self, path: Path, connect: Callable[[Path], Any] = open_sqlite) -> None:
        self.path = path
        self.bytes: dict[int, int] = {}
        self.rows: dict[int, int] = {}
        self.receipts: set[int] = set()
        self.last_row = 0
        with translated():
            self._db = connect(path)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise
        self.ledger = Ledger(self._db)

    def close(self) -> None:
        """Writes the log back into the file and lets go of it."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def recount(self) -> None:
        """Counts what the tables hold, after rows were put in behind this object's back."""
        with translated():
            self._count_all()
            counted = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'queue'").fetchone()
            newest = self._db.execute("SELECT max(row) FROM queue").fetchone()[0] or 0
            self.last_row = max(newest, counted[0] if counted else 0)

    def settle(self) -> None:
        """After a failed write: takes the log into the file, so that nothing depends on pages it may have lost."""
        with translated():
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: what is inside is on the disk when the block ends without an error."""
        before = dict(self.bytes), dict(self.rows), set(self.receipts)
        try:
            with translated():
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
        except BaseException:
            self.bytes, self.rows, self.receipts = before
            # SQLite has rolled back by itself when the disk was full; a second ROLLBACK would hide that error.
            if self._db.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise

    def insert(self, records: Sequence[Record]) -> None:
        """Adds rows; one that an unfinished commit has left behind is written over."""
        self._db.executemany(
            f"INSERT OR REPLACE INTO queue ({QUEUE_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608
            [_row_of(r) for r in records],
        )
        for r in records:
            self._count(r.rank, 1, r.size)
        self.receipts.update(r.row for r in records if r.receipt)
        if records:
            self.last_row = max(self.last_row, records[-1].row)

    def delete(self, rows: Iterable[int]) -> None:
        """Removes rows."""
        for row in rows:
            found = self._db.execute(f"SELECT rank, {_SIZE} FROM queue WHERE row = ?", (row,)).fetchone()  # noqa: S608
            if found is not None:
                self._count(found[0], -1, -found[1])
                self._db.execute("DELETE FROM queue WHERE row = ?", (row,))
                self.receipts.discard(row)

    def keep(self, rows: Iterable[int]) -> None:
        """Marks rows as acknowledged and kept for replay: first to go when room is needed."""
        self._db.executemany(
            f"UPDATE queue SET rank = rank - {KEPT} WHERE row = ? AND rank >= 0",  # noqa: S608
            [(row,) for row in rows],
        )
        self._count_all()

    def replay(self, first_seq: int, last_seq: int) -> int:
        """Queues kept rows of a range of sequence numbers again; returns how many."""
        sql = f"UPDATE queue SET rank = rank + {KEPT} WHERE rank < 0 AND seq BETWEEN ? AND ?"  # noqa: S608
        self._db.execute(sql, (first_seq, last_seq))
        count: int = self._db.execute("SELECT changes()").fetchone()[0]
        self._count_all()
        return count

    def forget(self, last_seq: int) -> None:
        """Removes kept rows up to a sequence number: an application has said that it has them."""
        self._db.execute("DELETE FROM queue WHERE rank < 0 AND seq <= ?", (last_seq,))
        self._count_all()

    def read(self, after: int, upto: int, limit: int) -> tuple[list[Record], list[tuple[int, int, int | None]]]:
        """The next rows in order, and those found damaged as (row, rank, seq)."""
        with translated():
            found = self._db.execute(
                f"SELECT {QUEUE_COLUMNS} FROM queue WHERE row > ? AND row <= ? AND rank >= 0 ORDER BY row LIMIT ?",  # noqa: S608
                (after, upto, limit),
            ).fetchall()
        good: list[Record] = []
        bad: list[tuple[int, int, int | None]] = []
        for values in found:
            record = _record_of(values)
            if record is None:
                bad.append((values[0], values[1], values[2] if isinstance(values[2], int) else None))
            else:
                good.append(record)
        return good, bad

    def oldest(self, rank: int, limit: int) -> list[tuple[int, int | None, int, int]]:
        """The oldest rows of a rank that may be given up, as (row, seq, size, born_s)."""
        return self._db.execute(  # type: ignore[no-any-return]
            f"SELECT row, seq, {_SIZE}, born_s FROM queue "  # noqa: S608
            "WHERE rank = ? AND (rank < 0 OR NOT flags & ?) ORDER BY row LIMIT ?",
            (rank, _RECEIPT, limit),
        ).fetchall()

    def attempted(self, row: int, attempts: int) -> None:
        """Notes how often a row was under way when the connection was lost."""
        self._db.execute("UPDATE queue SET attempts = ? WHERE row = ?", (attempts, row))

    def meta(self, key: str) -> int:
        """A number kept, or 0."""
        with translated():
            found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return int(found[0]) if found else 0

    def set_meta(self, **values: int) -> None:
        """Keeps numbers."""
        self._db.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?,?)", list(values.items()))

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """One statement for the tables beside the queue."""
        with translated():
            return list(self._db.execute(sql, values).fetchall())

    def give_room_back(self) -> None:
        """Shortens a file that is mostly empty pages, a little at a time."""
        with translated():
            free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
            if free > 1024:
                self._db.execute("PRAGMA incremental_vacuum(256)").fetchall()

    def _prepare(self) -> None:
        self._db.execute(PRAGMAS[0]).fetchall()
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise StoreBrokenError(f"{self.path}: written by a newer release (format {version}); update this one")
        for pragma in (*FOR_A_NEW_FILE, *PRAGMAS) if version == 0 else PRAGMAS:
            self._db.execute(pragma).fetchall()
        tables = {
            name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        }
        if version == 0 and not tables:
            with self.transaction():
                for statement in SCHEMA:
                    self._db.execute(statement)
            tables = set(TABLES)
        if not TABLES.keys() <= tables:
            raise StoreCorruptError(f"{self.path}: tables are missing")
        self.recount()

    def _count(self, rank: int, rows: int, size: int) -> None:
        self.rows[rank] = self.rows.get(rank, 0) + rows
        self.bytes[rank] = self.bytes.get(rank, 0) + size

    def _count_all(self) -> None:
        self.rows, self.bytes = {}, {}
        sql = f"SELECT rank, count(*), total({_SIZE}) FROM queue GROUP BY rank"  # noqa: S608
        for rank, rows, size in self._db.execute(sql).fetchall():
            self._count(rank, rows, int(size))
        sql = "SELECT row FROM queue WHERE rank >= 0 AND flags & ?"
        self.receipts = {row for (row,) in self._db.execute(sql, (_RECEIPT,)).fetchall()}


_RETAIN, _STAMPED, _RECEIPT = 4, 8, 16
"""In the flags of a row, above its QoS."""

_SIZE = f"length(topic) + length(body) + {OVERHEAD_BYTES}"


def checksum(topic: str, body: bytes) -> int:
    """CRC-32: SQLite has no checksum of its own over a page that was written back."""
    return zlib.crc32(body, zlib.crc32(topic.encode(errors="surrogatepass")))


def _row_of(r: Record) -> tuple[Any, ...]:
    flags = r.qos | _RETAIN * r.retain | _STAMPED * r.stamped | _RECEIPT * r.receipt
    crc = checksum(r.topic, r.body)
    return r.row, r.rank, r.seq, r.id, r.topic, r.body, flags, r.born_s, r.expires_s, r.attempts, r.properties, crc


def _record_of(values: tuple[Any, ...]) -> Record | None:
    """The record of a row, or None when its bytes are not those that were written."""
    row, rank, seq, ident, topic, body, flags, born_s, expires_s, attempts, properties, crc = values
    sound = (
        isinstance(topic, str)
        and isinstance(body, bytes)
        and all(isinstance(v, int) for v in (rank, flags, born_s, attempts, crc))
        and checksum(topic, body) == crc
        and 0 <= rank < KEPT
    )
    if not sound:
        return None
    return Record(
        topic, body, rank, qos=flags & 3, retain=bool(flags & _RETAIN), stamped=bool(flags & _STAMPED), seq=seq, id=ident, row=row,
        born_s=born_s, expires_s=expires_s, attempts=attempts, properties=properties, saved=True, replayed=True,
        receipt=bool(flags & _RECEIPT),
    )  # fmt: skip
