"""The sweep's rows as docs/zoo.json and as docs/zoo.md, a table a task."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from export.zoo import list_nets

__all__ = ["write_page"]

_TASKS = {
    "classification": "Classification",
    "detection": "Detection",
    "instances": "Instance segmentation",
    "segmentation": "Semantic segmentation",
    "pose": "Pose",
    "action": "Action recognition",
    "depth": "Depth",
    "tracking": "Tracking",
}
_MEANING = {
    "exact": "converted, and equal to MXNet end to end and layer by layer",
    "differs": "converted, and beyond a tolerance somewhere",
    "unsupported": "an operator or attribute is not supported yet",
    "failed": "could not be converted or compared",
    "over limit": "went over the sweep's time or memory limit",
    "build failed": "GluonCV raised when it was asked to build it",
    "not buildable": "cannot be built at all without a download (the reason is in the table)",
}


def write_page(rows: dict[str, dict[str, Any]], folder: Path) -> None:
    """Write both files; rows in the order of the names."""
    folder.mkdir(parents=True, exist_ok=True)
    ordered = [rows[name] for name in sorted(rows)]
    counts = Counter(row["status"] for row in ordered)
    document = {"command": "python -m benchmarks.sweep", "zoo": len(list_nets()), "counts": dict(counts)}
    (folder / "zoo.json").write_text(json.dumps({**document, "nets": ordered}, indent=1) + "\n", encoding="utf-8")
    (folder / "zoo.md").write_text(_page(ordered, counts, len(list_nets())), encoding="utf-8")


def _page(rows: list[dict[str, Any]], counts: Counter[str], total: int) -> str:
    lines = [
        "# The zoo, net by net",
        "",
        f"Of the {total} names of GluonCV's zoo, {len(rows)} were tried:",
        "",
        *(f"- **{counts[status]}** {status}: {meaning}" for status, meaning in _MEANING.items() if counts[status]),
        "",
        *_speed(rows),
        "Written by `python -m benchmarks.sweep`, each net in its own process with random weights, one thread. MXNet's "
        "time is that of a bound executor with its CPU sub-graph fusion on; onnxruntime's is that of the whole "
        "deployable model, from uint8 pixels to results (`raw`: the bare net, where the task has no head). Errors are "
        "the largest absolute differences of the results (scores; boxes in pixels), detections matched as sets; "
        "`layers` says whether every operator alone, fed with MXNet's own inputs, gives MXNet's outputs. "
        "The input column gives the size that was run: about half the usual one for most nets of segmentation and of "
        "two stages, which take MXNet many seconds a picture otherwise (the latter then look at 200 regions). "
        "Tolerances: `export/tolerances.py`.",
        "",
    ]
    for task, title in _TASKS.items():
        found = [row for row in rows if row["task"] == task]
        if found:
            lines += [f"## {title}", "", _HEAD, _RULE, *(_row(row) for row in found), ""]
    return "\n".join(lines)


def _speed(rows: list[dict[str, Any]]) -> list[str]:
    ratios = [row["mxnet_ms"] / row["onnx_ms"] for row in rows if row.get("mxnet_ms") and row.get("onnx_ms")]
    seconds = [row["convert_s"] for row in rows if row.get("convert_s") is not None]
    if not ratios or not seconds:
        return []
    return [
        f"Median: {statistics.median(ratios):.2f} times as fast as MXNet ({len(ratios)} nets), converted in "
        f"{statistics.median(seconds):.2f} s (the slowest {max(seconds):.1f} s).",
        "",
    ]


_HEAD = "| net | input | nodes | MB | convert s | MXNet ms | onnxruntime ms | error | layers | result |"
_RULE = "|---|---|--:|--:|--:|--:|--:|---|---|---|"


def _row(row: dict[str, Any]) -> str:
    def show(key: str) -> str:
        value = row.get(key)
        return "" if value is None else str(value)

    layers = ""
    if "layers" in row:
        layers = "all" if row["layers"] is None else f"{row['layers']['node']} ({row['layers']['op']})"
    error = ", ".join(f"{name} {value:.1e}" for name, value in row.get("error", {}).items())
    size = "x".join(str(side) for side in row.get("input", []))
    result = row["status"] + (f": {row['why']}" if row.get("why") else "")
    if row.get("form") == "raw":
        result += " (raw)"
    cells = [row["net"], size, *(show(key) for key in ("nodes", "size_mb", "convert_s", "mxnet_ms", "onnx_ms"))]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in [*cells, error, layers, result]) + " |"
