"""Frame -> tensor, and the placement that takes results back to the frame.

Calibration and verification on the workstation run this very code, so what was measured is what runs.
"""

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frame import Image, check_image

__all__ = ["Interpolation", "Placement", "ResizeRule", "placement_of", "prepare"]

ResizeRule = Literal["stretch", "letterbox", "crop"]
"""How an image becomes the model's input size.

`stretch` ignores the aspect ratio (GluonCV's SSD and YOLO); `letterbox` keeps it and fills the rest with grey;
`crop` scales the short side to size / `crop_ratio` and takes the centre (GluonCV's classification nets).
"""

Interpolation = Literal["bilinear", "area"]

_FILL = 114  # the customary letterbox grey
_CV_INTERPOLATION = {"bilinear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image came to lie in the model's input: input = image * scale + offset, in pixels."""

    width: int
    height: int
    scale_x: float
    scale_y: float
    offset_x: float = 0.0
    offset_y: float = 0.0

    @property
    def inner(self) -> tuple[int, int]:
        """Width and height of the whole image in the input, in pixels."""
        return round(self.width * self.scale_x), round(self.height * self.scale_y)

    def box_to_image(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """A box x1 y1 x2 y2 in input pixels -> the same in image pixels, clipped to the image.

        In Python: after a model has run, the few boxes of a frame cost numpy three times as much.
        """
        x1, y1, x2, y2 = box
        return (
            _within((x1 - self.offset_x) / self.scale_x, self.width),
            _within((y1 - self.offset_y) / self.scale_y, self.height),
            _within((x2 - self.offset_x) / self.scale_x, self.width),
            _within((y2 - self.offset_y) / self.scale_y, self.height),
        )

    def points_to_image(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points [..., 2] x y in input pixels -> image pixels, not clipped."""
        offset = np.array([self.offset_x, self.offset_y], np.float32)
        scale = np.array([self.scale_x, self.scale_y], np.float32)
        return (points.astype(np.float32) - offset) / scale

    def points_to_input(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points [..., 2] x y in image pixels -> input pixels: the inverse of `points_to_image`."""
        offset = np.array([self.offset_x, self.offset_y], np.float32)
        scale = np.array([self.scale_x, self.scale_y], np.float32)
        return points.astype(np.float32) * scale + offset

    def mask_to_image(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Class mask [h, w] in input pixels -> [height, width] of the image, nearest neighbour.

        What of the image the model never saw (cropped away) is class 0.
        """
        matrix = np.array([[self.scale_x, 0, self.offset_x], [0, self.scale_y, self.offset_y]], np.float64)
        # Pixel centres: warpAffine maps integer indices, our scale maps edges.
        matrix[0, 2] += 0.5 * self.scale_x - 0.5
        matrix[1, 2] += 0.5 * self.scale_y - 0.5
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(mask, matrix, (self.width, self.height), flags=flags)
        return np.asarray(warped, np.uint8)


def _within(value: float, most: float) -> float:
    if 0.0 <= value <= most:  # nearly always, and then nothing need be called
        return value
    return min(max(value, 0.0), most)  # in this order what is not a number stays so, as events leave it out


def prepare(
    image: Image,
    *,
    height: int,
    width: int,
    resize: ResizeRule = "stretch",
    interpolation: Interpolation = "bilinear",
    crop_ratio: float = 0.875,
) -> tuple[NDArray[np.uint8], Placement]:
    """Image (uint8 [h, w, 3] BGR) -> tensor uint8 [height, width, 3] RGB, contiguous, and its placement.

    Raises:
        ValueError: when `image` is not uint8 [h, w, 3].
    """
    check_image(image)
    source_h, source_w = image.shape[:2]
    how = _CV_INTERPOLATION[interpolation]
    placement = placement_of(source_w, source_h, height=height, width=width, resize=resize, crop_ratio=crop_ratio)
    inner_w, inner_h = placement.inner
    left, top = round(placement.offset_x), round(placement.offset_y)
    inner = _resize(image, inner_w, inner_h, how)
    if resize == "letterbox":
        rgb = np.empty((height, width, 3), np.uint8)
        for border in (rgb[:top], rgb[top + inner_h :], rgb[:, :left], rgb[:, left + inner_w :]):
            border[:] = _FILL
        _swap(inner, into=rgb[top : top + inner_h, left : left + inner_w])
    elif resize == "crop":
        rgb = _swap(inner[-top : height - top, -left : width - left])
    else:
        rgb = _swap(inner)
    return rgb, placement


@functools.lru_cache(maxsize=64)  # a camera's frames all have one size, and this is a thirtieth of preparing one
def placement_of(
    image_w: int, image_h: int, *, height: int, width: int, resize: ResizeRule = "stretch", crop_ratio: float = 0.875
) -> Placement:
    """Where `prepare` puts an image of `image_w` x `image_h` pixels in an input of `width` x `height`."""
    inner_w, inner_h = width, height
    if resize == "letterbox":
        scale = min(width / image_w, height / image_h)
        inner_w = min(width, max(1, round(image_w * scale)))
        inner_h = min(height, max(1, round(image_h * scale)))
    elif resize == "crop":
        # MXNet's resize_short: the short side becomes size / ratio, the long side is floored; then the centre.
        scale = max(width / crop_ratio / image_w, height / crop_ratio / image_h)
        inner_w = max(width, int(image_w * scale + 1e-6))
        inner_h = max(height, int(image_h * scale + 1e-6))
    left, top = (width - inner_w) // 2, (height - inner_h) // 2
    if resize == "crop":
        left, top = -((inner_w - width) // 2), -((inner_h - height) // 2)
    return Placement(image_w, image_h, inner_w / image_w, inner_h / image_h, left, top)


class _Scratch(threading.local):
    """What a thread resizes into, kept: a buffer of this size that is new costs as much as the resizing."""

    buffer: Image | None = None


_scratch = _Scratch()


def _resize(image: Image, width: int, height: int, how: int) -> Image:
    """The image in that size; good until the same thread resizes again."""
    if image.shape[:2] == (height, width):
        return image
    buffer = _scratch.buffer
    if buffer is None or buffer.shape != (height, width, 3):
        buffer = _scratch.buffer = np.empty((height, width, 3), np.uint8)
    cv2.resize(image, (width, height), dst=buffer, interpolation=how)
    return buffer


def _swap(bgr: Image, *, into: Image | None = None) -> NDArray[np.uint8]:
    """BGR -> RGB on the small picture, written where it is to lie: a frame's worth of bytes is never copied for it."""
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=into), np.uint8)
