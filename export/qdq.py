"""Writes a region of a float graph as QDQ: QuantizeLinear/DequantizeLinear around each node, weights in int8.

The pairs stand where onnxruntime fuses them into integer kernels: convolution (with its activation, which the
8-bit output's saturation replaces) and sum, pools and concatenations on values that stay 8 bits between.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.regions import CARRIES, Region, clip_bounds, constants_of, data_inputs
from export.rounding import Curvature, round_weights

__all__ = ["Scale", "insert_qdq", "watched"]

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm"})
_HEADROOM = 1.1
_MIN_SPAN = 1e-6  # a tensor that never leaves zero still needs a scale


@dataclass(frozen=True, slots=True)
class Scale:
    """real = (stored - zero) * scale, with `stored` uint8, or int8 when `signed`."""

    scale: float
    zero: int
    signed: bool

    @classmethod
    def spanning(cls, low: float, high: float, *, signed: bool) -> Scale:
        """256 levels from `low` to `high`, widened to hold an exact zero."""
        low, high = min(low, 0.0), max(high, 0.0)
        span = max(high - low, _MIN_SPAN)
        # onnxruntime computes with float32 scales, so the zero point is rounded against that.
        scale = float(np.float32(span / 255))
        zero = int(np.clip(round(-low / scale), 0, 255))
        return cls(scale, zero - 128 if signed else zero, signed)

    @property
    def low(self) -> float:
        """The least value that can be stored."""
        return ((-128 if self.signed else 0) - self.zero) * self.scale

    @property
    def high(self) -> float:
        """The greatest value that can be stored."""
        return ((127 if self.signed else 255) - self.zero) * self.scale


def watched(graph: onnx.GraphProto, region: Region) -> list[str]:
    """The tensors that get a scale, hence whose range must be known."""
    constants = constants_of(graph)
    names: dict[str, None] = {}
    for i in sorted(region.nodes):
        node = graph.node[i]
        if i not in region.fused:
            names.update(dict.fromkeys(data_inputs(node, constants)))
        if i not in region.fused.values() and i not in region.float_out:
            names.update(dict.fromkeys(node.output))
    return list(names)


def insert_qdq(
    model: onnx.ModelProto,
    region: Region,
    ranges: Mapping[str, tuple[float, float]],
    *,
    signed: bool = False,
    per_channel: bool = True,
    means: Mapping[str, NDArray[np.float64]] | None = None,
    channels: Mapping[str, NDArray[np.float64]] | None = None,
    curvatures: Mapping[str, Curvature] | None = None,
) -> onnx.ModelProto:
    """`model` with `region` in QDQ; activations int8 when `signed`, else uint8; weights always int8, symmetric.

    `means` are the average inputs of the cores by channel: with them, the shift that rounding the weights gives
    each output channel on average is taken back in its bias. `channels` are the ranges [2, C] of the last
    convolutions' channels: with them, each channel is stored with a scale of its own. `curvatures` are what
    `export.rounding` rounds convolutions' weights with; without, each goes to its nearest integer.
    """
    tied = _tied(model.graph, region, ranges)
    writer = _Writer(model, region, tied, signed, per_channel, means or {}, channels or {}, curvatures or {})
    return writer.write()


def _tied(
    graph: onnx.GraphProto, region: Region, ranges: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Ranges, with one for all tensors between which values are only moved."""
    constants = constants_of(graph)
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.setdefault(name, name) != name:
            name = root[name]
        return name

    for i in sorted(region.nodes):
        node = graph.node[i]
        if node.op_type in CARRIES:
            names = [*data_inputs(node, constants), *node.output]
            for other in names[1:]:
                root[find(other)] = find(names[0])
    spans: dict[str, tuple[float, float]] = {}
    for name, (low, high) in ranges.items():
        a, b = spans.get(find(name), (low, high))
        spans[find(name)] = min(a, low), max(b, high)
    return {name: spans[find(name)] for name in ranges}


