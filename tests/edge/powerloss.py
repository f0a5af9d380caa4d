"""A disk that forgets: an apsw VFS that writes down every operation, and builds the files that a power cut leaves.

What was synced stays. Of what was written since, each sector of 512 bytes is kept, lost or torn by chance, and so are
truncations; a deletion that no later sync confirmed may be undone. That is what a drive with a volatile cache may do
(SQLite, "Atomic Commit In SQLite", section 2).
"""

import contextlib
import random
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

import apsw

SECTOR = 512


@dataclass
class Op:
    kind: str
    name: str
    offset: int = 0
    data: bytes = b""


@dataclass
class Tape:
    ops: list[Op] = field(default_factory=list)
    marks: list[tuple[int, set[int]]] = field(default_factory=list)
    written: int = 0

    def write(self, op: Op) -> None:
        self.ops.append(op)
        if op.kind == "write":
            self.written += len(op.data)

    def files_after(self, end: int, chance: random.Random) -> dict[str, bytes]:
        """The files as a power cut after `end` operations may leave them."""
        keep = chance.choice((0.0, 0.3, 0.7, 1.0))
        durable: dict[str, bytearray] = {}
        pending: dict[str, list[Op]] = {}
        for op in self.ops[:end]:
            if op.kind == "sync":
                content = durable.setdefault(op.name, bytearray())
                for waiting in pending.pop(op.name, []):
                    _apply(content, waiting)
            elif op.kind == "delete":
                # The directory's entry: here the deletion is at once, as after the sync of the folder.
                durable.pop(op.name, None)
                pending.pop(op.name, None)
            else:
                pending.setdefault(op.name, []).append(op)
        for name, ops in pending.items():
            content = durable.setdefault(name, bytearray())
            for op in ops:
                _apply_some(content, op, keep, chance)
        return {name: bytes(content) for name, content in durable.items()}


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        del content[op.offset :]
        return
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.data)] = op.data


def _apply_some(content: bytearray, op: Op, keep: float, chance: random.Random) -> None:
    if op.kind == "truncate":
        if chance.random() < keep:
            _apply(content, op)
        return
    for start in range(0, len(op.data), SECTOR):
        if chance.random() < keep:
            part = op.data[start : start + SECTOR]
            if chance.random() < 0.1:
                part = part[: chance.randrange(len(part))]
            _apply(content, Op("write", op.name, op.offset + start, part))


class RecordingFile(apsw.VFSFile):
    def __init__(self, tape, faults, name, flags):
        self.tape, self.faults = tape, faults
        self.name = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__("", name, flags)

    # The names are SQLite's.
    def xRead(self, amount, offset):  # noqa: N802
        self.faults.check("read", self.name)
        return super().xRead(amount, offset)

    def xWrite(self, data, offset):  # noqa: N802
        self.faults.check("write", self.name, len(data), offset)
        super().xWrite(data, offset)
        self.tape.write(Op("write", Path(self.name).name, offset, bytes(data)))

    def xTruncate(self, size):  # noqa: N802
        super().xTruncate(size)
        self.tape.write(Op("truncate", Path(self.name).name, size))

    def xSync(self, _flags):  # noqa: N802
        self.faults.check("sync", self.name)
        # The operating system's own sync is left out: the tape decides what survives.
        self.tape.write(Op("sync", Path(self.name).name))


@dataclass
class Faults:
    """What goes wrong from now on: `errors` by operation, and a `room` in bytes for all files together."""

    errors: dict[str, Exception] = field(default_factory=dict)
    room: int | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    hits: int = 0

    def check(self, operation: str, name: str, size: int = 0, offset: int = 0) -> None:
        error = self.errors.get(operation)
        if error is not None:
            self.hits += 1
            raise error
        if operation == "write":
            grown = max(self.sizes.get(name, 0), offset + size)
            if self.room is not None and sum(self.sizes.values()) - self.sizes.get(name, 0) + grown > self.room:
                self.hits += 1
                raise apsw.FullError("no room")
            self.sizes[name] = grown

    def measure(self, *files: Path) -> None:
        self.sizes = {str(f): f.stat().st_size for f in files if f.exists()}


class RecordingVFS(apsw.VFS):
    def __init__(self, name: str, tape: Tape, faults: Faults):
        self.vfs, self.tape, self.faults = name, tape, faults
        super().__init__(name, "")

    def xOpen(self, name, flags):  # noqa: N802
        return RecordingFile(self.tape, self.faults, name, flags)

    def xDelete(self, filename, syncdir):  # noqa: N802
        super().xDelete(filename, syncdir)
        self.faults.sizes.pop(filename, None)
        self.tape.write(Op("delete", Path(filename).name))


class ApswConnection:
    """apsw's connection with the words and the errors of the sqlite3 module, as far as the store uses them."""

    def __init__(self, path: Path, vfs: str):
        self._db = _as_sqlite3(apsw.Connection, str(path), vfs=vfs)

    def execute(self, sql, values=()):
        return _Rows(_as_sqlite3(lambda: list(self._db.execute(sql, values))))

    def executemany(self, sql, rows):
        _as_sqlite3(lambda: list(self._db.executemany(sql, rows)))

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def close(self) -> None:
        # SQLite itself lets go of a file whatever its last write says; apsw passes that on.
        with contextlib.suppress(apsw.Error):
            self._db.close(force=True)


class _Rows(list):
    def fetchall(self):
        return list(self)

    def fetchone(self):
        return self[0] if self else None


_WORDS = {
    apsw.FullError: "database or disk is full",
    apsw.IOError: "disk I/O error",
    apsw.CorruptError: "database disk image is malformed",
    apsw.NotADBError: "file is not a database",
}


def _as_sqlite3(call, *args, **more):
    try:
        return call(*args, **more)
    except apsw.Error as e:
        words = next((text for kind, text in _WORDS.items() if isinstance(e, kind)), str(e))
        raise sqlite3.OperationalError(words) from e
