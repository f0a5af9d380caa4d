"""COCO's average precision of boxes, outlines and joints. Matching and the metric itself are pycocotools'."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.results import Detections, Instances, Poses, Result
from export.errors import ExportError
from export.metrics import Counts, Measured
from export.ranking import Ranking, hundred_points, mean_over_classes
from export.truth import Boxes, Joints, Outlines, Persons, Truth

__all__ = ["CocoBoxes", "CocoInstances", "CocoJoints"]

_ALL: Final = (0.0, 1e10)
_SURE: Final = 0.2  # GluonCV's in_vis_thresh
_HALF: Final = 0  # the first overlap asked for is 0.5


class CocoBoxes:
    """`ap` (IoU 0.50 to 0.95) and `ap50` of boxes, over the classes that the data annotates."""

    def __init__(self, data: Boxes | Outlines) -> None:
        self._data = data
        self._found: list[list[dict[str, Any]]] = []

    def add(self, picture: int, result: Result) -> None:
        """See `export.metrics.Tally`."""
        if not isinstance(result, Detections):
            raise TypeError(f"expected Detections, got {type(result).__name__}")
        rows = zip(result.boxes, result.labels.tolist(), result.scores.tolist(), strict=True)
        self._found.append(
            [
                {"image_id": picture, "category_id": label, "bbox": _xywh(box), "score": score}
                for box, label, score in rows
                if label in self._data.classes
            ]
        )

    def measured(self) -> Measured:
        """See `export.metrics.Tally`."""
        document = _document(self._data.classes, _annotations(self._data.truths), len(self._found))
        return _measure(document, self._found, "bbox", ("ap", "ap50"))


class CocoInstances:
    """`mask_ap` and `mask_ap50` of outlines, with the `ap` and `ap50` of their boxes."""

    def __init__(self, data: Outlines) -> None:
        self._data = data
        self._boxes = CocoBoxes(data)
        self._found: list[list[dict[str, Any]]] = []
        self._sizes: list[tuple[int, int]] = []

    def add(self, picture: int, result: Result) -> None:
        """See `export.metrics.Tally`. Of the masks only their encodings are kept.

        Raises:
            ExportError: when the picture is not of the size that the annotations say.
        """
        from pycocotools import mask as coding

        if not isinstance(result, Instances):
            raise TypeError(f"expected Instances, got {type(result).__name__}")
        size = (result.height, result.width)
        said = [tuple(outline["size"]) for outline in self._data.truths[picture].outlines]
        if any(other != size for other in said):
            path = self._data.paths[picture]
            raise ExportError(f"{path}: is {size[1]}x{size[0]}, its annotations are of {said[0][1]}x{said[0][0]}")
        self._sizes.append(size)
        self._boxes.add(picture, result.detections)
        rows = enumerate(zip(result.detections.labels.tolist(), result.detections.scores.tolist(), strict=True))
        self._found.append(
            [
                {
                    "image_id": picture,
                    "category_id": label,
                    "segmentation": coding.encode(np.asfortranarray(result.mask(i), np.uint8)),
                    "score": score,
                }
                for i, (label, score) in rows
                if label in self._data.classes
            ]
        )

    def measured(self) -> Measured:
        """See `export.metrics.Tally`."""
        document = _document(self._data.classes, _annotations(self._data.truths), len(self._found))
        for image, (height, width) in zip(document["images"], self._sizes, strict=True):
            image.update(height=height, width=width)
        masks = _measure(document, self._found, "segm", ("mask_ap", "mask_ap50"))
        boxes = self._boxes.measured()
        return Measured(
            {**masks.values, **boxes.values}, lambda counts: {**masks.weighted(counts), **boxes.weighted(counts)}
        )


class CocoJoints:
    """`oks_ap` (object keypoint similarity 0.50 to 0.95) and `oks_ap50` of persons' joints.

    `scores` of a picture are those of its boxes, which weigh the joints' own as in GluonCV's `COCOKeyPointsMetric`.
    """

    def __init__(self, data: Joints) -> None:
        self._data = data
        self._found: list[list[dict[str, Any]]] = []

    def add(self, picture: int, result: Result, scores: Sequence[float] | None = None) -> None:
        """See `export.metrics.Tally`."""
        if not isinstance(result, Poses):
            raise TypeError(f"expected Poses, got {type(result).__name__}")
        weights = np.ones(len(result.keypoints)) if scores is None else np.asarray(scores, np.float64)
        rows = zip(result.keypoints, _confidences(result.keypoints) * weights, strict=True)
        self._found.append(
            [
                {
                    "image_id": picture,
                    "category_id": 0,
                    "keypoints": person.astype(np.float64).reshape(-1).tolist(),
                    "score": float(score),
                }
                for person, score in rows
            ]
        )

    def measured(self) -> Measured:
        """See `export.metrics.Tally`."""
        annotations = [row for picture, truth in enumerate(self._data.persons) for row in _persons(picture, truth)]
        document = _document((0,), annotations, len(self._found))
        return _measure(document, self._found, "keypoints", ("oks_ap", "oks_ap50"))


def _confidences(keypoints: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of persons' joints [n, joints, 3]: the mean score of those that the net is sure of, 0 where it is of none."""
    scores = keypoints[:, :, 2].astype(np.float64)
    sure = scores > _SURE
    return np.asarray((scores * sure).sum(axis=1) / np.maximum(sure.sum(axis=1), 1))


