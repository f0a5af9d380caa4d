"""How sure a metric is: it is measured again on pictures drawn anew from those that there are (the bootstrap).

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13: the percentile interval. Pictures are drawn,
not boxes, because what is found in one picture hangs together. Two models on the same pictures are drawn alike, so that
the interval of their difference does not count the pictures' own spread (a paired test).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from export.metrics import Measured
from export.progress import Progress, silent

__all__ = ["Draws", "draw", "interval"]

ROUNDS: Final = 400
_SEED: Final = 20
_LEVEL: Final = 95

Draws = Mapping[str, NDArray[np.float64]]
"""A metric's value in each round, by its name."""


def draw(measured: Measured, pictures: int, *, rounds: int = ROUNDS, progress: Progress = silent) -> Draws:
    """The metrics on `rounds` sets of `pictures` pictures drawn with replacement; the same sets for every model."""
    chance = np.random.default_rng(_SEED)
    weights = chance.multinomial(pictures, np.full(pictures, 1 / pictures), size=rounds)
    found = []
    for n, row in enumerate(weights):
        progress("drawing pictures anew", n, rounds)
        found.append(measured.weighted(row.astype(np.float64)))
    progress("drawing pictures anew", rounds, rounds)
    return {name: np.array([values[name] for values in found]) for name in measured.values}


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Where the metric lies with 95 % confidence."""
    tail = (100 - _LEVEL) / 2
    low, high = np.percentile(values, [tail, 100 - tail]).tolist()
    return low, high
