"""Non-maximum suppression of a fixed number of candidates, batched, in ONNX."""

from __future__ import annotations

import numpy as np

from export.build import Builder, Value
from export.ops.common import cast, unsqueeze

__all__ = ["survivors"]

_SCALAR = np.zeros(0, np.int64)


def survivors(
    b: Builder,
    boxes: Value,
    scores: Value,
    *,
    ids: Value | None,
    overlap: float,
    valid: float,
    centre: bool = False,
    classes: int | None = None,
) -> Value:
    """Which of the candidates survive.

    Args:
        b: the builder.
        boxes: [N, K, 4] float32, corners, or centre and size with `centre`.
        scores: [N, K] float32, best first.
        ids: [N, K], the class of each candidate, or None to suppress across classes.
        overlap: a candidate goes when a better one overlaps it by more (intersection over union).
        valid: candidates at or under this score do not take part.
        centre: how the boxes are written.
        classes: how many classes there are, when that is known.

    Returns:
        [N, K] bool.
    """
    count = scores.shape[1]
    table = _by_class(b, scores, ids, classes)
    chosen = b.op(
        "NonMaxSuppression",
        boxes,
        table,
        np.asarray([count], np.int64),
        np.asarray([overlap], np.float32),
        np.asarray([valid], np.float32),
        center_point_box=int(centre),
    )
    # (image, class, candidate) of the chosen; a candidate has one class, so that image and candidate say it all.
    places = b.op("Gather", chosen, np.asarray([0, 2], np.int64), axis=1)
    ones = b.op("Expand", np.asarray([1], np.float32), b.op("Shape", places, start=0, end=1))
    blank = (
        b.op("Mul", scores, np.float32(0)) if scores.follows_batch else b.constant(np.zeros(scores.shape, np.float32))
    )
    return cast(b, b.op("ScatterND", blank, places, ones), np.bool_)


def _by_class(b: Builder, scores: Value, ids: Value | None, classes: int | None) -> Value:
    """Scores laid out by class [N, C, K]: a very low number where the candidate is of another class."""
    row = unsqueeze(b, scores, 1)
    if ids is None:
        return row
    lowest = np.float32(-np.finfo(np.float32).max)
    if classes is not None:
        numbers = np.arange(classes, dtype=ids.dtype).reshape(1, classes, 1)
        return b.op("Where", b.op("Equal", unsqueeze(b, ids, 1), numbers), row, lowest)
    # Class numbers are known only when the data are: from the smallest to the largest that occurs.
    first, last = (b.op("Reshape", b.op(kind, ids, keepdims=0), _SCALAR) for kind in ("ReduceMin", "ReduceMax"))
    end = b.op("Add", cast(b, last, np.float32), np.float32(1))
    found = b.op("Range", cast(b, first, np.float32), end, np.float32(1))
    every = b.op("Reshape", found, np.asarray([1, -1, 1], np.int64))
    return b.op("Where", b.op("Equal", cast(b, unsqueeze(b, ids, 1), np.float32), every), row, lowest)
