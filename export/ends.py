"""A head's last convolution in 8 bits, its result in more than 8.

What leaves the net there (box offsets, class scores, heat maps) is what the user sees, and 256 levels are too coarse
for it: a detector's scores then fall on a few values, and one of them is the threshold. So the weights stand in the
convolution `copies` times, with biases that make copy k saturate where copy k + 1 begins:

    y / step + zero = sum over k of clip(round(y / step + zero - 255 k), 0, 255)

which is 255 * copies + 1 levels, and room for values that calibration did not see. The file holds the weights once;
onnxruntime folds their repetition when it loads the model, and its kernels work on blocks of channels that a head
with few of them would not fill anyway.

Box offsets stand there once: nothing is compared with them, and a 255th of their range is a hundredth of a box.

Heads that read one tensor become one convolution where their channels then fill fewer of the kernels' blocks. Each
channel has its own step all the same: weights and bias are given in steps, and the result is in steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

__all__ = ["Levels", "levels_for", "side_by_side"]

_BLOCK = 64  # output channels that cost little more than a few
_KERNEL_BLOCK = 16  # output channels that MLAS computes at a time
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


def levels_for(low: float, high: float, *, channels: int, compared: bool = True) -> Levels:
    """Levels for values from `low` to `high` in each of `channels`, and whether these are compared; zero is one of them."""
    copies = max(1, min(_MOST, _BLOCK // channels)) if compared else 1
    low, high = min(low, 0.0), max(high, 0.0)
    top = _TOP * copies
    step = float(np.float32(max(high - low, _MIN_SPAN) / top))
    return Levels(copies, step, min(round(-low / step), top))


def side_by_side(nodes: Sequence[onnx.NodeProto], ends: Mapping[int, tuple[int, ...]]) -> dict[int, list[int]]:
    """Which convolutions to write as one, as indices into `nodes`, by the first of each lot; each is in one lot.

    `ends` has the shape of each one's weights with its copies: [channels, ...].
    """
    alike: dict[tuple[object, ...], list[int]] = {}
    for i in sorted(ends):
        attributes = {a.name: a for a in nodes[i].attribute}
        grouped = "group" in attributes and attributes["group"].i != 1
        how = (repr(attributes[name]) for name in sorted(attributes))
        alike.setdefault((nodes[i].input[0], i if grouped else None, ends[i][1:], *how), []).append(i)
    lots: dict[int, list[int]] = {}
    for lot in alike.values():
        blocks = sum(-(-ends[i][0] // _KERNEL_BLOCK) for i in lot)
        better = -(-sum(ends[i][0] for i in lot) // _KERNEL_BLOCK) < blocks
        lots.update({lot[0]: lot} if better else {i: [i] for i in lot})
    return lots
