"""GluonCV's CenterNet head: peaks of a heatmap a class, each with a shift of its centre and a size.

MXNet takes the best k of all cells of all classes and works in batches through indices along the batch; here the best
k cells by their best class are taken first, as in `pairs`, and everything goes image by image, so that the batch stays
dynamic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Graph, Ref
from export.heads.pattern import Pattern, any_, matches, op
from export.heads.select import emit_detections
from export.ops.common import cast, gather_rows, reduce_, reshape, transpose, unsqueeze
from export.translate import walk

__all__ = ["CenterNetHead", "emit_center_net", "find_center_net"]

# `CenterNetDecoder.hybrid_forward`, and what `CenterNet` puts in front of it.
_HEAT: Final = any_("heat")
_PEAKS: Final = op(
    "elemwise_mul",
    op("broadcast_equal", op("Pooling", _HEAT, pool_type="max", stride="(1, 1)"), _HEAT),
    _HEAT,
    name="peaks",
)
_BEST: Final = op("topk", op("Reshape", _PEAKS, shape="(0, -1)"), ret_typ="both")
_CLASSES: Final = op("Cast", op("broadcast_div", op("Cast", _BEST), any_()))


def _gathered(name: str) -> Pattern:
    table = op("Reshape", op("transpose", any_(name), axes="(0, 2, 3, 1)"), shape="(0, -1, 2)")
    return op("Cast", op("Reshape", op("gather_nd", table, any_())))


_CENTRE: Final = op("elemwise_add", op("Cast", any_()), _gathered("shift"))
_HALF: Final = op("_div_scalar", _gathered("size"), scalar="2")
_LOW: Final = op("expand_dims", op("elemwise_sub", _CENTRE, _HALF))
_HIGH: Final = op("expand_dims", op("elemwise_add", _CENTRE, _HALF))
_BOXES: Final = op("_mul_scalar", op("Concat", _LOW, _LOW, _HIGH, _HIGH, dim="-1"))


@dataclass(frozen=True, slots=True)
class CenterNetHead:
    """Where the head's inputs lie; `limit` detections, cells of `scale` pixels."""

    peaks: Ref
    shift: Ref
    size: Ref
    limit: int
    scale: float


def find_center_net(graph: Graph) -> CenterNetHead | None:
    """The head, or None when the graph has another one."""
    if len(graph.heads) != 3:
        return None
    classes, best, boxes = (
        matches(graph, ref, pattern) for ref, pattern in zip(graph.heads, (_CLASSES, _BEST, _BOXES), strict=True)
    )
    if classes is None or best is None or boxes is None or classes["peaks"] != best["peaks"]:
        return None
    return CenterNetHead(
        peaks=best["peaks"],
        shift=boxes["shift"],
        size=boxes["size"],
        limit=graph.node(graph.heads[1]).attrs().integer("k"),
        scale=graph.node(graph.heads[2]).attrs().number("scalar"),
    )


def emit_center_net(b: Builder, graph: Graph, head: CenterNetHead, image: dict[str, Value], labels: int) -> None:
    """Declare the detection outputs of a CenterNet.

    Raises:
        ExportError: the number of labels is not the number of classes.
    """
    values = walk(b, graph.with_heads([head.peaks, head.shift, head.size]), image).values
    peaks = values[head.peaks]
    classes, height, width = peaks.shape[1:]
    if labels != classes:
        raise ExportError(f"{labels} labels were given, but {graph.origin} tells {classes} classes apart")
    cells = height * width
    count = np.asarray([min(head.limit, cells)], np.int64)
    one, two = (shape[0] for shape in peaks.shapes)
    with b.scope("select"):
        grid = reshape(b, peaks, ((one, classes, cells), (two, classes, cells)))
        _, chosen = b.ops("TopK", reduce_(b, "ReduceMax", grid, [1]), count, count=2, axis=1, largest=1, sorted=0)
        chosen, _ = b.ops("TopK", chosen, count, count=2, axis=1, largest=0, sorted=1)
    with b.scope("pairs"):
        kept = int(count[0])
        place = b.op("Add", unsqueeze(b, chosen, 1), np.arange(classes, dtype=np.int64)[None, :, None] * cells)
        place = reshape(b, place, ((one, classes * kept), (two, classes * kept)))
        flat = reshape(b, peaks, ((one, classes * cells), (two, classes * cells)))
        table = b.op("GatherElements", flat, place, axis=1)
        scores, position = b.ops("TopK", table, count, count=2, axis=1, largest=1, sorted=1)
        ids = b.op("Div", position, np.int64(kept))
        cell = b.op("GatherElements", chosen, b.op("Sub", position, b.op("Mul", ids, np.int64(kept))), axis=1)
    with b.scope("decode"):
        y = b.op("Div", cell, np.int64(width))
        x = b.op("Sub", cell, b.op("Mul", y, np.int64(width)))
        corner = b.op("Concat", unsqueeze(b, x, 2), unsqueeze(b, y, 2), axis=2)
        shift, size = (_rows(b, values[ref], cell) for ref in (head.shift, head.size))
        centre = b.op("Add", cast(b, corner, np.float32), shift)
        half = b.op("Mul", size, np.float32(0.5))
        boxes = b.op("Concat", b.op("Sub", centre, half), b.op("Add", centre, half), axis=2)
        boxes = b.op("Mul", boxes, np.float32(head.scale))
    with b.scope("rows"):
        emit_detections(b, boxes, scores, ids, b.op("Greater", scores, np.float32(0)), kept)


def _rows(b: Builder, field: Value, cell: Value) -> Value:
    """Two numbers a cell [N, 2, H, W] for the chosen cells [N, K]: [N, K, 2]."""
    one, two = field.shapes
    cells = one[2] * one[3]
    return gather_rows(b, reshape(b, transpose(b, field, (0, 2, 3, 1)), ((one[0], cells, 2), (two[0], cells, 2))), cell)
