"""Where pictures come from that are not plain files: JPEGs that may be cut, the pattern, GStreamer's pipelines."""

import shutil
import subprocess

import cv2
import numpy as np
import psutil
import pytest
from camera_parts import opening, reading, settings_of, until
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.cameras import open_camera
from edge.cameras.jpeg import decode_jpeg
from edge.cameras.pattern import draw_pattern, pattern_truth
from edge.errors import CameraError

needs_gstreamer = pytest.mark.skipif(
    shutil.which("gst-launch-1.0") is None
    or subprocess.run(["gst-inspect-1.0", "y4menc"], capture_output=True, check=False).returncode != 0,
    reason="GStreamer is not here: sudo apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good",
)
# PyPI's wheel has no GStreamer, a distribution's OpenCV has (python3-opencv): then that runs the pipelines.
IN_OPENCV = cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER)


def jpeg(picture, *options):
    return cv2.imencode(".jpg", picture, list(options))[1].tobytes()


def decode(data, into=None):
    return decode_jpeg(np.frombuffer(data, np.uint8), into)


def picture(kind, seed=0, shape=(120, 168, 3)):
    if kind == "noise":
        return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)
    if kind == "flat":
        return np.full(shape, 128, np.uint8)
    return draw_pattern(seed, np.empty(shape, np.uint8))


OPTIONS = [(), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4), (cv2.IMWRITE_JPEG_QUALITY, 30), (cv2.IMWRITE_JPEG_OPTIMIZE, 1)]


@pytest.mark.parametrize("kind", ["noise", "flat", "pattern"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", [(120, 168, 3), (121, 163, 3), (16, 16, 3)])
def test_jpeg_when_it_is_whole_then_it_is_decoded_into_what_is_given(kind, options, shape):
    data = jpeg(picture(kind, shape=shape), *options)
    target = np.empty(shape, np.uint8)

    assert decode(data, target) is target
    assert np.array_equal(target, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
    assert np.array_equal(decode(data + b"\0" * 100), target), "USB cameras fill their buffers up"
    assert decode(data, np.empty((8, 8, 3), np.uint8)).shape == shape


@given(
    st.sampled_from(["noise", "flat", "pattern"]), st.integers(0, 50), st.floats(0.4, 0.97), st.sampled_from(OPTIONS)
)
@settings(deadline=None, max_examples=60)
def test_jpeg_when_it_is_cut_anywhere_then_it_is_refused_or_nothing_is_missing(kind, seed, where, options):
    data = jpeg(picture(kind, seed), *options)
    scan = data.index(b"\xff\xda")
    cut = data[: scan + 14 + int((len(data) - scan - 14) * where) - 2]
    if len(data) - len(cut) < 12:
        return  # the bits of the last blocks, which may be filling
    for short in (cut, cut + b"\xff\xd9"):
        try:
            image = decode(short)
        except CameraError:
            continue
        # One colour, coded with nothing but that: what is missing and what a decoder makes of it are the same.
        assert kind == "flat"
        assert np.array_equal(image, decode(data))


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=100)
def test_jpeg_when_bytes_are_foreign_then_they_are_refused(data):
    with pytest.raises(CameraError):
        decode(b"\xff\xd8" + data + b"\xff\xd9")


def test_pattern_when_it_is_read_then_what_it_shows_is_where_the_truth_says():
    camera = open_camera(opening("pattern:40", width=320, height=240, pace="fast"))
    colours = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}
    number = 0
    while camera.grab() is not None:
        image = camera.retrieve()
        assert np.array_equal(image, draw_pattern(number, np.empty_like(image)))
        for shown in pattern_truth(number, 320, 240):
            ys, xs = np.nonzero((image == colours[shown.label]).all(2))
            assert (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1) == shown.box
        number += 1

    assert number == 40


@given(st.integers(0, 1 << 40), st.integers(16, 700), st.integers(16, 700))
def test_pattern_when_it_has_any_size_then_its_squares_lie_inside(number, width, height):
    for shown in pattern_truth(number, width, height):
        x1, y1, x2, y2 = shown.box
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height


def test_pattern_when_frames_follow_then_no_two_are_the_same():
    images = {draw_pattern(n, np.empty((48, 64, 3), np.uint8)).tobytes() for n in range(300)}
    assert len(images) == 300


def test_pattern_when_native_then_it_has_a_cameras_pace_and_ends():
    with reading("pattern:20", fps=50) as (_, watcher):
        until(lambda: watcher.state == "offline")
    assert watcher.frames == 20


@needs_gstreamer
def test_gstreamer_when_a_pipeline_runs_then_its_pictures_come_with_the_right_colours():
    caps = "video/x-raw,width=320,height=240,framerate=30/1"
    with reading(f"videotestsrc is-live=true ! {caps}") as (slots, watcher):
        until(lambda: watcher.frames > 2, 20)
        image = slots.take(5).image
    assert image.shape == (240, 320, 3)
    assert np.abs(image[20:100, 60:80].astype(int) - (0, 255, 255)).max() < 8, "SMPTE's second bar is yellow"
    assert not [p for p in psutil.process_iter(["name"]) if p.info["name"] == "gst-launch-1.0" and p.ppid() == 1]


@needs_gstreamer
@pytest.mark.skipif(IN_OPENCV, reason="this OpenCV runs pipelines itself")
@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("nosuchsource ! identity", 'no element "nosuchsource"'),
        ("videotestsrc num-buffers=0 ! identity", "has ended|not raw pictures"),
        ("videotestsrc ! video/x-raw,width=321,height=240", "sides have to be even"),
        ("videotestsrc ! 'video/x-raw", "No closing quotation"),
        ("v4l2src device=/dev/video199 ! identity", "Cannot identify device|Could not open|has ended"),
    ],
)
def test_gstreamer_when_a_pipeline_cannot_run_then_one_line_says_why(pipeline, message):
    with pytest.raises(CameraError, match=message) as e:
        open_camera(opening(pipeline)).grab()
    assert "\n" not in str(e.value)


