"""The node's counter of events: never used twice, whatever ends the process, and only one process has it."""

import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import secrets
import time
from pathlib import Path

from edge.durable import replace_file
from edge.errors import ConfigError

__all__ = ["Sequence", "new_id"]

log = logging.getLogger(__name__)

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BLOCK = 1000


def new_id(wall_ns: int) -> str:
    """26 characters that sort by time: 48 bits of milliseconds and 80 of chance (a ULID, github.com/ulid/spec)."""
    value = (wall_ns // 1_000_000 & (1 << 48) - 1) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


class Sequence:
    """Numbers from 1 that go on over restarts. They are reserved in blocks: a kill skips some, none is used twice.

    Raises:
        ConfigError: when the folder cannot be written, or another agent of this node is running.
    """

    def __init__(self, folder: Path, node: str) -> None:
        self._path = folder / f"{node}.seq"
        self._lock = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / f"{node}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._next = self._read()
            self._reserve_or_jump()
        except BlockingIOError:
            self.close()
            raise ConfigError(f"another agent runs as node {node!r} (its lock is in {folder}); stop it first") from None
        except OSError as e:
            self.close()
            raise ConfigError(f"state_dir {folder}: {e.strerror}; choose one that can be written") from e

    def next(self) -> int:
        """The next number. One thread asks."""
        if self._next >= self._reserved:
            try:
                self._reserve()
            except OSError as e:
                # Events go on. The spool keeps a mark of its own, and `boot_id` tells two runs apart.
                log.error("%s cannot be written: %s; numbers go on without it", self._path, e.strerror)  # noqa: TRY400
        self._next += 1
        return self._next - 1

    def _reserve_or_jump(self) -> None:
        """A disk that is full must not keep a node from starting."""
        try:
            self._reserve()
        except OSError as e:
            if e.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
                raise
            # Nothing says which numbers this run uses, so it uses some that no other run will.
            self._next = max(self._next, time.time_ns() // 1_000_000)
            self._reserved = self._next
            log.error("%s cannot be written: %s; numbers go on from %d", self._path, e.strerror, self._next)  # noqa: TRY400

    def go_on_from(self, mark: int) -> None:
        """Goes on from a mark that was kept elsewhere, should this file have been lost."""
        if mark > self._next:
            self._next = mark
            self._reserve()

    def close(self) -> None:
        """Lets another agent have the counter."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _read(self) -> int:
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return 1
        except UnicodeDecodeError:
            text = ""
        with contextlib.suppress(ValueError, TypeError, KeyError):
            reserved = json.loads(text)["reserved"]
            if isinstance(reserved, int) and 1 <= reserved < 1 << 53:
                return reserved
        # Starting over would use numbers twice; the milliseconds since 1970 are ahead of any count.
        aside = self._path.with_suffix(f".damaged-{time.time_ns()}")
        self._path.rename(aside)
        start = time.time_ns() // 1_000_000
        log.error("%s is damaged and was kept as %s; numbers go on from %d", self._path, aside.name, start)
        return start

    def _reserve(self) -> None:
        self._reserved = self._next + _BLOCK
        replace_file(self._path, json.dumps({"reserved": self._reserved}))


def topic_name(label: str) -> str:
    """A label as one level of a topic: `traffic light` -> `traffic_light`."""
    return re.sub(r"[^a-z0-9_-]", "_", label.lower())[:64] or "_"
