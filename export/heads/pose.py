"""Keypoints from heatmaps, as GluonCV's `get_final_preds` finds them, in pixels of the picture."""

from __future__ import annotations

import numpy as np

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Graph
from export.ops.common import cast, reduce_, reshape, slice_
from export.translate import walk

__all__ = ["emit_pose"]


def emit_pose(b: Builder, graph: Graph, image: dict[str, Value], labels: int) -> None:
    """Declare `keypoints` float32 [N, J, 3]: x and y in pixels, and the heatmap's value there.

    The peak's cell, moved a quarter of a cell towards the higher neighbour in each direction unless it lies at the
    border; a heatmap without a positive value gives the corner 0, 0.

    Raises:
        ExportError: the number of labels is not the number of joints, or the output is no heatmap.
    """
    head = graph.heads[0]
    heat = walk(b, graph.with_heads([head]), image).values[head]
    if heat.rank != 4:
        raise ExportError(f"{graph.origin}: pose needs heatmaps [N, joints, H, W]; the model gives {list(heat.dims)}")
    joints, height, width = heat.shape[1:]
    if joints != labels:
        raise ExportError(f"{labels} labels were given, but {graph.origin} finds {joints} joints")
    picture = next(iter(image.values())).shape[2:]
    one, two = heat.shapes
    with b.scope("keypoints"):
        flat = reshape(b, heat, ((one[0], joints, height * width), (two[0], joints, height * width)))
        best = reduce_(b, "ReduceMax", flat, [2], keep=True)
        peak = b.op("ArgMax", flat, axis=2, keepdims=1)
        y = b.op("Div", peak, np.int64(width))
        x = b.op("Sub", peak, b.op("Mul", y, np.int64(width)))
        place = b.op("Concat", x, y, axis=2)
        shift = _towards_higher(b, flat, peak, place, (height, width))
        found = b.op("Add", cast(b, place, np.float32), shift)
        found = b.op("Where", b.op("Greater", best, np.float32(0)), found, np.float32(0))
        pixels = b.op("Mul", found, np.asarray([picture[1] / width, picture[0] / height], np.float32))
        b.output(b.op("Concat", pixels, best, axis=2), "keypoints")


def _towards_higher(b: Builder, flat: Value, peak: Value, place: Value, size: tuple[int, int]) -> Value:
    """A quarter of a cell in x and y, [N, J, 2].

    Zero unless the peak is two cells from the low border and one from the high one: GluonCV's rule.
    """
    height, width = size
    around = b.op("Add", peak, np.asarray([1, width, -1, -width], np.int64))
    inside = b.op("Clip", around, np.int64(0), np.int64(height * width - 1))
    values = b.op("GatherElements", flat, inside, axis=2)
    rise = b.op("Sign", b.op("Sub", slice_(b, values, 2, 0, 2), slice_(b, values, 2, 2, 4)))
    low = b.op("Greater", place, np.int64(1))
    high = b.op("Less", place, np.asarray([width - 1, height - 1], np.int64))
    central = cast(b, b.op("And", low, high), np.float32)
    both = reduce_(b, "ReduceMin", central, [2], keep=True)
    return b.op("Mul", rise, b.op("Mul", both, np.float32(0.25)))
