"""The head of MXNet's own SSD (and of SageMaker's): `MultiBoxDetection` over fixed anchors, boxes in 0..1.

Each anchor speaks for its best class alone, so the best `nms_topk` anchors by that score are all that can survive:
they are taken first, and only their boxes are decoded.
"""

from __future__ import annotations

import numpy as np

from export.attrs import Attrs
from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Array, Graph
from export.heads.find import the_only
from export.heads.select import emit_detections
from export.ops.common import cast, gather_rows, reduce_, reshape, slice_
from export.ops.detection import anchor_parts, decode
from export.ops.suppress import survivors
from export.translate import walk

__all__ = ["emit_multibox", "find_multibox", "split_rows"]

_ROWS = 100
_VARIANCES = (0.1, 0.1, 0.2, 0.2)


def find_multibox(graph: Graph) -> int | None:
    """The position of the one `MultiBoxDetection`, or None."""
    return the_only(graph, "_contrib_MultiBoxDetection")


def split_rows(graph: Graph, outputs: list[Array], input_hw: tuple[int, int]) -> list[Array]:
    """MXNet's rows (id, score, x1 y1 x2 y2 in 0..1) as ids, scores and boxes in pixels; other outputs as they are."""
    if find_multibox(graph) is None or outputs[0].shape[-1] != 6:
        return outputs
    rows = outputs[0]
    height, width = input_hw
    return [rows[..., :1], rows[..., 1:2], rows[..., 2:] * np.asarray([width, height, width, height], np.float32)]


def emit_multibox(b: Builder, graph: Graph, node: int, image: dict[str, Value], labels: int) -> None:
    """Declare the detection outputs, boxes in pixels.

    Raises:
        ExportError: the number of labels is not the number of classes.
        UnsupportedError: an attribute's value is not known.
    """
    head = graph.nodes[node]
    values = walk(b, graph.with_heads(list(head.inputs)), image).values
    probabilities, offsets, anchors = (values[ref] for ref in head.inputs)
    classes = probabilities.shape[1] - 1
    if labels != classes:
        raise ExportError(f"{labels} labels were given, but {graph.origin} tells {classes} classes apart")
    if anchors.array is None:
        raise ExportError(
            f"{graph.origin}: the anchors are not constant; give the size of the input they were made for"
        )
    attrs = head.attrs()
    threshold, overlap = attrs.number("threshold", 0.01), attrs.number("nms_threshold", 0.5)
    limit, force = attrs.integer("nms_topk", -1), attrs.boolean("force_suppress", default=False)
    if attrs.integer("background_id", 0) != 0:
        raise attrs.unsupported("background_id", "only 0")
    with b.scope("select"):
        foreground = slice_(b, probabilities, 1, 1, None)
        best = reduce_(b, "ReduceMax", foreground, [1])
        count = anchors.shape[1] if limit <= 0 else min(limit, anchors.shape[1])
        scores, chosen = b.ops("TopK", best, np.asarray([count], np.int64), count=2, axis=1, largest=1, sorted=1)
        ids = b.op("GatherElements", b.op("ArgMax", foreground, axis=1, keepdims=0), chosen, axis=1)
    with b.scope("decode"):
        boxes = _boxes(b, offsets, anchors, chosen, attrs)
    with b.scope("suppress"):
        kept = survivors(
            b,
            boxes,
            scores,
            ids=None if force or classes == 1 else ids,
            overlap=overlap,
            valid=threshold,
            classes=classes,
        )
    with b.scope("rows"):
        height, width = next(iter(image.values())).shape[2:]
        pixels = b.op("Mul", boxes, np.asarray([width, height, width, height], np.float32))
        emit_detections(b, pixels, scores, cast(b, ids, np.int64), kept, _ROWS)


def _boxes(b: Builder, offsets: Value, anchors: Value, chosen: Value, attrs: Attrs) -> Value:
    """Corners in 0..1 of the chosen anchors, [N, K, 4]."""
    table = reshape(b, offsets, tuple((shape[0], anchors.shape[1], 4) for shape in offsets.shapes))  # type: ignore[arg-type]
    variances = np.asarray(attrs.numbers("variances", _VARIANCES), np.float32)
    picked = gather_rows(b, table, chosen)
    # The anchors are one image's: [1, A, 4]. What is constant is computed before it is gathered.
    flat = reshape(b, anchors, (anchors.shape[1:], anchors.shape[1:]))
    centre, size = (b.op("Gather", part, chosen) for part in anchor_parts(b, flat, "corner"))
    corners = decode(b, picked, centre, size, variances, -1)
    clipped = attrs.boolean("clip", default=True)
    return b.op("Clip", corners, np.float32(0), np.float32(1)) if clipped else corners
