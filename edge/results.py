"""What a model says about an image: one frozen value type a task, in pixels of the image it was given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge.prepare import Placement

__all__ = ["Classification", "Detections", "Result", "Segmentation", "Task", "decode", "rle", "to_json"]

Task = Literal["classification", "detection", "segmentation", "instances", "pose"]
TASKS: tuple[str, ...] = get_args(Task)


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """The classes found, best first: `labels` int64 [n], `scores` float32 [n]."""

    labels: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects, best first: `boxes` float32 [n, 4] x1 y1 x2 y2, `scores` float32 [n], `labels` int64 [n]."""

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.labels.shape != (n,):
            got = f"boxes {self.boxes.shape}, scores {self.scores.shape}, labels {self.labels.shape}"
            raise ValueError(f"expected boxes [n, 4], scores [n], labels [n], got {got}")


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """A class a pixel: `mask` uint8 [height, width] of the image."""

    mask: NDArray[np.uint8]


Result = Classification | Detections | Segmentation


def decode(
    task: str, outputs: Mapping[str, NDArray[Any]], placement: Placement, *, threshold: float, top: int = 5
) -> Result:
    """One image's model outputs (the bundle's names, without the batch axis) -> its result, in image pixels.

    `threshold` is the least score of a detection, or of a class after the best one; `top` the most classes given.

    Raises:
        ValueError: for a task that this version cannot decode.
    """
    if task == "detection":
        count = int(outputs["count"])
        scores = outputs["scores"][:count].astype(np.float32, copy=False)
        keep = scores >= threshold
        boxes = placement.boxes_to_image(outputs["boxes"][:count][keep])
        return Detections(boxes, scores[keep], outputs["labels"][:count][keep].astype(np.int64, copy=False))
    if task == "classification":
        scores = outputs["scores"].astype(np.float32, copy=False)
        best = np.argsort(-scores, kind="stable")[:top]
        best = np.concatenate([best[:1], best[1:][scores[best[1:]] >= threshold]])
        return Classification(best.astype(np.int64), scores[best])
    if task == "segmentation":
        return Segmentation(placement.mask_to_image(outputs["mask"].astype(np.uint8, copy=False)))
    raise ValueError(f"task {task!r} cannot be decoded by this version")


def rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A boolean mask [h, w] as COCO's uncompressed run-length encoding: column order, starting with zeros."""
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if flat.size and flat[0] else runs}


def to_json(result: Result, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The `results` list of `predict --json`, as docs and cli promise: boxes in pixels of the image."""
    if isinstance(result, Segmentation):
        return [
            {"label": labels[int(c)], "label_id": int(c), "score": 1.0, "mask": rle(result.mask == c)}
            for c in np.unique(result.mask)
        ]
    found = []
    for i, (label, score) in enumerate(zip(result.labels.tolist(), result.scores.tolist(), strict=True)):
        entry: dict[str, Any] = {"label": labels[label], "label_id": label, "score": round(score, 4)}
        if isinstance(result, Detections):
            entry["box"] = [round(v, 1) for v in result.boxes[i].tolist()]
        found.append(entry)
    return found
