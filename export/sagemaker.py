"""`model.tar.gz` of SageMaker's built-in image-classification, object-detection and semantic-segmentation algorithms.

An archive is recognised by the files in it, its hyperparameters say how many classes there are and how large the
pictures are, and the result is a saved model like any other: a symbol and its parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from export.archive import unpack
from export.errors import ExportError, SourceError
from export.graph import Graph
from export.prune import load_for_inference

__all__ = ["SagemakerModel", "read_archive"]

_LOOKED_FOR: Final = (
    "image-classification-symbol.json with image-classification-NNNN.params (image-classification), "
    "model_algo_1-symbol.json with model_algo_1-NNNN.params (object-detection), "
    "model_algo-1 or model_best.params with hyperparams.json (semantic-segmentation)"
)
_MAX_JSON_BYTES: Final = 1 << 20
# object-detection subtracts these from its pixels, R G B in 0..255, and divides by nothing.
_DETECTION_MEAN: Final = (123.0, 117.0, 104.0)
# The MXNet example that image-classification grew from.
_CLASSIFICATION_MEAN: Final = (123.68, 116.779, 103.939)
_GLUONCV: Final = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


@dataclass(frozen=True, slots=True)
class SagemakerModel:
    """A saved model and what its archive says; `normalization` is empty where it does not say."""

    algorithm: str
    task: str
    symbol: Path
    params: Path
    input_hw: tuple[int, int]
    classes: int
    normalization: dict[str, Any] = field(default_factory=dict)


def read_archive(path: Path, folder: Path) -> SagemakerModel:
    """Recognise and unpack an archive into `folder`.

    Raises:
        SourceError: damaged, too large, not one of the three algorithms', or its files do not fit each other.
        ExportError: semantic segmentation where MXNet and GluonCV are not installed.
    """
    files = unpack(path, folder)
    hyper = _hyperparameters(path, files)
    for symbol, algorithm in (
        ("image-classification-symbol.json", _classification),
        ("model_algo_1-symbol.json", _detection),
    ):
        if symbol in files:
            params = _params(path, files, symbol.removesuffix("-symbol.json"))
            graph, inference = load_for_inference(files[symbol], params, folder)
            return algorithm(path, graph, inference, params, files, hyper)
    if ("model_algo-1" in files or "model_best.params" in files) and "hyperparams.json" in files:
        return _segmentation(path, files, hyper, folder)
    raise SourceError(
        f"{path}: not an archive of a built-in algorithm; looked for {_LOOKED_FOR}; "
        f"it holds {', '.join(sorted(files)) or 'nothing'}"
    )


def _classification(
    path: Path, graph: Graph, symbol: Path, params: Path, files: Mapping[str, Path], hyper: Mapping[str, Any]
) -> SagemakerModel:
    if graph.node(graph.heads[0]).op == "LogisticRegressionOutput":
        raise ExportError(
            f"{path}: trained with multi_label=1: several labels may hold at once, which no task of a bundle expresses"
        )
    shape = _integers(hyper.get("image_shape"))
    if not shape and "model-shapes.json" in files:
        shape = _shapes(path, files["model-shapes.json"])
    if len(shape) < 3 or shape[-3] != 3:
        raise SourceError(f"{path}: the input size is not known: no usable model-shapes.json, no image_shape")
    classes = _last_width(graph) or _integer(path, hyper, "num_classes")
    return SagemakerModel(
        "image-classification",
        "classification",
        symbol,
        params,
        (shape[-2], shape[-1]),
        classes,
        _seen_pixels(graph),
    )


def _detection(
    path: Path, graph: Graph, symbol: Path, params: Path, _files: Mapping[str, Path], hyper: Mapping[str, Any]
) -> SagemakerModel:
    if not any(graph.nodes[index].op == "_contrib_MultiBoxDetection" for index in graph.reachable()):
        raise SourceError(f"{path}: object-detection's symbol ends in MultiBoxDetection; this one has none")
    sides = _integers(hyper.get("image_shape"))
    if not sides:
        raise SourceError(f"{path}: hyperparams.json says no image_shape, the size of the input")
    mean = tuple(value / 255 for value in _DETECTION_MEAN)
    return SagemakerModel(
        "object-detection",
        "detection",
        symbol,
        params,
        (sides[-2] if len(sides) > 1 else sides[0], sides[-1]),
        _integer(path, hyper, "num_classes"),
        {"mean": mean, "std": (1 / 255,) * 3},
    )


def _segmentation(path: Path, files: Mapping[str, Path], hyper: Mapping[str, Any], folder: Path) -> SagemakerModel:
    from export.zoo.segmentation import save_segmentation

    weights = files.get("model_algo-1") or files["model_best.params"]
    # The algorithm itself rounds the crop up to a multiple of 8.
    crop = -(-_integer(path, hyper, "crop_size", 240) // 8) * 8
    classes = _integer(path, hyper, "num_classes")
    symbol, params = save_segmentation(
        str(hyper.get("algorithm", "fcn")),
        weights,
        backbone=str(hyper.get("backbone", "resnet-50")).replace("-", ""),
        classes=classes,
        crop=crop,
        out_dir=folder,
    )
    return SagemakerModel(
        "semantic-segmentation", "segmentation", symbol, params, (crop, crop), classes, dict(_GLUONCV)
    )


def _params(path: Path, files: Mapping[str, Path], prefix: str) -> Path:
    """The parameters of the last epoch."""
    found = sorted(name for name in files if re.fullmatch(re.escape(prefix) + r"-\d{4,}\.params", name))
    if not found:
        raise SourceError(f"{path}: has {prefix}-symbol.json but no {prefix}-NNNN.params")
    return files[found[-1]]


def _hyperparameters(path: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    if "hyperparams.json" not in files:
        return {}
    document = _json(path, files["hyperparams.json"])
    if not isinstance(document, dict):
        raise SourceError(f"{path}: hyperparams.json is not an object")
    return document


def _shapes(path: Path, file: Path) -> tuple[int, ...]:
    """`[{"shape": [1, 3, 224, 224], "name": "data"}]`."""
    document = _json(path, file)
    entries = document if isinstance(document, list) else []
    for entry in entries:
        if isinstance(entry, dict) and entry.get("name") == "data":
            return _integers(entry.get("shape"))
    return ()


def _json(path: Path, file: Path) -> Any:
    if file.stat().st_size > _MAX_JSON_BYTES:
        raise SourceError(f"{path}: {file.name} is larger than {_MAX_JSON_BYTES} bytes")
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as exc:
        raise SourceError(f"{path}: {file.name} is not JSON: {exc}") from exc


def _integers(value: Any) -> tuple[int, ...]:
    """Sizes written as a number, as `3,224,224` or as a list; empty where it is none of them."""
    if isinstance(value, list):
        words = [str(item) for item in value]
    else:
        words = str(value).strip("()[] ").split(",") if value is not None else []
    numbers = [int(word) for word in words if re.fullmatch(r"\s*\d{1,5}\s*", word)]
    valid = len(numbers) == len(words) and all(number > 0 for number in numbers)
    return tuple(numbers) if valid else ()


def _integer(path: Path, hyper: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = _integers(hyper.get(name, default))
    if len(value) != 1:
        raise SourceError(f"{path}: hyperparams.json says no usable {name} ({hyper.get(name)!r})")
    return value[0]


def _last_width(graph: Graph) -> int | None:
    """How many outputs the last fully connected layer has."""
    layers = [graph.nodes[index] for index in graph.reachable() if graph.nodes[index].op == "FullyConnected"]
    weight = graph.params.get(graph.node(layers[-1].inputs[1]).name) if layers else None
    return None if weight is None else int(weight.shape[0])


def _seen_pixels(graph: Graph) -> dict[str, Any]:
    """What a classifier's pixels looked like in training, told by its first layer; empty where that says nothing.

    The algorithm's nets begin with `bn_data`, whose running means are those of the pixels: around 100 where they came
    as they are, around 0 where the means were subtracted before.
    """
    mean = graph.params.get("bn_data_moving_mean")
    if mean is None or mean.shape != (3,):
        return {}
    typical = float(np.abs(mean.astype(np.float64)).mean())
    if typical > 50:
        return {"scale": 1.0, "offset": 0.0}
    variance = graph.params.get("bn_data_moving_var")
    if variance is not None and float(variance.astype(np.float64).mean()) > 100:
        return {"mean": tuple(value / 255 for value in _CLASSIFICATION_MEAN), "std": (1 / 255,) * 3}
    return {}
