"""`python -m benchmarks [NAME ...]`: measures, prints the tables, and writes them to benchmarks/results/ and the docs."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

# One thread unless a benchmark says otherwise: what is compared is the code, not the number of cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

RESULTS = Path(__file__).with_name("results")
FIGURES = {
    "heads": "P4: the whole float bundle over the bare convolution trunk of the same net, one thread",
    "mxnet": "P5: the float bundle against MXNet, fused or as a block, on the same weights, one thread",
    "quantization": "P6: int8 against float on trained weights, stock CPU provider, one thread: accuracy, size, speed",
    "frontier": "what each layer left in float buys: the real SSD in 8 bits, detections above 0.5 kept on 9 photos, IoU 0.9",
    "int8speed": "P6: int8 against float on the zoo's nets, random weights, stock CPU provider, one thread",
    "convert": "P9: seconds to convert a saved net of the zoo, over MXNet's own exporter on the same files",
    "conversion": "seconds to convert a large saved net with the whole command, and its memory over that of the weights",
    "fastest": "P6: the best way that tune would find here against MXNet on the same weights, one thread",
    "layers": "where the time of the fastest int8 detector goes by OpenVINO's own count, one thread",
    "winograd": "nets with 3x3 convolutions by Winograd's algorithm (`convert --winograd`) over the same without",
    "instances": "a whole Mask R-CNN of the zoo evaluated: mask AP on what it finds itself, MXNet's on the same",
    "spool": "P10: messages accepted a second with group commit and delivered a second from the disk; bytes and memory",
    "kernels": "how far the same model differs between kernels, of which the golden sample's tolerances are made",
    "agent": "P1, P2, P11: the whole agent on video files over a bare loop on the same bundle: rate, CPU, four cameras",
    "latency": "P3: from a frame's capture to its message at a subscriber, over inference alone",
    "footprint": "P7, P8: memory of the running agent and start to first frame published, over onnxruntime alone",
    "soak": "P7: 100,000 frames through the whole agent; memory, threads, descriptors and shared memory stay",
    "idle": "What an agent costs whose gated camera shows no movement, and one without frames",
    "sharedmemory": "What a reader's process adds to the age of a 1080p frame, and what the agent's side of it costs",
    "greengrass": "Events a second through a Greengrass nucleus's IPC, over AWS's own client asked one after another",
    "batching": "Two cameras: one session by turns, a batch of two, a session each; times as long as by turns",
    "resize": "Preparing a 1080p frame over OpenCV's own resize alone, one thread",
}

# What pages show between their marks; the text around them says what the goals are.
DOCS = Path(__file__).resolve().parents[1] / "docs"
SHOWN = {
    "performance.md": ("agent", "latency", "fastest", "footprint", "soak", "resize", "idle"),
    "converting.md": ("winograd",),
}
MARKS = ("<!-- tables -->", "<!-- end of tables -->")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which (default all): {', '.join(FIGURES)}")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout instead of the tables")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, write the pages from what is there")
    args = parser.parse_args()
    if args.page_only:
        write_pages()
        return 0
    unknown = set(args.names) - FIGURES.keys()
    if unknown:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    RESULTS.mkdir(exist_ok=True)
    found = {}
    for name in args.names or FIGURES:
        print(f"measuring {name}...", file=sys.stderr)
        rows = importlib.import_module(f"benchmarks.{name}").measure()
        found[name] = {
            "figure": FIGURES[name],
            "command": f"python -m benchmarks {name}",
            "machine": machine(),
            "rows": rows,
        }
        (RESULTS / f"{name}.json").write_text(json.dumps(found[name], indent=2) + "\n")
        if not args.json:
            print(table(FIGURES[name], rows))
    write_pages()
    if args.json:
        print(json.dumps(found, indent=2))
    return 0


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import onnxruntime

    flags = Path("/proc/cpuinfo").read_text().split()
    return {
        "cpu": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "vnni": "avx512_vnni" in flags,
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
    }


def write_pages() -> None:
    """Put the tables of benchmarks/results/ into the pages, without the columns of goals."""
    for page, names in SHOWN.items():
        tables = []
        for name in names:
            found = json.loads((RESULTS / f"{name}.json").read_text())
            rows = [{key: value for key, value in row.items() if not key.endswith("goal")} for row in found["rows"]]
            tables.append(table(found["figure"], rows))
        before, _, rest = (DOCS / page).read_text(encoding="utf-8").partition(MARKS[0])
        _, _, after = rest.partition(MARKS[1])
        text = before + "\n".join([MARKS[0], "", *tables, MARKS[1]]) + after
        (DOCS / page).write_text(text, encoding="utf-8")


def table(title: str, rows: list[dict[str, Any]]) -> str:
    """Rows as a table of Markdown."""
    head = list(rows[0])
    lines = [f"**{title}**", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(row[k]) for k in head) + " |" for row in rows]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
