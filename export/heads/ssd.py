"""GluonCV's SSD head: softmax over anchors, offsets to fixed anchors, one `box_nms` over all pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Graph
from export.heads.find import ancestors, suppression_of, the_only
from export.heads.foreground import foreground
from export.heads.pairs import Suppression, detect_pairs
from export.ops.activations import softmax_axis
from export.ops.common import gather_rows, reduce_
from export.ops.detection import anchor_parts, decode
from export.translate import walk

__all__ = ["SsdHead", "emit_ssd", "find_ssd"]

# What GluonCV's MultiPerClassDecoder and the assembly of rows consist of; anything else means another head.
_ASSEMBLY = {
    "slice_axis", "_greater_scalar", "zeros_like", "ones_like", "_mul_scalar", "_arange", "Reshape", "broadcast_add",
    "where", "Concat", "softmax", "_contrib_box_decode",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SsdHead:
    """Where the head's inputs lie."""

    softmax: int
    decoder: int
    suppression: Suppression


def find_ssd(graph: Graph) -> SsdHead | None:
    """The head, or None when the graph has another one."""
    nms = the_only(graph, "_contrib_box_nms")
    decoder = the_only(graph, "_contrib_box_decode")
    if nms is None or decoder is None:
        return None
    softmaxes = [index for index in ancestors(graph, nms, stop=[decoder]) if graph.nodes[index].op == "softmax"]
    if len(softmaxes) != 1:
        return None
    assembly = ancestors(graph, nms, stop=[decoder, softmaxes[0]])
    if not {graph.nodes[index].op for index in assembly} <= _ASSEMBLY | {
        graph.nodes[i].op for i in _inputs(graph, assembly)
    }:
        return None
    thresholds = [graph.nodes[i].attrs().number("scalar") for i in assembly if graph.nodes[i].op == "_greater_scalar"]
    if len(thresholds) != 1 or graph.nodes[softmaxes[0]].values.get("axis", "-1") not in {"-1", "2"}:
        return None
    limits = suppression_of(graph, nms, rows=None)
    return SsdHead(
        softmax=softmaxes[0],
        decoder=decoder,
        suppression=replace(limits, valid=max(limits.valid, thresholds[0])),
    )


def _inputs(graph: Graph, assembly: set[int]) -> set[int]:
    return {index for index in assembly if graph.nodes[index].is_variable}


def emit_ssd(b: Builder, graph: Graph, head: SsdHead, image: dict[str, Value], labels: int) -> None:
    """Declare the detection outputs of an SSD.

    Raises:
        ExportError: the number of labels is not the number of classes.
    """
    node = graph.nodes[head.decoder]
    offsets, anchors = node.inputs
    softmax = graph.nodes[head.softmax]
    values = walk(b, graph.with_heads([softmax.inputs[0], offsets, anchors]), image).values
    logits = values[softmax.inputs[0]]
    softmax_axis([logits], softmax.attrs())  # refuses what is not plain
    classes = logits.shape[2] - 1
    if labels != classes:
        raise ExportError(f"{labels} labels were given, but {graph.origin} tells {classes} classes apart")
    attrs = node.attrs()
    std = np.asarray([attrs.number(f"std{i}", 1.0) for i in range(4)], np.float32)
    limit = attrs.number("clip", -1.0)
    centres, sizes = anchor_parts(b, values[anchors], attrs.choice("format", {"corner", "center"}, "center"))
    if centres.array is None or sizes.array is None:
        raise ExportError(
            f"{graph.origin}: the anchors are not constant; give the size of the input they were made for"
        )
    centres, sizes = b.constant(centres.array[0]), b.constant(sizes.array[0])

    with b.scope("select"):
        scores = foreground(b, logits)
        best = reduce_(b, "ReduceMax", scores, [2])

    def details(chosen: Value) -> tuple[Value, Value]:
        picked = gather_rows(b, values[offsets], chosen)
        where = b.op("Gather", centres, chosen), b.op("Gather", sizes, chosen)
        return gather_rows(b, scores, chosen), decode(b, picked, *where, std, limit)

    detect_pairs(b, best, details, head.suppression)
