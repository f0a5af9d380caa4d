"""Cross-layer equalization: channels of very different range share one 8-bit scale better when they are made alike.

Between a convolution and those that read it, with at most a rectifier (clipped or not) in between, output channel c may be divided by
any s_c > 0 if the readers' weights for input channel c are multiplied by it: relu(x / s) = relu(x) / s. The float
model computes the same; what changes is how well each channel uses the tensor's 256 levels.

s_c = a_c ** alpha with a_c the channel's largest value. Making all alike (alpha 1) is best for the activations, but
spreads the readers' weights where those share a scale, so alpha is chosen, pair by pair, where the expected squared
error of both roundings together is least. After Nagel et al., "Data-Free Quantization Through Weight Equalization
and Bias Correction", ICCV 2019, with measured activations in place of weight ranges.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from export.observe import Feed, reductions
from export.regions import Constants, Region, clip_bounds, constants_of, find_region

__all__ = ["Pair", "equalize", "find_pairs"]

_ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LIMIT = 1e3  # no channel is scaled by more than this
_MARGIN = 0.98  # only what is expected to gain is changed


@dataclass(frozen=True, slots=True)
class Pair:
    """A convolution, the tensor that is read of it (after its rectifier), and the convolutions that read that."""

    source: int
    tensor: str
    readers: tuple[int, ...]


def find_pairs(graph: onnx.GraphProto, region: Region) -> list[Pair]:
    """The places where channels can be rescaled without changing what the model computes."""
    readers: dict[str, list[int]] = defaultdict(list)
    for i, node in enumerate(graph.node):
        for name in node.input:
            readers[name].append(i)
    constants = constants_of(graph)
    outputs = {o.name for o in graph.output}
    uses = Counter(name for node in graph.node for name in node.input)
    rectifier = {source: i for i, source in region.fused.items()}

    def scalable(i: int) -> bool:
        """Whether node `i` is a convolution in the region with weights of its own."""
        node = graph.node[i]
        return i in region.cores and node.op_type == "Conv" and all(uses[name] == 1 for name in node.input[1:] if name)

    found = []
    for i in region.cores:
        last = graph.node[rectifier.get(i, i)]
        tensor = last.output[0]
        every = readers[tensor]
        if every and _scales_through(last, constants) and tensor not in outputs and all(map(scalable, [i, *every])):
            found.append(Pair(i, tensor, tuple(every)))
    return found


def equalize(model: onnx.ModelProto, feed: Feed) -> tuple[onnx.ModelProto, int]:
    """`model` with the channels of its convolutions equalized, and how many tensors that changed."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    pairs = find_pairs(graph, find_region(graph))
    if not pairs:
        return result, 0
    peaks, squares = _channels(result, [p.tensor for p in pairs], feed)
    constants = constants_of(graph)
    changed = 0
    for pair, peak, square in zip(pairs, peaks, squares, strict=True):
        targets = [(constants[graph.node[r].input[1]], _groups(graph.node[r])) for r in pair.readers]
        scale = _best_scale(peak, square, [(_array(weights), groups) for weights, groups in targets])
        if scale is None:
            continue
        changed += 1
        for name in graph.node[pair.source].input[1:3]:
            values = _array(constants[name])
            _set(constants[name], values / scale.reshape(-1, *[1] * (values.ndim - 1)))
        for weights, groups in targets:
            _set(weights, _scaled(_array(weights), scale, groups))
    return result, changed


def _scales_through(node: onnx.NodeProto, constants: Constants) -> bool:
    """Whether channels may be scaled up before `node`.

    A Clip from 0 to 6 as well: channels that reach the limit are the largest and keep their scale, and the others stay
    below it on all that calibration saw, which is where 8 bits end anyway.
    """
    return node.op_type in {"Conv", "Relu"} or (node.op_type == "Clip" and clip_bounds(node, constants)[0] == 0)


def _channels(
    model: onnx.ModelProto, tensors: list[str], feed: Feed
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Each tensor's largest magnitude and mean square, by channel."""
    n = len(tensors)
    jobs = [(op, t, True) for op in ("ReduceMax", "ReduceMin", "MeanSquare") for t in tensors]
    peaks: list[NDArray[np.float64]] = [np.zeros(1)] * n
    squares: list[NDArray[np.float64]] = [np.zeros(1)] * n
    count = 0
    for values in reductions(model, jobs, feed("looking at channels")):
        count += 1
        for k in range(n):
            peaks[k] = np.maximum(peaks[k], np.maximum(np.abs(values[k]), np.abs(values[n + k])))
            squares[k] = squares[k] + values[2 * n + k]
    return peaks, [s / count for s in squares]


def _best_scale(
    peak: NDArray[np.float64], square: NDArray[np.float64], readers: list[tuple[NDArray[np.float64], int]]
) -> NDArray[np.float64] | None:
    """The scale of each channel that is expected to lose least, or None where nothing is gained.

    `readers` are the weights [out, in / groups, h, w] and groups of the convolutions that read the tensor.
    """
    if not peak.max() > 0:
        return None
    relative = np.where(peak > 0, peak / peak.max(), 1.0)
    best, least = None, np.inf
    for alpha in _ALPHAS:
        scale = np.maximum(relative, 1 / _LIMIT) ** alpha
        loss = float(np.mean([_loss(peak / scale, square / scale**2, _scaled(w, scale, g), g) for w, g in readers]))
        if loss < least * _MARGIN:
            best, least = scale if alpha else None, loss
    return best


def _loss(peak: NDArray[np.float64], square: NDArray[np.float64], weights: NDArray[np.float64], groups: int) -> float:
    """Expected noise over signal of a convolution whose input and weights are rounded to 8 bits."""
    out, _, *window = weights.shape
    noise_in = np.minimum((peak.max() / 255) ** 2 / 12, square)
    step = np.abs(weights).reshape(out, -1).max(axis=1) / 127
    per_input = [np.asarray(v).reshape(groups, -1).repeat(out // groups, axis=0) for v in (noise_in, square)]
    energy = np.square(weights).sum(axis=(2, 3))
    noise = (energy * per_input[0]).sum(axis=1)
    noise += (per_input[1] * np.minimum((step**2 / 12 * np.prod(window))[:, None], energy)).sum(axis=1)
    signal = (energy * per_input[1]).sum(axis=1)
    return float(np.mean(noise / np.maximum(signal, 1e-30), where=signal > 0)) if (signal > 0).any() else 0.0


def _scaled(weights: NDArray[np.float64], scale: NDArray[np.float64], groups: int) -> NDArray[np.float64]:
    """Weights [out, in / groups, h, w] with each input channel multiplied by its scale."""
    by_group = scale.reshape(groups, -1).repeat(weights.shape[0] // groups, axis=0)
    return np.asarray(weights * by_group[:, :, None, None])


def _groups(node: onnx.NodeProto) -> int:
    return int(next((a.i for a in node.attribute if a.name == "group"), 1))


def _array(tensor: onnx.TensorProto) -> NDArray[np.float64]:
    return np.asarray(numpy_helper.to_array(tensor), np.float64)


def _set(tensor: onnx.TensorProto, values: NDArray[np.float64]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
