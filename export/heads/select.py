"""From candidates to the fixed rows that a bundle gives: valid ones first, best first, zeros behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from export.build import Builder, Value
from export.ops.common import cast, gather_rows, unsqueeze

__all__ = ["Chosen", "emit_detections"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rows given out: `order` [N, rows] into the candidates, `alive` bool, `boxes` and `labels` zero behind."""

    order: Value
    alive: Value
    boxes: Value
    labels: Value


def emit_detections(b: Builder, boxes: Value, scores: Value, labels: Value, valid: Value, rows: int) -> Chosen:
    """Declare `boxes`, `scores`, `labels` and `count`.

    Args:
        b: the builder.
        boxes: [N, K, 4] float32, corners in pixels.
        scores: [N, K] float32, not negative where valid.
        labels: [N, K], whole numbers of any type.
        valid: [N, K] bool.
        rows: how many are given out; more than there are candidates is the same as all of them.
    """
    rows = min(rows, scores.shape[1])
    key = b.op("Where", valid, scores, np.float32(-1))
    best, order = b.ops("TopK", key, np.asarray([rows], np.int64), count=2, axis=1, largest=1, sorted=1)
    alive = b.op("GreaterOrEqual", best, np.float32(0))
    kept = b.op("Where", unsqueeze(b, alive, 2), gather_rows(b, boxes, order), np.float32(0))
    named = b.op("GatherElements", cast(b, labels, np.int64), order, axis=1)
    named = b.op("Where", alive, named, np.int64(0))
    b.output(kept, "boxes")
    b.output(b.op("Max", best, np.float32(0)), "scores")
    b.output(named, "labels")
    b.output(b.op("ReduceSum", cast(b, alive, np.int64), np.asarray([1], np.int64), keepdims=0), "count")
    return Chosen(order, alive, kept, named)
