"""What values a model's tensors take on calibration pictures: ranges, and per-channel means. Nothing is stored but these.

Min-max runs the pictures once, through reductions added to the graph. The other methods run them a second time and
count each tensor's values into a histogram of fixed bins, one picture's activations in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from export.errors import ExportError
from export.headroom import headroom

__all__ = [
    "METHODS",
    "Feed",
    "Histograms",
    "Method",
    "Observed",
    "activations",
    "count_values",
    "narrowed",
    "observe",
    "reductions",
]

Method = Literal["minmax", "mse", "percentile", "entropy"]
METHODS: tuple[Method, ...] = get_args(Method)

_BINS = 2048
_LEVELS = 128  # what 8 bits leave for one sign
_PERCENTILE = 99.99

Job = tuple[str, str, bool]

Histograms = dict[str, NDArray[np.int64]]

Feed = Callable[[str], Iterable[NDArray[np.uint8]]]
"""Gives the input tensors again each time it is called with what they are wanted for."""


@dataclass(frozen=True, slots=True)
class Observed:
    """`ranges`: lowest and highest value to represent, by tensor; `means`: float64 [C], by tensor [N, C, ...]."""

    ranges: dict[str, tuple[float, float]]
    means: dict[str, NDArray[np.float64]]
    images: int


def observe(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    feed: Feed,
    *,
    means: Sequence[str] = (),
    channels: Sequence[str] = (),
) -> Observed:
    """Runs the float `model` over what `feed` gives and watches `tensors`: their ranges are from least to greatest.

    `means` names the tensors averaged by channel, `channels` those [N, C, H, W] looked at channel by channel, whose
    ranges have room for pictures not seen (`export.headroom`).

    Raises:
        ExportError: for a tensor that is not finite.
    """
    by_channel = list(dict.fromkeys(channels))
    whole = [name for name in dict.fromkeys(tensors) if name not in set(by_channel)]
    averaged = list(dict.fromkeys(means))
    watched = [*((n, False) for n in whole), *((n, True) for n in by_channel)]
    jobs: list[Job] = [(op, n, split) for op in ("ReduceMin", "ReduceMax") for n, split in watched]
    jobs += [("ReduceMean", n, True) for n in averaged]
    seen: list[list[NDArray[np.float64]]] = [[] for _ in range(2 * len(watched))]
    sums: list[Any] = [0.0] * len(averaged)
    count = 0
    for values in reductions(model, jobs, feed("calibrating")):
        for extremes, value in zip(seen, values, strict=False):
            extremes.append(np.atleast_1d(value).astype(np.float64))
        sums = [s + v.astype(np.float64) for s, v in zip(sums, values[len(seen) :], strict=True)]
        count += 1
    ranges = {}
    for k, (name, split) in enumerate(watched):
        least, most = np.array(seen[k]), np.array(seen[len(watched) + k])
        if not (np.isfinite(least).all() and np.isfinite(most).all()):
            raise ExportError(f"tensor {name!r} is not finite on the calibration images, so it cannot be quantized")
        low, high = least.min(axis=0), most.max(axis=0)
        room = (headroom(-least), headroom(most)) if split else (1.0, 1.0)
        ranges[name] = float(low.min()) * room[0], float(high.max()) * room[1]
    means_found = {name: s / count for name, s in zip(averaged, sums, strict=True)}
    return Observed(ranges, means_found, count)


def narrowed(observed: Observed, histograms: Histograms, method: Method) -> Observed:
    """`observed` with each tensor's range clipped where `method` finds it best to.

    Raises:
        ExportError: for an unknown method.
    """
    if method not in METHODS:
        raise ExportError(f"calibration method {method!r} is not known; one of {', '.join(METHODS)}")
    if method == "minmax":
        return observed
    ranges = {name: _clip(span, histograms[name], _LIMITS[method]) for name, span in observed.ranges.items()}
    return replace(observed, ranges=ranges)


def reductions(
    model: onnx.ModelProto, jobs: Sequence[Job], tensors: Iterable[NDArray[np.uint8]]
) -> Iterator[list[NDArray[np.float32]]]:
    """Runs `model` on each of `tensors` and gives what `jobs` ask for: (operator, tensor [N, C, H, W], by channel).

    The operator is ReduceMin, ReduceMax, ReduceMean or MeanSquare.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    opset = next(o.version for o in model.opset_import if o.domain in {"", "ai.onnx"})
    axes = "observe/axes"
    probe.graph.initializer.append(helper.make_tensor(axes, onnx.TensorProto.INT64, [3], [0, 2, 3]))
    for i, (op, name, by_channel) in enumerate(jobs):
        value = name
        if op == "MeanSquare":
            value = f"observe/{i}/square"
            probe.graph.node.append(helper.make_node("Mul", [name, name], [value]))
        kind = "ReduceMean" if op == "MeanSquare" else op
        node = helper.make_node(kind, [value], [f"observe/{i}"], keepdims=0)
        if by_channel and opset >= 18:
            node.input.append(axes)
        elif by_channel:
            node.attribute.append(helper.make_attribute("axes", [0, 2, 3]))
        probe.graph.node.append(node)
        probe.graph.output.append(helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None))
    yield from _outputs(probe, tensors)


