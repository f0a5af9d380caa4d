"""The scale of the image's normalisation moves into the first layer.

    conv(W, s x)  =  conv(W', x)          with W'[o, c] = W[o, c] s[c]
    norm(s x; gamma, mean, variance)  =  norm(x; gamma s, mean / s, variance)

It holds with zero padding too, since s 0 = 0; a shift would not, and stays. Requires: an input channel's scale is
constant, only this layer reads the scaled value, and its weights are constant; a convolution has one group.
Ensures: no `Mul` by constants stands in front of such a layer.
"""

from __future__ import annotations

import numpy as np

from export.graph import Array
from export.program import Op, Program

__all__ = ["fold_input_scale"]


def fold_input_scale(program: Program) -> None:
    """Fold each `Mul` by one number a channel into the `Conv` or `BatchNormalization` behind it."""
    readers = program.readers()
    producers = program.producers()
    folded: list[Op] = []
    for layer in program.ops:
        scaling = producers.get(layer.inputs[0]) if layer.inputs else None
        if layer.type not in {"Conv", "BatchNormalization"} or scaling is None or scaling.type != "Mul":
            continue
        scale = program.constants.get(scaling.inputs[1])
        constants = [name for name in layer.inputs[1:] if name]
        if (
            scale is None
            or scale.ndim != 4
            or scale.size != scale.shape[1]
            or readers[scaling.outputs[0]] != 1
            or any(name not in program.constants or readers[name] != 1 for name in constants)
            or layer.attrs.get("group", 1) != 1
        ):
            continue
        _fold(program, layer, scale.reshape(-1).astype(np.float64))
        layer.inputs[0] = scaling.inputs[0]
        folded.append(scaling)
    program.remove(folded)


def _fold(program: Program, layer: Op, scale: Array) -> None:
    if layer.type == "Conv":
        weight = program.constants[layer.inputs[1]]
        factor = scale.reshape(1, -1, *[1] * (weight.ndim - 2))
        program.constants[layer.inputs[1]] = (weight * factor).astype(np.float32)
        return
    gamma, mean = layer.inputs[1], layer.inputs[3]
    program.constants[gamma] = (program.constants[gamma] * scale).astype(np.float32)
    program.constants[mean] = (program.constants[mean] / scale).astype(np.float32)
