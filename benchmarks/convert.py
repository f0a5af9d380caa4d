"""P9: the seconds that converting a saved net takes, over MXNet's own exporter on the same files, in turn.

The exporter cannot be imported beside a current onnx, so it gets an environment of its own in build/, made by the
first run. Both start from the symbol and parameter files and end with an ONNX file on disk; imports are not counted.
Ours ends in results (decoding and suppression inside), theirs in the net's raw outputs.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.nets import BUILD
from export import heads, zoo
from export.run_onnx import open_session
from export.source import load
from export.translate import translate
from export.zoo import Saved

__all__ = ["measure", "saved_net"]

# Each family, small inputs so that building them does not take the day: neither side's time depends on the size.
NETS = {
    "alexnet": None, "densenet121": None, "googlenet": None, "inceptionv3": None, "mobilenet1.0": None,
    "mobilenetv2_1.0": None, "mobilenetv3_large": None, "resnet18_v1": None, "resnet50_v1b": None,
    "resnet50_v2": None, "resnext50_32x4d": None, "se_resnet18_v1": None, "squeezenet1.0": None,
    "cifar_resnet56_v2": None, "ssd_512_mobilenet1.0_voc": (256, 256), "yolo3_mobilenet1.0_coco": (160, 160),
    "center_net_resnet18_v1b_voc": (128, 128), "simple_pose_resnet18_v1b": (128, 96),
    "mobile_pose_resnet18_v1b": (128, 96), "fcn_resnet50_voc": (64, 64),
}  # fmt: skip
ROUNDS = 3
_STATE = BUILD / "convert" / "rows.jsonl"
_EXPORTER = ("mxnet==1.9.1", "numpy==1.23.5", "onnx==1.17.0", "protobuf<6")
_WORKER = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
for name in ("bool", "int", "float", "object", "str", "complex"):
    if name not in np.__dict__:
        setattr(np, name, getattr(__builtins__, name))
import mxnet as mx
mx.onnx.export_model  # what is imported late is imported now
import onnx
print("ready", flush=True)
for line in sys.stdin:
    symbol, params, shape, out = json.loads(line)
    started, why = time.perf_counter(), ""
    try:
        mx.onnx.export_model(symbol, params, [tuple(shape)], np.float32, out)
    except Exception as exc:
        why = (str(exc).strip().splitlines() or [type(exc).__name__])[0][:120]
    print(json.dumps([time.perf_counter() - started, why]), flush=True)
"""


def measure() -> list[dict[str, Any]]:
    """One row a net, and the median over all that both convert."""
    done = _done()
    with _exporter() as exporter:
        for name in NETS:
            if name not in done:
                done[name] = _row(name, exporter)
                with _STATE.open("a", encoding="utf-8") as state:
                    print(json.dumps(done[name]), file=state)
            print(f"{list(NETS).index(name) + 1}/{len(NETS)} {done[name]}", file=sys.stderr, flush=True)
    rows = [done[name] for name in NETS]
    ratios = [row["times_faster"] for row in rows if row["times_faster"] is not None]
    return [*rows, _summary(ratios, len(rows))]


def _done() -> dict[str, dict[str, Any]]:
    """Rows of a run that was stopped; remove the file to measure everything anew."""
    lines = _STATE.read_text(encoding="utf-8").splitlines() if _STATE.is_file() else []
    return {row["net"]: row for row in map(json.loads, lines)}


def _summary(ratios: list[float], nets: int) -> dict[str, Any]:
    median = round(statistics.median(ratios), 1)
    note = f"median of {len(ratios)} of {nets}; goal 5x"
    return {"net": "all", "nodes": "", "exporter_s": "", "ours_s": "", "times_faster": median, "exporter": note}


def _row(name: str, exporter: Exporter) -> dict[str, Any]:
    saved = saved_net(name, NETS[name])
    theirs, ours, why = [], [], ""
    nodes = 0
    for _ in range(ROUNDS):
        seconds, why = exporter(saved)
        theirs.append(seconds)
        started = time.perf_counter()
        nodes = _convert(saved, saved.symbol_path.with_name("ours.onnx"))
        ours.append(time.perf_counter() - started)
    # The best of each: whatever else the machine did only made them slower.
    mine, other = min(ours), min(theirs)
    return {
        "net": name,
        "nodes": nodes,
        "exporter_s": None if why else round(other, 2),
        "ours_s": round(mine, 2),
        "times_faster": None if why else round(other / mine, 1),
        "exporter": why or _loads(saved.symbol_path.with_name("theirs.onnx")),
    }


def saved_net(name: str, input_hw: tuple[int, int] | None) -> Saved:
    """A zoo net's files in build/, with random weights, kept for the next run."""
    folder = _STATE.parent / name
    kept = folder / "meta.json"
    if kept.is_file():
        meta = json.loads(kept.read_text())
        return Saved(folder / f"{name}-symbol.json", folder / f"{name}-0000.params", meta)
    print(f"building {name}...", file=sys.stderr, flush=True)
    saved = zoo.build(name, out_dir=folder, random_seed=1, input_hw=input_hw)
    kept.write_text(json.dumps(saved.meta))
    return saved


def _convert(saved: Saved, out: Path) -> int:
    meta = saved.meta
    graph = load(saved.symbol_path, saved.params_path)
    if (task := zoo.find(meta["name"]).bundle_task) is not None:
        model = heads.finish(
            graph,
            task=task,
            input_hw=tuple(meta["input_hw"]),
            labels=meta["labels"],
            mean=meta["mean"],
            std=meta["std"],
        )
    else:
        model = translate(graph, input_hw=tuple(meta["input_hw"]), batch=1, frames=meta["frames"])
    out.write_bytes(model.SerializeToString())
    return len(model.graph.node)


def _loads(path: Path) -> str:
    try:
        open_session(path.read_bytes())
    except Exception as exc:  # noqa: BLE001  (onnxruntime's own family of errors)
        return f"written, but onnxruntime refuses it: {str(exc).splitlines()[0][:100]}"
    return "loads"


@dataclass(frozen=True, slots=True)
class Exporter:
    """MXNet's exporter in a process of its own; called with a saved net, gives seconds and why it failed."""

    ask: IO[str]
    answers: IO[str]

    def __call__(self, saved: Saved) -> tuple[float, str]:
        """Export once to `theirs.onnx` beside the files."""
        frames = saved.meta["frames"]
        shape = [1, 3, *([frames] if frames else []), *saved.meta["input_hw"]]
        out = saved.symbol_path.with_name("theirs.onnx")
        print(json.dumps([str(saved.symbol_path), str(saved.params_path), shape, str(out)]), file=self.ask, flush=True)
        for line in self.answers:
            if line.startswith("["):
                seconds, why = json.loads(line)
                return float(seconds), str(why)
        raise SystemExit("MXNet's exporter ended by itself")


@contextmanager
def _exporter() -> Iterator[Exporter]:
    python = _environment()
    process = subprocess.Popen(
        [str(python), "-c", _WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        ask, answers = process.stdin, process.stdout
        if ask is None or answers is None or "ready" not in answers.readline():
            raise SystemExit(f"{python} cannot import MXNet; remove {python.parents[1]} and run again")
        yield Exporter(ask, answers)
    finally:
        process.kill()
        process.communicate()


def _environment() -> Path:
    folder = BUILD.parent / "exporter-env"
    python = folder / "bin" / "python"
    if not (folder / "done").is_file():
        print(f"making {folder} for MXNet's exporter...", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *_EXPORTER], check=True)
        (folder / "done").touch()
    return python
