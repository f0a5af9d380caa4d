"""Which of a live camera's frames are worth looking at, and when to lose patience with it."""

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.cameras.ring import MAX_PIXELS
from edge.frame import Image

__all__ = ["LEAST_SIDE", "Judge", "check_size", "digest"]

Verdict = Literal["new", "same", "absurd"]

LEAST_SIDE, MOST_SIDE = 16, 16_384
_ROWS = 48
_FEW = 3
_AHEAD_NS = 100_000_000
_BEHIND_NS = 10_000_000_000


def digest(image: Image) -> int:
    """A number that changes when the picture does: the CRC-32 of some of its rows, in which a sensor always has noise."""
    step = max(1, image.shape[0] // _ROWS)
    rows = image.reshape(image.shape[0], -1)  # whole rows are copied as such, pixels one by one
    return zlib.crc32(np.ascontiguousarray(rows[step // 2 :: step]).data)


def check_size(height: int, width: int) -> str | None:
    """What is wrong with a picture's size; None when nothing is."""
    small = min(height, width) < LEAST_SIDE
    if small or max(height, width) > MOST_SIDE or height * width > MAX_PIXELS:
        return f"sent a picture of {width}x{height}"
    return None


@dataclass(slots=True)
class _Row:
    """Frames of one kind since the last good one."""

    count: int = 0
    since_ns: int = 0
    reason: str = ""


class Judge:
    """Judges a camera's frames one after another, over however often it is opened.

    `patience_s`: how long there may be no good frame; `frozen_s`: how long the same picture may come; 0 for ever, and
    then it is as good as another.
    Not for two threads.
    """

    def __init__(self, *, patience_s: float, frozen_s: float) -> None:
        self._patience_ns = round(patience_s * 1e9)
        self._frozen_ns = round(frozen_s * 1e9)
        self._patience_s, self._frozen_s = patience_s, frozen_s
        self._good_ns = 0
        self._stamp_ns = 0
        self._digest: int | None = None
        self._same = _Row()
        self._bad = _Row()
        self.repeated = 0
        self.damaged = 0

    def opened(self, now_ns: int) -> None:
        """It was opened: patience begins anew. What it showed last is not forgotten: it may still be frozen."""
        self._good_ns = now_ns
        self._stamp_ns = 0
        self._same = _Row(since_ns=now_ns)
        self._bad = _Row()

    def frame(self, number: int, taken_ns: int, now_ns: int) -> Verdict:
        """A whole frame with its digest and the time it says it was taken at."""
        if not now_ns - _BEHIND_NS <= taken_ns <= now_ns + _AHEAD_NS or taken_ns < self._stamp_ns:
            self.damage(f"says a picture was taken {(taken_ns - now_ns) / 1e9:+.1f} s from now", now_ns)
            return "absurd"
        self._stamp_ns = taken_ns
        if number == self._digest and self._frozen_ns:
            self.repeated += 1
            self._same.count += 1
            return "same"
        self._digest = number
        self._good_ns = now_ns
        self._same = _Row(since_ns=now_ns)
        self._bad = _Row()
        return "new"

    def damage(self, reason: str, now_ns: int) -> None:
        """Something came that is not a picture."""
        self.damaged += 1
        self._bad.count += 1
        self._bad.since_ns = self._bad.since_ns or now_ns
        self._bad.reason = reason

    def left_ns(self, now_ns: int) -> int:
        """How long patience will last when nothing more comes."""
        return self._good_ns + self._limit_ns() - now_ns

    def fault(self, now_ns: int) -> str | None:
        """Why patience is at its end; None as long as it is not."""
        if self.left_ns(now_ns) > 0:
            return None
        if self._is_repeating():
            return f"frozen: the same picture {self._same.count + 1} times in {self._frozen_s:g} s"
        if self._bad.count:
            return f"no whole picture for {self._patience_s:g} s: {self._bad.reason} ({self._bad.count} in a row)"
        return f"stalled: no frame for {self._patience_s:g} s"

    def _is_repeating(self) -> bool:
        return self._same.count >= _FEW and not self._bad.count

    def _limit_ns(self) -> int:
        return max(self._frozen_ns, self._patience_ns) if self._is_repeating() else self._patience_ns
