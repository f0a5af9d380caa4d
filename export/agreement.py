"""How far two models say the same about the same pictures, where nobody knows the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.results import Classification, Detections, Instances, Poses, Result, Segmentation
from export.errors import ExportError

__all__ = ["Agreement", "agree", "box_iou", "distance", "matched"]

_NEAR = 0.05  # of the person's longer side: where a joint's own spread among annotators lies (COCO's OKS)
_SURE = 0.2  # the least score of a joint that is looked at


@dataclass(frozen=True, slots=True)
class Agreement:
    """`value` 0..1, what of the results agrees, and `measure` in words; `numbers` has the counts it comes from.

    `trials` is of how many independent answers the value is a share, 0 where they are not independent; then `parts` has
    the share of each picture, all of equal weight or nearly so.
    """

    measure: str
    value: float
    numbers: dict[str, float]
    trials: float
    parts: tuple[float, ...] = ()


def agree(reference: Sequence[Result], other: Sequence[Result], *, iou: float = 0.9) -> Agreement:
    """Compare two models' results, picture by picture.

    Detections are matched as sets: the largest number of pairs of the same label that overlap by `iou` or more.
    The value is 2 * pairs / (boxes of both), 1 when neither finds anything. Classification: the share of pictures
    whose best class is the same. Segmentation: the share of pixels whose class is the same. Instances: as detections,
    where the outlines overlap by `iou` too. Poses: the share of the reference's joints that the other finds within a
    twentieth of the person's size.

    Raises:
        ExportError: when the results are of different kinds, or there are none.
        ValueError: when the numbers of pictures differ.
    """
    if len(reference) != len(other):
        raise ValueError(f"expected as many results of each, got {len(reference)} and {len(other)}")
    if not reference:
        raise ExportError("no pictures to compare two models on")
    for kind, compare in _BY_KIND.items():
        if all(isinstance(r, kind) for r in (*reference, *other)):
            return compare(reference, other, iou)
    kinds = sorted({type(r).__name__ for r in (*reference, *other)})
    raise ExportError(f"results of {' and '.join(kinds)} cannot be compared")


def distance(reference: Result, other: Result) -> float:
    """How far two results for one picture are apart, without thresholds: 0 when equal, growing with each difference.

    Detections: for each of the reference's, what its best counterpart of the same class lacks in overlap, and how its
    score differs, on average. Classification: the logarithms of the best classes' scores. Segmentation: the share of pixels.
    """
    if isinstance(reference, Detections) and isinstance(other, Detections):
        if not len(reference.scores) or not len(other.scores):
            return float(len(reference.scores) > 0)
        same = reference.labels[:, None] == other.labels[None]
        overlap = np.where(same, box_iou(reference.boxes, other.boxes), 0.0)
        best = overlap.argmax(axis=1)
        scores = np.abs(reference.scores - other.scores[best])
        return float(np.mean(1 - overlap.max(axis=1) + scores))
    if isinstance(reference, Classification) and isinstance(other, Classification):
        a, b = (
            dict(zip(r.labels.tolist(), np.log(np.maximum(r.scores, 1e-30)).tolist(), strict=True))
            for r in (reference, other)
        )
        # A class that one of them does not give is below the least that it gives.
        return float(np.mean([abs(a.get(k, min(a.values())) - b.get(k, min(b.values()))) for k in a.keys() | b.keys()]))
    if isinstance(reference, Segmentation) and isinstance(other, Segmentation):
        return float(np.mean(reference.mask != other.mask))
    if isinstance(reference, Instances) and isinstance(other, Instances):
        return distance(reference.detections, other.detections)
    if isinstance(reference, Poses) and isinstance(other, Poses):
        off, size = _joints_off(reference, other)
        return float(np.mean(np.minimum(off / size, 1.0))) if off.size else 0.0
    raise ExportError(f"results of {type(reference).__name__} and {type(other).__name__} cannot be compared")


def box_iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Overlap of each of boxes a [n, 4] with each of b [m, 4], x1 y1 x2 y2 -> float64 [n, m]; 0 for empty boxes."""
    x, y = a.astype(np.float64)[:, None], b.astype(np.float64)[None]
    inner = np.clip(np.minimum(x[..., 2:], y[..., 2:]) - np.maximum(x[..., :2], y[..., :2]), 0, None).prod(axis=-1)
    areas = [np.clip(z[..., 2:] - z[..., :2], 0, None).prod(axis=-1) for z in (x, y)]
    union = areas[0] + areas[1] - inner
    return np.asarray(np.divide(inner, union, out=np.zeros_like(union), where=union > 0))


