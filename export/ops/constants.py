"""Operators whose content depends on a shape alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value, affordable
from export.ops.common import full
from export.ops.registry import converts

__all__: list[str] = []

_DTYPES = {"None", "float32", "float64", "float16", "int32", "int64", "int8", "uint8", "bool"}


def _dtype(attrs: Attrs) -> str:
    name = attrs.choice("dtype", _DTYPES, "float32")
    return "float32" if name == "None" else name


@converts("zeros_like")
def zeros_like(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Zeros in the shape and type of the input; MXNet lets a `dtype` stand here and ignores it."""
    attrs.ignore("dtype")
    return full(b, inputs[0].shapes, 0, inputs[0].dtype)


@converts("ones_like")
def ones_like(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Ones in the shape and type of the input; MXNet lets a `dtype` stand here and ignores it."""
    attrs.ignore("dtype")
    return full(b, inputs[0].shapes, 1, inputs[0].dtype)


@converts("_zeros", "_ones", "_full")
def filled(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """One number in a given shape; MXNet infers a dimension of 0 from who reads it, here one broadcasts to that."""
    del inputs
    number = {"_zeros": 0.0, "_ones": 1.0}.get(attrs.op)
    content = attrs.number("value") if number is None else number
    shape = tuple(size or 1 for size in attrs.integers("shape", ()))
    affordable(*shape)
    return b.constant(np.full(shape, content, _dtype(attrs)))


@converts("_arange")
def arange(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """From `start` to `stop` in steps, each `repeat` times; with one bound alone it is the end."""
    del inputs
    attrs.require("infer_range", "False", "False")
    start, step = attrs.number("start", 0.0), attrs.number("step", 1.0)
    has_stop = attrs.as_dict().get("stop", "None") != "None"
    stop = attrs.number("stop") if has_stop else start
    begin = start if has_stop else 0.0
    attrs.ignore("stop")
    count, repeats = max(0, int(np.ceil((stop - begin) / step))), attrs.integer("repeat", 1)
    affordable(count, repeats)
    return b.constant(np.repeat(begin + step * np.arange(count, dtype=np.float64), repeats).astype(_dtype(attrs)))


@converts("_contrib_arange_like")
def arange_like(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """A range as long as `axis` of the input, or in its whole shape."""
    one, two = inputs[0].shapes
    axis = attrs.optional_integer("axis")
    start, step = attrs.number("start", 0.0), attrs.number("step", 1.0)
    if attrs.integer("repeat", 1) != 1:
        raise attrs.unsupported("repeat", "only 1")
    shape = one if axis is None else (one[axis],)
    if (axis is None and one != two) or (axis is not None and one[axis] != two[axis]):
        raise attrs.refuse("a range along the batch is not supported")
    affordable(*shape)
    count = int(np.prod(shape))
    return b.constant((start + step * np.arange(count)).astype(np.float32).reshape(shape))