class _Writer:
    def __init__(
        self,
        model: onnx.ModelProto,
        region: Region,
        ranges: Mapping[str, tuple[float, float]],
        signed: bool,
        per_channel: bool,
        means: Mapping[str, NDArray[np.float64]],
        channels: Mapping[str, NDArray[np.float64]],
        curvatures: Mapping[str, Curvature],
    ) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        self.region = region
        self.signed = signed
        self.per_channel = per_channel
        self.means = means
        self.channels = channels
        self.curvatures = curvatures
        self.constants = constants_of(self.graph)
        self.ranges = ranges
        self.scales = {name: Scale.spanning(*span, signed=signed) for name, span in ranges.items()}
        self.nodes: list[onnx.NodeProto] = []
        self.renamed: dict[str, str] = {}  # float tensor -> what 8-bit readers read instead
        self.taken = {name for node in self.graph.node for name in (*node.output, *node.input, node.name)}
        self.numbers = itertools.count()
        self.held: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.stored: dict[str, tuple[str, Scale]] = {}
        kept_float = {
            n.input[0] for i, n in enumerate(self.graph.node) if i not in region.nodes and n.op_type in _WEIGHTED
        }
        self.own_scales = channels.keys() - kept_float if per_channel else set()
        self.produced_in_8_bits = {n for i in region.nodes for n in self.graph.node[i].output}

    def write(self) -> onnx.ModelProto:
        for i, original in enumerate(self.graph.node):
            node = onnx.NodeProto()
            node.CopyFrom(original)
            if i in self.region.nodes:
                self._quantized(i, node)
                continue
            if node.op_type in _WEIGHTED and node.input[0] in self.stored:
                node.input[0] = self._as_float(node.input[0])
            self.nodes.append(node)
        read = {name for node in self.nodes for name in node.input} | {o.name for o in self.graph.output}
        del self.graph.node[:]
        self.graph.node.extend(n for n in self.nodes if n.op_type != "Constant" or n.output[0] in read)
        kept = [t for t in self.graph.initializer if t.name in read]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        del self.graph.value_info[:]
        return self.model

    def _quantized(self, i: int, node: onnx.NodeProto) -> None:
        if i in self.region.fused:
            self._activation(node)
            return
        sources = data_inputs(node, self.constants)
        for k, name in enumerate(node.input):
            if name in sources:
                node.input[k] = self._in_8_bits(name)
        if i in self.region.ends and node.output[0] in self.own_scales:
            self._end(node, sources[0])
            return
        if i in self.region.cores:
            self._weights(node, sources[0])
        if i in self.region.float_out or i in self.region.fused.values():
            self.nodes.append(node)
        else:
            self._rounded(node)

    def _activation(self, node: onnx.NodeProto) -> None:
        """Drop it where saturation does its work: its producer's result is stored where its own would be."""
        if not self._saturates(node):
            self._rounded(node)
            return
        producer = next(n for n in reversed(self.nodes) if node.input[0] in n.output)
        producer.output[0] = self._fresh()
        self._pair(producer.output[0], node.output[0], node.output[0])

    def _end(self, node: onnx.NodeProto, source: str) -> None:
        """A last convolution: no kernel needs its channels to share a scale, for what follows is float.

        The convolution computes steps, (y_c / s_c + z_c), stored as they are; each channel's s_c and z_c are
        undone where the steps become float again.
        """
        name = node.output[0]
        low, high = self.channels[name]
        bottom, top = self.ranges[name]
        # Rare objects are rare in calibration too: no channel is trusted to stay within a quarter of the others' range.
        spans = zip(np.minimum(low * _HEADROOM, bottom / 4), np.maximum(high * _HEADROOM, top / 4), strict=True)
        scales = [Scale.spanning(a, b, signed=self.signed) for a, b in spans]
        factors = np.array([s.scale for s in scales])
        dtype = np.int8 if self.signed else np.uint8
        zeros = np.array([s.zero for s in scales], dtype)
        first = -128 if self.signed else 0
        self._weights(node, source, unit=factors, offset=zeros.astype(np.float64) - first)
        raw, stored = self._fresh(), self._fresh()
        node.output[0] = raw
        one, zero = self._constant(np.array(1, np.float32)), self._constant(np.array(first, dtype))
        inputs = [stored, self._constant(factors.astype(np.float32)), self._constant(zeros)]
        self.nodes += [
            node,
            helper.make_node("QuantizeLinear", [raw, one, zero], [stored]),
            helper.make_node("DequantizeLinear", inputs, [name], axis=1),
        ]

    def _rounded(self, node: onnx.NodeProto) -> None:
        """Append a node and store its results in 8 bits, so that all who read them read what was stored."""
        names = list(node.output)
        node.output[:] = [self._fresh() if name else "" for name in names]
        self.nodes.append(node)
        for raw, name in zip(node.output, names, strict=True):
            if name:
                self._pair(raw, name, name)

    def _in_8_bits(self, name: str) -> str:
        if name in self.produced_in_8_bits:
            return name  # its producer's pair already gives the value as stored
        if name not in self.renamed:
            self.renamed[name] = self._fresh()
            self._pair(name, self.renamed[name], name)
        return self.renamed[name]

    def _as_float(self, name: str) -> str:
        """A stored tensor for a layer with float weights, made float without DequantizeLinear.

        Where onnxruntime (1.31) finds a convolution or product between DequantizeLinear and QuantizeLinear, it rounds
        the float weights itself, with one scale for all channels, which ruins just the layers that were kept float.
        """
        stored, scale = self.stored[name]
        result = self._fresh()
        self.nodes.append(helper.make_node("Cast", [stored], [result], to=onnx.TensorProto.FLOAT))
        for op, value in (("Sub", scale.zero), ("Mul", scale.scale)):
            if op == "Mul" or value:
                before, result = result, self._fresh()
                self.nodes.append(helper.make_node(op, [before, self._constant(np.array(value, np.float32))], [result]))
        return result

    def _saturates(self, node: onnx.NodeProto) -> bool:
        low, high = clip_bounds(node, self.constants)
        scale = self.scales[node.output[0]]
        return scale.low >= low and scale.high <= high * (1 + 1e-6)

    def _pair(self, source: str, target: str, of: str) -> None:
        scale = self.scales[of]
        factor = self._constant(np.array(scale.scale, np.float32))
        zero = self._constant(np.array(scale.zero, np.int8 if scale.signed else np.uint8))
        stored = self._fresh()
        self.stored[target] = stored, scale
        self.nodes.append(helper.make_node("QuantizeLinear", [source, factor, zero], [stored]))
        self.nodes.append(helper.make_node("DequantizeLinear", [stored, factor, zero], [target]))

    def _weights(
        self,
        node: onnx.NodeProto,
        source: str,
        *,
        unit: NDArray[np.float64] | None = None,
        offset: NDArray[np.float64] | None = None,
    ) -> None:
        """Store weights and bias in integers; with `unit` [out] the node computes in steps of it, plus `offset`."""
        weights = self._array(node.input[1]).astype(np.float64)
        axis = _output_axis(node)
        bias = self._array(node.input[2]).astype(np.float64).reshape(-1) if _has_bias(node) else None
        if unit is not None and offset is not None:
            weights = weights / unit.reshape(-1, *[1] * (weights.ndim - 1))
            bias = (0 if bias is None else bias / unit) + offset
        around = tuple(a for a in range(weights.ndim) if a != axis) if self.per_channel else None
        peak = np.atleast_1d(np.abs(weights).max(axis=around))
        factor = np.maximum(peak / 127, 1e-12)
        activation = self.scales[source].scale
        if bias is not None:  # the bias is int32 in units of both scales, and must not overflow there
            factor = np.maximum(
                factor, np.abs(bias if self.per_channel else np.abs(bias).max()) / (activation * 2.0**30)
            )
        factor = factor.astype(np.float32).astype(np.float64)
        shape = [1] * weights.ndim
        shape[axis] = -1
        grid = factor.reshape(shape) if self.per_channel else factor[0]
        curvature = self.curvatures.get(node.output[0])
        if curvature is None:
            stored = np.clip(np.rint(weights / grid), -127, 127)
        else:
            stored = round_weights(weights, grid, curvature)
        shift = self._shift(node, source, stored * grid - weights)
        if shift is not None and node.op_type != "MatMul":
            bias = -shift if bias is None else bias - shift
        node.input[1] = self._dequantized(stored.astype(np.int8), factor, axis)
        if bias is not None:
            grain = factor * activation
            steps = np.clip(np.rint(bias / grain), -(2.0**31) + 1, 2.0**31 - 1).astype(np.int32)
            name = self._dequantized(steps, grain, 0)
            del node.input[2:]
            node.input.append(name)

    def _shift(self, node: onnx.NodeProto, source: str, error: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """What the rounding of the weights adds to each output channel on the calibration images, on average."""
        mean = self.means.get(source)
        if mean is None or node.op_type != "Conv":
            return None
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        per_input = error.sum(axis=(2, 3))  # [out, in / groups]
        inputs = mean.reshape(groups, -1).repeat(error.shape[0] // groups, axis=0)
        return np.asarray((per_input * inputs).sum(axis=1))

    def _dequantized(self, stored: NDArray[np.generic], factor: NDArray[np.float64], axis: int) -> str:
        scales = np.asarray(factor if self.per_channel else factor[0], np.float32)
        zeros = np.zeros(scales.shape, stored.dtype)
        inputs = [self._constant(stored), self._constant(scales), self._constant(zeros)]
        node = helper.make_node("DequantizeLinear", inputs, [self._fresh()])
        if self.per_channel:
            node.attribute.append(helper.make_attribute("axis", axis))
        self.nodes.append(node)
        return str(node.output[0])

    def _array(self, name: str) -> NDArray[np.generic]:
        return np.asarray(numpy_helper.to_array(self.constants[name]))

    def _constant(self, value: NDArray[np.generic]) -> str:
        """The initializer with this value; equal small ones (zero points, scales) are held once."""
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self.held:
            self.held[key] = self._fresh()
            self.graph.initializer.append(numpy_helper.from_array(value, self.held[key]))
        return self.held[key]

    def _fresh(self) -> str:
        """A short name that nothing has: hundreds of long ones would weigh as much as a small net's weights."""
        while (name := f"q{next(self.numbers)}") in self.taken:
            pass
        return name


def _has_bias(node: onnx.NodeProto) -> bool:
    return len(node.input) > 2 and bool(node.input[2])


def _output_axis(node: onnx.NodeProto) -> int:
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute):
        return 0
    return 1
