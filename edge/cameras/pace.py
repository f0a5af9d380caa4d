"""A beat to play files at, without drift; and a cap on how many frames a second pass."""

from edge.cameras.camera import Opening

__all__ = ["Cap", "Pace"]

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
        return early_s > 0 and self._opening.stop.wait(early_s)


class Cap:
    """Lets at most `fps` frames a second pass, all when it is None."""

    def __init__(self, fps: float | None) -> None:
        self._gap_ns = round(1e9 / fps) if fps else 0
        self._next_ns = 0

    def passes(self, now_ns: int) -> bool:
        """Whether a frame of this time may; a tenth early is in time, or jitter would halve a rate just at the cap."""
        if now_ns < self._next_ns - self._gap_ns // 10:
            return False
        due_ns = self._next_ns + self._gap_ns
        self._next_ns = due_ns if due_ns > now_ns else now_ns + self._gap_ns
        return True
