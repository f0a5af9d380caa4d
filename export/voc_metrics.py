"""VOC's mean average precision at IoU 0.5, by the rules of its development kit."""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.results import Detections, Result
from export.agreement import box_iou
from export.metrics import Counts, Measured
from export.ranking import Ranking, area, eleven_points, mean_over_classes
from export.truth import Boxes

__all__ = ["VocBoxes"]

_IOU: Final = 0.5


class VocBoxes:
    """`voc_ap` (area under the curve, since 2010) and `voc07_ap` (11 points)."""

    def __init__(self, data: Boxes) -> None:
        self._data = data
        self._found: list[Detections] = []

    def add(self, picture: int, result: Result) -> None:
        """See `export.metrics.Tally`."""
        del picture
        if not isinstance(result, Detections):
            raise TypeError(f"expected Detections, got {type(result).__name__}")
        self._found.append(result)

    def measured(self) -> Measured:
        """See `export.metrics.Tally`."""
        rankings = [self._ranking(label) for label in self._data.classes]

        def weighted(counts: Counts) -> dict[str, float]:
            return {
                "voc_ap": float(mean_over_classes(rankings, counts, area)[0]),
                "voc07_ap": float(mean_over_classes(rankings, counts, eleven_points)[0]),
            }

        return Measured(weighted(np.ones(len(self._found))), weighted)

    def _ranking(self, label: int) -> Ranking:
        truths = self._data.truths
        wanted = [np.flatnonzero(t.labels == label) for t in truths]
        taken = [np.zeros(len(w), np.bool_) for w in wanted]
        finds = sorted(
            (-float(r.scores[k]), picture, int(k))
            for picture, r in enumerate(self._found)
            for k in np.flatnonzero(r.labels == label)
        )
        hits, ignored = [], []
        for _, picture, k in finds:
            truth, mine = truths[picture], wanted[picture]
            overlap = box_iou(self._found[picture].boxes[k : k + 1], truth.boxes[mine])[0]
            best = int(overlap.argmax()) if len(mine) else -1
            near = best >= 0 and bool(overlap[best] >= _IOU)
            ignored.append(near and bool(truth.ignored[mine[best]]))
            # The second find of an object is wrong.
            hits.append(near and not taken[picture][best])
            if near:
                taken[picture][best] = True
        return Ranking(
            np.array([picture for _, picture, _ in finds], np.intp),
            np.array([hits], np.bool_).reshape(1, -1),
            np.array([ignored], np.bool_).reshape(1, -1),
            np.array([np.count_nonzero(~t.ignored[w]) for t, w in zip(truths, wanted, strict=True)], np.int64),
        )
