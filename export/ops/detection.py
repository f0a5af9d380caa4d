"""Boxes: decoding, non-maximum suppression, anchors of MultiBox."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value, affordable
from export.ops.common import cast, full, gather_rows, reduce_, reshape, slice_, unsqueeze
from export.ops.registry import converts
from export.ops.suppress import survivors

__all__: list[str] = []

_LOWEST = np.float32(-np.finfo(np.float32).max)


@converts("_contrib_box_decode")
def box_decode(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Offsets [N, A, 4] and anchors [1, A, 4] -> corners [N, A, 4], as `bounding_box-inl.h`, `box_decode` does."""
    deltas, anchors = inputs
    std = np.asarray([attrs.number(f"std{i}", 1.0) for i in range(4)], np.float32)
    limit = attrs.number("clip", -1.0)
    centres, sizes = anchor_parts(b, anchors, attrs.choice("format", {"corner", "center"}, "center"))
    return decode(b, deltas, centres, sizes, std, limit)


def anchor_parts(b: Builder, anchors: Value, form: str) -> tuple[Value, Value]:
    """Centres and sizes, each [..., 2], of anchors in either form."""
    first, second = slice_(b, anchors, anchors.rank - 1, 0, 2), slice_(b, anchors, anchors.rank - 1, 2, 4)
    if form == "center":
        return first, second
    sizes = b.op("Sub", second, first)
    return b.op("Add", first, b.op("Mul", sizes, np.float32(0.5))), sizes


def decode(
    b: Builder,
    deltas: Value,
    centres: Value,
    sizes: Value,
    std: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
    limit: float,
) -> Value:
    """Corners from offsets: centre = delta std size + centre, size = exp(delta std) size; x1 y1 x2 y2."""
    last = deltas.rank - 1
    shift = b.op("Mul", slice_(b, deltas, last, 0, 2), b.op("Mul", sizes, std[:2]))
    middle = b.op("Add", shift, centres)
    stretch = b.op("Mul", slice_(b, deltas, last, 2, 4), std[2:])
    if limit > 0:
        stretch = b.op("Min", stretch, np.float32(limit))
    half = b.op("Mul", b.op("Exp", stretch), b.op("Mul", sizes, np.float32(0.5)))
    return b.op("Concat", b.op("Sub", middle, half), b.op("Add", middle, half), axis=last)


