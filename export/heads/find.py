"""Finding a head in a graph by its structure."""

from __future__ import annotations

from collections.abc import Iterable

from export.graph import Graph, Ref
from export.heads.pairs import Suppression

__all__ = ["ancestors", "bypass", "ends_in_sigmoid", "suppression_of", "the_only"]

# What passes a value on as it is, or only gives it another shape.
_TRANSPARENT = {
    "Flatten", "Reshape", "reshape", "Dropout", "identity", "_copy", "BlockGrad", "MakeLoss", "make_loss", "expand_dims",
    "squeeze", "Cast", "cast", "amp_cast",
}  # fmt: skip


def ancestors(graph: Graph, start: int, *, stop: Iterable[int] = ()) -> set[int]:
    """Positions of the nodes that `start` needs, without itself, not going beyond `stop`."""
    found: set[int] = set()
    barrier = set(stop)
    pending = [start]
    while pending:
        index = pending.pop()
        for ref in graph.nodes[index].inputs:
            if ref.node not in found:
                found.add(ref.node)
                if ref.node not in barrier:
                    pending.append(ref.node)
    return found


def the_only(graph: Graph, op: str, among: Iterable[int] | None = None) -> int | None:
    """The position of the one node of this operator, or None when there is none or several."""
    found = [index for index in (graph.reachable() if among is None else among) if graph.nodes[index].op == op]
    return found[0] if len(found) == 1 else None


def bypass(graph: Graph, ref: Ref) -> int:
    """The node that makes a value, seen through what passes it on unchanged."""
    while graph.node(ref).op in _TRANSPARENT:
        ref = graph.node(ref).inputs[0]
    return ref.node


def ends_in_sigmoid(graph: Graph) -> bool:
    """Whether the first output is a probability for each class on its own."""
    last = graph.nodes[bypass(graph, graph.heads[0])]
    return last.op in {"sigmoid", "LogisticRegressionOutput"} or last.values.get("act_type") == "sigmoid"


def suppression_of(graph: Graph, nms: int, *, rows: int | None) -> Suppression:
    """The limits of a `box_nms` node; `rows` defaults to those that a `slice_axis` behind it keeps."""
    attrs = graph.nodes[nms].attrs()
    topk = attrs.integer("topk", -1)
    if rows is None:
        rows = topk if topk > 0 else 100
        for node in graph.nodes:
            if node.op == "slice_axis" and Ref(nms, 0) in node.inputs and node.values.get("axis") == "1":
                rows = node.attrs().optional_integer("end") or rows
    return Suppression(
        overlap=attrs.number("overlap_thresh", 0.5),
        valid=attrs.number("valid_thresh", 0.0),
        topk=topk,
        rows=rows,
        force=attrs.boolean("force_suppress", default=False),
    )
