"""Long work tells how far it is: a callback in the library, a bar on stderr in the commands."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

__all__ = ["Bar", "Progress", "silent"]

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and how many there are."""


def silent(_what: str, _done: int, _total: int) -> None:
    """No progress shown."""


_SAID_EVERY_S = 20.0


class Bar:
    """A `Progress` that draws a bar a phase on stderr, with the time that is left of it.

    Where stderr is not a terminal, a plain line a phase, and one every 20 seconds of those that take longer.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar: Any = None
        self._what = ""
        self._clock = clock
        self._began = self._said = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `what` are done."""
        if not sys.stderr.isatty():
            self._say(what, done, total)
            return
        from tqdm import tqdm

        if self._bar is None or what != self._what:
            self.close()
            self._what = what
            self._bar = tqdm(total=total, desc=what, file=sys.stderr, leave=False, dynamic_ncols=True)
        self._bar.total = total
        self._bar.n = done
        self._bar.refresh()

    def _say(self, what: str, done: int, total: int) -> None:
        now = self._clock()
        if what != self._what:
            sys.stderr.write(f"{what}...\n")
            self._what, self._began, self._said = what, now, now
        elif 0 < done < total and now - self._said >= _SAID_EVERY_S:
            left = (now - self._began) / done * (total - done)
            sys.stderr.write(f"{what}: {done} of {total}, about {left:.0f} s left\n")
            self._said = now

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Bar:  # noqa: PYI034  (Self is newer than Python 3.10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
