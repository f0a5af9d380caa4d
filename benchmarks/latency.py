"""P3: from a frame's capture to its message at a subscriber, over what the model alone takes.

A live camera (pictures shown at a pace that the model keeps up with), a Mosquitto, and a subscriber in this process,
whose clock is the agent's. Each frame's message carries when it was captured and how long the model took; the rest is
preparing, results, the spool's way through memory, the uplink's thread, two sockets and the broker. What the threads on
that way waited for a core that another program had is taken off (benchmarks/scheduled.py): the model's thread outside of
inference, the uplink, paho's two threads and the broker. `raw` is with it.
"""

from __future__ import annotations

import json
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import paho.mqtt.client as paho

from benchmarks.nets import Net, bundle_of, nets
from benchmarks.scheduled import Stopwatch
from edge.app import Agent
from edge.config import broker_address
from edge.config.file import load_config
from edge.demo.localbroker import local_broker
from edge.health.health import percentiles
from edge.inference.golden import golden_image

__all__ = ["measure"]

_FRAMES = 200
_FPS = 8.0


def measure() -> list[dict[str, Any]]:
    """One row a net."""
    with tempfile.TemporaryDirectory(prefix="gluon-edge-bench-") as folder, local_broker() as broker:
        return [_row(net, Path(folder), broker.url) for net in nets()]


def _row(net: Net, folder: Path, broker: str) -> dict[str, Any]:
    bundle = bundle_of(net)
    pictures = folder / "pictures"
    pictures.mkdir(exist_ok=True)
    cv2.imwrite(str(pictures / "a.jpg"), golden_image(bundle))
    config = folder / "agent.toml"
    config.write_text(
        f'state_dir = "{folder / "state"}"\n[model]\nbundle = "{bundle.path}"\nthreads = 1\nproviders = ["cpu"]\n'
        f'[cameras.door]\nsource = "{pictures}/"\nloop = true\nfps = {_FPS}\n'
        f'[events]\nframes_per_s = 1000\n[mqtt]\nbroker = "{broker}"\nnode = "bench"\n'
    )
    over: list[float] = []
    raw: list[float] = []
    waits = _Waits()
    enough = threading.Event()

    def heard(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        now_ns = time.monotonic_ns()
        payload = json.loads(message.payload)
        waited_ms = waits.since_last_ms()
        raw.append((now_ns - payload["mono_ns"]) / 1e6 - payload["timing"]["infer_ms"])
        over.append(raw[-1] - waited_ms)
        if len(over) >= _FRAMES + 10:
            enough.set()

    address = broker_address(broker)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = heard
    client.connect(address.host, address.port)
    client.subscribe("edge/bench/door/frame", 0)
    client.loop_start()
    ended: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    agent = Agent(load_config(config), on_end=ended.put)
    waits.watch_infer(agent)
    agent.start()
    try:
        if not enough.wait(4 * _FRAMES / _FPS):
            raise SystemExit(f"only {len(over)} frames were heard of")
    finally:
        agent.stop()
        client.disconnect()
        client.loop_stop()
    ranks = percentiles(over[10:]) or {}
    return {
        "net": net.name,
        "frames": len(over) - 10,
        **{f"over_inference_{k}_ms": round(v, 2) for k, v in ranks.items()},
        "raw_p50_ms": round(statistics.median(raw[10:]), 2),
        "goal": "p50 3 ms, p99 10 ms",
    }


class _Waits:
    """What the threads on a message's way have waited for a core since the message before."""

    def __init__(self) -> None:
        self._in_infer_s = 0.0
        self._before_ms = 0.0

    def watch_infer(self, agent: Agent) -> None:
        """Keeps apart what the model's thread waits during inference, which its own time has in it."""
        session = agent._branch.pipeline._stage.session  # noqa: SLF001 - the one place that every frame passes
        infer = session.infer

        def watched(images: Any) -> Any:
            watch = Stopwatch()
            try:
                return infer(images)
            finally:
                self._in_infer_s += watch.span().waited_s

        session.infer = watched  # type: ignore[method-assign]

    def since_last_ms(self) -> float:
        """Milliseconds; asked for by the subscriber's thread."""
        now_ms = sum(_waited_ms(task) for task in self._tasks()) - self._in_infer_s * 1e3
        since, self._before_ms = now_ms - self._before_ms, now_ms
        return since

    def _tasks(self) -> Iterator[Path]:
        names = ("inference", "uplink", "paho")
        for thread in threading.enumerate():
            if thread.name.startswith(names) and thread.native_id:
                yield Path(f"/proc/self/task/{thread.native_id}")
        for child in Path("/proc/self/task").glob("*/children"):
            yield from (Path(f"/proc/{pid}/task/{pid}") for pid in child.read_text().split())


def _waited_ms(task: Path) -> float:
    return int((task / "schedstat").read_text().split()[1]) / 1e6
