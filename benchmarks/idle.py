"""What an agent costs that has nothing to do: cameras that show no movement, and the motion gate on.

A process of its own with one camera of ten frames a second at 640x480, which shows the same picture; the model runs once a
minute. CPU time is read from outside after the first seconds. What decoding takes is measured at the same time by another
process that does nothing else, and taken off. Voluntary context switches a second tell what wakes up: a thread that polls
would show here.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2

from benchmarks.footprint import cpu_seconds
from benchmarks.nets import ROOT, bundle_of, nets
from edge.demo.localbroker import local_broker
from edge.inference.golden import golden_image

__all__ = ["measure"]

_FPS = 10
_SETTLE_S, _WATCH_S = 15.0, 40.0


def measure() -> list[dict[str, Any]]:
    """A row for the gated camera, and one for an agent whose camera sends nothing at all."""
    bundle = bundle_of(nets()[0])
    with tempfile.TemporaryDirectory(prefix="gluon-edge-bench-") as folder, local_broker() as broker:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        picture = cv2.resize(golden_image(bundle), (640, 480))
        for name in ("a.jpg", "b.jpg"):
            cv2.imwrite(str(pictures / name), picture)
        gated = f'source = "{pictures}/"\nloop = true\nfps = {_FPS}\n[cameras.door.motion]\nevery_s = 60\n'
        switched_off = f'source = "{pictures}/"\nenabled = false\n'
        return [
            _row("gated camera, 10 frames a second", gated, bundle.path, Path(folder), broker.url, pictures / "a.jpg"),
            _row("camera switched off", switched_off, bundle.path, Path(folder), broker.url),
        ]


def _row(
    what: str, camera: str, bundle: Path, folder: Path, broker: str, decoded: Path | None = None
) -> dict[str, Any]:
    config = folder / "agent.toml"
    config.write_text(
        f'state_dir = "{folder / "state"}"\n[model]\nbundle = "{bundle}"\nthreads = 1\nproviders = ["cpu"]\n'
        f'[mqtt]\nbroker = "{broker}"\nnode = "bench"\n[cameras.door]\n{camera}'
    )
    command = [sys.executable, "-m", "edge", "run", "-c", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(_SETTLE_S)
            cpu, switches, start = cpu_seconds(process.pid), _switches(process.pid), time.perf_counter()
            decode = _pause(decoded)
            seconds = time.perf_counter() - start
            used = (cpu_seconds(process.pid) - cpu) / seconds
            woken = (_switches(process.pid) - switches) / seconds
            if process.poll() is not None:
                raise SystemExit(f"the agent ended with {process.returncode}")
        finally:
            process.terminate()
            process.wait(20)
    return {
        "what": what,
        "core_used": f"{100 * used:.2f} %",
        "decoding": f"{100 * decode:.2f} %",
        "beside_decoding": f"{100 * max(0.0, used - decode):.2f} %",
        "goal": "under 2 %",
        "wakes_a_second": round(woken, 1),
    }


def _pause(decoded: Path | None) -> float:
    """Waits; the share of a core that decoding the picture at the camera's pace took meanwhile, in a process of its own."""
    if decoded is None:
        time.sleep(_WATCH_S)
        return 0.0
    command = [sys.executable, "-m", "benchmarks.idle", str(decoded)]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def _decode(path: Path) -> float:
    """At the camera's pace: decoding in a row would find its caches warm."""
    cv2.setNumThreads(1)
    until = time.monotonic() + _WATCH_S
    spent, decoded = 0.0, 0
    while time.monotonic() < until:
        time.sleep(1 / _FPS)
        start = time.process_time()
        cv2.imread(str(path))
        spent += time.process_time() - start
        decoded += 1
    return spent / decoded * _FPS


def _switches(pid: int) -> int:
    found = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        found += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return found


if __name__ == "__main__":
    print(_decode(Path(sys.argv[1])))
