"""Rounds a convolution's weights so that the errors cancel on real inputs, instead of each to its nearest integer.

The squared error of an output channel is e' H e, with e its weights' rounding errors and H = mean(x x') over the
inputs' patches x. Weights are rounded one after the other, those of the strongest inputs first, and each error is
made good by those not yet rounded, as far as H says their inputs go together. This is optimal brain surgery's update
as in Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", ICLR 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from export.observe import Feed, activations
from export.regions import Region, constants_of

__all__ = ["Curvature", "Rounder", "curvatures", "round_weights"]

_FULL = 1200  # longest patch whose inputs are all related to each other; beyond, those of one position only
_SAMPLES = 6000  # patches looked at in all, for each convolution
_DAMPING = 0.01
_LIMIT = 127


@dataclass(frozen=True, slots=True)
class _Window:
    """How a convolution looks at its input; convolutions that look alike share their patches."""

    tensor: str
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    groups: int


@dataclass(frozen=True, slots=True, eq=False)
class Curvature:
    """H of each group, [groups, d, d]; `whole` says that d counts all of a patch, else the channels of one position."""

    values: NDArray[np.float32]
    whole: bool


def curvatures(model: onnx.ModelProto, region: Region, feed: Feed, images: int) -> dict[str, Curvature]:
    """H of each convolution of `region`, by the name of its output."""
    constants = constants_of(model.graph)
    windows: dict[_Window, list[str]] = {}
    for i in region.cores:
        node = model.graph.node[i]
        if node.op_type == "Conv":
            windows.setdefault(_window(node, list(constants[node.input[1]].dims)), []).append(node.output[0])
    sums: dict[_Window, NDArray[np.float32]] = {}
    whole: dict[_Window, bool] = {}
    rng = np.random.default_rng(0)
    tensors = list(dict.fromkeys(w.tensor for w in windows))
    for values in activations(model, tensors, feed("relating inputs")):
        by_name = dict(zip(tensors, values, strict=True))
        for window in windows:
            x = by_name[window.tensor]
            whole[window] = x.shape[1] // window.groups * window.kernel[0] * window.kernel[1] <= _FULL
            patches = _patches(x, window, -(-_SAMPLES // images), rng, whole=whole[window])
            found = np.matmul(patches.transpose(0, 2, 1), patches)
            sums[window] = sums[window] + found if window in sums else found
    return {name: Curvature(sums[w], whole[w]) for w, names in windows.items() for name in names}


class Rounder:
    """Rounds layers' weights, each once however often it is asked; to the nearest integer where no H is known."""

    def __init__(self, curvatures: Mapping[str, Curvature]) -> None:
        self._curvatures = curvatures
        self._known: dict[str, tuple[bytes, NDArray[np.float64]]] = {}

    def __call__(self, name: str, weights: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
        """Integers within +-127, of the layer whose output is called `name`; `grid` is the size of a step."""
        curvature = self._curvatures.get(name)
        if curvature is None:
            return np.asarray(np.clip(np.rint(weights / grid), -_LIMIT, _LIMIT))
        real = (weights / grid).astype(np.float32).tobytes()
        if name not in self._known or self._known[name][0] != real:
            self._known[name] = real, round_weights(weights, grid, curvature)
        return self._known[name][1]

    def __bool__(self) -> bool:
        return bool(self._curvatures)


def round_weights(
    weights: NDArray[np.float64], grid: NDArray[np.float64], curvature: Curvature, limit: int = _LIMIT
) -> NDArray[np.float64]:
    """Integers q [out, in / groups, h, w] within +-limit with q * grid near weights where it matters.

    `grid` is the size of a step, [out, 1, 1, 1] or a number.
    """
    out = weights.shape[0]
    groups = len(curvature.values)
    real = weights / grid
    steps = np.broadcast_to(np.ravel(grid), out)
    result = np.empty_like(real)
    for g, rows in enumerate(np.split(np.arange(out), groups)):
        block = real[rows]
        for part in _parts(block.shape, whole=curvature.whole):
            flat = block[part].reshape(len(rows), -1)
            rounded = _round(flat, curvature.values[g].astype(np.float64), steps[rows], limit)
            block[part] = rounded.reshape(block[part].shape)
        result[rows] = block
    return result


def _round(
    real: NDArray[np.float64], h: NDArray[np.float64], steps: NDArray[np.float64], limit: int
) -> NDArray[np.float64]:
    """Rows of `real` [out, d], in `steps` [out], -> integers, column by column."""
    plain = np.clip(np.rint(real), -limit, limit)
    mean = float(np.trace(h)) / len(h)
    if not mean > 0:
        return plain
    order = np.argsort(-np.diag(h), kind="stable")
    damped = h[np.ix_(order, order)] + np.eye(len(h)) * mean * _DAMPING
    # Row j of the inverse's Cholesky factor is the update that rounding column j asks of those after it.
    try:
        factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    except np.linalg.LinAlgError:
        return plain
    left = real[:, order].copy()
    result = np.empty_like(left)
    for j in range(len(h)):
        result[:, j] = np.clip(np.rint(left[:, j]), -limit, limit)
        error = (left[:, j] - result[:, j]) / factor[j, j]
        left[:, j + 1 :] -= error[:, None] * factor[j, j + 1 :]
    back = np.empty_like(result)
    back[:, order] = result
    # A channel counts by the square of its step: that is how large its error is.
    before, after = (float(((e @ h) * e).sum(axis=1) @ steps**2) for e in (plain - real, back - real))
    return back if after < before else plain


def _parts(shape: tuple[int, ...], *, whole: bool) -> Iterator[tuple[slice | int, ...]]:
    if whole:
        yield (slice(None),)
        return
    for y in range(shape[2]):
        for x in range(shape[3]):
            yield (slice(None), slice(None), y, x)


def _patches(
    x: NDArray[np.float32], window: _Window, count: int, rng: np.random.Generator, *, whole: bool
) -> NDArray[np.float32]:
    """Some patches of x [1, C, H, W] as the convolution sees them: [groups, count, d]."""
    groups, channels = window.groups, x.shape[1]
    if not whole:
        flat = x[0].reshape(channels, -1)
        picked = flat[:, rng.integers(0, flat.shape[1], count)]
        return np.ascontiguousarray(picked.reshape(groups, channels // groups, -1).transpose(0, 2, 1))
    top, left, bottom, right = window.pads
    padded = np.pad(x[0], ((0, 0), (top, bottom), (left, right)))
    reach = [(k - 1) * d for k, d in zip(window.kernel, window.dilations, strict=True)]
    rows = (padded.shape[1] - reach[0] - 1) // window.strides[0] + 1
    columns = (padded.shape[2] - reach[1] - 1) // window.strides[1] + 1
    ys = rng.integers(0, rows, count) * window.strides[0]
    xs = rng.integers(0, columns, count) * window.strides[1]
    dy = np.arange(window.kernel[0]) * window.dilations[0]
    dx = np.arange(window.kernel[1]) * window.dilations[1]
    found = padded[:, (ys[:, None] + dy)[:, :, None], (xs[:, None] + dx)[:, None, :]]  # [C, count, h, w]
    found = found.reshape(groups, channels // groups, count, -1).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(found.reshape(groups, count, -1))


def _window(node: onnx.NodeProto, dims: list[int]) -> _Window:
    attributes = {a.name: a for a in node.attribute}

    def numbers(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(attributes[name].ints) if name in attributes else default

    strides, dilations = numbers("strides", (1, 1)), numbers("dilations", (1, 1))
    pads = numbers("pads", (0, 0, 0, 0))
    groups = int(attributes["group"].i) if "group" in attributes else 1
    return _Window(
        node.input[0],
        (dims[2], dims[3]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        (pads[0], pads[1], pads[2], pads[3]),
        groups,
    )
