"""The spool's file with its troubles: one that fails is tried again, and one that is damaged is salvaged."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from edge.errors import ConfigError
from edge.spool.errors import StoreCorruptError, StoreError, StoreFullError, translated
from edge.spool.losses import Losses
from edge.spool.salvage import salvage, set_aside
from edge.spool.store import Store

__all__ = ["SpoolFile"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_RETRY_MIN_S, _RETRY_MAX_S = 0.5, 30.0


class SpoolFile:
    """`store` is the file when it is open, else None; then it is opened again by `ready`, from `retry_at_s` on.

    `alarms` says in words what is wrong now, by a key that stays the same. `openings` counts how often the file was
    opened, and so whether what was read of it before may have been a part; `salvages` how often as a new file.

    Raises:
        ConfigError: when the folder cannot be used at all.
    """

    def __init__(
        self, path: Path, *, losses: Losses, mono_s: Callable[[], float], connect: Callable[[Path], Any]
    ) -> None:
        self._path = path
        self._losses = losses
        self._mono_s = mono_s
        self._connect = connect
        self._retry_s = _RETRY_MIN_S
        self.retry_at_s: float | None = None
        self.alarms: dict[str, str] = {}
        self.openings = 0
        self.salvages = 0
        self.store: Store | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise ConfigError(f"state_dir {path.parent}: {e.strerror}; choose one that can be written") from e
        self._open()

    @property
    def may_be_tried(self) -> bool:
        """Whether it is not in trouble, or has been for long enough."""
        return self.retry_at_s is None or self._mono_s() >= self.retry_at_s

    def ready(self) -> Store | None:
        """The store, opened again if it is time for that; None when the disk takes nothing now."""
        if not self.may_be_tried:
            return None
        if self.retry_at_s is not None:
            self.retry_at_s = None
            if self.store is None:
                self._open()
        return self.store

    def attempt(self, work: Callable[[Store], T], otherwise: T) -> T:
        """What `work` brings, or `otherwise` when the disk does not let it."""
        with self.guarded():
            if self.store is not None:
                with translated():
                    otherwise = work(self.store)
        return otherwise

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Whatever the disk does inside, the caller goes on."""
        try:
            yield
        except StoreCorruptError as e:
            self.salvage(e)
        except StoreError as e:
            self.fail(e)

    def works(self) -> None:
        """Something was written: the trouble is over."""
        self._retry_s = _RETRY_MIN_S
        self.alarms.pop("disk-error", None)

    def fail(self, error: Exception) -> None:
        """It does not work: it is closed, and tried again after a while, twice as long each time."""
        if "disk-error" not in self.alarms:
            log.error("the spool's disk fails (%s): messages wait in memory, and the disk is tried again", error)
        self.alarms["disk-error"] = f"the spool's disk fails: {error}"
        if not isinstance(error, StoreFullError):
            self.close()
        self.retry_at_s = self._mono_s() + self._retry_s
        self._retry_s = min(_RETRY_MAX_S, 2 * self._retry_s)

    def salvage(self, error: Exception) -> None:
        """It is damaged: what can be read of it goes into a new file."""
        log.error("the spool %s is damaged: %s", self._path, error)
        try:
            self.close()
            aside = set_aside(self._path)
            self.store = Store(self._path, self._connect)
            found = salvage(aside, self.store)
        except (OSError, StoreCorruptError) as e:
            self.fail(e)
            return
        self.openings += 1
        self.salvages += 1
        self._losses.note(found.lost)
        self.alarms["salvaged"] = (
            f"the spool was damaged; what could be read was saved, the file is kept as {aside.name}"
        )

    def close(self) -> None:
        """Lets go of it."""
        if self.store is not None:
            self.store.close()
            self.store = None

    def _open(self) -> None:
        try:
            self.store = Store(self._path, self._connect)
            self.store.settle()
            self.openings += 1
        except StoreCorruptError as e:
            self.salvage(e)
        except (StoreError, OSError) as e:
            self.fail(e)
