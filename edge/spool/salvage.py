"""A damaged spool file is kept under another name, and what can still be read of it goes into a new one, row by row."""

import contextlib
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from edge.spool.losses import Lost
from edge.spool.record import KEPT, RANKS
from edge.spool.schema import FOR_A_NEW_FILE, PRAGMAS, SCHEMA, TABLES
from edge.spool.store import Store, checksum, open_sqlite

__all__ = ["Salvaged", "salvage", "set_aside"]

log = logging.getLogger(__name__)

_PAGE = 4096
_BATCH = 256
_HIGHEST = 1 << 40
_MAX_FAILURES = 8_000  # in a row: an inner page leads to some thousands of rows
_MAX_FILES_KEPT = 5


class Salvaged:
    """What a salvage brought: rows by table, and what was there but is not what was written, by its (rank, seq)."""

    def __init__(self) -> None:
        self.rows = dict.fromkeys(TABLES, 0)
        self.damaged: dict[int, tuple[int, int | None]] = {}

    @property
    def lost(self) -> list[Lost]:
        """Rank, reason and sequence number of each damaged row."""
        return [(rank, "damaged", seq) for rank, seq in self.damaged.values()]


def set_aside(path: Path) -> Path:
    """Renames the damaged file and its log; the oldest of several such files is the only thing ever overwritten."""
    number = 1
    while number < _MAX_FILES_KEPT and path.with_name(f"{path.name}.damaged-{number}").exists():
        number += 1
    aside = path.with_name(f"{path.name}.damaged-{number}")
    for suffix in ("-wal", "-shm", "-journal", ""):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.replace(aside.with_name(aside.name + suffix))
    return aside


def salvage(aside: Path, store: Store) -> Salvaged:
    """Copies every row that can still be read into `store`, under its old number.

    The damaged file itself is never opened for writing: SQLite works on a copy, which is given the first page of a
    new spool where its own is not one.
    """
    found = Salvaged()
    with tempfile.TemporaryDirectory(prefix="salvage-", dir=aside.parent) as folder:
        for mend in (False, True):
            copy = Path(folder) / f"copy-{mend}"
            for suffix in ("", "-wal"):
                source = aside.with_name(aside.name + suffix)
                if source.exists():
                    shutil.copyfile(source, copy.with_name(copy.name + suffix))
            if mend:
                _graft_first_page(copy, Path(folder) / "pattern")
            _copy_tables(copy, store, found)
    store.recount()
    log.error("salvaged %s from the damaged spool, which is kept as %s", _words(found), aside)
    return found


def _copy_tables(copy: Path, store: Store, found: Salvaged) -> None:
    try:
        with contextlib.closing(open_sqlite(copy)) as db:
            # With it SQLite reads a file that is shorter than it says; nobody else writes to this copy.
            db.execute("PRAGMA writable_schema = ON")
            for table, columns in TABLES.items():
                for batch in _batches(db, table, columns):
                    good = [v for v in batch if table != "queue" or _sound(v)]
                    if table == "queue":
                        _note(found, batch, good)
                    with store.transaction():
                        marks = ",".join("?" * len(columns.split(",")))
                        before = store.query(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608
                        for values in good:
                            store.query(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", *values)  # noqa: S608
                        found.rows[table] += store.query(f"SELECT count(*) FROM {table}")[0][0] - before  # noqa: S608
    except sqlite3.Error as e:
        log.info("salvage: %s", e)


def _note(found: Salvaged, batch: Sequence[tuple[Any, ...]], good: Sequence[tuple[Any, ...]]) -> None:
    """A row that one pass reads well is not lost, whatever another pass makes of it."""
    for values in batch:
        row, rank, seq = values[:3]
        found.damaged[row] = (rank if rank in RANKS else 1, seq if isinstance(seq, int) else None)
    for values in good:
        found.damaged.pop(values[0], None)


def _batches(db: sqlite3.Connection, table: str, columns: str) -> Iterator[list[tuple[Any, ...]]]:
    """All rows that can be read; where reading fails, the range of keys is halved until only what is damaged is left."""
    low, high = 0, _HIGHEST
    with contextlib.suppress(sqlite3.Error):
        low, high = db.execute(f"SELECT min(rowid) - 1, max(rowid) FROM {table} NOT INDEXED").fetchone()  # noqa: S608
    ranges = [(low or 0, high or _HIGHEST)]
    failures = 0
    # NOT INDEXED: an index may be damaged by itself.
    sql = f"SELECT rowid, {columns} FROM {table} NOT INDEXED WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?"  # noqa: S608
    while ranges and failures < _MAX_FAILURES:
        low, high = ranges.pop()
        try:
            rows = db.execute(sql, (low, high, _BATCH)).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as e:
            if "not a database" in str(e) or "no such" in str(e):
                return
            failures += 1
            if high - low > 1:
                middle = (low + high) // 2
                ranges += [(middle, high), (low, middle)]
            continue
        if rows:
            failures = 0
            yield [tuple(row[1:]) for row in rows]
        if len(rows) == _BATCH:
            ranges.append((rows[-1][0], high))


def _sound(values: tuple[Any, ...]) -> bool:
    row, rank, _seq, _id, topic, body, flags, born_s, _expires, attempts, _properties, crc = values
    return (
        isinstance(topic, str)
        and isinstance(body, bytes)
        and all(isinstance(v, int) for v in (row, rank, flags, born_s, attempts, crc))
        and -KEPT <= rank < KEPT
        and row > 0
        and checksum(topic, body) == crc
    )


def _graft_first_page(copy: Path, pattern: Path) -> None:
    """Gives the file the first page of an empty spool: the tables' roots are where they always are."""
    with contextlib.closing(open_sqlite(pattern)) as db:
        for statement in (*FOR_A_NEW_FILE, *PRAGMAS, "PRAGMA journal_mode = DELETE", *SCHEMA):
            db.execute(statement).fetchall()
    size = copy.stat().st_size if copy.exists() else 0
    if size < 2 * _PAGE:
        return
    page = bytearray(pattern.read_bytes()[:_PAGE])
    page[28:32] = (size // _PAGE).to_bytes(4, "big")  # pages in the file, in the header of SQLite's file format
    page[32:40] = bytes(8)  # no list of free pages: it may be damaged too
    with copy.open("r+b") as f:
        f.write(page)
        f.truncate(size // _PAGE * _PAGE)
    # A log belongs to the file as it was.
    copy.with_name(copy.name + "-wal").unlink(missing_ok=True)


def _words(found: Salvaged) -> str:
    return ", ".join(f"{count} of {table}" for table, count in found.rows.items() if count) or "nothing"
