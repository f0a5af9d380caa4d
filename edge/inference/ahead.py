"""The next frame prepared while the model runs on the one before: for files, where each frame is used and none is late.

Live cameras do without: their newest frame is taken when the model is free for it, and one taken sooner would be older.
"""

import logging
from typing import Protocol

from edge.cameras.latest import Gone, Latest
from edge.frame import Frame
from edge.inference.stages import Prepared, Stage

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
    """Prepares each frame on its camera's thread, before it goes into its slot: there the picture is still in the cache."""

    def __init__(self, slots: Latest, stage: Stage) -> None:
        self._slots = slots
        self._stage = stage
        self._prepared: dict[int, Prepared] = {}

    def start(self) -> None:
        """Asks the slots to show each frame that comes."""
        self._slots.show_first = self._prepare

    def take(self, timeout_s: float) -> Item | None:
        """Waits for the next."""
        item = self._slots.take(timeout_s)
        if item is None and not self._slots.done:
            return None
        return item, self._prepared.pop(id(item), None)

    def use(self, stage: Stage) -> None:
        """Prepares for another model from now on; what is prepared already, that one will not take."""
        self._stage = stage

    def stop(self, timeout_s: float) -> bool:  # noqa: ARG002 - it has no thread
        """Gives up what nobody asked for."""
        self._prepared.clear()
        return True

    def _prepare(self, frame: Frame) -> None:
        try:
            # The slots hold the frame until it is taken, so nothing else can have its identity.
            self._prepared[id(frame)] = self._stage.prepare(frame.image)
        except Exception:  # told when the frame itself is looked at
            log.debug("camera=%s", frame.camera, exc_info=True)
