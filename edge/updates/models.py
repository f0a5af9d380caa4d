"""The folder of a node's installed models, and the choice of the one to start with: there always is one that starts."""

import contextlib
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from edge.bundle.bundle import Bundle, read_bundle
from edge.bundle.trust import Trust
from edge.durable import replace_file
from edge.errors import BundleError, ConfigError, EdgeError
from edge.updates.state import UNDER_WAY, State

__all__ = ["Models"]

log = logging.getLogger(__name__)

_MAX_STATE_BYTES = 1 << 20
_MAX_STARTS = 3


class Models:
    """`<state_dir>/<node>.models/`: `state.json`, a folder a bundle by its digest, `download/`, `inbox/`.

    One process owns it (`own`); every change of `state` is on the disk, whole, before it is acted upon.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.downloads = folder / "download"
        self.inbox = folder / "inbox"
        self._path = folder / "state.json"
        self._lock = -1
        self.state = State()

    def own(self) -> bool:
        """Takes the folder for this process, and reads what is there; False when another one has it.

        Raises:
            ConfigError: when the folder cannot be used.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for below in (self.downloads, self.inbox):
                below.mkdir(exist_ok=True)
        except BlockingIOError:
            self.release()
            return False
        except OSError as e:
            self.release()
            raise ConfigError(f"state_dir {self.folder}: {e.strerror}; choose one that can be written") from e
        self.state = self.peek()
        return True

    def release(self) -> None:
        """Lets another process have the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def peek(self) -> State:
        """What is on the disk now. A damaged file is set aside by its owner, and the configured model counts."""
        try:
            with self._path.open("rb") as f:
                return State.model_validate_json(f.read(_MAX_STATE_BYTES))
        except FileNotFoundError:
            return State()
        except (ValidationError, OSError) as e:
            log.error("%s is damaged (%s); starting with the configured model", self._path, type(e).__name__)  # noqa: TRY400
            if self._lock >= 0:
                with contextlib.suppress(OSError):
                    self._path.rename(self._path.with_suffix(f".damaged-{time.time_ns()}"))
            return State()

    def save(self, state: State) -> None:
        """Makes a state the one that counts, on the disk first.

        Raises:
            OSError: when it cannot be written; the one before still counts.
        """
        replace_file(self._path, state.model_dump_json())
        self.state = state

    def path(self, digest: str) -> Path:
        """Where a bundle lies once it is installed."""
        return self.folder / digest

    def read(self, digest: str, trust: Trust) -> Bundle:
        """An installed bundle, believed as `trust` asks and the very one that was installed.

        Raises:
            BundleError: when it is not.
        """
        bundle = read_bundle(self.path(digest), trust)
        if bundle.digest != digest:
            raise BundleError(f"{bundle.path}: is not the bundle that was installed there")
        return bundle

    def choose(self, configured: Callable[[], Bundle], trust: Trust) -> Bundle:
        """The bundle to start with: the active one; if it cannot be used the one before; else the configured one.

        A model on trial that has not let the agent live is rolled back here, and an update in which the agent has
        ended again and again is given up.

        Raises:
            EdgeError: what `configured` says, when there is no other either.
        """
        own: Bundle | EdgeError
        try:
            own = configured()
        except EdgeError as e:
            own = e
        self._heed_the_configuration(own)
        self._count_the_start()

        def again() -> Bundle:
            if isinstance(own, Bundle):
                return own
            raise own

        return self.pick(again, trust)

    def pick(self, configured: Callable[[], Bundle], trust: Trust) -> Bundle:
        """The active bundle; if it cannot be used the one before, which is the active one from then on.

        Raises:
            EdgeError: what `configured` says, when there is no other either.
        """
        while (digest := self.state.active) is not None:
            try:
                return self.read(digest, trust)
            except EdgeError as e:  # noqa: PERF203 - the one before is tried
                log.error("the installed model cannot be used: %s", e)  # noqa: TRY400
                self.roll_back(f"it cannot be used: {e}"[:500])
        return configured()

    def roll_back(self, reason: str) -> None:
        """Makes the model before the active one; it never counts as a downgrade."""
        state = self.state
        update = state.update and state.update.model_copy(update={"phase": "rolled_back", "reason": reason})
        self.save(state.model_copy(update={"active": state.previous, "previous": None, "update": update}))
        log.error("update: rolled back: %s", reason)

    def stopped(self) -> None:
        """The agent stops in good order: this start counts for nothing."""
        update = self.state.update
        if update is not None and not update.over and update.starts:
            self.save(self.state.model_copy(update={"update": update.model_copy(update={"starts": 0})}))

    def tidy(self) -> None:
        """Removes bundles that are neither active nor the one before, and what is left of downloads."""
        keep = {self.state.active, self.state.previous}
        if self.state.update is not None and not self.state.update.over:
            keep.add(self.state.update.digest)
        for path in self.folder.iterdir():
            if path.is_dir() and path not in {self.downloads, self.inbox} and path.name not in keep:
                shutil.rmtree(path, ignore_errors=True)
        if self.state.update is None or self.state.update.over:
            for path in (*self.downloads.iterdir(), *self.inbox.glob("*.zip")):
                path.unlink(missing_ok=True)

    def _heed_the_configuration(self, own: Bundle | EdgeError) -> None:
        state = self.state
        if isinstance(own, Bundle) and state.active is not None and state.base not in {None, own.digest}:
            log.warning("model.bundle is another one than when %s was installed: it counts now", state.active[:12])
            self.save(state.model_copy(update={"active": None, "previous": None, "base": own.digest}))

    def _count_the_start(self) -> None:
        update = self.state.update
        if update is None or update.over:
            return
        if update.starts >= _MAX_STARTS:
            reason = f"the agent ended {update.starts} times while {update.phase}"
            if update.phase in UNDER_WAY:
                failed = update.model_copy(update={"phase": "failed", "reason": reason})
                self.save(self.state.model_copy(update={"update": failed}))
                log.error("update: given up: %s", reason)
            else:
                self.roll_back(reason)
            return
        self.save(self.state.model_copy(update={"update": update.model_copy(update={"starts": update.starts + 1})}))
