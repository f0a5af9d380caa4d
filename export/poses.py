"""A pose net on the persons of each picture: those that the data boxes, or those that a detector finds."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.crops import Looker, poses_of
from edge.frame import Image
from edge.results import Detections, Instances
from edge.stages import Stage
from export.coco_metrics import CocoJoints
from export.errors import ExportError
from export.metrics import Measured
from export.truth import Joints

__all__ = ["PoseLook"]

_PERSON: Final = frozenset({"person", "pedestrian", "people"})
_MOST: Final = 20  # COCO judges twenty persons a picture


class PoseLook:
    """A pose net, where it looks, and what it gave so far.

    Raises:
        ExportError: when the detector finds no persons.
    """

    def __init__(self, model: Looker, data: Joints, detector: Bundle | None) -> None:
        self.times: list[float] = []
        self._model = model
        self._data = data
        self._tally = CocoJoints(data)
        self._finder = None if detector is None else _Finder(detector)

    def at(self, picture: int, image: Image) -> None:
        """Look at a picture's persons."""
        if self._finder is None:
            truth = self._data.persons[picture]
            # A crowd is no person, and one without a joint that is labelled has nothing to be compared.
            told = ~truth.crowd & (truth.keypoints[:, :, 2] > 0).any(axis=1)
            boxes, scores = truth.boxes[told], np.ones(int(told.sum()), np.float32)
        else:
            boxes, scores = self._finder(image)
        poses, times = poses_of(self._model, image, boxes)
        self.times += [t.pre_ms + t.infer_ms + t.post_ms for t in times]
        self._tally.add(picture, poses, scores.tolist())

    def measured(self) -> Measured:
        """See `export.metrics.Tally`."""
        return self._tally.measured()


class _Finder:
    """A detector's persons, best first."""

    def __init__(self, bundle: Bundle) -> None:
        self._labels = [i for i, label in enumerate(bundle.labels) if label.casefold() in _PERSON]
        if bundle.manifest.task not in {"detection", "instances"} or not self._labels:
            raise ExportError(f"{bundle.path}: finds no persons (a detector with a label such as 'person' is needed)")
        self._stage = Stage(bundle, threshold=0.05)

    def __call__(self, image: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        result, _ = self._stage(image)
        found = result.detections if isinstance(result, Instances) else result
        if not isinstance(found, Detections):
            raise TypeError(f"expected Detections, got {type(result).__name__}")
        persons = np.flatnonzero(np.isin(found.labels, self._labels))[:_MOST]
        return found.boxes[persons], found.scores[persons]
