"""Probabilities of classes."""

from __future__ import annotations

import math

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Graph
from export.heads.find import bypass, ends_in_sigmoid
from export.ops.common import reshape
from export.translate import walk

__all__ = ["emit_classification", "ends_in_softmax"]

_SOFTMAX = {"softmax", "SoftmaxOutput", "Softmax", "SoftmaxActivation"}


def emit_classification(b: Builder, graph: Graph, image: dict[str, Value], labels: int) -> None:
    """Declare `scores` [N, C]: the net's own probabilities, or the softmax of its logits.

    Raises:
        ExportError: the number of labels is not the number of classes, or the classes do not exclude each other.
    """
    if ends_in_sigmoid(graph):
        raise ExportError(
            f"{graph.origin}: ends in a sigmoid: several labels may hold at once, which no task of a "
            "bundle expresses; --raw writes the bare graph"
        )
    # Nets with auxiliary classifiers give the real one first.
    head = graph.heads[0]
    logits = walk(b, graph.with_heads([head]), image).values[head]
    classes = math.prod(logits.shape[1:])
    if classes == 1:
        raise ExportError(
            f"{graph.origin}: gives one number, which tells no classes apart; --raw writes the bare graph"
        )
    if classes != labels:
        raise ExportError(f"{labels} labels were given, but {graph.origin} tells {classes} classes apart")
    logits = reshape(b, logits, ((logits.shapes[0][0], classes), (logits.shapes[1][0], classes)))
    with b.scope("probabilities"):
        b.output(logits if ends_in_softmax(graph) else b.op("Softmax", logits, axis=1), "scores")


def ends_in_softmax(graph: Graph) -> bool:
    """Whether the net gives probabilities already."""
    return graph.nodes[bypass(graph, graph.heads[0])].op in _SOFTMAX
