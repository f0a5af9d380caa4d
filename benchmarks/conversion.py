"""What converting a large saved net takes: seconds of the whole command, and its memory over that of the weights.

`gluon-export convert` runs in a process of its own, without MXNet. What the interpreter and the libraries need by
themselves is told by the same command on a net of next to no weights, and subtracted.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.convert import saved_net
from benchmarks.nets import BUILD
from export.zoo import Saved

__all__ = ["measure"]

SMALL = "cifar_resnet20_v1"
NETS = ("vgg16", "alexnet", "resnet152_v1", "yolo3_darknet53_coco", "faster_rcnn_fpn_resnet101_v1d_coco")
_GOAL_SECONDS, _GOAL_TIMES = 15, 3
_COMMAND = """
import sys
from pathlib import Path
from export.cli import main
code = main(sys.argv[1:])
# Not ru_maxrss, which begins with that of the process that started this one.
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
sys.exit(code)
"""


def measure() -> list[dict[str, Any]]:
    """One row a net."""
    base = _converted(saved_net(SMALL, None)).peak
    return [_row(name, base) for name in NETS]


def _row(name: str, base: int) -> dict[str, Any]:
    saved = saved_net(name, None)
    weights = saved.params_path.stat().st_size
    found = _converted(saved)
    return {
        "net": name,
        "weights_mb": round(weights / 1e6, 1),
        "seconds": round(found.seconds, 1),
        "cpu_seconds": round(found.cpu_seconds, 1),
        "goal_s": _GOAL_SECONDS if name == "vgg16" else "",
        "memory_mb": round((found.peak - base) / 1e6, 1),
        "times_weights": round((found.peak - base) / weights, 2),
        "goal_times": _GOAL_TIMES,
    }


@dataclass(frozen=True, slots=True)
class _Cost:
    """Bytes of the process at its largest; seconds from its start to its end, and those of all cores that it used."""

    peak: int
    seconds: float
    cpu_seconds: float


def _converted(saved: Saved) -> _Cost:
    meta = saved.meta
    folder = BUILD / "conversion" / meta["name"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    labels = folder.with_suffix(".txt")
    labels.write_text("\n".join(meta["labels"]) + "\n", encoding="utf-8")
    command = [
        sys.executable, "-c", _COMMAND, "convert", "--symbol", saved.symbol_path, "--params", saved.params_path,
        "--task", _task(meta["name"]), "--input", "x".join(map(str, meta["input_hw"])), "--labels", labels,
        "--mean", ",".join(map(str, meta["mean"])), "--std", ",".join(map(str, meta["std"])), "-o", folder,
    ]  # fmt: skip
    started, used = time.perf_counter(), _cpu_seconds()
    done = subprocess.run(
        list(map(str, command)), cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{meta['name']} was not converted: {done.stderr}")
    return _Cost(int(done.stdout.split()[-1]) * 1024, time.perf_counter() - started, _cpu_seconds() - used)


def _cpu_seconds() -> float:
    """Of all processes that were started from here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _task(name: str) -> str:
    from export import zoo

    return str(zoo.find(name).bundle_task)
