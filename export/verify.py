"""A finished model against MXNet on the same pictures, end to end and layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from export.build import Builder
from export.errors import ExportError
from export.graph import Array, Graph
from export.heads import Normalization
from export.heads.classification import ends_in_softmax
from export.heads.multibox import split_rows
from export.layers import Divergence, first_divergence
from export.match import Detections, Match, match
from export.passes import optimize
from export.run_onnx import run_model
from export.source import load
from export.tolerances import OUTPUTS, Tolerance
from export.translate import DEFAULT_OPSET, batch_of, input_variable, needed_opset, output_names, walk
from export.zoo.run import reference, reference_layers, run_layers

__all__ = ["OutputDifference", "Verification", "normalized", "verify", "verify_raw"]


@dataclass(frozen=True, slots=True)
class OutputDifference:
    """How far one output of the finished model is from MXNet's, and how far it may be."""

    name: str
    max_abs: float
    max_rel: float
    tolerance: float


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared; `unmatched` counts detections without a partner on the other side."""

    outputs: tuple[OutputDifference, ...]
    first_divergence: Divergence | None
    unmatched: int = 0

    @property
    def ok(self) -> bool:
        """Whether everything lies within its tolerance."""
        within = all(item.max_abs <= item.tolerance for item in self.outputs)
        return within and self.first_divergence is None and not self.unmatched

    def to_json(self) -> dict[str, Any]:
        """As `gluon-export verify --json` prints it."""
        return {
            "ok": self.ok,
            "outputs": [asdict(item) for item in self.outputs],
            "first_divergence": asdict(self.first_divergence) if self.first_divergence else None,
            "unmatched": self.unmatched,
        }


def verify(
    symbol: Path,
    params: Path,
    model: onnx.ModelProto,
    images: Array,
    *,
    task: str,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    scale: float | None = None,
    offset: float = 0.0,
    layers: bool = True,
) -> Verification:
    """Compare a finished model with MXNet on the saved model that it came from.

    Args:
        symbol: the `-symbol.json`.
        params: the `.params`.
        model: what `heads.finish` made of them.
        images: uint8 [N, H, W, 3] RGB, of the size that the model takes.
        task: which results to compare.
        mean: the normalisation, as it was given to `finish`.
        std: likewise.
        scale: likewise.
        offset: likewise.
        layers: also compare every layer on its own, on the first picture.

    Raises:
        ExportError: MXNet is not installed, or the task cannot be compared.
    """
    if task not in _COMPARE:
        raise ExportError(f"the task {task!r} cannot be verified; known: {', '.join(sorted(_COMPARE))}")
    graph = load(symbol, params)
    if mean is not None and std is not None:
        normalization = Normalization.gluoncv(mean, std)
    else:
        normalization = Normalization.affine(1.0 if scale is None else scale, offset)
    pictures = normalized(images, normalization)
    # One by one where the model takes one at a time.
    step = batch_of(graph, None) or len(images)
    parts = [slice(at, at + step) for at in range(0, len(images), step)]
    values = reference_layers(symbol, params, pictures[:1]) if layers else {}
    if len(images) == 1 and values:
        expected = [values[ref] for ref in graph.heads]
    else:
        references = [reference(symbol, params, pictures[part]) for part in parts]
        expected = [np.concatenate(arrays) for arrays in zip(*references, strict=True)]
    expected = split_rows(graph, expected, (images.shape[1], images.shape[2]))
    results = [run_model(model, {"image": images[part]}) for part in parts]
    actual = {name: np.concatenate([result[name] for result in results]) for name in results[0]}
    outputs, unmatched = _COMPARE[task](graph, actual, expected)
    divergence = first_divergence(graph, {input_variable(graph): pictures[:1]}, values) if layers else None
    return Verification(tuple(outputs), divergence, unmatched)


def verify_raw(symbol: Path, params: Path, inputs: Mapping[str, Array]) -> Verification:
    """Compare the raw translation with MXNet: every output, and every layer on its own.

    Args:
        symbol: the `-symbol.json`.
        params: the `.params`.
        inputs: what to feed, by the name of the variable, float32.

    Raises:
        ExportError: MXNet is not installed.
    """
    graph = load(symbol, params)
    builder = Builder(opset=needed_opset(graph, DEFAULT_OPSET))
    values = {name: builder.input(name, array.dtype, (array.shape, array.shape)) for name, array in inputs.items()}
    done = walk(builder, graph, values).values
    for ref, name in zip(graph.heads, output_names(graph), strict=True):
        builder.output(done[ref], name)
    optimize(builder.program)
    found = list(run_model(builder.program.to_model(), inputs).values())
    layers = run_layers(symbol, params, inputs)
    expected = [layers[ref] if ref in layers else inputs[graph.node(ref).name] for ref in graph.heads]
    outputs = tuple(
        _difference(name, *pair, limit=OUTPUTS["raw"])
        for name, *pair in zip(output_names(graph), found, expected, strict=True)
    )
    return Verification(outputs, first_divergence(graph, inputs, layers))


def normalized(images: Array, normalization: Normalization) -> Array:
    """uint8 [N, H, W, 3] to float32 [N, 3, H, W], as the net was trained on."""
    shift, scale = (np.asarray(values, np.float64) for values in (normalization.shift, normalization.scale))
    pixels = (images.astype(np.float64) - shift) * scale
    return np.ascontiguousarray(pixels.astype(np.float32).transpose(0, 3, 1, 2))


def _difference(name: str, actual: Array, expected: Array, *, limit: Tolerance | None = None) -> OutputDifference:
    one, two = actual.astype(np.float64), expected.astype(np.float64)
    if one.shape != two.shape:
        return OutputDifference(name, float("inf"), float("inf"), 0.0)
    gap = np.abs(one - two)
    magnitude = np.abs(two)
    relative = gap / np.maximum(magnitude, 1e-12)
    allowed = (limit or OUTPUTS[name]).allowed(float(magnitude.max(initial=0)))
    return OutputDifference(name, float(gap.max(initial=0)), float(relative.max(initial=0)), allowed)


def _classification(
    graph: Graph, actual: dict[str, Array], expected: list[Array]
) -> tuple[list[OutputDifference], int]:
    logits = expected[0].reshape(len(expected[0]), -1).astype(np.float64)
    if not ends_in_softmax(graph):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        logits = powers / powers.sum(axis=1, keepdims=True)
    return [_difference("scores", actual["scores"], logits)], 0


def _detection(graph: Graph, actual: dict[str, Array], expected: list[Array]) -> tuple[list[OutputDifference], int]:
    del graph
    matches = [match(*pair, rows=actual["scores"].shape[1]) for pair, _ in _pictures(actual, expected)]
    return _matched(matches), sum(item.unmatched for item in matches)


def _instances(graph: Graph, actual: dict[str, Array], expected: list[Array]) -> tuple[list[OutputDifference], int]:
    del graph
    matches, worst = [], 0.0
    for index, (pair, rows) in enumerate(_pictures(actual, expected)):
        matches.append(match(*pair, rows=actual["scores"].shape[1]))
        for theirs, ours in matches[-1].pairs:
            gap = np.abs(actual["masks"][index, ours] - expected[3][index, rows[theirs]])
            worst = max(worst, float(gap.max(initial=0)))
    masks = OutputDifference("masks", worst, worst, OUTPUTS["masks"].absolute)
    return [*_matched(matches), masks], sum(item.unmatched for item in matches)


def _pictures(actual: dict[str, Array], expected: list[Array]) -> Iterator[tuple[tuple[Detections, Detections], Array]]:
    """For each picture ours and theirs, and which of MXNet's rows theirs are."""
    # CenterNet gives ids and scores without the last dimension of one.
    ids, scores = (array.reshape(*array.shape[:2], 1) for array in expected[:2])
    rows = actual["scores"].shape[1]
    for index, count in enumerate(actual["count"]):
        boxes, values, labels = (actual[name][index, : int(count)] for name in ("boxes", "scores", "labels"))
        valid = np.flatnonzero((ids[index, :, 0] >= 0) & (scores[index, :, 0] > 0))
        best = valid[np.argsort(-scores[index, valid, 0], kind="stable")][:rows]
        theirs = Detections(expected[2][index, best], scores[index, best, 0], ids[index, best, 0])
        yield (Detections(boxes, values, labels), theirs), best