@converts("_contrib_box_nms", "_contrib_box_non_maximum_suppression")
def box_nms(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Rows of (id, score, corners...) [N, A, W]: survivors first in order of score, then rows of -1.

    As `bounding_box-inl.h`, `BoxNMSForward`: rows with scores at or under `valid_thresh` are dropped, the best `topk`
    of all that is left are kept, then a row is suppressed when a better one of the same class overlaps it by more
    than `overlap_thresh`. Equal scores keep the order of the rows.
    """
    data = inputs[0]
    form = attrs.choice("in_format", {"corner", "center"}, "corner")
    attrs.choice("out_format", {form}, "corner")
    overlap, valid = attrs.number("overlap_thresh", 0.5), attrs.number("valid_thresh", 0.0)
    start, score_index, id_index = (
        attrs.integer("coord_start", 2),
        attrs.integer("score_index", 1),
        attrs.integer("id_index", -1),
    )
    background = attrs.integer("background_id", -1)
    force = attrs.boolean("force_suppress", default=False)
    per_class = id_index >= 0 and not force
    limit = attrs.integer("topk", -1)
    if limit == 0:
        return data
    shapes = data.shapes
    if data.rank != 3:
        flat = [(int(np.prod(shape[:-2])), *shape[-2:]) for shape in shapes]
        data = reshape(b, data, (flat[0], flat[1]))
    rows, width = data.shape[1:]
    keep = rows if limit < 0 else min(limit, rows)

    scores = _column(b, data, score_index)
    usable = b.op("Greater", scores, np.float32(valid))
    if id_index >= 0:
        # The default is -1, the id that GluonCV gives to what it has sorted out.
        other = b.op("Not", b.op("Equal", _column(b, data, id_index), np.float32(background)))
        usable = b.op("And", usable, other)
    scores = b.op("Where", usable, scores, _LOWEST)
    best, index = b.ops("TopK", scores, np.asarray([keep], np.int64), count=2, axis=1, largest=1, sorted=1)
    picked = gather_rows(b, data, index)
    ids = _column(b, picked, id_index) if per_class else None
    kept = survivors(
        b,
        slice_(b, picked, 2, start, start + 4),
        best,
        ids=ids,
        overlap=overlap,
        valid=float(_LOWEST) / 2,
        centre=form == "center",
    )

    # Survivors move to the front in the order they have; the rest become -1.
    order = b.op("Sub", cast(b, kept, np.float32), np.arange(keep, dtype=np.float32) / np.float32(2 * keep))
    _, position = b.ops("TopK", order, np.asarray([keep], np.int64), count=2, axis=1, largest=1, sorted=1)
    alive = unsqueeze(b, gather_rows(b, kept, position), 2)
    result = b.op("Where", alive, gather_rows(b, picked, position), np.float32(-1))
    if keep < rows:
        rest = full(b, tuple((n, rows - keep, width) for n in (data.shapes[0][0], data.shapes[1][0])), -1, np.float32)  # type: ignore[arg-type]
        result = b.op("Concat", result, rest, axis=1)
    return reshape(b, result, shapes)


def _column(b: Builder, rows: Value, at: int) -> Value:
    return b.op("Squeeze", slice_(b, rows, 2, at, at + 1), np.asarray([2], np.int64))


@converts("_contrib_MultiBoxPrior")
def multibox_prior(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Anchors of a feature map [1, H W (sizes + ratios - 1), 4], as corners in 0..1; `multibox_prior.cc`."""
    height, width = inputs[0].shape[2:]
    sizes, ratios = attrs.numbers("sizes", (1.0,)), attrs.numbers("ratios", (1.0,))
    steps, offsets = attrs.numbers("steps", (-1.0, -1.0)), attrs.numbers("offsets", (0.5, 0.5))
    if min(sizes) < 0 or min(ratios) <= 0:
        raise attrs.unsupported("ratios", "sizes and ratios are positive")
    step_y = steps[0] if steps[0] > 0 else 1 / height
    step_x = steps[1] if steps[1] > 0 else 1 / width
    # All sizes in the first ratio, then the first size in the other ratios.
    forms = [(size, ratios[0] ** 0.5) for size in sizes] + [(sizes[0], ratio**0.5) for ratio in ratios[1:]]
    half = [(size * height / width * root / 2, size / root / 2) for size, root in forms]
    affordable(height, width, len(half), 4)
    y, x = np.mgrid[0:height, 0:width]
    centres = np.stack([(x + offsets[1]) * step_x, (y + offsets[0]) * step_y], -1)[:, :, None, :]
    corners = np.concatenate([centres - np.asarray(half), centres + np.asarray(half)], -1).reshape(1, -1, 4)
    if attrs.boolean("clip", default=False):
        corners = corners.clip(0, 1)
    return b.constant(corners.astype(np.float32))


@converts("_contrib_MultiBoxDetection")
def multibox_detection(b: Builder, inputs: Sequence[Value], attrs: Attrs) -> Value:
    """Class probabilities [N, C, A], offsets [N, 4 A], anchors [1, A, 4] -> rows (id, score, x1 y1 x2 y2) [N, A, 6].

    As `multibox_detection.cc`: each anchor takes its best class but the background, whose score must pass
    `threshold`; then suppression per class among the best `nms_topk`. Suppressed rows have the id -1.
    """
    classes, deltas, anchors = inputs
    clip = attrs.boolean("clip", default=True)
    threshold, overlap = attrs.number("threshold", 0.01), attrs.number("nms_threshold", 0.5)
    limit = attrs.integer("nms_topk", -1)
    variances = np.asarray(attrs.numbers("variances", (0.1, 0.1, 0.2, 0.2)), np.float32)
    if attrs.integer("background_id", 0) != 0:
        raise attrs.unsupported("background_id", "only 0")
    force = attrs.boolean("force_suppress", default=False)
    foreground = slice_(b, classes, 1, 1, None)
    scores = reduce_(b, "ReduceMax", foreground, [1])
    ids = cast(b, b.op("ArgMax", foreground, axis=1, keepdims=0), np.float32)
    boxes = reshape(b, deltas, tuple((shape[0], shape[1] // 4, 4) for shape in deltas.shapes))  # type: ignore[arg-type]
    corners = decode(b, boxes, *anchor_parts(b, anchors, "corner"), variances, -1)
    if clip:
        corners = b.op("Clip", corners, np.float32(0), np.float32(1))
    rows = b.op("Concat", unsqueeze(b, ids, 2), unsqueeze(b, scores, 2), corners, axis=2)
    return _suppress_in_place(b, rows, scores, threshold, overlap, limit, force=force)


def _suppress_in_place(
    b: Builder, rows: Value, scores: Value, threshold: float, overlap: float, limit: int, *, force: bool
) -> Value:
    """The rows over the threshold, the best `limit` sorted and suppressed by setting their id to -1.

    Rows behind the limit stay what they were before sorting, as in MXNet, with the id -1: the valid ones in the order
    of anchors.
    """
    count = rows.shape[1]
    keep = count if limit <= 0 else min(limit, count)
    valid = b.op("Greater", scores, np.float32(threshold))
    best, index = b.ops(
        "TopK",
        b.op("Where", valid, scores, _LOWEST),
        np.asarray([keep], np.int64),
        count=2,
        axis=1,
        largest=1,
        sorted=1,
    )
    picked = gather_rows(b, rows, index)
    ids = None if force else _column(b, picked, 0)
    kept = survivors(b, slice_(b, picked, 2, 2, 6), best, ids=ids, overlap=overlap, valid=float(_LOWEST) / 2)
    identity = b.op("Where", unsqueeze(b, kept, 2), slice_(b, picked, 2, 0, 1), np.float32(-1))
    result = b.op("Concat", identity, slice_(b, picked, 2, 1, 6), axis=2)
    result = b.op("Where", unsqueeze(b, gather_rows(b, valid, index), 2), result, np.float32(-1))
    if keep == count:
        return result
    order = b.op("Where", valid, -np.arange(count, dtype=np.float32), np.float32(-count))
    _, place = b.ops("TopK", order, np.asarray([count], np.int64), count=2, axis=1, largest=1, sorted=1)
    place = slice_(b, place, 1, keep, None)
    alive = unsqueeze(b, gather_rows(b, valid, place), 2)
    rest = b.op("Where", alive, gather_rows(b, rows, place), np.float32(-1))
    minus = full(b, tuple((shape[0], count - keep, 1) for shape in rows.shapes), -1, np.float32)  # type: ignore[arg-type]
    return b.op("Concat", result, b.op("Concat", minus, slice_(b, rest, 2, 1, 6), axis=2), axis=1)
