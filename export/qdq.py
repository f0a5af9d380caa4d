"""Writes a region of a float graph as QDQ: QuantizeLinear/DequantizeLinear around each node, weights in int8.

The pairs stand where onnxruntime fuses them into integer kernels: convolution (with its activation, which the
8-bit output's saturation replaces) and sum, pools and concatenations on values that stay 8 bits between.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.ends import Levels, levels_for, side_by_side
from export.observe import Observed
from export.regions import Region, clip_bounds, constants_of, data_inputs, replace_nodes
from export.rounding import Rounder
from export.scales import Scale, tied
from export.weights import Layer, integer_weights

__all__ = ["insert_qdq"]

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm"})


def insert_qdq(
    model: onnx.ModelProto,
    region: Region,
    observed: Observed,
    rounder: Rounder,
    *,
    signed: bool = False,
    per_channel: bool = True,
) -> onnx.ModelProto:
    """`model` with `region` in QDQ; activations int8 when `signed`, else uint8; weights always int8, symmetric.

    Where `observed` has the mean of a convolution's input, its bias takes back what rounding the weights adds on
    average.
    """
    return _Writer(model, region, observed, rounder, signed=signed, per_channel=per_channel).write()


@dataclass(frozen=True, slots=True)
class _Head:
    """A head's last convolution in steps of its `levels`, with its copies behind one another, for `result`.

    `weights` is the name of one copy's; `steps` and `grains` are what one of the integers of weights and bias is worth.
    """

    result: str
    levels: Levels
    weights: str
    steps: NDArray[np.float64]
    bias: NDArray[np.int32]
    grains: NDArray[np.float64]

    @property
    def channels(self) -> int:
        return len(self.steps) // self.levels.copies


class _Writer:
    def __init__(
        self,
        model: onnx.ModelProto,
        region: Region,
        observed: Observed,
        rounder: Rounder,
        *,
        signed: bool,
        per_channel: bool,
    ) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        self.region = region
        self.observed = observed
        self.rounder = rounder
        self.signed = signed
        self.per_channel = per_channel
        self.constants = constants_of(self.graph)
        self.ranges = tied(self.graph, region, observed.ranges)
        self.scales = {name: Scale.spanning(*span, signed=signed) for name, span in self.ranges.items()}
        self.nodes: list[onnx.NodeProto] = []
        self.renamed: dict[str, str] = {}  # float tensor -> what 8-bit readers read instead
        self.stored: dict[str, tuple[str, Scale]] = {}
        self.taken = {name for node in self.graph.node for name in (*node.output, *node.input, node.name)}
        self.numbers = itertools.count()
        self.held: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.produced_in_8_bits = {n for i in region.nodes for n in self.graph.node[i].output}
        self.levels = {i: self._levels(i) for i in region.ends}
        shapes = {i: self.constants[self.graph.node[i].input[1]].dims for i in region.ends}
        self.lots = side_by_side(
            self.graph.node, {i: (dims[0] * self.levels[i].copies, *dims[1:]) for i, dims in shapes.items()}
        )
        for node in self.graph.node:  # see export.front
            if node.op_type == "DequantizeLinear":
                factor, zero = (self._array(name).item() for name in node.input[1:3])
                name = node.output[0]
                self.scales[name] = Scale(factor, int(zero), signed=False)
                self.stored[name] = node.input[0], self.scales[name]
                self.produced_in_8_bits.add(name)

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
        replace_nodes(self.graph, self.nodes)
        return self.model

    def _quantized(self, i: int, node: onnx.NodeProto) -> None:
        if i in self.region.fused:
            self._activation(node)
            return
        sources = data_inputs(node, self.constants)
        for k, name in enumerate(node.input):
            if name in sources:
                node.input[k] = self._in_8_bits(name)
        if i in self.region.ends:
            if i in self.lots:
                self._heads(node, [self._head(self.graph.node[k], self.levels[k]) for k in self.lots[i]])
            return
        if i in self.region.cores:
            self._weights(node, self._layer(node, sources[0]))
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
        within = scale.scale / 2  # the zero point is whole, so that the ends may lie that far off
        return scale.low >= low - within and scale.high <= high + within

    def _pair(self, source: str, target: str, of: str) -> None:
        scale = self.scales[of]
        factor = self._constant(np.array(scale.scale, np.float32))
        zero = self._constant(np.array(scale.zero, np.int8 if scale.signed else np.uint8))
        stored = self._fresh()
        self.stored[target] = stored, scale
        self.nodes.append(helper.make_node("QuantizeLinear", [source, factor, zero], [stored]))
        self.nodes.append(helper.make_node("DequantizeLinear", [stored, factor, zero], [target]))

    def _layer(self, node: onnx.NodeProto, source: str) -> Layer:
        weights = self._array(node.input[1])
        bias = self._array(node.input[2]).reshape(-1) if len(node.input) > 2 and node.input[2] else None
        attributes = {a.name: a.i for a in node.attribute}
        axis = 0 if node.op_type == "Conv" or (node.op_type == "Gemm" and attributes.get("transB")) else 1
        mean = self.observed.means.get(source)
        name = node.output[0]
        return Layer(name, weights, bias, axis, attributes.get("group", 1), self.scales[source].scale, mean)

    def _weights(self, node: onnx.NodeProto, layer: Layer) -> None:
        """Give `node` the layer's weights and bias in integers."""
        found = integer_weights(layer, self.rounder, per_channel=self.per_channel)
        node.input[1] = self._dequantized(found.weights, found.steps, layer.axis)
        del node.input[2:]
        if found.bias is not None:
            node.input.append(self._dequantized(found.bias, found.bias_steps, 0))

    def _levels(self, i: int) -> Levels:
        node = self.graph.node[i]
        channels = self.constants[node.input[1]].dims[0]
        return levels_for(*self.ranges[node.output[0]], channels=channels, compared=i not in self.region.offsets)

    def _head(self, node: onnx.NodeProto, levels: Levels) -> _Head:
        found = integer_weights(self._layer(node, node.input[0]), self.rounder, per_channel=self.per_channel)
        channels, copies = len(found.weights), range(levels.copies)
        steps, grain = (np.broadcast_to(v, channels) for v in (found.steps, found.bias_steps))
        bias = np.zeros(channels) if found.bias is None else found.bias.astype(np.float64)
        shifted = np.concatenate([bias + levels.shift(k) / grain for k in copies])
        return _Head(
            node.output[0],
            levels,
            self._constant(found.weights),
            np.tile(steps / levels.step, levels.copies),
            np.clip(np.rint(shifted), -(2.0**31) + 1, 2.0**31 - 1).astype(np.int32),
            np.tile(grain / levels.step, levels.copies),
        )

    def _heads(self, node: onnx.NodeProto, heads: Sequence[_Head]) -> None:
        """Append the last convolutions of heads as one, `node`; see `export.ends`."""
        weights = [head.weights for head in heads for _ in range(head.levels.copies)]
        if len(weights) > 1:
            weights, repeated = [self._fresh()], weights
            self.nodes.append(helper.make_node("Concat", repeated, weights, axis=0))
        steps = np.concatenate([head.steps for head in heads])
        node.input[1] = self._real(weights[0], steps, np.zeros(len(steps), np.int8), axis=0)
        del node.input[2:]
        bias = self._constant(np.concatenate([head.bias for head in heads]))
        node.input.append(self._real(bias, np.concatenate([head.grains for head in heads]), None, axis=0))
        node.output[0], stored = self._fresh(), self._fresh()
        lowest, kind = (-128, np.int8) if self.signed else (0, np.uint8)
        unit = [self._constant(np.array(1, np.float32)), self._constant(np.array(lowest, kind))]
        self.nodes += [node, helper.make_node("QuantizeLinear", [node.output[0], *unit], [stored])]
        copies = [(head, k) for head in heads for k in range(head.levels.copies)]
        sizes = [head.channels for head, _ in copies]
        units = np.repeat([head.levels.step for head, _ in copies], sizes)
        zeros = np.repeat([head.levels.zero_point(k) + lowest for head, k in copies], sizes)
        if len(copies) == 1:
            # One scale for all channels: OpenVINO 2026.4 loses the axis of several behind a transposition.
            step, zero = (self._constant(np.array(v[0], t)) for v, t in ((units, np.float32), (zeros, kind)))
            self.nodes.append(helper.make_node("DequantizeLinear", [stored, step, zero], [heads[0].result]))
            return
        real = self._real(stored, units, zeros.astype(kind), axis=1)
        parts = [head.result if head.levels.copies == 1 else self._fresh() for head, _ in copies]
        self.nodes.append(helper.make_node("Split", [real, self._constant(np.array(sizes, np.int64))], parts, axis=1))
        for head in heads:
            if head.levels.copies > 1:
                own = [part for part, (of, _) in zip(parts, copies, strict=True) if of is head]
                self.nodes.append(helper.make_node("Sum", own, [head.result]))

    def _real(self, stored: str, scales: NDArray[np.float64], zeros: NDArray[np.generic] | None, *, axis: int) -> str:
        """`stored` made float, with a scale and a zero point (0 where there are none) for each index of `axis`."""
        inputs = [stored, self._constant(scales.astype(np.float32))]
        inputs += [] if zeros is None else [self._constant(zeros)]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [self._fresh()], axis=axis))
        return str(self.nodes[-1].output[0])

    def _dequantized(self, stored: NDArray[np.generic], factor: NDArray[np.float64], axis: int) -> str:
        scales = np.asarray(factor if self.per_channel else factor[0], np.float32)
        inputs = [self._constant(stored), self._constant(scales)]
        if stored.dtype == np.int8:  # a bias needs no zero point, and a small net's would weigh something
            inputs.append(self._constant(np.zeros(scales.shape, np.int8)))
        node = helper.make_node("DequantizeLinear", inputs, [self._fresh()])
        if self.per_channel:
            node.attribute.append(helper.make_attribute("axis", axis))
        self.nodes.append(node)
        return str(node.output[0])

    def _array(self, name: str) -> NDArray[np.float64]:
        return np.asarray(numpy_helper.to_array(self.constants[name]), np.float64)

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
