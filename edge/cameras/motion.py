"""Inference is skipped where nothing moves: background subtraction on a small grey picture, a few times a second.

The subtraction is OpenCV's: Zivkovic's mixture of Gaussians (MOG2, 2004) or nearest neighbours (KNN, 2006). Both learn
what is always there, waving leaves included, and follow slow changes of light.
"""

from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import MotionConfig
from edge.frame import Image

__all__ = ["MotionGate", "Passing"]

_WIDTH = 160
_HISTORY_S = 60.0
_WARM_UP = 5
_LOOSE = np.ones((3, 3), np.uint8)


class Passing(Protocol):
    """What stands between a camera's frames and the model."""

    def passes(self, image: Image, mono_ns: int) -> bool:
        """Whether a frame, uint8 [height, width, 3] taken at `mono_ns`, is worth the model's time."""

    def forget(self) -> None:
        """The camera was away."""


class MotionGate:
    """One camera's. The inference thread asks it about each frame; the switch may be turned by any thread.

    A frame passes when something moves, for `linger_s` after something moved (so that what left is seen to be gone),
    and at least every `every_s`. In between, no more than `fps` frames a second are even looked at.
    """

    def __init__(self, config: MotionConfig) -> None:
        self.change(config)
        self._background: Any = None
        self._watched: NDArray[np.uint8] | None = None
        self._looked = 0
        self._looked_ns: int | None = None
        self._moved_ns: int | None = None
        self._passed_ns: int | None = None
        self._on = True

    def change(self, config: MotionConfig) -> None:
        """Other settings from the next frame on; the background is learnt anew. Only between two frames."""
        self._config = config
        self._gap_ns = round(1e9 / config.fps)
        self._linger_ns = round(config.linger_s * 1e9)
        self._every_ns = round(config.every_s * 1e9)
        self._shape: tuple[int, ...] = ()

    def switch(self, *, on: bool) -> None:
        """Off, every frame passes."""
        self._on = on

    def passes(self, image: Image, mono_ns: int) -> bool:
        """Whether a frame, uint8 [height, width, 3] taken at `mono_ns`, is worth the model's time."""
        if not (self._on and self._config.enabled):
            return True
        if self._looked_ns is None or mono_ns - self._looked_ns >= self._gap_ns:
            self._looked_ns = mono_ns
            if self._moves(image):
                self._moved_ns = mono_ns
        lingers = self._moved_ns is not None and mono_ns - self._moved_ns <= self._linger_ns
        passes = lingers or self._passed_ns is None or mono_ns - self._passed_ns >= self._every_ns
        if passes:
            self._passed_ns = mono_ns
        return passes

    def forget(self) -> None:
        """The camera was away: it may look elsewhere now."""
        self._shape = ()

    def _moves(self, image: Image) -> bool:
        if image.shape != self._shape:
            self._begin(image)
        height, width = self._size
        small = cv2.cvtColor(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2GRAY)
        moving = self._background.apply(small)
        self._looked += 1
        if self._looked <= _WARM_UP:
            return True  # it knows no background yet
        if self._watched is not None:
            cv2.bitwise_and(moving, self._watched, moving)
        moving = cv2.morphologyEx(moving, cv2.MORPH_OPEN, _LOOSE)
        if cv2.countNonZero(moving) < self._least:
            return False  # most pictures of a still scene end here
        _, _, stats, _ = cv2.connectedComponentsWithStats(moving, connectivity=8)
        return bool(stats[1:, cv2.CC_STAT_AREA].max(initial=0) >= self._least)

    def _begin(self, image: Image) -> None:
        config = self._config
        self._shape = image.shape
        self._looked = 0
        width = min(_WIDTH, image.shape[1])
        height = max(4, round(width * image.shape[0] / image.shape[1]))
        self._size = height, width
        self._least = max(1, round(config.min_area * width * height))
        history = max(30, round(_HISTORY_S * config.fps))
        if config.algorithm == "knn":
            self._background = cv2.createBackgroundSubtractorKNN(
                history, dist2Threshold=25.0 * config.threshold, detectShadows=False
            )
        else:
            self._background = cv2.createBackgroundSubtractorMOG2(
                history, varThreshold=config.threshold, detectShadows=False
            )
        self._watched = None
        if config.masks:
            self._watched = np.full((height, width), 255, np.uint8)
            shares = np.array([width, height], np.float64)
            areas = [np.round(np.array(mask) * shares).astype(np.int32) for mask in config.masks]
            cv2.fillPoly(self._watched, areas, (0,))
