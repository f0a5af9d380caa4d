"""A video file: at its own pace as if it were a camera, or as fast as the model goes."""

import logging
import math
from pathlib import Path

import cv2

from edge.cameras.camera import Camera, Opening
from edge.cameras.capture import Capture, backend
from edge.cameras.pace import Pace
from edge.errors import CameraError
from edge.frame import Image

__all__ = ["open_video"]

log = logging.getLogger(__name__)

_USUAL_FPS = 25.0


def open_video(opening: Opening) -> Camera:
    """A video file, forwarded to `start_s`.

    Raises:
        CameraError: when it is not there or not a video.
    """
    path = str(opening.settings.source)
    if not Path(path).is_file():
        raise CameraError(f"{path}: no such file")
    return _Video(opening, path)


class _Video:
    def __init__(self, opening: Opening, path: str) -> None:
        self._capture = Capture(opening, path, backend(cv2.CAP_FFMPEG), (), path, "not a video that OpenCV reads")
        self._path = path
        self._frames = 0
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._fps = fps if math.isfinite(fps) and 0.01 <= fps <= 1000 else _USUAL_FPS
        self._expected = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._pace = Pace(1 / self._fps, opening) if opening.settings.pace == "native" else None
        self._opening = opening
        if opening.settings.start_s:
            try:
                self._skip(opening.settings.start_s)
            except CameraError:
                self.close()
                raise

    def grab(self) -> int | None:
        taken_ns = self._capture.grab()
        if taken_ns is None:
            if self._frames == 0:
                raise CameraError(f"{self._path}: holds no frame that can be read")
            if self._expected > 0 and self._frames < 0.9 * self._expected and not self._opening.settings.start_s:
                log.warning("%s: ended after %d of %d frames; truncated?", self._path, self._frames, self._expected)
            if self._pace is not None and self._opening.settings.loop:
                self._pace.wait()  # the last frame has its time too, however short the file
            return None
        self._frames += 1
        if self._pace is not None:
            if self._pace.wait():
                return None
            # The file was ready early; to a viewer the picture is taken when its time has come.
            return self._opening.now()
        return taken_ns

    def retrieve(self, into: Image | None = None) -> Image:
        return self._capture.retrieve(into)

    def close(self) -> None:
        self._capture.close()

    def _skip(self, start_s: float) -> None:
        length_s = self._expected / self._fps
        if 0 < length_s <= start_s:
            raise CameraError(f"{self._path}: start_s = {start_s:g} is past its end at {length_s:.1f} s")
        if not self._capture.set(cv2.CAP_PROP_POS_MSEC, start_s * 1e3):
            for _ in range(int(start_s * self._fps)):
                if self._capture.grab() is None:
                    raise CameraError(f"{self._path}: start_s = {start_s:g} is past its end")
