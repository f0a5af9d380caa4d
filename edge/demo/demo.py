"""`gluon-edge demo`: a broker, the agent and a subscriber at once, each a real process; then pictures of what was seen."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge.bundle.bundle import read_bundle
from edge.cameras.pattern import draw_pattern
from edge.config import CameraConfig
from edge.demo.localbroker import local_broker
from edge.draw import draw
from edge.errors import CameraError, EdgeError, TransportError
from edge.frame import Image
from edge.inference.stages import Stage
from edge.results import Detections
from edge.secret import redact

__all__ = ["SHIPPED", "DemoOptions", "demo"]

SHIPPED = Path(__file__).with_name("pattern_ssd.zip")
"""A tiny detector of the pattern camera's squares, and of nothing else: examples/pattern_ssd says how it was trained."""

_PATTERN = "pattern"

_CLIP_FRAMES = 120
_CLIP_HEIGHT = 480


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What to show: a bundle on a source (a file, an index, a device or a URL), and where the pictures go.

    `start_s` skips into a file; `seconds` ends a source that does not end by itself.
    """

    bundle: Path
    source: str
    out: Path
    start_s: float = 0.0
    seconds: float | None = None


def demo(options: DemoOptions) -> int:
    """Run it; returns the exit code.

    Raises:
        EdgeError: when the bundle, the source or every broker is unusable.
    """
    # Terminated, it must take broker, agent and subscriber along: as an exception it passes every `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    stage = Stage(read_bundle(options.bundle))
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise EdgeError(f"{options.out}: {e.strerror}; choose another -o") from e
    with local_broker() as broker:
        config = _write_config(options, broker.url)
        print(f"    broker: {broker.kind} at {broker.url}; agent: gluon-edge run -c {config}")
        print("    what a subscriber sees (gluon-edge watch):", flush=True)
        log = options.out / "agent.log"
        with _subscriber(broker.url) as watching, log.open("wb") as errors:
            agent = subprocess.Popen([*_SELF, "run", "-c", str(config)], stderr=errors)  # noqa: S603
            try:
                _wait(agent, watching, log, options.seconds)
            finally:
                code = _end(agent, 20)
    if code != 0:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise EdgeError(f"the agent ended with {code}: {last[0] if last else 'it said nothing'}; its log is {log}")
    pictures = _pictures(options, stage)
    if not pictures:
        raise CameraError(f"{redact(options.source)}: gave no picture, so nothing could be seen; the log is {log}")
    for path in pictures:
        print(f"    drawn: {path}")
    return 0


_SELF = (sys.executable, "-m", "edge")


def _write_config(options: DemoOptions, broker: str) -> Path:
    """A configuration that its reader can go on with."""
    source = int(options.source) if options.source.isdecimal() else options.source
    path = Path(options.source)
    if isinstance(source, str) and "://" not in source and not source.startswith("/dev/") and source != _PATTERN:
        if not path.exists():
            raise CameraError(f"{path}: no such video, folder or camera")
        source = str(path.resolve())
    lines = [
        "# Written by 'gluon-edge demo'; see docs/configuration.md for everything that can stand here.",
        f"state_dir = {_toml(str((options.out / 'state').resolve()))}",
        "",
        "[model]",
        f"bundle = {_toml(str(options.bundle.resolve()))}",
        "",
        "[cameras.street]",
        f"source = {source if isinstance(source, int) else _toml(source)}",
        *([f"start_s = {options.start_s}"] if options.start_s else []),
        "",
        "[mqtt]",
        f"broker = {_toml(broker)}  # the demo's own, which ends with it",
        'node = "demo"',
        "",
    ]
    config = options.out / "agent.toml"
    config.touch(mode=0o600)
    config.chmod(0o600)  # a camera's URL may hold a password
    config.write_text("\n".join(lines), encoding="utf-8")
    return config


def _toml(text: str) -> str:
    """A TOML basic string, which JSON's is too as long as it is not ASCII-only."""
    return json.dumps(text, ensure_ascii=False)


@contextmanager
def _subscriber(url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*_SELF, "watch", "--broker", url], stdout=None)  # noqa: S603
    try:
        yield process
        time.sleep(0.5)  # what was acknowledged last is still on its way to the subscriber
    finally:
        _end(process, 10)


def _end(process: subprocess.Popen[bytes], seconds: float) -> int:
    process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _wait(agent: subprocess.Popen[bytes], watching: subprocess.Popen[bytes], log: Path, seconds: float | None) -> None:
    deadline = None
    while agent.poll() is None and (deadline is None or time.monotonic() < deadline):
        if watching.poll() is not None:
            raise TransportError("the subscriber ended before the agent did")
        # The time counts from the agent's first word: loading libraries and a model is not watching.
        if deadline is None and seconds is not None and log.stat().st_size:
            deadline = time.monotonic() + seconds
        time.sleep(0.1)


def _pictures(options: DemoOptions, stage: Stage) -> list[Path]:
    """A clip with everything that the model sees drawn in, and the frame with most objects as a picture."""
    frames = _frames(options)
    if not frames:
        return []
    best: tuple[int, Image] | None = None
    clip = options.out / "annotated.mp4"
    height, width = frames[0].shape[:2]
    size = (round(width * _CLIP_HEIGHT / height) // 2 * 2, _CLIP_HEIGHT)
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, size)
    try:
        for frame in frames:
            result, _ = stage(frame)
            drawn = draw(frame, result, stage.bundle.labels)
            found = len(result.scores) if isinstance(result, Detections) else 1
            if best is None or found > best[0]:
                best = (found, drawn)
            writer.write(cv2.resize(drawn, size))
    finally:
        writer.release()
    assert best is not None  # noqa: S101  there is at least one frame
    picture = options.out / "annotated.jpg"
    cv2.imwrite(str(picture), best[1])
    return [picture, clip]


def _frames(options: DemoOptions) -> list[Image]:
    camera = CameraConfig(source=int(options.source) if options.source.isdecimal() else options.source)
    if camera.inferred_kind == "pattern":
        return [draw_pattern(number, np.empty((480, 640, 3), np.uint8)) for number in range(_CLIP_FRAMES)]
    if camera.inferred_kind == "images":
        paths = sorted(Path(options.source).iterdir()) if Path(options.source).is_dir() else [Path(options.source)]
        read = [image for p in paths if p.is_file() and (image := cv2.imread(str(p))) is not None][:_CLIP_FRAMES]
        return [np.asarray(image, np.uint8) for image in read if image.shape == read[0].shape]
    capture = cv2.VideoCapture(camera.source if isinstance(camera.source, int) else str(camera.source))
    frames: list[Image] = []
    try:
        if options.start_s:
            capture.set(cv2.CAP_PROP_POS_MSEC, options.start_s * 1000)
        while len(frames) < _CLIP_FRAMES:
            ok, frame = capture.read()
            if not ok:
                break
            frames.append(np.asarray(frame, np.uint8))
    finally:
        capture.release()
    return frames
