"""A bundle on labelled data, through the device's own preprocessing, session and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.bundle import Bundle
from edge.results import Classification, Detections, Result, Segmentation
from edge.stages import Stage
from export.calibrate import read
from export.datasets import open_data
from export.errors import ExportError
from export.masks import read_mask
from export.metrics import average_precision, mean_iou, top_k, voc_average_precision
from export.progress import Progress, silent
from export.truth import Boxes, ClassLabels, Dataset, Masks

__all__ = ["MAIN_METRIC", "Evaluation", "evaluate"]

MAIN_METRIC = {"classification": "top1", "detection": "ap", "segmentation": "miou"}
"""The number that the gate looks at, by task."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a bundle reached: `metrics` 0..1 by name, `latency_ms` of a whole picture (prepare, infer, decode)."""

    task: str
    images: int
    metrics: dict[str, float]
    latency_ms: dict[str, float]
    against: Evaluation | None = None

    def to_json(self) -> dict[str, Any]:
        """The document of `evaluate --json`."""
        document: dict[str, Any] = {
            "task": self.task,
            "images": self.images,
            "metrics": {name: round(value, 5) for name, value in self.metrics.items()},
            "latency_ms": {name: round(value, 3) for name, value in self.latency_ms.items()},
        }
        if self.against is not None:
            document["against"] = self.against.to_json()
        return document


def evaluate(
    bundle: Bundle,
    data: str | Dataset,
    *,
    against: Bundle | None = None,
    aliases: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Measure `bundle`, and `against` on the same pictures in turns, on `data` (see `export.datasets.open_data`).

    Raises:
        ExportError: when the data is not there, not sound, or not for this bundle's task and labels.
        SessionError: when a model cannot be loaded or run here.
    """
    dataset = open_data(data, bundle.labels, aliases=aliases) if isinstance(data, str) else data
    bundles = [bundle] if against is None else [bundle, against]
    for one in bundles:
        if one.manifest.task != dataset.task:
            raise ExportError(f"{one.path}: its task is {one.manifest.task}, but the data is for {dataset.task}")
        if one.labels != bundle.labels:
            raise ExportError(f"{one.path}: its labels are not those of {bundle.path}, so one number says nothing")
    # Average precision is about the whole curve, so every find counts, however faint.
    stages = [Stage(one, threshold=0.0) for one in bundles]
    results: list[list[Result]] = [[] for _ in stages]
    times: list[list[float]] = [[] for _ in stages]
    for n, path in enumerate(dataset.paths):
        progress("evaluating", n, len(dataset.paths))
        image = read(path)
        for stage, found, taken in zip(stages, results, times, strict=True):
            result, timing = stage(image)
            found.append(result)
            taken.append(timing.pre_ms + timing.infer_ms + timing.post_ms)
    progress("evaluating", len(dataset.paths), len(dataset.paths))
    measured: Evaluation | None = None
    for found, taken in reversed(list(zip(results, times, strict=True))):
        p50, p99 = np.percentile(taken, [50, 99]).tolist()
        metrics = _metrics(dataset, found, len(bundle.labels))
        measured = Evaluation(dataset.task, len(found), metrics, {"p50": p50, "p99": p99}, measured)
    assert measured is not None  # noqa: S101  there is at least one bundle
    return measured


def _metrics(dataset: Dataset, results: Sequence[Result], classes: int) -> dict[str, float]:
    if isinstance(dataset, ClassLabels):
        return top_k([r for r in results if isinstance(r, Classification)], dataset.labels)
    if isinstance(dataset, Boxes):
        found = [r for r in results if isinstance(r, Detections)]
        extra = voc_average_precision(found, dataset) if dataset.rule == "voc" else {}
        return {**average_precision(found, dataset), **extra}
    return _segmentation(dataset, [r for r in results if isinstance(r, Segmentation)], classes)


def _segmentation(dataset: Masks, results: Sequence[Segmentation], classes: int) -> dict[str, float]:
    masks = []
    for path, result in zip(dataset.masks, results, strict=True):
        mask = read_mask(path)
        if mask.shape != result.mask.shape:
            raise ExportError(
                f"{path}: the mask is {mask.shape[1]}x{mask.shape[0]}, its image {result.mask.shape[1]}x{result.mask.shape[0]}"
            )
        if mask[mask != 255].size and int(mask[mask != 255].max()) >= classes:
            raise ExportError(f"{path}: holds class {int(mask[mask != 255].max())}, the bundle has {classes} labels")
        masks.append(mask)
    return mean_iou(results, masks, classes)
