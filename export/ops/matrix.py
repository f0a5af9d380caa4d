"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import transpose
from export.ops.registry import converts

__all__: list[str] = []


def _turned(b: Builder, x: Value, attrs: Attrs, name: str) -> Value:
    """The last two axes exchanged where the attribute says so."""
    swapped = [*range(x.rank - 2), x.rank - 1, x.rank - 2]
    return transpose(b, x, swapped) if attrs.boolean(name, default=False) else x


@converts("batch_dot")
def batch_dot(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Matrix products, matrix by matrix."""
    attrs.ignore("forward_stype")
    x, y = inputs
    return b.op("MatMul", _turned(b, x, attrs, "transpose_a"), _turned(b, y, attrs, "transpose_b"))


@converts("_linalg_gemm2")
def gemm2(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`alpha` times the products of the last two axes."""
    attrs.require("axis", "-2", "-2")
    product = batch_dot(b, inputs, attrs)
    alpha = attrs.number("alpha", 1.0)
    return product if alpha == 1 else b.op("Mul", product, np.float32(alpha))


@converts("dot")
def dot(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """The last dimension of one with the first of the other; only vectors and matrices."""
    attrs.ignore("forward_stype")
    x, y = inputs
    if x.rank > 2 or y.rank > 2:
        raise attrs.refuse(f"only vectors and matrices, not {x.dims} with {y.dims}")
    if attrs.boolean("transpose_a", default=False):
        x = transpose(b, x, tuple(reversed(range(x.rank))))
    if attrs.boolean("transpose_b", default=False):
        y = transpose(b, y, tuple(reversed(range(y.rank))))
    product = b.op("MatMul", x, y)
    return product if product.rank else b.op("Unsqueeze", product, np.asarray([0], np.int64))


@converts("_contrib_div_sqrt_dim")
def div_sqrt_dim(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Over the root of the last dimension, as attention scales its products."""
    del attrs
    return b.op("Div", inputs[0], np.float32(inputs[0].shape[-1] ** 0.5))
