"""A file that takes up room, to be given back when the disk is full: on a full disk even a DELETE needs some."""

import logging
import os
import shutil
from pathlib import Path

__all__ = ["Ballast"]

log = logging.getLogger(__name__)


class Ballast:
    """`size` bytes really written beside the spool, since a sparse file holds no room."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    @property
    def aboard(self) -> bool:
        """Whether there is something to give back."""
        return self._size > 0 and self._path.exists()

    def drop(self) -> bool:
        """Gives the room back; False when it was given before."""
        try:
            self._path.unlink()
        except OSError:
            return False
        log.error("the disk is full: gave back the %d KiB kept for this in %s", self._size >> 10, self._path.name)
        return True

    def load(self) -> bool:
        """Takes the room (again), where that leaves as much free as it takes."""
        if not self._size or self._path.exists():
            return True
        try:
            if shutil.disk_usage(self._path.parent).free < 2 * self._size:
                return False
            with self._path.open("wb") as f:
                for _ in range(self._size >> 16):
                    f.write(bytes(1 << 16))
                f.flush()
                os.fsync(f.fileno())
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        return True
