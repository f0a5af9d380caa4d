"""P1: frames per second of the whole agent on a video file, over a bare loop of `session.run` on the same bundle.

Both use one onnxruntime thread and take turns. The agent decodes, prepares, infers, makes events and publishes them
to a Mosquitto of its own; the bare loop runs the session on one prepared tensor, and a second bare loop also decodes
and prepares each frame, as the simplest script would.
"""

from __future__ import annotations

import queue
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.heads import session
from benchmarks.nets import ROOT, Net, bundle_of, nets
from edge.app import Agent
from edge.bundle import Bundle
from edge.configfile import load_config
from edge.localbroker import local_broker
from edge.stages import prepare_for

__all__ = ["measure"]

_FRAMES = 150
_ROUNDS = 5


def measure() -> list[dict[str, Any]]:
    """One row a net."""
    video = ROOT / "build" / "demo" / "vtest.avi"
    if not video.is_file():
        raise SystemExit("the agent is measured on the demo's video: run 'make demo' first")
    with tempfile.TemporaryDirectory(prefix="gluon-edge-bench-") as folder, local_broker() as broker:
        short = _first_frames(video, Path(folder) / "short.avi")
        return [_row(net, short, Path(folder), broker.url) for net in nets()]


def _row(net: Net, video: Path, folder: Path, broker: str) -> dict[str, Any]:
    bundle = bundle_of(net)
    rates: dict[str, list[float]] = {"agent": [], "bare": [], "script": []}
    for _ in range(_ROUNDS):
        rates["agent"].append(_agent(bundle, video, folder, broker))
        rates["bare"].append(_bare(bundle, video))
        rates["script"].append(_script(bundle, video))
    over = {
        name: statistics.median(a / b for a, b in zip(rates["agent"], rates[name], strict=True))
        for name in ("bare", "script")
    }
    return {
        "net": net.name,
        **{f"{name}_fps": round(statistics.median(values), 1) for name, values in rates.items()},
        "agent_over_bare": round(over["bare"], 3),
        "agent_over_script": round(over["script"], 3),
        "goal": "0.97 or more",
    }


def _agent(bundle: Bundle, video: Path, folder: Path, broker: str) -> float:
    config = folder / "agent.toml"
    config.write_text(
        f'state_dir = "{folder / "state"}"\n[model]\nbundle = "{bundle.path}"\nthreads = 1\n'
        f'[cameras.street]\nsource = "{video}"\npace = "fast"\n[mqtt]\nbroker = "{broker}"\nnode = "bench"\n'
    )
    ended: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    agent = Agent(load_config(config), on_end=ended.put)
    start = time.perf_counter()
    agent.start()
    why = ended.get(timeout=300)
    seconds = time.perf_counter() - start
    agent.stop()
    if why is not None:
        raise SystemExit(f"the agent stopped: {why}")
    return _FRAMES / seconds


def _bare(bundle: Bundle, video: Path) -> float:
    """`session.run` alone, as often as there are frames, on the first frame's tensor."""
    run = session(bundle.model)
    capture = cv2.VideoCapture(str(video))
    _, frame = capture.read()
    capture.release()
    tensor = prepare_for(bundle, np.asarray(frame, np.uint8))[0][None]
    run.run(None, {"image": tensor})
    start = time.perf_counter()
    for _ in range(_FRAMES):
        run.run(None, {"image": tensor})
    return _FRAMES / (time.perf_counter() - start)


def _script(bundle: Bundle, video: Path) -> float:
    """Decode, prepare and `session.run`, one after the other."""
    run = session(bundle.model)
    capture = cv2.VideoCapture(str(video))
    start = time.perf_counter()
    count = 0
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        run.run(None, {"image": prepare_for(bundle, np.asarray(frame, np.uint8))[0][None]})
        count += 1
    seconds = time.perf_counter() - start
    capture.release()
    return count / seconds


def _first_frames(video: Path, out: Path) -> Path:
    capture = cv2.VideoCapture(str(video))
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(str(out), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, size)
    for _ in range(_FRAMES):
        ok, frame = capture.read()
        if not ok:
            raise SystemExit(f"{video}: has fewer than {_FRAMES} frames")
        writer.write(frame)
    writer.release()
    capture.release()
    return out
