"""P3: from a frame's capture to its message at a subscriber, over what the model alone takes.

A live camera (pictures shown at a pace that the model keeps up with), a Mosquitto, and a subscriber in this process,
whose clock is the agent's. Each frame's message carries when it was captured and how long the model took; the rest is
preparing, results, the spool's way through memory, the uplink's thread, two sockets and the broker. What a frame's threads
waited for a core that others had is in it too, so run it on a machine that is idle.
"""

from __future__ import annotations

import json
import queue
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import paho.mqtt.client as paho

from benchmarks.nets import Net, bundle_of, nets
from edge.app import Agent
from edge.config import broker_address
from edge.configfile import load_config
from edge.golden import golden_image
from edge.health import percentiles
from edge.localbroker import local_broker

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
    enough = threading.Event()

    def heard(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        now_ns = time.monotonic_ns()
        payload = json.loads(message.payload)
        over.append((now_ns - payload["mono_ns"]) / 1e6 - payload["timing"]["infer_ms"])
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
        "goal": "p50 3 ms, p99 10 ms",
    }
