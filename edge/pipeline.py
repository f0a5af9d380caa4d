"""The threads between cameras and events: one a camera, one for the model; their life and their death."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from edge.cameras.latest import Gone, Latest
from edge.cameras.motion import Passing
from edge.cameras.reader import CameraReader
from edge.clock import Clock
from edge.errors import SessionError
from edge.frame import Frame
from edge.health.health import Health
from edge.health.liveness import Liveness
from edge.inference.ahead import Ahead, Next, OnTime
from edge.inference.stages import Prepared, Stage, Timing
from edge.log import Repeats
from edge.results import Result

__all__ = ["Pipeline", "Sink"]

log = logging.getLogger(__name__)

_TOO_MANY_FAILURES = 30
_TURN_S = 0.5


class Sink(Protocol):
    """Where results go; called on the inference thread."""

    def seen(self, frame: Frame, result: Result, timing: Timing) -> None:
        """A frame went through the model."""

    def gone(self, camera: str) -> None:
        """A camera is away; its last frame has been seen."""


class Pipeline:
    """Runs readers and the model until it is stopped, or all files have ended.

    `on_end` is called once from the inference thread when there is nothing more to do: with None when every file
    has ended, with the reason when the model cannot be run. `looks` says whether a camera's frames are to be used,
    `gates` which of them are worth it; `liveness` is told of each frame that went all the way. `name` is the model's
    thread's.
    """

    def __init__(
        self,
        readers: Sequence[CameraReader],
        slots: Latest,
        stage: Stage,
        sink: Sink,
        health: Health,
        clock: Clock,
        on_end: Callable[[str | None], None],
        *,
        looks: Callable[[str], bool] = lambda _camera: True,
        passed: Callable[[Frame], None] = lambda _frame: None,
        gates: Mapping[str, Passing] = MappingProxyType({}),
        liveness: Liveness | None = None,
        name: str = "inference",
    ) -> None:
        self._readers = readers
        self._slots = slots
        self._next: Next = Ahead(slots, stage) if slots.all_lossless else OnTime(slots)
        self._stage = stage
        self._sink = sink
        self._health = health
        self._clock = clock
        self._on_end = on_end
        self._looks = looks
        self._passed = passed
        self._gates = gates
        self._liveness = liveness or Liveness(health.online)
        self._blind: set[str] = set()
        self._repeats = Repeats(log)
        self._between: queue.SimpleQueue[tuple[Callable[[], None], threading.Event]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.tap: Callable[[Frame, Result, Timing], None] | None = None

    def start(self) -> None:
        """Starts the threads; without cameras there are none."""
        if self._readers:
            self._next.start()
            self._thread.start()
        for reader in self._readers:
            reader.start()

    def use(self, stage: Stage, sink: Sink) -> None:
        """Looks with another model from now on; only between two frames."""
        self._stage, self._sink = stage, sink
        self._next.use(stage)

    def between_frames(self, action: Callable[[], None], timeout_s: float) -> bool:
        """Has something done on the inference thread between two frames; whether it was, within the time."""
        if not self._readers:
            action()
            return True
        done = threading.Event()
        self._between.put((action, done))
        return done.wait(timeout_s)

    def ask_to_stop(self) -> None:
        """Tells the threads that it is time; `stop` waits for them."""
        for reader in self._readers:
            reader.stop()
        self._slots.close()

    def stop(self, timeout_s: float) -> list[str]:
        """Stops cameras, then the model; the names of the threads that would not end in time."""
        deadline = time.monotonic() + timeout_s
        self.ask_to_stop()
        stuck = [f"camera-{r.name}" for r in self._readers if not r.join(max(0.0, deadline - time.monotonic()))]
        if self._readers:
            self._thread.join(max(0.1, deadline - time.monotonic()))
            if self._thread.is_alive():
                stuck.append(self._thread.name)
            elif not self._next.stop(max(0.1, deadline - time.monotonic())):
                stuck.append("prepare")
        return stuck

    def _run(self) -> None:
        reason: str | None = None
        while reason is None:
            taken = self._next.take(_TURN_S)
            self._do_what_waits()
            if taken is None:
                continue
            item, prepared = taken
            if item is None:
                break
            self._liveness.begin()
            try:
                if isinstance(item, Gone):
                    if item.camera in self._gates:
                        self._gates[item.camera].forget()
                    self._sink.gone(item.camera)
                else:
                    self._use(item, prepared)
                self._liveness.finish()
            except SessionError as e:
                self._liveness.fail()
                self._health.inference_failed()
                self._repeats.failed(str(e))
                if self._repeats.count >= _TOO_MANY_FAILURES:
                    reason = f"the model failed on {self._repeats.count} frames in a row: {e}"
            except Exception:  # one frame that cannot be told must not end the thread
                self._liveness.fail()
                log.exception("camera=%s: unexpected; going on with the next frame", item.camera)
        self._on_end(reason)

    def _do_what_waits(self) -> None:
        while not self._between.empty():
            action, done = self._between.get()
            try:
                action()
                done.set()
            except Exception:  # as above
                log.exception("unexpected between two frames")

    def _use(self, frame: Frame, prepared: Prepared | None) -> None:
        self._passed(frame)
        if not self._looks(frame.camera):
            if frame.camera not in self._blind:
                # Switched off: what was in view is told to have left.
                self._blind.add(frame.camera)
                self._sink.gone(frame.camera)
            return
        self._blind.discard(frame.camera)
        gate = self._gates.get(frame.camera)
        if gate is not None and not gate.passes(frame.image, frame.mono_ns):
            self._health.frame_gated(frame.camera)
            return
        result, timing = self._stage(frame.image, prepared)
        if self._repeats.count:
            log.info("the model works again after %d failures", self._repeats.succeeded())
        self._sink.seen(frame, result, timing)
        tap = self.tap
        if tap is not None:
            tap(frame, result, timing)
        age_ms = (self._clock.mono_ns() - frame.mono_ns) / 1e6
        self._health.frame_used(
            frame.camera, age_ms=age_ms, pre_ms=timing.pre_ms, infer_ms=timing.infer_ms, post_ms=timing.post_ms
        )
