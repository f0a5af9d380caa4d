"""Features of regions, and convolutions that sample where they are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import cast, reduce_, reshape, slice_
from export.ops.registry import converts

__all__: list[str] = []


@converts("_contrib_ROIAlign")
def roi_align(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Regions [R, 5] (image, x1 y1 x2 y2) of a map [N, C, H, W] -> [R, C, h, w], average of sampled points.

    A region of at least one pixel, corners not shifted by half a pixel unless `aligned`; a sample ratio of -1 means
    as many points as there are pixels.
    """
    data, rois = inputs
    size = attrs.integers("pooled_size")
    attrs.require("position_sensitive", "False", "False")
    aligned = attrs.boolean("aligned", default=False)
    image = b.op("Squeeze", cast(b, slice_(b, rois, 1, 0, 1), np.int64), np.asarray([1], np.int64))
    return b.op(
        "RoiAlign",
        data,
        slice_(b, rois, 1, 1, 5),
        image,
        output_height=size[0],
        output_width=size[-1],
        spatial_scale=attrs.number("spatial_scale"),
        sampling_ratio=max(attrs.integer("sample_ratio", -1), 0),
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
        mode="avg",
    )


@converts("ROIPooling")
def roi_pooling(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Regions [R, 5] -> the largest of each cell [R, C, h, w]."""
    size = attrs.integers("pooled_size")
    return b.op("MaxRoiPool", *inputs, pooled_shape=[size[0], size[-1]], spatial_scale=attrs.number("spatial_scale"))


@converts("_contrib_ModulatedDeformableConvolution", "_contrib_DeformableConvolution")
def deformable_convolution(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """A convolution that samples where the offsets say, and, modulated, as strongly as the mask says: `DeformConv`.

    Inputs are data, offsets, the mask when modulated, weights, and a bias unless `no_bias`.
    """
    kernel = attrs.integers("kernel")
    one = (1,) * len(kernel)
    pad = attrs.integers("pad", (0,) * len(kernel))
    attrs.ignore("im2col_step", "num_filter")
    attrs.choice("layout", {"NCHW", "None"}, "None")
    stride, dilate = attrs.integers("stride", one), attrs.integers("dilate", one)
    rest = list(inputs[2:])
    offsets = inputs[1]
    if "Modulated" in attrs.op:
        mask = rest.pop(0)
    else:
        offsets, mask = _kept_inside(b, inputs[0], offsets, kernel, stride, dilate, pad)
    bias = None if attrs.boolean("no_bias", default=False) else rest[1]
    return b.op(
        "DeformConv",
        inputs[0],
        rest[0],
        offsets,
        bias,
        mask,
        kernel_shape=list(kernel),
        strides=list(stride),
        dilations=list(dilate),
        pads=[*pad, *pad],
        group=attrs.integer("num_group", 1),
        offset_group=attrs.integer("num_deformable_group", 1),
    )


def _kept_inside(
    b: Builder,
    data: Value,
    offsets: Value,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilate: tuple[int, ...],
    pad: tuple[int, ...],
) -> tuple[Value, Value]:
    """Offsets and a mask that make the border what it is without modulation.

    There (`deformable_im2col.h`) a sample outside the picture counts nothing, and one between the last row and the
    border takes the last row whole, where `DeformConv` fades out on both sides.
    """
    height, width = offsets.shape[2:]
    y, x = np.mgrid[0:height, 0:width]
    taps = np.stack(np.mgrid[0 : kernel[0], 0 : kernel[1]], -1).reshape(-1, 2)
    grid = np.stack([y * stride[0] - pad[0], x * stride[1] - pad[1]])
    base = taps[:, :, None, None] * np.asarray(dilate)[None, :, None, None] + grid[None]
    groups = offsets.shape[1] // (2 * len(taps))
    base = np.tile(base, (groups, 1, 1, 1)).astype(np.float32)
    one, two = ((shape[0], len(base), 2, height, width) for shape in offsets.shapes)
    place = b.op("Add", reshape(b, offsets, (one, two)), base)
    size = np.asarray(data.shape[2:], np.float32).reshape(2, 1, 1)
    inside = b.op("And", b.op("GreaterOrEqual", place, np.float32(0)), b.op("Less", place, size))
    mask = reduce_(b, "ReduceMin", cast(b, inside, np.float32), [2])
    return reshape(b, b.op("Sub", b.op("Min", place, size - 1), base), offsets.shapes), mask
