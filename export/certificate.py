"""The golden sample of a bundle: a picture, what the model says of it here, and the proof that mistakes would show.

A sample on which a forgotten mean or swapped colours change nothing certifies nothing. So the mistakes are made here, on
the model that was written, and the sample names those that it tells apart: more and fainter finds are taken into it
until it tells all of them, or there are no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle.bundle import Bundle
from edge.frame import Image
from edge.inference.expectation import compare, expected
from edge.inference.golden import golden_sample
from edge.inference.session import SessionOptions
from edge.inference.stages import Stage, prepare_for
from edge.prepare import Placement, ResizeRule, prepare
from edge.results import Result, Segmentation, decode
from export.tolerances import GOLDEN

__all__ = ["MISTAKES", "certificate", "clouds", "telling"]

MISTAKES: Final = ("channel order", "mean", "resize rule")
_MEAN_OFF: Final = 26  # a tenth of the range, as when a mean of 0.485 is taken for one of 0.385
_LARGER: Final = 1.25
_ASPECT_OFF: Final = 1.3
# In 8 bits faint finds come and go with the kernels: benchmarks/results/kernels.json.
_FAINTEST: Final = {"fp32": 0.05, "fp16": 0.1, "int8": 0.25}
_FEW_ROWS: Final = 4
_MOST_ROWS: Final = 100
_CLOUDS: Final[tuple[dict[str, Any], ...]] = ({"roughness": 0.9, "seed": 1}, {"roughness": 1.1, "seed": 0})

_Seen = tuple[str, dict[str, NDArray[Any]], Placement]


def certificate(bundle: Bundle, pictures: Sequence[Image], *, file: Path | None = None) -> dict[str, bytes]:
    """The files under golden/ for a bundle, made of the first of `pictures` (uint8 [H, W, 3] BGR) that tells all mistakes.

    `file` is as `edge.inference.session.Session` has it. Where the model sees nothing in them by which mistakes could be told, clouds of colour are tried too.

    Raises:
        SessionError: when the model cannot be loaded or run here.
    """
    height, width = bundle.manifest.input.height, bundle.manifest.input.width
    # Kept between runs, the buffers of a net for large pictures are as large as its weights.
    stage = Stage(bundle, SessionOptions(low_memory=True), file=file)
    best: _Sample | None = None
    for shown in (*pictures, *(clouds(height, width, **how) for how in _CLOUDS)):
        sample = _sample(stage, telling(shown, height, width))
        if best is None or len(sample.caught) > len(best.caught):
            best = sample
        if len(best.caught) == len(MISTAKES):
            break
    assert best is not None  # noqa: S101  there is at least one picture
    return golden_sample(best.image, best.result, {**best.want, "catches": list(best.caught)})


def clouds(height: int, width: int, *, roughness: float, seed: int) -> Image:
    """A picture of noise at every scale, each finer one `roughness` times as strong: it has parts that nets take for things."""
    chance = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for k in range(7):
        cells = min(2 ** (k + 1), height, width)
        layer = chance.normal(0, roughness**k, (cells, cells, 3)).astype(np.float32)
        total += cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC)
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / max(high - low, 1e-6) * 255, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    image: Image
    result: Result
    want: dict[str, Any]
    caught: tuple[str, ...]


def _sample(stage: Stage, image: Image) -> _Sample:
    """The sample of a picture at the threshold that catches most, with a few finds in it if there are any."""
    bundle = stage.bundle
    seen = list(_looks(stage, image))
    best: _Sample | None = None
    for threshold in _thresholds(bundle, stage.threshold):
        result, want = _expectation(bundle, seen[0], threshold)
        rows = len(want["results"])
        if best is not None and rows > _MOST_ROWS:
            break
        sample = _Sample(image, result, want, _caught(bundle, want, result, seen[1:]))
        if best is None or len(sample.caught) >= len(best.caught):
            best = sample
        if len(best.caught) == len(MISTAKES) and rows >= _FEW_ROWS:
            break
    assert best is not None  # noqa: S101  there is at least one threshold
    return best


def telling(picture: Image, height: int, width: int) -> Image:
    """The picture, a bit larger than the input and of another shape, so that resizing wrongly shows; no larger than that."""
    shown = picture
    aspect = (picture.shape[1] / picture.shape[0]) / (width / height)
    if 1 / _ASPECT_OFF < aspect < _ASPECT_OFF:
        rows = max(1, round(picture.shape[0] * aspect / _ASPECT_OFF))
        top = (picture.shape[0] - rows) // 2
        shown = picture[top : top + rows]
    scale = min(1.0, _LARGER * max(width / shown.shape[1], height / shown.shape[0]))
    if scale < 1:
        shown = np.asarray(cv2.resize(shown, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(shown)


def _looks(stage: Stage, image: Image) -> Iterator[_Seen]:
    """The model's outputs for the picture prepared rightly, then with each mistake."""
    spec = stage.bundle.manifest.input
    tensor, placement = prepare_for(stage.bundle, image)
    tampered = [
        ("", tensor, placement),
        ("channel order", np.ascontiguousarray(tensor[..., ::-1]), placement),
        ("mean", np.minimum(tensor, 255 - _MEAN_OFF) + np.uint8(_MEAN_OFF), placement),
    ]
    for rule in get_args(ResizeRule):
        if rule != spec.resize:
            wrong = prepare(image, height=spec.height, width=spec.width, resize=rule, crop_ratio=spec.crop_ratio)
            tampered.append(("resize rule", *wrong))
    for what, made, place in tampered:
        yield what, {name: value[0] for name, value in stage.session.infer(made[None]).items()}, place


def _thresholds(bundle: Bundle, first: float) -> Iterator[float]:
    yield first
    if bundle.manifest.task in {"detection", "instances"}:
        threshold = first / 2
        while threshold >= _FAINTEST[bundle.manifest.precision]:
            yield threshold
            threshold /= 2


def _expectation(bundle: Bundle, seen: _Seen, threshold: float) -> tuple[Result, dict[str, Any]]:
    _, outputs, placement = seen
    task = bundle.manifest.task
    result = decode(task, outputs, placement, threshold=threshold if task in {"detection", "instances"} else 0.0)
    tolerance = GOLDEN[bundle.manifest.precision]
    if task == "segmentation":  # a class's score is its share of the pixels
        tolerance = {**tolerance, "score": tolerance["pixels"]}
    return result, expected(result, threshold=threshold, labels=bundle.labels, **tolerance)


def _caught(bundle: Bundle, want: dict[str, Any], sample: Result, seen: list[_Seen]) -> tuple[str, ...]:
    """The mistakes with which the comparison fails, each time that they are made."""
    task, mask = bundle.manifest.task, sample.mask if isinstance(sample, Segmentation) else None
    missed = set()
    for what, outputs, placement in seen:
        finds = task in {"detection", "instances"}
        least = max(0.0, want["threshold"] - want["tolerance"]["score"]) if finds else 0.0
        got = decode(task, outputs, placement, threshold=least, top=bundle.manifest.classes)
        if compare(want, got, bundle.labels, mask=mask).ok:
            missed.add(what)
    return tuple(what for what in MISTAKES if what not in missed)
