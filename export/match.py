"""Comparing detections as sets: the order of equals and the tail at the score limit are no differences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.tolerances import BOX, SCORE

__all__ = ["Detections", "Match", "match"]

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Detections:
    """One picture's: boxes [K, 4] x1 y1 x2 y2 in pixels, scores [K], labels [K], valid rows only."""

    boxes: Floats
    scores: Floats
    labels: NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class Match:
    """Largest differences of what belongs together, and how many rows on either side found no partner.

    `pairs` holds the positions of partners, (expected, actual).
    """

    score_abs: float
    box_abs: float
    box_magnitude: float
    unmatched: int
    pairs: tuple[tuple[int, int], ...] = ()


def match(actual: Detections, expected: Detections, *, rows: int) -> Match:
    """Pair each expected row with the nearest actual one of the same label.

    A row without a partner is excused only at the very end of the list: when the list is full (`rows`) and the row's
    score lies within the score tolerance of the last row's, so that rounding decides who is in.
    """
    free = np.ones(len(actual.scores), bool)
    worst_score = worst_box = 0.0
    unmatched = 0
    pairs: list[tuple[int, int]] = []
    rows_expected = zip(expected.boxes, expected.scores, expected.labels, strict=True)
    for index, (box, score, label) in enumerate(rows_expected):
        limit = BOX.allowed(float(np.abs(box).max(initial=0)))
        distance = np.abs(actual.boxes - box).max(axis=1, initial=0)
        near = free & (actual.labels == label) & (distance <= limit)
        near &= np.abs(actual.scores - score) <= SCORE.absolute
        if not near.any():
            unmatched += not _at_edge(float(score), actual, rows)
            continue
        best = int(np.flatnonzero(near)[np.argmin(distance[near])])
        free[best] = False
        pairs.append((index, best))
        worst_score = max(worst_score, float(abs(actual.scores[best] - score)))
        worst_box = max(worst_box, float(distance[best]))
    unmatched += sum(not _at_edge(float(score), expected, rows) for score in actual.scores[free])
    return Match(worst_score, worst_box, float(np.abs(expected.boxes).max(initial=0)), unmatched, tuple(pairs))


def _at_edge(score: float, others: Detections, rows: int) -> bool:
    return len(others.scores) >= rows and score <= float(others.scores.min()) + SCORE.absolute
