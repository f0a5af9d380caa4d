"""Layers that hold weights: convolution, dense, normalisation with running statistics, embedding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import cast, reshape, transpose
from export.ops.registry import converts

__all__: list[str] = []

_LAYOUTS = {1: "NCW", 2: "NCHW", 3: "NCDHW"}


def _spatial(attrs: Attrs, kernel: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Stride, dilation and padding; MXNet's defaults are one, one and zero per dimension."""
    dims = len(kernel)
    attrs.choice("layout", {_LAYOUTS[dims], "None", "__undef__"}, "None")
    one = (1,) * dims
    return attrs.integers("stride", one), attrs.integers("dilate", one), attrs.integers("pad", (0,) * dims)


@converts("Convolution", "Convolution_v1")
def convolution(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`Conv` with symmetric padding; `no_bias` defaults to False."""
    kernel = attrs.integers("kernel")
    stride, dilate, pad = _spatial(attrs, kernel)
    attrs.integer("num_filter")
    biased = not attrs.boolean("no_bias", default=False)
    group = attrs.integer("num_group", 1)
    wanted, given = inputs[1].shape[1] * group, inputs[0].shape[1]
    if wanted != given:
        # Nothing of ONNX's checks this, and a pass that scales the weights would stretch them.
        raise attrs.refuse(f"its weights read {wanted} channels, its input has {given}")
    return b.op(
        "Conv",
        *inputs[: 3 if biased else 2],
        kernel_shape=list(kernel),
        strides=list(stride),
        dilations=list(dilate),
        pads=[*pad, *pad],
        group=group,
    )


@converts("Deconvolution")
def deconvolution(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`ConvTranspose`; `no_bias` defaults to True, `target_shape` overrides `pad` and `adj`."""
    kernel = attrs.integers("kernel")
    stride, dilate, pad = _spatial(attrs, kernel)
    attrs.integer("num_filter")
    adj = attrs.integers("adj", (0,) * len(kernel))
    target = attrs.integers("target_shape", (0,) * len(kernel))
    if any(target):
        pad, adj = _fit_target(inputs[0].shape[2:], kernel, stride, dilate, target)
    biased = not attrs.boolean("no_bias", default=True)
    return b.op(
        "ConvTranspose",
        *inputs[: 3 if biased else 2],
        kernel_shape=list(kernel),
        strides=list(stride),
        dilations=list(dilate),
        pads=[*pad, *pad],
        output_padding=list(adj) if any(adj) else None,
        group=attrs.integer("num_group", 1),
    )


def _fit_target(
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilate: tuple[int, ...],
    target: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    # As MXNet's DeconvolutionParam::InferPad: the surplus is cut evenly, an odd one leaves one for the adjustment.
    pads, adjs = [], []
    for length, k, s, d, wanted in zip(size, kernel, stride, dilate, target, strict=True):
        surplus = s * (length - 1) + d * (k - 1) + 1 - wanted
        adj = surplus % 2
        pads.append((surplus + adj) // 2)
        adjs.append(adj)
    return tuple(pads), tuple(adjs)


@converts("FullyConnected")
def fully_connected(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`Gemm` with the weights as MXNet stores them [units, features]; `flatten` defaults to True."""
    attrs.integer("num_hidden")
    x, weight = inputs[:2]
    bias = None if attrs.boolean("no_bias", default=False) else inputs[2]
    if attrs.boolean("flatten", default=True):
        if x.rank != 2:
            one, two = x.shapes
            x = reshape(b, x, ((one[0], int(np.prod(one[1:]))), (two[0], int(np.prod(two[1:])))))
        return b.op("Gemm", x, weight, bias, transB=1)
    product = b.op("MatMul", x, transpose(b, weight, (1, 0)))
    return product if bias is None else b.op("Add", product, bias)


@converts("BatchNorm", "BatchNorm_v1", "_contrib_SyncBatchNorm")
def batch_norm(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`BatchNormalization` on running statistics; `fix_gamma` defaults to True and means gamma = 1, eps to 1e-3."""
    x, gamma, beta, mean, variance = inputs
    attrs.ignore("ndev", "key", "min_calib_range", "max_calib_range")
    attrs.require("output_mean_var", "False", "False")
    axis = attrs.integer("axis", 1)
    eps = attrs.number("eps", 1e-3)
    if attrs.boolean("fix_gamma", default=True):
        gamma = b.constant(np.ones(mean.shape, np.float32))
    axis = axis + x.rank if axis < 0 else axis
    if axis == 1 or x.rank == 1:
        return b.op("BatchNormalization", x, gamma, beta, mean, variance, epsilon=eps)
    swap = list(range(x.rank))
    swap[1], swap[axis] = axis, 1
    y = b.op("BatchNormalization", transpose(b, x, swap), gamma, beta, mean, variance, epsilon=eps)
    return transpose(b, y, swap)


@converts("_contrib_BatchNormWithReLU")
def batch_norm_relu(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Both in one."""
    return b.op("Relu", batch_norm(b, inputs, attrs))


@converts("Embedding")
def embedding(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """`Gather` of rows; indices outside are clipped, as MXNet does."""
    attrs.ignore("dtype", "sparse_grad")
    rows = attrs.integer("input_dim")
    attrs.integer("output_dim")
    index = cast(b, inputs[0], np.int64)
    clipped = b.op("Clip", index, np.asarray(0, np.int64), np.asarray(rows - 1, np.int64))
    return b.op("Gather", inputs[1], clipped, axis=0)
