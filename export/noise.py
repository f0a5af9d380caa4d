"""How much of each layer's result is left under what quantization adds to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from export.half import half_name
from export.observe import Feed, activations
from export.regions import constants_of, find_region

__all__ = ["layer_noise"]

_THROUGH = frozenset({"QuantizeLinear", "DequantizeLinear", "Relu", "Clip", "Split", "Sum", "Transpose", "Reshape"})
_BEST_DB = 100.0  # beyond that two results are the same to float32


def layer_noise(before: onnx.ModelProto, after: onnx.ModelProto, feed: Feed) -> list[dict[str, Any]]:
    """One row a layer with weights, in order: `layer`, `op`, `runs_in` (int8, fp16 or float), `snr_db`.

    10 log10 of the layer's mean square over that of the difference between the models, at the layer's output (after
    its activation), with all that the layers before it added.
    """
    graph = before.graph
    region = find_region(graph)
    activation = {source: graph.node[i].output[0] for i, source in region.fused.items()}
    quantized = {name for i in _in_8_bits(after) for name in after.graph.node[i].output}
    there = {name for node in after.graph.node for name in node.output}
    rows = []
    for i in region.cores:
        name = activation.get(i, graph.node[i].output[0])
        if name in there or half_name(name) in there:
            rows.append((graph.node[i].output[0], graph.node[i].op_type, name))
    names = [name for _, _, name in rows]
    theirs = [name if name in there else half_name(name) for name in names]
    signal, noise = np.zeros(len(names)), np.zeros(len(names))
    both = zip(activations(before, names, feed("layers")), activations(after, theirs, feed("layers")), strict=True)
    for exact, rounded in both:
        signal += [float(np.square(v, dtype=np.float64).mean()) for v in exact]
        noise += [float(np.square(v - w, dtype=np.float64).mean()) for v, w in zip(exact, rounded, strict=True)]
    ratio = np.where(signal > 0, signal / np.maximum(noise, np.maximum(signal, 1e-30) * 10 ** (-_BEST_DB / 10)), 1.0)
    found = 10 * np.log10(np.maximum(ratio, 1e-10))
    in_8_bits = _reached(after, quantized)
    in_half = {node.output[0] for node in after.graph.node if node.op_type != "Cast"}

    def runs_in(layer: str, name: str) -> str:
        return "fp16" if half_name(layer) in in_half else "int8" if name in in_8_bits else "float"

    return [
        {"layer": layer, "op": op, "runs_in": runs_in(layer, name), "snr_db": round(float(db), 2)}
        for (layer, op, name), db in zip(rows, found, strict=True)
    ]


def _in_8_bits(model: onnx.ModelProto) -> list[int]:
    """The nodes with weights that read them through DequantizeLinear."""
    made = {name: node.op_type for node in model.graph.node for name in node.output}
    constants = constants_of(model.graph)
    return [
        i
        for i, node in enumerate(model.graph.node)
        if node.op_type in {"Conv", "Gemm", "MatMul"}
        and all(made.get(name) == "DequantizeLinear" for name in node.input[:2] if name not in constants)
        and any(name not in constants for name in node.input[:2])
        and made.get(node.input[1]) == "DequantizeLinear"
    ]


def _reached(model: onnx.ModelProto, names: set[str]) -> set[str]:
    """What is made of `names` through activations and the steps that store them, and no layer."""
    seen = set(names)
    for node in model.graph.node:
        through = node.op_type in _THROUGH
        if through and seen.intersection(node.input[:1]):
            seen.update(node.output)
    return seen
