"""What is known of labelled pictures: one frozen type a kind of truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Boxes", "ClassLabels", "Dataset", "Joints", "Masks", "Outlines", "Persons", "Truth", "truth_of"]


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """Pictures with the index of the class each shows."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    task: str = "classification"


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """One picture's objects: `boxes` float32 [n, 4] x1 y1 x2 y2, `labels` int64 [n]; `ignored` bool [n] counts neither way.

    `areas` float32 [n] are those of the objects in pixels, and `outlines` their COCO run-length encodings, if known.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    areas: NDArray[np.float32]
    outlines: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Boxes:
    """Pictures with their objects; only the classes in `classes` are annotated, so only they are judged."""

    paths: tuple[Path, ...]
    truths: tuple[Truth, ...]
    classes: tuple[int, ...]
    rule: str
    task: str = "detection"


@dataclass(frozen=True, slots=True)
class Outlines:
    """As `Boxes`, and each truth has its `outlines`."""

    paths: tuple[Path, ...]
    truths: tuple[Truth, ...]
    classes: tuple[int, ...]
    task: str = "instances"


@dataclass(frozen=True, slots=True, eq=False)
class Persons:
    """One picture's persons: `boxes` and the rest as in `Truth`, `keypoints` float32 [n, J, 3] x, y and visibility.

    Visibility is COCO's: 0 not labelled, 1 hidden, 2 seen.
    """

    boxes: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Joints:
    """Pictures with persons and their joints, in the order of the bundle's labels."""

    paths: tuple[Path, ...]
    persons: tuple[Persons, ...]
    task: str = "pose"


@dataclass(frozen=True, slots=True)
class Masks:
    """Pictures and the files that hold a class index a pixel (255: not judged)."""

    paths: tuple[Path, ...]
    masks: tuple[Path, ...]
    task: str = "segmentation"


Dataset = ClassLabels | Boxes | Outlines | Joints | Masks


def truth_of(
    rows: Sequence[Any],
    labels: Sequence[int],
    ignored: Sequence[bool],
    areas: Sequence[float],
    outlines: Sequence[dict[str, Any]] = (),
) -> Truth:
    """The arrays of a picture's objects, of rows x1 y1 x2 y2."""
    return Truth(
        np.array(rows, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(ignored, np.bool_),
        np.array(areas, np.float32),
        tuple(outlines),
    )
