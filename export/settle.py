"""Quantize until it holds: layers that cost too much go back to float, worst first, as few as will do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge.bundle.bundle import Bundle
from edge.results import Detections, Result
from edge.stages import Stage
from export.agreement import distance
from export.calibrate import Reader, read, spread
from export.gate import Accuracy, Judge, Verdict, holds
from export.half import half
from export.noise import layer_noise
from export.observe import METHODS, Histograms, Method
from export.progress import Progress, silent
from export.quantize import Calibrated, Quantized, Scheme, calibrate
from export.truth import Dataset

__all__ = ["Settled", "halve", "settle"]

REQUIRED_SPEEDUP = 1.0  # a quantized model that is no faster has no reason to be
_HELD_OUT = 4  # every so many pictures one is kept from calibration, to judge on
_FEW = 8  # with fewer pictures than this, all serve for both, and the report says so
_PROBES = 4  # pictures on which a layer's sensitivity is measured


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
    steps: int = 8,
    progress: Progress = silent,
) -> Settled:
    """Quantize `bundle`, judge it, and put layers back to float by measured sensitivity until it holds.

    With `method` auto the calibration methods are tried in order until one holds, and the best goes on. At most
    `steps` models with layers put back are judged; when none holds, the most accurate one seen is returned with
    its verdict, which says so.

    Raises:
        ExportError: as `export.quantize.calibrate` and `export.gate.gate`.
        SessionError: when a model cannot be loaded or run here.
    """
    used, held_out = _split(images)
    judge = Judge(bundle, held_out, data=data, progress=progress)
    tried: list[dict[str, Any]] = []
    best: tuple[Accuracy, Calibrated, Quantized] | None = None
    methods: tuple[Method, ...] = METHODS if method == "auto" else (method,)
    first = calibrate(bundle, used, scheme=scheme, per_channel=per_channel, progress=progress)
    histograms: Histograms | None = None
    for name in methods:
        if name != "minmax" and histograms is None:
            histograms = first.count_values()
        calibrated = first if histograms is None else first.with_method(name, histograms)
        quantized = calibrated.quantize()
        accuracy = judge.accuracy(quantized.bundle)
        tried.append({"method": name, "put_back": 0, "drop": round(accuracy.drop, 5)})
        if best is None or accuracy.drop < best[0].drop:
            best = accuracy, calibrated, quantized
        if holds(accuracy, max_drop):
            break
    assert best is not None  # noqa: S101  there is at least one method
    accuracy, calibrated, quantized = best
    ranking: list[tuple[str, float]] = []
    if not holds(accuracy, max_drop):
        ranking = sensitivities(calibrated, used, progress=progress)

        def attempt(count: int) -> tuple[Accuracy, Quantized]:
            progress("putting layers back", len(tried), len(tried) + 1)
            candidate = calibrated.quantize([name for name, _ in ranking[:count]])
            outcome = judge.accuracy(candidate.bundle)
            tried.append({"method": calibrated.method, "put_back": count, "drop": round(outcome.drop, 5)})
            return outcome, candidate

        quantized = _search(attempt, (accuracy, quantized), len(ranking), max_drop, steps)
    verdict = judge.verdict(quantized.bundle, max_drop=max_drop, min_speedup=min_speedup)
    progress("comparing layers", 0, 1)
    probes = Reader(bundle, spread(images, _PROBES))
    report = {
        **quantized.report,
        "calibrated_on": len(used),
        "judged_on": "labelled data" if data is not None else f"{len(held_out)} pictures",
        "judged_on_calibration_images": data is None and held_out == used,
        "tried": tried,
        "sensitivity": [{"layer": name, "error": round(error, 8)} for name, error in ranking],
        "layers": layer_noise(calibrated.model, quantized.model, probes.each),
        "gate": verdict.to_json(),
    }
    return Settled(quantized, verdict, report)


def halve(
    bundle: Bundle,
    images: Sequence[Path],
    *,
    data: str | Dataset | None = None,
    max_drop: float = 0.01,
    min_speedup: float = 0.0,
    progress: Progress = silent,
) -> Settled:
    """`bundle` in half precision and its verdict; nothing is calibrated but what would overflow.

    Raises:
        ExportError: as `export.half.half` and `export.gate.gate`.
        SessionError: when a model cannot be loaded or run here.
    """
    halved = half(bundle, images, progress=progress)
    judge = Judge(bundle, images, data=data, progress=progress)
    verdict = judge.verdict(halved.bundle, max_drop=max_drop, min_speedup=min_speedup)
    report = {
        **halved.report,
        "calibrated_on": len(images),
        "judged_on": "labelled data" if data is not None else f"{len(images)} pictures",
        "judged_on_calibration_images": data is None,
        "tried": [{"method": "float16", "put_back": 0, "drop": round(verdict.accuracy.drop, 5)}],
        "sensitivity": [],
        "gate": verdict.to_json(),
    }
    return Settled(halved, verdict, report)


def sensitivities(
    calibrated: Calibrated, images: Sequence[Path], *, progress: Progress = silent
) -> list[tuple[str, float]]:
    """Each layer with the harm it does when it alone runs in 8 bits, worst first.

    Harm is how far the results are from the float model's (`export.agreement.distance`), on those few of `images`
    where the float model finds most.
    """
    bundle = calibrated.bundle
    # Below the bundle's, so that a score that moves across it counts for what it moves.
    threshold = bundle.manifest.thresholds.score / 2 if bundle.manifest.task == "detection" else 0.0
    stage = Stage(bundle, threshold=threshold)
    said = [(path, stage(read(path))[0]) for path in spread(images, _PROBES * 4)]
    said.sort(key=lambda item: -_finds(item[1]))
    probes = [(read(path), result) for path, result in said[:_PROBES]]
    names = calibrated.cores
    found = []
    for n, name in enumerate(names):
        progress("measuring each layer", n, len(names))
        alone = calibrated.quantize([other for other in names if other != name])
        other = Stage(alone.bundle, threshold=threshold)
        found.append((name, float(np.mean([distance(result, other(image)[0]) for image, result in probes]))))
    progress("measuring each layer", len(names), len(names))
    return sorted(found, key=lambda item: -item[1])


def _finds(result: Result) -> int:
    return len(result.scores) if isinstance(result, Detections) else 0


def _search(
    attempt: Callable[[int], tuple[Accuracy, Quantized]],
    start: tuple[Accuracy, Quantized],
    count: int,
    max_drop: float,
    steps: int,
) -> Quantized:
    """The fewest layers put back that hold: doubled until they do, then bisected; at most half of all."""
    best = start
    low, high = 0, 0  # `low` is known not to hold
    put_back = 1
    while steps > 0 and put_back <= max(1, count // 2):
        steps -= 1
        outcome = attempt(put_back)
        if holds(outcome[0], max_drop):
            best, high = outcome, put_back
            break
        best = min(best, outcome, key=lambda o: o[0].drop)
        low, put_back = put_back, put_back * 2
    while high - low > 1 and steps > 0:
        steps -= 1
        middle = (low + high) // 2
        outcome = attempt(middle)
        if holds(outcome[0], max_drop):
            best, high = outcome, middle
        else:
            low = middle
    return best[1]


def _split(images: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    if len(images) < _FEW:
        return list(images), list(images)
    held_out = list(images[::_HELD_OUT])
    return [p for n, p in enumerate(images) if n % _HELD_OUT], held_out
