"""What the bare nets of the zoo are fed: a picture, a clip, or a template and a search area."""

from __future__ import annotations

from typing import Final

import numpy as np

from export.graph import Array
from export.zoo.pictures import pictures
from export.zoo.table import ZooNet

__all__ = ["sample_inputs", "sample_shapes"]

_TEMPLATE: Final = 127  # side of the picture that a tracker looks for


def sample_shapes(entry: ZooNet, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """The shape of each input by the name that Gluon gives it, in the order in which the block takes them."""
    if entry.task == "tracking":
        return {"data0": (1, 3, _TEMPLATE, _TEMPLATE), "data1": (1, 3, *size)}
    return {"data": (1, 3, *(() if entry.frames is None else (entry.frames,)), *size)}


def sample_inputs(entry: ZooNet, size: tuple[int, int], *, seed: int) -> dict[str, Array]:
    """Drawn pictures in these shapes, float32, normalised as the net wants them."""
    drawn = pictures(max(2, entry.frames or 1), size, seed=seed) / np.float32(255)
    images = ((drawn - np.asarray(entry.mean, np.float32)) / np.asarray(entry.std, np.float32)).transpose(0, 3, 1, 2)
    if entry.task == "tracking":
        return {
            "data0": np.ascontiguousarray(images[:1, :, :_TEMPLATE, :_TEMPLATE]),
            "data1": np.ascontiguousarray(images[1:2]),
        }
    if entry.frames is not None:
        return {"data": np.ascontiguousarray(images[None, : entry.frames].transpose(0, 2, 1, 3, 4))}
    return {"data": np.ascontiguousarray(images[:1])}
