"""Operators of `mx.np` and `mx.npx` that are not those of `mx.nd` by another name.

They follow NumPy: comparisons give booleans, positions int64, and what is reduced to nothing is a scalar. Plain
arithmetic and functions stand with their relatives in `elementwise.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import axis_of, cast, reduce_, repeat_to, reshape, transpose
from export.ops.elementwise import COMPARISONS, comparison
from export.ops.registry import converts
from export.ops.reshape_codes import reshaped

__all__: list[str] = []

_REDUCTIONS: Final = {
    "_npi_mean": "ReduceMean",
    "_np_sum": "ReduceSum",
    "_np_max": "ReduceMax",
    "_np_min": "ReduceMin",
    "_np_prod": "ReduceProd",
}
# `npx.reshape` counts its codes otherwise than `nd.reshape`: keep, keep the rest, merge two, split.
_CODES: Final = {-2: 0, -4: -2, -5: -3, -6: -4}


def _axes(x: Value, attrs: Attrs) -> list[int]:
    return sorted(axis_of(axis, x.rank) for axis in attrs.integers("axis", tuple(range(x.rank))))


@converts(*_REDUCTIONS)
def reduction(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Along `axis`, by default over everything."""
    attrs.choice("dtype", {"None", "float32"}, "None")
    attrs.require("initial", "None", "None")
    x = inputs[0]
    return reduce_(b, _REDUCTIONS[attrs.op], x, _axes(x, attrs), keep=attrs.boolean("keepdims", default=False))


@converts("_npi_var", "_npi_std")
def spread(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The variance along `axis`, or its root."""
    attrs.choice("dtype", {"None", "float32"}, "None")
    attrs.require("ddof", "0", "0")
    x = inputs[0]
    axes, keep = _axes(x, attrs), attrs.boolean("keepdims", default=False)
    centred = b.op("Sub", x, reduce_(b, "ReduceMean", x, axes, keep=True))
    variance = reduce_(b, "ReduceMean", b.op("Mul", centred, centred), axes, keep=keep)
    return variance if attrs.op == "_npi_var" else b.op("Sqrt", variance)


@converts("_npi_argmax", "_npi_argmin")
def position(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Where the extreme stands along `axis`, int64."""
    if attrs.optional_integer("axis") is None:
        raise attrs.unsupported("axis", "one axis is needed")
    keep = int(attrs.boolean("keepdims", default=False))
    kind = "ArgMax" if attrs.op == "_npi_argmax" else "ArgMin"
    return b.op(kind, inputs[0], axis=attrs.integer("axis"), keepdims=keep)


for _name, (_kind, _inverted) in COMPARISONS.items():
    _numpy = f"_npi_{_name.replace('lesser', 'less')}"
    converts(_numpy)(comparison(_kind, inverted=_inverted, with_scalar=False, boolean=True))
    converts(f"{_numpy}_scalar")(comparison(_kind, inverted=_inverted, with_scalar=True, boolean=True))


@converts("_npi_where")
def where(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """All three inputs broadcast against each other."""
    del attrs
    condition, yes, no = inputs
    return b.op("Where", cast(b, condition, np.bool_), yes, no)


@converts("_npi_concatenate")
def concatenate(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Along `axis`, by default the first."""
    return b.op("Concat", *inputs, axis=axis_of(attrs.integer("axis", 0), inputs[0].rank))


@converts("_npi_stack")
def stack(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Along a new axis, by default the first."""
    axis = axis_of(attrs.integer("axis", 0), inputs[0].rank + 1)
    return b.op("Concat", *(b.op("Unsqueeze", x, np.asarray([axis], np.int64)) for x in inputs), axis=axis)


@converts("_np_transpose")
def transpose_(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """By `axes`, by default reversed."""
    x = inputs[0]
    return transpose(b, x, [axis_of(axis, x.rank) for axis in attrs.integers("axes", tuple(range(x.rank))[::-1])])


@converts("_np_reshape", "_npx_reshape")
def reshape_(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """NumPy's -1, and the codes of `npx`."""
    attrs.require("order", "C", "C")
    codes, x = attrs.integers("newshape"), inputs[0]
    reverse = attrs.boolean("reverse", default=False)
    if attrs.op == "_npx_reshape":
        if -3 in codes:
            raise attrs.unsupported("newshape", "-3, which drops a dimension of one, is not known")
        codes = tuple(_CODES.get(code, code) for code in codes)
    try:
        one, two = (reshaped(shape, codes, reverse=reverse) for shape in x.shapes)
    except ValueError as exc:
        raise attrs.unsupported("newshape", str(exc)) from exc
    return reshape(b, x, (one, two))


@converts("_np_squeeze")
def squeeze(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Without the dimensions of one at `axis`, by default all of them but what follows the batch."""
    x = inputs[0]
    ones = tuple(axis for axis, sizes in enumerate(zip(*x.shapes, strict=True)) if sizes == (1, 1))
    return b.op("Squeeze", x, np.asarray([axis_of(axis, x.rank) for axis in attrs.integers("axis", ones)], np.int64))


@converts("_npi_matmul", "_np_dot")
def matmul(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Products of matrices; `dot` only of vectors and matrices."""
    if attrs.op == "_np_dot" and max(x.rank for x in inputs) > 2:
        raise attrs.refuse(f"only vectors and matrices, not {' with '.join(str(x.dims) for x in inputs)}")
    return b.op("MatMul", *inputs)


@converts("_npi_broadcast_to")
def broadcast_to(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """To `shape`; what follows the batch stays as it is."""
    x = inputs[0]
    wanted = attrs.integers("shape")
    if len(wanted) != x.rank or x.follows_batch:
        raise attrs.unsupported("shape", f"of as many dimensions as {x.dims}, none of them the batch")
    return repeat_to(b, x, (wanted, wanted))
