"""The first convolution on four columns of the picture at a time.

onnxruntime's fast integer convolution wants its input's channels in fours, and a picture has three: the first layer ran by
a slower kernel, a tenth of a small detector's time. A picture's bytes [N, H, W, 3] are also [N, H, W / 4, 12], without
moving one. A kernel of k columns and stride s then becomes one of stride 1 over whole groups of four columns, which gives
the 4 / s results of a group as so many times the channels: column s j - p + t, of result j and tap t where p columns are
padded, lies in group floor(column / 4) at place column mod 4, and all other weights are zero. The results
[N, H', W / 4, 4 / s * C] are also [N, H', W / s, C].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.regions import replace_nodes
from export.wires import Integers, Stored, Wires, set_attribute

__all__ = ["fold_columns"]

_FOLD = 4
_COLOURS = 3
_TO_CHANNELS_FIRST, _TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A convolution's columns: a group's results read the groups from `first` (at most 0) to `last` (at least 0)."""

    stride: int
    pad: int
    first: int
    last: int

    @property
    def copies(self) -> int:
        """How many results a group has."""
        return _FOLD // self.stride


def fold_columns(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    """`model` (QDQ), whose first convolution reads bytes (see `export.front`), with that one folded, if it can be.

    The integers that it gives, and what reads them, stay the same.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    wires = Wires(graph)
    turned = wires.only_reader(graph.input[0].name, "Transpose")
    real = None if turned is None else wires.only_reader(turned.output[0], "DequantizeLinear")
    conv = None if real is None else wires.only_reader(real.output[0], "Conv")
    known = None if conv is None else wires.integers(conv)
    stored = None if conv is None else wires.stored(conv)
    if turned is None or conv is None or known is None or stored is None:
        return result, False
    plan = _plan(conv, known.weights[0].shape[3], [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim])
    if plan is None:
        return result, False
    channels = len(known.weights[0])
    weights, bias = (None if part is None else _copied(part, plan.copies) for part in (known.weights, known.bias))
    assert weights is not None  # noqa: S101  a convolution has them
    Integers((_folded(known.weights[0], plan), *weights[1:]), bias).write(wires, conv, "columns")
    _fold_attributes(conv, plan)
    shapes = []
    for name, size in (("columns/in", _FOLD * _COLOURS), ("columns/out", channels)):
        shapes.append(name)
        graph.initializer.append(numpy_helper.from_array(np.array([0, 0, -1, size], np.int64), name))
    fold = helper.make_node("Reshape", [turned.input[0], shapes[0]], ["columns/bytes"])
    turned.input[0] = "columns/bytes"
    unfold = [
        helper.make_node("Transpose", [stored.input[0]], ["columns/rows"], perm=_TO_CHANNELS_LAST),
        helper.make_node("Reshape", ["columns/rows", shapes[1]], ["columns/apart"]),
        helper.make_node("Transpose", ["columns/apart"], ["columns/results"], perm=_TO_CHANNELS_FIRST),
    ]
    stored.input[0] = "columns/results"
    nodes = list(graph.node)
    at = next(i for i, node in enumerate(nodes) if node.output[0] == stored.output[0])
    replace_nodes(graph, [fold, *nodes[:at], *unfold, *nodes[at:]])
    return result, True


def _plan(conv: onnx.NodeProto, taps: int, sizes: list[int]) -> _Plan | None:
    """How to fold a convolution of so many columns over pictures [N, H, W, 3]; None where it does not come out even."""
    numbers = {a.name: list(a.ints) for a in conv.attribute if a.ints}
    stride = numbers.get("strides", [1, 1])[1]
    _, left, _, right = numbers.get("pads", [0, 0, 0, 0])
    said = {a.name: a for a in conv.attribute}
    plain = "auto_pad" not in said and ("group" not in said or said["group"].i == 1)
    width = sizes[2] if len(sizes) == len(_TO_CHANNELS_LAST) and sizes[3] == _COLOURS else 0
    even = width > 0 and width % _FOLD == 0 and _FOLD % stride == 0
    if not (plain and even and set(numbers.get("dilations", [1])) == {1}):
        return None
    if (width + left + right - taps) // stride + 1 != width // stride:
        return None
    last = stride * (_FOLD // stride - 1) - left + taps - 1
    return _Plan(stride, left, min(-left // _FOLD, 0), max(last // _FOLD, 0))


def _folded(weights: NDArray[np.generic], plan: _Plan) -> NDArray[np.generic]:
    """Weights [C, 3, h, w] -> [copies * C, 12, h, groups]."""
    out, _, height, taps = weights.shape
    result = np.zeros((plan.copies, out, _FOLD, _COLOURS, height, plan.last - plan.first + 1), weights.dtype)
    for copy in range(plan.copies):
        for tap in range(taps):
            group, place = divmod(plan.stride * copy - plan.pad + tap, _FOLD)
            result[copy, :, place, :, :, group - plan.first] = weights[:, :, :, tap]
    return result.reshape(plan.copies * out, _FOLD * _COLOURS, height, -1)


def _copied(stored: Stored, copies: int) -> Stored:
    """The same `copies` times; one scale for all stays one."""
    values, scales, zeros = (np.tile(v, [copies] + [1] * (v.ndim - 1)) if v.ndim else v for v in stored)
    return values, scales, zeros


def _fold_attributes(conv: onnx.NodeProto, plan: _Plan) -> None:
    numbers = {a.name: list(a.ints) for a in conv.attribute if a.ints}
    strides, pads = numbers.get("strides", [1, 1]), numbers.get("pads", [0, 0, 0, 0])
    if "kernel_shape" in numbers:
        set_attribute(conv, "kernel_shape", [numbers["kernel_shape"][0], plan.last - plan.first + 1])
    set_attribute(conv, "strides", [strides[0], 1])
    set_attribute(conv, "pads", [pads[0], -plan.first, pads[2], plan.last])
