"""RTSP and HTTP streams, with time limits given when they are opened: without them a stall blocks for 30 s."""

import math
from pathlib import Path

import cv2

from edge.cameras.camera import Camera, Opening
from edge.cameras.capture import Capture, backend
from edge.errors import CameraError
from edge.frame import Image
from edge.secret import read_secret, redact, with_credentials

__all__ = ["open_stream"]

_LEAST_FPS, _USUAL_FPS, _MOST_FPS = 1.0, 25.0, 120.0
_MOST_OLD = 150
_LATER_S = 0.3  # than the agent loses patience: it knows better why


def open_stream(opening: Opening) -> Camera:
    """The stream at a URL.

    Raises:
        CameraError: when nobody answers there in `open_timeout_s`, or not with video.
        ConfigError: when the password's file cannot be used.
    """
    return _Stream(opening)


class _Stream:
    def __init__(self, opening: Opening) -> None:
        settings = opening.settings
        self._opening = opening
        url = str(settings.source)
        self._what = redact(url)
        if settings.username is not None:
            password = read_secret(Path(settings.password_file)) if settings.password_file else None
            url = with_credentials(url, settings.username, password)
        options = (
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(settings.open_timeout_s * 1e3)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round((settings.read_timeout_s + _LATER_S) * 1e3)),
        )
        api = backend(cv2.CAP_FFMPEG)
        self._capture = Capture(opening, url, api, options, self._what, "nobody answers with video")
        self._capture.undecoded(cv2.CAP_PROP_FORMAT, -1)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._beat_ns = round(1e9 / (fps if math.isfinite(fps) and _LEAST_FPS <= fps <= _MOST_FPS else _USUAL_FPS))
        self._fresh = False

    def grab(self) -> int | None:
        taken_ns = self._grab()
        # What came while the stream was looked into waits in a heap and is old; once it is waited for, it is fresh.
        for _ in range(0 if self._fresh else _MOST_OLD):
            asked_ns = self._opening.now()
            taken_ns = self._grab()
            if taken_ns - asked_ns > self._beat_ns // 2:
                break
        self._fresh = True
        return taken_ns

    def _grab(self) -> int:
        taken_ns = self._capture.grab()
        if taken_ns is None:
            raise CameraError(f"{self._what}: the stream broke off")
        return taken_ns

    def retrieve(self, into: Image | None = None) -> Image:
        return self._capture.retrieve(into)

    def close(self) -> None:
        self._capture.close()
