"""Normalisation by statistics of the input itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import axis_of, reduce_, reshape
from export.ops.registry import converts

__all__: list[str] = []


@converts("L2Normalization")
def l2_normalization(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """X / sqrt(sum(x^2) + eps), over channels, space, or (the default) everything but the batch; eps is 1e-10."""
    x = inputs[0]
    mode = attrs.choice("mode", {"instance", "channel", "spatial"}, "instance")
    eps = attrs.number("eps", 1e-10)
    axes = {"instance": range(1, x.rank), "channel": range(1, 2), "spatial": range(2, x.rank)}[mode]
    total = reduce_(b, "ReduceSumSquare", x, list(axes), keep=True)
    return b.op("Div", x, b.op("Sqrt", b.op("Add", total, np.float32(eps))))


@converts("LRN")
def local_response(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Across `nsize` channels; alpha defaults to 1e-4, beta to 0.75, knorm to 2."""
    return b.op(
        "LRN",
        inputs[0],
        size=attrs.integer("nsize"),
        alpha=attrs.number("alpha", 1e-4),
        beta=attrs.number("beta", 0.75),
        bias=attrs.number("knorm", 2.0),
    )


@converts("InstanceNorm")
def instance_norm(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Over the space of each channel; eps defaults to 1e-3."""
    return b.op("InstanceNormalization", *inputs, epsilon=attrs.number("eps", 1e-3))


@converts("LayerNorm")
def layer_norm(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Over one axis, by default the last; eps defaults to 1e-5."""
    x, gamma, beta = inputs
    attrs.require("output_mean_var", "False", "False")
    axis = axis_of(attrs.integer("axis", -1), x.rank)
    eps = attrs.number("eps", 1e-5)
    if axis == x.rank - 1:
        return b.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=eps)
    centred = b.op("Sub", x, reduce_(b, "ReduceMean", x, [axis], keep=True))
    variance = reduce_(b, "ReduceMean", b.op("Mul", centred, centred), [axis], keep=True)
    scaled = b.op("Div", centred, b.op("Sqrt", b.op("Add", variance, np.float32(eps))))
    shape = (x.shape[axis],) + (1,) * (x.rank - 1 - axis)
    return b.op("Add", b.op("Mul", scaled, reshape(b, gamma, (shape, shape))), reshape(b, beta, (shape, shape)))


@converts("GroupNorm")
def group_norm(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Over the space and the channels of each of `num_groups`; eps is 1e-5.

    Gamma and beta are per group in MXNet 1.9, per channel in later versions.
    """
    x, gamma, beta = inputs
    attrs.require("output_mean_var", "False", "False")
    groups, eps = attrs.integer("num_groups", 1), attrs.number("eps", 1e-5)
    # One row a group: the normalisation of ONNX over "space" then covers the group's channels too.
    per_image = int(np.prod(x.shape[1:])) // groups
    grouped = reshape(b, x, ((x.shapes[0][0], groups, per_image), (x.shapes[1][0], groups, per_image)))
    if gamma.shape == (groups,):
        return reshape(b, b.op("InstanceNormalization", grouped, gamma, beta, epsilon=eps), x.shapes)
    one, zero = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    normal = reshape(b, b.op("InstanceNormalization", grouped, one, zero, epsilon=eps), x.shapes)
    shape = (x.shape[1],) + (1,) * (x.rank - 2)
    return b.op("Add", b.op("Mul", normal, reshape(b, gamma, (shape, shape))), reshape(b, beta, (shape, shape)))
