"""A finished model against MXNet on the same pictures, end to end and layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from export.bare import raw_model
from export.compare import COMPARE, OutputDifference, Results, difference
from export.errors import ExportError
from export.graph import Array
from export.heads import Normalization
from export.heads.multibox import split_rows
from export.layers import Divergence, first_divergence
from export.run_onnx import run_model
from export.source import load
from export.tolerances import OUTPUTS
from export.translate import batch_of, input_variable, output_names
from export.zoo.run import reference, reference_layers, run_layers

__all__ = ["Verification", "normalized", "verify", "verify_raw"]


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
    if task not in COMPARE:
        raise ExportError(f"the task {task!r} cannot be verified; known: {', '.join(sorted(COMPARE))}")
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
    outputs, unmatched = COMPARE[task](Results(graph, actual, expected, (images.shape[1], images.shape[2])))
    divergence = first_divergence(graph, {input_variable(graph): pictures[:1]}, values) if layers else None
    return Verification(tuple(outputs), divergence, unmatched)


def verify_raw(
    symbol: Path, params: Path, inputs: Mapping[str, Array], *, model: onnx.ModelProto | None = None
) -> Verification:
    """Compare the raw translation with MXNet: every output, and every layer on its own.

    Args:
        symbol: the `-symbol.json`.
        params: the `.params`.
        inputs: what to feed, by the name of the variable, float32.
        model: what `raw_model` made of them; by default it is made here.

    Raises:
        ExportError: MXNet is not installed.
    """
    graph = load(symbol, params)
    found = run_model(raw_model(graph, {n: a.shape for n, a in inputs.items()}) if model is None else model, inputs)
    layers = run_layers(symbol, params, inputs)
    outputs = tuple(
        difference(
            name,
            found[name],
            layers[ref] if ref in layers else inputs[graph.node(ref).name],
            limit=OUTPUTS["raw"],
        )
        for ref, name in zip(graph.heads, output_names(graph), strict=True)
    )
    return Verification(outputs, first_divergence(graph, inputs, layers))


def normalized(images: Array, normalization: Normalization) -> Array:
    """uint8 [N, H, W, 3] to float32 [N, 3, H, W], as the net was trained on."""
    shift, scale = (np.asarray(values, np.float64) for values in (normalization.shift, normalization.scale))
    pixels = (images.astype(np.float64) - shift) * scale
    return np.ascontiguousarray(pixels.astype(np.float32).transpose(0, 3, 1, 2))
