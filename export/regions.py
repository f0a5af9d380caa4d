"""Which nodes of a graph run in 8 bits: found by structure, never by name.

The core is what has weights (2-D Conv, Gemm, MatMul with a constant). A node runs in 8 bits when it is a core, or
when onnxruntime has an integer kernel for it and it lies on the data's way from one core to another. Whatever has no
core after it (decoding, softmax, NMS, box arithmetic) therefore stays float, and so does what comes before the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["Region", "find_region", "replace_nodes"]

Constants = dict[str, onnx.TensorProto]

# Moves or selects values without computing new ones: input and output share scale and zero point.
CARRIES = frozenset(
    {"MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Split", "Slice", "Tile", "Expand"}
    | {"DepthToSpace", "SpaceToDepth"}
    | {"Resize"}  # to the nearest only
)
# Computes in 8 bits with scales of its own, in onnxruntime's CPU provider.
COMPUTES = frozenset({"Add", "Mul", "AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid"})
# Vanishes into the saturation of the 8-bit output before it.
SATURATES = frozenset({"Relu", "Clip"})
_SEVERAL = frozenset({"Add", "Mul", "Concat", "Sub", "Div", "Max", "Min", "Sum"})
# Beyond these, values are indices and shapes, no activations.
_PICKS = frozenset({"Gather", "GatherND", "GatherElements"})
_BARRIERS = frozenset({"Shape", "Size", "NonMaxSuppression", "TopK", "ArgMax", "ArgMin", "NonZero"})
_CORES = frozenset({"Conv", "Gemm", "MatMul"})
_NO_KERNEL = frozenset({"ConvTranspose"})
_FEW = 16
_FUSABLE = frozenset({"Conv", "Gemm", "MatMul", "Add", "Mul"})


@dataclass(frozen=True, slots=True)
class Region:
    """The nodes to run in 8 bits, by index into `graph.node`.

    `cores` are those with weights; `fused` maps a Relu or Clip to the node whose saturation replaces it; `float_out`
    are products whose result nobody reads in 8 bits, for they can give float themselves; `ends` are the convolutions
    whose result leaves the region for good (a head's boxes, scores, masks), `offsets` those of them that are only
    picked from, where others said where (a box's distance from its anchor); `kept_float` says why a layer with
    weights (by its output's name) stays float.
    """

    nodes: frozenset[int]
    cores: tuple[int, ...]
    fused: dict[int, int]
    float_out: frozenset[int]
    ends: frozenset[int]
    offsets: frozenset[int]
    kept_float: dict[str, str]

    def ending_in_float(self) -> Region:
        """The same for kernels of convolutions that give float themselves, as OpenVINO's do."""
        return replace(self, float_out=self.float_out | self.ends, ends=frozenset())


def find_region(graph: onnx.GraphProto, *, keep_float: Collection[str] = ()) -> Region:
    """The part of `graph` (nodes in topological order) to run in 8 bits.

    `keep_float` holds the first output's name of each core that must stay float, whatever else holds.
    """
    constants = constants_of(graph)
    producer = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    reads = Counter(name for node in graph.node for name in node.input)
    reads.update(o.name for o in graph.output)
    weighted = [i for i, node in enumerate(graph.node) if node.op_type in _CORES and not _is_no_layer(node, constants)]
    kept = {
        node.output[0]: f"onnxruntime has no 8-bit kernel for {node.op_type}"
        for node in graph.node
        if node.op_type in _NO_KERNEL and node.input[1] in constants
    }
    cores = []
    for i in weighted:
        reason = _unfit(graph.node[i], constants)
        if reason is None and graph.node[i].output[0] in keep_float:
            reason = "put back: 8 bits cost too much accuracy here"
        if reason is None:
            cores.append(i)
        else:
            kept[graph.node[i].output[0]] = reason
    before = _ancestors(graph, producer, constants, weighted)
    nodes = set(cores)
    fused: dict[int, int] = {}
    for i, node in enumerate(graph.node):
        sources = [producer.get(name, -1) for name in data_inputs(node, constants)]
        if i in nodes or not any(s in nodes for s in sources):
            continue
        if node.op_type in SATURATES:
            # An activation of the last convolution belongs to it though no core follows.
            wanted = i in before or sources[0] in cores
            fusable = graph.node[sources[0]].op_type in _FUSABLE and reads[node.input[0]] == 1
            if wanted and fusable and _replaceable(node, constants):
                nodes.add(i)
                fused[i] = sources[0]
        elif i in before and _runs_in_8_bits(node, constants, whole=all(s in nodes for s in sources)):
            nodes.add(i)
    in_8_bits = {name for i in nodes for name in data_inputs(graph.node[i], constants)}
    products = [i for i in cores if graph.node[i].op_type != "Conv" and i not in fused.values()]
    float_out = frozenset(i for i in products if graph.node[i].output[0] not in in_8_bits)
    rectified = set(fused.values())
    ends = frozenset(i for i in cores if graph.node[i].op_type == "Conv" and i not in before and i not in rectified)
    offsets = frozenset(i for i in ends if _only_picked(graph, constants, graph.node[i].output[0]))
    return Region(frozenset(nodes), tuple(cores), fused, float_out, ends, offsets, kept)


def _only_picked(graph: onnx.GraphProto, constants: Constants, name: str) -> bool:
    """Whether of these values only some are ever taken, by an index that comes from elsewhere, and none is compared."""
    names = {name}
    for node in graph.node:
        if names.isdisjoint(node.input):
            continue
        if node.op_type in CARRIES and not names.isdisjoint(data_inputs(node, constants)):
            names.update(node.output)
        elif node.op_type not in _PICKS or not names.isdisjoint(node.input[1:]):
            return False
    return names.isdisjoint(o.name for o in graph.output)


def constants_of(graph: onnx.GraphProto) -> Constants:
    """The tensors whose value the file holds, by name."""
    held = {t.name: t for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            held.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
    return held


def replace_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Gives a graph other nodes, in place; constants that nobody reads any more go, and so do the shapes noted before."""
    read = {name for node in nodes for name in node.input} | {o.name for o in graph.output}
    del graph.node[:]
    graph.node.extend(n for n in nodes if n.op_type != "Constant" or n.output[0] in read)
    kept = [t for t in graph.initializer if t.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]


def data_inputs(node: onnx.NodeProto, constants: Constants) -> list[str]:
    """The inputs that carry activations: neither constants, nor shapes, indices or regions of interest."""
    if node.op_type in _BARRIERS:
        return []
    names = node.input if node.op_type in _SEVERAL or node.op_type == "MatMul" else node.input[:1]
    return [n for n in names if n and n not in constants]


def _is_no_layer(node: onnx.NodeProto, constants: Constants) -> bool:
    """Whether a product resamples or pools (no weight below zero, each output's sum is one), or compares a few classes."""
    if node.op_type != "MatMul":
        return False
    for name, axis in zip(node.input, (-1, 0), strict=True):
        if name in constants and len(constants[name].dims) == 2:
            values = numpy_helper.to_array(constants[name])
            few = max(values.shape) <= _FEW and np.isin(values, (-1, 0, 1)).all()
            return bool(few or ((values >= 0).all() and np.allclose(values.sum(axis=axis), 1, atol=1e-4)))
    return False


def _ancestors(graph: onnx.GraphProto, producer: dict[str, int], constants: Constants, starts: list[int]) -> set[int]:
    seen: set[int] = set()
    waiting = list(starts)
    while waiting:
        for name in data_inputs(graph.node[waiting.pop()], constants):
            i = producer.get(name)
            if i is not None and i not in seen:
                seen.add(i)
                waiting.append(i)
    return seen


def _unfit(node: onnx.NodeProto, constants: Constants) -> str | None:
    """Why a node with weights cannot run in 8 bits, or None."""
    bias = node.input[2] if len(node.input) > 2 else ""
    if node.input[1] not in constants or node.input[0] in constants or (bias and bias not in constants):
        return "its weights or bias are not constant, or its input is"
    attributes = {a.name: a for a in node.attribute}
    if node.op_type == "Gemm" and any(attributes[k].f != 1 for k in ("alpha", "beta") if k in attributes):
        return "alpha or beta is not 1"
    if node.op_type == "Gemm" and "transA" in attributes and attributes["transA"].i:
        return "its input is transposed"
    rank = len(constants[node.input[1]].dims)
    return None if rank == (4 if node.op_type == "Conv" else 2) else f"its weights have {rank} axes"


def _replaceable(node: onnx.NodeProto, constants: Constants) -> bool:
    """Whether saturation can stand in for this activation: it must keep zero."""
    return node.op_type == "Relu" or all(name in constants for name in node.input[1:] if name)


def _runs_in_8_bits(node: onnx.NodeProto, constants: Constants, *, whole: bool) -> bool:
    """Whether a node gains by 8 bits, `whole` when all it reads is so already.

    Sums and products with constants are cheap in float and lose much in 8 bits.
    """
    if node.op_type == "Resize" and next((a.s for a in node.attribute if a.name == "mode"), b"nearest") != b"nearest":
        return False  # it computes new values
    if node.op_type in CARRIES:
        return whole
    return node.op_type in COMPUTES and not (node.op_type in {"Add", "Mul"} and any(n in constants for n in node.input))


def clip_bounds(node: onnx.NodeProto, constants: Constants) -> tuple[float, float]:
    """The limits of a Relu or Clip whose limits are constants."""
    if node.op_type == "Relu":
        return 0.0, float("inf")
    bounds = [float("-inf"), float("inf")]
    for i, name in enumerate(node.input[1:3]):
        if name:
            bounds[i] = float(numpy_helper.to_array(constants[name]).reshape(-1)[0])
    return bounds[0], bounds[1]
