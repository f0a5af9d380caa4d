"""Features of regions, and convolutions that sample where they are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.ops.common import cast, slice_
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
