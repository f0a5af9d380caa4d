"""How far pictures not seen will go beyond the largest value that was.

Each calibration picture is left out in turn: a channel whose record it holds would have been given the second
largest value, and the picture would have gone beyond that by their ratio. What three pictures of four stay within is
the room to leave. Layers near the picture reach their limits on every one and get none; those near the end, where
each of hundreds of channels waits for its own thing to appear, get a tenth or two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["headroom"]

_SHARE = 0.75
_MOST = 1.5


def headroom(peaks: NDArray[np.float64]) -> float:
    """The factor, 1 to 1.5, by which to widen a tensor's range; `peaks` [pictures, channels] are its largest values."""
    if len(peaks) < 2 or not peaks.max() > 0:
        return 1.0
    order = np.sort(peaks, axis=0)
    first, second = order[-1], order[-2]
    beyond = np.where(second > 0, first / np.where(second > 0, second, 1.0), 1.0) * first / peaks.max()
    holder = peaks.argmax(axis=0)
    found = np.array([beyond[holder == i].max(initial=1.0) for i in range(len(peaks))])
    return float(min(_MOST, np.quantile(found, _SHARE)))
