"""`gluon-edge predict`: one-off inference on pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.draw import draw
from edge.errors import ImageError
from edge.frame import Image
from edge.inference.crops import Looker
from edge.results import to_json

__all__ = ["drawing_names", "look", "read_image"]

_MAX_BYTES = 256 << 20


def read_image(path: Path) -> Image:
    """A picture as uint8 [H, W, 3] BGR, turned upright as its EXIF says.

    Raises:
        ImageError: naming the file and what is wrong with it.
    """
    try:
        with path.open("rb") as f:
            data = f.read(_MAX_BYTES + 1)
    except OSError as e:
        raise ImageError(f"{path}: {e.strerror}") from e
    if len(data) > _MAX_BYTES:
        raise ImageError(f"{path}: larger than {_MAX_BYTES} bytes")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise ImageError(f"{path}: not an image that OpenCV reads (JPEG, PNG, BMP, WebP, TIFF), or damaged")
    return np.asarray(image, np.uint8)


def look(stage: Looker, path: Path, *, draw_to: Path | None = None) -> dict[str, Any]:
    """What the model says of a picture, as `predict --json` prints it; drawn into `draw_to` when given.

    Raises:
        ImageError: when the picture cannot be read, or the drawn one not be written.
        SessionError: when the runtime fails.
    """
    image = read_image(path)
    result, _ = stage(image)
    labels = stage.bundle.labels
    if draw_to is not None:
        _write(draw_to, draw(image, result, labels))
    height, width = image.shape[:2]
    return {
        "image": str(path),
        "model": stage.bundle.manifest.name,
        "width": width,
        "height": height,
        "results": to_json(result, labels),
    }


def drawing_names(folder: Path, images: Sequence[Path]) -> list[Path]:
    """Where each image's drawing goes: its own name as .jpg, numbered where two would share one."""
    names: list[Path] = []
    for image in images:
        name, n = folder / f"{image.stem}.jpg", 1
        while name in names:
            n += 1
            name = folder / f"{image.stem}-{n}.jpg"
        names.append(name)
    return names


def _write(path: Path, image: Image) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        if not ok:
            raise ImageError(f"{path}: cannot be encoded")
        path.write_bytes(data.tobytes())
    except OSError as e:
        raise ImageError(f"{path}: {e.strerror}") from e
