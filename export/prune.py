"""What a model carries for training alone goes: losses become what they predict, labels and targets disappear.

A checkpoint of `Module` holds the graph that was trained: `SoftmaxOutput` that reads a label, `MakeLoss` heads,
`MultiBoxTarget` that matches anchors with the truth. What is left here is a graph that MXNet itself can load and run
without labels, so that a pruned model can still be verified.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from export.errors import SourceError
from export.graph import Graph, Node, Ref
from export.precision import in_single_precision
from export.source import load

__all__ = ["load_for_inference", "prune_training", "symbol_json"]

# What each loss gives at inference; its first input is the prediction, the second the truth.
_PREDICTIONS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "LinearRegressionOutput": ("identity", {}),
    "MAERegressionOutput": ("identity", {}),
    "SVMOutput": ("identity", {}),
    "LogisticRegressionOutput": ("sigmoid", {}),
}
_LOSSES: Final = {*_PREDICTIONS, "SoftmaxOutput", "Softmax"}
_TARGETS: Final = {"_contrib_MultiBoxTarget", "MultiBoxTarget", "_contrib_MultiProposalTarget"}
_DETECTIONS: Final = {"_contrib_MultiBoxDetection", "MultiBoxDetection"}


def load_for_inference(symbol: Path, params: Path, folder: Path) -> tuple[Graph, Path]:
    """A saved model without what only training needs, in single precision, and its symbol file.

    The file is the one given, or a new one in `folder`.

    Raises:
        SourceError: as `export.source.load` and `prune_training`.
    """
    graph = load(symbol, params)
    pruned = in_single_precision(prune_training(graph))
    if pruned is graph:
        return graph, symbol
    written = folder / f"inference-{symbol.name}"
    written.write_text(symbol_json(pruned), encoding="utf-8")
    return load(written, params), written


def prune_training(graph: Graph) -> Graph:
    """The graph without labels and losses; the very same object where there are none.

    Node positions stay what they were.

    Raises:
        SourceError: nothing is left: every output is a loss.
    """
    nodes = tuple(_predicts(graph, node) for node in graph.nodes)
    losses = replace(graph, nodes=nodes)
    trained = _needs_truth(losses)
    heads = [ref for ref in graph.heads if ref.node not in trained]
    if not heads:
        raise SourceError(f"{graph.origin}: every output is a loss that reads labels; save the network's own output")
    heads = _detections_alone(losses, heads)
    if tuple(heads) == graph.heads and all(new is old for new, old in zip(nodes, graph.nodes, strict=True)):
        return graph
    return losses.with_heads(heads)


def symbol_json(graph: Graph) -> str:
    """The nodes that the heads need as a `-symbol.json` that MXNet 1.9 loads."""
    kept = _depth_first(graph)
    place = {index: at for at, index in enumerate(kept)}
    nodes = [graph.nodes[index] for index in kept]
    document = {
        "nodes": [_entry(node, place) for node in nodes],
        "arg_nodes": [at for at, node in enumerate(nodes) if node.is_variable],
        "node_row_ptr": list(range(len(nodes) + 1)),
        "heads": [[place[ref.node], ref.output, 0] for ref in graph.heads],
        "attrs": {"mxnet_version": ["int", 10901]},
    }
    return json.dumps(document, indent=1)


def _depth_first(graph: Graph) -> list[int]:
    """Positions in the order in which MXNet itself would write the nodes: inputs first, left to right."""
    order: dict[int, None] = {}
    stack = [(ref.node, False) for ref in reversed(graph.heads)]
    while stack:
        index, ready = stack.pop()
        if index in order:
            continue
        if ready:
            order[index] = None
            continue
        stack.append((index, True))
        stack.extend((ref.node, False) for ref in reversed(graph.nodes[index].inputs))
    return list(order)


def _entry(node: Node, place: Mapping[int, int]) -> dict[str, object]:
    inputs = [[place[ref.node], ref.output, 0] for ref in node.inputs]
    # Hints about values, such as the shape of a label, stay with the variables they were written for.
    return {"op": node.op, "name": node.name, "attrs": dict(node.values), "inputs": inputs}


def _predicts(graph: Graph, node: Node) -> Node:
    """A loss whose truth is computed, without it; where the truth is a plain input, nothing needs to change."""
    if node.op not in _LOSSES or len(node.inputs) < 2 or graph.node(node.inputs[1]).is_variable:
        return node
    if node.op in _PREDICTIONS:
        return _as(node, *_PREDICTIONS[node.op])
    attrs = node.attrs()
    if attrs.boolean("multi_output", default=False):
        return _as(node, "SoftmaxActivation", {"mode": "channel"})
    if attrs.boolean("preserve_shape", default=False):
        return _as(node, "softmax", {"axis": "-1"})
    return _as(node, "SoftmaxActivation", {"mode": "instance"})


def _as(node: Node, op: str, values: Mapping[str, str]) -> Node:
    return Node(op=op, name=node.name, inputs=node.inputs[:1], values=values)


def _needs_truth(graph: Graph) -> set[int]:
    """Positions of the nodes that cannot be computed without labels."""
    free = [node.name for node in graph.nodes if node.is_variable and node.name not in graph.params]
    labels = {name for name in free if name.endswith("label") or "label" in name.split("_")} if len(free) > 1 else set()
    found: set[int] = set()
    for index, node in enumerate(graph.nodes):
        read = node.inputs[:1] if node.op in _LOSSES else node.inputs
        begins = node.op in _TARGETS or (node.is_variable and node.name in labels)
        if begins or any(ref.node in found for ref in read):
            found.add(index)
    return found


def _detections_alone(graph: Graph, heads: list[Ref]) -> list[Ref]:
    """An SSD's training graph also gives class probabilities, for its metric; the detections are what is asked for."""
    found = [index for index in graph.reachable(heads) if graph.nodes[index].op in _DETECTIONS]
    return [Ref(found[0], 0)] if len(found) == 1 and len(heads) > 1 else heads
