"""Float bundle -> the same in half precision, for GPUs: the net in float16, what decodes its results in float32.

By structure, as for 8 bits (`export.regions`): a node computes in float16 when it is a layer with weights, or lies on
the data's way from one layer to another and is of a kind that half precision serves. Coordinates, scores and indices
do not survive 11 bits, so that whatever follows the last layers stays float32, and so do Resize, Softmax and every
kind not named here, wherever they stand. What would overflow (65504) is found on pictures and stays float32 too.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.bundle.bundle import Bundle
from export.calibrate import Reader
from export.effort import Effort
from export.errors import ExportError
from export.observe import observe
from export.progress import Progress, silent
from export.quantize import Quantized
from export.regions import constants_of, find_region, replace_nodes
from export.work import multiplications

__all__ = ["Halving", "half", "half_name", "halving"]

_LIMIT = float(np.finfo(np.float16).max) / 4  # room for pictures not seen, and for the sums within a layer
_SERVED = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "HardSigmoid", "Add"}
    | {"Sub", "Mul", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Reshape", "Flatten", "Transpose"}
    | {"Squeeze", "Unsqueeze", "Slice", "Split", "Pad", "Identity"}
)


@dataclass(frozen=True, slots=True, eq=False)
class Halving:
    """A float bundle and what of it can be computed in float16; gives models in half precision at once.

    `chosen` are those nodes, `overflows` says why others of their kind stay float32, `products` are the multiplications
    of each layer for one picture.
    """

    bundle: Bundle
    model: onnx.ModelProto
    chosen: frozenset[int]
    overflows: dict[str, str]
    products: dict[str, int]
    effort: Effort
    images: int
    skipped: dict[Path, str]
    method: str = "overflow"

    @property
    def cores(self) -> list[str]:
        """The output names of all layers that can be computed in float16, in the graph's order."""
        return list(self.products)

    def quantize(self, keep_float: Collection[str] = ()) -> Quantized:
        """The model in half precision but for the layers whose output is named in `keep_float`."""
        nodes = self.model.graph.node
        put_back = {i for i in self.chosen if nodes[i].output[0] in keep_float}
        result = _Halver(self.model, set(self.chosen - put_back)).write()
        kept = {nodes[i].output[0]: "put back: half precision costs too much accuracy here" for i in sorted(put_back)}
        return Quantized(
            result, self._report(result, self.chosen - put_back, {**self.overflows, **kept}), self.bundle, result
        )

    def _report(self, result: onnx.ModelProto, chosen: Collection[int], kept: dict[str, str]) -> dict[str, Any]:
        nodes = list(enumerate(self.model.graph.node))
        size = len(self.bundle.model), result.ByteSize()
        return {
            "precision": "fp16",
            "scheme": "float16",
            "method": self.method,
            "per_channel": False,
            "bias_correction": False,
            "equalized": 0,
            "rounding": "nearest",
            "images": self.images,
            "images_skipped": {path.name: why for path, why in self.skipped.items()},
            "quantized": dict(sorted(Counter(n.op_type for i, n in nodes if i in chosen).items())),
            "float": dict(sorted(Counter(n.op_type for i, n in nodes if i not in chosen).items())),
            "kept_float": kept,
            "bytes": {"float": size[0], "quantized": size[1], "ratio": round(size[1] / size[0], 4)},
            "machine": platform.machine(),
            "tools": {name: version(name) for name in ("onnx", "onnxruntime", "numpy")},
        }


def half(bundle: Bundle, images: Sequence[Path], *, progress: Progress = silent) -> Quantized:
    """`bundle` in half precision; `images` show what would overflow.

    The picture stays uint8 and the results float32.

    Raises:
        ExportError: as `halving`.
    """
    return halving(bundle, images, progress=progress).quantize()


