"""`gluon-edge demo`: every part is a real process, on the broker that is there and on the embedded one."""

import os
import subprocess
import sys
from pathlib import Path

import bundles
import cv2
import numpy as np
import psutil
import pytest

from edge.bundle.bundle import read_bundle
from edge.cameras.pattern import draw_pattern, pattern_truth
from edge.demo.demo import SHIPPED
from edge.demo.localbroker import local_broker
from edge.inference.golden import check
from edge.inference.stages import Stage

ROOT = Path(__file__).resolve().parents[2]


def _demo(*args, cwd):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    return subprocess.run(
        [sys.executable, "-m", "edge", "demo", *map(str, args)],
        cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def video(tmp_path):
    """Two seconds in which a red square moves; what colours the test detector knows is in tests/bundles.py."""
    frames = [{"red": (20 + 4 * i, 40, 40)} for i in range(30)]
    return bundles.squares_video(tmp_path / "squares.avi", frames, fps=15.0)


def test_demo_when_run_on_a_video_then_shows_events_and_leaves_pictures(detector, video, tmp_path):
    done = _demo(detector, "--source", video, "-o", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert " new " in done.stdout
    assert "status  online" in done.stdout
    assert "status  stopped" in done.stdout
    picture = cv2.imread(str(tmp_path / "out" / "annotated.jpg"))
    assert picture is not None
    clip = cv2.VideoCapture(str(tmp_path / "out" / "annotated.mp4"))
    try:
        assert clip.get(cv2.CAP_PROP_FRAME_COUNT) >= 25
    finally:
        clip.release()
    check = subprocess.run(
        [sys.executable, "-m", "edge", "config", "check", "-c", str(tmp_path / "out" / "agent.toml")],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert check.returncode == 0, check.stdout + check.stderr


def test_demo_when_nothing_is_named_then_the_shipped_net_finds_the_patterns_squares(tmp_path):
    done = _demo("--seconds", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for label in ("red", "green", "blue"):
        assert f" {label}" in done.stdout
    drawn = cv2.imread(str(tmp_path / "gluon-edge-demo" / "annotated.jpg"))
    assert drawn.shape == (480, 640, 3)


def test_shipped_bundle_when_it_looks_at_the_pattern_then_every_square_is_where_it_is_known_to_be():
    bundle = read_bundle(SHIPPED)
    stage = Stage(bundle)
    assert check(bundle, stage).ok
    assert SHIPPED.stat().st_size < 200_000
    for number, (height, width) in ((7, (480, 640)), (1001, (720, 1280)), (123_457, (240, 320))):
        found, _ = stage(draw_pattern(number, np.empty((height, width, 3), np.uint8)))
        truth = {shown.label: shown.box for shown in pattern_truth(number, width, height)}
        boxes = {bundle.labels[i]: box for i, box in zip(found.labels, found.boxes, strict=True)}
        assert boxes.keys() == truth.keys()
        for label, box in boxes.items():
            assert np.abs(box - truth[label]).max() < 0.03 * width, (number, label)


def test_demo_when_a_source_is_named_without_a_bundle_then_it_says_that_one_is_needed(tmp_path):
    done = _demo("--source", "0", cwd=tmp_path)
    assert done.returncode == 1
    assert "name one: gluon-edge demo BUNDLE" in done.stderr


def test_demo_when_there_is_no_mosquitto_then_the_embedded_broker_serves(detector, video, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with local_broker() as broker:
        assert "amqtt" in broker.kind
        config = tmp_path / "agent.toml"
        config.write_text(
            f'[model]\nbundle = "{detector}"\n[cameras.door]\nsource = "{video}"\n'
            f'[mqtt]\nbroker = "{broker.url}"\nnode = "n1"\n'
        )
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / "state")}
        with subprocess.Popen(
            [sys.executable, "-m", "edge", "watch", "--broker", broker.url, "--count", "1", "--seconds", "60"],
            env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as watch:  # fmt: skip
            assert watch.stderr is not None
            assert "listening" in watch.stderr.readline()
            agent = subprocess.run(
                [sys.executable, "-m", "edge", "run", "-c", str(config)],
                env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            out, err = watch.communicate(timeout=60)
    assert agent.returncode == 0, agent.stderr
    assert " new " in out, err


def test_demo_when_terminated_then_takes_broker_agent_and_subscriber_along(detector, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "edge", "demo", str(detector), "--source", "/dev/video99", "-o", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    ) as demo:  # fmt: skip
        assert demo.stdout is not None
        while "camera offline" not in demo.stdout.readline():
            assert demo.poll() is None
        below = psutil.Process(demo.pid).children(recursive=True)
        assert len(below) >= 3
        demo.terminate()
        assert demo.wait(30) == 143
    _, left = psutil.wait_procs(below, timeout=10)
    assert not left


def test_demo_when_a_folder_holds_more_than_pictures_then_these_are_passed_over(detector, tmp_path):
    folder = tmp_path / "p\N{GRINNING FACE}"
    folder.mkdir()
    (folder / "README.txt").write_text("no picture")
    cv2.imwrite(str(folder / "b.png"), bundles.squares_picture(96, 96, {"red": (20, 20, 40)}))
    done = _demo(detector, "--source", folder, "-o", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "agent.toml").stat().st_mode & 0o077 == 0


def test_demo_when_the_source_is_not_there_then_one_line_says_so(detector, tmp_path):
    done = _demo(detector, "--source", "missing.avi", "-o", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("gluon-edge: error: missing.avi: no such")
    assert "Traceback" not in done.stderr


def test_demo_when_the_camera_is_away_then_says_so_after_having_tried(detector, tmp_path):
    done = _demo(detector, "--source", "/dev/video99", "--seconds", "3", "-o", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "camera offline" in done.stdout
    assert done.stderr.strip().splitlines()[-1].startswith("gluon-edge: error: /dev/video99: gave no picture")
