"""Numbers for the cases, the same in each run."""

from __future__ import annotations

import numpy as np

random = np.random.default_rng(7)


def normal(*shape):
    return random.normal(0, 1, shape).astype(np.float32)


def positive(*shape):
    return random.uniform(0.2, 2, shape).astype(np.float32)


def whole(low, high, *shape):
    return random.integers(low, high, shape).astype(np.float32)


def distinct(*shape):
    return random.permutation(int(np.prod(shape))).reshape(shape).astype(np.float32) / 7


def boxes(*shape):
    corner = random.uniform(0, 60, (*shape, 2))
    size = random.uniform(5, 40, (*shape, 2))
    return np.concatenate([corner, corner + size], -1).astype(np.float32)


def rows(n, a, classes):
    """Rows (id, score, corners) whose scores are distinct."""
    scores = (distinct(n, a, 1) / (n * a / 7 + 1)).astype(np.float32)
    return np.concatenate([whole(0, classes, n, a, 1), scores, boxes(n, a)], -1).astype(np.float32)


X = normal(3, 4, 9, 11)
Y = normal(3, 4, 9, 11)
