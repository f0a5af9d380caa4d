"""How many multiplications a model's layers do for one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from export.observe import Feed, activations
from export.regions import constants_of

__all__ = ["multiplications"]


def multiplications(model: onnx.ModelProto, layers: Sequence[str], feed: Feed) -> dict[str, int]:
    """By layer (the name of its output), for the first of what `feed` gives; `layers` have constant weights."""
    if not layers:
        return {}
    constants = constants_of(model.graph)
    nodes = {node.output[0]: node for node in model.graph.node}
    first = next(iter(feed("sizes")))
    values = next(activations(model, layers, [first]))
    found = {}
    for name, value in zip(layers, values, strict=True):
        node = nodes[name]
        dims = next(constants[n].dims for n in node.input if n in constants)
        # A weight for each output, over those that share it.
        shared = dims[0] if node.op_type == "Conv" else value.shape[-1]
        found[name] = int(np.prod(dims)) // int(shared) * value.size
    return found
