"""GluonCV's YOLOv3 head: a convolution a scale whose channels are x, y, w, h, objectness and classes for each anchor.

What the net spells out over all anchors is done for the chosen ones alone:

    centre = (sigmoid(xy) + cell) stride          size = exp(wh) anchor          score = sigmoid(class) sigmoid(object)

The best class of an anchor comes from the largest class logit, since the sigmoid is monotonic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Array, Graph, Ref
from export.heads.find import suppression_of, the_only
from export.heads.pairs import Suppression, detect_pairs
from export.heads.pattern import any_, matches, op
from export.ops.common import reduce_, reshape, slice_, transpose
from export.translate import walk

__all__ = ["YoloHead", "emit_yolo", "find_yolo"]

# `YOLOOutputV3.hybrid_forward` at inference. The rows of a scale are (id, score, box) for each class.
_TABLE: Final = op("Reshape", op("transpose", op("Reshape", any_("raw")), axes="(0, 2, 1)"), name="table")
_CENTRE: Final = op(
    "_mul_scalar",
    op("broadcast_add", op("sigmoid", op("slice_axis", _TABLE, axis="-1", begin="0", end="2")), any_("cells")),
    name="centre",
)
_HALF: Final = op(
    "_div_scalar",
    op("broadcast_mul", op("exp", op("slice_axis", _TABLE, axis="-1", begin="2", end="4")), any_("anchors")),
    scalar="2",
)
_SCORE: Final = op(
    "broadcast_mul",
    op("sigmoid", op("slice_axis", _TABLE, axis="-1", begin="5", end="None")),
    op("sigmoid", op("slice_axis", _TABLE, axis="-1", begin="4", end="5")),
)
_BOX: Final = op("Concat", op("elemwise_sub", _CENTRE, _HALF), op("elemwise_add", _CENTRE, _HALF))
_ROWS: Final = op(
    "Reshape",
    op(
        "transpose",
        op("Concat", any_(), op("expand_dims", op("transpose", _SCORE, axes="(3, 0, 1, 2)")), op("tile", _BOX)),
        axes="(1, 0, 2, 3, 4)",
    ),
)
_FIXED: Final = 5


@dataclass(frozen=True, slots=True)
class YoloHead:
    """What the names of the pattern stand for, a scale each, and the limits."""

    scales: tuple[dict[str, Ref], ...]
    suppression: Suppression


def find_yolo(graph: Graph) -> YoloHead | None:
    """The head, or None when the graph has another one."""
    nms = the_only(graph, "_contrib_box_nms")
    if nms is None:
        return None
    joined = graph.node(graph.nodes[nms].inputs[0])
    parts = joined.inputs if joined.op == "Concat" and joined.values.get("dim") == "1" else graph.nodes[nms].inputs
    scales = [matches(graph, ref, _ROWS) for ref in parts]
    known = tuple(scale for scale in scales if scale is not None)
    return YoloHead(known, suppression_of(graph, nms, rows=None)) if len(known) == len(scales) else None


def emit_yolo(b: Builder, graph: Graph, head: YoloHead, image: dict[str, Value], labels: int) -> None:
    """Declare the detection outputs of a YOLOv3.

    Raises:
        ExportError: the number of labels is not the number of classes.
    """
    wanted = [scale[name] for scale in head.scales for name in ("raw", "cells", "anchors")]
    values = walk(b, graph.with_heads(wanted), image).values
    raw = [values[scale["raw"]] for scale in head.scales]
    cells = [_constant(graph, values[scale["cells"]]) for scale in head.scales]
    anchors = [_constant(graph, values[scale["anchors"]]) for scale in head.scales]
    strides = [graph.node(scale["centre"]).attrs().number("scalar") for scale in head.scales]
    each = [array.shape[2] for array in anchors]
    width = raw[0].shape[1] // each[0]
    if labels != width - _FIXED:
        raise ExportError(f"{labels} labels were given, but {graph.origin} tells {width - _FIXED} classes apart")

    with b.scope("select"):
        best = b.op("Concat", *(_best(b, x, count, width) for x, count in zip(raw, each, strict=True)), axis=1)
        flat = b.op("Concat", *(_flat(b, x) for x in raw), axis=1)
    first, step = _places(raw, each, width)
    cell, anchor, stride = (
        np.concatenate(parts).astype(np.float32)
        for parts in zip(
            *(
                (
                    np.repeat(cell.reshape(-1, 2), count, 0),
                    np.tile(anchor.reshape(-1, 2), (cell.size // 2, 1)),
                    np.full((cell.size // 2 * count, 1), size),
                )
                for cell, anchor, size, count in zip(cells, anchors, strides, each, strict=True)
            ),
            strict=True,
        )
    )

    def details(chosen: Value) -> tuple[Value, Value]:
        row = _rows(b, flat, chosen, first, step, width)
        middle = b.op("Add", b.op("Sigmoid", slice_(b, row, 2, 0, 2)), _at(b, cell, chosen))
        middle = b.op("Mul", middle, _at(b, stride, chosen))
        size = b.op("Mul", b.op("Exp", slice_(b, row, 2, 2, 4)), _at(b, anchor, chosen))
        half = b.op("Mul", size, np.float32(0.5))
        present = b.op("Sigmoid", slice_(b, row, 2, 4, 5))
        scores = b.op("Mul", b.op("Sigmoid", slice_(b, row, 2, _FIXED, None)), present)
        return scores, b.op("Concat", b.op("Sub", middle, half), b.op("Add", middle, half), axis=2)

    detect_pairs(b, best, details, head.suppression)


def _best(b: Builder, raw: Value, count: int, width: int) -> Value:
    """The best score of each anchor [N, cells * count], by cell, then by anchor, as MXNet orders them."""
    one, two = raw.shapes
    cells = one[2] * one[3]
    grid = reshape(b, raw, ((one[0], count, width, cells), (two[0], count, width, cells)))
    top = reduce_(b, "ReduceMax", slice_(b, grid, 2, _FIXED, None), [2])
    present = b.op("Squeeze", slice_(b, grid, 2, 4, _FIXED), np.asarray([2], np.int64))
    score = b.op("Mul", b.op("Sigmoid", top), b.op("Sigmoid", present))
    return reshape(b, transpose(b, score, (0, 2, 1)), ((one[0], cells * count), (two[0], cells * count)))


def _flat(b: Builder, raw: Value) -> Value:
    size = int(np.prod(raw.shape[1:]))
    return reshape(b, raw, ((raw.shapes[0][0], size), (raw.shapes[1][0], size)))


def _places(raw: list[Value], each: list[int], width: int) -> tuple[Array, Array]:
    """For each anchor where its first number lies among all flattened predictions, and how far apart the rest are."""
    firsts, steps, begin = [], [], 0
    for x, count in zip(raw, each, strict=True):
        cells = x.shape[2] * x.shape[3]
        cell, anchor = np.mgrid[0:cells, 0:count]
        firsts.append((begin + anchor * width * cells + cell).reshape(-1))
        steps.append(np.full(cells * count, cells))
        begin += count * width * cells
    return np.concatenate(firsts), np.concatenate(steps)


def _rows(b: Builder, flat: Value, chosen: Value, first: Array, step: Array, width: int) -> Value:
    """The raw numbers of the chosen anchors, [N, K, width]."""
    across = b.op("Mul", _at(b, step[:, None], chosen), np.arange(width, dtype=np.int64))
    place = b.op("Add", _at(b, first[:, None], chosen), across)
    one, two = place.shapes
    line = reshape(b, place, ((one[0], one[1] * width), (two[0], two[1] * width)))
    return reshape(b, b.op("GatherElements", flat, line, axis=1), place.shapes)


def _at(b: Builder, table: Array, index: Value) -> Value:
    return b.op("Gather", b.constant(table), index)


def _constant(graph: Graph, value: Value) -> Array:
    if value.array is None:
        raise ExportError(f"{graph.origin}: the anchors are not constant; save the model with its own anchors")
    return value.array