def _matched(matches: list[Match]) -> list[OutputDifference]:
    score = max((item.score_abs for item in matches), default=0.0)
    box = max((item.box_abs for item in matches), default=0.0)
    magnitude = max((item.box_magnitude for item in matches), default=0.0)
    return [
        OutputDifference("boxes", box, box / max(magnitude, 1.0), OUTPUTS["boxes"].allowed(magnitude)),
        OutputDifference("scores", score, score, OUTPUTS["scores"].absolute),
    ]


def _segmentation(graph: Graph, actual: dict[str, Array], expected: list[Array]) -> tuple[list[OutputDifference], int]:
    del graph
    scores = expected[0].astype(np.float64)
    height, width = scores.shape[2:]
    mask = actual["mask"]
    rows, columns = (np.arange(n) * m // n for n, m in zip(mask.shape[1:], (height, width), strict=True))
    scores = scores[:, :, rows][:, :, :, columns]
    # How much worse the class taken is than the best one: at a border between classes rounding decides.
    taken = np.take_along_axis(scores, mask[:, None].astype(np.int64), 1)[:, 0]
    worst = float((scores.max(axis=1) - taken).max(initial=0))
    limit = OUTPUTS["mask"].allowed(float(np.abs(scores).max(initial=0)))
    return [OutputDifference("mask", worst, worst / max(float(np.abs(scores).max(initial=0)), 1e-12), limit)], 0


def _pose(graph: Graph, actual: dict[str, Array], expected: list[Array]) -> tuple[list[OutputDifference], int]:
    del graph
    heat = expected[0].astype(np.float64)
    found = actual["keypoints"]
    peaks = heat.reshape(*heat.shape[:2], -1).max(axis=2)
    score = float(np.abs(found[:, :, 2] - peaks).max(initial=0))
    limit = OUTPUTS["keypoints"].allowed(float(np.abs(heat).max(initial=0)))
    return [OutputDifference("keypoints", score, score / max(float(np.abs(peaks).max(initial=0)), 1e-12), limit)], 0


_COMPARE = {
    "classification": _classification,
    "detection": _detection,
    "instances": _instances,
    "pose": _pose,
    "segmentation": _segmentation,
}