def halving(bundle: Bundle, images: Sequence[Path], *, effort: float = 1.0, progress: Progress = silent) -> Halving:
    """What of `bundle` can be computed in half precision; `images` show what would overflow.

    Raises:
        ExportError: when the bundle is not float, has no layer, or no picture can be read.
    """
    if bundle.manifest.precision != "fp32":
        raise ExportError(
            f"{bundle.path}: already {bundle.manifest.precision}; start from the float bundle it came from"
        )
    model = onnx.load_from_string(bundle.model)
    graph = model.graph
    if not find_region(graph).cores:
        raise ExportError(f"{bundle.path}: nothing to halve: no convolution or matrix product with constant weights")
    served = _served(model)
    reader = Reader(bundle, images, progress=progress)
    every = [graph.node[i].output[0] for i in find_region(graph).cores]
    products = multiplications(model, every, reader.each)
    allowed = Effort(sum(products.values()), effort)
    reader = reader.some(allowed.pictures(len(images)))
    results = sorted({name for i in served for name in graph.node[i].output if name})
    observed = observe(model, results, reader.each)
    reader.warn_of_skipped()
    large = {name for name, span in observed.ranges.items() if max(map(abs, span)) > _LIMIT}
    overflows = {}
    for i in sorted(served):
        node = graph.node[i]
        if large.intersection((*node.input, *node.output)):
            overflows[node.output[0]] = "its values are too large for half precision"
        elif _weights_overflow(node, constants_of(graph)):
            overflows[node.output[0]] = "its weights are too large for half precision"
    chosen = frozenset(i for i in served if graph.node[i].output[0] not in overflows)
    layers = {graph.node[i].output[0] for i in chosen}
    products = {name: number for name, number in products.items() if name in layers}
    return Halving(bundle, model, chosen, overflows, products, allowed, observed.images, reader.skipped)


def half_name(name: str) -> str:
    """What a float tensor's values in half precision are called."""
    return f"{name}/half"


def _served(model: onnx.ModelProto) -> set[int]:
    """The nodes to compute in float16."""
    graph = model.graph
    floats = _floats(model)
    constants = constants_of(graph)
    producer = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    region = find_region(graph)
    layers = {i for i, n in enumerate(graph.node) if n.op_type in {"Conv", "ConvTranspose", "Gemm"}} | set(region.cores)
    before: set[int] = set()
    waiting = list(layers)
    while waiting:
        for name in graph.node[waiting.pop()].input:
            i = producer.get(name)
            if i is not None and i not in before:
                before.add(i)
                waiting.append(i)
    after: set[int] = set()
    for i, node in enumerate(graph.node):
        if i in layers or any(producer.get(name) in after for name in node.input):
            after.add(i)
    wanted = layers | (before & after) | region.fused.keys()
    return {
        i
        for i in wanted
        if graph.node[i].op_type in _SERVED
        and all(name in floats for name in graph.node[i].output if name)
        and any(name not in constants for name in graph.node[i].input)
    }


def _floats(model: onnx.ModelProto) -> set[str]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = [*graph.input, *graph.output, *graph.value_info]
    found = {v.name for v in known if v.type.tensor_type.elem_type == TensorProto.FLOAT}
    return found | {name for name, t in constants_of(model.graph).items() if t.data_type == TensorProto.FLOAT}


def _weights_overflow(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    if node.op_type == "Clip":
        return False  # its limits may be as large as they like
    arrays = [numpy_helper.to_array(constants[n]) for n in node.input if n in constants]
    return any(a.dtype == np.float32 and a.size and float(np.abs(a).max()) > np.finfo(np.float16).max for a in arrays)


class _Halver:
    def __init__(self, model: onnx.ModelProto, chosen: set[int]) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        self.chosen = chosen
        self.constants = constants_of(self.graph)
        self.floats = _floats(model)
        self.nodes: list[onnx.NodeProto] = []
        self.halves: dict[str, str] = {}  # float tensor -> the same in float16
        self.taken = {name for node in self.graph.node for name in (*node.input, *node.output)}

    def write(self) -> onnx.ModelProto:
        wanted_in_float = {o.name for o in self.graph.output}
        wanted_in_float |= {n for i, node in enumerate(self.graph.node) if i not in self.chosen for n in node.input}
        for i, original in enumerate(self.graph.node):
            node = onnx.NodeProto()
            node.CopyFrom(original)
            if i not in self.chosen:
                self.nodes.append(node)
                continue
            node.input[:] = [self._half(name) if name in self.floats else name for name in original.input]
            node.output[:] = [self._fresh(name) if name else "" for name in original.output]
            self.nodes.append(node)
            for name, made in zip(original.output, node.output, strict=True):
                self.halves[name] = made
                if name in wanted_in_float:
                    self.nodes.append(helper.make_node("Cast", [made], [name], to=TensorProto.FLOAT))
        replace_nodes(self.graph, self.nodes)
        return self.model

    def _half(self, name: str) -> str:
        if name not in self.halves:
            self.halves[name] = self._fresh(name)
            if name in self.constants:
                limits = np.finfo(np.float16)
                values = np.clip(numpy_helper.to_array(self.constants[name]), limits.min, limits.max)
                self.graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), self.halves[name]))
            else:
                self.nodes.append(helper.make_node("Cast", [name], [self.halves[name]], to=TensorProto.FLOAT16))
        return self.halves[name]

    def _fresh(self, name: str) -> str:
        made = half_name(name)
        while made in self.taken:
            made += "_"
        self.taken.add(made)
        return made
