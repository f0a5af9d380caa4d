"""Sums, means and extremes along axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import axis_of, cast, reduce_, reshape, unsqueeze
from export.ops.registry import Converter, converts

__all__: list[str] = []


def _axes(x: Value, attrs: Attrs) -> list[int]:
    """The axes to reduce: all by default; `exclude` reduces the others."""
    axes = {axis_of(axis, x.rank) for axis in attrs.integers("axis", ())}
    if attrs.boolean("exclude", default=False):
        return [axis for axis in range(x.rank) if axis not in axes]
    return sorted(axes) or list(range(x.rank))


def _reduced(b: Builder, kind: str, x: Value, axes: Sequence[int], *, keep: bool) -> Value:
    if len(axes) == x.rank and not keep:
        # MXNet has no scalars: what is left of nothing is one element.
        return reshape(b, reduce_(b, kind, x, axes, keep=True), ((1,), (1,)))
    return reduce_(b, kind, x, axes, keep=keep)


def _reduction(kind: str) -> Converter:
    def function(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
        x = inputs[0]
        return _reduced(b, kind, x, _axes(x, attrs), keep=attrs.boolean("keepdims", default=False))

    return function


for _names, _kind in {
    ("mean",): "ReduceMean",
    ("sum", "sum_axis"): "ReduceSum",
    ("max", "max_axis"): "ReduceMax",
    ("min", "min_axis"): "ReduceMin",
    ("prod",): "ReduceProd",
}.items():
    converts(*_names)(_reduction(_kind))


@converts("norm")
def norm(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """L1 or L2 (the default) along axes."""
    x = inputs[0]
    kind = {"1": "ReduceL1", "2": "ReduceL2"}[attrs.choice("ord", {"1", "2"}, "2")]
    attrs.require("out_dtype", "None", "None")
    return _reduced(b, kind, x, _axes(x, attrs), keep=attrs.boolean("keepdims", default=False))


@converts("argmax", "argmin")
def argmax(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The position of the extreme along `axis`, as float32."""
    kind = {"argmax": "ArgMax", "argmin": "ArgMin"}[attrs.op]
    if "axis" not in attrs or attrs.optional_integer("axis") is None:
        raise attrs.unsupported("axis", "one axis is needed")
    axis = axis_of(attrs.integer("axis"), inputs[0].rank)
    keep = attrs.boolean("keepdims", default=False) or inputs[0].rank == 1
    return cast(b, b.op(kind, inputs[0], axis=axis, keepdims=int(keep)), np.float32)


@converts("argmax_channel")
def argmax_channel(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The position of the largest along axis 1, as float32."""
    del attrs
    return cast(b, b.op("ArgMax", inputs[0], axis=1, keepdims=0), np.float32)


@converts("pick")
def pick(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """One element along `axis` (default: the last) for each index; indices outside are clipped."""
    x, index = inputs
    axis = axis_of(attrs.integer("axis", -1), x.rank)
    attrs.require("mode", "clip", "clip")
    keep = attrs.boolean("keepdims", default=False)
    top = np.asarray(x.shape[axis] - 1, np.int64)
    rows = b.op("Clip", cast(b, index, np.int64), np.asarray(0, np.int64), top)
    if rows.rank < x.rank:
        rows = unsqueeze(b, rows, axis)
    found = b.op("GatherElements", x, rows, axis=axis)
    return found if keep else b.op("Squeeze", found, np.asarray([axis], np.int64))


@converts("one_hot")
def one_hot(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Rows of `depth` numbers: `on_value` at the index, `off_value` elsewhere."""
    depth = attrs.integer("depth")
    attrs.require("dtype", "float32", "float32")
    values = np.asarray([attrs.number("off_value", 0.0), attrs.number("on_value", 1.0)], np.float32)
    return b.op("OneHot", cast(b, inputs[0], np.int64), np.asarray(depth, np.int64), values, axis=-1)


@converts("moments")
def moments(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Sequence[Value]:
    """Mean and variance along `axes`."""
    x = inputs[0]
    axes = [axis_of(axis, x.rank) for axis in attrs.integers("axes", tuple(range(x.rank)))]
    keep = attrs.boolean("keepdims", default=False)
    if len(axes) == x.rank and not keep:
        raise attrs.unsupported("axes", "one axis at least must be left")
    centred = b.op("Sub", x, reduce_(b, "ReduceMean", x, axes, keep=True))
    variance = reduce_(b, "ReduceMean", b.op("Mul", centred, centred), axes, keep=keep)
    return reduce_(b, "ReduceMean", x, axes, keep=keep), variance


@converts("_np_cumsum", "cumsum")
def cumsum(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The sum of all up to and with each, along `axis`."""
    attrs.require("dtype", "None", "None")
    if attrs.optional_integer("axis") is None:
        raise attrs.unsupported("axis", "one axis is needed")
    return b.op("CumSum", inputs[0], np.asarray(attrs.integer("axis"), np.int64))
