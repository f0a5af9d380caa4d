"""An ordered stop: every step is taken, whatever the ones before it came to."""

import logging
import time
from collections.abc import Callable, Iterable

__all__ = ["Deadline", "Step", "stop_in_order"]

log = logging.getLogger(__name__)

Step = Callable[[], list[str]]
"""Stops something; the names of what would not end in time."""


class Deadline:
    """When the whole stop is to be over, from now."""

    def __init__(self, within_s: float) -> None:
        self._at_s = time.monotonic() + within_s

    def left_s(self, most_s: float = float("inf")) -> float:
        """The time that a step may take: a moment in any case, to ask whether there is anything to wait for."""
        return max(0.1, min(most_s, self._at_s - time.monotonic()))


def stop_in_order(steps: Iterable[Step]) -> bool:
    """Whether everything has ended; what has not is logged."""
    begun = time.monotonic()
    stuck: list[str] = []
    for step in steps:
        try:
            stuck += step()
        except Exception:  # noqa: PERF203 - one that cannot stop must not keep the others from it
            log.exception("stop: a step failed")
            stuck.append("a step of the stop")
    if stuck:
        log.error("stop: would not end: %s", ", ".join(stuck))
    log.info("stopped in %.2f s", time.monotonic() - begun)
    return not stuck
