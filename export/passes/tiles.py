"""The matrices of Winograd's minimal filtering, by the Cook-Toom algorithm over exact fractions.

m outputs of a filter with r taps are a product of two polynomials, found from its values at n - 1 points (n = m + r - 1) and
"at infinity" (Winograd, Arithmetic Complexity of Computations, 1980; Blahut, Fast Algorithms for Signal Processing,
chapter 5). With the points a_k and N_k the product of all a_k - a_j: A'[p, k] = a_k^p, G[k, s] = a_k^s / N_k, and row k of B' holds
the coefficients of the product of all (x - a_j), j other than k.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Final

import numpy as np

from export.graph import Array

__all__ = ["Tile"]

# By how many: small ones with small reciprocals round least (measured: with 1/2 for 2 a tile of 4 is off half as far).
_POINTS: Final = (Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 2), Fraction(-2))


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """m x m outputs of an r x r convolution from n x n inputs; `a` [m, n], `b` [n, n], `g` [n, r], float64."""

    m: int
    r: int
    a: Array
    b: Array
    g: Array

    @property
    def n(self) -> int:
        """Inputs under a tile, along one axis."""
        return self.m + self.r - 1

    def weight(self, i: int, j: int) -> Array:
        """[r r]: how a kernel's taps, row by row, weigh at place i, j."""
        return np.outer(self.g[i], self.g[j]).reshape(-1)

    @staticmethod
    @cache
    def of(m: int, r: int) -> Tile:
        """The tile of m x m outputs of an r x r convolution.

        Raises:
            ValueError: there are not as many points.
        """
        n = m + r - 1
        if not 2 <= n <= len(_POINTS) + 1:
            raise ValueError(f"tiles of {m} outputs with {r} taps need {n - 1} points, there are {len(_POINTS)}")
        points = _POINTS[: n - 1]
        a = [[point**p for point in points] + [Fraction(int(p == m - 1))] for p in range(m)]
        g, b = [], []
        for k, point in enumerate(points):
            others = [other for j, other in enumerate(points) if j != k]
            scale = Fraction(1)
            for other in others:
                scale *= point - other
            g.append([point**s / scale for s in range(r)])
            b.append([*_product(others), Fraction(0)])
        g.append([Fraction(int(s == r - 1)) for s in range(r)])
        b.append(_product(points))
        return Tile(m, r, a=_matrix(a), b=_matrix(b), g=_matrix(g))


def _matrix(rows: list[list[Fraction]]) -> Array:
    return np.array(rows, np.float64)


def _product(roots: list[Fraction] | tuple[Fraction, ...]) -> list[Fraction]:
    """Coefficients of the product of all (x - root), the constant one first."""
    found = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *found]
        found = [high - root * low for high, low in zip(shifted, [*found, Fraction(0)], strict=True)]
    return found
