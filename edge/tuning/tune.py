"""`gluon-edge tune`: which of a model's bundles, on what and with how many threads, is best on this device. Measured.

Every way is loaded, must say what the golden sample expects, and runs for a moment; the best of them then take turns for
the rest of the time, so that a device that slows down (heat, another program) slows all of them.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle.bundle import Bundle
from edge.errors import SessionError
from edge.health.health import percentiles
from edge.inference.golden import check, golden_image
from edge.inference.session import SessionOptions, available_cores
from edge.inference.stages import Stage, prepare_for
from edge.inference.tuned import Tuned, hardware, versions
from edge.runtimes import RUNTIMES, Precision

__all__ = ["Goal", "Trial", "Tuning", "choose", "tune"]

_HALF = frozenset({"openvino", "tensorrt"})  # those that can compute in less than the model's own types
_FINALISTS = 3
_LEAST_RUNS = 3
_FIRST_LOOK = 0.5  # the share of the time for the first look at every way


@dataclass(frozen=True, slots=True)
class Goal:
    """What is best: the fastest.

    With `latency_ms`, of the ways that are this fast the one that takes least CPU time; with `cpu_ms` a frame, which
    stands for power, the fastest of those that take no more.
    """

    latency_ms: float | None = None
    cpu_ms: float | None = None

    def met_by(self, trial: "Trial") -> bool:
        """Whether a way keeps to the budget: nine frames of ten in time."""
        slow = self.latency_ms is not None and trial.p90_ms > self.latency_ms
        return not (slow or (self.cpu_ms is not None and trial.cpu_ms > self.cpu_ms))

    def cost(self, trial: "Trial") -> float:
        """What is to be small."""
        return trial.p50_ms if self.latency_ms is None else trial.cpu_ms


@dataclass(slots=True)
class Trial:
    """One way to run one bundle. `reason` says why it is out; the figures are those of the inference alone."""

    bundle: Path
    size: str
    types: str
    provider: str
    runtime: str
    precision: Precision
    threads: int
    p50_ms: float = 0.0
    p90_ms: float = 0.0
    cpu_ms: float = 0.0
    worst_score: float = 0.0
    reason: str | None = None
    wall: list[float] = field(default_factory=list, repr=False)
    cpu: list[float] = field(default_factory=list, repr=False)

    def row(self) -> dict[str, Any]:
        """What `--json` prints of it."""
        found = asdict(self)
        del found["wall"], found["cpu"]
        measured = self.p50_ms > 0
        figures = {name: found[name] if measured else None for name in ("p50_ms", "p90_ms", "cpu_ms")}
        fps = round(1e3 / self.p50_ms, 1) if measured else None
        return {**found, **figures, "bundle": str(self.bundle), "fps": fps, "runs": len(self.wall)}

    def measure(self, stage: Stage, images: NDArray[np.uint8], seconds: float) -> None:
        """Runs for a while, three times at least."""
        until = time.perf_counter() + seconds
        runs = 0
        while runs < _LEAST_RUNS or time.perf_counter() < until:
            wall, cpu = time.perf_counter(), time.process_time()
            stage.session.infer(images)
            self.cpu.append((time.process_time() - cpu) * 1e3)
            self.wall.append((time.perf_counter() - wall) * 1e3)
            runs += 1
        ranks = percentiles(self.wall) or {}
        self.p50_ms, self.p90_ms = round(ranks["p50"], 2), round(ranks["p90"], 2)
        self.cpu_ms = round(median(self.cpu), 2)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Everything that was tried, the best first; `best` is None when nothing would do. `tuned` is by bundle."""

    trials: Sequence[Trial]
    best: Trial | None
    tuned: Sequence[Tuned]


