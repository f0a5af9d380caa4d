"""Pooling in windows, over everything, and to a given size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value, affordable
from export.ops.common import reduce_, transpose
from export.ops.registry import converts

__all__: list[str] = []

_GLOBAL = {"max": "GlobalMaxPool", "avg": "GlobalAveragePool", "lp": "GlobalLpPool"}


@converts("Pooling", "Pooling_v1")
def pooling(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Windows, or everything with `global_pool`, which ignores the kernel; padding is symmetric."""
    x = inputs[0]
    kind = attrs.choice("pool_type", {"max", "avg", "sum", "lp"}, "max")
    attrs.choice("layout", {"NCHW", "NCW", "NCDHW", "None"}, "None")
    kernel = attrs.integers("kernel", ())
    dims = x.rank - 2
    stride = attrs.integers("stride", (1,) * dims)
    pad = attrs.integers("pad", (0,) * dims)
    convention = attrs.choice("pooling_convention", {"valid", "full"}, "valid")
    padding_counts = attrs.boolean("count_include_pad", default=True)
    power = attrs.optional_integer("p_value") or 2
    if attrs.boolean("global_pool", default=False):
        if kind == "sum":
            return reduce_(b, "ReduceSum", x, range(2, x.rank), keep=True)
        return b.op(_GLOBAL[kind], x, p=power if kind == "lp" else None)
    if len(kernel) != dims:
        raise attrs.unsupported("kernel", f"{dims} numbers are needed for the shape {x.shape}")
    extra = _surplus(x.shape[2:], kernel, stride, pad) if convention == "full" else (0,) * dims
    if any(e >= k for e, k in zip(extra, kernel, strict=True)):
        raise attrs.refuse(f"with pooling_convention=full a window of {kernel} would lie outside the input {x.shape}")
    window = {"kernel_shape": list(kernel), "strides": list(stride)}
    ends = [p + e for p, e in zip(pad, extra, strict=True)]
    if (kind != "avg" or not padding_counts) and any(e >= k for e, k in zip(ends, kernel, strict=True)):
        # onnxruntime wants less, and merges an explicit `Pad` back into the pooling.
        raise attrs.refuse(f"padding of {ends} is as wide as the window {kernel}")
    if kind == "max":
        return b.op("MaxPool", x, **window, pads=[*pad, *ends])
    if kind == "lp":
        return b.op("LpPool", x, **window, pads=[*pad, *ends], p=power)
    if kind == "sum":
        mean = b.op("AveragePool", x, **window, pads=[*pad, *ends], count_include_pad=1)
        return b.op("Mul", mean, np.float32(np.prod(kernel)))
    return _average(b, x, window, pad, extra, padding_counts=padding_counts)


def _surplus(
    size: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], pad: tuple[int, ...]
) -> tuple[int, ...]:
    """What `full` (rounding the output's size up) needs beyond the symmetric padding, at the end."""
    found = []
    for length, k, s, p in zip(size, kernel, stride, pad, strict=True):
        steps = -(-(length + 2 * p - k) // s)
        found.append(max(0, steps * s + k - (length + 2 * p)))
    return tuple(found)


def _average(
    b: Builder,
    x: Value,
    window: dict[str, list[int]],
    pad: tuple[int, ...],
    extra: tuple[int, ...],
    *,
    padding_counts: bool,
) -> Value:
    ends = [p + e for p, e in zip(pad, extra, strict=True)]
    if not padding_counts or not any(pad):
        # Without symmetric padding only the surplus is padding, and MXNet never counts that.
        return b.op("AveragePool", x, **window, pads=[*pad, *ends], count_include_pad=0)
    if not any(extra):
        return b.op("AveragePool", x, **window, pads=[*pad, *ends], count_include_pad=1)
    # The window counts the symmetric padding but not the surplus: make the former part of the input.
    wide = np.asarray([0, 0, *pad, 0, 0, *pad], np.int64)
    padded = b.op("Pad", x, wide, np.zeros((), x.dtype))
    zero = [0] * len(pad)
    return b.op("AveragePool", padded, **window, pads=[*zero, *extra], count_include_pad=0)


@converts("_contrib_AdaptiveAvgPooling2D")
def adaptive_average_pooling(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Average to `output_size` (height, width), by default 1 x 1.

    Output row i averages the input rows from floor(i H / h) to ceil((i + 1) H / h), as PyTorch defined it. Where the
    sizes divide this is ordinary pooling, else two products with small constant matrices, which is exact.
    """
    x = inputs[0]
    size = attrs.integers("output_size", (1, 1))
    out = (size[0], size[0]) if len(size) == 1 else (size[0], size[1])
    lengths = x.shape[2:]
    if out == (1, 1):
        return b.op("GlobalAveragePool", x)
    if out == lengths:
        return x
    if all(length % n == 0 for length, n in zip(lengths, out, strict=True)):
        kernel = [length // n for length, n in zip(lengths, out, strict=True)]
        return b.op("AveragePool", x, kernel_shape=kernel, strides=kernel)
    rows = b.op("MatMul", b.constant(averaging_matrix(lengths[0], out[0])), x)
    return b.op("MatMul", rows, transpose(b, b.constant(averaging_matrix(lengths[1], out[1])), (1, 0)))


def averaging_matrix(length: int, out: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """[out, length] float32: row i holds the weights of the input that output i averages."""
    affordable(out, length)
    matrix = np.zeros((out, length), np.float64)
    for i in range(out):
        begin, end = i * length // out, -(-(i + 1) * length // out)
        matrix[i, begin:end] = 1 / (end - begin)
    return matrix.astype(np.float32)
