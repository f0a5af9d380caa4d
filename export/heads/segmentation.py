"""The class of each pixel."""

from __future__ import annotations

import numpy as np

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Graph
from export.ops.common import cast, unsqueeze
from export.translate import walk

__all__ = ["emit_segmentation"]

_MAX_CLASSES = 256


def emit_segmentation(b: Builder, graph: Graph, image: dict[str, Value], labels: int) -> None:
    """Declare `mask` uint8 [N, H, W]: the best class of each pixel, the first one where several are equal.

    A net that answers in another size than it is asked gets its mask enlarged by nearest neighbour.

    Raises:
        ExportError: the number of labels is not the number of classes, or the output is no map of classes.
    """
    # Auxiliary outputs of training come behind the real one.
    head = graph.heads[0]
    scores = walk(b, graph.with_heads([head]), image).values[head]
    if scores.rank != 4:
        raise ExportError(
            f"{graph.origin}: segmentation needs an output [N, classes, H, W]; the model gives {list(scores.dims)}"
        )
    classes = scores.shape[1]
    if classes != labels:
        raise ExportError(f"{labels} labels were given, but {graph.origin} tells {classes} classes apart")
    if classes > _MAX_CLASSES:
        raise ExportError(f"{graph.origin}: {classes} classes do not fit a mask of bytes; {_MAX_CLASSES} do")
    size = next(iter(image.values())).shape[2:]
    with b.scope("mask"):
        mask = cast(b, b.op("ArgMax", scores, axis=1, keepdims=0), np.uint8)
        if scores.shape[2:] != size:
            mask = _enlarge(b, mask, size)
        b.output(mask, "mask")


def _enlarge(b: Builder, mask: Value, size: tuple[int, ...]) -> Value:
    factor = np.asarray([1, 1, size[0] / mask.shape[1], size[1] / mask.shape[2]], np.float32)
    wide = b.op("Resize", unsqueeze(b, mask, 1), None, factor, mode="nearest")
    return b.op("Squeeze", wide, np.asarray([1], np.int64))
