"""Sorting and the best k."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import axis_of, cast
from export.ops.registry import converts

__all__: list[str] = []

_DTYPES = {"float32", "float64", "float16", "int32", "int64", "uint8"}


def _best(b: Builder, x: Value, attrs: Attrs, count: int, *, ascending: bool) -> tuple[Value, Value]:
    axis = axis_of(attrs.optional_integer("axis", -1) or 0, x.rank)
    length = x.shape[axis]
    k = length if count < 1 else min(count, length)
    values, index = b.ops(
        "TopK", x, np.asarray([k], np.int64), count=2, axis=axis, largest=int(not ascending), sorted=1
    )
    return values, index


@converts("topk")
def topk(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value | Sequence[Value]:
    """The best `k` along `axis`: positions (the default, as `dtype`), values, or both."""
    kind = attrs.choice("ret_typ", {"indices", "value", "both"}, "indices")
    dtype = np.dtype(attrs.choice("dtype", _DTYPES, "float32"))
    ascending = attrs.boolean("is_ascend", default=False)
    values, index = _best(b, inputs[0], attrs, attrs.integer("k", 1), ascending=ascending)
    if kind == "value":
        return values
    positions = cast(b, index, dtype)
    return positions if kind == "indices" else (values, positions)


@converts("argsort")
def argsort(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Positions in ascending order, by default as float32."""
    dtype = np.dtype(attrs.choice("dtype", _DTYPES, "float32"))
    return cast(b, _best(b, inputs[0], attrs, 0, ascending=attrs.boolean("is_ascend", default=True))[1], dtype)


@converts("sort")
def sort(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Ascending by default."""
    return _best(b, inputs[0], attrs, 0, ascending=attrs.boolean("is_ascend", default=True))[0]
