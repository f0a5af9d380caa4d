"""What a camera is to the rest of the agent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge.clock import Clock
from edge.frame import Image

__all__ = ["LIVE", "Camera", "Opening", "Settings", "Still", "Stop", "TwoSizes", "still_of"]

LIVE = frozenset({"gstreamer", "picamera", "url", "v4l2"})
"""The kinds whose reading may hang in a driver or a library: they are read in a process that can be killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an opener needs of a camera's configuration: plain values, which also travel to a process as JSON."""

    kind: str
    source: int | str
    pace: str = "native"
    loop: bool = False
    start_s: float = 0.0
    fps: float | None = None
    width: int | None = None
    height: int | None = None
    snapshot_width: int | None = None
    snapshot_height: int | None = None
    username: str | None = None
    password_file: str | None = None
    open_timeout_s: float = 4.0
    read_timeout_s: float = 3.0
    frozen_s: float = 3.0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Settings":
        """Those of a mapping's values that are ours, such as what `model_dump(mode="json")` of a configuration gives."""
        return cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})

    @property
    def live(self) -> bool:
        """Whether frames come when the world makes them, by a way that may hang."""
        return self.kind in LIVE


class Stop(Protocol):
    """Tells that it is time to stop; `fileno` becomes readable then, for those who wait for a descriptor as well."""

    def is_set(self) -> bool:
        """Whether it is time."""

    def wait(self, seconds: float) -> bool:
        """Sleeps; True at once when it is time."""

    def fileno(self) -> int:
        """A descriptor to wait for, -1 when there is none."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What an opener is given."""

    settings: Settings
    clock: Clock
    stop: Stop

    def now(self) -> int:
        """Monotonic nanoseconds. Ask only after the picture has arrived, never before a read that may block."""
        return self.clock.mono_ns()


class Camera(Protocol):
    """A source of frames that is open. One thread uses it."""

    def grab(self) -> int | None:
        """Waits for the next picture; when it was taken, or as near as the source tells (monotonic nanoseconds).

        None when there will be no more.

        Raises:
            CameraError: when it is away, silent or broken; it is then closed and a new one opened.
        """

    def retrieve(self, into: Image | None = None) -> Image:
        """The picture that was grabbed last, decoded: uint8 [height, width, 3] BGR, the caller's own.

        It is written to `into` and that is returned when it has the picture's shape; else it comes in other memory.

        Raises:
            CameraError: when it is not a picture; the next one may be.
        """

    def close(self) -> None:
        """Gives everything back. Never raises."""


@runtime_checkable
class TwoSizes(Camera, Protocol):
    """A camera that gives each picture in a larger size as well, for people to look at."""

    def large(self) -> NDArray[np.uint8] | None:
        """The picture that was grabbed last, I420: uint8 [height * 3 / 2, width], BT.601; None when it is not wanted."""


Still = Callable[[], Image]
"""The same moment in the larger size, uint8 [height, width, 3] BGR and the caller's own: decoded when it is called."""


def still_of(camera: Camera) -> Still | None:
    """The larger picture of the moment that was retrieved last, where there is one."""
    found: Still | None = getattr(camera, "still", lambda: None)()
    return found


Opener = Callable[[Opening], Camera]
