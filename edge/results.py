"""What a model says about an image: one frozen value type a task, in pixels of the image it was given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.prepare import Placement

__all__ = [
    "Classification",
    "Detections",
    "Instances",
    "Poses",
    "Result",
    "Segmentation",
    "Task",
    "decode",
    "rle",
    "to_json",
]

Task = Literal["classification", "detection", "segmentation", "instances", "pose"]
TASKS: tuple[str, ...] = get_args(Task)


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """The classes found, best first: `labels` int64 [n], `scores` float32 [n]."""

    labels: NDArray[np.int64]
    scores: NDArray[np.float32]


Row = tuple[int, float, Sequence[float]]
"""One object: its label, its score, its box x1 y1 x2 y2."""


class Detections:
    """Objects, best first: `boxes` float32 [n, 4] x1 y1 x2 y2, `scores` float32 [n], `labels` int64 [n].

    `rows` are the same in Python, not rounded to float32 where they were decoded: all that a camera's few objects need.
    Either is made of the other when it is asked for, since arrays cost a frame more than what is done with its objects.
    """

    __slots__ = ("_arrays", "_rows")

    def __init__(self, boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        n = len(scores)
        if boxes.shape != (n, 4) or labels.shape != (n,):
            got = f"boxes {boxes.shape}, scores {scores.shape}, labels {labels.shape}"
            raise ValueError(f"expected boxes [n, 4], scores [n], labels [n], got {got}")
        self._arrays: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]] | None = boxes, scores, labels
        self._rows: list[Row] | None = None

    @classmethod
    def of(cls, rows: list[Row]) -> "Detections":
        """Those of these rows."""
        found = cls.__new__(cls)
        found._arrays, found._rows = None, rows  # noqa: SLF001 - its own
        return found

    @property
    def rows(self) -> list[Row]:
        """Label, score and box of each."""
        if self._rows is None:
            self._rows = list(zip(self.labels.tolist(), self.scores.tolist(), self.boxes.tolist(), strict=True))
        return self._rows

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Float32 [n, 4]."""
        return self._as_arrays()[0]

    @property
    def scores(self) -> NDArray[np.float32]:
        """Float32 [n]."""
        return self._as_arrays()[1]

    @property
    def labels(self) -> NDArray[np.int64]:
        """Int64 [n]."""
        return self._as_arrays()[2]

    def _as_arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        if self._arrays is None:
            rows = self.rows
            self._arrays = (
                np.array([box for _, _, box in rows], np.float32).reshape(-1, 4),
                np.array([score for _, score, _ in rows], np.float32),
                np.array([label for label, _, _ in rows], np.int64),
            )
        return self._arrays


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """A class a pixel: `mask` uint8 [height, width] of the image."""

    mask: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """Objects and their outlines: `detections`, and a mask each.

    `masks` float32 [n, h, w] are probabilities on a grid over `extents` float32 [n, 4], the boxes as the model gave
    them, which may reach beyond the image of `height` x `width` pixels.
    """

    detections: Detections
    extents: NDArray[np.float32]
    masks: NDArray[np.float32]
    height: int
    width: int

    def __post_init__(self) -> None:
        n = len(self.detections.scores)
        if self.extents.shape != (n, 4) or self.masks.ndim != 3 or len(self.masks) != n:
            raise ValueError(
                f"expected {n} extents [n, 4] and masks [n, h, w], got {self.extents.shape}, {self.masks.shape}"
            )

    def mask(self, i: int) -> NDArray[np.bool_]:
        """Object `i`'s pixels, those whose centre lies inside: bool [height, width] of the image."""
        out = np.zeros((self.height, self.width), np.bool_)
        x1, y1, x2, y2 = self.extents[i].tolist()
        left, top, right, bottom = np.ceil(self.detections.boxes[i] - 0.5).astype(int).tolist()
        if right <= left or bottom <= top or x2 <= x1 or y2 <= y1:
            return out
        rows, columns = self.masks.shape[1:]
        # Where the centre of each pixel of the visible box lies on the mask's grid of cell centres.
        x = ((np.arange(left, right) + 0.5 - x1) / (x2 - x1) * columns - 0.5).astype(np.float32)
        y = ((np.arange(top, bottom) + 0.5 - y1) / (y2 - y1) * rows - 0.5).astype(np.float32)
        grid_x, grid_y = np.meshgrid(x, y)
        shares = cv2.remap(self.masks[i], grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        out[top:bottom, left:right] = np.asarray(shares) > 0.5
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """Persons by their joints: `keypoints` float32 [n, J, 3], x and y in pixels of the image, and a score."""

    keypoints: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.keypoints.ndim != 3 or self.keypoints.shape[2] != 3:
            raise ValueError(f"expected keypoints [n, J, 3], got {self.keypoints.shape}")

    @property
    def scores(self) -> NDArray[np.float32]:
        """A person's score: the mean of the joints', float32 [n]."""
        return np.asarray(self.keypoints[:, :, 2].mean(axis=1), np.float32)


Result = Classification | Detections | Segmentation | Instances | Poses


def decode(
    task: str, outputs: Mapping[str, NDArray[Any]], placement: Placement, *, threshold: float, top: int = 5
) -> Result:
    """One image's model outputs (the bundle's names, without the batch axis) -> its result, in image pixels.

    `threshold` is the least score of a detection, or of a class after the best one; `top` the most classes given.

    Raises:
        ValueError: for a task that this version cannot decode.
    """
    if task == "detection":
        return _detections(outputs, placement, threshold)[0]
    if task == "instances":
        detections, kept = _detections(outputs, placement, threshold)
        extents = placement.points_to_image(outputs["boxes"][kept].reshape(-1, 2, 2)).reshape(-1, 4)
        masks = outputs["masks"][kept].astype(np.float32, copy=False)
        return Instances(detections, extents, masks, placement.height, placement.width)
    if task == "classification":
        scores = outputs["scores"].astype(np.float32, copy=False)
        best = np.argsort(-scores, kind="stable")[:top]
        best = np.concatenate([best[:1], best[1:][scores[best[1:]] >= threshold]])
        return Classification(best.astype(np.int64), scores[best])
    if task == "segmentation":
        return Segmentation(placement.mask_to_image(outputs["mask"].astype(np.uint8, copy=False)))
    if task == "pose":
        keypoints = outputs["keypoints"].astype(np.float32)
        keypoints[:, :2] = placement.points_to_image(keypoints[:, :2])
        return Poses(keypoints[None])
    raise ValueError(f"task {task!r} cannot be decoded by this version")


def _detections(
    outputs: Mapping[str, NDArray[Any]], placement: Placement, threshold: float
) -> tuple[Detections, list[int]]:
    """The detections of at least `threshold`, and their rows."""
    count = int(outputs["count"])
    scores = outputs["scores"][:count].tolist()
    labels, boxes = outputs["labels"][:count].tolist(), outputs["boxes"][:count].tolist()
    kept = [i for i, score in enumerate(scores) if score >= threshold]
    return Detections.of([(int(labels[i]), scores[i], placement.box_to_image(boxes[i])) for i in kept]), kept


def rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A boolean mask [h, w] as COCO's uncompressed run-length encoding: column order, starting with zeros."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if flat.size and flat[0] else runs}


def to_json(result: Result, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The `results` list of `predict --json`: boxes, joints and masks in pixels of the image.

    For a pose, `labels` are the joints' names, and the box is the smallest that holds them.
    """
    if isinstance(result, Segmentation):
        return [
            {"label": labels[int(c)], "label_id": int(c), "score": 1.0, "mask": rle(result.mask == c)}
            for c in np.unique(result.mask)
        ]
    if isinstance(result, Poses):
        return [
            _pose_json(person, score) for person, score in zip(result.keypoints, result.scores.tolist(), strict=True)
        ]
    plain = result.detections if isinstance(result, Instances) else result
    found = []
    for i, (label, score) in enumerate(zip(plain.labels.tolist(), plain.scores.tolist(), strict=True)):
        entry: dict[str, Any] = {"label": labels[label], "label_id": label, "score": round(score, 4)}
        if isinstance(plain, Detections):
            entry["box"] = [round(v, 1) for v in plain.boxes[i].tolist()]
        if isinstance(result, Instances):
            entry["mask"] = rle(result.mask(i))
        found.append(entry)
    return found


def _pose_json(person: NDArray[np.float32], score: float) -> dict[str, Any]:
    low, high = person[:, :2].min(axis=0), person[:, :2].max(axis=0)
    return {
        "label": "person",
        "label_id": 0,
        "score": round(score, 4),
        "box": [round(v, 1) for v in (*low.tolist(), *high.tolist())],
        "keypoints": [[round(x, 1), round(y, 1), round(s, 4)] for x, y, s in person.tolist()],
    }
