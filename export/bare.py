"""The bare graph of a net: float inputs in MXNet's layout, MXNet's own outputs under MXNet's names, at given shapes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from export.build import Builder, Shape
from export.graph import Graph
from export.passes import optimize
from export.translate import DEFAULT_OPSET, needed_opset, output_names, walk

__all__ = ["raw_model"]


def raw_model(graph: Graph, shapes: Mapping[str, Shape]) -> onnx.ModelProto:
    """MXNet's own outputs from float32 inputs of these shapes.

    Raises:
        UnsupportedError: an operator or attribute has no translation.
        SourceError: a weight is missing.
    """
    builder = Builder(opset=needed_opset(graph, DEFAULT_OPSET))
    inputs = {name: builder.input(name, np.float32, (shape, shape)) for name, shape in shapes.items()}
    done = walk(builder, graph, inputs).values
    for ref, name in zip(graph.heads, output_names(graph), strict=True):
        builder.output(done[ref], name)
    optimize(builder.program)
    return builder.program.to_model(name=graph.origin)
