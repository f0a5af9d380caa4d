"""From candidates to the fixed rows that a bundle gives: valid ones first, best first, zeros behind."""

from __future__ import annotations

from typing import Any

import numpy as np

from export.build import Builder, Value
from export.ops.common import cast, gather_rows, unsqueeze

__all__ = ["emit_detections"]


def emit_detections(b: Builder, boxes: Value, scores: Value, labels: Value, valid: Value, rows: int) -> Value:
    """Declare `boxes`, `scores`, `labels` and `count`.

    Args:
        b: the builder.
        boxes: [N, K, 4] float32, corners in pixels.
        scores: [N, K] float32, not negative where valid.
        labels: [N, K], whole numbers of any type.
        valid: [N, K] bool.
        rows: how many are given out; more than there are candidates is the same as all of them.

    Returns:
        The order taken, int64 [N, rows], for further outputs that go row by row.
    """
    rows = min(rows, scores.shape[1])
    key = b.op("Where", valid, scores, np.float32(-1))
    best, order = b.ops("TopK", key, np.asarray([rows], np.int64), count=2, axis=1, largest=1, sorted=1)
    alive = b.op("GreaterOrEqual", best, np.float32(0))
    zero: Any = np.float32(0)
    b.output(b.op("Where", unsqueeze(b, alive, 2), gather_rows(b, boxes, order), zero), "boxes")
    b.output(b.op("Max", best, zero), "scores")
    chosen = b.op("GatherElements", cast(b, labels, np.int64), order, axis=1)
    b.output(b.op("Where", alive, chosen, np.int64(0)), "labels")
    b.output(b.op("ReduceSum", cast(b, alive, np.int64), np.asarray([1], np.int64), keepdims=0), "count")
    return order