def tune(
    bundles: Sequence[Bundle],
    *,
    goal: Goal,
    seconds: float,
    cache_dir: Path | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Tuning:
    """Tries what is installed here on each of the bundles, in about `seconds`; building engines comes on top.

    `say` is told of each way once it was tried.

    Raises:
        BundleError: when a bundle has no golden sample, without which nothing says whether a way computes right.
        SessionError: when not even the CPU runs a bundle.
    """
    ways = [(bundle, *way) for bundle in bundles for way in _ways()]
    images = {bundle.digest: prepare_for(bundle, golden_image(bundle))[0][None] for bundle in bundles}
    trials: list[Trial] = []
    away: dict[tuple[str, str], str] = {}
    for bundle, provider, precision, threads in ways:
        if (bundle.digest, provider) in away:
            continue
        stage, trial = _load(bundle, provider, precision, threads, cache_dir)
        trials.append(trial)
        if stage is None:
            away[bundle.digest, provider] = trial.reason or ""
        elif trial.reason is None:
            trial.measure(stage, images[bundle.digest], _FIRST_LOOK * seconds / len(ways))
        say(_told(trial))
    good = sorted((t for t in trials if t.reason is None), key=goal.cost)
    by_path = {bundle.path: bundle for bundle in bundles}
    finalists = _finalists(good, goal)
    _take_turns(finalists, by_path, images, cache_dir, (1 - _FIRST_LOOK) * seconds)
    for trial in good:
        if not goal.met_by(trial):
            trial.reason = "over the budget"
    # What was measured in turns comes first; the others' figures are of another time.
    ranked = sorted(trials, key=lambda t: (t.reason is not None, t not in finalists, goal.cost(t)))
    tuned = [found for bundle in bundles if (found := _tuned(bundle, choose(ranked, bundle.path))) is not None]
    return Tuning(ranked, choose(ranked), tuned)


def choose(ranked: Sequence[Trial], bundle: Path | None = None) -> Trial | None:
    """The first that will do, of one bundle if it is given."""
    return next((t for t in ranked if t.reason is None and bundle in {None, t.bundle}), None)


def _ways() -> Iterator[tuple[str, Precision, int]]:
    """Providers x precision x threads, one thread and the half of the cores among them."""
    cores = available_cores()
    threads = sorted({cores, max(1, cores // 2), 1}, reverse=True)
    for provider in RUNTIMES:
        for precision in ("model", "half") if provider in _HALF else ("model",):
            # What a GPU does costs one of our threads, however many there are.
            for count in threads if provider not in {"cuda", "tensorrt"} else threads[:1]:
                yield provider, precision, count


def _options(trial: Trial, cache_dir: Path | None) -> SessionOptions:
    return SessionOptions((trial.provider,), trial.threads, trial.precision, cache_dir=cache_dir)


def _load(
    bundle: Bundle, provider: str, precision: Precision, threads: int, cache_dir: Path | None
) -> tuple[Stage | None, Trial]:
    spec = bundle.manifest.input
    size = f"{spec.width}x{spec.height}"
    trial = Trial(bundle.path, size, bundle.manifest.precision, provider, "", precision, threads)
    stage = Stage(bundle, _options(trial, cache_dir))
    if provider in stage.session.fell_away:
        trial.reason = stage.session.fell_away[provider]
        return None, trial
    trial.runtime = stage.session.provider
    try:
        report = check(bundle, stage)
    except SessionError as e:
        trial.reason = str(e)
        return stage, trial
    trial.worst_score = round(report.worst_score, 6)
    if not report.ok:
        trial.reason = f"wrong on the golden sample: {report.problems[0]}"
    return stage, trial


def _finalists(good: Sequence[Trial], goal: Goal) -> list[Trial]:
    """The best of all, and of each bundle its own."""
    best = [t for t in good if goal.met_by(t)] or list(good)
    firsts: dict[Path, Trial] = {}
    for trial in best:
        firsts.setdefault(trial.bundle, trial)
    return [t for i, t in enumerate(best) if i < _FINALISTS or firsts[t.bundle] is t]


def _take_turns(
    finalists: Sequence[Trial],
    bundles: dict[Path, Bundle],
    images: dict[str, NDArray[np.uint8]],
    cache_dir: Path | None,
    seconds: float,
) -> None:
    stages = [(t, Stage(bundles[t.bundle], _options(t, cache_dir))) for t in finalists]
    for trial in finalists:
        # The first look was at other times.
        trial.wall.clear()
        trial.cpu.clear()
    until = time.perf_counter() + seconds
    while True:
        for trial, stage in stages:
            trial.measure(stage, images[bundles[trial.bundle].digest], 0.0)
        if time.perf_counter() >= until:
            return


def _tuned(bundle: Bundle, trial: Trial | None) -> Tuned | None:
    if trial is None:
        return None
    return Tuned(
        digest=bundle.digest,
        hardware=hardware(),
        versions=versions(),
        provider=trial.provider,
        threads=trial.threads,
        precision=trial.precision,
        latency_ms=trial.p50_ms,
    )


def _told(trial: Trial) -> str:
    way = f"{trial.bundle.name}: {trial.provider}, {trial.precision}, {trial.threads} threads"
    return f"{way}: {trial.reason}" if trial.reason else f"{way}: {trial.p50_ms:.1f} ms"