def _measure(
    document: dict[str, Any], found: Sequence[Sequence[dict[str, Any]]], kind: str, names: tuple[str, str]
) -> Measured:
    """Average precision over all overlaps and at 0.5, under these names."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    for number, annotation in enumerate(document["annotations"], 1):  # an id of 0 would mean no match
        annotation["id"] = number
    rows = [row for picture in found for row in picture]
    if not rows or not document["annotations"]:
        return Measured(dict.fromkeys(names, 0.0), lambda _counts: dict.fromkeys(names, 0.0))
    truths = COCO()
    truths.dataset = document
    with contextlib.redirect_stdout(io.StringIO()):  # it tells its life on stdout
        truths.createIndex()
        run = COCOeval(truths, truths.loadRes(rows), kind)
        run.params.areaRng, run.params.areaRngLbl = [list(_ALL)], ["all"]
        run.params.maxDets = run.params.maxDets[-1:]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][..., 0, 0]  # overlaps, recalls, classes
    classes = (precision > -1).all(axis=(0, 1))
    each = precision[..., classes].mean(axis=1) if classes.any() else np.zeros((len(precision), 1))
    rankings = list(_rankings(run, len(found)))

    def weighted(counts: Counts) -> dict[str, float]:
        overlaps = mean_over_classes(rankings, counts, hundred_points)
        return {names[0]: float(overlaps.mean()), names[1]: float(overlaps[_HALF])}

    return Measured({names[0]: float(each.mean()), names[1]: float(each[_HALF].mean())}, weighted)


def _rankings(run: Any, pictures: int) -> Iterator[Ranking]:
    """What pycocotools has matched, a class each: see `COCOeval.accumulate`."""
    overlaps = len(run.params.iouThrs)
    for start in range(0, len(run.evalImgs), pictures):
        matched = [(i, e) for i, e in enumerate(run.evalImgs[start : start + pictures]) if e is not None]
        objects = np.zeros(pictures, np.int64)
        for i, e in matched:
            objects[i] = np.count_nonzero(np.asarray(e["gtIgnore"]) == 0)
        scores = np.concatenate([np.asarray(e["dtScores"], np.float64) for _, e in matched] or [np.zeros(0)])
        order = np.argsort(-scores, kind="mergesort")
        places = np.repeat([i for i, _ in matched], [len(e["dtScores"]) for _, e in matched]).astype(np.intp)
        empty = np.zeros((overlaps, 0), np.bool_)
        hits = np.concatenate([np.asarray(e["dtMatches"]) > 0 for _, e in matched] or [empty], axis=1)
        ignored = np.concatenate([np.asarray(e["dtIgnore"]) > 0 for _, e in matched] or [empty], axis=1)
        yield Ranking(places[order], hits[:, order], ignored[:, order], objects)


def _document(classes: Sequence[int], annotations: list[dict[str, Any]], pictures: int) -> dict[str, Any]:
    return {
        "info": {},
        "images": [{"id": i} for i in range(pictures)],
        "categories": [{"id": c} for c in classes],
        "annotations": annotations,
    }


def _annotations(truths: Sequence[Truth]) -> list[dict[str, Any]]:
    found = []
    for picture, truth in enumerate(truths):
        for i, box in enumerate(truth.boxes):
            entry = {
                "image_id": picture,
                "category_id": int(truth.labels[i]),
                "bbox": _xywh(box),
                "area": float(truth.areas[i]),
                "iscrowd": int(truth.ignored[i]),
            }
            if truth.outlines:
                entry["segmentation"] = truth.outlines[i]
            found.append(entry)
    return found


def _persons(picture: int, truth: Persons) -> Iterator[dict[str, Any]]:
    for box, joints, crowd, area in zip(truth.boxes, truth.keypoints, truth.crowd, truth.areas, strict=True):
        yield {
            "image_id": picture,
            "category_id": 0,
            "bbox": _xywh(box),
            "area": float(area),
            "iscrowd": int(crowd),
            "keypoints": joints.astype(np.float64).reshape(-1).tolist(),
            "num_keypoints": int(np.count_nonzero(joints[:, 2] > 0)),
        }


def _xywh(box: NDArray[np.float32]) -> list[float]:
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]
