"""The front of every deployable model: uint8 pictures in, normalised inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.build import Builder, Value
from export.errors import ExportError

__all__ = ["Normalization", "image_input"]


@dataclass(frozen=True, slots=True)
class Normalization:
    """For each channel (pixel - shift) * scale, pixels in 0..255, RGB."""

    shift: tuple[float, float, float]
    scale: tuple[float, float, float]

    @classmethod
    def gluoncv(cls, mean: Sequence[float], std: Sequence[float]) -> Normalization:
        """(pixel / 255 - mean) / std, as GluonCV's `ToTensor` and `Normalize` do.

        Raises:
            ExportError: not three numbers each, or a deviation that is not positive.
        """
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ExportError(f"mean {list(mean)} and std {list(std)} must be three numbers each, std positive")
        r, g, b = (value * 255 for value in mean)
        return cls((r, g, b), (1 / (255 * std[0]), 1 / (255 * std[1]), 1 / (255 * std[2])))

    @classmethod
    def affine(cls, scale: float, offset: float) -> Normalization:
        """The form pixel * scale + offset.

        Raises:
            ExportError: the scale is not positive.
        """
        if scale <= 0:
            raise ExportError(f"the scale {scale} must be positive")
        return cls((-offset / scale,) * 3, (scale,) * 3)


def image_input(b: Builder, input_hw: tuple[int, int], normalization: Normalization, *, batch: int | None) -> Value:
    """Declare `image` uint8 [N, H, W, 3] RGB and give it normalised, float32 [N, 3, H, W].

    The scale is last, where a pass moves it into the first convolution; the shift cannot move, since the convolution
    pads with zeros after it.
    """
    height, width = input_hw
    if height < 1 or width < 1:
        raise ExportError(f"the input size {height}x{width} is not positive")
    sizes = (batch, batch) if batch else (1, 2)
    image = b.input("image", np.uint8, ((sizes[0], height, width, 3), (sizes[1], height, width, 3)))
    with b.scope("normalize"):
        # Bytes move cheaper than floats: transpose first.
        pixels = b.op("Cast", b.op("Transpose", image, perm=[0, 3, 1, 2]), to=1)
        if any(normalization.shift):
            pixels = b.op("Sub", pixels, np.asarray(normalization.shift, np.float32).reshape(1, 3, 1, 1))
        if normalization.scale != (1.0, 1.0, 1.0):
            pixels = b.op("Mul", pixels, np.asarray(normalization.scale, np.float32).reshape(1, 3, 1, 1))
    return pixels
