"""A pose net on the persons of each picture: those that the data boxes, or those that a detector finds."""

from __future__ import annotations

from typing import Final

import numpy as np

from edge.bundle.bundle import Bundle
from edge.frame import Image
from edge.inference.crops import Looker, person_labels, persons_of, poses_of
from edge.inference.stages import Stage
from export.coco_metrics import CocoJoints
from export.metrics import Measured
from export.truth import Joints

__all__ = ["PoseLook"]

_FAINTEST: Final = 0.05


class PoseLook:
    """A pose net, where it looks, and what it gave so far.

    Raises:
        BundleError: when the detector finds no persons.
    """

    def __init__(self, model: Looker, data: Joints, detector: Bundle | None) -> None:
        self.times: list[float] = []
        self._model = model
        self._data = data
        self._tally = CocoJoints(data)
        self._finder = None
        if detector is not None:
            person_labels(detector)
            self._finder = Stage(detector, threshold=_FAINTEST)

    def at(self, picture: int, image: Image) -> None:
        """Look at a picture's persons."""
        if self._finder is None:
            truth = self._data.persons[picture]
            # A crowd is no person, and one without a joint that is labelled has nothing to be compared.
            told = ~truth.crowd & (truth.keypoints[:, :, 2] > 0).any(axis=1)
            boxes, scores = truth.boxes[told], np.ones(int(told.sum()), np.float32)
        else:
            boxes, scores, _ = persons_of(self._finder, image)
        poses, times = poses_of(self._model, image, boxes)
        self.times += [t.pre_ms + t.infer_ms + t.post_ms for t in times]
        self._tally.add(picture, poses, scores.tolist())

    def measured(self) -> Measured:
        """See `export.metrics.Tally`."""
        return self._tally.measured()
