"""The gate: does a quantized model still say what the float one said, and is it faster here? Measured, not assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle.bundle import Bundle
from edge.inference.session import SessionOptions
from edge.inference.stages import Stage
from edge.results import Result
from export.agreement import agree
from export.bootstrap import interval
from export.calibrate import read
from export.errors import ExportError
from export.evaluate import MAIN_METRIC, difference, evaluate
from export.progress import Progress, silent
from export.speed import Speed, measure_speed, percentile_of
from export.truth import Dataset

__all__ = ["Accuracy", "Judge", "Verdict", "gate", "holds"]

_IOU = 0.9
_DRAWS = 1000
_FEWEST_DRAWN = 3


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What was lost: `drop` = reference - value, both 0..1, of the named measure; `numbers` has its parts.

    `drawn` has the bootstrap's 95 % intervals of `float`, `quantized` and `drop`, where pictures could be drawn anew.
    """

    measure: str
    reference: float
    value: float
    images: int
    numbers: dict[str, Any]
    trials: float = 0
    drawn: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """Where `float`, `quantized` and `drop` may really lie, with 95 % confidence, as far as that is known."""
        found = dict(self.drawn)
        if "quantized" not in found and self.interval is not None:
            low, high = self.interval
            found |= {"quantized": (low, high), "drop": (self.reference - high, self.reference - low)}
        return found

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the value may really lie, with 95 % confidence (Wilson), when it is a share of `trials`."""
        if not self.trials:
            return None
        z2 = 1.96**2 / self.trials
        middle = (self.value + z2 / 2) / (1 + z2)
        half = float(np.sqrt(self.value * (1 - self.value) * z2 + z2**2 / 4)) / (1 + z2)
        return max(0.0, middle - half), min(1.0, middle + half)

    @property
    def drop(self) -> float:
        """How much was lost; below zero when the quantized model does better."""
        return self.reference - self.value


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the quantized model may go out, and why not if it may not."""

    accuracy: Accuracy
    speed: Speed
    size_ratio: float
    max_drop: float
    min_speedup: float
    reasons: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = []
        if not holds(self.accuracy, self.max_drop):
            a = self.accuracy
            found.append(
                f"{a.measure} fell from {a.reference:.4f} to {a.value:.4f}, by {a.drop:.4f}; at most {self.max_drop:g} may be lost"
            )
        if self.speed.ratio <= self.min_speedup:
            s = self.speed
            found.append(
                f"not faster here: {s.quantized_ms:.2f} ms against {s.float_ms:.2f} ms in float ({s.provider}, one thread)"
            )
        object.__setattr__(self, "reasons", tuple(found))

    @property
    def ok(self) -> bool:
        """True when there is no reason against."""
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        """The verdict as `report.json` and `quantize --json` hold it."""
        a, s = self.accuracy, self.speed
        return {
            "ok": self.ok,
            "reasons": list(self.reasons),
            "max_drop": self.max_drop,
            "min_speedup": self.min_speedup,
            "accuracy": {
                "measure": a.measure,
                "float": round(a.reference, 5),
                "quantized": round(a.value, 5),
                "drop": round(a.drop, 5),
                "intervals_95": {name: [round(v, 4) for v in ends] for name, ends in a.intervals.items()},
                "images": a.images,
                "numbers": a.numbers,
            },
            "latency_ms": {
                "float": round(s.float_ms, 3),
                "quantized": round(s.quantized_ms, 3),
                "ratio": round(s.ratio, 3),
            },
            "latency_how": {
                "provider": s.provider,
                "threads": 1,
                "runs": s.runs,
                "percentile": percentile_of(s.clock),
                "clock": s.clock,
            },
            "size_ratio": round(self.size_ratio, 4),
        }


