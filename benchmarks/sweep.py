"""`python -m benchmarks.sweep`: every net of the zoo, built, converted, verified and timed, each in its own process.

Results go to a file of JSON lines as they come, so that a sweep that was stopped goes on where it was; from it come
docs/zoo.md and docs/zoo.json. A net is given random weights (those that the converter's own tests use).
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.limits import Limits, Running, start
from benchmarks.sweep_page import write_page
from export.progress import Bar
from export.zoo import ZooNet, list_nets

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / "build" / "sweep" / "results.jsonl"
# The data sets that a net comes in as variants: one of them stands for the others until all else is done.
_VARIANTS = ("_coco", "_voc", "_ade", "_citys", "_custom", "_kinetics700", "_ucf101", "_hmdb51", "_sthsthv2")


def main() -> int:
    args = _arguments()
    rows = {} if args.fresh else read_rows(args.state)
    again = set(args.again.split(",")) if args.again else set()
    nets = [net for net in _order(list_nets()) if _wanted(net, args.only)]
    todo = [net for net in nets if net.name not in rows or rows[net.name]["status"] in again]
    if not args.page_only:
        if args.fresh:
            args.state.unlink(missing_ok=True)
        args.state.parent.mkdir(parents=True, exist_ok=True)
        # A stop by the system is a stop by the user: what runs is ended, what is done is kept.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            run(todo, rows, args)
        except KeyboardInterrupt:
            print("stopped; the same command goes on from here", file=sys.stderr)
            return 130
        finally:
            write_page(rows, args.docs)
    else:
        write_page(rows, args.docs)
    print(f"{args.docs / 'zoo.md'}: {len(rows)} nets", file=sys.stderr)
    bad = [net.name for net in nets if rows.get(net.name, {}).get("status") not in {"exact", "not buildable"}]
    return 1 if bad else 0


def run(todo: list[ZooNet], rows: dict[str, dict[str, Any]], args: argparse.Namespace) -> None:
    """Run the nets, `--jobs` at a time, and keep each row the moment it is there."""
    limits = Limits(seconds=args.seconds, memory_bytes=int(args.memory_gb * 2**30))
    waiting, running, done = list(reversed(todo)), list[Running](), 0
    with Bar() as progress:
        try:
            while waiting or running:
                while waiting and len(running) < args.jobs:
                    net = waiting.pop()
                    if net.unsupported:
                        row = {"net": net.name, "task": net.task, "status": "not buildable", "why": net.unsupported}
                        _keep(row, rows, args.state)
                        done += 1
                        continue
                    running.append(start(net.name, args.state.parent, limits))
                progress(" ".join(one.name for one in running), done, len(todo))
                time.sleep(0.2)
                for one in [one for one in running if one.finished()]:
                    running.remove(one)
                    row = one.row()
                    _keep(row, rows, args.state)
                    done += 1
                    print(f"{done}/{len(todo)} {_line(row)}", file=sys.stderr, flush=True)
                    if done % 10 == 0:
                        write_page(rows, args.docs)
        finally:
            for one in running:
                one.stop("stopped")


def read_rows(state: Path) -> dict[str, dict[str, Any]]:
    """The last row of each net; a line that a crash cut short is left out."""
    rows: dict[str, dict[str, Any]] = {}
    for line in state.read_text(encoding="utf-8").splitlines() if state.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[row["net"]] = row
    return rows


def _keep(row: dict[str, Any], rows: dict[str, dict[str, Any]], state: Path) -> None:
    rows[row["net"]] = row
    with state.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _line(row: dict[str, Any]) -> str:
    facts = "".join(f"  {key} {row[key]}" for key in ("mxnet_ms", "onnx_ms", "why") if row.get(key) is not None)
    return f"{row['net']}: {row['status']}{facts}"


def _order(nets: list[ZooNet]) -> list[ZooNet]:
    """One net of each family and data set first, then their siblings, so that a sweep cut short says the most."""
    seen: set[str] = set()
    keyed = []
    for place, net in enumerate(nets):
        family = net.name.split("_")[0].rstrip("0123456789.") + net.task
        base = net.name
        for suffix in _VARIANTS:
            base = base.replace(suffix, "")
        # Nets of two stages take minutes each: behind all others.
        keyed.append((4 * ("rcnn" in net.name) + (family in seen) + (base in seen), place, net))
        seen |= {family, base}
    return [net for _, _, net in sorted(keyed, key=lambda item: item[:2])]


def _wanted(net: ZooNet, patterns: list[str]) -> bool:
    return not patterns or any(fnmatch.fnmatch(net.name, pattern) or pattern == net.task for pattern in patterns)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweep",
        description="Convert, verify and time every net of the zoo; writes docs/zoo.md and docs/zoo.json.",
        epilog="example: python -m benchmarks.sweep --only 'ssd_*' --jobs 2",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="names (shell pattern) or a task"
    )
    parser.add_argument("--jobs", type=int, default=1, help="nets at the same time; timings want 1 (default 1)")
    parser.add_argument("--seconds", type=float, default=900, help="time limit of a net (default 900)")
    parser.add_argument("--memory-gb", type=float, default=8, help="memory limit of a net (default 8)")
    parser.add_argument("--again", metavar="STATUS,...", help="run nets with these results again, such as unsupported")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--page-only", action="store_true", help="run nothing, write the page from what is there")
    parser.add_argument("--state", type=Path, default=STATE, help=f"default {STATE.relative_to(ROOT)}")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="where zoo.md and zoo.json go (default docs)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
