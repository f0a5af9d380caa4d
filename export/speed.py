"""How much faster a quantized model is here: both timed on the same pictures, in turns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.bundle.bundle import Bundle
from edge.inference.session import Session, SessionOptions
from edge.inference.stages import prepare_for
from export.calibrate import read, spread
from export.effort import within
from export.progress import Progress, silent

__all__ = ["CPU", "Speed", "gpu_is_here", "measure_speed", "percentile_of"]

CPU = "CPUExecutionProvider"

_RUNS, _FEWEST_RUNS = 15, 3
_TIMED_S = 20.0
_PICTURES_TIMED = 5
_CLOCK = "thread_time" if time.get_clock_info("thread_time").resolution < 1e-5 else "perf_counter"


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds of one inference, one thread, both models in turns on `provider`; `ratio` above 1 is faster.

    By `clock` thread_time they are the median of the thread's own CPU time: on an idle machine the same as the latency, on
    a busy one not bent by what else runs. By the wall's clock they are the fastest, for what else runs only adds to it.
    """

    float_ms: float
    quantized_ms: float
    provider: str
    runs: int
    clock: str = "perf_counter"

    @property
    def ratio(self) -> float:
        """How many times faster than float."""
        return self.float_ms / self.quantized_ms


def percentile_of(clock: str) -> int:
    """Which of the runs counts."""
    return 50 if clock == "thread_time" else 0


def gpu_is_here() -> bool:
    """Whether onnxruntime can compute on a GPU on this machine: only there half precision can be timed."""
    import onnxruntime as ort

    return bool({"CUDAExecutionProvider", "TensorrtExecutionProvider"} & set(ort.get_available_providers()))


def measure_speed(
    float_bundle: Bundle,
    quantized: Bundle,
    images: Sequence[Path],
    *,
    provider: str = "cpu",
    runs: int = _RUNS,
    progress: Progress = silent,
) -> Speed:
    """Time both models on the same pictures in turns, so that what else the machine does hits both alike.

    At most so many `runs`; of a large net fewer.
    """
    options = SessionOptions((provider,), 1, warm_up=provider != "cpu")  # the median leaves a first run out
    sessions = [Session(bundle, options) for bundle in (float_bundle, quantized)]
    providers = list(dict.fromkeys(session.provider for session in sessions))
    # What other providers compute is done by threads of their own.
    clock = _CLOCK if providers == [CPU] else "perf_counter"
    tensors = [prepare_for(float_bundle, read(path))[0][None] for path in spread(images, _PICTURES_TIMED)]
    taken: list[list[float]] = [[], []]
    now = getattr(time, clock)
    for n in within(_TIMED_S, least=_FEWEST_RUNS, most=runs):
        progress("timing", n, runs)
        for session, times in zip(sessions, taken, strict=True):
            start = now()
            session.infer(tensors[n % len(tensors)])
            times.append((now() - start) * 1e3)
    progress("timing", runs, runs)
    exact, quantized_ms = (float(np.percentile(times, percentile_of(clock))) for times in taken)
    return Speed(exact, quantized_ms, " against ".join(providers), len(taken[0]), clock)
