"""GStreamer pipelines: Jetson's CSI cameras, hardware decoders, whatever has a plugin.

Where OpenCV was built with GStreamer it runs the pipeline; PyPI's wheel was not, and then `gst-launch-1.0` does, as a
process of its own that writes raw pictures into a pipe (YUV4MPEG2: a header with the size, a marker before each
picture, 12 bits a pixel, so half of what BGR would be).
"""

import contextlib
import ctypes
import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess

import cv2
import numpy as np

from edge.cameras.camera import Camera, Opening
from edge.cameras.capture import Capture
from edge.cameras.judge import check_size
from edge.errors import CameraError
from edge.frame import Image
from edge.secret import redact

__all__ = ["open_gstreamer"]

# The newest picture waits for who reads it, at most one.
_NEWEST = "queue leaky=downstream max-size-buffers=1 max-size-time=0 max-size-bytes=0"
_TO_OPENCV = f"{_NEWEST} ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
_TO_PIPE = f"{_NEWEST} ! videoconvert ! video/x-raw,format=I420 ! y4menc ! fdsink sync=false fd="
_PIPE_BYTES = 1 << 20
_HEADER_BYTES = 512
_SAID_BYTES = 8192
_PR_SET_PDEATHSIG = 1
_SIZE = re.compile(rb"^YUV4MPEG2 .*?\bW([0-9]{1,5}) H([0-9]{1,5})\b")


def open_gstreamer(opening: Opening) -> Camera:
    """The pipeline of the configuration, without a sink: what comes out of it are the pictures.

    Raises:
        CameraError: when it does not start, or neither OpenCV nor gst-launch-1.0 can run it.
    """
    pipeline = str(opening.settings.source)
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        what, away = _short(pipeline), "GStreamer cannot start it"
        return _InOpenCV(Capture(opening, f"{pipeline} ! {_TO_OPENCV}", cv2.CAP_GSTREAMER, (), what, away), what)
    program = shutil.which("gst-launch-1.0")
    if program is None:
        raise CameraError(
            "this OpenCV was built without GStreamer, and there is no gst-launch-1.0: "
            "sudo apt-get install gstreamer1.0-tools gstreamer1.0-plugins-good"
        )
    return _InPipe(opening, program, pipeline)


class _InOpenCV:
    def __init__(self, capture: Capture, what: str) -> None:
        self._capture = capture
        self._what = what

    def grab(self) -> int | None:
        taken_ns = self._capture.grab()
        if taken_ns is None:
            raise CameraError(f"{self._what}: the pipeline has ended")
        return taken_ns

    def retrieve(self, into: Image | None = None) -> Image:
        return self._capture.retrieve(into)

    def close(self) -> None:
        self._capture.close()


class _InPipe:
    def __init__(self, opening: Opening, program: str, pipeline: str) -> None:
        self._opening = opening
        self._what = _short(pipeline)
        read, write = os.pipe()
        try:
            with contextlib.suppress(OSError, AttributeError):  # fewer, larger reads
                fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            self._process = subprocess.Popen(  # noqa: S603 - the owner's own pipeline, without a shell
                [program, "-q", *_words(pipeline), "!", *shlex.split(f"{_TO_PIPE}{write}")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=[write],
                preexec_fn=_die_with_reader,  # noqa: PLW1509 - its reader's process has one thread
            )
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        self._pictures = os.fdopen(read, "rb", buffering=0)
        self._said = b""
        try:
            self._height, self._width = self._read_header()
        except CameraError:
            self.close()
            raise
        self._yuv = np.empty((self._height * 3 // 2, self._width), np.uint8)

    def grab(self) -> int | None:
        marker = self._read_line()
        self._listen()
        if not marker.startswith(b"FRAME"):
            raise CameraError(f"{self._what}: GStreamer sent what is not a picture")
        taken_ns = self._opening.now()  # its first bytes are there: the picture is, and is on its way
        room, view = 0, self._yuv.data.cast("B")
        while room < len(view):
            count = self._pictures.readinto(view[room:])
            if not count:
                raise self._ended()
            room += count
        return taken_ns

    def retrieve(self, into: Image | None = None) -> Image:
        shape = (self._height, self._width, 3)
        target = into if into is not None and into.shape == shape else np.empty(shape, np.uint8)
        cv2.cvtColor(self._yuv, cv2.COLOR_YUV2BGR_I420, dst=target)
        return target

    def close(self) -> None:
        self._pictures.close()
        self._process.terminate()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _read_header(self) -> tuple[int, int]:
        header = self._read_line()
        size = _SIZE.match(header)
        if size is None:
            raise CameraError(f"{self._what}: GStreamer sent {header[:40]!r}, not raw pictures")
        width, height = int(size[1]), int(size[2])
        problem = check_size(height, width)
        if problem is None and (width % 2 or height % 2):
            problem = f"sends {width}x{height}: its sides have to be even; put a videoscale and its caps at the end"
        if problem is not None:
            raise CameraError(f"{self._what}: {problem}")
        return height, width

    def _read_line(self) -> bytes:
        """Byte by byte, for behind its end begins a picture."""
        line = bytearray()
        while not line.endswith(b"\n"):
            byte = self._pictures.read(1)
            if not byte:
                raise self._ended()
            line += byte
            if len(line) > _HEADER_BYTES:
                raise CameraError(f"{self._what}: GStreamer sent what is not a picture")
        return bytes(line)

    def _listen(self) -> None:
        """What it complains of, so that its pipe never fills up and stops it; the end of it is enough."""
        errors = self._process.stderr
        if errors is not None:
            os.set_blocking(errors.fileno(), False)
            self._said = (self._said + (errors.read() or b""))[-_SAID_BYTES:]

    def _ended(self) -> CameraError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self._process.kill()
        self._listen()
        errors = [
            line for line in self._said.decode(errors="replace").splitlines() if "ERROR" in line or "erroneous" in line
        ]
        return CameraError(f"{self._what}: {redact(errors[0][:300]) if errors else 'the pipeline has ended'}")


def _die_with_reader() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _words(pipeline: str) -> list[str]:
    try:
        return shlex.split(pipeline)
    except ValueError as e:
        raise CameraError(f"{_short(pipeline)}: {e}") from e


def _short(pipeline: str) -> str:
    return redact(pipeline if len(pipeline) <= 60 else f"{pipeline[:57]}...")
