"""RTSP and HTTP streams, with time limits given when they are opened: without them a stall blocks for 30 s."""

import cv2

from edge.cameras.camera import Camera, Opening, Stamp
from edge.cameras.capture import Capture, backend
from edge.errors import CameraError
from edge.frame import Image
from edge.secret import read_secret, redact, with_credentials

__all__ = ["open_stream"]


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
        url = str(settings.source)
        self._what = redact(url)
        if settings.username is not None:
            password = read_secret(settings.password_file) if settings.password_file else None
            url = with_credentials(url, settings.username, password)
        options = (
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(settings.open_timeout_s * 1e3)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(settings.read_timeout_s * 1e3)),
        )
        api = backend(cv2.CAP_FFMPEG)
        self._capture = Capture(opening, url, api, options, f"{self._what}: nobody answers with video")

    def grab(self) -> Stamp | None:
        stamp = self._capture.grab()
        if stamp is None:
            raise CameraError(f"{self._what}: the stream broke off")
        return stamp

    def retrieve(self) -> Image:
        return self._capture.retrieve()

    def close(self) -> None:
        self._capture.close()
