"""A bundle on labelled data, through the device's own preprocessing, session and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from edge.bundle.bundle import Bundle
from edge.frame import Image
from edge.inference.crops import Looker
from edge.inference.session import SessionOptions
from edge.inference.stages import Stage
from export.bootstrap import Draws, draw, interval
from export.calibrate import read
from export.coco_metrics import CocoBoxes, CocoInstances
from export.datasets import open_data
from export.errors import ExportError
from export.metrics import MeanIou, Measured, Tally, TopK
from export.poses import PoseLook
from export.progress import Progress, silent
from export.truth import Boxes, ClassLabels, Dataset, Joints, Outlines
from export.voc_metrics import VocBoxes

__all__ = ["MAIN_METRIC", "Difference", "Evaluation", "difference", "evaluate"]

MAIN_METRIC: Final = {
    "classification": "top1",
    "detection": "ap",
    "segmentation": "miou",
    "instances": "mask_ap",
    "pose": "oks_ap",
}
"""The number that the gate looks at, by task."""


_DATA_FOR: Final = {
    "classification": "imagefolder:DIR",
    "detection": "coco:ANNOTATIONS.json:IMAGES or voc:DIR",
    "segmentation": "masks:DIR or voc:DIR",
    "instances": "coco:ANNOTATIONS.json:IMAGES with outlines",
    "pose": "coco:ANNOTATIONS.json:IMAGES with keypoints",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of one model minus that of another on the same pictures, and where it lies with 95 % confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model reached: `metrics` 0..1 by name.

    `intervals` say where each lies with 95 % confidence (see `export.bootstrap`), `latency_ms` is that of a whole picture
    (prepare, infer, decode), for poses of one person.
    """

    task: str
    images: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    latency_ms: dict[str, float]
    against: Evaluation | None = None
    draws: Draws = field(default_factory=dict, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """The document of `evaluate --json`."""
        document: dict[str, Any] = {
            "task": self.task,
            "images": self.images,
            "metrics": {name: round(value, 5) for name, value in self.metrics.items()},
            "intervals_95": {name: [round(v, 5) for v in ends] for name, ends in self.intervals.items()},
            "latency_ms": {name: round(value, 3) for name, value in self.latency_ms.items()},
        }
        if self.against is not None:
            document["against"] = self.against.to_json()
            document["difference"] = {
                name: {"value": round(d.value, 5), "interval_95": [round(d.low, 5), round(d.high, 5)]}
                for name, d in difference(self, self.against).items()
            }
        return document


def difference(one: Evaluation, other: Evaluation) -> dict[str, Difference]:
    """`one` minus `other`, a metric each; both must be of the same pictures."""
    found = {}
    for name in one.metrics:
        low, high = interval(one.draws[name] - other.draws[name])
        found[name] = Difference(one.metrics[name] - other.metrics[name], low, high)
    return found


def evaluate(
    bundle: Bundle,
    data: str | Dataset,
    *,
    against: Bundle | Looker | None = None,
    detector: Bundle | None = None,
    aliases: Mapping[str, str] | None = None,
    options: SessionOptions | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Measure `bundle`, and `against` on the same pictures in turns, on `data` (see `export.datasets.open_data`).

    `bundle` runs as `options` say, a bundle that it is held against on the CPU.

    A pose net looks at persons: at those of the data, or where a `detector` is given at those that it finds.

    Raises:
        ExportError: when the data is not there, not sound, or not for this bundle's task and labels.
        SessionError: when a model cannot be loaded or run here.
    """
    task = bundle.manifest.task
    dataset = open_data(data, bundle.labels, task=task, aliases=aliases) if isinstance(data, str) else data
    # Average precision is about the whole curve, so every find counts, however faint.
    models: list[Looker] = [Stage(bundle, options, threshold=0.0)]
    if against is not None:
        models.append(Stage(against, threshold=0.0) if isinstance(against, Bundle) else against)
    for one in models:
        _judge(one.bundle, bundle, dataset)
    if detector is not None and not isinstance(dataset, Joints):
        raise ExportError(f"a detector finds the persons that a pose net looks at; {bundle.path} is for {task}")
    looks = [_look(one, dataset, detector) for one in models]
    for n, path in enumerate(dataset.paths):
        progress("evaluating", n, len(dataset.paths))
        image = read(path)
        for look in looks:
            look.at(n, image)
    progress("evaluating", len(dataset.paths), len(dataset.paths))
    measured: Evaluation | None = None
    for look in reversed(looks):
        measured = _evaluation(dataset, look, measured, progress)
    assert measured is not None  # noqa: S101  there is at least one model
    return measured


class _Look(Protocol):
    times: list[float]

    def at(self, picture: int, image: Image) -> None: ...

    def measured(self) -> Measured: ...


class _WholePictures:
    """A model and what it gave so far."""

    def __init__(self, model: Looker, tallies: Sequence[Tally]) -> None:
        self.times: list[float] = []
        self._model = model
        self._tallies = tallies

    def at(self, picture: int, image: Image) -> None:
        """Look at a picture."""
        result, timing = self._model(image)
        self.times.append(timing.pre_ms + timing.infer_ms + timing.post_ms)
        for tally in self._tallies:
            tally.add(picture, result)

    def measured(self) -> Measured:
        """All tallies' metrics."""
        parts = [tally.measured() for tally in self._tallies]
        return Measured(
            {name: value for part in parts for name, value in part.values.items()},
            lambda counts: {name: value for part in parts for name, value in part.weighted(counts).items()},
        )


def _look(model: Looker, dataset: Dataset, detector: Bundle | None) -> _Look:
    if isinstance(dataset, Joints):
        return PoseLook(model, dataset, detector)
    tallies: list[Tally]
    if isinstance(dataset, ClassLabels):
        tallies = [TopK(dataset.labels)]
    elif isinstance(dataset, Boxes):
        tallies = [CocoBoxes(dataset), *([VocBoxes(dataset)] if dataset.rule == "voc" else [])]
    elif isinstance(dataset, Outlines):
        tallies = [CocoInstances(dataset)]
    else:
        tallies = [MeanIou(dataset.masks, model.bundle.manifest.classes)]
    return _WholePictures(model, tallies)


def _judge(one: Bundle, first: Bundle, dataset: Dataset) -> None:
    if one.manifest.task != dataset.task:
        raise ExportError(
            f"{one.path}: its task is {one.manifest.task}, but the data is for {dataset.task}; "
            f"give {_DATA_FOR[one.manifest.task]}"
        )
    if one.labels != first.labels:
        raise ExportError(f"{one.path}: its labels are not those of {first.path}, so one number says nothing")


def _evaluation(dataset: Dataset, look: _Look, against: Evaluation | None, progress: Progress) -> Evaluation:
    pictures = len(dataset.paths)
    measured = look.measured()
    draws = draw(measured, pictures, progress=progress)
    p50, p99 = np.percentile(look.times or [0.0], [50, 99]).tolist()
    return Evaluation(
        dataset.task,
        pictures,
        measured.values,
        {name: interval(values) for name, values in draws.items()},
        {"p50": p50, "p99": p99},
        against,
        draws,
    )
