"""One picture, with the name, number and time it was born with; they travel untouched to the payload."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Frame", "Image", "check_image"]

Image = NDArray[np.uint8]
"""uint8 [height, width, 3], colours in OpenCV's order: blue, green, red."""


def check_image(image: Image) -> Image:
    """The image itself, if it is uint8 [H, W, 3] with at least one pixel.

    Raises:
        ValueError: with the expected and the actual shape and dtype.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"expected a uint8 image [H, W, 3], got {image.dtype} {list(image.shape)}")
    return image


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A camera's picture.

    `captured_ns` is wall time (UTC, ns since the epoch) and `mono_ns` monotonic time, both of the moment the
    picture was taken as nearly as the camera tells; `id` counts the camera's frames from 0, dropped ones included.
    `still` gives the same moment larger, where the camera has it: for people, not for models.
    """

    camera: str
    id: int
    image: Image
    captured_ns: int
    mono_ns: int
    still: Callable[[], Image] | None = None

    def __post_init__(self) -> None:
        check_image(self.image)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.image.shape[0])

    def remembered(self) -> "Frame":
        """The same to remember it by, its picture black: one that is kept would keep a camera's buffer from use."""
        return Frame(self.camera, self.id, _black(self.image.shape), self.captured_ns, self.mono_ns)


@lru_cache(maxsize=16)
def _black(shape: tuple[int, ...]) -> Image:
    """A picture of that size that takes the room of a byte."""
    return np.broadcast_to(np.uint8(0), shape)
