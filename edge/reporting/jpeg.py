"""A picture as a JPEG that fits: the best quality first, and smaller only when no quality is small enough."""

import cv2

from edge.frame import Image

__all__ = ["fitting_jpeg"]

_BEST, _LEAST = 92, 40
_SHRINK = 0.75
_LEAST_EDGE = 32


def fitting_jpeg(image: Image, max_bytes: int) -> bytes | None:
    """The image uint8 [H, W, 3] BGR as JPEG of at most `max_bytes`; None when even a thumbnail is larger.

    Searches the quality by halves, since a file grows with it, then makes the picture smaller by steps.
    """
    while min(image.shape[:2]) >= _LEAST_EDGE:
        least = _encode(image, _LEAST)
        if len(least) <= max_bytes:
            return _best(image, least, max_bytes)
        height, width = image.shape[:2]
        size = max(1, int(width * _SHRINK)), max(1, int(height * _SHRINK))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return None


def _best(image: Image, found: bytes, max_bytes: int) -> bytes:
    low, high = _LEAST + 1, _BEST
    while low <= high:
        quality = (low + high + 1) // 2
        data = _encode(image, quality)
        if len(data) <= max_bytes:
            found, low = data, quality + 1
        else:
            high = quality - 1
    return found


def _encode(image: Image, quality: int) -> bytes:
    ok, data = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
    if not ok:
        raise ValueError(f"OpenCV encodes no JPEG of {image.shape}")
    return data.tobytes()
