"""Quantize until it holds: other ways to choose ranges are tried, then layers go back to float (`export.putback`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge.bundle.bundle import Bundle
from export.calibrate import Reader, spread
from export.gate import Accuracy, Judge, Verdict, holds
from export.half import halving
from export.noise import layer_noise
from export.observe import METHODS, Histograms, Method
from export.progress import Progress, silent
from export.putback import Candidate, Sensitivity, Tried, put_back
from export.quantize import Calibrated, Kernels, Quantized, Scheme, calibrate
from export.speed import CPU
from export.truth import Dataset

__all__ = ["Settled", "halve", "settle"]

REQUIRED_SPEEDUP = 1.0  # a quantized model that is no faster has no reason to be
_HELD_OUT = 4  # every so many pictures one is kept from calibration, to judge on
_FEW = 8  # with fewer pictures than this, all serve for both, and the report says so


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """The model as it may (or, with `verdict.ok` False, may not) go out, and how it came to be so."""

    quantized: Quantized
    verdict: Verdict
    report: dict[str, Any]


def settle(
    bundle: Bundle,
    images: Sequence[Path],
    *,
    data: str | Dataset | None = None,
    max_drop: float = 0.01,
    min_speedup: float = 1.0,
    scheme: Scheme = "auto",
    method: Method | Literal["auto"] = "auto",
    per_channel: bool = True,
    kernels: Kernels = "onnxruntime",
    provider: str = "cpu",
    steps: int = 8,
    effort: float = 1.0,
    progress: Progress = silent,
) -> Settled:
    """Quantize `bundle`, judge it, and put layers back to float by measured sensitivity until it holds.

    With `method` auto the calibration methods are tried in order until one holds, and the best goes on. At most
    `steps` models with layers put back are judged; when none holds, the most accurate one seen is returned with
    its verdict, which says so. Candidates are judged and timed on `provider`, or the CPU's where it is not installed.

    Raises:
        ExportError: as `export.quantize.calibrate` and `export.gate.gate`.
        SessionError: when a model cannot be loaded or run here.
    """
    used, held_out = _split(images)
    judge = Judge(bundle, held_out, data=data, provider=provider, progress=progress)
    tried: list[Tried] = []
    best: tuple[Accuracy, Calibrated, Quantized] | None = None
    methods: tuple[Method, ...] = METHODS if method == "auto" else (method,)
    first = calibrate(
        bundle, used, scheme=scheme, per_channel=per_channel, kernels=kernels, effort=effort, progress=progress
    )
    histograms: Histograms | None = None
    for name in methods:
        if name != "minmax" and histograms is None:
            histograms = first.count_values()
        calibrated = first if histograms is None else first.with_method(name, histograms)
        quantized = calibrated.quantize()
        accuracy = judge.accuracy(quantized.bundle)
        tried.append(Tried(name, 0, 0.0, accuracy.drop))
        if best is None or accuracy.drop < best[0].drop:
            best = accuracy, calibrated, quantized
        if holds(accuracy, max_drop):
            break
    assert best is not None  # noqa: S101  there is at least one method
    accuracy, calibrated, quantized = best
    return _settled(
        calibrated,
        (accuracy, quantized),
        judge,
        _Pictures(images, used, len(held_out), labelled=data is not None, fitted=held_out == used),
        tried,
        max_drop=max_drop,
        min_speedup=min_speedup,
        steps=steps,
        progress=progress,
    )


def halve(
    bundle: Bundle,
    images: Sequence[Path],
    *,
    data: str | Dataset | None = None,
    max_drop: float = 0.01,
    min_speedup: float = 0.0,
    provider: str = "cpu",
    steps: int = 8,
    effort: float = 1.0,
    progress: Progress = silent,
) -> Settled:
    """`bundle` in half precision, layers put back to float32 until it holds; nothing is fitted but what would overflow.

    Judged and timed on `provider`, or the CPU's where it is not installed.

    Raises:
        ExportError: as `export.half.halving` and `export.gate.gate`.
        SessionError: when a model cannot be loaded or run here.
    """
    candidate = halving(bundle, images, effort=effort, progress=progress)
    judge = Judge(bundle, images, data=data, provider=provider, progress=progress)
    quantized = candidate.quantize()
    accuracy = judge.accuracy(quantized.bundle)
    return _settled(
        candidate,
        (accuracy, quantized),
        judge,
        _Pictures(images, images, len(images), labelled=data is not None, fitted=data is None),
        [Tried(candidate.method, 0, 0.0, accuracy.drop)],
        max_drop=max_drop,
        min_speedup=min_speedup,
        steps=steps,
        progress=progress,
    )


@dataclass(frozen=True, slots=True)
class _Pictures:
    """All of them, and which calibrated; `labelled` when the truth is known, `fitted` when the same ones judge."""

    all: Sequence[Path]
    calibrated: Sequence[Path]
    held_out: int
    labelled: bool
    fitted: bool


def _settled(
    candidate: Candidate,
    start: tuple[Accuracy, Quantized],
    judge: Judge,
    pictures: _Pictures,
    tried: list[Tried],
    *,
    max_drop: float,
    min_speedup: float,
    steps: int,
    progress: Progress,
) -> Settled:
    """`start` is the candidate with all layers quantized; layers are put back where it does not hold."""
    accuracy, quantized = start
    ranking: list[Sensitivity] = []
    if not holds(accuracy, max_drop):
        accuracy, quantized, ranking = put_back(
            candidate,
            start,
            judge,
            pictures.calibrated,
            max_drop=max_drop,
            steps=steps,
            tried=tried,
            progress=progress,
        )
    verdict = judge.verdict(quantized.bundle, accuracy, max_drop=max_drop, min_speedup=min_speedup)
    progress("comparing layers", 0, 1)
    probes = Reader(quantized.source, spread(pictures.all, candidate.effort.probes(len(candidate.cores))))
    report = {
        **quantized.report,
        "calibrated_on": quantized.report["images"],
        "effort": {
            "multiplications": candidate.effort.multiplications,
            "factor": candidate.effort.factor,
            "calibration_given": len(pictures.calibrated),
        },
        "judged_on": "labelled data" if pictures.labelled else f"{pictures.held_out} pictures",
        "judged_on_calibration_images": not pictures.labelled and pictures.fitted,
        "tried": [one.to_json() for one in tried],
        "sensitivity": [one.to_json() for one in ranking],
        "layers": layer_noise(candidate.model, quantized.unshaped, probes.each),
        "gate": verdict.to_json(),
        "measured_by": {"float": CPU, "quantized": verdict.speed.provider, "layers": CPU},
    }
    return Settled(quantized, verdict, report)


def _split(images: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    if len(images) < _FEW:
        return list(images), list(images)
    held_out = list(images[::_HELD_OUT])
    return [p for n, p in enumerate(images) if n % _HELD_OUT], held_out
