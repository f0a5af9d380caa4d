"""A camera's thread: open, read, and when it fails say so, do something about it, and open it again, for ever."""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from edge.cameras.camera import Camera, Opening, Settings, still_of
from edge.cameras.ladder import Ladder, Rung, Step
from edge.cameras.lastresort import LastResort
from edge.cameras.latest import Latest
from edge.cameras.pace import Cap
from edge.cameras.process import HungError
from edge.cameras.stop import StopSign
from edge.clock import Clock
from edge.errors import CameraError, EdgeError
from edge.frame import Frame
from edge.log import Repeats
from edge.secret import redact

__all__ = ["CameraReader", "Source", "Watcher"]

log = logging.getLogger(__name__)

_DOING = {
    "reopen": "opening it again",
    "restart": "starting its reader anew",
    "down": "it is down; trying again every few seconds",
}


class Watcher(Protocol):
    """Who wants to know how a camera is doing; called on the camera's own thread."""

    def frame_read(self, camera: str) -> None:
        """One more frame was read."""

    def state_changed(self, camera: str, state: str, reason: str | None, step: Rung | None = None) -> None:
        """`state` is online, offline or disabled; `step` is what is done about it."""


class Source(Protocol):
    """What a camera is opened by; each time anew."""

    def __call__(self, opening: Opening) -> Camera:
        """Opens it.

        Raises:
            CameraError: when it is away.
        """

    @property
    def refused(self) -> Mapping[str, int]:
        """What came of it and was not looked at, and what had to be done: by name how often. Any thread may ask."""

    def kill(self) -> None:
        """Kills the process that reads it, where there is one."""

    def close(self) -> None:
        """Ends everything that opening it has started."""


class CameraReader:
    """Reads one camera into its slot on a thread of its own until it is stopped or a file ends."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        source: Source,
        slots: Latest,
        watcher: Watcher,
        clock: Clock,
        last_resort: LastResort | None = None,
        *,
        on: bool = True,
    ) -> None:
        self.name = name
        self._settings = settings
        self._source = source
        self._slots = slots
        self._watcher = watcher
        self._clock = clock
        self._last_resort = last_resort
        self._ladder = Ladder(reader=settings.live, help_after_s=last_resort.after_s if last_resort else None)
        self._stop = StopSign()
        self.on = on
        self._anew = threading.Event()
        self._next: tuple[Settings, Source] | None = None
        self._repeats = Repeats(log)
        self._online = False
        self._told: set[str] = set()
        self._frame_id = 0
        self._refused_before: dict[str, int] = {}
        self._cap = _cap_of(settings)
        self._thread = threading.Thread(target=self._run, name=f"camera-{name}", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; `join` waits for it."""
        self._stop.set()
        self._anew.set()

    def restart(self) -> None:
        """Asks for the camera to be closed and opened again."""
        self._anew.set()

    def change(self, settings: Settings, source: Source) -> None:
        """Opens the camera anew in another way; its frames are counted on."""
        self._next = settings, source
        self._anew.set()

    def switch(self, *, on: bool) -> None:
        """Off, the camera is closed and its thread rests."""
        self.on = on
        self._anew.set()

    @property
    def refused(self) -> dict[str, int]:
        """`Source.refused`, over every way in which the camera was read."""
        before, now = self._refused_before, self._source.refused
        return {name: before.get(name, 0) + now.get(name, 0) for name in {**before, **now}}

    def join(self, timeout_s: float) -> bool:
        """Whether the thread has ended within the time."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self._stop.close()
        return True

    def _run(self) -> None:
        ended = False
        while not (ended or self._stop.is_set()):
            if self._next is not None:
                self._source.close()
                self._refused_before = self.refused
                (self._settings, self._source), self._next = self._next, None
                self._cap = _cap_of(self._settings)
            if not self.on:
                self._rest()
                continue
            try:
                ended = self._read_until_it_ends(Opening(self._settings, self._clock, self._stop))
                continue
            except EdgeError as e:
                reason, hung = str(e), isinstance(e, HungError)
            except Exception as e:  # whatever a driver throws, the camera is tried again
                log.debug("camera=%s", self.name, exc_info=True)
                reason, hung = f"{type(e).__name__}: {e}", False
            if not self._stop.is_set():
                self._recover(self._ladder.failed(time.monotonic(), hung=hung), redact(reason))
        self._source.close()
        if ended and not self._stop.is_set():
            log.info("camera=%s ended after %d frames", self.name, self._frame_id)
            self._watcher.state_changed(self.name, "offline", "the file has ended")
        self._slots.gone(self.name, for_good=True)

    def _read_until_it_ends(self, opening: Opening) -> bool:
        """True when the source is at its end for good."""
        camera = self._source(opening)
        try:
            while not self._stop.is_set():
                taken_ns = camera.grab()
                if taken_ns is None:
                    return not self._settings.loop or self._stop.is_set()
                if not self._cap.passes(taken_ns):
                    continue
                image, wall_ns = camera.retrieve(), self._clock.wall_of(taken_ns)
                frame = Frame(self.name, self._frame_id, image, wall_ns, taken_ns, still_of(camera))
                del image
                self._frame_id += 1
                self._back(frame)
                self._watcher.frame_read(self.name)
                if not self._slots.put(frame):
                    return True
                del frame  # its memory goes back to the reader when nobody else looks at it
                if self._anew.is_set():
                    self._anew.clear()
                    if not self.on:
                        return False
                    raise CameraError("opened anew by command")
        finally:
            camera.close()
        return True

    def _rest(self) -> None:
        """Until it is switched on, or time to stop."""
        self._source.close()
        self._online = False
        self._told.clear()
        self._slots.rest(self.name)
        self._watcher.state_changed(self.name, "disabled", "switched off in the configuration")
        while not (self.on or self._stop.is_set()):
            self._anew.wait()
            self._anew.clear()
        if self.on:
            self._slots.back(self.name)

    def _recover(self, step: Step, reason: str) -> None:
        """Tells what is wrong and what is done about it, each kind of step once, and does it."""
        doing = _DOING.get(step.rung, "")
        if step.rung == "command" and self._last_resort is not None:
            doing = self._last_resort.take(self._clock)
        self._repeats.failed(f"camera={self.name} is away: {reason}; {doing}")
        if self._online:
            self._online = False
            self._told.clear()
        if not self._told:
            self._slots.gone(self.name)
        if step.rung not in self._told or step.rung == "command":
            self._told.add(step.rung)
            self._watcher.state_changed(self.name, "offline", f"{reason}; {doing}", step.rung)
        if step.kill:
            self._source.kill()
        self._stop.wait(step.wait_s)

    def _back(self, frame: Frame) -> None:
        self._ladder.worked(time.monotonic())
        if self._online:
            return
        failures = self._repeats.succeeded()
        self._online = True
        self._told.clear()
        log.info(
            "camera=%s online kind=%s size=%dx%d after=%d failures",
            self.name,
            self._settings.kind,
            frame.width,
            frame.height,
            failures,
        )
        self._watcher.state_changed(self.name, "online", None)


def _cap_of(settings: Settings) -> Cap:
    # A live camera's process lets no more pass than wanted; here it would be too late to save the decoding.
    return Cap(None if settings.live or settings.kind in {"images", "pattern"} else settings.fps)
