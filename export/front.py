"""Feeds the picture's bytes to the first convolution as they are.

A byte x is an 8-bit integer of scale 1 already. Where the graph makes it float and moves it by each channel's mean m,
only for the first convolution to round it again,

    sum W (x - m) = sum W (x - z) + sum W (z - m)

with z, one for all channels, as zero point, and the last sum a constant in the bias. No precision is lost, and three
passes over the picture are saved (a fifth of a small detector's time). The one difference: padding, which was the mean
colour, becomes the grey z nearest to it, on the outermost row and column of that one convolution.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from export.regions import Constants, constants_of, find_region

__all__ = ["feed_bytes"]

_CHANNELS = 3


def feed_bytes(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    """`model` with its front in 8 bits, and whether it has one that this is known of: else it is as it was."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    constants = constants_of(graph)
    found = _front(graph, constants)
    if found is None:
        return result, False
    tensor, scale, mean = found
    zero = int(np.clip(np.rint(mean.mean()), 0, 255))
    readers = [n for n in graph.node if tensor in n.input]
    for k, node in enumerate(readers):
        weights = np.asarray(numpy_helper.to_array(constants[node.input[1]]), np.float64) * scale[None, :, None, None]
        shift = (weights.sum(axis=(2, 3)) * (zero - mean)).sum(axis=1)
        if len(node.input) > 2 and node.input[2]:
            shift = shift + numpy_helper.to_array(constants[node.input[2]])
        names = [f"bytes/weights{k}", f"bytes/bias{k}"]
        for name, value in zip(names, (weights, shift), strict=True):
            with np.errstate(over="ignore"):  # calibration tells of values that are not finite, by name
                graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
        node.input[:] = ["bytes", *names]
    graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), "bytes/scale"))
    graph.initializer.append(numpy_helper.from_array(np.array(zero, np.uint8), "bytes/zero"))
    turned = helper.make_node("Transpose", [graph.input[0].name], ["bytes/turned"], perm=[0, 3, 1, 2])
    real = helper.make_node("DequantizeLinear", ["bytes/turned", "bytes/scale", "bytes/zero"], ["bytes"])
    nodes = [turned, real, *graph.node]
    _replace(graph, nodes)
    return result, True


def _front(graph: onnx.GraphProto, constants: Constants) -> tuple[str, NDArray[np.float64], NDArray[np.float64]] | None:
    """The tensor that the first convolutions read, with scale and mean by channel: it is (x - mean) * scale."""
    tensor = graph.input[0].name
    names = {name for node in graph.node for name in (*node.input, *node.output)}
    if graph.input[0].type.tensor_type.elem_type != onnx.TensorProto.UINT8 or any(n.startswith("bytes") for n in names):
        return None
    factor, offset = np.ones(_CHANNELS), np.zeros(_CHANNELS)
    turned = False
    while True:
        readers = [n for n in graph.node if tensor in n.input]
        if len(readers) != 1 or readers[0].op_type == "Conv":
            break
        node = readers[0]
        value = _by_channel(node, tensor, constants, last=not turned)
        if node.op_type == "Transpose" and list(node.attribute[0].ints) == [0, 3, 1, 2]:
            turned = True
        elif node.op_type in {"Sub", "Add"} and value is not None:
            offset = offset + (value if node.op_type == "Add" else -value)
        elif node.op_type in {"Mul", "Div"} and value is not None:
            value = value if node.op_type == "Mul" else 1 / value
            factor, offset = factor * value, offset * value
        elif node.op_type != "Cast":
            return None
        tensor = node.output[0]
    region = find_region(graph)
    weighted = {id(graph.node[i]) for i in region.cores}
    whole = all(id(n) in weighted and n.op_type == "Conv" and n.input[0] == tensor for n in readers)
    plain = all(constants[n.input[1]].dims[1] == _CHANNELS for n in readers) if whole else False
    if not (turned and readers and plain and (factor != 0).all()) or tensor in {o.name for o in graph.output}:
        return None
    return tensor, factor, -offset / factor


def _by_channel(node: onnx.NodeProto, tensor: str, constants: Constants, *, last: bool) -> NDArray[np.float64] | None:
    """The constant operand of an elementwise node, one value a channel."""
    if len(node.input) != 2 or node.input[0] != tensor or node.input[1] not in constants:
        return None
    value = np.asarray(numpy_helper.to_array(constants[node.input[1]]), np.float64)
    shape = (1, 1, 1, _CHANNELS) if last else (1, _CHANNELS, 1, 1)
    try:
        full = np.broadcast_to(value, shape)
    except ValueError:
        return None
    return np.asarray(full).reshape(-1)


def _replace(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Put `nodes` in place of the graph's, without those that nothing reads any more."""
    wanted = {o.name for o in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            kept.append(copy)
            wanted.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    used = [t for t in graph.initializer if t.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(used)
