"""Parts of a picture for a model that looks at one object at a time, as GluonCV's pose nets were trained."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundle.bundle import Bundle
from edge.errors import BundleError
from edge.frame import Image
from edge.inference.stages import Timing
from edge.results import Detections, Instances, Poses, Result

__all__ = ["Looker", "OnPersons", "crop_around", "person_labels", "persons_of", "poses_of"]

_PERSON = frozenset({"person", "pedestrian", "people"})
_MOST = 20  # persons of a picture that are looked at; COCO judges as many
_ROOM = 1.25  # GluonCV's: a quarter more than the box in each direction


class Looker(Protocol):
    """A model that looks at pictures, such as `edge.inference.stages.Stage`."""

    @property
    def bundle(self) -> Bundle:
        """Whose preprocessing it has, and whose results it gives."""

    def __call__(self, image: Image) -> tuple[Result, Timing]:
        """The result for a picture, uint8 [H, W, 3] BGR, and what it took."""


def crop_around(image: Image, box: Sequence[float], *, aspect: float) -> tuple[Image, int, int]:
    """The part of `image` around a box x1 y1 x2 y2, of `aspect` (width / height), a quarter larger, black outside.

    Gives the part and where its corner lies in the image, x and y in pixels; these may be negative. After
    `_box_to_center_scale` of gluoncv.data.transforms.pose.
    """
    limits = [image.shape[1], image.shape[0]] * 2
    x1, y1, x2, y2 = (min(max(v, 0.0), limit) for v, limit in zip(box, limits, strict=True))
    width, height = max(x2 - x1, 1.0), max(y2 - y1, 1.0)
    width, height = max(width, height * aspect), max(height, width / aspect)
    half_w, half_h = width * _ROOM / 2, height * _ROOM / 2
    centre_x, centre_y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = round(centre_x - half_w), round(centre_y - half_h)
    right, bottom = max(left + 1, round(centre_x + half_w)), max(top + 1, round(centre_y + half_h))
    out = np.zeros((bottom - top, right - left, 3), np.uint8)
    rows = slice(max(0, top), max(0, min(bottom, image.shape[0])))
    columns = slice(max(0, left), max(0, min(right, image.shape[1])))
    seen = image[rows, columns]
    out[
        rows.start - top : rows.start - top + seen.shape[0], columns.start - left : columns.start - left + seen.shape[1]
    ] = seen
    return out, left, top


def poses_of(model: Looker, image: Image, boxes: NDArray[np.float32]) -> tuple[Poses, list[Timing]]:
    """The joints of the persons in `boxes` float32 [n, 4] x1 y1 x2 y2, in pixels of the image; and what each took.

    Raises:
        SessionError: when the runtime fails.
    """
    spec = model.bundle.manifest.input
    found: list[NDArray[np.float32]] = []
    times: list[Timing] = []
    for box in boxes.tolist():
        part, left, top = crop_around(image, box, aspect=spec.width / spec.height)
        result, timing = model(part)
        if not isinstance(result, Poses):
            raise TypeError(f"expected Poses, got {type(result).__name__}")
        found.append(result.keypoints + np.array([left, top, 0], np.float32))
        times.append(timing)
    joints = model.bundle.manifest.classes
    return Poses(np.concatenate(found) if found else np.zeros((0, joints, 3), np.float32)), times


class OnPersons:
    """A pose net on the persons that a detector finds: looks at whole pictures.

    Raises:
        BundleError: when the first is no pose net, or the second finds no persons.
    """

    def __init__(self, poses: Looker, detector: Looker) -> None:
        if poses.bundle.manifest.task != "pose":
            raise BundleError(
                f"{poses.bundle.path}: is for {poses.bundle.manifest.task}; a detector serves pose nets only"
            )
        person_labels(detector.bundle)
        self.bundle = poses.bundle
        self._poses = poses
        self._detector = detector

    def __call__(self, image: Image) -> tuple[Poses, Timing]:
        """The poses of a picture's persons, uint8 [H, W, 3] BGR, surest person first, and what all of it took.

        Raises:
            SessionError: when the runtime fails.
        """
        boxes, _, found = persons_of(self._detector, image)
        poses, times = poses_of(self._poses, image, boxes)
        every = [found, *times]
        return poses, Timing(*(sum(getattr(t, part) for t in every) for part in ("pre_ms", "infer_ms", "post_ms")))


def person_labels(bundle: Bundle) -> list[int]:
    """Which labels of a detector are persons.

    Raises:
        BundleError: when none is, or it is no detector.
    """
    labels = [i for i, label in enumerate(bundle.labels) if label.casefold() in _PERSON]
    if bundle.manifest.task not in {"detection", "instances"} or not labels:
        raise BundleError(f"{bundle.path}: finds no persons (a detector with a label such as 'person' is needed)")
    return labels


def persons_of(detector: Looker, image: Image) -> tuple[NDArray[np.float32], NDArray[np.float32], Timing]:
    """The persons that a detector finds: boxes [n, 4], scores [n], best first; and what that took.

    Raises:
        BundleError: when it is no detector of persons.
        SessionError: when the runtime fails.
    """
    result, timing = detector(image)
    found = result.detections if isinstance(result, Instances) else result
    if not isinstance(found, Detections):
        raise TypeError(f"expected Detections, got {type(result).__name__}")
    persons = np.flatnonzero(np.isin(found.labels, person_labels(detector.bundle)))[:_MOST]
    return found.boxes[persons], found.scores[persons], timing
