"""`gluon-edge tune` and `bench`: how fast a model runs here, and how it runs fastest."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.verbs.verb import add_command, add_config, add_json, add_session, fail, number

if TYPE_CHECKING:
    from edge.tuning.tune import Trial
    from edge.verbs.verb import Commands

__all__ = ["add"]


def add(commands: "Commands") -> None:
    """The words of both."""
    text = "Find the fastest provider, threads and precision on this device, and keep them for run."
    sub = add_command(commands, "tune", tune, text, "ssd.zip ssd-int8.zip --latency-ms 50")
    sub.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="bundles of one model: float, int8, sizes")
    sub.add_argument(
        "--seconds", type=number(float, 1.0, 3600.0), default=60.0, metavar="S", help="how long to try (default: 60)"
    )
    sub.add_argument(
        "--latency-ms",
        type=number(float, 0.0),
        metavar="MS",
        help="of the ways that are this fast, keep the one that costs least CPU",
    )
    sub.add_argument(
        "--cpu-ms",
        type=number(float, 0.0),
        metavar="MS",
        help="of the ways that cost no more CPU a frame, which stands for power, keep the fastest",
    )
    add_config(sub, required=False)
    add_json(sub)

    text = "How many frames a second, where the time goes, and what it costs."
    sub = add_command(commands, "bench", bench, text, "ssd.zip --source street.mp4")
    sub.add_argument("bundle", type=Path, metavar="BUNDLE", help="a bundle's folder or zip")
    sub.add_argument("--source", metavar="FILE", help="a video or a folder of images (default: the golden picture)")
    sub.add_argument(
        "--size",
        type=_size,
        default=(1280, 720),
        metavar="WxH",
        help="of the golden picture's JPEG (default: 1280x720)",
    )
    sub.add_argument(
        "--seconds", type=number(float, 0.1, 3600.0), default=10.0, metavar="S", help="how long (default: 10)"
    )
    add_config(sub, required=False)
    add_json(sub)
    add_session(sub, provider=None)


def tune(args: argparse.Namespace) -> int:
    """The fastest way to run a model here, kept for `run`."""
    from edge.bundle.bundle import read_bundle
    from edge.inference.tuned import hardware, remember, versions
    from edge.tuning.tune import Goal
    from edge.tuning.tune import tune as try_all

    bundles = [read_bundle(path) for path in args.bundles]
    folder = _state_dir(args.config)
    found = try_all(
        bundles,
        goal=Goal(args.latency_ms, args.cpu_ms),
        seconds=args.seconds,
        cache_dir=folder / "compiled",
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    kept = [str(remember(folder, tuned)) for tuned in found.tuned]
    best = found.best
    if args.json:
        document = {
            "hardware": hardware(),
            "versions": versions(),
            "trials": [t.row() for t in found.trials],
            "best": None if best is None else best.row(),
            "kept": kept,
        }
        print(json.dumps(document))
    else:
        print(_table([_tune_row(t) for t in found.trials]))
        if best is not None:
            print(f"\nbest: {best.bundle} on {best.provider} with {best.threads} threads: {best.p50_ms:.1f} ms a frame")
            print(f"kept in {', '.join(kept)}; 'gluon-edge run' uses it where [model] names no providers")
    return 0 if best is not None else fail("no way keeps to the budget and to the golden sample")


def bench(args: argparse.Namespace) -> int:
    """Frames a second, and where the time goes."""
    from edge.bundle.bundle import read_bundle
    from edge.config import ModelConfig
    from edge.inference.session import SessionOptions
    from edge.inference.stages import Stage
    from edge.inference.tuned import options_for
    from edge.tuning.bench import bench as measure

    bundle = read_bundle(args.bundle)
    if args.provider is None:
        model = ModelConfig(bundle=args.bundle, threads=args.threads)
        options = options_for(bundle, model, _state_dir(args.config))
    else:
        options = SessionOptions((args.provider,), args.threads)
    start = time.perf_counter()
    stage = Stage(bundle, options)
    found = measure(stage, seconds=args.seconds, source=args.source, size=args.size, load_s=time.perf_counter() - start)
    if args.json:
        print(json.dumps(found))
        return 0
    print(f"{found['model']} ({found['precision']}) on {found['provider']}, {found['threads']} threads")
    for provider, why in found["fell_away"].items():
        print(f"{provider} fell away: {why}")
    ranks = {name: values for name, values in found["latency_ms"].items() if values}
    print(_table([{"stage, ms": name, **{k: f"{v:.2f}" for k, v in values.items()}} for name, values in ranks.items()]))
    memory = found["memory_mb"]
    print(
        f"{found['fps']:.1f} frames a second one after the other, {found['infer_fps']:.1f} by the model alone; "
        f"{found['cpu_ms_a_frame']:.1f} ms of CPU a frame, {found['cores_busy']:.2f} cores busy; "
        f"{memory['now']:.0f} MB of memory, {memory['most']:.0f} at most; loaded in {found['load_s']:.1f} s"
    )
    return 0


def _state_dir(config: Path | None) -> Path:
    """The state folder of the agent of that configuration, else of the user."""
    from edge.config.file import load_config
    from edge.config.state import default_state_dir

    return load_config(config).state_folder if config is not None else default_state_dir()


def _tune_row(trial: "Trial") -> dict[str, Any]:
    measured = trial.p50_ms > 0
    return {
        "bundle": trial.bundle.name,
        "input": trial.size,
        "types": trial.types,
        "provider": trial.provider,
        "precision": trial.precision,
        "threads": trial.threads,
        "p50 ms": f"{trial.p50_ms:.1f}" if measured else "",
        "p90 ms": f"{trial.p90_ms:.1f}" if measured else "",
        "CPU ms": f"{trial.cpu_ms:.1f}" if measured else "",
        "score off by": f"{trial.worst_score:.2g}" if measured else "",
        "": trial.reason or "",
    }


def _table(rows: list[dict[str, Any]]) -> str:
    """Rows under their keys, in columns."""
    if not rows:
        return ""
    lines = [list(rows[0]), *([str(v) for v in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and 1 <= int(width) <= 16_384 and 1 <= int(height) <= 16_384):
        raise argparse.ArgumentTypeError(f"{text!r} is not a width and a height, such as 1280x720")
    return int(width), int(height)
