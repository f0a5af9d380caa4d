"""OpenCV's VideoCapture with its failures turned into errors: what video files, V4L2 and streams have in common."""

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.camera import Opening
from edge.cameras.jpeg import decode_jpeg
from edge.errors import CameraError
from edge.frame import Image

__all__ = ["Capture", "backend"]

# RTSP over UDP loses packets, which shows as grey smears that read as good frames.
# No buffering before the first picture, no reordering: what was seen last is what is wanted.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


_MJPG = cv2.VideoWriter.fourcc(*"MJPG")


def _silence() -> None:
    """OpenCV writes whole URLs, passwords included, to stderr when a camera is away; its errors come back anyway."""
    logging: Any = getattr(cv2.utils, "logging", None)  # since 4.12; before, one function of cv2 itself
    if logging is not None:
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    elif hasattr(cv2, "setLogLevel"):
        cv2.setLogLevel(0)


_silence()


def backend(preferred: int) -> int:
    """The preferred way of reading if this OpenCV was built with it, else whichever it has."""
    registry = cv2.videoio_registry
    has = {*registry.getStreamBackends(), *registry.getCameraBackends()}
    return preferred if preferred in has else int(cv2.CAP_ANY)


class Capture:
    """A VideoCapture that was opened. A failed one never recovers: close it and make another.

    `what` names it in errors; `away` says what it means that it cannot be opened.

    Raises:
        CameraError: when it cannot.
    """

    def __init__(
        self, opening: Opening, source: int | str, api: int, options: Sequence[int], what: str, away: str
    ) -> None:
        self._opening = opening
        self._what = what
        self._raw = False
        self._capture = cv2.VideoCapture()
        opened = False
        try:
            opened = self._capture.open(source, api, list(options))
        except cv2.error as e:
            raise CameraError(f"{what}: {away}: {_reason(e)}") from e
        finally:
            if not opened:
                self._capture.release()
        if not opened:
            raise CameraError(f"{what}: {away}")

    def get(self, prop: int) -> float:
        """One of OpenCV's properties; 0 when it is not known."""
        return float(self._capture.get(prop))

    def set(self, prop: int, value: float) -> bool:
        """Sets one of OpenCV's properties; whether it was understood."""
        return bool(self._capture.set(prop, value))

    def undecoded(self, prop: int, value: float) -> None:
        """Asks by a property for what the camera sent, if that is JPEGs: they are then checked and decoded here."""
        if int(self.get(cv2.CAP_PROP_FOURCC)) == _MJPG:
            self._raw = self.set(prop, value)

    def grab(self) -> int | None:
        """Waits for a frame without decoding more of it than must be; None when none came."""
        try:
            arrived = self._capture.grab()
        except cv2.error as e:
            raise CameraError(f"{self._what}: {_reason(e)}") from e
        return self._opening.now() if arrived else None

    def retrieve(self, into: Image | None = None) -> Image:
        """The grabbed frame, in `into` when it fits there, else in memory of its own."""
        try:
            ok, image = self._capture.retrieve() if self._raw else self._capture.retrieve(into)
        except cv2.error as e:
            raise CameraError(f"{self._what}: {_reason(e)}") from e
        if not ok or image is None or image.size == 0:
            raise CameraError(f"{self._what}: sent a frame that cannot be decoded")
        if self._raw and image.dtype == np.uint8:
            return self._decode(np.asarray(image, np.uint8), into)
        if into is not None and image.ctypes.data == into.ctypes.data:
            return into
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise CameraError(f"{self._what}: sent {image.dtype} {list(image.shape)}, not uint8 [H, W, 3]")
        return np.asarray(image)

    def _decode(self, sent: NDArray[np.uint8], into: Image | None) -> Image:
        try:
            return decode_jpeg(sent, into)
        except CameraError as e:
            raise CameraError(f"{self._what}: {e}") from e

    def close(self) -> None:
        """Releases the device or file."""
        with contextlib.suppress(cv2.error):  # nothing is read of it any more; opening it again will tell
            self._capture.release()


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
