"""Batch normalisation behind a layer with weights becomes part of that layer.

With s = gamma / sqrt(variance + eps), per output channel:

    gamma ((W x + b) - mean) / sqrt(variance + eps) + beta  =  (s W) x + (s (b - mean) + beta)

Requires: the layer's weights are constant and nothing else reads its output. Computed in float64, so that folding is
rounded once. Ensures: no such pair is left.
"""

from __future__ import annotations

import numpy as np

from export.graph import Array
from export.program import Op, Program

__all__ = ["fold_batch_norm"]

_LAYERS = {"Conv", "ConvTranspose", "Gemm"}


def fold_batch_norm(program: Program) -> None:
    """Fold every `BatchNormalization` that follows a `Conv`, `ConvTranspose` or `Gemm`."""
    readers = program.readers()
    producers = program.producers()
    folded: list[Op] = []
    for norm in program.ops:
        if norm.type != "BatchNormalization" or not all(name in program.constants for name in norm.inputs[1:5]):
            continue
        layer = producers.get(norm.inputs[0])
        if layer is None or not _foldable(program, layer) or readers[layer.outputs[0]] != 1:
            continue
        _fold(program, layer, norm, readers)
        producers[norm.outputs[0]] = layer
        folded.append(norm)
    program.remove(folded)


def _foldable(program: Program, layer: Op) -> bool:
    if layer.type not in _LAYERS or not all(name in program.constants for name in layer.inputs[1:] if name):
        return False
    return layer.type != "Gemm" or (
        layer.attrs.get("transB") == 1 and layer.attrs.get("alpha", 1.0) == 1 and layer.attrs.get("beta", 1.0) == 1
    )


def _fold(program: Program, layer: Op, norm: Op, readers: dict[str, int]) -> None:
    gamma, beta, mean, variance = (program.constants[name].astype(np.float64) for name in norm.inputs[1:5])
    scale = gamma / np.sqrt(variance + norm.attrs.get("epsilon", 1e-5))
    weight = program.constants[layer.inputs[1]]
    has_bias = len(layer.inputs) > 2 and bool(layer.inputs[2])
    bias = program.constants[layer.inputs[2]].astype(np.float64) if has_bias else np.zeros_like(scale)
    names = [
        _store(program, layer.inputs[1], readers, _scaled(layer, weight, scale)),
        _store(
            program,
            layer.inputs[2] if has_bias else f"{layer.name}_bias",
            readers,
            (scale * (bias - mean) + beta).astype(np.float32),
        ),
    ]
    layer.inputs = [layer.inputs[0], *names]
    layer.outputs = list(norm.outputs[:1])


def _scaled(layer: Op, weight: Array, scale: Array) -> Array:
    if layer.type != "ConvTranspose":
        per_output = scale.reshape(-1, *[1] * (weight.ndim - 1))
        return np.asarray(weight * per_output, np.float32)
    # [in, out / groups, ...]: the output channels of group g read the g-th part of the inputs.
    groups = layer.attrs.get("group", 1)
    grouped = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    per_output = scale.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
    return np.asarray(grouped * per_output, np.float32).reshape(weight.shape)


def _store(program: Program, name: str, readers: dict[str, int], array: Array) -> str:
    """Put a constant under its old name, or under a new one when others read the old content."""
    if readers.get(name, 0) > 1 or (readers.get(name, 0) == 0 and name in program.names()):
        name = program.fresh(f"{name}_folded")
    program.constants[name] = array
    return name
