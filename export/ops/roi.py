"""Features of regions, and convolutions that sample where they are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import cast, known, reduce_, reshape, slice_, unsqueeze
from export.ops.registry import converts

__all__: list[str] = []

_FAR_OUTSIDE = -1e6


@converts("_contrib_ROIAlign")
def roi_align(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Regions [R, 5] (image, x1 y1 x2 y2) of a map [N, C, H, W] -> [R, C, h, w], average of sampled points.

    A region of at least one pixel, corners not shifted by half a pixel unless `aligned`; a sample ratio of -1 means
    as many points as there are pixels. A region of a negative image gives zeros.
    """
    attrs.require("position_sensitive", "False", "False")
    data, rois = inputs
    return _align(b, data, rois, attrs, attrs.number("spatial_scale"))


def _align(b: Builder, data: Value, rois: Value, attrs: Attrs, scale: float) -> Value:
    size = attrs.integers("pooled_size")
    aligned = attrs.boolean("aligned", default=False)
    image, boxes = slice_(b, rois, 1, 0, 1), slice_(b, rois, 1, 1, 5)
    if image.array is None:
        # A runtime would read in front of the map; far outside of it every sample is zero.
        boxes = b.op("Where", b.op("Less", image, np.float32(0)), np.float32(_FAR_OUTSIDE), boxes)
        image = b.op("Max", image, np.float32(0))
    return b.op(
        "RoiAlign",
        data,
        boxes,
        b.op("Squeeze", cast(b, image, np.int64), np.asarray([1], np.int64)),
        output_height=size[0],
        output_width=size[-1],
        spatial_scale=scale,
        sampling_ratio=max(attrs.integer("sample_ratio", -1), 0),
        coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
        mode="avg",
    )


@converts("_edge_pyramid_roi_align")
def pyramid_roi_align(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Regions [R, 5], each on the one of several maps that its level [R] names; made by `export.heads.pyramid`."""
    level, rois, *maps = inputs
    parts, places = [], []
    for number, scale, data in zip(attrs.numbers("levels"), attrs.numbers("spatial_scales"), maps, strict=True):
        found = b.op("NonZero", b.op("Equal", level, np.float32(number)))
        place = b.op("Squeeze", found, np.asarray([0], np.int64))
        parts.append(_align(b, data, b.op("Gather", rois, place, axis=0), attrs, scale))
        places.append(place)
    shape = (rois.shape[0], *parts[0].shape[1:])
    # Made while running, so that the zeros are not stored.
    blank = b.op("Expand", b.op("Mul", slice_(b, level, 0, 0, 1), np.float32(0)), np.asarray(shape, np.int64))
    place = unsqueeze(b, b.op("Concat", *places, axis=0), 1)
    return known(b.op("ScatterND", blank, place, b.op("Concat", *parts, axis=0)), (shape, shape))


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
    y, x = np.indices((height, width))
    taps = np.indices(kernel).reshape(2, -1).T
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
