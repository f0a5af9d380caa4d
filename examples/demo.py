"""`make demo`: a trained GluonCV SSD becomes detections over MQTT, one real command after the other.

    python examples/demo.py [--camera 0|/dev/video0|rtsp://...] [--seconds N]

Every step is a command that you can run yourself; it is printed before it runs. What it makes stays in build/demo.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

from video import HELD_OUT_FROM, extract, street_video

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "examples" / "street_ssd"
BUILD = ROOT / "build" / "demo"
BIN = Path(sys.executable).parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--camera", help="a real camera instead of the video: an index, a device or a URL")
    parser.add_argument("--seconds", type=float, help="how long a camera is watched (default 30)")
    args = parser.parse_args()
    start = time.monotonic()

    step("A real street video, and pictures from it to calibrate and to measure on")
    video = street_video(BUILD)
    total = 795 if video.name == "vtest.avi" else 250
    calibration = extract(
        video, list(range(0, HELD_OUT_FROM if total == 795 else total, 12)), BUILD / "calibration", "calib"
    )
    if not calibration:
        raise SystemExit(f"{video}: no frame can be read from it; delete it and run again")
    print(f"    {video.relative_to(ROOT)}, {len(calibration)} pictures for calibration")
    float_bundle, int8_bundle = BUILD / "street_ssd", BUILD / "street_ssd-int8"

    step("Convert: MXNet's symbol and weights -> ONNX, without MXNet")
    run(
        "gluon-export", "convert", "--symbol", MODEL / "street_ssd-symbol.json", "--params", MODEL / "street_ssd-0000.params",
        "--task", "detection", "--input", "288x384", "--labels", MODEL / "labels.txt",
        "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225", "--name", "street_ssd",
        "--golden", calibration[-1], "-o", float_bundle,
    )  # fmt: skip

    step("Verify: the ONNX graph against MXNet itself, same weights, same pictures")
    run("gluon-export", "verify", float_bundle, "--images", BUILD / "calibration")

    step("Quantize to int8, and prove what was kept")
    data = []
    if total == 795:
        labels = MODEL / "heldout.json"
        extract(video, held_out(labels), BUILD / "heldout", "vtest")
        data = ["--data", f"coco:{labels.relative_to(ROOT)}:{(BUILD / 'heldout').relative_to(ROOT)}"]
    run(
        "gluon-export", "quantize", float_bundle, "--calibration", BUILD / "calibration", *data,
        "--max-drop", "0.02", "-o", int8_bundle,
    )  # fmt: skip

    step("Run: a broker, the agent on the " + ("camera" if args.camera else "video") + ", and a subscriber")
    source = ["--source", args.camera] if args.camera else ["--source", video]
    if not args.camera and total == 795:
        source += ["--start", str(HELD_OUT_FROM / 10)]  # the part the model never saw; vtest.avi has 10 frames a second
    seconds = ["--seconds", str(args.seconds or 30)] if args.camera or args.seconds else []
    run("gluon-edge", "demo", int8_bundle, *source, *seconds, "-o", BUILD / "out")

    print(f"\nDone in {time.monotonic() - start:.0f} s. Now yours: see 'Quick starts' in README.md.")
    return 0


def held_out(labels: Path) -> list[int]:
    """The frame numbers that the held-out labels are about."""
    import json

    return [int(Path(image["file_name"]).stem.split("_")[1]) for image in json.loads(labels.read_text())["images"]]


def step(text: str) -> None:
    """Announce a step."""
    step.number += 1  # type: ignore[attr-defined]
    print(f"\n\033[1m{step.number}. {text}\033[0m" if sys.stdout.isatty() else f"\n{step.number}. {text}", flush=True)  # type: ignore[attr-defined]


step.number = 0  # type: ignore[attr-defined]


def run(command: str, *args: object) -> None:
    """Print a command as a user would type it, and run it; a failure ends the demo."""
    words = [str(a.relative_to(ROOT)) if isinstance(a, Path) and a.is_relative_to(ROOT) else str(a) for a in args]
    print(f"    $ {shlex.join([command, *words])}", flush=True)
    done = subprocess.run([str(BIN / command), *words], cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SystemExit(done.returncode)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
