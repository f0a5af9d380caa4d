"""How long to wait before the next try to connect: doubled each time, with full jitter, so that a fleet comes back spread out.

Full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
"""

from collections.abc import Callable

__all__ = ["Backoff"]

_STABLE_S = 20.0
_LEAST_S = 0.05


class Backoff:
    """Waits between `least_s` and `most_s`; a connection that stood long enough makes it begin again."""

    def __init__(self, *, least_s: float, most_s: float, chance: Callable[[], float]) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._chance = chance
        self._failures = 0

    def after(self, stood_s: float) -> float:
        """Seconds to wait after a connection that stood so long, 0 for none."""
        self._failures = 0 if stood_s > _STABLE_S else self._failures + 1
        # A thousand nodes that lost one broker do not come back as one.
        ceiling = min(self._most_s, self._least_s * 2.0 ** min(self._failures, 30))
        return max(_LEAST_S, ceiling * self._chance())

    def longest(self) -> float:
        """Seconds to wait when somebody has to change something first."""
        self._failures += 1
        return self._most_s * (0.5 + 0.5 * self._chance())
