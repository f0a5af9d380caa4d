"""The next frame prepared while the model runs on the one before: for files, where each frame is used and none is late.

Live cameras do without: their newest frame is taken when the model is free for it, and one taken sooner would be older.
"""

import logging
import queue
import threading
from typing import Protocol

from edge.frame import Frame
from edge.latest import Gone, Latest
from edge.stages import Prepared, Stage

__all__ = ["Ahead", "Next", "OnTime"]

log = logging.getLogger(__name__)

Item = tuple[Frame | Gone | None, Prepared | None]
"""A frame with what was prepared of it, if it was; the word that a camera is away; None at the end."""


class Next(Protocol):
    """Where the model gets its next frame from."""

    def start(self) -> None:
        """Begins."""

    def take(self, timeout_s: float) -> Item | None:
        """Waits for the next; None when there was none in time."""

    def use(self, stage: Stage) -> None:
        """Another model takes over."""

    def stop(self, timeout_s: float) -> bool:
        """Ends, once the slots are closed; whether it did in time."""


class OnTime:
    """Takes the newest frame when it is asked for."""

    def __init__(self, slots: Latest) -> None:
        self._slots = slots

    def start(self) -> None:
        """Nothing to begin."""

    def take(self, timeout_s: float) -> Item | None:
        """Waits for the next."""
        item = self._slots.take(timeout_s)
        return None if item is None and not self._slots.done else (item, None)

    def use(self, stage: Stage) -> None:
        """Nothing is prepared here."""

    def stop(self, timeout_s: float) -> bool:  # noqa: ARG002 - it has no thread
        """Nothing to end."""
        return True


class Ahead:
    """Takes and prepares one frame more than is asked for, on a thread of its own."""

    def __init__(self, slots: Latest, stage: Stage) -> None:
        self._slots = slots
        self._stage = stage
        self._ready: queue.Queue[Item] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="prepare", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def take(self, timeout_s: float) -> Item | None:
        """Waits for the next."""
        try:
            return self._ready.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def use(self, stage: Stage) -> None:
        """Prepares for another model from now on; what is prepared already, that one will not take."""
        self._stage = stage

    def stop(self, timeout_s: float) -> bool:
        """Gives up what nobody asked for, so that the thread comes to its end."""
        try:
            while self._thread.is_alive():
                self._ready.get(timeout=timeout_s)
        except queue.Empty:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            item = self._slots.take()
            prepared = None
            if isinstance(item, Frame):
                try:
                    prepared = self._stage.prepare(item.image)
                except Exception:  # told when the frame itself is looked at
                    log.debug("camera=%s", item.camera, exc_info=True)
            self._ready.put((item, prepared))
            if item is None:
                return
