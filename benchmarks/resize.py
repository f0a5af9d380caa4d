"""Preparing a 1080p frame (resize, letterbox, colours) over OpenCV's own resize of it alone, one thread, in turn."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np

from benchmarks.paired import paired
from edge.prepare import Interpolation, ResizeRule, prepare

__all__ = ["measure"]

_RULES: tuple[ResizeRule, ...] = ("letterbox", "stretch")
_INTERPOLATIONS: dict[Interpolation, int] = {"bilinear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


def measure() -> list[dict[str, Any]]:
    """One row a size, rule and interpolation."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        image = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
        return [
            _row(image, height, width, rule, interpolation)
            for height, width in ((288, 384), (384, 672), (512, 512))
            for rule in _RULES
            for interpolation in _INTERPOLATIONS
        ]
    finally:
        cv2.setNumThreads(before)


def _row(image: Any, height: int, width: int, rule: ResizeRule, interpolation: Interpolation) -> dict[str, Any]:
    _, placement = prepare(image, height=height, width=width, resize=rule, interpolation=interpolation)
    inner = round(1920 * placement.scale_x), round(1080 * placement.scale_y)
    how = _INTERPOLATIONS[interpolation]
    result = paired(
        {
            "prepare": lambda: prepare(image, height=height, width=width, resize=rule, interpolation=interpolation),
            "resize": lambda: cv2.resize(image, inner, interpolation=how),
        },
        rounds=41,
        clock=time.thread_time,
    )
    return {
        "to": f"{width}x{height}",
        "rule": f"{rule}, {interpolation}",
        "prepare_ms": round(result.median_ms["prepare"], 2),
        "resize_ms": round(result.median_ms["resize"], 2),
        "times": round(result.ratio("prepare", "resize"), 2),
        "goal": "1.2 or less",
    }
