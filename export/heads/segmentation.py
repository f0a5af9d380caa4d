"""The class of each pixel."""

from __future__ import annotations

import numpy as np

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Array, Graph
from export.heads.find import ends_in_sigmoid
from export.ops.common import cast, unsqueeze
from export.translate import walk

__all__ = ["class_scores", "emit_segmentation"]

_MAX_CLASSES = 256


def emit_segmentation(b: Builder, graph: Graph, image: dict[str, Value], labels: int) -> None:
    """Declare `mask` uint8 [N, H, W]: the best class of each pixel, the first one where several are equal.

    A net of one channel tells a thing, class 1, from everything else, class 0. A net that answers in another size than it is asked gets its mask enlarged by nearest neighbour.

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
    classes = max(scores.shape[1], 2)
    if classes != labels:
        raise ExportError(f"{labels} labels were given, but {graph.origin} tells {classes} classes apart")
    if classes > _MAX_CLASSES:
        raise ExportError(f"{graph.origin}: {classes} classes do not fit a mask of bytes; {_MAX_CLASSES} do")
    size = next(iter(image.values())).shape[2:]
    with b.scope("mask"):
        mask = cast(b, _best(b, graph, scores), np.uint8)
        if scores.shape[2:] != size:
            mask = _enlarge(b, mask, size)
        b.output(mask, "mask")


def class_scores(graph: Graph, scores: Array) -> Array:
    """A map [N, C, H, W] of MXNet's with a channel for each class, the missing one of a net of one channel put in front."""
    if scores.shape[1] > 1:
        return scores
    return np.concatenate([np.full_like(scores, _middle(graph)), scores], axis=1)


def _best(b: Builder, graph: Graph, scores: Value) -> Value:
    if scores.shape[1] > 1:
        return b.op("ArgMax", scores, axis=1, keepdims=0)
    return b.op("Squeeze", b.op("Greater", scores, np.float32(_middle(graph))), np.asarray([1], np.int64))


def _middle(graph: Graph) -> float:
    """What a single score must exceed: half of a probability, or zero where no sigmoid is behind it."""
    return 0.5 if ends_in_sigmoid(graph) else 0.0


def _enlarge(b: Builder, mask: Value, size: tuple[int, ...]) -> Value:
    factor = np.asarray([1, 1, size[0] / mask.shape[1], size[1] / mask.shape[2]], np.float32)
    wide = b.op("Resize", unsqueeze(b, mask, 1), None, factor, mode="nearest")
    return b.op("Squeeze", wide, np.asarray([1], np.int64))
