"""`make arm64` ends here: the agent in an emulated arm64 Debian computes and publishes what it does on this machine.

`ROOT` is that Debian, with the agent installed in /opt/agent (see .ci/arm64). Compared are the golden sample of the
demo's detector, float and int8; what `predict` says of a picture; and every event of 50 frames that `run` looks at there,
with the broker and its subscriber out here. Emulation is slow: this is about results, never about speed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from benchmarks.__main__ import RESULTS, machine, table
from benchmarks.nets import ROOT as REPOSITORY
from benchmarks.nets import bundle_of, nets
from edge.bundle.bundle import read_bundle
from edge.demo.localbroker import local_broker
from edge.inference.golden import golden_image
from export.tolerances import GOLDEN

_FRAMES = 50
_SCORE, _PIXELS = GOLDEN["fp32"]["score"], GOLDEN["fp32"]["box_px"]
# A rounding that falls the other way moves an int8 net by a step.
_INT8_SCORE, _INT8_PIXELS = GOLDEN["int8"]["score"], GOLDEN["int8"]["box_px"]


class Machine:
    """Where the agent runs: here, or in the other root. `path` is how it sees a file of the shared folder."""

    def __init__(self, root: Path | None, shared: Path) -> None:
        self.root = root
        self.shared = shared

    def path(self, name: str) -> str:
        """A file of the shared folder as this machine sees it."""
        return f"/shared/{name}" if self.root is not None else str(self.shared / name)

    def edge(self, *arguments: str, timeout_s: float = 1800) -> str:
        """What a command of gluon-edge prints."""
        own = [sys.executable, "-m", "edge"]
        there = ["chroot", str(self.root), "/opt/agent/bin/gluon-edge"]
        command = [*(own if self.root is None else there), *arguments]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout_s, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: status {done.returncode}\n{done.stderr}\n{done.stdout}")
        return done.stdout

    def python(self, code: str) -> str:
        """What a line of Python prints."""
        there = ["chroot", str(self.root), "/opt/agent/bin/python"]
        command = [*([sys.executable] if self.root is None else there), "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.arm64", description=__doc__)
    parser.add_argument("root", type=Path, metavar="ROOT")
    root = parser.parse_args().root
    shared = root / "shared"
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir()
    here, there = Machine(None, shared), Machine(root, shared)
    rows = []
    for name, score, pixels in _fill(shared):
        rows.append(_golden(there, name))
        rows.append(_predict(here, there, name, score, pixels))
    with local_broker() as broker:
        rows.append(_run(here, there, broker.url))
    versions = "import platform, onnxruntime, numpy, cv2; print(platform.machine(), platform.python_version(), "
    versions += "onnxruntime.__version__, numpy.__version__, cv2.__version__)"
    found = {
        "figure": "The agent in an emulated arm64 Debian against this machine",
        "command": "make arm64",
        "machine": machine(),
        "there": dict(
            zip(("machine", "python", "onnxruntime", "numpy", "opencv"), there.python(versions).split(), strict=True)
        ),
        "rows": rows,
    }
    (RESULTS / "arm64.json").write_text(json.dumps(found, indent=2) + "\n")
    print(table(found["figure"], rows))
    return 0 if all(row["same"] for row in rows) else 1


def _fill(shared: Path) -> list[tuple[str, float, float]]:
    """Puts bundles, a picture and frames where both machines see them; names of bundles with their tolerances."""
    street = bundle_of(nets()[0])
    shutil.copytree(street.path, shared / "street")
    picture = golden_image(street)
    cv2.imwrite(str(shared / "street.png"), picture)
    frames = shared / "frames"
    frames.mkdir()
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from bundles import detection_bundle, squares_picture

    detection_bundle(shared / "squares")
    for i in range(_FRAMES):
        # One walks through, one comes and goes, one stays: visits begin, change and end.
        squares = {"red": (2 * i, 20, 40), "green": (100, 70, 32)} | ({"blue": (20, 70, 36)} if i % 20 < 10 else {})
        cv2.imwrite(str(frames / f"{i:03}.png"), squares_picture(160, 120, squares))
    found = [("street", _SCORE, _PIXELS)]
    int8 = REPOSITORY / "build" / "demo" / "street_ssd-int8"
    if (int8 / "manifest.json").is_file():
        shutil.copytree(read_bundle(int8).path, shared / "street-int8")
        found.append(("street-int8", _INT8_SCORE, _INT8_PIXELS))
    return found


def _golden(there: Machine, name: str) -> dict[str, Any]:
    """`bundle test` fails by itself when the golden sample does not come out."""
    found = json.loads(there.edge("bundle", "test", there.path(name), "--json"))
    return _row(f"bundle test {name}", found["compared"], found["ok"], found["worst_score"], found["worst_box_px"])


def _predict(here: Machine, there: Machine, name: str, score: float, pixels: float) -> dict[str, Any]:
    one, other = (
        json.loads(m.edge("predict", m.path(name), m.path("street.png"), "--json"))["results"] for m in (here, there)
    )
    return _compare(f"predict {name}", one, other, score, pixels)


def _compare(
    what: str, one: Sequence[dict[str, Any]], other: Sequence[dict[str, Any]], score: float, pixels: float
) -> dict[str, Any]:
    alike = len(one) == len(other) > 0 and all(a["label"] == b["label"] for a, b in zip(one, other, strict=True))
    pairs = list(zip(one, other, strict=False))
    off = max((abs(a["score"] - b["score"]) for a, b in pairs), default=0.0)
    box = max((abs(x - y) for a, b in pairs for x, y in zip(a["box"], b["box"], strict=True)), default=0.0)
    return _row(what, len(other), alike and off <= score and box <= pixels, off, box)


def _run(here: Machine, there: Machine, broker: str) -> dict[str, Any]:
    """Every event of the frames, whose visits end and change at once so that speed does not matter."""
    told = []
    for machine_, node in ((here, "here"), (there, "there")):
        config = (
            f'state_dir = "{machine_.path("state-" + node)}"\n[model]\nbundle = "{machine_.path("squares")}"\nthreads = 1\n'
            f'[cameras.street]\nsource = "{machine_.path("frames")}/"\npace = "fast"\n'
            f'[events]\nhold_s = 0\ncooldown_s = 0\n[mqtt]\nbroker = "{broker}"\nnode = "{node}"\n'
        )
        (machine_.shared / f"{node}.toml").write_text(config)
        told.append(_events(machine_, node, broker))
    counted = [_frames_inferred(e) for e in told]
    plain = [[_plain(e) for e in events if e["schema"] == "event/1.0"] for events in told]
    score = max((abs(a["score"] - b["score"]) for a, b in zip(*plain, strict=False)), default=0.0)
    box = max(
        (abs(x - y) for a, b in zip(*plain, strict=False) for x, y in zip(a["box"], b["box"], strict=True)), default=0
    )
    same = [[{k: v for k, v in e.items() if k not in {"score", "box"}} for e in events] for events in plain]
    ok = same[0] == same[1] != [] and score <= _SCORE and box <= 1e-4 and counted == [_FRAMES, _FRAMES]
    return _row(f"run, {counted[1]} frames, broker outside", len(plain[1]), ok, score, box * 160)


def _events(where: Machine, node: str, broker: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryFile("w+") as heard:
        watch = subprocess.Popen(
            [sys.executable, "-m", "edge", "watch", "--broker", broker, "--topic", f"edge/{node}/#", "--json"],
            cwd=REPOSITORY,
            stdout=heard,
            stderr=subprocess.DEVNULL,
        )
        try:
            time.sleep(3)
            where.edge("run", "-c", where.path(f"{node}.toml"))
            time.sleep(2)
        finally:
            watch.terminate()
            watch.wait(10)
        heard.seek(0)
        lines = [json.loads(line) for line in heard if line.startswith("{")]
    return [p for line in lines if isinstance(p := line.get("payload", line), dict) and "schema" in p]


def _plain(event: dict[str, Any]) -> dict[str, Any]:
    """What of an event does not tell when and where it was made."""
    found = {k: event["object"][k] for k in ("label", "score", "box", "count")}
    return {**found, "type": event["type"], "frame": event["frame"]["id"], "seq": event["seq"]}


def _frames_inferred(told: Sequence[dict[str, Any]]) -> int:
    """What is in view at the end leaves with the last frame."""
    return max((p["frame"]["id"] + 1 for p in told if p["schema"] == "event/1.0"), default=0)


def _row(what: str, compared: int, same: bool, score: float, pixels: float) -> dict[str, Any]:
    return {
        "what": what,
        "compared": compared,
        "same": same,
        "score_off_by": float(f"{score:.2g}"),
        "box_off_by_px": float(f"{pixels:.2g}"),
    }


if __name__ == "__main__":
    sys.exit(main())
