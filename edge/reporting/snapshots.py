"""Pictures that leave the node: only when configured, on command or when something comes into view, never over a size.

Encoding takes milliseconds that belong to the model, so it has a thread of its own; a burst loses its oldest pictures.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.errors import CameraError, PermanentError
from edge.frame import Frame
from edge.message import Importance, Message
from edge.reporting.jpeg import fitting_jpeg

__all__ = ["ON_COMMAND", "Snapshots"]

log = logging.getLogger(__name__)

ON_COMMAND = "now"
"""The last level of the topic of a picture that was asked for."""

_WAITING = 8
_FRAME_WITHIN_S = 5.0
_LIFE_S = 3600.0


class Snapshots:
    """`<camera>/snapshot/<label>`. `topic` makes a topic of levels; a camera is off while its switch says so."""

    def __init__(
        self,
        cameras: Sequence[str],
        put: Callable[[Message], None],
        topic: Callable[..., str],
        *,
        on: Sequence[str],
        max_bytes: int,
        every_s: float,
        retain: bool,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._put = put
        self._topic = topic
        self.change(on=on, max_bytes=max_bytes, every_s=every_s, retain=retain)
        self._mono_s = mono_s
        self._switched = dict.fromkeys(cameras, True)
        self._due_s: dict[tuple[str, str], float] = {}
        self._changed = threading.Condition()
        self._asked: dict[str, Frame | None] = {}
        self._jobs: deque[tuple[Frame, str]] = deque(maxlen=_WAITING)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)

    def change(self, *, on: Sequence[str], max_bytes: int, every_s: float, retain: bool) -> None:
        """Other settings from the next picture on."""
        self._on = frozenset(on)
        self._max_bytes = max_bytes
        self._every_s = every_s
        self._retain = retain

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Stops it; whether it has ended."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def switch(self, camera: str, on: bool) -> None:
        """Pictures of a camera, or none. Any thread may."""
        self._switched[camera] = on

    def passed(self, frame: Frame) -> None:
        """A frame came by, looked at or not; whoever waits for one gets it. On the inference thread."""
        if self._asked:
            with self._changed:
                if frame.camera in self._asked:
                    self._asked[frame.camera] = _own(frame)
                    self._changed.notify_all()

    def changed(self, frame: Frame, kind: str, label: str) -> None:
        """An event: `kind` is its type, `label` the last level of the topic. On the inference thread."""
        key = frame.camera, label
        now_s = self._mono_s()
        if kind in self._on and self._switched[frame.camera] and now_s >= self._due_s.get(key, 0.0):
            self._due_s[key] = now_s + self._every_s
            with self._changed:
                self._jobs.append((_own(frame), label))
                self._changed.notify_all()

    def take(self, camera: str) -> int:
        """A picture now; its size in bytes.

        Raises:
            PermanentError: when pictures of it are switched off, or none fits.
            CameraError: when there is no such camera, or it gives no frame.
        """
        if camera not in self._switched:
            raise CameraError(f"no camera is named {camera}")
        if not self._switched[camera]:
            raise PermanentError(f"snapshots of {camera} are switched off")
        with self._changed:
            self._asked[camera] = None
            self._changed.wait_for(lambda: self._stopped or self._asked[camera] is not None, _FRAME_WITHIN_S)
            frame = self._asked.pop(camera)
        if frame is None:
            raise CameraError(f"{camera} gave no frame within {_FRAME_WITHIN_S:g} s")
        size = self._send(frame, ON_COMMAND)
        if size is None:
            raise PermanentError(f"no picture of {camera} fits into {self._max_bytes} bytes")
        return size

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._jobs)
                if self._stopped:
                    return
                frame, label = self._jobs.popleft()
            try:
                if self._send(frame, label) is None:
                    log.warning("no picture of %s fits into %d bytes", frame.camera, self._max_bytes)
            except Exception:  # one picture must not end the thread
                log.exception("snapshot of %s", frame.camera)
            del frame

    def _send(self, frame: Frame, label: str) -> int | None:
        data = fitting_jpeg(frame.image, self._max_bytes)
        if data is None:
            return None
        topic = self._topic(frame.camera, "snapshot", label)
        self._put(Message(topic, data, Importance.C, qos=0, retain=self._retain, stamped=False, lifetime_s=_LIFE_S))
        return len(data)


def _own(frame: Frame) -> Frame:
    """With memory of its own: a live camera's frame lies where its reader soon needs the room. Larger, where it can be."""
    return replace(frame, image=frame.image.copy() if frame.still is None else frame.still(), still=None)
