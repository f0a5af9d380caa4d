"""Cameras behind HTTP: a real server that sends JPEGs, vanishes, stalls, and asks for a password."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import bundles
import cv2
from camera_parts import reading, until


class Mjpeg:
    """An HTTP camera. `frames` per connection, then it hangs up, or goes silent when `stall`."""

    def __init__(self, *, frames=10_000, stall=False, port=0, guarded=False):
        mjpeg = self
        mjpeg.authorization = None
        mjpeg.closing = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
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
