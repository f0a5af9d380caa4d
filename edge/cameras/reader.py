"""A camera's thread: open, read, and when it fails say so, wait, and open it again, for as long as the agent runs."""

import logging
import random
import threading
from collections.abc import Callable
from typing import Protocol

from edge.cameras.camera import Camera, Opening
from edge.clock import Clock
from edge.config import CameraConfig
from edge.errors import CameraError, EdgeError
from edge.frame import Frame
from edge.latest import Latest
from edge.log import Repeats
from edge.secret import redact

__all__ = ["CameraReader", "Watcher"]

log = logging.getLogger(__name__)

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10.0


class Watcher(Protocol):
    """Who wants to know how a camera is doing; called on the camera's own thread."""

    def frame_read(self, camera: str) -> None:
        """One more frame was read."""

    def state_changed(self, camera: str, state: str, reason: str | None) -> None:
        """`state` is online or offline."""


class CameraReader:
    """Reads one camera into its slot on a thread of its own until it is stopped or a file ends."""

    def __init__(
        self,
        name: str,
        settings: CameraConfig,
        opener: Callable[[Opening], Camera],
        slots: Latest,
        watcher: Watcher,
        clock: Clock,
    ) -> None:
        self.name = name
        self._settings = settings
        self._opener = opener
        self._slots = slots
        self._watcher = watcher
        self._clock = clock
        self._stop = threading.Event()
        self._anew = threading.Event()
        self._repeats = Repeats(log)
        self._online = False
        self._frame_id = 0
        self._gap_ns = round(1e9 / settings.fps) if settings.fps and settings.inferred_kind != "images" else 0
        self._next_ns = 0
        self._thread = threading.Thread(target=self._run, name=f"camera-{name}", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; `join` waits for it."""
        self._stop.set()

    def restart(self) -> None:
        """Asks for the camera to be closed and opened again."""
        self._anew.set()

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended within the time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        opening = Opening(self._settings, self._clock, self._stop.wait)
        wait_s = _FIRST_WAIT_S
        ended = False
        while not (ended or self._stop.is_set()):
            before = self._frame_id
            try:
                ended = self._read_until_it_ends(opening)
                continue
            except EdgeError as e:
                self._away(str(e))
            except Exception as e:  # whatever a driver throws, the camera is tried again
                log.debug("camera=%s", self.name, exc_info=True)
                self._away(f"{type(e).__name__}: {e}")
            wait_s = _FIRST_WAIT_S if self._frame_id > before else min(wait_s * 2, _LONGEST_WAIT_S)
            self._stop.wait(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads retries, hides nothing
        if ended and not self._stop.is_set():
            log.info("camera=%s ended after %d frames", self.name, self._frame_id)
            self._watcher.state_changed(self.name, "offline", "the file has ended")
        self._slots.gone(self.name, for_good=True)

    def _read_until_it_ends(self, opening: Opening) -> bool:
        """True when the source is at its end for good."""
        camera = self._opener(opening)
        try:
            while not self._stop.is_set():
                stamp = camera.grab()
                if stamp is None:
                    return not self._settings.loop or self._stop.is_set()
                if self._gap_ns and not self._due(stamp.mono_ns):
                    continue
                image = camera.retrieve()
                frame = Frame(self.name, self._frame_id, image, stamp.captured_ns, stamp.mono_ns)
                self._frame_id += 1
                self._back(frame)
                self._watcher.frame_read(self.name)
                if not self._slots.put(frame):
                    return True
                if self._anew.is_set():
                    self._anew.clear()
                    raise CameraError("opened anew by command")
        finally:
            camera.close()
        return True

    def _due(self, now_ns: int) -> bool:
        """Whether a frame may pass the cap; a tenth early is in time, or jitter would halve a rate just at it."""
        if now_ns < self._next_ns - self._gap_ns // 10:
            return False
        due_ns = self._next_ns + self._gap_ns
        self._next_ns = due_ns if due_ns > now_ns else now_ns + self._gap_ns
        return True

    def _back(self, frame: Frame) -> None:
        if self._online:
            return
        failures = self._repeats.succeeded()
        self._online = True
        kind = self._settings.inferred_kind
        log.info(
            "camera=%s online kind=%s size=%dx%d after=%d failures",
            self.name,
            kind,
            frame.width,
            frame.height,
            failures,
        )
        self._watcher.state_changed(self.name, "online", None)

    def _away(self, reason: str) -> None:
        reason = redact(reason)
        self._repeats.failed(f"camera={self.name} is away: {reason}; trying again")
        if self._online or self._repeats.count == 1:
            self._online = False
            self._slots.gone(self.name)
            self._watcher.state_changed(self.name, "offline", reason)