@pytest.mark.skipif(not IN_OPENCV, reason="this OpenCV was built without GStreamer")
@pytest.mark.parametrize(
    "pipeline",
    [
        "nosuchsource ! identity",  # OpenCV 4.6 waits for ever for what cannot be made: its process is killed
        "videotestsrc num-buffers=0 ! identity",
        "v4l2src device=/dev/video199 ! identity",
    ],
)
def test_gstreamer_when_opencv_cannot_run_a_pipeline_then_that_is_told_in_time(pipeline):
    with reading(pipeline, open_timeout_s=1) as (_, watcher):
        until(lambda: watcher.state == "offline")
    reason = watcher.states[0][1].partition("; ")[0]
    assert reason.startswith(pipeline) or reason == "its reader does not answer"
    assert watcher.frames == 0


@needs_gstreamer
def test_gstreamer_when_its_source_ends_then_it_is_started_again():
    with reading("videotestsrc num-buffers=5 is-live=true ! video/x-raw,width=64,height=64") as (
        _,
        watcher,
    ):
        until(lambda: [s for s, _ in watcher.states].count("online") == 2, 20)
    assert "the pipeline has ended" in watcher.states[1][1]


@pytest.mark.skipif(IN_OPENCV, reason="this OpenCV runs pipelines itself")
def test_gstreamer_when_there_is_none_then_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CameraError, match=r"sudo apt-get install gstreamer1\.0-tools"):
        open_camera(opening("videotestsrc ! identity"))


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("pattern", "pattern"), ("pattern:5", "pattern"), ("picamera:1", "picamera"), ("a ! b", "gstreamer"),
        ("rtsp://h/x", "url"), ("/dev/v4l/by-id/x", "v4l2"), ("pattern.avi", "video"),
    ],
)  # fmt: skip
def test_kind_when_only_the_source_is_given_then_it_is_known(source, kind):
    assert settings_of(source).kind == kind
