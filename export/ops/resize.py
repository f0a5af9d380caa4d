"""Enlarging and shrinking feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value, affordable
from export.ops.common import enlarge, transpose
from export.ops.registry import converts

__all__: list[str] = []


@converts("UpSampling")
def upsampling(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """By a whole number: nearest neighbour, or bilinear by a transposed convolution with the weights that came along."""
    scale = attrs.integer("scale")
    kind = attrs.choice("sample_type", {"nearest", "bilinear"}, "nearest")
    attrs.ignore("num_filter", "multi_input_mode")
    if kind == "bilinear":
        x, weight = inputs
        kernel, pad = 2 * scale - scale % 2, -(-(scale - 1) // 2)
        return b.op(
            "ConvTranspose",
            x,
            weight,
            kernel_shape=[kernel] * 2,
            strides=[scale] * 2,
            pads=[pad] * 4,
            group=x.shape[1],
        )
    if len(inputs) > 1:
        raise attrs.unsupported("num_args", "only one input")
    return enlarge(b, inputs[0], scale, scale)


@converts("_contrib_BilinearResize2D")
def bilinear_resize(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """To a size, a scale, or the size of the second input; `align_corners` defaults to True.

    Interpolation is separable: two products with small constant matrices whose weights are computed as MXNet does
    (`bilinear_resize.cc`), in float32. That is exact where a runtime's own resize rounds differently.
    """
    x = inputs[0]
    height, width = _target(inputs, attrs)
    aligned = attrs.boolean("align_corners", default=True)
    if (height, width) == x.shape[2:]:
        return x
    rows = b.constant(interpolation_matrix(x.shape[2], height, aligned=aligned))
    columns = b.constant(interpolation_matrix(x.shape[3], width, aligned=aligned))
    if x.shape[2:] == (1, 1):
        return b.op("Expand", x, np.asarray([1, 1, height, width], np.int64))
    # The order that multiplies less.
    narrow_first = height * x.shape[2] * x.shape[3] + height * x.shape[3] * width
    wide_first = x.shape[2] * x.shape[3] * width + height * x.shape[2] * width
    across = transpose(b, columns, (1, 0))
    if narrow_first <= wide_first:
        return b.op("MatMul", b.op("MatMul", rows, x), across)
    return b.op("MatMul", rows, b.op("MatMul", x, across))


def _target(inputs: Sequence[Value], attrs: Attrs) -> tuple[int, int]:
    height, width = inputs[0].shape[2:]
    mode = attrs.choice(
        "mode", {"size", "like", "odd_scale", "to_even_down", "to_even_up", "to_odd_down", "to_odd_up"}, "size"
    )
    size = attrs.integer("height", 1), attrs.integer("width", 1)
    scale = (_scale(attrs, "scale_height"), _scale(attrs, "scale_width"))
    if mode == "like":
        return inputs[1].shape[2], inputs[1].shape[3]
    if mode == "size":
        found = tuple(
            wanted if factor is None else int(length * factor)
            for length, factor, wanted in zip((height, width), scale, size, strict=True)
        )
    elif mode == "odd_scale":
        # An even length scales plainly, an odd one around its middle pixel.
        found = tuple(
            int(length * (factor or 1)) if length % 2 == 0 else int((length - 1) * (factor or 1)) + 1
            for length, factor in zip((height, width), scale, strict=True)
        )
    else:
        parity, shift = (0 if "even" in mode else 1), (-1 if "down" in mode else 1)
        found = tuple(length if length % 2 == parity else length + shift for length in (height, width))
    return found[0], found[1]


def _scale(attrs: Attrs, name: str) -> float | None:
    attrs.ignore(name)
    return None if attrs.as_dict().get(name, "None") == "None" else attrs.number(name)


def interpolation_matrix(length: int, out: int, *, aligned: bool) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """[out, length] float32: row i holds the two weights of the input that output i interpolates between."""
    affordable(out, length)
    index = np.arange(out, dtype=np.float32)
    if aligned:
        ratio = np.float32((length - 1) / (out - 1)) if out > 1 else np.float32(0)
        source = index * ratio
    else:
        # An output of one pixel takes the first one, as with aligned corners.
        ratio = np.float32(length) / np.float32(out) if out > 1 else np.float32(0)
        source = np.maximum(ratio * (index + np.float32(0.5)) - np.float32(0.5), np.float32(0))
    low = np.minimum(source.astype(np.int64), length - 1)
    high = np.minimum(low + 1, length - 1)
    weight = (source - low).astype(np.float32)
    matrix = np.zeros((out, length), np.float32)
    matrix[np.arange(out), low] += np.float32(1) - weight
    matrix[np.arange(out), high] += weight
    return matrix
