"""`gluon-edge bench`: how many frames a second this device manages, where the time goes, and what it costs.

One thread does for each frame what the agent's threads do: decode it, prepare it, run the model, make of the results what
is sent and put it into a spool on the disk. `fps` is 1 / their sum; the agent decodes and prepares beside the model, so it
comes nearer to `infer_fps`.
"""

import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.cameras import NeverStop, Opening, Settings, open_camera
from edge.clock import Clock
from edge.config import CameraConfig, Config
from edge.delivery.delivery import Delivery
from edge.errors import CameraError
from edge.frame import Frame, Image
from edge.health.health import percentiles
from edge.inference.golden import golden_image
from edge.inference.stages import Stage
from edge.reporting.events import Events
from edge.reporting.payloads import Payloads
from edge.scene.sighting import told_labels
from edge.scene.view import views_of
from edge.sequence import new_id

__all__ = ["bench"]

_STAGES = ("decode", "prepare", "infer", "results", "publish")
_CAMERA = "bench"


def bench(
    stage: Stage, *, seconds: float, source: str | None = None, size: tuple[int, int] = (1280, 720), load_s: float = 0.0
) -> dict[str, Any]:
    """What `--json` prints.

    The frames come from `source`, a video or a folder, over and over; without one the bundle's golden picture is sent
    as a JPEG of `size` (width, height), as a USB camera would. `load_s` is how long the session took to load.

    Raises:
        CameraError: when the source gives no frames.
        SessionError: when the runtime fails.
    """
    times: dict[str, list[float]] = {name: [] for name in _STAGES}
    with _frames(stage, source, size) as next_frame, _publisher(stage) as publish:
        _once(stage, next_frame, publish)
        cpu, begun = time.process_time(), time.perf_counter()
        frames = 0
        while time.perf_counter() - begun < seconds:
            for name, took in zip(_STAGES, _once(stage, next_frame, publish), strict=True):
                times[name].append(took)
            frames += 1
        wall = time.perf_counter() - begun
        cpu = time.process_time() - cpu
    ranks = {name: percentiles(values) for name, values in times.items()}
    infer = ranks["infer"] or {}
    manifest = stage.bundle.manifest
    return {
        "bundle": str(stage.bundle.path),
        "model": manifest.name,
        "precision": manifest.precision,
        "provider": stage.session.provider,
        "fell_away": stage.session.fell_away,
        "threads": stage.session.threads,
        "source": source or f"golden picture as JPEG of {size[0]}x{size[1]}",
        "frames": frames,
        "seconds": round(wall, 2),
        "fps": round(frames / wall, 2),
        "infer_fps": round(1e3 / infer["p50"], 2),
        "latency_ms": ranks,
        "cpu_ms_a_frame": round(1e3 * cpu / frames, 2),
        "cores_busy": round(cpu / wall, 2),
        "memory_mb": _memory_mb(),
        "load_s": round(load_s, 2),
    }


def _once(
    stage: Stage, next_frame: Callable[[], tuple[Frame, float]], publish: Callable[..., float]
) -> tuple[float, float, float, float, float]:
    """One frame; milliseconds by stage."""
    frame, decode_ms = next_frame()
    result, timing = stage(frame.image)
    return decode_ms, timing.pre_ms, timing.infer_ms, timing.post_ms, publish(frame, result, timing)


@contextmanager
def _frames(stage: Stage, source: str | None, size: tuple[int, int]) -> Iterator[Callable[[], tuple[Frame, float]]]:
    clock = Clock()
    count = 0

    def born(decode: Callable[[], Image]) -> tuple[Frame, float]:
        nonlocal count
        start = time.perf_counter()
        image = decode()
        took = (time.perf_counter() - start) * 1e3
        count += 1
        return Frame(_CAMERA, count, image, clock.wall_ns(), clock.mono_ns()), took

    if source is None:
        picture = cv2.resize(golden_image(stage.bundle), size, interpolation=cv2.INTER_LINEAR)
        jpeg = cv2.imencode(".jpg", picture)[1]
        yield lambda: born(lambda: np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), np.uint8))
        return
    config = CameraConfig(source=source, pace="fast")
    opening = Opening(Settings.of({**config.model_dump(mode="json"), "kind": config.inferred_kind}), clock, NeverStop())
    camera = open_camera(opening)

    def read() -> Image:
        nonlocal camera
        if camera.grab() is None:
            camera.close()
            camera = open_camera(opening)
            if camera.grab() is None:
                raise CameraError(f"{source}: gives no frames")
        return camera.retrieve()

    try:
        yield lambda: born(read)
    finally:
        camera.close()


@contextmanager
def _publisher(stage: Stage) -> Iterator[Callable[..., float]]:
    """Makes every frame's messages and keeps them in a spool, as with a broker that is away."""
    clock, bundle = Clock(), stage.bundle
    with tempfile.TemporaryDirectory(prefix="gluon-edge-bench-") as folder:
        config = Config.model_validate(
            {
                "model": {"bundle": bundle.path},
                "cameras": {_CAMERA: {"source": folder}},
                "transport": "disabled",
                "mqtt": {"node": "bench"},
                "state_dir": folder,
            }
        )
        boot_id = new_id(clock.wall_ns())
        model = {"name": bundle.manifest.name, "version": bundle.manifest.version, "sha256": bundle.digest}
        payloads = Payloads("edge", "bench", boot_id, clock, model, told_labels(bundle))
        delivery = Delivery(config, boot_id=boot_id, clock=clock)
        events = Events(
            payloads,
            delivery.outbox,
            views_of(config, [_CAMERA], bundle),
            delivery.sequence.next,
            threshold=stage.threshold,
            frames_per_s=1000.0,
        )
        delivery.start()

        def publish(*seen: Any) -> float:
            start = time.perf_counter()
            events.seen(*seen)
            return (time.perf_counter() - start) * 1e3

        try:
            yield publish
        finally:
            delivery.stop(0.0)
            delivery.close()


def _memory_mb() -> dict[str, float]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    now = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    # The kernel brings its high-water mark up to date now and then only.
    most = max(now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)
    return {"now": round(now, 1), "most": round(most, 1)}
