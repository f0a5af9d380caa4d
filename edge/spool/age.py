"""Seconds that the spool has lived: they pass with the monotonic clock, so that no jump of the wall clock ages a row."""

from collections.abc import Callable

__all__ = ["AgeClock"]


class AgeClock:
    """Counts on from where the last run stopped. Time spent switched off counts when the wall clock can be believed."""

    def __init__(self, mono_s: Callable[[], float], wall_s: Callable[[], float], synced: Callable[[], bool]) -> None:
        self._mono_s = mono_s
        self._wall_s = wall_s
        self._synced = synced
        self._base_s = 0.0
        self._started_s = mono_s()

    def resume(self, age_s: int, wall_s: int) -> None:
        """Goes on from what `saved` said in an earlier run."""
        away_s = max(0.0, self._wall_s() - wall_s) if wall_s and self._synced() else 0.0
        self._base_s = max(self._base_s, age_s + away_s)
        self._started_s = self._mono_s()

    def now_s(self) -> int:
        """The spool's age."""
        return int(self._base_s + self._mono_s() - self._started_s)

    def saved(self) -> tuple[int, int]:
        """The age and the wall clock to keep; the latter is 0 when it cannot be believed."""
        return self.now_s(), int(self._wall_s()) if self._synced() else 0
