"""A beat to play files at, without drift."""

from edge.cameras.camera import Opening

__all__ = ["Pace"]

_SLACK_NS = 500_000_000


class Pace:
    """Beats of `period_s`, counted from the first; after a long stall they start anew instead of rushing."""

    def __init__(self, period_s: float, opening: Opening) -> None:
        self._period_ns = round(period_s * 1e9)
        self._opening = opening
        self._due_ns: int | None = None

    def wait(self) -> bool:
        """Waits for the next beat; True when it is time to stop instead."""
        now = self._opening.clock.mono_ns()
        if self._due_ns is None or now - self._due_ns > _SLACK_NS:
            self._due_ns = now
        early_s = (self._due_ns - now) / 1e9
        self._due_ns += self._period_ns
        return early_s > 0 and self._opening.wait(early_s)
