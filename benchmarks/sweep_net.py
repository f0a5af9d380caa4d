"""`python -m benchmarks.sweep_net NAME -o FILE`: one net of the zoo, built, converted, verified and timed."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx

from benchmarks.mxnet import block, executor
from benchmarks.paired import paired
from export import heads, zoo
from export.bare import raw_model
from export.errors import ExportError, UnsupportedError
from export.graph import Graph
from export.run_onnx import open_session
from export.source import load
from export.verify import verify, verify_raw
from export.zoo import Saved, ZooNet, find

__all__ = ["main"]

_CLASSES = ("one", "two", "three")  # for nets that want their user's classes
_SECONDS = 5.0  # that timing may take
# Of a net of two stages: with all 1000 that some take, the values of all layers together fill 12 GB.
_REGIONS = 200
_GRID = 64  # what every level of every pyramid divides


class Row:
    """What is known so far, on disk after each step, so that a process that is killed leaves how far it came."""

    def __init__(self, path: Path, entry: ZooNet) -> None:
        self._path = path
        self.values: dict[str, Any] = {"net": entry.name, "task": entry.task, "input": list(_size(entry))}

    def __call__(self, **facts: Any) -> None:
        """Add facts."""
        self.values |= facts
        self._path.write_text(json.dumps(self.values), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep_net", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    entry = find(args.name)
    row = Row(args.output, entry)
    # What makes MXNet fast is on; references are computed in a way that it does not reach.
    os.environ.pop("MXNET_SUBGRAPH_BACKEND", None)
    with tempfile.TemporaryDirectory(prefix="gluon-sweep-") as folder:
        saved = _build(entry, Path(folder), row)
        if saved is not None:
            _convert_and_compare(saved, entry, row)
    return 0


def _size(entry: ZooNet) -> tuple[int, int]:
    """Height and width of the pictures: the net's own, about half of it where one picture takes MXNet many seconds."""
    if entry.task != "segmentation" and "rcnn" not in entry.name:
        return entry.input_hw
    height, width = (-(-side // 2 // _GRID) * _GRID for side in entry.input_hw)
    return height, width


def _build(entry: ZooNet, folder: Path, row: Row) -> Saved | None:
    row(stage="build", status="failed")
    try:
        classes = _CLASSES if entry.classes is None else None
        return zoo.build(
            entry.name, out_dir=folder, random_seed=1, classes=classes, regions=_REGIONS, input_hw=_size(entry)
        )
    except Exception as exc:  # noqa: BLE001  (whatever GluonCV raises is the reason that is listed)
        row(status="build failed", why=_first_line(exc))
        return None


def _convert_and_compare(saved: Saved, entry: ZooNet, row: Row) -> None:
    row(stage="convert")
    started = time.perf_counter()
    try:
        graph = load(saved.symbol_path, saved.params_path)
        model, form = _convert(graph, saved, entry)
    except UnsupportedError as exc:
        row(status="unsupported", why=_first_line(exc))
        return
    except ExportError as exc:
        row(status="failed", why=_first_line(exc))
        return
    seconds = time.perf_counter() - started
    content = model.SerializeToString()
    row(convert_s=round(seconds, 2), nodes=len(model.graph.node), size_mb=round(len(content) / 1e6, 2), form=form)
    row(stage="check")
    onnx.checker.check_model(content, full_check=True)
    row(stage="time")
    row(**_timed(saved, entry, graph, content, form))
    row(stage="verify")
    row(**(_verified(saved, entry, model) if form == "finished" else _compared(saved, entry)))


def _convert(graph: Graph, saved: Saved, entry: ZooNet) -> tuple[onnx.ModelProto, str]:
    meta = saved.meta
    if entry.bundle_task is None:
        return raw_model(graph, zoo.sample_shapes(entry, meta["input_hw"])), "raw"
    model = heads.finish(
        graph,
        task=entry.bundle_task,
        input_hw=meta["input_hw"],
        labels=meta["labels"],
        mean=meta["mean"],
        std=meta["std"],
    )
    return model, "finished"


def _verified(saved: Saved, entry: ZooNet, model: onnx.ModelProto) -> dict[str, Any]:
    meta = saved.meta
    pictures = zoo.pictures(1, meta["input_hw"], seed=5)
    found = verify(
        saved.symbol_path,
        saved.params_path,
        model,
        pictures,
        task=entry.bundle_task or entry.task,
        mean=meta["mean"],
        std=meta["std"],
    ).to_json()
    worst = max(found["outputs"], key=lambda item: item["max_abs"] / (item["tolerance"] or 1e-30))
    return {
        "status": "exact" if found["ok"] else "differs",
        "error": {item["name"]: item["max_abs"] for item in found["outputs"]},
        "tolerance": worst["tolerance"],
        "layers": found["first_divergence"],
        "unmatched": found["unmatched"],
    }


def _compared(saved: Saved, entry: ZooNet) -> dict[str, Any]:
    """MXNet's own outputs against the graph's, for tasks without a head of their own."""
    found = verify_raw(
        saved.symbol_path, saved.params_path, zoo.sample_inputs(entry, saved.meta["input_hw"], seed=5)
    ).to_json()
    return {
        "status": "exact" if found["ok"] else "differs",
        "error": {item["name"]: item["max_abs"] for item in found["outputs"]},
        "tolerance": max(item["tolerance"] for item in found["outputs"]),
        "layers": found["first_divergence"],
    }


def _timed(saved: Saved, entry: ZooNet, graph: Graph, content: bytes, form: str) -> dict[str, Any]:
    session = open_session(content)
    inputs = zoo.sample_inputs(entry, saved.meta["input_hw"], seed=5)
    feeds = {"image": zoo.pictures(1, saved.meta["input_hw"], seed=7)} if form == "finished" else inputs
    ways: dict[str, Callable[[], object]] = {"onnx": lambda: session.run(None, feeds)}
    why = ""
    # On some nets MXNet fails with its fusion, the second time that they run: then it is timed without, or not at all.
    for prepare in (
        lambda: executor(saved.symbol_path, graph.params, inputs),
        lambda: block(saved.symbol_path, saved.params_path, inputs),
    ):
        try:
            ways["mxnet"] = prepare()
            for _ in range(2):
                ways["mxnet"]()
        except Exception as exc:  # noqa: BLE001  (whatever MXNet raises, the net is timed on the other side)
            ways.pop("mxnet", None)
            why = _first_line(exc)
            continue
        break
    found = _median(ways)
    return {"onnx_ms": found["onnx"], "mxnet_ms": found.get("mxnet"), **({"mxnet_why": why} if why else {})}


def _median(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    # The first call prepares weights and tells how long a round takes: a net of seconds is timed once.
    started = time.perf_counter()
    for call in ways.values():
        call()
    once = time.perf_counter() - started
    result = paired(ways, rounds=max(1, min(15, int(_SECONDS / once))), inner=1, warm_up=0)
    return {name: round(value, 2) for name, value in result.median_ms.items()}


def _first_line(exc: BaseException) -> str:
    lines = [line for line in str(exc).strip().splitlines() if line.strip() and not line.startswith("Traceback")]
    return (lines[0] if lines else type(exc).__name__)[:300]


if __name__ == "__main__":
    sys.exit(main())
