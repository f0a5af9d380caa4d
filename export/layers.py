"""Layer by layer: every node computed alone, fed with what MXNet fed it, and compared with what MXNet made of it.

A wrong operator cannot hide behind later ones, and an honest one is not blamed for what came before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Array, Graph, Node, Ref
from export.run_onnx import run_model
from export.tolerances import LAYER_DEFAULT, LAYERS
from export.translate import DEFAULT_OPSET, convert_node, label_inputs, needed_opset

__all__ = ["Divergence", "first_divergence"]

_FILLED: Final = {"_zeros", "_ones", "_full"}


@dataclass(frozen=True, slots=True)
class Divergence:
    """A node whose result is not the reference's."""

    node: str
    op: str
    max_abs: float


def first_divergence(graph: Graph, inputs: Mapping[str, Array], reference: Mapping[Ref, Array]) -> Divergence | None:
    """The first node, in the order of the graph, that differs by more than its tolerance.

    Args:
        graph: the saved model.
        inputs: what the net was fed, by variable.
        reference: every value that MXNet computed from it.
    """
    builder = Builder(opset=needed_opset(graph, DEFAULT_OPSET))
    feeds: dict[str, Array] = {}
    given: dict[Ref, Value] = {}
    outputs: dict[Ref, str] = {}
    constants: dict[Ref, Array] = {}
    labels = label_inputs(graph)
    for index in graph.reachable():
        node = graph.nodes[index]
        if node.is_variable or index in labels:
            continue
        operands = [
            _operand(builder, graph, ref, inputs, reference, given, feeds)
            for ref in node.inputs
            if ref.node not in labels
        ]
        for output, value in enumerate(convert_node(builder, node, operands)):
            ref = Ref(index, output)
            if ref not in reference:
                continue
            if value.array is not None:
                constants[ref] = value.array
            else:
                outputs[ref] = f"layer_{index}_{output}"
                builder.output(value, outputs[ref])
    found = run_model(builder.program.to_model(), feeds, optimize=False) if outputs else {}
    for ref in sorted({**outputs, **constants}):
        actual = np.asarray(constants[ref] if ref in constants else found[outputs[ref]])
        expected = reference[ref]
        if graph.node(ref).op in _FILLED and 0 in graph.node(ref).attrs().integers("shape", ()):
            # MXNet filled in what the symbol leaves open: the batch of a state to begin with.
            actual = np.broadcast_to(actual, expected.shape)
        if _gives_positions(graph, ref):
            ranked = graph.node(ref).inputs[0]
            actual, expected = (_ranked(graph.node(ref), reference[ranked], index) for index in (actual, expected))
        divergence = _compare(graph, ref, actual, expected)
        if divergence is not None:
            return divergence
    return None


def _operand(
    builder: Builder,
    graph: Graph,
    ref: Ref,
    inputs: Mapping[str, Array],
    reference: Mapping[Ref, Array],
    given: dict[Ref, Value],
    feeds: dict[str, Array],
) -> Value:
    if ref in given:
        return given[ref]
    node = graph.node(ref)
    if node.is_variable and node.name not in inputs:
        array = graph.params[node.name]
        wide = array.dtype.kind == "f" and array.dtype != np.float32
        given[ref] = builder.weight(node.name, array.astype(np.float32) if wide else array)
        return given[ref]
    array = inputs[node.name] if node.is_variable else reference.get(ref, np.zeros(0, np.float32))
    if not node.is_variable and ref not in reference:
        raise ExportError(f"MXNet gave no value for {graph.output_name(ref)}")
    value = builder.input(f"given_{ref.node}_{ref.output}", array.dtype, (array.shape, array.shape))
    feeds[value.name] = array
    given[ref] = value
    return value


def _gives_positions(graph: Graph, ref: Ref) -> bool:
    node = graph.node(ref)
    kind = node.values.get("ret_typ", "indices")
    return node.op == "argsort" or (node.op == "topk" and (kind == "indices" or (kind == "both" and ref.output == 1)))


def _ranked(node: Node, values: Array, index: Array) -> Array:
    """What stands at the positions: among equals any order is right, and MXNet's own is not stable."""
    axis = int(node.values.get("axis", "-1"))
    return np.take_along_axis(values, index.astype(np.int64), axis)


def _compare(graph: Graph, ref: Ref, actual: Array, expected: Array) -> Divergence | None:
    node = graph.node(ref)
    if actual.shape != expected.shape:
        return Divergence(node.name, node.op, float("inf"))
    if not actual.size:
        return None
    one, two = actual.astype(np.float64), expected.astype(np.float64)
    same = (one == two) | (np.isnan(one) & np.isnan(two))
    worst = float(np.abs(np.where(same, 0, one - two)).max())
    finite = np.abs(two[np.isfinite(two)])
    limit = LAYERS.get(node.op, LAYER_DEFAULT).allowed(float(finite.max()) if finite.size else 0.0)
    # Not `worst > limit`: a NaN on one side only must not pass.
    return None if worst <= limit else Divergence(node.name, node.op, worst)
