"""P7's second half: 100,000 frames through the whole agent, and nothing grows: memory, threads, descriptors, shared memory.

The shipped pattern camera as fast as it goes, a tiny net, a real broker, every event and ten frames a second published.
The agent is a process of its own; it is looked at from outside each second. What it has after a tenth of the frames (every
buffer allocated, every cache full) is compared with the median of the last tenth.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from benchmarks.nets import ROOT
from edge.config import broker_address
from edge.demo.localbroker import local_broker

__all__ = ["measure"]

_FRAMES = 100_000
_SHARED = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory shows


@dataclass(frozen=True, slots=True)
class Sample:
    """What the agent and its children have at one time, after so many frames."""

    frames: int
    resident_mb: float
    threads: int
    descriptors: int
    shared: int


def measure(frames: int = _FRAMES) -> list[dict[str, Any]]:
    """One row."""
    with tempfile.TemporaryDirectory(prefix="gluon-edge-soak-") as folder, local_broker() as broker:
        config = _configure(Path(folder), broker.url, frames)
        before = _shared_names()
        start = time.perf_counter()
        samples, status = _run(config, broker.url)
        seconds = time.perf_counter() - start
        left = len(_shared_names() - before)
    done = max(s.frames for s in samples)
    early = [s for s in samples if 0.1 * frames <= s.frames <= 0.2 * frames]
    # Its last word comes when it has begun to stop.
    late = [s for s in samples if 0.9 * frames <= s.frames < done]
    if not early or not late:
        raise SystemExit(f"the agent looked at {done} frames and ended with {status}: too few to compare")
    row: dict[str, Any] = {"frames": done, "seconds": round(seconds), "frames_a_second": round(done / seconds)}
    for name in ("resident_mb", "threads", "descriptors", "shared"):
        first, last = (statistics.median(getattr(s, name) for s in part) for part in (early, late))
        row[name] = f"{first:g} -> {last:g}"
        if name == "resident_mb":
            row["memory_times"] = round(last / first, 4)
    row |= {"shared_left": left, "status": status, "goal": "memory 1.02 or less, the rest unchanged, nothing left"}
    same = all(len(set(row[n].split(" -> "))) == 1 for n in ("threads", "descriptors", "shared"))
    row["holds"] = row["memory_times"] <= 1.02 and same and left == 0 and status == 0
    return [row]


def _configure(folder: Path, broker: str, frames: int) -> Path:
    sys.path.insert(0, str(ROOT / "tests"))
    from bundles import detection_bundle

    bundle = detection_bundle(folder / "tiny", size=64)
    config = folder / "agent.toml"
    config.write_text(
        f'state_dir = "{folder / "state"}"\n[model]\nbundle = "{bundle}"\nthreads = 1\nproviders = ["cpu"]\n'
        f'[cameras.pattern]\nsource = "pattern:{frames}"\npace = "fast"\n'
        f'[events]\nframes_per_s = 10\n[health]\nevery_s = 1\n[mqtt]\nbroker = "{broker}"\nnode = "soak"\n'
    )
    return config


def _run(config: Path, broker: str) -> tuple[list[Sample], int]:
    """Runs the agent to its end; a sample for each of its `health` messages."""
    frames = 0

    def heard(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        nonlocal frames
        frames = json.loads(message.payload)["cameras"]["pattern"]["inferred"]

    address = broker_address(broker)
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.on_message = heard
    client.connect(address.host, address.port)
    client.subscribe("edge/soak/health", 0)
    client.loop_start()
    samples: list[Sample] = []
    command = [sys.executable, "-m", "edge", "run", "-c", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                time.sleep(1)
                if (sample := _look(process.pid, frames)) is not None:
                    samples.append(sample)
        finally:
            if process.poll() is None:
                process.kill()
            client.disconnect()
            client.loop_stop()
    return samples, process.returncode


def _look(pid: int, frames: int) -> Sample | None:
    """What a process and its children have; None when it has just ended."""
    try:
        family = [pid, *_children(pid)]
        resident = sum(_kilobytes(p) for p in family) / 1024
        threads = sum(len(list(Path(f"/proc/{p}/task").iterdir())) for p in family)
        descriptors = sum(len(list(Path(f"/proc/{p}/fd").iterdir())) for p in family)
        return Sample(frames, resident, threads, descriptors, len(_shared_names()))
    except (OSError, StopIteration):
        return None


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text().split())


def _kilobytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))


def _shared_names() -> set[str]:
    return {p.name for p in _SHARED.iterdir()} if _SHARED.is_dir() else set()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--frames", type=int, default=_FRAMES, help="20,000 or more: it is looked at once a second")
    row = measure(parser.parse_args().frames)[0]
    print(json.dumps(row, indent=2))
    return 0 if row["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
