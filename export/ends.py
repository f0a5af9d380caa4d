"""A head's last convolution in 8 bits, its result in more than 8.

What leaves the net there (box offsets, class scores, heat maps) is what the user sees, and 256 levels are too coarse
for it: a detector's scores then fall on a few values, and one of them is the threshold. So the weights stand in the
convolution `copies` times, with biases that make copy k saturate where copy k + 1 begins:

    y / step + zero = sum over k of clip(round(y / step + zero - 255 k), 0, 255)

which is 255 * copies + 1 levels, and room for values that calibration did not see. The file holds the weights once;
onnxruntime folds their repetition when it loads the model, and its kernels work on blocks of channels that a head
with few of them would not fill anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Levels", "levels_for"]

_BLOCK = 64  # output channels that cost little more than a few
_MOST = 2  # more gained nothing that could be measured, and cost time
_TOP = 255
_MIN_SPAN = 1e-6


@dataclass(frozen=True, slots=True)
class Levels:
    """y = (sum of the copies' integers - `zero`) * `step`; the integers are 0..255 each."""

    copies: int
    step: float
    zero: int

    def shift(self, copy: int) -> float:
        """What to add to y, in its own units, so that it is 0 where copy `copy` begins."""
        return (self.zero - _TOP * copy) * self.step

    def zero_point(self, copy: int) -> int:
        """The part of `zero` that is subtracted from copy `copy`, 0..255."""
        return min(max(self.zero - _TOP * copy, 0), _TOP)


def levels_for(low: float, high: float, *, channels: int) -> Levels:
    """Levels for values from `low` to `high` in each of `channels`; zero is one of them."""
    copies = max(1, min(_MOST, _BLOCK // channels))
    low, high = min(low, 0.0), max(high, 0.0)
    top = _TOP * copies
    step = float(np.float32(max(high - low, _MIN_SPAN) / top))
    return Levels(copies, step, min(round(-low / step), top))
