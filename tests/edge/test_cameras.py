"""Cameras: real files, a real HTTP server that sends JPEGs, and what is said when they are away."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import bundles
import cv2
import numpy as np
import pytest
from camera_parts import opening, reading, settings_of, until

from edge.cameras import OPENERS, Opening, open_camera
from edge.clock import Clock
from edge.config import CameraConfig
from edge.errors import CameraError
from edge.latest import Gone


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

    assert 1.8 < time.monotonic() - begun < 3
    gaps = np.diff(stamps) / 1e6
    assert np.median(gaps) == pytest.approx(50, abs=5)


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


class Mjpeg:
    """An HTTP camera. `frames` per connection, then it hangs up, or goes silent when `stall`."""

    def __init__(self, *, frames=10_000, stall=False, port=0, guarded=False):
        mjpeg = self
        mjpeg.connections = 0
        mjpeg.authorization = None
        mjpeg.closing = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mjpeg.connections += 1
                mjpeg.authorization = self.headers.get("Authorization")
                if guarded and mjpeg.authorization is None:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=f")
                self.end_headers()
                for i in range(frames):
                    picture = bundles.squares_picture(160, 120, {"red": (10 + i % 50, 40, 32)})
                    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
                    head = f"--f\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    try:
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                    except OSError:
                        return
                    if mjpeg.closing.wait(0.02):
                        return
                if stall:
                    mjpeg.closing.wait(30)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = False

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/cam.mjpg"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


def test_reader_when_an_http_camera_vanishes_and_returns_then_it_is_told_and_reopened():
    first = Mjpeg(frames=20)
    with reading(first.url, read_timeout_s=1) as (slots, watcher):
        until(lambda: watcher.frames >= 5)
        assert slots.take(5).width == 160
        first.close()
        until(lambda: watcher.state == "offline")
        assert watcher.states[1] == ("offline", f"{first.url}: the stream broke off; opening it again")
        before = time.process_time()
        time.sleep(1)
        assert time.process_time() - before < 0.2, "waiting for a camera costs next to nothing"
        again = Mjpeg(port=first.port)
        try:
            until(lambda: watcher.state == "online")
            seen = watcher.frames
            until(lambda: watcher.frames > seen + 5)
        finally:
            again.close()
        until(lambda: watcher.state == "offline")
        told = [s for s, _ in watcher.states]
        assert [s for s, before in zip(told, [None, *told], strict=False) if s != before] == [
            *("online", "offline", "online", "offline")
        ]


def test_reader_when_a_stream_stalls_then_it_is_told_within_its_time_limit():
    camera = Mjpeg(frames=10, stall=True)
    try:
        with reading(camera.url, read_timeout_s=1) as (_, watcher):
            until(lambda: watcher.states[:1] == [("online", None)])
            begun = time.monotonic()
            until(lambda: watcher.state == "offline")
            assert time.monotonic() - begun < 4
    finally:
        camera.close()


def test_stream_when_a_password_file_is_given_then_it_is_sent_and_never_said(tmp_path, capfd):
    secret = tmp_path / "secret"
    secret.write_text("p@ss/word\n")
    secret.chmod(0o600)
    camera = Mjpeg(guarded=True)
    try:
        with reading(camera.url, username="me", password_file=secret) as (_, watcher):
            until(lambda: watcher.frames > 0)
    finally:
        camera.close()
    assert camera.authorization == "Basic bWU6cEBzcy93b3Jk"
    assert "p@ss" not in "".join(capfd.readouterr())


class Scripted:
    """A camera that does as it is told: a number is a picture taken then, an error is raised, None is the end."""

    def __init__(self, steps, clock):
        self.steps = list(steps)
        self.clock = clock
        self.retrieved = 0
        self.closed = 0
        self.killed = 0
        self.refused = {}

    def __call__(self, opening):
        self.opening = opening
        return self

    def grab(self):
        step = self.steps.pop(0) if self.steps else None
        if isinstance(step, Exception):
            raise step
        if step is None:
            return None
        self.clock.now = step
        return step

    def retrieve(self, _into=None):
        self.retrieved += 1
        return np.zeros((4, 4, 3), np.uint8)

    def close(self):
        self.closed += 1

    def kill(self):
        self.killed += 1


class FakeClock:
    def __init__(self):
        self.now = 0

    def clock(self):
        return Clock(wall_ns=lambda: 10**18 + self.now, mono_ns=lambda: self.now)


def test_reader_when_a_read_blocks_then_the_frame_is_stamped_after_it():
    fake = FakeClock()
    camera = Scripted([5_000_000_000], fake)

    with reading("x.avi", camera, fake.clock(), pace="fast") as (slots, _):
        frame = slots.take(5)

    assert (frame.captured_ns, frame.mono_ns) == (10**18 + 5_000_000_000, 5_000_000_000)


def test_reader_when_a_grab_fails_then_nothing_is_decoded_and_the_camera_is_closed_and_opened_again():
    fake = FakeClock()
    camera = Scripted([CameraError("unplugged"), CameraError("unplugged"), RuntimeError("driver"), 1], fake)

    with reading("x.avi", camera, fake.clock()) as (slots, watcher):
        items = [slots.take(10), slots.take(10)]
        until(lambda: watcher.states[-1:] == [("offline", "the file has ended")])

    assert [type(i) for i in items[:1]] == [Gone]
    assert camera.retrieved == 1
    assert camera.closed == 5, "each time it was opened, and at the end"
    assert watcher.steps == ["reopen", "down", None, None], "repeats are not told again"
    assert watcher.states[0] == ("offline", "unplugged; opening it again")


def test_reader_when_fps_is_capped_then_frames_are_skipped_without_decoding():
    fake = FakeClock()
    camera = Scripted([1 + i * 33_333_333 for i in range(300)], fake)

    with reading("x.avi", camera, fake.clock(), fps=10) as (_, watcher):
        until(lambda: watcher.state == "offline")

    assert camera.retrieved == pytest.approx(100, abs=3)


def test_reader_when_fps_is_capped_at_the_cameras_own_then_jitter_does_not_halve_it():
    fake = FakeClock()
    times = [1 + i * 100_000_000 + (-1) ** i * 4_000_000 for i in range(1, 200)]
    camera = Scripted(times, fake)

    with reading("x.avi", camera, fake.clock(), fps=10) as (_, watcher):
        until(lambda: watcher.state == "offline")

    assert camera.retrieved >= 190
