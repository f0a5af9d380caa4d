"""Two or more ways to do the same, timed in turn, so that a machine that slows down slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Paired", "paired"]


@dataclass(frozen=True, slots=True)
class Paired:
    """Median milliseconds by name, and the median of the ratios taken round by round."""

    median_ms: Mapping[str, float]
    rounds: Mapping[str, tuple[float, ...]]

    def ratio(self, slow: str, fast: str) -> float:
        """How many times `slow` takes the time of `fast`."""
        return statistics.median(a / b for a, b in zip(self.rounds[slow], self.rounds[fast], strict=True))


def paired(
    ways: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 15,
    inner: int = 3,
    warm_up: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> Paired:
    """Time each of `ways` `inner` times a round, in turn, for `rounds` rounds; a round's figure is its mean.

    `clock` tells seconds; time.process_time does not count what other programs take.
    """
    for call in ways.values():
        for _ in range(warm_up):
            call()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, call in ways.items():
            start = clock()
            for _ in range(inner):
                call()
            found[name].append((clock() - start) / inner * 1e3)
    return Paired(
        {name: statistics.median(values) for name, values in found.items()},
        {name: tuple(values) for name, values in found.items()},
    )
