"""What a camera is to the rest of the agent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from edge.clock import Clock
from edge.config import CameraConfig
from edge.frame import Image

__all__ = ["Camera", "Opening", "Stamp"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a picture was taken, or as near as the source tells: wall (UTC) and monotonic nanoseconds."""

    captured_ns: int
    mono_ns: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What an opener is given. `wait(seconds)` sleeps, and says True at once when it is time to stop."""

    settings: CameraConfig
    clock: Clock
    wait: Callable[[float], bool]

    def stamp(self) -> Stamp:
        """Now. Ask only after the picture has arrived, never before a read that may block."""
        return Stamp(self.clock.wall_ns(), self.clock.mono_ns())


class Camera(Protocol):
    """A source of frames that is open. One thread uses it."""

    def grab(self) -> Stamp | None:
        """Waits for the next picture; None when there will be no more.

        Raises:
            CameraError: when it is away, silent or broken; it is then closed and a new one opened.
        """

    def retrieve(self) -> Image:
        """The picture that was grabbed last, decoded: uint8 [height, width, 3] BGR, the caller's own.

        Raises:
            CameraError: when it is not a picture.
        """

    def close(self) -> None:
        """Gives everything back. Never raises."""
