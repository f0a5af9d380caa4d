"""Finds of one class, best first over all pictures, and the area under their curve of precision over recall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.metrics import Counts

__all__ = ["Ranking", "area", "eleven_points", "hundred_points", "mean_over_classes"]

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Recall and precision as the least score sinks, each [finds]."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The finds of one class, best first.

    `pictures` int [D] says where each is; `hits` and `ignored` bool [T, D], at each overlap asked for, whether it is right
    or counts neither way; `objects` int [I], how many there are to find in each picture.
    """

    pictures: NDArray[np.intp]
    hits: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]

    def curves(self, counts: Counts) -> list[Curve] | None:
        """A curve an overlap, when each picture counts so many times; None without anything to find."""
        objects = float(counts @ self.objects)
        if not objects:
            return None
        weights = np.where(self.ignored, 0.0, counts[self.pictures])
        right = np.cumsum(weights * self.hits, axis=1)
        precision = right / np.maximum(np.cumsum(weights, axis=1), np.spacing(1.0))
        return list(zip(right / objects, precision, strict=True))


def mean_over_classes(
    rankings: Sequence[Ranking], counts: Counts, under: Callable[[Curve], float]
) -> NDArray[np.float64]:
    """The average precision at each overlap [T], averaged over the classes that have anything to find."""
    found = [[under(curve) for curve in curves] for r in rankings if (curves := r.curves(counts)) is not None]
    return np.mean(found, axis=0) if found else np.zeros(1)


def area(curve: Curve) -> float:
    """The area under the curve, its dents filled from the right (VOC since 2010)."""
    recall, precision = _filled(curve)
    steps = np.diff(np.concatenate([[0.0], recall]))
    return float(np.sum(steps * precision))


def eleven_points(curve: Curve) -> float:
    """The mean of the precision at eleven recalls (VOC 2007)."""
    return _at(curve, np.linspace(0, 1, 11))


def hundred_points(curve: Curve) -> float:
    """The mean of the precision at 101 recalls (COCO)."""
    return _at(curve, np.linspace(0, 1, 101))


def _filled(curve: Curve) -> Curve:
    recall, precision = curve
    return recall, np.maximum.accumulate(precision[::-1])[::-1]


def _at(curve: Curve, recalls: NDArray[np.float64]) -> float:
    recall, precision = _filled(curve)
    places = np.searchsorted(recall, recalls, side="left")
    return float(np.mean(np.append(precision, 0.0)[places]))
