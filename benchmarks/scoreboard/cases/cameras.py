"""The cases of cameras: real streams that drop, stall, freeze and truncate, in front of the whole agent."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.scoreboard.cases.case import case
from benchmarks.scoreboard.faulty import Fault, HttpCamera, RtspCamera
from benchmarks.scoreboard.harness import ROOT, Broker, until
from benchmarks.scoreboard.sum import Sum
from edge.cameras.pattern import draw_pattern
from tests.bundles import detection_bundle

__all__ = ["Watch", "fails_and_returns"]

_ALARM_S, _RETURN_S, _CPU = 5.0, 10.0, 0.20
_ON_ITS_WAY_S = 0.3
_SHAPE = (240, 320, 3)


@dataclass
class Watch:
    """What a subscriber saw: states as they came, and when the frames that were looked at had been taken."""

    states: list[tuple[float, str, str]] = field(default_factory=list)
    taken_s: list[float] = field(default_factory=list)

    def heard(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        """Keeps a message."""
        found: dict[str, Any] = json.loads(message.payload)
        if message.topic.endswith("/state"):
            self.states.append((time.monotonic(), found["state"], found["reason"] or ""))
        elif found["objects"]:
            self.taken_s.append(found["mono_ns"] / 1e9)


@contextlib.contextmanager
def _running(subject: str, url: str, folder: Path) -> Iterator[tuple[psutil.Process, Watch]]:
    """The subject in front of a camera, and a subscriber."""
    broker = Broker(folder)
    broker.start()
    bundle = detection_bundle(folder / "bundle", golden=False)
    watch = Watch()
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_message = watch.heard
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", broker.port)
    client.subscribe([("edge/n1/gate/state", 1), ("edge/n1/gate/frame", 0)])
    client.loop_start()
    ready.wait(5)
    command = [sys.executable, "-m", "benchmarks.scoreboard.naivecamera", str(bundle), url, str(broker.port)]
    if subject == "agent":
        config = folder / "agent.toml"
        config.write_text(
            f'state_dir = "{folder / "state"}"\n[model]\nbundle = "{bundle}"\nthreads = 1\n'
            f'[cameras.gate]\nsource = "{url}"\n[mqtt]\nbroker = "{broker.url}"\nnode = "n1"\n'
            "[events]\nframes_per_s = 1000\n"
        )
        command = [sys.executable, "-m", "edge", "run", "-c", str(config)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stderr=log)
    try:
        if not until(lambda: watch.taken_s or process.poll() is not None, 60) or not watch.taken_s:
            raise SystemExit(f"the subject saw nothing: {(folder / 'log').read_text()[-2000:]}")
        yield psutil.Process(process.pid), watch
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        client.disconnect()
        client.loop_stop()
        client.on_message = client.on_subscribe = None
        broker.stop(signal.SIGKILL)


def fails_and_returns(
    camera: HttpCamera | RtspCamera, fault: Fault, process: psutil.Process, watch: Watch, *, away_s: float
) -> dict[str, Any]:
    """Lets a camera fail for `away_s` after the alarm and come back: what was seen of it."""
    begun, told = time.monotonic(), len(watch.states)
    camera.set(fault)

    def alarmed() -> bool:
        return any(state == "offline" for _, state, _ in watch.states[told:])

    until(alarmed, 2 * _ALARM_S)
    alarm = next(((at - begun, why) for at, state, why in watch.states[told:] if state == "offline"), None)
    cpu, since = _cpu_s(process), time.monotonic()
    time.sleep(away_s)
    used = (_cpu_s(process) - cpu) / (time.monotonic() - since)
    returned = time.monotonic()
    camera.set("none")

    def fresh() -> list[float]:
        return [s for s in watch.taken_s if s > returned]

    until(fresh, 2 * _RETURN_S)
    back = fresh()
    wrong = sum(begun + _ON_ITS_WAY_S < s < returned for s in list(watch.taken_s))
    return {
        "alarm_s": None if alarm is None else round(alarm[0], 2),
        "why": None if alarm is None else alarm[1].split("; ")[0].rpartition("mjpg: ")[2][:80],
        "recovered_s": round(back[0] - returned, 2) if back else None,
        "cpu": round(used, 3),
        "detections_from_bad_frames": wrong,
    }


def _cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process, its children, and those of its children that have ended."""
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        total = sum(process.cpu_times()[:4])
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += sum(child.cpu_times()[:4])
    return total


def _passes(seen: dict[str, Any], full: bool) -> bool:
    alarm_s, recovered_s = seen["alarm_s"], seen["recovered_s"]
    in_time = alarm_s is not None and alarm_s < _ALARM_S and recovered_s is not None and recovered_s < _RETURN_S
    # The start of one reader process outweighs a short version's seconds: CPU is judged where a camera is away long.
    calm = seen["cpu"] < _CPU or not full
    return bool(in_time and calm and not seen["detections_from_bad_frames"])


def _case(
    subject: str, faults: dict[type[HttpCamera] | type[RtspCamera], tuple[Fault, ...]], away_s: float, full: bool
) -> Sum:
    total = Sum()
    for kind, kinds_faults in faults.items():
        camera = kind(lambda n: draw_pattern(n, np.empty(_SHAPE, np.uint8)), fps=15)
        try:
            with (
                tempfile.TemporaryDirectory(prefix="scoreboard-") as name,
                _running(subject, camera.url, Path(name)) as (process, watch),
            ):
                for fault in kinds_faults:
                    seen = fails_and_returns(camera, fault, process, watch, away_s=away_s)
                    total.notes[f"{kind.__name__} {fault}"] = seen
                    total.accepted += 1
                    total.missing += not _passes(seen, full)
                    time.sleep(1)
        finally:
            camera.close()
    return total


@case("20", "camera drops and returns: alarm within 5 s, back within 10 s, CPU under 20 % meanwhile")
def camera_drops(subject: str, full: bool) -> tuple[bool, Sum]:
    faults: dict[Any, tuple[Fault, ...]] = {HttpCamera: ("drop",), **({RtspCamera: ("drop",)} if full else {})}
    total = _case(subject, faults, 30.0 if full else 4.0, full)
    return total.sound, total


@case("21", "camera stalls, freezes, truncates: alarm within 5 s, no detection from such frames")
def camera_lies(subject: str, full: bool) -> tuple[bool, Sum]:
    every: tuple[Fault, ...] = ("stall", "freeze", "truncate", "cut-scan")
    few: tuple[Fault, ...] = ("freeze", "cut-scan")
    faults: dict[Any, tuple[Fault, ...]] = {HttpCamera: every, RtspCamera: every} if full else {HttpCamera: few}
    total = _case(subject, faults, 10.0 if full else 1.0, full)
    return total.sound, total
