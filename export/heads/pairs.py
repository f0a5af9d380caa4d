"""The fast exact way from class scores of many anchors to detections.

GluonCV's SSD and YOLO build a row for every (anchor, class) pair, half a million of them, and let `box_nms` sort them.
Only the best `topk` pairs can survive, and they lie in the `topk` anchors with the best best-class scores: an anchor
outside has `topk` better pairs before any of its own. So take those anchors first, then the best pairs among them,
decode those boxes alone, and suppress per class.

Ties: pairs of equal score keep MXNet's order, which is by class, then by anchor. Only where more than `topk` anchors
tie exactly at the edge of the first selection may another of the equals be taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from export.build import Builder, Value
from export.heads.select import emit_detections
from export.ops.common import gather_rows, reshape, transpose
from export.ops.suppress import survivors

__all__ = ["Suppression", "detect_pairs"]


@dataclass(frozen=True, slots=True)
class Suppression:
    """What a `box_nms` node asks for: `topk` candidates before, `rows` after, `topk` -1 for all."""

    overlap: float
    valid: float
    topk: int
    rows: int
    force: bool = False


def detect_pairs(
    b: Builder, best: Value, details: Callable[[Value], tuple[Value, Value]], suppression: Suppression
) -> None:
    """Declare the detection outputs.

    Args:
        b: the builder.
        best: [N, A] float32, the best class score of each anchor.
        details: gives the scores [N, K, C] and corners [N, K, 4] of the anchors [N, K] int64.
        suppression: the limits.
    """
    anchors = best.shape[1]
    first = anchors if suppression.topk < 0 else min(suppression.topk, anchors)
    with b.scope("select"):
        _, chosen = b.ops("TopK", best, np.asarray([first], np.int64), count=2, axis=1, largest=1, sorted=0)
        # In order of their numbers, so that equal scores come out in MXNet's order.
        chosen, _ = b.ops("TopK", chosen, np.asarray([first], np.int64), count=2, axis=1, largest=0, sorted=1)
    with b.scope("decode"):
        scores, corners = details(chosen)
    classes = scores.shape[2]
    limit = anchors * classes if suppression.topk < 0 else suppression.topk
    with b.scope("pairs"):
        table = transpose(b, scores, (0, 2, 1))
        flat = reshape(b, table, tuple((shape[0], classes * first) for shape in table.shapes))  # type: ignore[arg-type]
        count = np.asarray([min(limit, classes * first)], np.int64)
        values, position = b.ops("TopK", flat, count, count=2, axis=1, largest=1, sorted=1)
        labels = b.op("Div", position, np.int64(first))
        within = b.op("Sub", position, b.op("Mul", labels, np.int64(first)))
        boxes = gather_rows(b, corners, within)
    with b.scope("suppress"):
        kept = survivors(
            b,
            boxes,
            values,
            ids=None if suppression.force or classes == 1 else labels,
            overlap=suppression.overlap,
            valid=suppression.valid,
            classes=classes,
        )
    with b.scope("rows"):
        emit_detections(b, boxes, values, labels, kept, suppression.rows)
