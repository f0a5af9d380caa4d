"""A layer's float weights and bias -> the integers that its 8-bit kernel takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.rounding import Rounder

__all__ = ["IntegerWeights", "Layer", "integer_weights"]

_MIN_STEP = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A convolution (weights [out, in / groups, h, w]) or product: its float values, and what is known of its input.

    `name` is its output's; `axis` is that of the output channels; `step` is the scale of its input's integers, `mean`
    the input's average by channel.
    """

    name: str
    weights: NDArray[np.float64]
    bias: NDArray[np.float64] | None
    axis: int
    groups: int
    step: float
    mean: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class IntegerWeights:
    """`weights` int8 times `steps` [out] or [1] are the real ones; `bias` int32 times `bias_steps`."""

    weights: NDArray[np.int8]
    steps: NDArray[np.float64]
    bias: NDArray[np.int32] | None
    bias_steps: NDArray[np.float64]


def integer_weights(layer: Layer, rounder: Rounder, *, per_channel: bool) -> IntegerWeights:
    """Symmetric int8 weights with a step for each output channel, or one for all.

    What the rounding adds to each output channel on average, given the input's mean, is taken back in the bias.
    """
    weights, bias, axis = layer.weights, layer.bias, layer.axis
    around = tuple(a for a in range(weights.ndim) if a != axis) if per_channel else None
    steps = np.maximum(np.atleast_1d(np.abs(weights).max(axis=around)) / 127, _MIN_STEP)
    if bias is not None:  # int32 in units of both steps: it must not overflow there
        largest = np.abs(bias) if per_channel else np.abs(bias).max()
        steps = np.maximum(steps, largest / (layer.step * 2.0**30))
    steps = steps.astype(np.float32).astype(np.float64)
    grid = steps.reshape([-1 if a == axis else 1 for a in range(weights.ndim)])
    stored = rounder(layer.name, weights, grid)
    if layer.mean is not None and weights.ndim == 4:
        error = (stored * grid - weights).sum(axis=(2, 3))  # [out, in / groups]
        inputs = layer.mean.reshape(layer.groups, -1).repeat(len(error) // layer.groups, axis=0)
        bias = (0 if bias is None else bias) - (error * inputs).sum(axis=1)
    grain = steps * layer.step
    integers = None
    if bias is not None:
        integers = np.clip(np.rint(bias / grain), -(2.0**31) + 1, 2.0**31 - 1).astype(np.int32)
    return IntegerWeights(stored.astype(np.int8), steps, integers, grain)
