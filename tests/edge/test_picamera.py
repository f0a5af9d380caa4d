"""The Raspberry Pi's camera against a double of picamera2, and the double against the real package's signatures."""

import ast
import inspect
import os
import subprocess
import sys
import time
import zipfile
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from camera_parts import opening, reading, settings_of, until

from edge.cameras import open_camera
from edge.cameras.privacy import Masked
from edge.cameras.ring import SLOTS
from edge.cameras.source import source_for
from edge.errors import CameraError
from edge.reporting.snapshots import Snapshots

DOUBLES = Path(__file__).resolve().parents[1] / "doubles"
USED = {
    "Picamera2": [
        *("__init__", "create_video_configuration", "configure", "camera_configuration", "start", "stop", "close"),
        *("capture_request", "wait", "cancel_all_and_flush"),
    ],
    "CompletedRequest": ["acquire", "release", "get_metadata", "make_array"],
}


@pytest.fixture
def picamera2(monkeypatch):
    monkeypatch.syspath_prepend(str(DOUBLES))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(DOUBLES), os.environ.get("PYTHONPATH")])))
    import picamera2

    yield picamera2
    sys.modules.pop("picamera2")
    sys.modules.pop("libcamera")


def red_left(image):
    xs = np.nonzero((image[:, :, 2] > 150) & (image[:, :, 1] < 120))[1]
    return int(xs.min()) if len(xs) else None


@pytest.mark.usefixtures("picamera2")
def test_picamera_when_it_runs_then_pictures_are_upright_unpadded_and_timed_by_the_sensor():
    camera = open_camera(opening("picamera", width=200, height=120, fps=100))
    seen = []
    for _ in range(5):
        taken_ns = camera.grab()
        age_s = (time.monotonic_ns() - taken_ns) / 1e9
        assert -0.001 < age_s < 0.2
        seen.append(camera.retrieve())
    camera.close()

    assert {s.shape for s in seen} == {(120, 200, 3)}
    lefts = [red_left(s) for s in seen]
    assert all(later > before for before, later in pairwise(lefts)), lefts
    assert abs(int(seen[0][60:, 100:].max()) - 100) < 25, "grey, and nothing of the padding"


def test_picamera_when_many_frames_are_read_then_no_buffer_is_kept(picamera2, monkeypatch):
    made = []
    real = picamera2.Picamera2
    monkeypatch.setattr(picamera2, "Picamera2", lambda number: made.append(real(number)) or made[-1])
    camera = open_camera(opening("picamera", width=64, height=64, fps=200))
    for _ in range(30):
        assert camera.grab() is not None
    time.sleep(0.05)
    (device,) = made
    assert device.camera_config["buffer_count"] == 3
    assert (len(device.free), device.starved) == (3, 0)
    camera.close()
    camera.close()
    assert not device.is_open


def test_picamera_when_pictures_stop_then_it_says_so_in_time_and_can_be_opened_again(picamera2, monkeypatch):
    made = []
    real = picamera2.Picamera2
    monkeypatch.setattr(picamera2, "Picamera2", lambda number: made.append(real(number)) or made[-1])
    camera = open_camera(opening("picamera", width=64, height=64, read_timeout_s=0.2))
    camera.grab()
    made[0].frozen = True
    with pytest.raises(CameraError, match="picamera:0: gives no pictures; is its cable loose"):
        [camera.grab() for _ in range(3)]
    camera.close()

    again = open_camera(opening("picamera", width=64, height=64))
    assert again.grab() is not None
    again.close()


@pytest.mark.usefixtures("picamera2")
@pytest.mark.parametrize(
    ("source", "size", "message"),
    [
        ("picamera:7", (64, 64), "picamera:7: No camera number 7 found"),
        ("picamera", (63, 64), "picamera:0: width and height should be even"),
    ],
)
def test_picamera_when_it_cannot_be_opened_then_the_reason_is_told_and_it_is_given_back(source, size, message):
    width, height = size
    with pytest.raises(CameraError, match=message):
        open_camera(opening(source, width=width, height=height))
    open_camera(opening("picamera")).close()


@pytest.mark.usefixtures("picamera2")
def test_picamera_when_it_is_taken_then_it_says_so():
    camera = open_camera(opening("picamera"))
    with pytest.raises(CameraError, match="did not complete"):
        open_camera(opening("picamera"))
    camera.close()