def activations(
    model: onnx.ModelProto, names: Sequence[str], tensors: Iterable[NDArray[np.uint8]]
) -> Iterator[list[NDArray[np.float32]]]:
    """Runs `model` on each of `tensors` and gives the values of the tensors called `names`, whole."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    for name in names:
        probe.graph.output.append(onnx.ValueInfoProto(name=name))  # of whatever type they are
    yield from _outputs(probe, tensors)


def _outputs(model: onnx.ModelProto, tensors: Iterable[NDArray[np.uint8]]) -> Iterator[list[Any]]:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    settings.enable_cpu_mem_arena = False
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for tensor in tensors:
        yield session.run(None, {name: tensor})


def count_values(model: onnx.ModelProto, ranges: dict[str, tuple[float, float]], feed: Feed) -> Histograms:
    """Counts of |value| in equal bins from 0 to the largest, by tensor."""
    counts = {name: np.zeros(_BINS, np.int64) for name in ranges}
    for values in activations(model, list(ranges), feed("counting values")):
        for name, value in zip(ranges, values, strict=True):
            top = max(abs(ranges[name][0]), abs(ranges[name][1])) or 1.0
            bins = np.minimum((np.abs(value.reshape(-1)) * (_BINS / top)).astype(np.int32), _BINS - 1)
            counts[name] += np.bincount(bins, minlength=_BINS)
    return counts


def _clip(
    span: tuple[float, float], counts: NDArray[np.int64], choose: Callable[[NDArray[np.int64]], int]
) -> tuple[float, float]:
    top = max(abs(span[0]), abs(span[1]))
    limit = top * choose(counts) / _BINS
    return max(span[0], -limit), min(span[1], limit)


def _percentile_limit(counts: NDArray[np.int64]) -> int:
    """The number of bins that hold the given percentage of the values."""
    total = np.cumsum(counts)
    return int(np.searchsorted(total, total[-1] * _PERCENTILE / 100)) + 1


def _squared_error_limit(counts: NDArray[np.int64]) -> int:
    """The number of bins beyond which clipping costs more, in squared error, than coarser steps would."""
    weights = counts.astype(np.float64)
    weights[0] = 0  # zeros are exact whatever the step
    middle = np.arange(_BINS) + 0.5
    limits = np.arange(_LEVELS, _BINS + 1, 8)
    rounding = np.array([(limit / 255) ** 2 / 12 * weights[:limit].sum() for limit in limits])
    clipping = np.array([(np.square(middle[limit:] - limit) * weights[limit:]).sum() for limit in limits])
    return int(limits[np.argmin(rounding + clipping)])


def _entropy_limit(counts: NDArray[np.int64]) -> int:
    """The number of bins that loses least information (Kullback-Leibler) when quantized to 128 levels.

    The search of TensorRT's entropy calibration: what lies beyond the limit is counted at the limit in the
    reference, but not in the quantized distribution, so that clipping has its price. Zeros are left out, for a
    rectifier makes as many of them as it likes.
    """
    weights = counts.astype(np.float64)
    weights[0] = 0
    if not weights.any():
        return _BINS
    best, best_loss = _BINS, np.inf
    for limit in range(_LEVELS, _BINS + 1, 8):
        kept = weights[:limit]
        reference = kept.copy()
        reference[-1] += weights[limit:].sum()
        level = np.arange(limit) * _LEVELS // limit
        filled = kept > 0
        total = np.bincount(level, kept, _LEVELS)
        cells = np.bincount(level, filled, _LEVELS)
        spread = np.where(filled, (total / np.maximum(cells, 1))[level], 0.0)
        if spread.sum() == 0:
            continue
        p, q = reference / reference.sum(), spread / spread.sum()
        there = p > 0
        loss = float(np.sum(p[there] * np.log(p[there] / np.maximum(q[there], 1e-12))))
        if loss < best_loss:
            best, best_loss = limit, loss
    return best


_LIMITS: dict[str, Callable[[NDArray[np.int64]], int]] = {
    "mse": _squared_error_limit,
    "percentile": _percentile_limit,
    "entropy": _entropy_limit,
}
