"""Operators that select elements: ranges, parts, rows by index."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import axis_of, cast, known, slice_, transpose
from export.ops.registry import converts

__all__: list[str] = []


@converts("SliceChannel", "split")
def slice_channel(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Sequence[Value]:
    """`num_outputs` equal parts along `axis`, by default 1."""
    x = inputs[0]
    count = attrs.integer("num_outputs")
    axis = axis_of(attrs.integer("axis", 1), x.rank)
    squeezed = attrs.boolean("squeeze_axis", default=False)
    if x.shape[axis] % count or x.shapes[0][axis] != x.shapes[1][axis]:
        raise attrs.unsupported("num_outputs", f"axis {axis} of the shape {x.dims} does not divide")
    sizes = np.full(count, x.shape[axis] // count, np.int64)
    parts = b.ops("Split", x, sizes, count=count, axis=axis) if count > 1 else (x,)
    return [b.op("Squeeze", part, np.asarray([axis], np.int64)) if squeezed else part for part in parts]


@converts("_split_v2")
def split_v2(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Sequence[Value]:
    """Cut at `indices`, the first of which is 0, or into `sections` equal parts, along `axis`, by default 0."""
    x = inputs[0]
    axis = axis_of(attrs.integer("axis", 0), x.rank)
    indices, sections = attrs.integers("indices", ()), attrs.integer("sections", 0)
    squeezed = attrs.boolean("squeeze_axis", default=False)
    length = x.shape[axis]
    if sections:
        indices = tuple(range(0, length, length // sections))
    if x.shapes[0][axis] != x.shapes[1][axis] or (sections and length % sections):
        raise attrs.unsupported("sections", f"axis {axis} of the shape {x.dims} does not divide")
    bounds = (*indices, length)
    parts = [slice_(b, x, axis, begin, end) for begin, end in pairwise(bounds)]
    return [b.op("Squeeze", part, np.asarray([axis], np.int64)) if squeezed else part for part in parts]


@converts("slice_axis")
def slice_axis(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """From `begin` to `end`, which may be None or negative."""
    x = inputs[0]
    axis = axis_of(attrs.integer("axis"), x.rank)
    return slice_(b, x, axis, attrs.integer("begin"), attrs.optional_integer("end"))


@converts("slice", "crop")
def slice_op(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`begin`, `end` and `step` for each of the first dimensions; None is the whole range."""
    x = inputs[0]
    begins, ends = attrs.optional_integers("begin"), attrs.optional_integers("end")
    steps = attrs.optional_integers("step") or (None,) * len(begins)
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        stride = step or 1
        first = begin if begin is not None else (0 if stride > 0 else np.iinfo(np.int64).max)
        x = slice_(b, x, axis, first, end, stride)
    return x


@converts("slice_like")
def slice_like(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The first rows along `axes` (default: all), as many as the second input has."""
    x, like = inputs
    for axis in attrs.integers("axes", tuple(range(like.rank))):
        at, other = axis_of(axis, x.rank), axis_of(axis, like.rank)
        wanted = (like.shapes[0][other], like.shapes[1][other])
        if wanted == tuple(shape[at] for shape in x.shapes):
            continue
        x = slice_(b, x, at, 0, wanted[0]) if wanted[0] == wanted[1] else _slice_batch(b, x, at, wanted)
    return x


def _slice_batch(b: Builder, x: Value, axis: int, wanted: tuple[int, int]) -> Value:
    """As many rows as the batch asks for."""
    start, axes = np.asarray([0], np.int64), np.asarray([axis], np.int64)
    rows = b.op("Slice", x, start, b.sizes(((wanted[0],), (wanted[1],))), axes)
    one, two = ((*shape[:axis], n, *shape[axis + 1 :]) for shape, n in zip(x.shapes, wanted, strict=True))
    return known(rows, (one, two))


@converts("reverse", "flip")
def reverse(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Backwards along `axis`."""
    x = inputs[0]
    for axis in attrs.integers("axis"):
        x = slice_(b, x, axis_of(axis, x.rank), -1, None, -1)
    return x


@converts("Crop")
def crop(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Height and width cut to `h_w`, or to those of the second input, at `offset` or in the centre."""
    x = inputs[0]
    height, width = inputs[1].shape[2:] if len(inputs) > 1 else attrs.integers("h_w")
    attrs.ignore("h_w")
    top, left = attrs.integers("offset", (0, 0))
    if attrs.boolean("center_crop", default=False):
        top, left = (x.shape[2] - height) // 2, (x.shape[3] - width) // 2
    return slice_(b, slice_(b, x, 2, top, top + height), 3, left, left + width)


@converts("take")
def take(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Rows along `axis` by index; indices outside are clipped."""
    x, index = inputs
    axis = axis_of(attrs.integer("axis", 0), x.rank)
    attrs.require("mode", "clip", "clip")
    top = np.asarray(x.shape[axis] - 1, np.int64)
    rows = b.op("Clip", cast(b, index, np.int64), np.asarray(0, np.int64), top)
    return b.op("Gather", x, rows, axis=axis)


@converts("gather_nd")
def gather_nd(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """MXNet keeps the coordinates in the first dimension of the index, ONNX in the last."""
    del attrs
    x, index = inputs
    return b.op("GatherND", x, transpose(b, cast(b, index, np.int64), [*range(1, index.rank), 0]))
