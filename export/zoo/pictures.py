"""Random pictures with the smooth areas and edges of real ones, so that statistics come out as for real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pictures"]


def pictures(count: int, size: tuple[int, int], *, seed: int) -> NDArray[np.uint8]:
    """`count` pictures, uint8 [count, height, width, 3]: patches at several scales and a little noise."""
    random = np.random.default_rng(seed)
    total = np.zeros((count, *size, 3))
    for patch, strength in ((max(size) // 4 + 1, 60.0), (max(size) // 16 + 1, 40.0), (4, 20.0), (1, 10.0)):
        grid = tuple(-(-length // patch) for length in size)
        coarse: NDArray[Any] = random.normal(0, strength, (count, *grid, 3))
        total += coarse.repeat(patch, 1).repeat(patch, 2)[:, : size[0], : size[1]]
    return (total + 118).clip(0, 255).astype(np.uint8)
