"""The first convolution's padding written out, so that OpenVINO runs that layer in 8 bits too.

A picture's bytes are read with a zero point, the grey that pads them (`export.front`). OpenVINO (2026.4) computes such a
convolution in float: with what turns the picture around and rounds the result, a fifth of a small detector's time. So the
grey stands in the picture,

    sum W (x - z) = sum W x - z sum W

and the zero point is a constant in the bias. The picture is made real before it is turned: behind the turn, OpenVINO
would take the bytes for floats. The integers that the layer gives stay the same.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.regions import replace_nodes
from export.wires import Integers, Wires, set_attribute

__all__ = ["pad_picture"]

_LARGEST = 2**31 - 1


def pad_picture(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    """`model` (QDQ), whose first convolution reads bytes (see `export.front`), with its padding written out, if it can be."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    wires = Wires(graph)
    turned = wires.only_reader(graph.input[0].name, "Transpose")
    real = None if turned is None else wires.only_reader(turned.output[0], "DequantizeLinear")
    conv = None if real is None else wires.only_reader(real.output[0], "Conv")
    known = None if conv is None else wires.integers(conv)
    said = set() if conv is None else {a.name for a in conv.attribute}
    if turned is None or real is None or conv is None or known is None or known.bias is None or "auto_pad" in said:
        return result, False
    zero = numpy_helper.to_array(wires.constants[real.input[2]])
    weights, (bias, *scales) = known.weights[0].astype(np.int64), known.bias
    shifted = bias.astype(np.int64) - int(zero) * weights.sum(axis=(1, 2, 3))
    if np.abs(shifted).max() > _LARGEST:
        return result, False
    Integers(known.weights, (shifted.astype(np.int32), scales[0], scales[1])).write(wires, conv, "padding")
    top, left, bottom, right = next((a.ints for a in conv.attribute if a.name == "pads"), [0, 0, 0, 0])
    set_attribute(conv, "pads", [0, 0, 0, 0])
    constants = {"padding/sizes": np.array([0, top, left, 0, 0, bottom, right, 0], np.int64), "padding/grey": zero}
    constants["padding/zero"] = np.zeros_like(zero)
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    pad = helper.make_node("Pad", [turned.input[0], "padding/sizes", "padding/grey"], ["padding/bytes"])
    first = helper.make_node("DequantizeLinear", [pad.output[0], real.input[1], "padding/zero"], ["padding/real"])
    turned.input[0], turned.output[0] = first.output[0], real.output[0]
    replace_nodes(graph, [pad, first, *(n for n in graph.node if n is not real)])
    return result, True
