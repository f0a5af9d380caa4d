"""What `convert --winograd` gains, and what it costs in memory and in time to load."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx

from benchmarks.heads import session
from benchmarks.nets import ROOT, Net, bundle_of, by_tiles
from benchmarks.paired import paired
from edge.bundle.bundle import Bundle
from export.heads import tiled_layers

__all__ = ["measure"]

_NETS = (
    "yolo3_mobilenet1.0_coco",
    "yolo3_darknet53_voc",
    "resnet50_v1b",
    "resnet18_v1",
    "vgg16",
    "simple_pose_resnet18_v1b",
    "center_net_resnet18_v1b_voc",
    "fcn_resnet50_voc",
)
_MEGABYTE = 1 << 20
# A process of its own loads the model as the agent does and runs it: seconds, resident bytes after three frames, and the most.
_ALONE = """
import json, sys, time
from pathlib import Path
import numpy as np
from edge.bundle.bundle import read_bundle
from edge.inference.session import Session, SessionOptions
from edge.memory import give_back
bundle = read_bundle(Path(sys.argv[1]))
start = time.process_time()
session = Session(bundle, SessionOptions(threads=1))
seconds = time.process_time() - start
bundle.files.clear()
give_back()
spec = bundle.manifest.input
for _ in range(3):
    session.infer(np.zeros((1, spec.height, spec.width, 3), np.uint8))
pages = int(open("/proc/self/statm").read().split()[1])
most = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([seconds, pages * 4096, most * 1024]))
"""


def measure() -> list[dict[str, Any]]:
    """A row a net."""
    if find_spec("mxnet") is None:
        raise SystemExit("the nets are built with MXNet: pip install 'gluon-edge[zoo]'")
    return [_row(Net(name, (name, "--random", "1"))) for name in _NETS]


def _row(net: Net) -> dict[str, Any]:
    plain, tiled = bundle_of(net), bundle_of(by_tiles(net))
    one, two = _times(plain, tiled, threads=1), _times(plain, tiled, threads=2)
    before, after = _alone(plain), _alone(tiled)
    return {
        "net": net.name,
        "layers": tiled_layers(onnx.load_from_string(tiled.model)),
        "ms": round(one[0], 1),
        "by_tiles_ms": round(one[1], 1),
        "times_faster": round(one[2], 2),
        "with_two_threads": round(two[2], 2),
        "file_mb": f"{len(plain.model) / _MEGABYTE:.0f} -> {len(tiled.model) / _MEGABYTE:.0f}",
        "resident_mb": f"{before[1] / _MEGABYTE:.0f} -> {after[1] / _MEGABYTE:.0f}",
        "while_loading_mb": f"{before[2] / _MEGABYTE:.0f} -> {after[2] / _MEGABYTE:.0f}",
        "load_s": f"{before[0]:.1f} -> {after[0]:.1f}",
    }


def _times(plain: Bundle, tiled: Bundle, *, threads: int) -> tuple[float, float, float]:
    """Milliseconds of both, and how many times faster the second is."""
    spec = plain.manifest.input
    image = np.random.default_rng(0).integers(0, 256, (1, spec.height, spec.width, 3), np.uint8)
    sessions = [session(bundle.model, threads=threads) for bundle in (plain, tiled)]
    found = paired(
        {name: _run(one, image) for name, one in zip(("plain", "tiled"), sessions, strict=True)},
        rounds=12,
        inner=1,
        warm_up=2,
    )
    return found.median_ms["plain"], found.median_ms["tiled"], found.ratio("plain", "tiled")


def _run(one: Any, image: Any) -> Any:
    return lambda: one.run(None, {"image": image})


def _alone(bundle: Bundle) -> tuple[float, int, int]:
    command = [sys.executable, "-c", _ALONE, str(bundle.path)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    seconds, resident, most = json.loads(out)
    return seconds, resident, most
