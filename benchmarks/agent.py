"""P1, P2 and P11: the whole agent on video files, over a bare loop of `session.run` on the same bundle.

Both use one onnxruntime thread and take turns. The agent decodes, prepares, infers, makes events and publishes them to a
Mosquitto of its own; the bare loop runs the session on one prepared tensor. Rates are of the model's thread, less what it
waited for a core that another program had (benchmarks/scheduled.py). CPU is that of the whole process; decoding the video
is counted in both, measured by itself for the bare loop.
"""

from __future__ import annotations

import queue
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.heads import session
from benchmarks.nets import ROOT, Net, bundle_of, nets
from benchmarks.scheduled import Stopwatch
from edge.app import Agent
from edge.bundle import Bundle
from edge.configfile import load_config
from edge.localbroker import local_broker
from edge.stages import prepare_for

__all__ = ["measure"]

_FRAMES = 120
_ROUNDS = 7
_CAMERAS = 4
_WARM_UP = 12


def measure() -> list[dict[str, Any]]:
    """One row a net."""
    video = ROOT / "build" / "demo" / "vtest.avi"
    if not video.is_file():
        raise SystemExit("the agent is measured on the demo's video: run 'make demo' first")
    with tempfile.TemporaryDirectory(prefix="gluon-edge-bench-") as folder, local_broker() as broker:
        short = first_frames(video, Path(folder) / "short.avi", _FRAMES)
        return [_row(net, short, Path(folder), broker.url) for net in nets()]


def _row(net: Net, video: Path, folder: Path, broker: str) -> dict[str, Any]:
    bundle = bundle_of(net)
    ways: dict[str, Callable[[], tuple[float, float]]] = {
        "agent": lambda: _agent(bundle, [video], folder, broker)[:2],
        "bare": lambda: _bare(bundle, video),
        "decode": lambda: _decode(video),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    four: list[tuple[float, float, float]] = []
    for _ in range(_ROUNDS):
        for name, way in ways.items():
            found[name].append(way())
        four.append(_agent(bundle, [video] * _CAMERAS, folder, broker))
    rounds = list(zip(found["agent"], found["bare"], found["decode"], four, strict=True))
    return {
        "net": net.name,
        "agent_fps": _median(a[0] for a in found["agent"]),
        "bare_fps": _median(b[0] for b in found["bare"]),
        "P1 agent/bare": _median((a[0] / b[0] for a, b, _, _ in rounds), 3),
        "P1 goal": "0.97 or more",
        "P2 CPU agent/bare": _median((a[1] / (b[1] + d[1]) for a, b, d, _ in rounds), 3),
        "P2 goal": "1.08 or less",
        "P11 four/bare": _median((m[0] / b[0] for _, b, _, m in rounds), 3),
        "P11 most apart": max(m[2] for m in four),
        "P11 goal": "0.95 or more, 0.1 or less",
    }


def _median(values: Any, digits: int = 1) -> float:
    return round(statistics.median(values), digits)


def _agent(bundle: Bundle, videos: list[Path], folder: Path, broker: str) -> tuple[float, float, float]:
    """Frames a second, CPU seconds a frame, and how far apart the cameras' shares are, over their mean."""
    cameras = "".join(f'[cameras.street{i}]\nsource = "{v}"\npace = "fast"\n' for i, v in enumerate(videos))
    config = folder / "agent.toml"
    config.write_text(
        f'state_dir = "{folder / "state"}"\n[model]\nbundle = "{bundle.path}"\nthreads = 1\nproviders = ["cpu"]\n'
        f'{cameras}[mqtt]\nbroker = "{broker}"\nnode = "bench"\n'
    )
    ended: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    agent = Agent(load_config(config), on_end=ended.put)
    total = _FRAMES * len(videos)
    thread = agent._pipeline._thread  # noqa: SLF001 - whose rate it is
    agent.start()
    # Opening files and connecting is P8's; the end, where cameras finish one by one, nobody's.
    first = _wait_for(agent, _WARM_UP)
    watch = Stopwatch(thread.native_id)
    seen = _wait_for(agent, total * 3 // 4)
    seen = {name: count - first[name] for name, count in seen.items()}
    before = sum(seen.values())
    span = watch.span()
    why = ended.get(timeout=600)
    agent.stop()
    if why is not None:
        raise SystemExit(f"the agent stopped: {why}")
    apart = round((max(seen.values()) - min(seen.values())) / before * len(seen), 3)
    return before / span.own_s, span.process_s / before, apart


def _wait_for(agent: Agent, frames: int) -> dict[str, int]:
    """The frames that went through the model, by camera, once there are that many."""
    used = agent._health._used  # noqa: SLF001 - asking for the figures would flush them
    while sum(used.values()) < frames:
        time.sleep(0.01)
    return dict(used)


def _bare(bundle: Bundle, video: Path) -> tuple[float, float]:
    """`session.run` alone, as often as there are frames, on the first frame's tensor."""
    run = session(bundle.model)
    capture = cv2.VideoCapture(str(video))
    _, frame = capture.read()
    capture.release()
    tensor = prepare_for(bundle, np.asarray(frame, np.uint8))[0][None]
    run.run(None, {"image": tensor})
    watch = Stopwatch()
    for _ in range(_FRAMES):
        run.run(None, {"image": tensor})
    span = watch.span()
    return _FRAMES / span.own_s, span.process_s / _FRAMES


def _decode(video: Path) -> tuple[float, float]:
    capture = cv2.VideoCapture(str(video))
    watch = Stopwatch()
    count = 0
    while capture.read()[0]:
        count += 1
    span = watch.span()
    capture.release()
    return count / span.own_s, span.process_s / count


def first_frames(video: Path, out: Path, frames: int) -> Path:
    """The beginning of a video as MJPG, which any build of OpenCV reads alike."""
    capture = cv2.VideoCapture(str(video))
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, size)
    for _ in range(frames):
        ok, frame = capture.read()
        if not ok:
            raise SystemExit(f"{video}: has fewer than {frames} frames")
        writer.write(frame)
    writer.release()
    capture.release()
    return out
