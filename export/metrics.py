"""Results and truth -> numbers: top-1 and top-5, COCO's and VOC's average precision, mean IoU."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.results import Classification, Detections, Segmentation
from export.agreement import box_iou
from export.truth import Boxes, Truth

__all__ = ["average_precision", "mean_iou", "top_k", "voc_average_precision"]

_VOC_IOU = 0.5
_UNJUDGED = 255


def top_k(results: Sequence[Classification], labels: Sequence[int]) -> dict[str, float]:
    """`top1` and `top5`: how often the true class is the best, or among the best five."""
    hits = [(r.labels.tolist().index(t) if t in r.labels else None) for r, t in zip(results, labels, strict=True)]
    return {
        "top1": sum(h == 0 for h in hits) / len(hits),
        "top5": sum(h is not None and h < 5 for h in hits) / len(hits),
    }


def average_precision(results: Sequence[Detections], data: Boxes) -> dict[str, float]:
    """COCO's `ap` (IoU 0.50 to 0.95) and `ap50`, by pycocotools, over the classes that the data annotates."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotations: list[dict[str, object]] = []
    rows: list[list[float]] = []
    for image, (truth, found) in enumerate(zip(data.truths, results, strict=True)):
        for box, label, ignored, area in zip(truth.boxes, truth.labels, truth.ignored, truth.areas, strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(label),
                    "bbox": _xywh(box),
                    "area": float(area),
                    "iscrowd": int(ignored),
                }
            )
        for box, label, score in zip(found.boxes, found.labels, found.scores, strict=True):
            if int(label) in data.classes:
                rows.append([image, *_xywh(box), float(score), int(label)])
    if not annotations or not rows:
        return {"ap": 0.0, "ap50": 0.0}
    truths = COCO()
    truths.dataset = {
        "info": {},
        "images": [{"id": i} for i in range(len(results))],
        "categories": [{"id": c} for c in data.classes],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):  # it tells its life on stdout
        truths.createIndex()
        run = COCOeval(truths, truths.loadRes(np.array(rows)), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {"ap": max(0.0, float(run.stats[0])), "ap50": max(0.0, float(run.stats[1]))}


def voc_average_precision(results: Sequence[Detections], data: Boxes) -> dict[str, float]:
    """VOC's mean average precision at IoU 0.5: `voc_ap` (area under the curve, since 2010) and `voc07_ap` (11 points)."""
    area, eleven = [], []
    for label in data.classes:
        curve = _voc_curve(results, data.truths, label)
        if curve is None:
            continue
        recall, precision = curve
        eleven.append(np.mean([precision[recall >= t].max(initial=0.0) for t in np.linspace(0, 1, 11)]))
        r = np.concatenate([[0.0], recall, [1.0]])
        p = np.concatenate([[0.0], precision, [0.0]])
        p = np.maximum.accumulate(p[::-1])[::-1]
        area.append(np.sum((r[1:] - r[:-1]) * p[1:]))
    if not area:
        return {"voc_ap": 0.0, "voc07_ap": 0.0}
    return {"voc_ap": float(np.mean(area)), "voc07_ap": float(np.mean(eleven))}


def mean_iou(results: Sequence[Segmentation], masks: Sequence[NDArray[np.uint8]], classes: int) -> dict[str, float]:
    """`miou` over the classes that occur in truth or results, and `pixel_accuracy`; truth 255 is not judged."""
    confusion = np.zeros((classes, classes), np.int64)
    for result, mask in zip(results, masks, strict=True):
        judged = mask != _UNJUDGED
        index = mask[judged].astype(np.int64) * classes + np.minimum(result.mask[judged], classes - 1)
        confusion += np.bincount(index, minlength=classes * classes).reshape(classes, classes)
    right = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - right
    there = union > 0
    return {
        "miou": float(np.mean(right[there] / union[there])) if there.any() else 0.0,
        "pixel_accuracy": float(right.sum() / max(confusion.sum(), 1)),
    }


def _voc_curve(
    results: Sequence[Detections], truths: Sequence[Truth], label: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Recall and precision as the threshold sinks, by the rules of VOC's development kit; None without any object."""
    wanted = [np.flatnonzero(t.labels == label) for t in truths]
    positives = sum(int(np.count_nonzero(~t.ignored[w])) for t, w in zip(truths, wanted, strict=True))
    if not positives:
        return None
    taken = [np.zeros(len(w), np.bool_) for w in wanted]
    finds = sorted(
        (-float(r.scores[k]), image, int(k))
        for image, r in enumerate(results)
        for k in np.flatnonzero(r.labels == label)
    )
    hits = []
    for _, image, k in finds:
        truth, mine = truths[image], wanted[image]
        overlap = box_iou(results[image].boxes[k : k + 1], truth.boxes[mine])[0]
        best = int(overlap.argmax()) if len(mine) else -1
        if best < 0 or overlap[best] < _VOC_IOU:
            hits.append(False)
        elif not truth.ignored[mine[best]]:
            hits.append(not taken[image][best])
            taken[image][best] = True
    right = np.cumsum(hits, dtype=np.float64)
    return right / positives, right / np.arange(1, len(hits) + 1)


def _xywh(box: NDArray[np.float32]) -> list[float]:
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]
