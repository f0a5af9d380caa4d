"""JPEGs from cameras, decoded only when they are whole: OpenCV reads a truncated one as if nothing were wrong."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import CameraError
from edge.frame import Image

__all__ = ["decode_jpeg"]

_START, _END = b"\xff\xd8", b"\xff\xd9"
_CORNER = 4
# Entropy-coded noise without markers: a decoder that reads it had not found all of the picture before.
_NOISE = bytes((i * 37 + 11) % 251 for i in range(4096))
_COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def decode_jpeg(data: NDArray[np.uint8], into: Image | None = None) -> Image:
    """A JPEG file, uint8 [n] -> uint8 [height, width, 3] BGR, written to `into` when that has its shape.

    Raises:
        CameraError: when it is no JPEG, or ends before its picture does.
    """
    raw = data.tobytes().rstrip(b"\0")  # many USB cameras fill their buffers up
    if not raw.startswith(_START):
        raise CameraError("sent what is not a JPEG")
    if not raw.endswith(_END):
        raise CameraError(f"sent a truncated JPEG of {len(raw)} bytes")
    try:
        decoded = cv2.imdecode(np.frombuffer(raw, np.uint8), _COLOUR)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise CameraError("sent a damaged JPEG")
    image = np.asarray(decoded, np.uint8)
    if _ends_flat(image) and _is_short(raw):
        raise CameraError(f"sent a JPEG whose picture is truncated, {len(raw)} bytes")
    if into is not None and into.shape == image.shape:
        np.copyto(into, image)
        return into
    return image


def _restarts(raw: bytes) -> int:
    return sum(raw.count(bytes((0xFF, 0xD0 + i))) for i in range(8))


def _restarts_due(raw: bytes) -> int:
    """How many restart markers the header promises (ITU-T T.81, B.2)."""
    at, blocks, interval = 2, 0, 0
    while at + 4 <= len(raw) and raw[at] == 0xFF and raw[at + 1] != 0xDA:
        marker, length = raw[at + 1], int.from_bytes(raw[at + 2 : at + 4], "big")
        body = raw[at + 4 : at + 2 + length]
        if marker == 0xDD and len(body) >= 2:
            interval = int.from_bytes(body[:2], "big")
        elif marker in {0xC0, 0xC1} and len(body) >= 6 and len(body) >= 6 + 3 * body[5]:
            height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
            sampling = [body[7 + 3 * i] for i in range(body[5])] or [0x11]
            across, down = max(s >> 4 for s in sampling), max(s & 15 for s in sampling)
            blocks = -(-width // (8 * max(1, across))) * -(-height // (8 * max(1, down)))
        at += 2 + length
    return -(-blocks // interval) - 1 if interval and blocks else 0


def _ends_flat(image: NDArray[np.uint8]) -> bool:
    """What a decoder was not given it fills with one colour, to the last corner; most whole pictures end otherwise."""
    corner = image[-_CORNER:, -_CORNER:].reshape(-1, 3)
    return bool((corner == corner[0]).all())


def _is_short(raw: bytes) -> bool:
    """Whether the picture changes with what is written behind its last bit, at an eighth of its size.

    Where it has restart markers they are counted as well: between two of them a decoder skips what it cannot read.
    """
    if _restarts(raw) < _restarts_due(raw):
        return True
    small = cv2.IMREAD_REDUCED_COLOR_8 | cv2.IMREAD_IGNORE_ORIENTATION
    here = cv2.imdecode(np.frombuffer(raw, np.uint8), small)
    scan = raw[:-2].rstrip(b"\xff")  # cut within an escaped byte, it would make a marker of the noise
    longer = cv2.imdecode(np.frombuffer(scan + _NOISE + _END, np.uint8), small)
    return here is None or longer is None or not np.array_equal(here, longer)
