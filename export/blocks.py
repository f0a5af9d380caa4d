"""Depthwise convolutions in whole blocks of channels.

onnxruntime's fast integer kernel for them (MLAS' symmetric convolution) takes sixteen channels at a time; a layer whose
count is no multiple of that runs by another, in 2.8 times as long a value. So channels that are always zero are added:
the convolution before has zero weights and bias for them, the one after ignores them. The others' integers stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from export.regions import replace_nodes
from export.wires import Integers, Wires, group_of, set_attribute

__all__ = ["fill_blocks"]

_BLOCK = 16
# Values that are computed faster, for each weight added: with fewer the file grows more than the time shrinks.
_WORTH = 60


def fill_blocks(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """`model` (QDQ) with the channels of its depthwise convolutions filled up where that pays, and how many those were."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    values = _values(model)
    filled = 0
    for conv in result.graph.node:
        wires = Wires(result.graph)
        found = _around(wires, conv) if conv.op_type == "Conv" else None
        if found is None:
            continue
        before, after = found
        channels = group_of(conv)
        missing = -channels % _BLOCK
        if values.get(conv.output[0], 0) < _WORTH * missing * _weights_of_one(wires, before, conv, after):
            continue
        for node, axis in ((before, 0), (conv, 0), *((node, 1) for node in after)):
            known = wires.integers(node)
            assert known is not None  # noqa: S101  as `_around` has seen
            _wider(known, missing, axis).write(wires, node, f"blocks{filled}/{node.output[0]}")
        set_attribute(conv, "group", channels + missing)
        filled += 1
    if filled:
        replace_nodes(result.graph, list(result.graph.node))
    return result, filled


def _values(model: onnx.ModelProto) -> dict[str, int]:
    """How many values each tensor has for one picture, where that is known."""
    known = onnx.shape_inference.infer_shapes(model).graph.value_info
    sizes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim][1:] for v in known}
    return {name: int(np.prod(dims)) for name, dims in sizes.items() if dims}


def _weights_of_one(wires: Wires, before: onnx.NodeProto, conv: onnx.NodeProto, after: Sequence[onnx.NodeProto]) -> int:
    """The weights of one channel more."""
    shapes = [list(wires.constants[wires.made[n.input[1]].input[0]].dims) for n in (before, conv, *after)]
    return sum(int(np.prod(dims)) // dims[int(k > 1)] for k, dims in enumerate(shapes))


def _around(wires: Wires, conv: onnx.NodeProto) -> tuple[onnx.NodeProto, list[onnx.NodeProto]] | None:
    """The convolution before a depthwise one that needs more channels, and those after it, where all are in 8 bits."""
    known, stored = wires.integers(conv), wires.stored(conv)
    if known is None or stored is None or stored.output[0] in wires.outputs:
        return None
    weights = known.weights[0]
    if weights.shape[1] != 1 or len(weights) != group_of(conv) or not len(weights) % _BLOCK:
        return None
    rounded = wires.made.get(wires.made[conv.input[0]].input[0])
    before = wires.made.get(rounded.input[0]) if rounded is not None and rounded.op_type == "QuantizeLinear" else None
    after = wires.read[stored.output[0]]
    if before is None or before.op_type != "Conv" or wires.stored(before) is not wires.made[conv.input[0]]:
        return None
    plain = all(n.op_type == "Conv" and group_of(n) == 1 and wires.integers(n) is not None for n in (before, *after))
    return (before, after) if plain and after and wires.read[conv.input[0]] == [conv] else None


def _wider(known: Integers, count: int, axis: int) -> Integers:
    """With `count` more channels out (axis 0) or in (axis 1), all zero."""
    weights, scales, zeros = known.weights
    wide = np.pad(weights, [(0, count if a == axis else 0) for a in range(weights.ndim)])
    if axis:
        return Integers((wide, scales, zeros), known.bias)
    bias = known.bias
    if bias is not None:
        bias = np.pad(bias[0], (0, count)), _repeated(bias[1], count), _repeated(bias[2], count)
    return Integers((wide, _repeated(scales, count), _repeated(zeros, count)), bias)


def _repeated(values: NDArray[np.generic], count: int) -> NDArray[np.generic]:
    """The last scale or zero point for the new channels too; one for all stays one."""
    return np.pad(values, (0, count), mode="edge") if values.ndim else values
