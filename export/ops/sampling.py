"""Spatial transformers: where to look, and what is seen there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value, affordable
from export.ops.common import reshape, transpose
from export.ops.registry import converts

__all__: list[str] = []


@converts("GridGenerator")
def grid_generator(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Places x, y [N, 2, H, W] in -1..1: the corners' grid moved by a matrix [N, 6], or each pixel by a flow [N, 2, H, W]."""
    x = inputs[0]
    kind, target = attrs.choice("transform_type", {"affine", "warp"}), attrs.integers("target_shape", (0, 0))
    if kind == "affine":
        return _affine(b, x, target)
    height, width = x.shape[2:]
    affordable(height, width)
    pixels = np.indices((height, width))[None, ::-1].astype(np.float32)
    half = (np.asarray([width, height], np.float32).reshape(1, 2, 1, 1) - 1) / 2
    return b.op("Sub", b.op("Div", b.op("Add", x, pixels), half), np.float32(1))


def _affine(b: Builder, matrix: Value, size: tuple[int, ...]) -> Value:
    height, width = size
    affordable(3, height, width)
    y, x = (grid.reshape(-1) for grid in np.meshgrid(*(np.linspace(-1, 1, n) for n in size), indexing="ij"))
    grid = np.stack([x, y, np.ones_like(x)]).astype(np.float32)
    one, two = (shape[0] for shape in matrix.shapes)
    moved = b.op("MatMul", reshape(b, matrix, ((one, 2, 3), (two, 2, 3))), grid)
    return reshape(b, moved, ((one, 2, height, width), (two, 2, height, width)))


@converts("BilinearSampler")
def bilinear_sampler(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`data` at the places of a grid [N, 2, H, W]; -1 and 1 are the middles of the outermost pixels, outside is zero."""
    attrs.ignore("cudnn_off")
    data, grid = inputs
    return b.op(
        "GridSample", data, transpose(b, grid, (0, 2, 3, 1)), mode="bilinear", padding_mode="zeros", align_corners=1
    )


@converts("SpatialTransformer")
def spatial_transformer(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Both at once: `data` seen through the matrices [N, 6] that a localisation net gives."""
    attrs.require("transform_type", "affine", "affine")
    attrs.require("sampler_type", "bilinear", "bilinear")
    data, matrix = inputs
    size = attrs.integers("target_shape", (0, 0))
    return bilinear_sampler(b, (data, _affine(b, matrix, size if all(size) else data.shape[2:])), attrs)
