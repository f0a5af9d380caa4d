# ruff: noqa: T201  (a command)
"""`python -m tests.fuzz.run TARGET|all --minutes 30`: run fuzz targets for long; what breaks one is kept to be run again."""

from __future__ import annotations

import argparse
import hashlib
import random
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path

from export.progress import Bar
from tests.fuzz.damage import damaged
from tests.fuzz.targets import ROOT, TARGETS

KEPT = ROOT / "build" / "fuzz"
SECONDS = 5.0  # more for one input counts as a hang
MEMORY = 6 << 30


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--minutes", type=float, default=10, help="for each target (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run one kept input")
    args = parser.parse_args()
    # An input that makes a parser allocate without bounds must fail, not take the machine with it.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("error")
    if args.again:
        print(judge(args.target, args.again.read_bytes()) or "holds")
        return 0
    bad = 0
    for name in TARGETS if args.target == "all" else [args.target]:
        bad += fuzz(name, args.minutes * 60, args.seed or time.time_ns())
    return 1 if bad else 0


def fuzz(name: str, seconds: float, seed: int) -> int:
    """Run one target; the number of inputs that it did not stand."""
    rng = random.Random(seed)
    seeds = TARGETS[name].seeds()
    started, tried, bad = time.monotonic(), 0, 0
    with Bar() as progress:
        while (passed := time.monotonic() - started) < seconds:
            data = damaged(rng.choice(seeds), rng)
            tried += 1
            if tried % 50 == 0:
                progress(f"{name} (seed {seed})", int(passed), int(seconds))
            why = judge(name, data)
            if why:
                bad += 1
                KEPT.mkdir(parents=True, exist_ok=True)
                path = KEPT / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
                path.write_bytes(data)
                print(f"{path}: {why}", file=sys.stderr)
    print(f"{name}: {tried} inputs, {bad} not stood, seed {seed}", file=sys.stderr)
    return bad


def judge(name: str, data: bytes) -> str:
    """Why the target did not stand this input; empty when it did."""
    target = TARGETS[name]
    started = time.process_time()
    try:
        target.run(data)
    except target.allowed as exc:
        if not str(exc) or len(str(exc)) > 20_000:
            return f"a message of {len(str(exc))} characters"
    except Exception as exc:  # noqa: BLE001  (anything else is what fuzzing looks for)
        where = traceback.extract_tb(exc.__traceback__)[-1]
        return f"{type(exc).__name__}: {str(exc)[:200]} ({where.filename}:{where.lineno})"
    passed = time.process_time() - started
    return f"took {passed:.1f} s" if passed > SECONDS else ""


if __name__ == "__main__":
    sys.exit(main())
