"""What a reader's process adds to a 1080p frame's age: its pictures lie in shared memory, a packet says where.

The pattern camera at 30 frames a second, read in this process and through a reader's, in turn. A frame's age is taken
when its picture can be looked at; the first of each turn are left out. The agent's side of a live camera that is gated
is what this process uses: packets, loans, and the motion gate's look at ten frames a second. On a machine that is busy
with other things their scheduling is all that is measured: `chrt -f 10 python -m benchmarks sharedmemory` passes them by.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import cv2

from edge.cameras import Camera, NeverStop, Opening, Settings, open_camera
from edge.cameras.motion import MotionGate
from edge.cameras.remote import Remote
from edge.clock import Clock
from edge.config import MotionConfig
from edge.health.health import percentiles

__all__ = ["measure"]

_FPS, _FRAMES, _ROUNDS, _LEAD = 30.0, 120, 5, 10


def measure() -> list[dict[str, Any]]:
    """A row for each way to read, one for what the process adds, one for the agent's side of a gated camera."""
    settings = Settings(kind="pattern", source="pattern", fps=_FPS, width=1920, height=1080)
    opening = Opening(settings, Clock(), NeverStop())
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)  # as the agent does: OpenCV's pool spins
    remote = Remote(settings)
    ages: dict[str, list[float]] = {"in the agent's process": [], "through a reader's process": []}
    added, used = [], []
    try:
        for _ in range(_ROUNDS):
            here, _ = _read(open_camera(opening))
            there, cpu = _read(remote(opening))
            ages["in the agent's process"] += here
            ages["through a reader's process"] += there
            added.append(statistics.median(there) - statistics.median(here))
            used.append(cpu)
    finally:
        remote.close()
        cv2.setNumThreads(before)
    rows = [{"what": what, **(percentiles(found) or {})} for what, found in ages.items()]
    return [
        *({"what": f"{row['what']}: age in ms", "p50": row["p50"], "p99": row["p99"]} for row in rows),
        {"what": "added by the process, ms", "p50": round(statistics.median(added), 3), "p99": ""},
        {
            "what": "a core's share of a gated 1080p30 camera, agent's side",
            "p50": f"{100 * statistics.median(used):.2f} %",
            "p99": "",
        },
    ]


def _read(camera: Camera) -> tuple[list[float], float]:
    """The ages of the frames in ms, and the share of a core that this process used."""
    gate = MotionGate(MotionConfig())
    ages = []
    cpu = begun = 0.0
    for number in range(_LEAD + _FRAMES):
        if number == _LEAD:
            cpu, begun = time.process_time(), time.monotonic()
        taken_ns = camera.grab()
        if taken_ns is None:
            raise SystemExit("the pattern ended")
        image = camera.retrieve()
        if number >= _LEAD:
            ages.append((time.monotonic_ns() - taken_ns) / 1e6)
        gate.passes(image, taken_ns)
    share = (time.process_time() - cpu) / (time.monotonic() - begun)
    camera.close()
    return ages, share
