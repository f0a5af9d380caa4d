"""Operators that give elements another shape, another order, or repeat them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Shape, Value
from export.ops.common import axis_of, enlarge, repeat_to, reshape, transpose
from export.ops.registry import converts
from export.ops.reshape_codes import reshaped

__all__: list[str] = []

_IMAGES, _PLACES = 4, (2, 3)  # [N, C, H, W], and where its H and W are


@converts("Flatten", "flatten")
def flatten(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """[N, everything else]."""
    del attrs
    one, two = inputs[0].shapes
    return reshape(b, inputs[0], ((one[0], int(np.prod(one[1:]))), (two[0], int(np.prod(two[1:])))))


@converts("Reshape", "reshape")
def reshape_(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """MXNet's codes: 0 keeps, -1 infers, -2 copies the rest, -3 merges two, -4 splits; `reverse` counts from the end."""
    codes = attrs.integers("shape", ()) or attrs.integers("target_shape", ())
    attrs.ignore("target_shape")
    attrs.require("keep_highest", "False", "False")
    reverse = attrs.boolean("reverse", default=False)
    x = inputs[0]
    try:
        one, two = (reshaped(shape, codes, reverse=reverse) for shape in x.shapes)
    except ValueError as exc:
        raise attrs.unsupported("shape", str(exc)) from exc
    return reshape(b, x, (one, two))


