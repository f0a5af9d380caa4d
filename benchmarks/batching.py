"""Frames of two cameras through one net: one session by turns, in one run of two, or each camera with its own session.

Two frames are what is timed, on all of the machine's cores and on one. A batch saves what a run costs whatever its size;
it loses where what it works on no longer fits into a cache. Sessions of their own need no agreement between threads, layer
by layer, but memory for the weights once more. The three take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.heads import session
from benchmarks.nets import Net, bundle_of, nets, zoo_nets
from benchmarks.paired import paired
from edge.bundle.bundle import Bundle
from edge.inference.golden import golden_image
from edge.inference.session import Session, SessionOptions, available_cores
from edge.inference.stages import prepare_for

__all__ = ["measure"]

_CAMERAS = 2


def measure() -> list[dict[str, Any]]:
    """A row for each net and number of threads: detectors with trained weights, and two nets that classify."""
    chosen = [*nets(), *(n for n in zoo_nets() if n.name in {"mobilenet1.0", "resnet50_v1b"})]
    return [_row(net, threads) for net in chosen for threads in sorted({1, available_cores()})]


def _row(net: Net, threads: int) -> dict[str, Any]:
    bundle = bundle_of(net)
    image = prepare_for(bundle, golden_image(bundle))[0][None]
    one = Session(bundle, SessionOptions(threads=threads))
    any_number = session(bundle.model, threads=threads, batch=None)
    own = [Session(bundle, SessionOptions(threads=max(1, threads // _CAMERAS))) for _ in range(_CAMERAS)]
    with ThreadPoolExecutor(_CAMERAS) as pool:
        ways: dict[str, Callable[[], object]] = {
            "turns": lambda: [one.infer(image) for _ in range(_CAMERAS)],
            "batch": lambda: any_number.run(None, {"image": np.concatenate([image] * _CAMERAS)}),
            "own": lambda: list(pool.map(lambda session: session.infer(image), own)),
        }
        wall = paired(ways, rounds=25, inner=2)
        cpu = paired(ways, rounds=15, inner=2, clock=time.process_time)
    return {
        "net": _name(net, bundle),
        "threads": threads,
        "turns_ms": round(wall.median_ms["turns"], 1),
        "batch_times": round(wall.ratio("batch", "turns"), 3),
        "own_times": round(wall.ratio("own", "turns"), 3),
        "batch_cpu_times": round(cpu.ratio("batch", "turns"), 3),
        "own_cpu_times": round(cpu.ratio("own", "turns"), 3),
    }


def _name(net: Net, bundle: Bundle) -> str:
    return f"{net.name}, {bundle.manifest.precision}"
