"""Boxes with a mask each, as GluonCV's Mask R-CNN gives them.

The net computes masks for its 1000 best boxes. A device wants the best hundred, so these are chosen first, and the
mask branch runs on them alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Graph, Ref
from export.heads.pattern import Pattern, any_, matches, op
from export.heads.select import Chosen, emit_detections
from export.ops.common import cast, gather_rows, reshape, slice_, unsqueeze
from export.translate import walk

__all__ = ["emit_instances"]

_ROWS: Final = 100


def _column(begin: str, end: str) -> Pattern:
    table = op("slice_axis", any_("rows"), axis="-1", begin=begin, end=end)
    return op("Reshape", op("gather_nd", table, any_("order")))


# `MaskRCNN.hybrid_forward` at inference: columns of the best rows, then masks of the class of each.
_IDS: Final = _column("0", "1")
_SCORES: Final = _column("1", "2")
_BOXES: Final = _column("2", "6")
_MASKS: Final = op("sigmoid", op("Reshape", op("gather_nd", any_("table"), any_())))
_REGIONS: Final = op("BlockGrad", op("Concat", any_(), op("Reshape", any_("boxes"), shape="(-3, 0)"), dim="-1"))


def emit_instances(b: Builder, graph: Graph, image: dict[str, Value], labels: int) -> None:
    """Declare `boxes`, `scores`, `labels`, `count`, and `masks` float32 [N, K, h, w], probabilities within each box.

    Raises:
        ExportError: the number of labels is not the number of classes, or the outputs are not instances.
    """
    if len(graph.heads) != 4:
        raise ExportError(f"{graph.origin}: instances need the outputs ids, scores, boxes and masks")
    found = _find(graph)
    if found is None:
        _emit_all(b, graph, image)
    else:
        _emit_chosen(b, graph, found, image, labels)


def _find(graph: Graph) -> dict[str, Ref] | None:
    """Where the rows, the mask table and the regions of the mask branch lie, or None when the net is another one."""
    parts = [
        matches(graph, ref, pattern) for ref, pattern in zip(graph.heads, (_IDS, _SCORES, _BOXES, _MASKS), strict=True)
    ]
    regions = [
        Ref(index, 0)
        for index in graph.reachable()
        if (match := matches(graph, Ref(index, 0), _REGIONS)) is not None and match["boxes"] == graph.heads[2]
    ]
    known = [part for part in parts if part is not None]
    if len(known) != 4 or len(regions) != 1 or len({part["rows"] for part in known[:3]}) != 1:
        return None
    return {"rows": known[0]["rows"], "table": known[3]["table"], "regions": regions[0]}


def _emit_chosen(b: Builder, graph: Graph, found: dict[str, Ref], image: dict[str, Value], labels: int) -> None:
    first = walk(b, graph.with_heads([found["rows"]]), image).values
    rows = first[found["rows"]]
    # As many as the net itself gives masks to: (-4, 1, rows, 1).
    limit = min(_ROWS, graph.node(graph.heads[0]).attrs().integers("shape")[2])
    with b.scope("rows"):
        ids, scores = (b.op("Squeeze", slice_(b, rows, 2, at, at + 1), np.asarray([2], np.int64)) for at in (0, 1))
        valid = b.op("GreaterOrEqual", ids, np.float32(0))
        chosen = emit_detections(b, slice_(b, rows, 2, 2, 6), scores, cast(b, ids, np.int64), valid, limit)
    with b.scope("regions"):
        count = chosen.boxes.shape[1]
        boxes = reshape(b, chosen.boxes, ((count, 4), (count, 4)))
        regions = b.op("Concat", np.zeros((count, 1), np.float32), boxes, axis=1)
    # Everything the first walk made is there already; the regions stand for what the net would have taken.
    second = walk(b, graph.with_heads([found["table"]]), image, given={**first, found["regions"]: regions}).values
    table = second[found["table"]]
    if table.shape[2] != labels:
        raise ExportError(f"{labels} labels were given, but {graph.origin} tells {table.shape[2]} classes apart")
    with b.scope("masks"):
        picked = b.op("GatherND", table, unsqueeze(b, chosen.labels, 2), batch_dims=2)
        _emit_masks(b, b.op("Sigmoid", picked), chosen)


def _emit_all(b: Builder, graph: Graph, image: dict[str, Value]) -> None:
    done = walk(b, graph, image).values
    ids, scores, boxes, masks = (done[ref] for ref in graph.heads)
    with b.scope("rows"):
        ids, scores = (b.op("Squeeze", value, np.asarray([2], np.int64)) for value in (ids, scores))
        valid = b.op("GreaterOrEqual", ids, np.float32(0))
        chosen = emit_detections(b, boxes, scores, cast(b, ids, np.int64), valid, _ROWS)
        _emit_masks(b, gather_rows(b, masks, chosen.order), chosen)


def _emit_masks(b: Builder, masks: Value, chosen: Chosen) -> None:
    alive = unsqueeze(b, unsqueeze(b, chosen.alive, 2), 3)
    b.output(b.op("Where", alive, masks, np.float32(0)), "masks")