def test_picamera_when_picamera2_is_not_installed_then_it_says_what_to_install():
    with pytest.raises(CameraError, match="sudo apt-get install python3-picamera2"):
        open_camera(opening("picamera"))


@pytest.mark.usefixtures("picamera2")
def test_picamera_when_the_agent_reads_it_then_it_runs_in_the_readers_process():
    with reading("picamera", width=200, height=120, fps=50) as (slots, watcher):
        until(lambda: watcher.frames > 5)
        frame = slots.take(5)
    assert frame.image.shape == (120, 200, 3)
    assert red_left(frame.image) is not None


LARGE = {"width": 200, "height": 120, "snapshot_width": 1280, "snapshot_height": 720}


def test_picamera_when_snapshots_have_a_size_then_the_main_stream_gives_them_and_models_get_the_small_one(
    picamera2, monkeypatch
):
    made = []
    real = picamera2.Picamera2
    monkeypatch.setattr(picamera2, "Picamera2", lambda number: made.append(real(number)) or made[-1])
    camera = open_camera(opening("picamera", fps=100, **LARGE))
    camera.grab()
    small, large = camera.retrieve(), camera.large()
    time.sleep(0.05)
    (device,) = made
    config = device.camera_config
    assert (len(device.free), device.starved) == (3, 0), "both were copied, and the buffer went back"
    camera.close()

    assert small.shape == (120, 200, 3)
    assert large.shape == (1080, 1280)
    assert abs(red_left(cv2.cvtColor(large, cv2.COLOR_YUV2BGR_I420)) - red_left(small)) <= 2, "the same moment"
    assert (config["main"]["size"], config["lores"]["size"]) == ((1280, 720), (200, 120))
    assert config["colour_space"].name == "Smpte170m", "which a large main stream would not be by itself"


@pytest.mark.usefixtures("picamera2")
@pytest.mark.parametrize("privacy", [(), (((0, 0), (1, 0), (1, 1), (0, 1)),)])
def test_snapshot_when_the_camera_gives_two_sizes_then_it_is_the_large_one_masked_and_the_readers_memory_goes_back(
    privacy,
):
    settings = settings_of("picamera", fps=50, **LARGE)
    source = Masked(source_for(settings), privacy) if privacy else source_for(settings)
    sent = []
    snapshots = Snapshots(
        ["cam"], sent.append, lambda *levels: "/".join(levels), on=("new",), max_bytes=131_000, every_s=0, retain=False
    )
    snapshots.start()
    with reading("picamera", opener=source, fps=50, **LARGE) as (slots, watcher):
        frame = slots.take(30)
        assert frame.image.shape == (120, 200, 3)
        snapshots.changed(frame, "new", "red")
        until(lambda: sent)
        del frame
        frames = watcher.frames
        until(lambda: watcher.frames > frames + 2 * SLOTS)
    assert snapshots.stop(5)

    picture = cv2.imdecode(np.frombuffer(sent[0].body, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (720, 1280, 3)
    assert (picture.max() < 10) if privacy else (red_left(picture) is not None)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The real package, fetched without its dependencies: it is read, not imported, since it needs libcamera."""
    folder = tmp_path_factory.mktemp("picamera2")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    try:
        subprocess.run(
            [*command, "--retries", "1", "--timeout", "10", "--dest", folder, "picamera2"],
            check=True,
            capture_output=True,
            timeout=60,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as e:
        pytest.skip(f"no package index gives picamera2: {e}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        sources = [archive.read(f"picamera2/{name}.py").decode() for name in ("picamera2", "request")]
    return {
        node.name: {f.name: f for f in node.body if isinstance(f, ast.FunctionDef)}  # the last of the overloads
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    }


@pytest.mark.parametrize(("kind", "method"), [(k, m) for k, methods in USED.items() for m in methods])
def test_double_when_compared_with_the_real_package_then_its_signatures_are_the_same(picamera2, real, kind, method):
    function = real[kind][method]
    names = [a.arg for a in function.args.args]
    values = [None] * (len(names) - len(function.args.defaults)) + [ast.unparse(d) for d in function.args.defaults]
    own = inspect.signature(getattr(getattr(picamera2, kind), method)).parameters.values()

    assert [p.name for p in own] == names
    for parameter, value in zip(own, values, strict=True):
        given = None if parameter.default is parameter.empty else repr(parameter.default)
        assert value in {given, "libcamera.Transform()"}, parameter.name
