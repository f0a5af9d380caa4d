"""A folder of pictures, in the order of their names, or a single picture."""

import logging
import re
from pathlib import Path

import cv2
import numpy as np

from edge.cameras.camera import Camera, Opening
from edge.cameras.pace import Pace
from edge.config import IMAGE_SUFFIXES
from edge.errors import CameraError
from edge.frame import Image

__all__ = ["open_images"]

log = logging.getLogger(__name__)

_USUAL_FPS = 1.0


def open_images(opening: Opening) -> Camera:
    """The pictures of a folder.

    Raises:
        CameraError: when there are none.
    """
    path = Path(str(opening.settings.source))
    try:
        files = [path] if path.is_file() else [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    except OSError as e:
        raise CameraError(f"{path}: {e.strerror}") from e
    if not files:
        raise CameraError(f"{path}: holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return _Images(opening, sorted(files, key=_natural))


class _Images:
    def __init__(self, opening: Opening, files: list[Path]) -> None:
        self._files = iter(files)
        self._folder = files[0].parent
        self._image: Image | None = None
        self._good = 0
        self._opening = opening
        native = opening.settings.pace == "native"
        self._pace = Pace(1 / (opening.settings.fps or _USUAL_FPS), opening) if native else None

    def grab(self) -> int | None:
        for path in self._files:
            self._image = _read(path)
            if self._image is None:
                log.warning("%s: not an image that OpenCV reads; left out", path)
                continue
            self._good += 1
            if self._pace is not None and self._pace.wait():
                return None
            return self._opening.now()
        if not self._good:
            raise CameraError(f"{self._folder}: none of its pictures can be read")
        if self._pace is not None and self._opening.settings.loop:
            self._pace.wait()  # the last one has its time too, or a folder of one would be read without a pause
        return None

    def retrieve(self, into: Image | None = None) -> Image:  # noqa: ARG002 - it is decoded already
        if self._image is None:
            raise CameraError(f"{self._folder}: no picture was grabbed")
        return self._image

    def close(self) -> None:
        self._image = None


def _read(path: Path) -> Image | None:
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _natural(path: Path) -> list[tuple[int, str]]:
    """img9 before img10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", path.name)]
