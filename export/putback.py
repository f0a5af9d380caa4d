"""Layers that cost too much accuracy go back to float: those first whose harm is greatest for the time they save."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx

from edge.bundle.bundle import Bundle
from edge.inference.session import SessionOptions
from edge.inference.stages import Stage
from edge.results import Detections, Instances, Result
from export.agreement import distance
from export.calibrate import read, spread
from export.effort import Effort
from export.gate import Accuracy, Judge, holds
from export.progress import Progress, silent
from export.quantize import Quantized

__all__ = ["Candidate", "Sensitivity", "Tried", "put_back", "sensitivities"]


class Candidate(Protocol):
    """What can be had with any of its layers left in float: `export.quantize.Calibrated`, `export.half.Halving`."""

    @property
    def bundle(self) -> Bundle:
        """The float bundle."""

    @property
    def model(self) -> onnx.ModelProto:
        """What is quantized: the float bundle's graph, prepared."""

    @property
    def method(self) -> str:
        """How its ranges are chosen."""

    @property
    def cores(self) -> list[str]:
        """The output names of the layers that can be put back."""

    @property
    def products(self) -> Mapping[str, int]:
        """Multiplications of each of `cores` for one picture."""

    @property
    def effort(self) -> Effort:
        """How much the search may be."""

    def quantize(self, keep_float: Collection[str] = ()) -> Quantized:
        """The model with the layers in `keep_float` put back."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What a layer does when it alone is quantized, and how much of the net's work is saved by its being so.

    `error` is how far the results are from the float model's (`export.agreement.distance`), `work` the share of the net's
    multiplications. Layers of a large net are measured several `together`: then `error` is that of all of them.
    """

    layer: str
    error: float
    work: float
    together: int = 1

    def to_json(self) -> dict[str, Any]:
        """As `report.json` holds it."""
        return {
            "layer": self.layer,
            "error": round(self.error, 8),
            "work": round(self.work, 6),
            "together": self.together,
        }


@dataclass(frozen=True, slots=True)
class Tried:
    """One model of the search: how many layers were put back, the share of the work that is, and what was lost."""

    method: str
    put_back: int
    work: float
    drop: float

    def to_json(self) -> dict[str, Any]:
        """As `report.json` holds it."""
        return {
            "method": self.method,
            "put_back": self.put_back,
            "work": round(self.work, 4),
            "drop": round(self.drop, 5),
        }


def put_back(
    candidate: Candidate,
    start: tuple[Accuracy, Quantized],
    judge: Judge,
    images: Sequence[Path],
    *,
    max_drop: float,
    steps: int,
    tried: list[Tried],
    progress: Progress = silent,
) -> tuple[Accuracy, Quantized, list[Sensitivity]]:
    """The model with the fewest layers put back that `judge` finds to hold, and the order in which they were.

    `start` is the candidate with none put back, which does not hold. At most `steps` models are judged, and told in
    `tried`; when none holds, the most accurate one is returned.

    Raises:
        ExportError, SessionError: as `Judge.accuracy`.
    """
    ranking = sensitivities(candidate, images, judge.options, progress=progress)

    def attempt(count: int) -> tuple[Accuracy, Quantized]:
        progress("putting layers back", len(tried), len(tried) + 1)
        made = candidate.quantize([one.layer for one in ranking[:count]])
        outcome = judge.accuracy(made.bundle)
        tried.append(Tried(candidate.method, count, sum(one.work for one in ranking[:count]), outcome.drop))
        return outcome, made

    return *_search(attempt, start, ranking, max_drop, steps), ranking


def sensitivities(
    candidate: Candidate, images: Sequence[Path], options: SessionOptions | None = None, *, progress: Progress = silent
) -> list[Sensitivity]:
    """Each layer's, those first that do most harm for the work they save.

    Measured on those few of `images` where the float model finds most, as `options` say; the layers of a net that is too
    large for that are measured in groups, in the graph's order.
    """
    bundle, names, effort = candidate.bundle, candidate.cores, candidate.effort
    # Below the bundle's, so that a score that moves across it counts for what it moves.
    finds = bundle.manifest.task in {"detection", "instances"}
    threshold = bundle.manifest.thresholds.score / 2 if finds else 0.0
    stage = Stage(bundle, SessionOptions(warm_up=False), threshold=threshold)
    said = []
    looks = spread(images, effort.looks(len(names)))
    for n, path in enumerate(looks):
        progress("choosing pictures to measure on", n, len(looks))
        said.append((path, stage(read(path))[0]))
    said.sort(key=lambda item: -_finds(item[1]))
    probes = [(read(path), result) for path, result in said[: effort.probes(len(names))]]
    total = max(1, sum(candidate.products.values()))
    found: list[list[Sensitivity]] = []
    groups = [list(group) for group in np.array_split(np.array(names), effort.groups(len(names)))]
    what = "measuring each layer" if len(groups) == len(names) else "measuring groups of layers"
    for n, group in enumerate(groups):
        progress(what, n, len(groups))
        alone = candidate.quantize([other for other in names if other not in group])
        other = Stage(alone.bundle, options or SessionOptions(warm_up=False), threshold=threshold)
        error = float(np.mean([distance(result, other(image)[0]) for image, result in probes]))
        each = [Sensitivity(str(name), error, candidate.products[name] / total, len(group)) for name in group]
        found.append(sorted(each, key=lambda one: one.work))
    progress(what, len(groups), len(groups))
    # Even the smallest layer costs something to put back: its values change their type twice.
    found.sort(key=lambda group: -group[0].error / (sum(one.work for one in group) + len(group) / len(names)))
    return [one for group in found for one in group]


def _finds(result: Result) -> int:
    found = result.detections if isinstance(result, Instances) else result
    return len(found.scores) if isinstance(found, Detections) else 0


def _search(
    attempt: Callable[[int], tuple[Accuracy, Quantized]],
    start: tuple[Accuracy, Quantized],
    ranking: Sequence[Sensitivity],
    max_drop: float,
    steps: int,
) -> tuple[Accuracy, Quantized]:
    """The fewest layers put back that hold: doubled until they do, then bisected; at most half of all."""
    best = start
    low, high = 0, 0  # `low` is known not to hold
    number = ranking[0].together if ranking else 1
    while steps > 0 and number <= max(1, len(ranking) // 2):
        steps -= 1
        outcome = attempt(number)
        if holds(outcome[0], max_drop):
            best, high = outcome, number
            break
        best = min(best, outcome, key=lambda o: o[0].drop)
        low, number = number, number * 2
    while high - low > 1 and steps > 0:
        steps -= 1
        middle = (low + high) // 2
        outcome = attempt(middle)
        if holds(outcome[0], max_drop):
            best, high = outcome, middle
        else:
            low = middle
    return best
