"""The thread that brings a new model to a node: one update at a time, every phase on the disk before it begins."""

import json
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.bundle.bundle import Bundle
from edge.errors import EdgeError, PermanentError
from edge.updates.download import DownloadError, Limits, download, place_of, shown
from edge.updates.host import Host
from edge.updates.models import Models
from edge.updates.state import Phase, Request, Update
from edge.updates.steps import Steps, StoppedError

__all__ = ["BusyError", "Updater"]

log = logging.getLogger(__name__)

_TURN_S = 0.5
_RETRIES = 20
_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_TELL_EVERY_S = 2.0
_MAX_REQUEST_BYTES = 64 << 10


class BusyError(PermanentError, RuntimeError):
    """Another update is under way."""


class Updater:
    """Walks the way from a request to a model that runs. `on_change` hears every phase, on the updates' thread.

    `percent` is how far a download is. A wish that comes by `request` is on the disk when that returns; wishes also
    come as files in the models' inbox, from a command on this machine.
    """

    def __init__(
        self,
        steps: Steps,
        on_change: Callable[[Update], None],
        *,
        stop: threading.Event | None = None,
    ) -> None:
        self._steps = steps
        self._models: Models = steps.models
        self._host: Host = steps.host
        self._on_change = on_change
        self._stop = stop or threading.Event()
        self._new = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="updates", daemon=True)
        self._cancelled: str | None = None
        self.percent: int | None = None

    def start(self) -> None:
        """Starts the thread, which goes on with what an earlier run has left."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Asks the thread to stop where it is: the next start goes on."""
        self._stop.set()
        self._new.set()
        self._steps.interrupt()

    def stop(self, timeout_s: float) -> bool:
        """Stops; whether the thread has ended in time."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        self._models.stopped()
        return not self._thread.is_alive()

    @property
    def current(self) -> Update | None:
        """The update under way, or the last one."""
        return self._models.state.update

    def request(self, request: Request) -> Update:
        """Takes a wish down; the same one again is the same update.

        Raises:
            BusyError: when another one is under way.
            OSError: when it cannot be written down.
        """
        with self._lock:
            current = self.current
            if current is not None and current.request.id == request.id:
                return current
            if current is not None and not current.over:
                raise BusyError(f"another update is {current.phase}: {current.request.id}")
            update = Update(request=request)
            self._models.save(self._models.state.model_copy(update={"update": update}))
        self._new.set()
        return update

    def cancel(self, ident: str) -> bool:
        """Gives an update up that has not switched yet; whether it will be."""
        current = self.current
        if current is None or current.request.id != ident or current.over or current.phase in {"switching", "watching"}:
            return False
        self._cancelled = ident
        return True

    def carry_out(self) -> Update | None:
        """Goes the whole way with the update that is written down; how it ended, None when there is none or we stop."""
        update = self.current
        if update is None or update.over:
            return None
        self._cancelled = None
        try:
            if update.phase != "watching":
                self._bring(update)
            current = self.current
            if current is not None and not current.over and self._host.lives:
                self._watch(current)
        except StoppedError:
            return None
        except EdgeError as e:
            if self._stop.is_set():
                return None
            # Where the archive lies here says nothing to whoever sent it, and is nobody else's business.
            archive = place_of(update.request.sha256, self._models.downloads)
            self._end("failed", str(e).removeprefix(f"{archive}: "))
        except OSError as e:
            self._end("failed", f"{e.filename or self._models.folder}: {e.strerror or e}")
        except Exception as e:  # an update must not end the node
            log.exception("update: unexpected")
            self._end("failed", f"unexpected {type(e).__name__}: {e}")
        finally:
            self.percent = None
        return self.current

    def _run(self) -> None:
        current = self.current
        if current is not None:
            self._on_change(current)
        while not self._stop.is_set():
            self._new.clear()
            self.carry_out()
            if not self._stop.is_set() and not self._take_from_the_inbox():
                self._new.wait(_TURN_S)

    def _bring(self, update: Update) -> None:
        request = update.request
        log.info("update: %s from %s", request.id, shown(request.url))
        self._enter("downloading")
        archive = self._download(request)
        self._enter("verifying")
        bundle = self._steps.verify(archive)
        manifest = bundle.manifest
        self._note(digest=bundle.digest, name=manifest.name, version=manifest.version)
        if bundle.digest == self._host.running().digest:
            self._end("committed", "it is the model that runs already")
            return
        self._enter("installing")
        bundle = self._steps.install(archive, bundle.digest)
        self._enter("probing")
        trial, found = self._steps.probe(bundle)
        with trial:
            self._note(found=found)
            self._enter("shadowing")
            self._note(found={**found, "shadow": self._steps.shadow(trial, bundle)})
        self._enter("switching")
        self._switch(bundle)

    def _download(self, request: Request) -> Path:
        settings = self._steps.settings
        limits = Limits(settings.max_bytes, ca_file=settings.ca_file)
        wait_s, told_at = _FIRST_WAIT_S, 0.0

        def tell(have: int, total: int | None) -> None:
            nonlocal told_at
            self.percent = None if not total else 100 * have // total
            if time.monotonic() - told_at > _TELL_EVERY_S:
                told_at = time.monotonic()
                self._tell()

        for attempt in range(_RETRIES):
            try:
                return download(
                    request.url, request.sha256, self._models.downloads, limits, tell=tell, stop=self._is_to_stop
                )
            except DownloadError as e:
                self._go_on()
                if attempt == _RETRIES - 1:
                    raise
                log.warning("update: %s; trying again in %.0f s", e, wait_s)
            self._stop.wait(wait_s)
            self._go_on()
            wait_s = min(_LONGEST_WAIT_S, 2 * wait_s)
        raise AssertionError  # the last attempt has returned or raised

    def _switch(self, bundle: Bundle) -> None:
        stage = self._host.load(bundle)
        self._go_on()
        running, state = self._host.running(), self._models.state
        base = state.base if state.active is not None else running.digest
        update = state.update
        assert update is not None  # noqa: S101 - it is what we carry out
        # From here on the new one is started with, and watched: on the disk first, then at work.
        watching = update.model_copy(update={"phase": "watching", "starts": 0})
        self._models.save(
            state.model_copy(
                update={"base": base, "active": bundle.digest, "previous": state.active, "update": watching}
            )
        )
        self._host.switch(stage)
        log.info("update: %s %s runs, and is watched", bundle.manifest.name, bundle.manifest.version)
        self._tell()

    def _watch(self, update: Update) -> None:
        old_ms = update.found.get("shadow", {}).get("old_ms")
        try:
            found = self._steps.watch(old_ms)
        except PermanentError as e:
            self._go_back(str(e))
            return
        self._steps.versions.remember(self._host.running().manifest)
        self._note(found={**update.found, **found})
        self._end("committed", None)
        self._models.tidy()

    def _go_back(self, reason: str) -> None:
        """To the model before, on the disk first."""
        self._models.roll_back(reason[:500])
        self._host.switch(self._host.load(self._steps.before()))
        self._models.tidy()
        self._tell()

    def _enter(self, phase: Phase) -> None:
        self._go_on()
        if self._cancelled is not None:
            raise _CancelledError("it was cancelled by whoever asked for it")
        self._note(phase=phase)
        log.info("update: %s", phase)
        self._tell()

    def _end(self, phase: Phase, reason: str | None) -> None:
        current = self.current
        if current is None or current.over:
            return
        if current.phase == "watching" and phase == "failed":
            self._go_back(reason or "")
            return
        try:
            self._note(phase=phase, reason=None if reason is None else reason[:500])
        except OSError:
            log.exception("update: its end cannot be written down")
        (log.info if phase == "committed" else log.error)("update: %s%s", phase, f": {reason}" if reason else "")
        if phase == "failed":
            self._models.tidy()
        self._tell()

    def _note(self, **changed: Any) -> None:
        with self._lock:
            state = self._models.state
            assert state.update is not None  # noqa: S101 - it is what we carry out
            self._models.save(state.model_copy(update={"update": state.update.model_copy(update=changed)}))

    def _tell(self) -> None:
        current = self.current
        if current is not None:
            self._on_change(current)

    def _is_to_stop(self) -> bool:
        return self._stop.is_set() or self._cancelled is not None

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    def _take_from_the_inbox(self) -> bool:
        """Whether there was a wish."""
        for path in sorted(self._models.inbox.glob("*.json")):
            try:
                with path.open("rb") as f:
                    request = Request.model_validate(json.loads(f.read(_MAX_REQUEST_BYTES)))
                self.request(request)
            except (ValidationError, ValueError, OSError, BusyError) as e:
                log.warning("update: %s refused: %s", path.name, e)
            path.unlink(missing_ok=True)
            return True
        return False


class _CancelledError(PermanentError):
    """Whoever asked for it does not want it any more."""
