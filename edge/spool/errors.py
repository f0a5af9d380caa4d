"""What can be wrong with the disk, by what the spool does about it."""

import contextlib
import sqlite3
from collections.abc import Iterator

from edge.errors import PermanentError, TemporaryError

__all__ = ["StoreBrokenError", "StoreCorruptError", "StoreError", "StoreFullError", "translated"]


class StoreError(TemporaryError, OSError):
    """The disk does not take or give what it should."""


class StoreFullError(StoreError):
    """No room is left: something has to go first."""


class StoreBrokenError(StoreError):
    """Reading or writing failed (EIO, a read-only file system, a lock): worth another try with a new connection."""


class StoreCorruptError(PermanentError, sqlite3.DatabaseError):
    """The file is not what was written: its rows have to be salvaged into a new one."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raises SQLite's errors as the ones above."""
    try:
        yield
    except StoreCorruptError:
        raise
    except sqlite3.Error as e:
        raise _translate(e) from e


def _translate(error: sqlite3.Error) -> StoreError | StoreCorruptError:
    """SQLite's error by what to do about it. Python 3.10 gives no error codes, hence the words."""
    text = str(error)
    if "is full" in text:
        return StoreFullError(text)
    if "malformed" in text or "not a database" in text or "unsupported file format" in text:
        return StoreCorruptError(text)
    # A damaged schema shows as tables, columns or indexes that are missing.
    if "no such" in text or "has no column" in text or isinstance(error, sqlite3.IntegrityError):
        return StoreCorruptError(text)
    return StoreBrokenError(text)
