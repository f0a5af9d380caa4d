"""Segmentation masks: files that hold a class a pixel."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from export.errors import ExportError

__all__ = ["read_mask"]


def read_mask(path: Path) -> NDArray[np.uint8]:
    """A mask file -> class index uint8 [h, w]: grey PNG with the index itself, or coloured with VOC's palette.

    Raises:
        ExportError: naming the file, and the colour that is in no palette.
    """
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.dtype != np.uint8:
        raise ExportError(f"{path}: not an 8-bit PNG mask that can be read")
    if mask.ndim == 2:
        return np.asarray(mask, np.uint8)
    bgr = mask[..., :3].astype(np.int64)
    keys, where = np.unique(bgr[..., 2] << 16 | bgr[..., 1] << 8 | bgr[..., 0], return_inverse=True)
    palette = {_voc_colour(i): i for i in range(256)}
    unknown = [k for k in keys.tolist() if k not in palette]
    if unknown:
        raise ExportError(f"{path}: colour #{unknown[0]:06x} is not in VOC's palette; use grey PNGs of class indices")
    return np.array([palette[k] for k in keys.tolist()], np.uint8)[where].reshape(mask.shape[:2])


def _voc_colour(index: int) -> int:
    """VOC's colour of a class, 0xRRGGBB: the index's bits dealt out to red, green, blue from the top."""
    r = g = b = 0
    for k in range(8):
        r |= (index >> 3 * k & 1) << 7 - k
        g |= (index >> 3 * k + 1 & 1) << 7 - k
        b |= (index >> 3 * k + 2 & 1) << 7 - k
    return r << 16 | g << 8 | b
