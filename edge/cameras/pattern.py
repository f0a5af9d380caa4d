"""A camera that needs no camera: coloured squares that move over a still background, and where they are is known.

What frame number n shows depends on n alone, so a test, a benchmark or a new node knows what has to come out. In an
8x8 corner the number itself is drawn: no two pictures are the same, as with a real sensor.
"""

from dataclasses import dataclass

import numpy as np

from edge.cameras.camera import Camera, Opening
from edge.cameras.pace import Pace
from edge.frame import Image

__all__ = ["Shown", "draw_pattern", "open_pattern", "pattern_truth"]

_WIDTH, _HEIGHT, _FPS = 640, 480, 25.0
_COLOURS_BGR = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}
_GREY = 90
_BITS = np.arange(64, dtype=np.uint64).reshape(8, 8)


@dataclass(frozen=True, slots=True)
class Shown:
    """A square in a frame. `box` is x1 y1 x2 y2 in pixels, x2 and y2 just outside of it."""

    label: str
    box: tuple[int, int, int, int]


def pattern_truth(number: int, width: int = _WIDTH, height: int = _HEIGHT) -> list[Shown]:
    """What frame `number` (from 0) of a pattern of that size shows."""
    side = max(4, min(width, height) // 5)
    found = []
    for i, label in enumerate(_COLOURS_BGR):
        x = _swing(number * (2 + i) + i * width // 4, width - side)
        # Each on its own shelf: they never cover one another, nor the corner with the number.
        y = 8 + i * (height - 8) // 3 + max(0, ((height - 8) // 3 - side) // 2)
        found.append(Shown(label, (x, y, x + side, min(height, y + side))))
    return found


def draw_pattern(number: int, into: Image) -> Image:
    """Draws frame `number` into uint8 [height, width, 3] BGR, and returns it."""
    height, width = into.shape[:2]
    into[:] = _GREY
    into[:8, :8] = (((np.uint64(number) >> _BITS) & np.uint64(1)) * np.uint64(255)).astype(np.uint8)[:, :, None]
    for shown in pattern_truth(number, width, height):
        x1, y1, x2, y2 = shown.box
        into[y1:y2, x1:x2] = _COLOURS_BGR[shown.label]
    return into


def open_pattern(opening: Opening) -> Camera:
    """The pattern; `pattern:N` ends after N frames."""
    return _Pattern(opening)


class _Pattern:
    def __init__(self, opening: Opening) -> None:
        settings = opening.settings
        self._opening = opening
        self._shape = (settings.height or _HEIGHT, settings.width or _WIDTH, 3)
        last = str(settings.source).partition(":")[2]
        self._frames = int(last) if last else None
        self._pace = Pace(1 / (settings.fps or _FPS), opening) if settings.pace == "native" else None
        self._number = -1

    def grab(self) -> int | None:
        if self._frames is not None and self._number + 1 >= self._frames:
            return None
        if (self._pace is not None and self._pace.wait()) or self._opening.stop.is_set():
            return None
        self._number += 1
        return self._opening.now()

    def retrieve(self, into: Image | None = None) -> Image:
        image = into if into is not None and into.shape == self._shape else np.empty(self._shape, np.uint8)
        return draw_pattern(max(0, self._number), image)

    def close(self) -> None:
        """Holds nothing."""


def _swing(way: int, room: int) -> int:
    """To and fro between 0 and `room`."""
    if room <= 0:
        return 0
    way %= 2 * room
    return way if way <= room else 2 * room - way
