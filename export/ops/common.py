"""Small emitters that many converters share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from export.build import UNKNOWN, Builder, Shape, Value, affordable
from export.errors import ExportError

__all__ = [
    "axis_of",
    "cast",
    "enlarge",
    "full",
    "gather_rows",
    "known",
    "reduce_",
    "repeat_to",
    "reshape",
    "scalar",
    "slice_",
    "transpose",
    "unsqueeze",
]


def cast(b: Builder, x: Value, dtype: Any) -> Value:
    """`x` as `dtype`; nothing is emitted when it is that already."""
    wanted = np.dtype(dtype)
    if x.dtype == wanted:
        return x
    return b.op("Cast", x, to=_onnx_type(wanted))


def _onnx_type(dtype: np.dtype[Any]) -> int:
    # Imported late: onnx.helper is the only one that knows the mapping.
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(dtype))


def scalar(b: Builder, number: float, like: Value) -> Value:
    """A constant of the type of `like` that broadcasts against anything."""
    if like.dtype.kind in "iub" and number != int(number):
        raise ExportError(f"the scalar {number} does not fit the type {like.dtype}; cast to float32 before")
    return b.constant(np.asarray(number, dtype=like.dtype))


def known(value: Value, shapes: tuple[Shape, Shape]) -> Value:
    """`value` with the shape that inference cannot see because it was computed from the batch size."""
    return replace(value, shapes=shapes)


def reshape(b: Builder, x: Value, shapes: tuple[Shape, Shape]) -> Value:
    """`x` in another shape, given at batch 1 and at batch 2; no-op reshapes vanish."""
    if x.shapes == shapes and UNKNOWN not in shapes[0]:
        return x
    target = list(shapes[0])
    moving = [axis for axis, (one, two) in enumerate(zip(*shapes, strict=True)) if one != two or one == UNKNOWN]
    inferred = False
    for axis in moving:
        kept = axis < x.rank and all(x.shapes[i][axis] == shapes[i][axis] for i in (0, 1))
        if kept and shapes[0][axis] != UNKNOWN:
            target[axis] = 0
        elif not inferred:
            target[axis], inferred = -1, True
        else:
            return known(b.op("Reshape", x, b.sizes(shapes)), shapes)
    return b.op("Reshape", x, np.asarray(target, np.int64))


def transpose(b: Builder, x: Value, perm: Sequence[int]) -> Value:
    """`x` with its axes in another order; the identity vanishes."""
    if list(perm) == list(range(x.rank)):
        return x
    return b.op("Transpose", x, perm=list(perm))


def unsqueeze(b: Builder, x: Value, axis: int) -> Value:
    """`x` with a dimension of one put in at `axis`, which counts in the result."""
    return b.op("Unsqueeze", x, np.asarray([axis], np.int64))


def slice_(b: Builder, x: Value, axis: int, begin: int, end: int | None, step: int = 1) -> Value:
    """A range along one axis, as Python's slices count."""
    if step > 0 and begin == 0 and (end is None or min(x.shapes[0][axis], x.shapes[1][axis]) <= end) and step == 1:
        full_range = end is None or x.shapes[0][axis] == x.shapes[1][axis] != UNKNOWN
        if full_range:
            return x
    last = end if end is not None else (np.iinfo(np.int64).max if step > 0 else np.iinfo(np.int64).min)
    bounds = (np.asarray([number], np.int64) for number in (begin, last, axis, step))
    return b.op("Slice", x, *bounds)


def reduce_(b: Builder, kind: str, x: Value, axes: Sequence[int], *, keep: bool = False) -> Value:
    """A reduction along axes, which opset 18 moved from an attribute to an input (13 for `ReduceSum`)."""
    if kind == "ReduceSum" or b.program.opset >= 18:
        return b.op(kind, x, np.asarray(axes, np.int64), keepdims=int(keep))
    return b.op(kind, x, axes=list(axes), keepdims=int(keep))


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis."""
    return axis + rank if axis < 0 else axis


def full(b: Builder, shapes: tuple[Shape, Shape], number: float, dtype: Any) -> Value:
    """A tensor filled with one number."""
    if shapes[0] == shapes[1]:
        affordable(*shapes[0])
        return b.constant(np.full(shapes[0], number, dtype))
    one = b.constant(np.full((1,) * len(shapes[0]), number, dtype))
    return known(b.op("Expand", one, b.sizes(shapes)), shapes)


def repeat_to(b: Builder, x: Value, shapes: tuple[Shape, Shape]) -> Value:
    """`x` broadcast to a shape given at batch 1 and at batch 2."""
    return x if x.shapes == shapes else known(b.op("Expand", x, b.sizes(shapes)), shapes)


def enlarge(b: Builder, x: Value, height: int, width: int) -> Value:
    """Each pixel of `x` [N, C, H, W] `height` times down and `width` times across."""
    return b.op(
        "Resize",
        x,
        None,
        np.asarray([1, 1, height, width], np.float32),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def gather_rows(b: Builder, x: Value, index: Value) -> Value:
    """Rows of `x` [N, A, ...] by `index` [N, K] int64, image by image: [N, K, ...]."""
    return b.op("GatherND", x, unsqueeze(b, index, 2), batch_dims=1)
