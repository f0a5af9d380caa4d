"""How much work quantizing may be: a net of two stages takes a hundred times as long for a picture as a small one.

What decides about the model is bounded by multiplications, so that every machine makes the same one; what only measures
or shows (timings, pictures) is bounded by seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["PROBES", "Effort", "within"]

PROBES: Final = 4
"""Pictures on which layers are measured, where the net is not too large for that."""

_PASS: Final = 3e12  # multiplications of one look at the pictures: 90 through YOLOv3, 900 through an SSD
_SEARCH: Final = 6e12  # and of measuring layers
_FEWEST: Final = 6  # pictures whose values are looked at, however large the net
_ROUGHLY: Final = 3  # pictures for what asks for no more than a rough look, which half a pass is given to
_FEWEST_RUNS: Final = 10
_LOOKS: Final = 4  # pictures for each from which one is chosen to measure on, or half as many of a large net


@dataclass(frozen=True, slots=True)
class Effort:
    """What a net of so many `multiplications` a picture is given; `factor` times what it would be."""

    multiplications: int
    factor: float = 1.0

    def pictures(self, given: int, *, roughly: bool = False) -> int:
        """How many of the calibration pictures the float net is run on to look at its values."""
        least, budget = (_ROUGHLY, _PASS / 2) if roughly else (_FEWEST, _PASS)
        return min(given, max(least, self._runs(budget)))

    def probes(self, layers: int) -> int:
        """On how many pictures so many layers are measured, each alone."""
        return min(PROBES, max(1, self._measured() // (layers + _LOOKS)))

    def looks(self, layers: int) -> int:
        """From how many pictures the probes are chosen."""
        probes = self.probes(layers)
        return _LOOKS * probes if probes > 1 else _LOOKS // 2

    def groups(self, layers: int) -> int:
        """In how many groups so many layers are measured: as many as there are layers where the net allows it."""
        probes = self.probes(layers)
        return min(layers, max(1, (self._measured() - self.looks(layers)) // probes))

    def _measured(self) -> int:
        return max(_FEWEST_RUNS, self._runs(_SEARCH))

    def _runs(self, budget: float) -> int:
        return int(budget * self.factor / max(1, self.multiplications))


def within(seconds: float, *, least: int, most: int) -> Iterator[int]:
    """0, 1, 2, ...: at least so many, then more until `seconds` are over or there are `most`."""
    until = time.monotonic() + seconds
    for n in range(most):
        if n >= least and time.monotonic() > until:
            return
        yield n
