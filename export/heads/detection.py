"""Detections: by a head that is known and rebuilt, or by the graph's own rows."""

from __future__ import annotations

import numpy as np

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Graph
from export.heads.center_net import emit_center_net, find_center_net
from export.heads.multibox import emit_multibox, find_multibox
from export.heads.select import emit_detections
from export.heads.ssd import emit_ssd, find_ssd
from export.heads.yolo import emit_yolo, find_yolo
from export.ops.common import cast
from export.translate import walk

__all__ = ["emit_detection"]

_ROWS = 100


def emit_detection(b: Builder, graph: Graph, image: dict[str, Value], labels: int) -> None:
    """Declare `boxes`, `scores`, `labels` and `count`.

    Raises:
        ExportError: the number of labels is not the number of classes, or the outputs are not detections.
    """
    if (ssd := find_ssd(graph)) is not None:
        emit_ssd(b, graph, ssd, image, labels)
    elif (yolo := find_yolo(graph)) is not None:
        emit_yolo(b, graph, yolo, image, labels)
    elif (center_net := find_center_net(graph)) is not None:
        emit_center_net(b, graph, center_net, image, labels)
    elif (multibox := find_multibox(graph)) is not None:
        emit_multibox(b, graph, multibox, image, labels)
    else:
        _emit_rows(b, graph, image)


def _emit_rows(b: Builder, graph: Graph, image: dict[str, Value]) -> None:
    """Detections of a graph that ends in GluonCV's three outputs: ids and scores [N, R, 1], boxes [N, R, 4]."""
    done = walk(b, graph, image).values
    outputs = [done[ref] for ref in graph.heads]
    widths = [value.shape[-1] for value in outputs[:3]]
    if widths != [1, 1, 4]:
        raise ExportError(
            f"{graph.origin}: detection needs the outputs ids [N, R, 1], scores [N, R, 1] and boxes [N, R, 4]; "
            f"the model gives {', '.join(str(list(value.dims)) for value in outputs)}"
        )
    with b.scope("rows"):
        ids, scores = (b.op("Squeeze", value, np.asarray([2], np.int64)) for value in outputs[:2])
        valid = b.op("GreaterOrEqual", ids, np.float32(0))
        emit_detections(b, outputs[2], scores, cast(b, ids, np.int64), valid, _ROWS)
