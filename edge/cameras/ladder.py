"""What is done about a camera that fails, one rung after another: open it again, kill its reader, wait, call for help."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Ladder", "Rung", "Step"]

Rung = Literal["reopen", "restart", "down", "command"]

_RUNGS: tuple[Rung, ...] = ("reopen", "restart", "down")
_STABLE_S = 10.0
_WAITS_S = {"reopen": 0.3, "restart": 1.0}
_DOWN_FIRST_S, _DOWN_LONGEST_S = 2.0, 4.0
_KILL_EVERY = 6


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next: wait, kill the reader when `kill`, run the last resort when `rung` is command, then open."""

    rung: Rung
    wait_s: float
    kill: bool = False


class Ladder:
    """One camera's. `reader`: whether there is a process to kill; `help_after_s`: when to ask the last resort.

    Climbs with each failure, and comes down only after ten good seconds, so that a camera which fails again and again
    after a few frames gets to the top as well. Waits are spread at random. The longest are 4 s: a camera that returns
    is seen within 10 s.
    """

    def __init__(
        self, *, reader: bool, help_after_s: float | None = None, chance: Callable[[], float] = random.random
    ) -> None:
        self._reader = reader
        self._help_after_s = help_after_s
        self._chance = chance
        self._failures = 0
        self._down_since_s = 0.0
        self._good_since_s: float | None = None
        self._asked_s: float | None = None

    def failed(self, now_s: float, *, hung: bool = False) -> Step:
        """The next step; `hung` when the reader does not answer, so that there is no use in asking it."""
        self._good_since_s = None
        self._failures += 1
        if self._failures == 1:
            self._down_since_s = now_s
        if not self._reader:
            rung: Rung = "reopen" if self._failures == 1 else "down"
        elif hung and self._failures == 1:
            self._failures = 2
            rung = "restart"
        else:
            rung = _RUNGS[min(self._failures, 3) - 1]
        if rung != "down":
            return Step(rung, self._spread(_WAITS_S[rung]), kill=rung == "restart")
        times = self._failures - (3 if self._reader else 2)
        wait_s = self._spread(min(_DOWN_FIRST_S * 2**times, _DOWN_LONGEST_S))
        if self._is_time_for_help(now_s):
            self._asked_s = now_s
            return Step("command", wait_s, kill=self._reader)
        return Step("down", wait_s, kill=self._reader and (hung or times % _KILL_EVERY == _KILL_EVERY - 1))

    def worked(self, now_s: float) -> None:
        """A good frame came."""
        if self._good_since_s is None:
            self._good_since_s = now_s
        elif now_s - self._good_since_s >= _STABLE_S:
            self._failures = 0
            self._asked_s = None

    def _is_time_for_help(self, now_s: float) -> bool:
        if self._help_after_s is None:
            return False
        since_s = self._down_since_s if self._asked_s is None else self._asked_s
        return now_s - since_s >= self._help_after_s

    def _spread(self, seconds: float) -> float:
        return seconds * (0.5 + 0.5 * self._chance())
