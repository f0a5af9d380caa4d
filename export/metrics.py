"""Results and truth -> numbers, picture by picture: what a metric is made of, top-1 and top-5, mean IoU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.results import Classification, Result, Segmentation
from export.errors import ExportError
from export.masks import read_mask

__all__ = ["Counts", "MeanIou", "Measured", "Tally", "TopK"]

_UNJUDGED = 255

Counts = NDArray[np.float64]
"""How often each picture counts, [pictures]: ones, or what the bootstrap has drawn."""


@dataclass(frozen=True, slots=True)
class Measured:
    """`values` 0..1 by name, and the same for pictures that count `weighted` times."""

    values: dict[str, float]
    weighted: Callable[[Counts], dict[str, float]]


class Tally(Protocol):
    """Takes results one picture after the other and keeps of each what the metric needs, no more."""

    def add(self, picture: int, result: Result) -> None:
        """The result for a picture, by its number; each once, in order."""

    def measured(self) -> Measured:
        """The metrics over all that was added."""


class TopK:
    """`top1` and `top5`: how often the true class is the best, or among the best five."""

    def __init__(self, labels: Sequence[int]) -> None:
        self._labels = labels
        self._hits: list[tuple[bool, bool]] = []

    def add(self, picture: int, result: Result) -> None:
        """See `Tally`."""
        if not isinstance(result, Classification):
            raise TypeError(f"expected a Classification, got {type(result).__name__}")
        best = result.labels[:5].tolist()
        truth = self._labels[picture]
        self._hits.append((best[:1] == [truth], truth in best))

    def measured(self) -> Measured:
        """See `Tally`."""
        hits = np.array(self._hits, np.float64)

        def weighted(counts: Counts) -> dict[str, float]:
            one, five = (counts @ hits / counts.sum()).tolist()
            return {"top1": one, "top5": five}

        return Measured(weighted(np.ones(len(hits))), weighted)


class MeanIou:
    """`miou` over the classes that occur in truth or results, and `pixel_accuracy`; truth 255 is not judged.

    Of each picture the right pixels, the true ones and those found are kept, by class.
    """

    def __init__(self, masks: Sequence[Path], classes: int) -> None:
        self._masks = masks
        self._classes = classes
        self._rows: list[NDArray[np.int64]] = []

    def add(self, picture: int, result: Result) -> None:
        """See `Tally`.

        Raises:
            ExportError: when the picture's mask is of another size, or holds a class that the model has not.
        """
        if not isinstance(result, Segmentation):
            raise TypeError(f"expected a Segmentation, got {type(result).__name__}")
        path = self._masks[picture]
        mask = read_mask(path)
        if mask.shape != result.mask.shape:
            size, found = (f"{m.shape[1]}x{m.shape[0]}" for m in (mask, result.mask))
            raise ExportError(f"{path}: the mask is {size}, its image {found}")
        judged = mask != _UNJUDGED
        truth = mask[judged]
        if truth.size and int(truth.max()) >= self._classes:
            raise ExportError(f"{path}: holds class {int(truth.max())}, the bundle has {self._classes} labels")
        found_classes = np.minimum(result.mask[judged], self._classes - 1)
        counted = (truth[truth == found_classes], truth, found_classes)
        self._rows.append(np.stack([np.bincount(c, minlength=self._classes) for c in counted]))

    def measured(self) -> Measured:
        """See `Tally`."""
        rows = np.array(self._rows, np.float64).reshape(len(self._rows), -1)

        def weighted(counts: Counts) -> dict[str, float]:
            right, true, found = (counts @ rows).reshape(3, -1)
            union = true + found - right
            there = union > 0
            return {
                "miou": float(np.mean(right[there] / union[there])) if there.any() else 0.0,
                "pixel_accuracy": float(right.sum() / max(true.sum(), 1)),
            }

        return Measured(weighted(np.ones(len(rows))), weighted)
