"""A result drawn on its image: boxes, classes, masks, keypoints."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frame import Image
from edge.results import Classification, Detections, Instances, Poses, Result, Segmentation

__all__ = ["colour", "draw"]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MASK_SHARE = 0.5
_JOINT_SCORE = 0.2
_COCO_LIMBS = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10)),
    *((5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
)


def draw(image: Image, result: Result, labels: Sequence[str]) -> Image:
    """A copy of `image` (uint8 [H, W, 3] BGR) with the result on it."""
    out = image.copy()
    if isinstance(result, Segmentation):
        _draw_mask(out, result.mask, labels)
    elif isinstance(result, Instances):
        # The surest is drawn last, on top.
        for i, label in reversed(list(enumerate(result.detections.labels.tolist()))):
            _draw_outline(out, result.mask(i), colour(label))
        _draw_detections(out, result.detections, labels)
    elif isinstance(result, Detections):
        _draw_detections(out, result, labels)
    elif isinstance(result, Poses):
        for person in result.keypoints:
            _draw_joints(out, person)
    else:
        _draw_classes(out, result, labels)
    return out


def colour(label_id: int) -> tuple[int, int, int]:
    """A label's colour, BGR, the same in every picture and far from its neighbours' (golden-ratio hues)."""
    red, green, blue = colorsys.hsv_to_rgb((label_id * 0.618034 + 0.33) % 1.0, 0.85, 1.0)
    return round(blue * 255), round(green * 255), round(red * 255)


def _size(image: Image) -> tuple[float, int]:
    """Font scale and line width that can be read on an image of this size."""
    short = min(image.shape[:2])
    return max(0.35, short / 1000), max(1, round(short / 320))


def _draw_detections(image: Image, result: Detections, labels: Sequence[str]) -> None:
    # The surest is drawn last, on top.
    rows = list(zip(result.labels.tolist(), result.scores.tolist(), result.boxes.tolist(), strict=True))
    for label, score, box in reversed(rows):
        _draw_box(image, box, f"{labels[label]} {score:.2f}", colour(label))


def _draw_outline(image: Image, inside: NDArray[np.bool_], bgr: tuple[int, int, int]) -> None:
    """An object's pixels tinted, and its outline in full colour, so that neighbours of one class stay apart."""
    image[inside] = (image[inside] * (1 - _MASK_SHARE) + np.array(bgr) * _MASK_SHARE).astype(np.uint8)
    edges, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    _, line = _size(image)
    cv2.drawContours(image, edges, -1, bgr, line, cv2.LINE_AA)


def _draw_joints(image: Image, person: NDArray[np.float32]) -> None:
    """Joints as dots, each in its colour; with COCO's 17 joints also the limbs between them."""
    _, line = _size(image)
    sure = person[:, 2] >= _JOINT_SCORE
    points = [(round(x), round(y)) for x, y, _ in person.tolist()]
    for a, b in _COCO_LIMBS if len(points) == 17 else ():
        if sure[a] and sure[b]:
            cv2.line(image, points[a], points[b], colour(a), line, cv2.LINE_AA)
    for i, point in enumerate(points):
        if sure[i]:
            cv2.circle(image, point, 2 * line + 1, colour(i), cv2.FILLED, cv2.LINE_AA)


def _draw_box(image: Image, box: Sequence[float], text: str, bgr: tuple[int, int, int]) -> None:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (round(v) for v in box)
    _, line = _size(image)
    cv2.rectangle(image, (x1, y1), (min(x2, width - 1), min(y2, height - 1)), bgr, line)
    _draw_text(image, text, x1, y1, bgr)


def _draw_text(image: Image, text: str, x: int, y: int, bgr: tuple[int, int, int]) -> None:
    """Text on a plate whose lower edge is at `y`, moved into the image."""
    scale, line = _size(image)
    (text_w, text_h), base = cv2.getTextSize(text, _FONT, scale, line)
    height, width = image.shape[:2]
    plate = text_h + base + 2
    x = max(0, min(x, width - text_w))
    top = max(0, min(y - plate, height - plate))
    cv2.rectangle(image, (x, top), (x + text_w, top + plate), bgr, cv2.FILLED)
    ink = (0, 0, 0) if 0.114 * bgr[0] + 0.587 * bgr[1] + 0.299 * bgr[2] > 128 else (255, 255, 255)
    cv2.putText(image, text, (x, top + text_h + 1), _FONT, scale, ink, line, cv2.LINE_AA)


def _draw_classes(image: Image, result: Classification, labels: Sequence[str]) -> None:
    rows = zip(result.labels.tolist(), result.scores.tolist(), strict=True)
    _draw_list(image, [(f"{labels[label]} {score:.2f}", colour(label)) for label, score in rows])


def _draw_list(image: Image, lines: Sequence[tuple[str, tuple[int, int, int]]]) -> None:
    """Lines of text from the top left corner down."""
    scale, line = _size(image)
    (_, text_h), base = cv2.getTextSize("Ag", _FONT, scale, line)
    y = 4
    for text, bgr in lines:
        y += text_h + base + 2
        _draw_text(image, text, 4, y, bgr)
        y += 2


def _draw_mask(image: Image, mask: NDArray[np.uint8], labels: Sequence[str]) -> None:
    found = [int(c) for c in np.unique(mask) if c]
    palette = np.zeros((256, 3), np.uint8)
    for label in found:
        palette[label] = colour(label)
    covered = mask > 0
    mixed = cv2.addWeighted(image, 1 - _MASK_SHARE, palette[mask], _MASK_SHARE, 0)
    image[covered] = mixed[covered]
    _draw_list(image, [(labels[c] if c < len(labels) else str(c), colour(c)) for c in found])
