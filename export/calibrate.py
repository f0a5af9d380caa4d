"""Calibration images: found, read, and made into exactly the tensors that the device would feed its model."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle.bundle import Bundle
from edge.frame import Image
from edge.inference.stages import prepare_for
from export.errors import ExportError
from export.progress import Progress, silent

__all__ = ["Reader", "images", "read", "readable", "spread"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg"})

_log = logging.getLogger(__name__)


def images(spec: Path | Sequence[Path], *, limit: int | None = None, frames: int = 64) -> list[Path]:
    """The pictures that `spec` names: a folder (with those below it), image files, or videos, in a stable order.

    A video gives `frames` pictures spread over its length, named VIDEO/NUMBER; `read` understands that name. With
    `limit`, at most so many pictures, spread over all that there are.

    Raises:
        ExportError: naming the folder or file that is missing, empty or of no known kind.
    """
    found: list[Path] = []
    for path in [spec] if isinstance(spec, Path) else spec:
        if path.is_dir():
            here = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
            if not here:
                raise ExportError(f"{path}: no images in this folder ({', '.join(sorted(IMAGE_SUFFIXES))})")
            found += here
        elif not path.is_file():
            raise ExportError(f"{path}: no such file or folder")
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            found += _frames_of(path, frames)
        else:
            found.append(path)
    if not found:
        raise ExportError("no calibration images given; name a folder of images, image files, or a video")
    return spread(found, limit) if limit is not None else found


def spread(paths: Sequence[Path], count: int) -> list[Path]:
    """At most `count` of `paths`, evenly spread, in their order."""
    if count >= len(paths):
        return list(paths)
    return [paths[i * len(paths) // count] for i in range(count)]


def read(path: Path) -> Image:
    """The picture in a file, or a video's frame (VIDEO/NUMBER): uint8 [H, W, 3] BGR.

    Raises:
        ExportError: naming the file that cannot be read.
    """
    if path.parent.suffix.lower() in VIDEO_SUFFIXES and path.parent.is_file():
        with _opened(path.parent) as capture:
            capture.set(cv2.CAP_PROP_POS_FRAMES, int(path.name))
            ok, frame = capture.read()
        if not ok:
            raise ExportError(f"{path.parent}: frame {int(path.name)} cannot be read")
        return np.asarray(frame, np.uint8)
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as e:
        raise ExportError(f"{path}: {e.strerror or e}") from e
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise ExportError(f"{path}: not an image that can be read here; remove it or convert it to JPEG or PNG")
    return np.asarray(image, np.uint8)


def readable(paths: Sequence[Path], *, progress: Progress = silent) -> tuple[list[Path], dict[Path, str]]:
    """Those of `paths` that can be read, and why the others cannot, which one warning tells.

    Raises:
        ExportError: when not one picture can be read.
    """
    skipped = {}
    for n, path in enumerate(paths):
        progress("looking through the pictures", n, len(paths))
        try:
            read(path)
        except ExportError as e:
            skipped[path] = str(e)
    progress("looking through the pictures", len(paths), len(paths))
    if len(skipped) == len(paths):
        raise ExportError(_none_read(skipped))
    _warn(skipped, len(paths))
    return [path for path in paths if path not in skipped], skipped


def _none_read(skipped: Mapping[Path, str]) -> str:
    return f"not one calibration image could be read: {next(iter(skipped.values()), 'none were given')}"


def _warn(skipped: Mapping[Path, str], of: int) -> None:
    if skipped:
        _log.warning("%d of %d images left out; the first: %s", len(skipped), of, next(iter(skipped.values())))


class Reader:
    """A bundle's input tensors, uint8 [1, height, width, 3] RGB, one a picture; iterate as often as needed.

    Pictures that cannot be read are left out and counted in one warning; when none can be, that is an error.
    """

    def __init__(self, bundle: Bundle, paths: Sequence[Path], *, progress: Progress = silent) -> None:
        self._bundle = bundle
        self._progress = progress
        self.paths = list(paths)
        self.skipped: dict[Path, str] = {}

    def each(self, what: str) -> Iterator[NDArray[np.uint8]]:
        """The tensors in order; `what` they are read for is told to `progress`.

        Raises:
            ExportError: when not one picture can be read.
        """
        good = 0
        for n, path in enumerate(self.paths):
            self._progress(what, n, len(self.paths))
            if path in self.skipped:
                continue
            try:
                image = read(path)
            except ExportError as e:
                self.skipped[path] = str(e)
                continue
            good += 1
            yield prepare_for(self._bundle, image)[0][None]
        self._progress(what, len(self.paths), len(self.paths))
        if not good:
            raise ExportError(_none_read(self.skipped))

    def some(self, count: int) -> Reader:
        """Of at most so many of the pictures, spread over all."""
        return Reader(self._bundle, spread(self.paths, count), progress=self._progress)

    def warn_of_skipped(self) -> None:
        """One warning for all pictures that could not be read."""
        _warn(self.skipped, len(self.paths))


def _frames_of(path: Path, count: int) -> list[Path]:
    with _opened(path) as capture:
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if total <= 0:
        raise ExportError(f"{path}: not a video that can be read here, or one that does not tell its length")
    return [path / f"{n * total // min(count, total):06d}" for n in range(min(count, total))]


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    capture = cv2.VideoCapture(os.fspath(path))
    try:
        if not capture.isOpened():
            raise ExportError(f"{path}: not a video that can be read here")
        yield capture
    finally:
        capture.release()