class Judge:
    """A float bundle's own answers, computed once, against which any number of candidates are held.

    With `data` (labelled) the task's metric decides, without it the agreement with the float bundle on `images`.
    Candidates answer on `provider`, or on the CPU's where it is not installed, the float bundle on the CPU's; timed are
    both on `provider`.
    """

    def __init__(
        self,
        reference: Bundle,
        images: Sequence[Path],
        *,
        data: str | Dataset | None = None,
        provider: str = "cpu",
        progress: Progress = silent,
    ) -> None:
        self._reference = reference
        self._provider = provider
        self._images = list(images)
        self._data = data
        self._progress = progress
        if data is not None:
            found = evaluate(reference, data, progress=progress)
            self._main = MAIN_METRIC[reference.manifest.task]
            self._base = found
        else:
            self._results = self._answers(Stage(reference, SessionOptions(warm_up=False)), "float answers")

    def accuracy(self, candidate: Bundle) -> Accuracy:
        """What `candidate` loses."""
        if self._data is not None:
            found = evaluate(candidate, self._data, options=self.options, progress=self._progress)
            main, base = self._main, self._base
            gained = difference(found, base)[main]
            drawn = {
                "float": base.intervals[main],
                "quantized": found.intervals[main],
                "drop": (-gained.high, -gained.low),
            }
            numbers = {"float": base.metrics, "quantized": found.metrics}
            return Accuracy(main, base.metrics[main], found.metrics[main], found.images, numbers, drawn=drawn)
        agreement = agree(self._results, self._answers(Stage(candidate, self.options), "quantized answers"), iou=_IOU)
        drawn = _drawn(agreement.parts)
        a = agreement
        return Accuracy(a.measure, 1.0, a.value, len(self._images), a.numbers, a.trials, drawn=drawn)

    def verdict(
        self,
        candidate: Bundle,
        accuracy: Accuracy | None = None,
        *,
        max_drop: float,
        min_speedup: float = 1.0,
    ) -> Verdict:
        """Accuracy (which may be known already), speed and size of `candidate`, judged."""
        if accuracy is None:
            accuracy = self.accuracy(candidate)
        speed = measure_speed(
            self._reference, candidate, self._images, provider=self._provider, progress=self._progress
        )
        size = len(candidate.model) / len(self._reference.model)
        return Verdict(accuracy, speed, size, max_drop, min_speedup)

    @property
    def options(self) -> SessionOptions:
        """How candidates are run. The CPU's provider works always, and needs no run to show that."""
        return SessionOptions((self._provider,), warm_up=self._provider != "cpu")

    def _answers(self, stage: Stage, what: str) -> list[Result]:
        results = []
        for n, path in enumerate(self._images):
            self._progress(what, n, len(self._images))
            results.append(stage(read(path))[0])
        self._progress(what, len(self._images), len(self._images))
        return results


def gate(
    float_bundle: Bundle,
    quantized: Bundle,
    images: Sequence[Path],
    *,
    data: str | Dataset | None = None,
    max_drop: float = 0.01,
    min_speedup: float = 1.0,
    progress: Progress = silent,
) -> Verdict:
    """Judge `quantized`: on the metric of `data` where it is given, else on agreement over `images`; and on speed.

    Raises:
        ExportError: when there are no pictures, or the data does not fit the bundle.
        SessionError: when a model cannot be loaded or run here.
    """
    if not images:
        raise ExportError("the gate needs pictures to run the models on")
    judge = Judge(float_bundle, images, data=data, progress=progress)
    return judge.verdict(quantized, max_drop=max_drop, min_speedup=min_speedup)


def _drawn(shares: Sequence[float]) -> dict[str, tuple[float, float]]:
    """The intervals of a mean of shares, one a picture, by drawing the pictures anew."""
    if len(shares) < _FEWEST_DRAWN:
        return {}
    picked = np.random.default_rng(0).integers(0, len(shares), (_DRAWS, len(shares)))
    low, high = interval(np.asarray(shares)[picked].mean(axis=1))
    return {"quantized": (low, high), "drop": (1 - high, 1 - low)}


def holds(accuracy: Accuracy, max_drop: float) -> bool:
    """Whether no more is lost than allowed (to within rounding)."""
    return accuracy.drop <= max_drop + 1e-9
