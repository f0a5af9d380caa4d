"""What the device needs inside the graph: a picture in, results out; found by structure, rebuilt where that is faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import onnx

from export.build import Builder, Value
from export.errors import ExportError
from export.graph import Graph
from export.heads.classification import emit_classification
from export.heads.detection import emit_detection
from export.heads.image import Normalization, image_input
from export.heads.instances import emit_instances
from export.heads.pose import emit_pose
from export.heads.pyramid import dispatch_levels
from export.heads.segmentation import emit_segmentation
from export.passes import optimize, winograd
from export.translate import DEFAULT_OPSET, batch_of, image_channels, input_variable, needed_opset

__all__ = ["TASKS", "Normalization", "finish", "tiled_layers"]

_HEADS: Final[dict[str, Callable[[Builder, Graph, dict[str, Value], int], None]]] = {
    "classification": emit_classification,
    "detection": emit_detection,
    "instances": emit_instances,
    "segmentation": emit_segmentation,
    "pose": emit_pose,
}
TASKS: Final = tuple(_HEADS)
_RGB: Final = 3
_TILED: Final = "winograd"


def finish(
    graph: Graph,
    *,
    task: str,
    input_hw: tuple[int, int],
    labels: Sequence[str],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    scale: float | None = None,
    offset: float = 0.0,
    input_name: str | None = None,
    batch: int | None = None,
    tiled: bool = False,
) -> onnx.ModelProto:
    """The deployable model: `image` uint8 [N, H, W, 3] RGB in, the task's results out in pixels of that image.

    Outputs: classification `scores` [N, C]; detection `boxes` [N, K, 4] x1 y1 x2 y2, `scores` [N, K], `labels`
    [N, K] int64 and `count` [N] int64, valid rows first, best first, zeros behind; instances the
    same and `masks` [N, K, h, w], probabilities within each box; segmentation
    `mask` [N, H, W] uint8; pose `keypoints` [N, J, 3], x, y and score.

    Args:
        graph: the saved model.
        task: one of `TASKS`.
        input_hw: height and width of the images, pixels.
        labels: the names of the classes, in the order of the net.
        mean: per channel, RGB, of values in 0..1, as GluonCV writes it; with `std`.
        std: likewise.
        scale: instead of these, pixel * scale + offset.
        offset: likewise.
        input_name: the variable that takes the images, where it is not the only one without a weight.
        batch: a fixed batch size; by default the batch is dynamic.
        tiled: compute convolutions by Winograd's algorithm where that is faster (`export.passes.winograd`).

    Raises:
        ExportError: the labels or the outputs do not fit the task.
        UnsupportedError: an operator or attribute has no translation.
    """
    if task not in _HEADS:
        raise ExportError(f"the task {task!r} is not known; known: {', '.join(TASKS)}")
    graph = dispatch_levels(graph)
    normalization = _normalization(mean, std, scale, offset)
    name = input_variable(graph, input_name)
    if (channels := image_channels(graph, name)) != _RGB:
        raise ExportError(
            f"{graph.origin}: takes pictures of {channels} channels, those of a bundle have three, RGB; "
            "--raw writes the bare graph"
        )
    builder = Builder(opset=needed_opset(graph, DEFAULT_OPSET))
    image = image_input(builder, input_hw, normalization, batch=batch_of(graph, batch))
    _HEADS[task](builder, graph, {name: image}, len(labels))
    optimize(builder.program)
    count = winograd(builder.program) if tiled else 0
    model = builder.program.to_model(name=graph.origin, give_up=True)
    if count:
        model.metadata_props.add(key=_TILED, value=str(count))
    return model


def tiled_layers(model: onnx.ModelProto) -> int:
    """How many convolutions of a model that `finish` made are computed by Winograd's algorithm."""
    return int(next((item.value for item in model.metadata_props if item.key == _TILED), "0"))


def _normalization(
    mean: Sequence[float] | None, std: Sequence[float] | None, scale: float | None, offset: float
) -> Normalization:
    if (mean is None) != (std is None) or (mean is not None and scale is not None):
        raise ExportError("give mean and std together, or scale and offset, not both")
    if mean is not None and std is not None:
        return Normalization.gluoncv(mean, std)
    return Normalization.affine(1.0 if scale is None else scale, offset)
