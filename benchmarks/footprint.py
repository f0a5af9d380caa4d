"""P7 and P8: the memory of the running agent, and the time to its first frame published, over onnxruntime alone.

Each is a process of its own, in turn. The bare one imports onnxruntime and numpy, creates the session with the agent's
settings and runs it until it has done what the agent has. Memory is the resident set after 100 frames, libraries' code
included, as if nobody else used them; `own` is what of it no file backs, which the kernel cannot take back. (The
proportional set size would be less by what happens to run beside.) Both have their bytecode compiled, as an installation
has; time is CPU time of the whole process, which an idle machine turns into wall time or less, since the agent's threads
start side by side.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from benchmarks.agent import first_frames
from benchmarks.nets import ROOT, Net, bundle_of, nets
from edge.config import broker_address
from edge.demo.localbroker import local_broker

__all__ = ["cpu_seconds", "measure"]

_ROUNDS = 5
_FRAMES = 100
_BARE = """
import sys, time
import numpy as np, onnxruntime as ort
o = ort.SessionOptions()
o.intra_op_num_threads = o.inter_op_num_threads = 1
o.add_session_config_entry("session.intra_op.allow_spinning", "0")
o.add_free_dimension_override_by_name("N", 1)
s = ort.InferenceSession(sys.argv[1], o, providers=["CPUExecutionProvider"])
x = np.zeros([1, *s.get_inputs()[0].shape[1:]], np.uint8)
s.run(None, {"image": x})
print("first", time.process_time(), flush=True)
for _ in range(int(sys.argv[2])):
    s.run(None, {"image": x})
print("ran", flush=True)
sys.stdin.read()
"""


def measure() -> list[dict[str, Any]]:
    """One row a net."""
    video = ROOT / "build" / "demo" / "vtest.avi"
    if not video.is_file():
        raise SystemExit("the agent is measured on the demo's video: run 'make demo' first")
    with tempfile.TemporaryDirectory(prefix="gluon-edge-bench-") as folder, local_broker() as broker:
        short = first_frames(video, Path(folder) / "short.avi", 4 * _FRAMES)
        return [_row(net, short, Path(folder), broker.url) for net in nets()]


def _row(net: Net, video: Path, folder: Path, broker: str) -> dict[str, Any]:
    path = bundle_of(net).path
    # As pip compiles what it installs; the first round does it here.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    bare = [_bare(path, environment) for _ in range(_ROUNDS + 1)][1:]
    agent = [_agent(path, video, folder, broker, environment) for _ in range(_ROUNDS + 1)][1:]

    def middle(values: list[tuple[float, float, float]], i: int) -> float:
        return statistics.median(v[i] for v in values)

    return {
        "net": net.name,
        "bare_mb": round(middle(bare, 0), 1),
        "agent_mb": round(middle(agent, 0), 1),
        "P7 more_mb": round(middle(agent, 0) - middle(bare, 0), 1),
        "P7 goal": "+45 or less",
        "own more_mb": round(middle(agent, 1) - middle(bare, 1), 1),
        "bare_s": round(middle(bare, 2), 2),
        "agent_s": round(middle(agent, 2), 2),
        "P8 more_s": round(middle(agent, 2) - middle(bare, 2), 2),
        "P8 goal": "+1.0 or less",
    }


def _bare(bundle: Path, environment: dict[str, str]) -> tuple[float, float, float]:
    """Megabytes after the frames, all and its own; CPU seconds to the first result."""
    command = [sys.executable, "-c", _BARE, str(bundle / "model.onnx"), str(_FRAMES)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        first = float(process.stdout.readline().split()[1])
        process.stdout.readline()
        return *_megabytes(process.pid), first


def _agent(
    bundle: Path, video: Path, folder: Path, broker: str, environment: dict[str, str]
) -> tuple[float, float, float]:
    """The same of the agent, whose first result is a message at a subscriber."""
    config = folder / "agent.toml"
    config.write_text(
        f'state_dir = "{folder / "state"}"\n[model]\nbundle = "{bundle}"\nthreads = 1\nproviders = ["cpu"]\n'
        f'[cameras.street]\nsource = "{video}"\npace = "fast"\nloop = true\n'
        f'[events]\nframes_per_s = 1000\n[mqtt]\nbroker = "{broker}"\nnode = "bench"\n'
    )
    heard: list[int] = []
    first, enough = threading.Event(), threading.Event()

    def on_message(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        heard.append(json.loads(message.payload)["frame"]["id"])
        first.set()
        if len(heard) >= _FRAMES:
            enough.set()

    address = broker_address(broker)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = on_message
    client.connect(address.host, address.port)
    client.subscribe("edge/bench/street/frame", 0)
    client.loop_start()
    command = [sys.executable, "-m", "edge", "run", "-c", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            if not first.wait(120):
                raise SystemExit("the agent published no frame")
            seconds = cpu_seconds(process.pid)
            enough.wait(300)
            return *_megabytes(process.pid), seconds
        finally:
            process.terminate()
            process.wait(20)
            client.disconnect()
            client.loop_stop()


def _megabytes(pid: int) -> tuple[float, float]:
    """What is resident, and what of it is the process's own."""
    time.sleep(0.2)
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    found = {line.split()[0]: int(line.split()[1]) / 1024 for line in lines[1:]}
    return found["Rss:"], found["Anonymous:"]


def cpu_seconds(pid: int) -> float:
    """What a process has used, by all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