@converts("reshape_like")
def reshape_like(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The shape of the second input; with ranges, its dimensions there in place of those of the first."""
    x, like = inputs
    left = attrs.optional_integer("lhs_begin"), attrs.optional_integer("lhs_end")
    right = attrs.optional_integer("rhs_begin"), attrs.optional_integer("rhs_end")
    one, two = (
        (*shape[: _bound(left[0], 0, x.rank)], *other[slice(*right)], *shape[_bound(left[1], x.rank, x.rank) :])
        for shape, other in zip(x.shapes, like.shapes, strict=True)
    )
    return reshape(b, x, (one, two))


def _bound(at: int | None, default: int, rank: int) -> int:
    return default if at is None else axis_of(at, rank)


@converts("expand_dims")
def expand_dims(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """A dimension of one at `axis`, which counts in the result."""
    x = inputs[0]
    axis = axis_of(attrs.integer("axis"), x.rank + 1)
    return b.op("Unsqueeze", x, np.asarray([axis], np.int64))


@converts("squeeze")
def squeeze(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Without the dimensions of one at `axis`, by default all of them but what follows the batch."""
    x = inputs[0]
    axes = attrs.integers("axis", ()) or tuple(
        axis for axis, (one, two) in enumerate(zip(*x.shapes, strict=True)) if one == two == 1
    )
    return b.op("Squeeze", x, np.asarray([axis_of(axis, x.rank) for axis in axes], np.int64))


@converts("transpose")
def transpose_(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """By `axes`, by default reversed."""
    x = inputs[0]
    axes = attrs.integers("axes", tuple(reversed(range(x.rank))))
    return transpose(b, x, [axis_of(axis, x.rank) for axis in axes])


@converts("SwapAxis", "swapaxes")
def swap_axis(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Two axes exchanged; both default to 0."""
    x = inputs[0]
    one, two = axis_of(attrs.integer("dim1", 0), x.rank), axis_of(attrs.integer("dim2", 0), x.rank)
    perm = list(range(x.rank))
    perm[one], perm[two] = two, one
    return transpose(b, x, perm)


@converts("Concat", "concat")
def concat(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Along `dim`, by default 1."""
    axis = axis_of(attrs.integer("dim", 1), inputs[0].rank)
    return inputs[0] if len(inputs) == 1 else b.op("Concat", *inputs, axis=axis)


@converts("stack")
def stack(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Along a new axis, by default 0."""
    axis = axis_of(attrs.integer("axis", 0), inputs[0].rank + 1)
    parts = [b.op("Unsqueeze", x, np.asarray([axis], np.int64)) for x in inputs]
    return b.op("Concat", *parts, axis=axis)


@converts("tile")
def tile(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`reps` times along each dimension, counted from the last."""
    x = inputs[0]
    reps = attrs.integers("reps")
    if len(reps) > x.rank:
        more = (1,) * (len(reps) - x.rank)
        x = reshape(b, x, (more + x.shapes[0], more + x.shapes[1]))
    counts = (1,) * (x.rank - len(reps)) + reps
    return x if all(count == 1 for count in counts) else b.op("Tile", x, np.asarray(counts, np.int64))


@converts("repeat")
def repeat(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Each element `repeats` times along `axis`; without an axis the input is flattened first."""
    x = inputs[0]
    count = attrs.integer("repeats")
    raw = attrs.optional_integer("axis")
    if raw is None:
        x = reshape(b, x, ((int(np.prod(x.shapes[0])),), (int(np.prod(x.shapes[1])),)))
        raw = 0
    axis = axis_of(raw, x.rank)
    if x.rank == _IMAGES and axis in _PLACES and x.dtype == np.float32 and count > 0:
        # So YOLOv3 enlarges its maps: onnxruntime does that in the layout of its convolutions, `merge_resizes` in one go.
        return enlarge(b, x, *(count if axis == place else 1 for place in _PLACES))
    wide = b.op("Unsqueeze", x, np.asarray([axis + 1], np.int64))
    reps = np.ones(x.rank + 1, np.int64)
    reps[axis + 1] = count
    tiled = b.op("Tile", wide, reps)

    def longer(shape: Shape) -> Shape:
        return (*shape[:axis], shape[axis] * count, *shape[axis + 1 :])

    return reshape(b, tiled, (longer(x.shapes[0]), longer(x.shapes[1])))


@converts("broadcast_axis", "broadcast_axes")
def broadcast_axis(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Dimensions of one at `axis` stretched to `size`."""
    x = inputs[0]
    axes, sizes = attrs.integers("axis", ()), attrs.integers("size", ())
    shapes = [list(shape) for shape in x.shapes]
    for axis, size in zip(axes, sizes, strict=True):
        for shape in shapes:
            shape[axis_of(axis, x.rank)] = size
    return repeat_to(b, x, (tuple(shapes[0]), tuple(shapes[1])))


@converts("broadcast_to")
def broadcast_to(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """To `shape`, where 0 keeps a dimension."""
    x = inputs[0]
    wanted = attrs.integers("shape")
    one, two = (tuple(n or dim for n, dim in zip(wanted, shape, strict=True)) for shape in x.shapes)
    return repeat_to(b, x, (one, two))


@converts("broadcast_like")
def broadcast_like(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """To the shape of the second input, or along `lhs_axes` to its `rhs_axes`."""
    x, like = inputs
    left, right = attrs.integers("lhs_axes", ()), attrs.integers("rhs_axes", ())
    if not left:
        return repeat_to(b, x, like.shapes)
    shapes = [list(shape) for shape in x.shapes]
    for batch, shape in enumerate(shapes):
        for at, other in zip(left, right, strict=True):
            shape[axis_of(at, x.rank)] = like.shapes[batch][axis_of(other, like.rank)]
    return repeat_to(b, x, (tuple(shapes[0]), tuple(shapes[1])))


@converts("Pad", "pad")
def pad(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Constant, edge or reflected padding; `pad_width` holds (before, after) for each dimension."""
    x = inputs[0]
    mode = attrs.choice("mode", {"constant", "edge", "reflect"})
    width = attrs.integers("pad_width")
    fill = attrs.number("constant_value", 0.0)
    amounts = np.asarray([*width[0::2], *width[1::2]], np.int64)
    return b.op("Pad", x, amounts, np.asarray(fill, x.dtype) if mode == "constant" else None, mode=mode)


@converts("depth_to_space")
def depth_to_space(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Blocks of channels become blocks of pixels."""
    return b.op("DepthToSpace", inputs[0], blocksize=attrs.integer("block_size"), mode="DCR")


@converts("space_to_depth")
def space_to_depth(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Blocks of pixels become blocks of channels."""
    return b.op("SpaceToDepth", inputs[0], blocksize=attrs.integer("block_size"))


@converts("shape_array")
def shape_array(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The shape as int64 vector."""
    del attrs
    return b.sizes(inputs[0].shapes)
