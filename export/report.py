"""What there is to know of a quantized model, as `report.json` and as `report.html`.

Both are written once, when the model is made: its timings and pictures are of that hour and that machine, and are
part of the bundle's content from then on. `pack` copies them, so that the same bundle gives the same zip.
"""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle.bundle import Bundle
from edge.draw import draw
from edge.frame import Image
from edge.inference.session import Session, SessionOptions, available_cores
from edge.inference.stages import Stage, prepare_for
from edge.results import Classification, Detections, Instances, Result, Segmentation
from edge.runtimes import RUNTIMES
from export.agreement import agree, distance
from export.calibrate import read, spread
from export.effort import within
from export.page import Pair, page
from export.progress import Progress, silent
from export.reported import SCHEMA_VERSION

__all__ = ["complete", "pairs_of", "render", "time_both"]

_ROUNDS = 9
_TIMED_S = 10.0
_ALL_TIMED_S = 45.0
_DRAWN_S = 20.0
_PAIRS = 3
_LOOKED_AT = 12
_SHOWN = 320  # pixels across, at least, of a picture on which classes are written


def complete(
    report: Mapping[str, Any], before: Bundle, after: Bundle, images: Sequence[Path], *, progress: Progress = silent
) -> dict[str, Any]:
    """`report` with the model's name and digests, and both models' latency by provider and number of threads."""
    manifest = before.manifest
    return {
        "schema_version": SCHEMA_VERSION,
        **report,
        "model": {
            "name": manifest.name,
            "version": manifest.version,
            "task": manifest.task,
            "classes": manifest.classes,
            "height": manifest.input.height,
            "width": manifest.input.width,
        },
        "digests": {
            "float_model": hashlib.sha256(before.model).hexdigest(),
            "model": hashlib.sha256(after.model).hexdigest(),
            "source": dict(manifest.source.sha256),
        },
        "latency": time_both(before, after, images[0], progress=progress),
        "machine": f"{platform.machine()}, {available_cores()} cores",
    }


def render(
    report: Mapping[str, Any],
    before: Bundle,
    after: Bundle,
    images: Sequence[Path],
    *,
    provider: str = "cpu",
    progress: Progress = silent,
) -> str:
    """The page for `report`, with pictures; what the new model says of them it says on `provider`."""
    return page(report, pairs_of(before, after, images, provider=provider, progress=progress))


def time_both(before: Bundle, after: Bundle, image: Path, *, progress: Progress = silent) -> list[dict[str, Any]]:
    """Milliseconds of the fastest of some inferences of both, in turns, for each provider here and number of threads.

    The fastest, for the clock is the wall's: with several threads there is no other, and what else runs only adds to it.
    A net that takes seconds is timed on the CPU's provider, on others while there is time.
    """
    tensor = prepare_for(before, read(image))[0][None]
    ways = [(name, n) for name in RUNTIMES if name != "tensorrt" for n in _thread_counts()]  # that builds for minutes
    rows = []
    for done in within(_ALL_TIMED_S, least=len(_thread_counts()), most=len(ways)):
        provider, threads = ways[done]
        progress("latency by provider and threads", done, len(ways))
        options = SessionOptions(providers=(provider,), threads=threads)
        sessions = [Session(bundle, options) for bundle in (before, after)]
        if any(session.fell_away for session in sessions):
            continue
        taken: list[list[float]] = [[], []]
        for _ in within(_TIMED_S, least=1, most=_ROUNDS):
            for session, times in zip(sessions, taken, strict=True):
                start = time.perf_counter()
                session.infer(tensor)
                times.append((time.perf_counter() - start) * 1e3)
        a, b = (min(times) for times in taken)
        row = {
            "provider": provider,
            "threads": threads,
            "float_ms": a,
            "quantized_ms": b,
            "ratio": a / b,
            "runs": len(taken[0]),
        }
        rows.append({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
    progress("latency by provider and threads", len(ways), len(ways))
    return rows


def pairs_of(
    before: Bundle, after: Bundle, images: Sequence[Path], *, provider: str = "cpu", progress: Progress = silent
) -> list[Pair]:
    """Some of `images` with both models' results drawn on them: where they differ most, and where float finds most."""
    own = SessionOptions((provider,), warm_up=provider != "cpu")
    stages = Stage(before, SessionOptions(warm_up=False)), Stage(after, own)
    looked: list[tuple[Path, Image, Result, Result]] = []
    chosen = spread(images, _LOOKED_AT)
    for n in within(_DRAWN_S, least=_PAIRS, most=len(chosen)):
        progress("drawing", n, len(chosen))
        path = chosen[n]
        image = read(path)
        found = stages[0](image)[0], stages[1](image)[0]
        shown = _readable(image) if isinstance(found[0], Classification) else image
        looked.append((path, shown, *found))
    progress("drawing", len(chosen), len(chosen))
    looked.sort(key=lambda item: -_finds(item[2]))
    # A picture on which the models part must not be hidden by those that look well.
    worst = max(range(len(looked)), key=lambda n: distance(looked[n][2], looked[n][3]))
    looked.insert(0, looked.pop(worst))
    labels = before.labels
    return [
        Pair(draw(image, exact, labels), draw(image, rounded, labels), f"{_named(path)}: {_alike(exact, rounded)}")
        for path, image, exact, rounded in looked[:_PAIRS]
    ]


def _named(path: Path) -> str:
    """A picture's file, or which frame of which video (see `export.calibrate.images`)."""
    return (
        f"{path.parent.name}, frame {int(path.name)}" if path.name.isdecimal() and path.parent.is_file() else path.name
    )


def _readable(image: Image) -> Image:
    """A small picture larger, so that the classes written on it leave something to see."""
    times = -(-_SHOWN // image.shape[1])
    return np.ascontiguousarray(image.repeat(times, axis=0).repeat(times, axis=1)) if times > 1 else image


def _thread_counts() -> list[int]:
    cores = available_cores()
    return sorted({1, cores, *(n for n in (2, 4) if n < cores)})


def _finds(result: Result) -> int:
    if isinstance(result, Segmentation):
        return len(np.unique(result.mask))
    found = result.detections if isinstance(result, Instances) else result
    return len(found.scores) if isinstance(found, Detections) else 0


def _alike(exact: Result, rounded: Result) -> str:
    found = agree([exact], [rounded])
    numbers = found.numbers
    if isinstance(exact, Classification) and isinstance(rounded, Classification):
        same = "the same best class" if numbers["same"] else "ANOTHER best class"
        return f"{same}, scores {exact.scores[0]:.3f} in float and {rounded.scores[0]:.3f} now"
    if isinstance(exact, Detections):
        return f"{numbers['reference']} found by the float model, {numbers['matched_90']} of them by this one (IoU 0.9)"
    if isinstance(exact, Instances):
        return (
            f"{numbers['reference']} found by the float model, {numbers['outlines_90']} of them by this one "
            "(box and outline, IoU 0.9)"
        )
    return f"{found.measure}: {found.value * 100:.1f} %"
