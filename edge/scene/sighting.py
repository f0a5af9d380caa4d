"""What a result shows of the camera's view, the same for every task: objects or classes, in shares of the frame."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle.bundle import Bundle
from edge.results import Classification, Detections, Instances, Poses, Result, Segmentation, rle

__all__ = ["BACKGROUND", "Box", "Change", "Kind", "Sighting", "sightings", "told_labels"]

Kind = Literal["new", "update", "end"]

Box = tuple[float, float, float, float]
"""x1 y1 x2 y2 as shares of the frame, 0 to 1."""

Joint = tuple[float, float, float]
"""x and y as shares of the frame, 0 to 1, and a score."""

BACKGROUND = "background"
_PERSON = "person"
_LEAST_AREA = 0.005  # of the frame: what a segmentation gives fewer pixels is a speck, no part of the scene
_MASK_SIDE = 256  # cells of the longer side of a told mask: a few kilobytes of run lengths, not the frame's megapixels


@dataclass(frozen=True, slots=True)
class Sighting:
    """One object, or class, in one frame; `share` of the frame's area where there is no box.

    `outline` makes its mask when it is told: COCO's run-length encoding, on a coarse grid over the whole frame.
    """

    label_id: int
    score: float
    box: Box | None = None
    share: float | None = None
    keypoints: tuple[Joint, ...] | None = None
    outline: Callable[[], dict[str, Any]] | None = field(default=None, compare=False, repr=False)

    @property
    def area(self) -> float | None:
        """The share of the frame that the box, or the class, covers."""
        if self.box is None:
            return self.share
        x1, y1, x2, y2 = self.box
        return max(0.0, x2 - x1) * max(0.0, y2 - y1)


@dataclass(frozen=True, slots=True)
class Change:
    """Something to tell of an object that is followed, or of a label: `count` of them are in view.

    `id` stays the same from `new` to `end`; `start_mono_ns` and `seen_mono_ns` are when the first and the last frame
    that showed it were taken: monotonic, since the wall clock may be set in between. `zones` are those it is in, `entered` all that it has been in.
    """

    type: Kind
    id: str
    best: Sighting
    top_score: float
    count: int
    start_mono_ns: int
    seen_mono_ns: int
    followed: bool = False
    stationary: bool | None = None
    zones: tuple[str, ...] = ()
    entered: tuple[str, ...] = ()


def told_labels(bundle: Bundle) -> Sequence[str]:
    """The names behind `Sighting.label_id`: the bundle's labels, but for a pose net, whose labels are joints."""
    return (_PERSON,) if bundle.manifest.task == "pose" else bundle.labels


def sightings(result: Result, size: tuple[int, int], *, threshold: float) -> list[Sighting]:
    """What a result shows, of at least the score `threshold`; what is not a number is left out.

    `size` is the frame's, width and height in pixels. A classification shows its best class, a segmentation every class with 0.5 % of the pixels or more.
    """
    return [s for s in _all(result, size) if s.score >= threshold and _is_sound(s)]


def _all(result: Result, size: tuple[int, int]) -> Iterator[Sighting]:
    if isinstance(result, Classification):
        for label, score in zip(result.labels[:1].tolist(), result.scores[:1].tolist(), strict=True):
            yield Sighting(label, score)
    elif isinstance(result, Detections):
        for label, score, box in result.rows:
            yield Sighting(label, score, _box(box, size))
    elif isinstance(result, Instances):
        for i, plain in enumerate(_all(result.detections, size)):
            yield Sighting(plain.label_id, plain.score, plain.box, outline=partial(_outline_of, result, i))
    elif isinstance(result, Segmentation):
        shares = np.bincount(result.mask.reshape(-1)) / result.mask.size
        for label in np.flatnonzero(shares >= _LEAST_AREA).tolist():
            yield Sighting(label, 1.0, share=float(shares[label]), outline=partial(_outline_of, result, label))
    else:
        yield from _persons(result, size)


def _persons(poses: Poses, size: tuple[int, int]) -> Iterator[Sighting]:
    width, height = size
    for joints, score in zip(poses.keypoints.tolist(), poses.scores.tolist(), strict=True):
        told = tuple((_share(x, width), _share(y, height), min(1.0, max(0.0, s))) for x, y, s in joints)
        across, down = [x for x, _, _ in told], [y for _, y, _ in told]
        box = (min(across), min(down), max(across), max(down))
        yield Sighting(0, min(1.0, score), box, keypoints=told)


def _box(corners: Sequence[float], size: tuple[int, int]) -> Box:
    x1, y1, x2, y2 = corners
    return _share(x1, size[0]), _share(y1, size[1]), _share(x2, size[0]), _share(y2, size[1])


def _is_sound(sighting: Sighting) -> bool:
    # A sum is finite when all of it is: only the score can be larger than 1.
    joints = 0.0 if sighting.keypoints is None else sum(v for joint in sighting.keypoints for v in joint)
    return math.isfinite(sighting.score + sum(sighting.box or ()) + joints)


def _share(value: float, of: int) -> float:
    share = value / of
    if 0.0 <= share <= 1.0:  # nearly always, and then nothing need be called
        return share
    return min(1.0, max(0.0, share)) if math.isfinite(share) else math.nan


def _outline_of(result: Instances | Segmentation, which: int) -> dict[str, Any]:
    """The mask of an object by its number, or of a class."""
    return _grid(result.mask(which) if isinstance(result, Instances) else result.mask == which)


def _grid(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """A mask bool [h, w] as run lengths of a grid of at most 256 cells a side; a cell is its middle pixel."""
    height, width = mask.shape
    shrink = min(1.0, _MASK_SIDE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST_EXACT)
    return rle(np.asarray(small) > 0)
