"""Cameras that are files and folders, and what is said of sources that are away or foreign."""

import socket
import time

import bundles
import cv2
import numpy as np
import pytest
from camera_parts import opening, settings_of

from edge.cameras import OPENERS, Opening, open_camera
from edge.clock import Clock
from edge.config import CameraConfig
from edge.errors import CameraError


def read_all(camera):
    images = []
    try:
        while camera.grab() is not None:
            images.append(camera.retrieve())
    finally:
        camera.close()
    return images


def centre_of_red(image):
    red = (image[:, :, 2] > 180) & (image[:, :, 0] < 100)
    ys, xs = np.nonzero(red)
    return (xs.mean() + 0.5, ys.mean() + 0.5) if len(xs) else None


@pytest.fixture
def video(tmp_path):
    frames = [{"red": (10 + 2 * i, 40, 32)} for i in range(40)]
    return bundles.squares_video(tmp_path / "v.avi", frames, fps=20)


def test_video_when_fast_then_every_frame_comes_in_order_and_upright(video):
    images = read_all(open_camera(opening(video, pace="fast")))

    assert len(images) == 40
    for i, image in enumerate(images):
        assert image.shape == (120, 160, 3)
        assert image.dtype == np.uint8
        assert centre_of_red(image) == pytest.approx((26 + 2 * i, 56), abs=1)


class Waits:
    """A stop sign with a clock that runs while somebody waits."""

    def __init__(self):
        self.now_ns = 0

    def is_set(self):
        return False

    def wait(self, seconds):
        self.now_ns += round(seconds * 1e9)
        return False


@pytest.mark.parametrize("kind", ["images", "video"])
def test_file_when_it_is_short_and_looped_then_its_pace_is_kept_from_one_round_to_the_next(kind, tmp_path):
    if kind == "video":
        source = bundles.squares_video(tmp_path / "v.avi", [{"red": (10, 40, 32)}], fps=4)
    else:
        source = tmp_path / "a.png"
        cv2.imwrite(str(source), np.zeros((32, 32, 3), np.uint8))
    waits = Waits()
    clock = Clock(wall_ns=lambda: 0, mono_ns=lambda: waits.now_ns)
    fps = {"images": 4.0}.get(kind)
    given = Opening(settings_of(source, loop=True, **({"fps": fps} if fps else {})), clock, waits)

    taken = []
    for _ in range(8):
        camera = open_camera(given)
        while (taken_ns := camera.grab()) is not None:
            taken.append(taken_ns)
        camera.close()

    assert taken == [i * 250_000_000 for i in range(8)]


def test_video_when_native_then_it_takes_its_own_time(video):
    begun = time.monotonic()
    camera = open_camera(opening(video))
    stamps = []
    while (taken_ns := camera.grab()) is not None:
        stamps.append(taken_ns)
    camera.close()

    assert 1.8 < time.monotonic() - begun < 8
    gaps = np.diff(stamps) / 1e6
    assert np.median(gaps) == pytest.approx(50, abs=10)


def test_video_when_it_starts_later_then_what_is_before_is_skipped(video):
    images = read_all(open_camera(opening(video, pace="fast", start_s=1.0)))

    assert len(images) == 20
    assert centre_of_red(images[0]) == pytest.approx((66, 56), abs=1)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (lambda p: p / "nope.avi", {}, "nope.avi: no such file"),
        (lambda p: write(p / "v.avi", b"RIFF no video at all"), {}, "v.avi: not a video that OpenCV reads"),
        (lambda p: write(p / "v.avi", b""), {}, "v.avi: not a video that OpenCV reads"),
        (lambda p: bundles.squares_video(p / "s.avi", [{}] * 9), {"start_s": 60.0}, "past its end at 0.5 s"),
        (lambda p: p / "nope", {"kind": "images"}, "nope: No such file or directory"),
        (lambda p: p, {}, "holds no pictures"),
        (lambda p: write(p / "a.png", b"not a picture").parent, {}, "none of its pictures can be read"),
        (lambda _: 250, {}, "/dev/video250: no such camera; plug it in"),
        (lambda _: "/dev/null-camera", {}, "/dev/null-camera: no such camera"),
        (lambda p: write(p / "v", b""), {"kind": "v4l2"}, "v: is not a camera device"),
        (lambda _: f"http://127.0.0.1:{closed_port()}/x", {}, "nobody answers with video"),
        (lambda _: f"rtsp://me:hunter2@127.0.0.1:{closed_port()}/x", {}, r"rtsp://\*\*\*@127.0.0.1"),
    ],
)
def test_open_when_a_source_is_away_or_foreign_then_one_line_names_it(tmp_path, capfd, make, settings, message):
    with pytest.raises(CameraError, match=message) as e:
        read_all(open_camera(opening(make(tmp_path), **settings)))

    said = capfd.readouterr()
    assert "\n" not in str(e.value)
    assert "hunter2" not in str(e.value) + said.out + said.err


def write(path, data):
    path.write_bytes(data)
    return path


def closed_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_images_when_a_folder_has_foreign_files_then_the_pictures_come_in_natural_order(tmp_path):
    for n in (1, 2, 10):
        cv2.imwrite(str(tmp_path / f"img{n}.png"), np.full((8, 8 + n, 3), n, np.uint8))
    write(tmp_path / "img3.png", b"damaged")
    write(tmp_path / "notes.txt", b"no picture")

    images = read_all(open_camera(opening(f"{tmp_path}/", pace="fast")))

    assert [i.shape[1] - 8 for i in images] == [1, 2, 10]


def test_openers_when_a_kind_is_allowed_then_there_is_one():
    kinds = CameraConfig.model_fields["kind"].annotation.__args__[0].__args__
    assert set(OPENERS) == set(kinds)