def matched(reference: Detections, other: Detections, *, iou: float) -> list[tuple[int, int]]:
    """The largest set of pairs (reference, other) of equal label that overlap by `iou`; none is in two pairs.

    Augmenting paths (Kuhn's algorithm), the best overlap tried first: greedy matching can miss a pair in a crowd.
    """
    overlap = box_iou(reference.boxes, other.boxes)
    allowed = (overlap >= iou) & (reference.labels[:, None] == other.labels[None])
    partner: dict[int, int] = {}

    def augment(i: int, tried: set[int]) -> bool:
        for j in sorted(np.flatnonzero(allowed[i]).tolist(), key=lambda j: -overlap[i, j]):
            if j in tried:
                continue
            tried.add(j)
            if j not in partner or augment(partner[j], tried):
                partner[j] = i
                return True
        return False

    for i in range(len(reference.scores)):
        augment(i, set())
    return sorted((i, j) for j, i in partner.items())


def _classifications(reference: Sequence[Any], other: Sequence[Any], iou: float) -> Agreement:
    del iou
    same = sum(bool(a.labels[0] == b.labels[0]) for a, b in zip(reference, other, strict=True))
    return Agreement("same best class", same / len(reference), {"images": len(reference), "same": same}, len(reference))


def _detections(reference: Sequence[Any], other: Sequence[Any], iou: float) -> Agreement:
    pairs = list(zip(reference, other, strict=True))
    numbers: dict[str, float] = {
        "images": len(pairs),
        "reference": sum(len(a.scores) for a in reference),
        "other": sum(len(b.scores) for b in other),
    }
    both = numbers["reference"] + numbers["other"]
    for limit in sorted({0.5, 0.9, iou}):
        numbers[f"matched_{round(limit * 100)}"] = sum(len(matched(a, b, iou=limit)) for a, b in pairs)
    hits = numbers[f"matched_{round(iou * 100)}"]
    return Agreement(
        f"boxes of equal class matched at IoU {iou:g}", 2 * hits / both if both else 1.0, numbers, both / 2
    )


def _segmentations(reference: Sequence[Any], other: Sequence[Any], iou: float) -> Agreement:
    del iou
    equal = [a.mask == b.mask for a, b in zip(reference, other, strict=True)]
    same, pixels = sum(int(np.count_nonzero(e)) for e in equal), sum(e.size for e in equal)
    numbers: dict[str, float] = {"images": len(reference), "pixels": pixels, "same": same}
    return Agreement("same class a pixel", same / pixels, numbers, 0, tuple(float(e.mean()) for e in equal))


def _instances(reference: Sequence[Any], other: Sequence[Any], iou: float) -> Agreement:
    found = _detections([r.detections for r in reference], [r.detections for r in other], iou)
    same = 0
    for a, b in zip(reference, other, strict=True):
        same += sum(_mask_iou(a.mask(i), b.mask(j)) >= iou for i, j in matched(a.detections, b.detections, iou=iou))
    both = found.numbers["reference"] + found.numbers["other"]
    numbers = {**found.numbers, f"outlines_{round(iou * 100)}": same}
    return Agreement(
        f"outlines of equal class matched at IoU {iou:g}", 2 * same / both if both else 1.0, numbers, both / 2
    )


def _mask_iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def _poses(reference: Sequence[Any], other: Sequence[Any], iou: float) -> Agreement:
    del iou
    near = total = persons = 0
    for a, b in zip(reference, other, strict=True):
        off, size = _joints_off(a, b)
        near += int(np.count_nonzero(off <= _NEAR * size))
        total += off.size
        persons += len(a.keypoints)  # a person's joints are right or wrong together
    numbers: dict[str, float] = {"images": len(reference), "joints": total, "near": near}
    share = near / total if total else 1.0
    return Agreement("joints within a twentieth of the person's size", share, numbers, persons)


def _joints_off(reference: Poses, other: Poses) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far the other's joints are from those that the reference is sure of, and the person's size, in pixels."""
    if reference.keypoints.shape != other.keypoints.shape:
        raise ExportError("poses of different numbers of persons or joints cannot be compared")
    a, b = reference.keypoints.astype(np.float64), other.keypoints.astype(np.float64)
    sure = a[..., 2] >= _SURE
    extent = np.ptp(a[..., :2], axis=1).max(axis=1, keepdims=True) if a.size else np.ones((0, 1))
    off = np.linalg.norm(a[..., :2] - b[..., :2], axis=2)
    return off[sure], np.maximum(np.broadcast_to(extent, off.shape), 1.0)[sure]


_BY_KIND: dict[type, Callable[[Sequence[Any], Sequence[Any], float], Agreement]] = {
    Detections: _detections,
    Classification: _classifications,
    Segmentation: _segmentations,
    Instances: _instances,
    Poses: _poses,
}
