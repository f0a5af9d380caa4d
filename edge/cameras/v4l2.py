"""USB and other V4L2 cameras, by number or by path; /dev/v4l/by-id/... survives replugging."""

import os
import re
import stat
from pathlib import Path

import cv2

from edge.cameras.camera import Camera, Opening
from edge.cameras.capture import Capture, backend
from edge.errors import CameraError
from edge.frame import Image

__all__ = ["open_v4l2"]

_PLAUSIBLE_NS = 1_000_000_000


def open_v4l2(opening: Opening) -> Camera:
    """The camera at /dev/videoN or at a path.

    Raises:
        CameraError: when it is not there, may not be used, or is taken.
    """
    source = opening.settings.source
    path = Path(f"/dev/video{source}" if isinstance(source, int) else source)
    try:
        real = path.resolve(strict=True)
        mode = real.stat().st_mode
    except OSError as e:
        raise CameraError(f"{path}: no such camera; plug it in, or see 'ls /dev/v4l/by-id'") from e
    if not stat.S_ISCHR(mode):
        raise CameraError(f"{path}: is not a camera device")
    if not os.access(real, os.R_OK | os.W_OK):
        raise CameraError(f"{path}: permission denied; put the user into the group 'video'")
    number = re.fullmatch(r"/dev/video([0-9]+)", str(real))
    return _V4L2(opening, int(number[1]) if number else str(real), str(path))


class _V4L2:
    def __init__(self, opening: Opening, source: int | str, what: str) -> None:
        self._what = what
        settings = opening.settings
        self._capture = Capture(opening, source, backend(cv2.CAP_V4L2), (), what, "busy, or not a camera")
        # MJPG first: raw YUV at full size does not fit through USB 2 at more than a few frames a second.
        self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        if settings.width and settings.height:
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
        if settings.fps:
            self._capture.set(cv2.CAP_PROP_FPS, settings.fps)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._capture.undecoded(cv2.CAP_PROP_CONVERT_RGB, 0)
        self._opening = opening

    def grab(self) -> int | None:
        arrived_ns = self._capture.grab()
        if arrived_ns is None:
            raise CameraError(f"{self._what}: sends no frames; unplugged?")
        # The driver's own time, where it is on the monotonic clock as the kernel's cameras' is: when the exposure or
        # the transfer began, not when this process was woken.
        taken_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        return taken_ns if 0 <= arrived_ns - taken_ns < _PLAUSIBLE_NS else arrived_ns

    def retrieve(self, into: Image | None = None) -> Image:
        return self._capture.retrieve(into)

    def close(self) -> None:
        self._capture.close()
