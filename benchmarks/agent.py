"""P1, P2 and P11: the whole agent on video files, over a bare loop of `session.run` on the same bundle.

Both use one onnxruntime thread, in one process, and take turns of a few frames, so that whatever else the machine does
meets both: while the one runs the other waits at a turnstile. The agent decodes, prepares, infers, makes events and
publishes them to a Mosquitto of its own; the bare loop runs the session on one prepared tensor; a third turn decodes the
video alone. Rates are of the thread that runs the model, less what it waited for a core that another program had
(benchmarks/scheduled.py). CPU is that of the whole process; decoding is counted in both.
"""

from __future__ import annotations

import queue
import statistics
import tempfile
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.heads import session
from benchmarks.nets import ROOT, Net, bundle_of, nets
from benchmarks.scheduled import Span, Stopwatch
from edge.app import Agent
from edge.bundle.bundle import Bundle
from edge.config.file import load_config
from edge.demo.localbroker import local_broker
from edge.inference.stages import prepare_for

__all__ = ["first_frames", "measure"]

_FRAMES = 120
_TURN = 24
_TURNS = 20
_CAMERAS = 4


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
    one = _Turns(bundle, video, 1, folder, broker)
    four = _Turns(bundle, video, _CAMERAS, folder, broker)
    return {
        "net": net.name,
        "agent_fps": round(one.agent_fps, 1),
        "bare_fps": round(one.bare_fps, 1),
        "P1 agent/bare": round(one.rate, 3),
        "P1 goal": "0.97 or more",
        "P2 CPU agent/bare": round(one.cpu, 3),
        "P2 goal": "1.08 or less",
        "P11 four/bare": round(four.rate, 3),
        "P11 most apart": round(four.apart, 3),
        "P11 goal": "0.95 or more, 0.1 or less",
    }


class _Turnstile:
    """Lets the model's thread through for `_TURN` frames at a time; measures them on that thread."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind
        self._left = 0
        self._watch: Stopwatch | None = None
        self._open = threading.Event()
        self._through: queue.SimpleQueue[Span] = queue.SimpleQueue()
        self._over = False

    def turn(self) -> Span:
        """Lets it through, and waits until it is back."""
        self._open.set()
        return self._through.get(timeout=300)

    def give_up(self) -> None:
        """Leaves it open for good."""
        self._over = True
        self._open.set()

    def take(self, *arguments: Any) -> Any:
        """Stands in for the place where the pipeline gets its next frame."""
        if self._left == 0 and not self._over:
            if self._watch is not None:
                self._through.put(self._watch.span())
            self._open.wait()
            self._open.clear()
            self._left = _TURN
            self._watch = Stopwatch()
        taken = self._behind.take(*arguments)
        if taken is not None and taken[0] is not None:
            self._left -= 1
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)


class _Turns:
    """The agent, the bare loop and decoding by turns: the medians of what the turns gave."""

    def __init__(self, bundle: Bundle, video: Path, cameras: int, folder: Path, broker: str) -> None:
        run = session(bundle.model)
        capture = cv2.VideoCapture(str(video))
        tensor = prepare_for(bundle, np.asarray(capture.read()[1], np.uint8))[0][None]
        agent = _agent(bundle, [video] * cameras, folder, broker)
        gate = _Turnstile(agent._branch.pipeline._next)  # noqa: SLF001 - the one place that every frame passes
        agent._branch.pipeline._next = gate  # noqa: SLF001
        agent.start()
        try:
            gate.turn()  # opening the files and connecting is P8's
            spans = [(gate.turn(), _bare(run, tensor), _decode(capture)) for _ in range(_TURNS)]
            used = dict(agent._health._used)  # noqa: SLF001 - asking for the figures would flush them
        finally:
            gate.give_up()
            agent.stop()
            capture.release()
        frames = _TURN * _TURNS
        self.agent_fps = _TURN / statistics.median(a.own_s for a, _, _ in spans)
        self.bare_fps = _TURN / statistics.median(b.own_s for _, b, _ in spans)
        self.rate = statistics.median(b.own_s / a.own_s for a, b, _ in spans)
        # What the agent's other threads did during the others' turns is the agent's as well.
        self.cpu = statistics.median(
            (sum(s.process_s for s in turn) / (turn[1].ran_s + turn[2].ran_s)) - 1 for turn in spans
        )
        self.apart = (max(used.values()) - min(used.values())) / (frames / cameras)


def _agent(bundle: Bundle, videos: list[Path], folder: Path, broker: str) -> Agent:
    cameras = "".join(
        f'[cameras.street{i}]\nsource = "{v}"\npace = "fast"\nloop = true\n' for i, v in enumerate(videos)
    )
    config = folder / "agent.toml"
    config.write_text(
        f'state_dir = "{folder / "state"}"\n[model]\nbundle = "{bundle.path}"\nthreads = 1\nproviders = ["cpu"]\n'
        f'{cameras}[mqtt]\nbroker = "{broker}"\nnode = "bench"\n'
    )
    return Agent(load_config(config), on_end=lambda _why: None)


def _bare(run: Any, tensor: Any) -> Span:
    """`session.run` alone, on the first frame's tensor."""
    watch = Stopwatch()
    for _ in range(_TURN):
        run.run(None, {"image": tensor})
    return watch.span()


def _decode(capture: Any) -> Span:
    watch = Stopwatch()
    for _ in range(_TURN):
        if not capture.read()[0]:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
    return watch.span()


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
